"""How many training pairs one process reads in a second."""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import NamedTuple

import torch

from config.schema import Config
from engine.build_data import build_pairs
from engine.image import IMAGE_SUFFIXES


class LoadingRate(NamedTuple):
    """What one worker reads: pairs per second, and processor time for each.

    On a busy machine the second is the one to trust.
    """

    num_videos: int
    pairs_per_second: float
    cpu_ms_per_pair: float


def measure_loading(
    config: Config, videos: Iterable[Path], *, seconds: float
) -> dict[str, LoadingRate]:
    """The rate of each kind of video, its augmentation included, on one core.

    Args:
        videos: of any kinds; see `kind_of`.
        seconds: how long to read each kind.

    Raises:
        DatasetError: none of a kind can be read.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a worker of a data loader
    try:
        groups = by_kind(videos).items()
        return {kind: _measure(config, group, seconds=seconds) for kind, group in groups}
    finally:
        torch.set_num_threads(threads)


def _measure(config: Config, videos: list[Path], *, seconds: float) -> LoadingRate:
    pairs = build_pairs(config, videos, seed=0)
    started, cpu_started = time.perf_counter(), time.process_time()
    for number in count(1):
        epoch, index = divmod(number, len(pairs))
        pairs.set_epoch(epoch)
        pairs[index]
        taken = time.perf_counter() - started
        if taken >= seconds:
            break
    cpu = time.process_time() - cpu_started
    return LoadingRate(len(videos), number / taken, 1000 * cpu / number)


def by_kind(videos: Iterable[Path]) -> dict[str, list[Path]]:
    """Videos by their kind, in the order of its name."""
    groups: dict[str, list[Path]] = {}
    for video in videos:
        groups.setdefault(kind_of(video), []).append(video)
    return dict(sorted(groups.items()))


def kind_of(video: Path) -> str:
    """What a video is, in a word or two."""
    if video.is_dir():
        return "frame folders"
    suffix = video.suffix.lower()
    return f"{suffix}, frames side by side" if suffix in IMAGE_SUFFIXES else suffix
