"""The rules that tie one configuration key to another: what the type of a single key cannot say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine.errors import named, shown

if TYPE_CHECKING:
    from config.schema import Config, DatasetParams, ModelParams, TrainParams

PERCEPTUAL_LAYERS = 5  # relu1_1 to relu5_1 of VGG19
PERCEPTUAL_MIN_SIZE = 16  # pixels: four poolings lie before relu5_1
HEATMAP_BORDER = 6  # pixels that a 7x7 convolution without padding takes off a heatmap


def broken_rules(config: Config) -> Iterator[str]:
    """Each broken rule, on one line: key path, value, remedy."""
    model, training = config.model_params, config.train_params
    height, width, _ = config.dataset_params.frame_shape
    yield from _augmentation_rules(config.dataset_params)
    yield from _model_rules(config)
    yield from _size_rules(model, height, width)
    yield from _training_rules(training, model, min(height, width))
    yield from _loss_rules(training, model)
    if training.loss_weights.generator_gan > 0:
        yield from _adversarial_rules(training, model, min(height, width))


def _augmentation_rules(params: DatasetParams) -> Iterator[str]:
    path, augmentation = "dataset_params.augmentation_params", params.augmentation_params
    size, crop = list(params.frame_shape[:2]), augmentation.crop_param
    if crop is not None and list(crop.size) != size:
        yield (
            f"{path}.crop_param.size: {list(crop.size)} is not the height and width of "
            f"dataset_params.frame_shape; write {size}"
        )
    resize = augmentation.resize_param
    if resize is not None and crop is None:
        yield (
            f"{path}.resize_param.ratio: {list(resize.ratio)} changes the frame size; "
            f"add crop_param: {{size: {size}}} beside resize_param to restore it"
        )
    if resize is not None and resize.ratio[0] > resize.ratio[1]:
        yield f"{path}.resize_param.ratio: {list(resize.ratio)} falls; write [lowest, highest]"
    rotation = augmentation.rotation_param
    if rotation is not None and rotation.degrees[0] > rotation.degrees[1]:
        degrees = list(rotation.degrees)
        yield f"{path}.rotation_param.degrees: {degrees} falls; write [lowest, highest]"


def _model_rules(config: Config) -> Iterator[str]:
    model, frame_shape = config.model_params, config.dataset_params.frame_shape
    common, generator = model.common_params, model.generator_params
    if frame_shape[2] != common.num_channels:
        yield (
            f"dataset_params.frame_shape: {list(frame_shape)} ends with {frame_shape[2]} channels, "
            f"but model_params.common_params.num_channels is {common.num_channels}; make them equal"
        )
    elif common.num_channels != 3:
        yield (
            f"model_params.common_params.num_channels: {common.num_channels}, but frames are read "
            "as RGB; write 3, and 3 at the end of dataset_params.frame_shape"
        )
    if model.kp_detector_params.single_jacobian_map and not common.estimate_jacobian:
        yield (
            "model_params.kp_detector_params.single_jacobian_map: true needs "
            "model_params.common_params.estimate_jacobian: true; write true there or false here"
        )
    if generator.estimate_occlusion_map and generator.dense_motion_params is None:
        yield (
            "model_params.generator_params.estimate_occlusion_map: true needs dense_motion_params, "
            "whose network estimates the map; add that section or write false"
        )
    if generator.copy_visible and not generator.estimate_occlusion_map:
        yield (
            "model_params.generator_params.copy_visible: true needs "
            "model_params.generator_params.estimate_occlusion_map: true; write true there or "
            "false here"
        )


def _size_rules(model: ModelParams, height: int, width: int) -> Iterator[str]:
    detector, generator = model.kp_detector_params, model.generator_params
    step = int(1 / detector.scale_factor + 1e-4)
    networks = [("kp_detector_params.num_blocks", step, detector.num_blocks)]
    dense = generator.dense_motion_params
    if dense is not None:
        key = "generator_params.dense_motion_params.num_blocks"
        networks.append((key, int(1 / dense.scale_factor + 1e-4), dense.num_blocks))
    networks.append(("generator_params.num_down_blocks", 1, generator.num_down_blocks))
    for key, downsampling, halvings in networks:
        multiple = downsampling * 2**halvings
        if height % multiple or width % multiple:
            scaled = f" after scale_factor 1/{downsampling}" if downsampling > 1 else ""
            yield (
                f"model_params.{key}: {halvings} halvings{scaled} need frames in multiples of "
                f"{multiple} pixels, not {height} x {width}; change frame_shape or this"
            )
    heatmap = min(height, width) // step + 2 * detector.pad - HEATMAP_BORDER
    if heatmap < 2:
        yield (
            f"model_params.kp_detector_params.scale_factor: {detector.scale_factor:g} leaves "
            f"heatmaps of {max(heatmap, 0)} pixels; raise it, pad or dataset_params.frame_shape"
        )


def _training_rules(training: TrainParams, model: ModelParams, size: int) -> Iterator[str]:
    weights, milestones = training.loss_weights, list(training.epoch_milestones)
    if not training.scales:
        yield "train_params.scales: [] leaves nothing to compare; write at least [1]"
    elif any(weights.perceptual) and size * min(training.scales) < PERCEPTUAL_MIN_SIZE:
        yield (
            f"train_params.scales: {min(training.scales):g} of {size} pixels is less than "
            f"the {PERCEPTUAL_MIN_SIZE} that VGG19 needs; remove that scale or enlarge the frames"
        )
    perceptual = list(weights.perceptual)
    if len(perceptual) > PERCEPTUAL_LAYERS:
        yield (
            f"train_params.loss_weights.perceptual: {shown(perceptual)} has more entries than "
            f"the {PERCEPTUAL_LAYERS} layers of VGG19 compared; remove the last ones"
        )
    if weights.equivariance_jacobian > 0 and not model.common_params.estimate_jacobian:
        yield (
            "train_params.loss_weights.equivariance_jacobian: "
            f"{weights.equivariance_jacobian:g} needs model_params.common_params."
            "estimate_jacobian: true; write true there or 0 here"
        )
    if weights.separation > 0 and model.common_params.num_kp < 2:
        yield (
            f"train_params.loss_weights.separation: {weights.separation:g} needs two keypoints to "
            "separate; raise model_params.common_params.num_kp or write 0 here"
        )
    if training.batch_size % training.accumulation:
        yield (
            f"train_params.accumulation: {training.batch_size} images cannot be cut into "
            f"{training.accumulation} equal parts; make train_params.batch_size a multiple"
        )
    if training.ema_decay == 1:
        yield "train_params.ema_decay: 1 would never move; write less, such as 0.999"
    rising = sorted(set(milestones))
    if milestones != rising:
        yield (
            f"train_params.epoch_milestones: {shown(milestones)} does not rise; "
            f"write {shown(rising)}"
        )


def _loss_rules(training: TrainParams, model: ModelParams) -> Iterator[str]:
    weights = training.loss_weights
    if not (any(weights.perceptual) or weights.generator_gan):
        yield (
            "train_params.loss_weights: neither perceptual nor generator_gan has a weight, and "
            "without them nothing teaches the generator; give one"
        )
    names = [f"{scale:g}" for scale in model.discriminator_params.scales]
    if len(set(names)) < len(names):
        yield (
            f"model_params.discriminator_params.scales: {named(', '.join(names))} names a scale "
            "twice; leave one out"
        )


def _adversarial_rules(training: TrainParams, model: ModelParams, size: int) -> Iterator[str]:
    discriminator, weights = model.discriminator_params, training.loss_weights.feature_matching
    path = "model_params.discriminator_params"
    if not discriminator.scales:
        yield f"{path}.scales: [] leaves no discriminator for generator_gan > 0; write [1]"
    for scale in discriminator.scales:
        if scale not in training.scales:
            yield (
                f"{path}.scales: {scale:g} is not one of train_params.scales, "
                f"{shown(list(training.scales))}; add it there or remove it here"
            )
        pixels = int(size * scale)
        if _discriminator_output(pixels, discriminator.num_blocks) < 2:
            yield (
                f"{path}.num_blocks: {discriminator.num_blocks} is too deep for the "
                f"{pixels} pixels at scale {scale:g}; lower it or drop that one of {path}.scales"
            )
    if any(weights) and len(weights) != discriminator.num_blocks:
        yield (
            f"train_params.loss_weights.feature_matching: {shown(list(weights))} needs one entry "
            f"for each of the {discriminator.num_blocks} blocks of {path}.num_blocks; or write [] "
            "for none"
        )


def _discriminator_output(size: int, num_blocks: int) -> int:
    for block in range(num_blocks):
        size -= 3  # a 4x4 convolution without padding
        if block < num_blocks - 1:
            size //= 2
    return size
