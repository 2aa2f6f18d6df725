"""Config -> what trains: the full models, the VGG19 they compare frames in, the optimizers."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torchvision.models import VGG19_Weights, vgg19

from config.schema import Config
from engine.build import Networks, build_networks
from engine.checkpoint import read_torch_file
from engine.compilation import can_compile
from engine.device import place
from engine.errors import UserError
from engine.training import FullModels, Options, Trainer
from engine.weights import plain_weights
from modules.equivariance import WarpDistribution
from modules.model import DiscriminatorFullModel, GeneratorFullModel
from modules.perceptual import ImagePyramid, VGG19Features
from modules.step import LossWeights
from modules.util import SpectralNormConv2d
from sync_batchnorm import freeze_statistics

RANDOM_VGG_SEED = 0
AUTOCAST = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def build_trainer(
    config: Config, *, device: torch.device, device_ids: Sequence[int] = ()
) -> Trainer:
    """Networks with random weights, on the device, ready to be trained.

    Raises:
        UserError: the VGG19 weights cannot be had, the device has no such precision, or networks
            are to be compiled that are copied to several devices.
    """
    params = config.train_params
    if params.precision == "fp16" and device.type != "cuda":
        raise UserError(
            "train_params.precision: fp16 is for CUDA GPUs; write bf16, which needs no scaling"
        )
    if params.compile and len(device_ids) > 1:
        raise UserError(
            "train_params.compile: true is for one device in a process, not for several "
            "--device_ids; write false, or use torchrun, with a process for each GPU"
        )
    networks = build_networks(config.model_params)
    models = build_full_models(config, networks, winograd=device.type == "cpu")
    for model in models:
        place(model, device, training_in=AUTOCAST[params.precision])
    if params.freeze_batch_norm:
        for trained in networks:
            freeze_statistics(trained)
    if params.compile and can_compile(device, asked="train_params.compile"):
        _compile(networks, models.generator.vgg)
    return Trainer(
        networks,
        models,
        learning_rates={
            "generator": params.lr_generator,
            "discriminator": params.lr_discriminator,
            "kp_detector": params.lr_kp_detector,
        },
        milestones=params.epoch_milestones,
        options=Options(
            accumulation=params.accumulation,
            clip=params.grad_clip,
            scaled=params.precision == "fp16",
            ema_decay=params.ema_decay,
        ),
        device=device,
        device_ids=device_ids,
    )


def _compile(networks: Networks, vgg: VGG19Features) -> None:
    for network in (networks.generator, networks.kp_detector, vgg):
        network.compile()
    # Compiled code keeps the vectors of spectral norms for its backward pass, but the next forward
    # moves them before that.
    discriminator = networks.discriminator
    if not any(isinstance(layer, SpectralNormConv2d) for layer in discriminator.modules()):
        discriminator.compile()
        discriminator.features = torch.compile(discriminator.features)  # type: ignore[method-assign]


def build_full_models(config: Config, networks: Networks, *, winograd: bool = False) -> FullModels:
    """Wrap networks with their losses; `winograd` is how VGG19 convolves.

    Raises:
        UserError: the VGG19 weights cannot be had.
    """
    params = config.train_params
    channels = config.model_params.common_params.num_channels
    weights = LossWeights(**asdict(params.loss_weights))
    compared = [layer for layer, weight in enumerate(weights.perceptual, 1) if weight]
    autocast = AUTOCAST[params.precision]
    generator_model = GeneratorFullModel(
        kp_detector=networks.kp_detector,
        generator=networks.generator,
        discriminator=networks.discriminator,
        pyramid=ImagePyramid(_scales_of_losses(config), channels),
        vgg=build_vgg(
            params.perceptual_weights,
            depth=max(compared, default=0),
            dtype=autocast or torch.float32,
            winograd=winograd,
        ),
        warps=WarpDistribution(**asdict(params.transform_params)),
        weights=weights,
        autocast=autocast,
    )
    discriminator_model = DiscriminatorFullModel(
        discriminator=networks.discriminator,
        weight=weights.discriminator_gan,
        autocast=autocast,
    )
    return FullModels(generator_model, discriminator_model)


def _scales_of_losses(config: Config) -> Sequence[float]:
    """Those at which frames are compared or, without the perceptual loss, judged alone."""
    weights = config.train_params.loss_weights
    if any(weights.perceptual):
        return config.train_params.scales
    return config.model_params.discriminator_params.scales if weights.generator_gan else ()


def build_vgg(
    perceptual_weights: str,
    *,
    depth: int,
    dtype: torch.dtype = torch.float32,
    winograd: bool = False,
) -> VGG19Features:
    """The first `depth` features of a VGG19; its weights' type and `winograd` as there.

    Its weights are `imagenet` (torchvision's), `random` (seeded), or those of a file; for a depth
    of 0 none are read.

    Raises:
        UserError: the weights cannot be downloaded, or the file is not a VGG19.
    """
    if depth == 0:
        layers = torch.nn.Sequential()
    elif perceptual_weights == "random":
        layers = _random_vgg19()
    else:
        layers = _vgg19_of_file(perceptual_weights)
    return VGG19Features(layers, depth=depth, dtype=dtype, winograd=winograd)


def _vgg19_of_file(perceptual_weights: str) -> torch.nn.Sequential:
    path = _imagenet_file() if perceptual_weights == "imagenet" else Path(perceptual_weights)
    if not path.is_file():
        raise UserError(
            f"train_params.perceptual_weights: {path}: no such file; write imagenet, random, or "
            "the path of torchvision's VGG19 weights"
        )
    return _filled(read_torch_file(path), path)


def _random_vgg19() -> torch.nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(RANDOM_VGG_SEED)
        # The whole network, although only its features stay: that fixes the random draws.
        return vgg19(weights=None).features


def _filled(state: dict, path: Path) -> torch.nn.Sequential:
    with torch.device("meta"):
        layers = vgg19(weights=None).features
    features = plain_weights(f"{path}: vgg19", state, below="features.")
    try:
        layers.load_state_dict(features, assign=True)
    except RuntimeError as error:
        raise UserError(
            f"{path}: not the state dict of torchvision's vgg19; set "
            "train_params.perceptual_weights to imagenet, random or such a file"
        ) from error
    return layers


def _imagenet_file() -> Path:
    """Where torchvision keeps its VGG19 weights; downloaded there, unless they are."""
    url = VGG19_Weights.IMAGENET1K_V1.url
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hash_prefix=path.stem.split("-")[-1])
    except (OSError, RuntimeError) as error:  # RuntimeError: of another hash
        raise UserError(
            f"the VGG19 weights cannot be downloaded from {url} ({error}); put that file "
            f"at {path}, or set train_params.perceptual_weights to where it is, or to random"
        ) from error
    return path
