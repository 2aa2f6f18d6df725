"""Which videos a dataset has, and which of them are for training and which for testing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from engine.errors import UserError
from engine.video import bare_name, is_video

# Not an argument: training and evaluation, two commands, must agree on which videos are unseen.
_SPLIT_SEED = 0
_TEST_SHARE = 0.2


def list_videos(folder: Path, *, named_by: str = "dataset_params.root_dir") -> list[Path]:
    """The videos in `folder`, sorted by name; hidden files and what is no video are passed over.

    named_by: the argument or key by which a person names the folder, for messages.

    Raises UserError if there is no such folder, or no video in it.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; name the folder of videos by {named_by}")
    entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    videos = [entry for entry in entries if is_video(entry)]
    if not videos:
        deeper = next(filter(holds_videos, entries), None)
        remedy = (
            "put videos, GIFs, or folders of frames there"
            if deeper is None
            else f"but folders that do, such as {deeper.name}; name one of them, or move videos up"
        )
        raise UserError(f"{folder}: holds no videos, {remedy}")
    return videos


def passed_over(root: Path) -> list[Path]:
    """What lies in a dataset's folders and is not read, sorted; hidden files are left out."""
    sides = [root / side for side in ("train", "test") if (root / side).is_dir()]
    beside = [entry for entry in root.iterdir() if entry not in sides] if sides else []
    within = [entry for folder in sides or [root] for entry in folder.iterdir()]
    entries = beside + [entry for entry in within if not is_video(entry)]
    return sorted(entry for entry in entries if not entry.name.startswith("."))


def lost_videos(root: Path) -> list[Path]:
    """What is passed over and was most likely meant to be read: videos, or folders of them."""
    return [entry for entry in passed_over(root) if is_video(entry) or holds_videos(entry)]


def holds_videos(entry: Path) -> bool:
    """Tell whether this is a folder that has a video in it, and may be read."""
    return (
        entry.is_dir()
        and os.access(entry, os.R_OK | os.X_OK)
        and any(map(is_video, entry.iterdir()))
    )


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
    """The videos of each id, in the order in which the ids come."""
    groups: dict[str, list[Path]] = {}
    for video in videos:
        groups.setdefault(id_of(video), []).append(video)
    return list(groups.values())


def id_of(video: Path) -> str:
    """Who or what is seen in a video: its name up to '#', or the whole name."""
    return bare_name(video.name).split("#")[0]
