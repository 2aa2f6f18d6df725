"""Config -> networks. With build_training, the only place that unfolds config into constructors."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from config.schema import Config, ModelParams, load_config, parse_config
from engine.checkpoint import load_weights, with_averages
from engine.errors import UserError
from modules.dense_motion import DenseMotionNetwork
from modules.discriminator import Discriminator, MultiScaleDiscriminator
from modules.generator import OcclusionAwareGenerator
from modules.keypoint_detector import KPDetector
from modules.keypoints import MotionTransfer


class Networks(NamedTuple):
    """The networks of a model, under the names that they have in a checkpoint."""

    generator: OcclusionAwareGenerator
    discriminator: MultiScaleDiscriminator
    kp_detector: KPDetector


class InferenceNetworks(NamedTuple):
    """Those of them that animating takes."""

    generator: OcclusionAwareGenerator
    kp_detector: KPDetector


def build_inference_networks(model: ModelParams) -> InferenceNetworks:
    """The networks that animating takes, randomly initialised, on the CPU."""
    return InferenceNetworks(build_generator(model), build_kp_detector(model))


def load_inference_networks(
    path: Path, state: Mapping[str, object], model: ModelParams
) -> InferenceNetworks:
    """The networks that animating takes, on the CPU, with a checkpoint's weights or their averages.

    Args:
        path, state: where the checkpoint lies, and its content.

    Raises:
        UserError: the weights do not fit, or are not finite.
    """
    networks = build_inference_networks(model)
    load_weights(path, with_averages(path, state), networks._asdict())
    return networks


def build_networks(model: ModelParams) -> Networks:
    """All networks, randomly initialised, on the CPU, in training mode."""
    return Networks(build_generator(model), build_discriminator(model), build_kp_detector(model))


def build_kp_detector(model: ModelParams) -> KPDetector:
    return KPDetector(**asdict(model.common_params), **asdict(model.kp_detector_params))


def build_generator(model: ModelParams) -> OcclusionAwareGenerator:
    common, params = model.common_params, model.generator_params
    dense_motion_network = None
    if params.dense_motion_params is not None:
        dense_motion_network = DenseMotionNetwork(
            num_kp=common.num_kp,
            num_channels=common.num_channels,
            estimate_occlusion_map=params.estimate_occlusion_map,
            **asdict(params.dense_motion_params),
        )
    return OcclusionAwareGenerator(
        num_channels=common.num_channels,
        block_expansion=params.block_expansion,
        max_features=params.max_features,
        num_down_blocks=params.num_down_blocks,
        num_bottleneck_blocks=params.num_bottleneck_blocks,
        dense_motion_network=dense_motion_network,
        copy_visible=params.copy_visible,
    )


def build_discriminator(model: ModelParams) -> MultiScaleDiscriminator:
    common, params = model.common_params, model.discriminator_params
    discriminators = [
        Discriminator(
            num_channels=common.num_channels,
            num_kp=common.num_kp,
            block_expansion=params.block_expansion,
            max_features=params.max_features,
            num_blocks=params.num_blocks,
            sn=params.sn,
            use_kp=params.use_kp,
            kp_variance=params.kp_variance,
        )
        for _ in params.scales
    ]
    return MultiScaleDiscriminator(params.scales, discriminators)


def choose_config(
    config: Path | None,
    overrides: Sequence[str],
    *,
    checkpoint: Path | None = None,
    state: Mapping[str, object] = MappingProxyType({}),
) -> Config:
    """The config of a file or, where none is named, the one that a checkpoint carries.

    Args:
        config: the YAML file; None for the checkpoint's own.
        overrides: `a.b.c=value` each.
        checkpoint, state: where the checkpoint lies, and its content.

    Raises:
        UserError: neither is there, or something in it is wrong.
    """
    if config is not None:
        return load_config(config, overrides)
    if checkpoint is None:
        raise UserError("--config: missing; name a YAML file, such as config/vox-256.yaml")
    if "config" not in state:
        raise UserError(f"{checkpoint}: carries no config; name the YAML file with --config")
    return parse_config(state["config"], f"{checkpoint}: config", overrides)


def build_motion_transfer(config: Config) -> MotionTransfer:
    """The way of carrying motion over that the config asks for."""
    params = config.animate_params.normalization_params
    return MotionTransfer(
        relative=params.use_relative_movement,
        relative_jacobian=params.use_relative_jacobian,
        adapt_scale=params.adapt_movement_scale,
    )
