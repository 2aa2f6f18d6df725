"""Config -> what is trained and tested on."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from augmentation import ColorJitter, Compose, build_augmentation
from config.schema import AugmentationParams, Config
from engine import distributed
from engine.errors import UserError
from engine.listing import lost_videos
from frames_dataset import DatasetRepeater, TrainingPairs, split_videos

_log = logging.getLogger(__name__)


def build_dataset(config: Config, *, seed: int) -> DatasetRepeater:
    """The training pairs of an epoch.

    Raises:
        UserError: there are no videos, or too few for a batch.
    """
    params = config.dataset_params
    root = Path(params.root_dir)
    videos = split_videos(root, "train", id_sampling=params.id_sampling)
    warn_of_lost_videos(root)
    pairs = build_pairs(config, videos, seed=seed)
    dataset = DatasetRepeater(pairs, config.train_params.num_repeats)
    if len(dataset) < config.train_params.batch_size:
        raise UserError(
            f"{params.root_dir}: {len(pairs)} videos x {dataset.num_repeats} repeats are less than "
            f"one batch of {config.train_params.batch_size}; raise train_params.num_repeats"
        )
    return dataset


def warn_of_lost_videos(root: Path) -> None:
    """Say, once for all processes, that a person may miss some."""
    lost = lost_videos(root) if distributed.is_first() else []
    if lost:
        _log.warning(
            "%s: videos below folders, or beside train/ and test/, are passed over, such as %s; "
            "move them to the others",
            root,
            lost[0],
        )


def build_pairs(config: Config, videos: Sequence[Path], *, seed: int) -> TrainingPairs:
    """Training pairs of some videos, resized and augmented as the config says."""
    params = config.dataset_params
    return TrainingPairs(
        videos,
        frame_shape=params.frame_shape,
        id_sampling=params.id_sampling,
        augmentation=build_clip_augmentation(params.augmentation_params),
        seed=seed,
    )


def list_test_videos(config: Config) -> list[Path]:
    """The test videos that validation rebuilds; none where there is no validation.

    Raises:
        UserError: there is to be a validation, but no test video.
    """
    if not config.train_params.validate_freq:
        return []
    data = config.dataset_params
    videos = split_videos(Path(data.root_dir), "test", id_sampling=data.id_sampling)
    return videos[: config.reconstruction_params.num_videos]


def build_clip_augmentation(params: AugmentationParams) -> Compose:
    flip, jitter = params.flip_param, params.jitter_param
    return build_augmentation(
        horizontal_flip=flip is not None and flip.horizontal_flip,
        time_flip=flip is not None and flip.time_flip,
        resize_ratio=params.resize_param.ratio if params.resize_param else None,
        crop_size=params.crop_param.size if params.crop_param else None,
        rotation_degrees=params.rotation_param.degrees if params.rotation_param else None,
        jitter=ColorJitter(**asdict(jitter)) if jitter else None,
    )
