"""The configuration: a frozen dataclass for each section of the YAML file, and what loads them.

`config/taichi-256.yaml` says what each key does. A field without a default is a key that the file
must hold; a `Section | None` that is absent is not applied. The ranges stand in the types, the
rules between keys in `config/rules.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from config.other_methods import refuse_other_methods
from config.parsing import ConfigError, FilePath, Range, parse_section, plain
from config.reading import read_file, with_overrides, write_text
from config.renaming import with_new_names
from config.resolution import LARGEST_SIDE, with_derived
from config.rules import broken_rules

__all__ = ["Config", "ConfigError", "dump_config", "load_config", "parse_config", "parse_section"]

# No bound is meant to be met: beyond them, numbers overflow or no machine has the memory.
Count = Annotated[int, Range(1, 10**9)]
CountOrZero = Annotated[int, Range(0, 10**9)]
Side = Annotated[int, Range(1, LARGEST_SIDE)]
Channels = Annotated[int, Range(1, 4096)]
Blocks = Annotated[int, Range(1, 256)]
Halvings = Annotated[int, Range(1, 16)]
Pixels = Annotated[int, Range(0, 256)]
Weight = Annotated[float, Range(0, 10**6)]
Variance = Annotated[float, Range(10**-6, 10**6)]
Scale = Annotated[float, Range(0.001, 1)]
Ratio = Annotated[float, Range(0.01, 100)]
Degrees = Annotated[float, Range(-360, 360)]
Jitter = Annotated[float, Range(0, 100)]
Sigma = Annotated[float, Range(0, 10)]
VideoFormat = Literal[".mp4", ".mov", ".mkv", ".webm", ".gif"]
TrainingPrecision = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class FlipParam:
    horizontal_flip: bool = False
    time_flip: bool = False


@dataclass(frozen=True)
class ResizeParam:
    ratio: tuple[Ratio, Ratio]  # lowest, highest


@dataclass(frozen=True)
class CropParam:
    size: tuple[Side, Side]  # H, W


@dataclass(frozen=True)
class RotationParam:
    degrees: tuple[Degrees, Degrees]  # lowest, highest


@dataclass(frozen=True)
class JitterParam:
    brightness: Jitter = 0.0
    contrast: Jitter = 0.0
    saturation: Jitter = 0.0
    hue: Annotated[float, Range(0, 0.5)] = 0.0


@dataclass(frozen=True)
class AugmentationParams:
    flip_param: FlipParam | None = None
    resize_param: ResizeParam | None = None
    crop_param: CropParam | None = None
    rotation_param: RotationParam | None = None
    jitter_param: JitterParam | None = None


@dataclass(frozen=True)
class DatasetParams:
    root_dir: FilePath
    frame_shape: tuple[Side, Side, Side]  # H, W, C
    id_sampling: bool = False
    pairs_list: FilePath | None = None
    augmentation_params: AugmentationParams = field(default_factory=AugmentationParams)


@dataclass(frozen=True)
class CommonParams:
    num_kp: Annotated[int, Range(1, 1000)]
    num_channels: Channels
    estimate_jacobian: bool


@dataclass(frozen=True)
class KPDetectorParams:
    temperature: Annotated[float, Range(0.0001, 10_000)]
    block_expansion: Channels
    max_features: Channels
    num_blocks: Halvings
    scale_factor: Scale = 1.0
    single_jacobian_map: bool = False
    pad: Pixels = 0


@dataclass(frozen=True)
class DenseMotionParams:
    block_expansion: Channels
    max_features: Channels
    num_blocks: Halvings
    scale_factor: Scale = 1.0
    kp_variance: Variance = 0.01
    motion_dropout: Annotated[float, Range(0, 0.9)] = 0.0


@dataclass(frozen=True)
class GeneratorParams:
    block_expansion: Channels
    max_features: Channels
    num_down_blocks: Annotated[int, Range(0, 16)]  # 0: the features stay as fine as the image
    num_bottleneck_blocks: Blocks
    estimate_occlusion_map: bool = False
    copy_visible: bool = False
    dense_motion_params: DenseMotionParams | None = None


@dataclass(frozen=True)
class DiscriminatorParams:
    block_expansion: Channels
    max_features: Channels
    num_blocks: Halvings
    scales: tuple[Scale, ...] = (1.0,)
    sn: bool = False
    use_kp: bool = False
    kp_variance: Variance = 0.01


@dataclass(frozen=True)
class ModelParams:
    common_params: CommonParams
    kp_detector_params: KPDetectorParams
    generator_params: GeneratorParams
    discriminator_params: DiscriminatorParams


@dataclass(frozen=True)
class TransformParams:
    sigma_affine: Sigma = 0.05
    sigma_tps: Sigma = 0.005
    points_tps: Annotated[int, Range(2, 64)] = 5  # a side; one point makes no grid


@dataclass(frozen=True)
class LossWeights:
    generator_gan: Weight = 0.0
    discriminator_gan: Weight = 1.0  # 0: it judges, and does not learn
    feature_matching: tuple[Weight, ...] = (10.0, 10.0, 10.0, 10.0)
    perceptual: tuple[Weight, ...] = (10.0, 10.0, 10.0, 10.0, 10.0)
    equivariance_value: Weight = 10.0
    equivariance_jacobian: Weight = 10.0
    separation: Weight = 0.0


@dataclass(frozen=True)
class TrainParams:
    num_epochs: Count = 100
    num_repeats: Annotated[int, Range(1, 10**6)] = 1
    epoch_milestones: tuple[Count, ...] = ()
    lr_generator: Weight = 2e-4
    lr_discriminator: Weight = 2e-4
    lr_kp_detector: Weight = 2e-4
    batch_size: Annotated[int, Range(1, 10**6)] = 36
    scales: tuple[Scale, ...] = (1.0, 0.5, 0.25, 0.125)
    checkpoint_freq: Count = 50  # epochs
    checkpoint_minutes: Weight = 30.0  # 0 is never
    transform_params: TransformParams = field(default_factory=TransformParams)
    loss_weights: LossWeights = field(default_factory=LossWeights)
    perceptual_weights: FilePath = "imagenet"  # or `random`, or a file
    num_workers: Annotated[int, Range(0, 1024)] = 4
    keep_checkpoints: Count = 3
    validate_freq: CountOrZero = 0  # epochs; 0 is never
    precision: TrainingPrecision = "fp32"
    accumulation: Count = 1
    grad_clip: Annotated[float, Range(0, 10**9, above=True)] | None = None
    compile: bool = False
    ema_decay: Annotated[float, Range(0, 1)] = 0.0
    freeze_batch_norm: bool = False


@dataclass(frozen=True)
class ReconstructionParams:
    num_videos: Count = 1000
    format: VideoFormat = ".mp4"
    max_frames: Count | None = None


@dataclass(frozen=True)
class NormalizationParams:
    adapt_movement_scale: bool = False
    use_relative_movement: bool = True
    use_relative_jacobian: bool = True


@dataclass(frozen=True)
class AnimateParams:
    num_pairs: Count = 50
    format: VideoFormat = ".mp4"
    normalization_params: NormalizationParams = field(default_factory=NormalizationParams)


@dataclass(frozen=True)
class VisualizerParams:
    kp_size: Annotated[int, Range(1, 1000)] = 5
    draw_border: bool = True
    colormap: str = "gist_rainbow"


@dataclass(frozen=True)
class Config:
    dataset_params: DatasetParams
    model_params: ModelParams
    train_params: TrainParams = field(default_factory=TrainParams)
    reconstruction_params: ReconstructionParams = field(default_factory=ReconstructionParams)
    animate_params: AnimateParams = field(default_factory=AnimateParams)
    visualizer_params: VisualizerParams = field(default_factory=VisualizerParams)


def load_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """The checked configuration in a YAML file.

    overrides: each `a.b.c=value`, the value in YAML; a later one wins over an earlier one.
    Raises ConfigError, which names file, key path, value and remedy on one line.
    """
    return parse_config(read_file(path), str(path), overrides)


def parse_config(tree: object, where: str, overrides: Sequence[str] = ()) -> Config:
    """The checked configuration in a tree of plain values, such as a checkpoint carries.

    where: what the errors name first. The tree is left as it is. Raises ConfigError.
    """
    refuse_other_methods(tree, where)
    tree = with_overrides(with_new_names(tree, where), overrides, Config, where)
    config = parse_section(Config, with_derived(tree), where)
    broken = next(broken_rules(config), None)
    if broken is not None:
        raise ConfigError(f"{where}: {broken}")
    return config


def to_dict(config: Config) -> dict[str, Any]:
    """The configuration as dicts, lists and scalars, every default spelt out."""
    tree: dict[str, Any] = plain(config)
    return tree


def dump_config(config: Config) -> str:
    """The configuration as YAML text that `load_config` reads back."""
    return write_text(to_dict(config))
