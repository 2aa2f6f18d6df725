"""Which videos a dataset has, and which of them are for training and which for testing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from engine.errors import UserError
from engine.video import bare_name, is_video

# Not an argument: training and evaluation, two commands, must agree on which videos are unseen.
_SPLIT_SEED = 0
_TEST_SHARE = 0.2


def list_videos(folder: Path) -> list[Path]:
    """The videos in `folder`, sorted by name; hidden files and what is no video are passed over.

    Raises UserError if there is no such folder, or no video in it.
    """
    if not folder.is_dir():
        raise UserError(
            f"{folder}: no such folder, set dataset_params.root_dir to the folder of videos"
        )
    entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    videos = [entry for entry in entries if not entry.name.startswith(".") and is_video(entry)]
    if not videos:
        raise UserError(f"{folder}: holds no videos, put videos, GIFs, or folders of frames there")
    return videos


def split_videos(root: Path, side: Literal["train", "test"], *, id_sampling: bool) -> list[Path]:
    """List one side of a dataset: the folder root/side where it exists, else a fixed 80/20 split.

    The split depends on nothing but names. With `id_sampling` it goes by id: nobody stands on both
    sides. Raises UserError if `root` has only the other folder, or too little to split.
    """
    other = "test" if side == "train" else "train"
    if (root / side).is_dir():
        return list_videos(root / side)
    if (root / other).is_dir():
        raise UserError(
            f"{root / side}: no such folder beside {other}/, add it, or move all videos to {root}"
        )

    videos = list_videos(root)
    groups = by_id(videos) if id_sampling else [[video] for video in videos]
    if len(groups) < 2:
        unit = "id (the name up to '#')" if id_sampling else "video"
        raise UserError(
            f"{root}: holds one {unit}, a split into train and test needs two, add another"
        )
    num_test = max(1, round(_TEST_SHARE * len(groups)))
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(groups))
    chosen = sorted(order[:num_test] if side == "test" else order[num_test:])
    return [video for group in chosen for video in groups[group]]


def by_id(videos: Sequence[Path]) -> list[list[Path]]:
    """The videos of each id: the name up to '#', or the whole name."""
    groups: dict[str, list[Path]] = {}
    for video in videos:
        groups.setdefault(bare_name(video.name).split("#")[0], []).append(video)
    return list(groups.values())
