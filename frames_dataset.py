"""Videos on disk -> training pairs, test videos, animation pairs.

A dataset is a folder of videos, each of a kind that `engine.video.open_video` reads: a compressed
video, an animated picture, a folder of frames, one image of frames side by side. No global random
state is read or changed: every draw has its own generator, seeded by what identifies it, so that
one seed gives the same batches with any number of workers.
"""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from engine.errors import UserError
from engine.frame_cache import FrameCache
from engine.listing import by_id, list_videos, split_videos
from engine.pair_lists import AnimationPair, PairedDataset
from engine.video import UnreadableVideo, open_video, resize_frame, to_tensor

__all__ = [
    "AnimationPair",
    "Augmentation",
    "DatasetError",
    "DatasetRepeater",
    "FramePair",
    "PairedDataset",
    "TrainingPairs",
    "list_videos",
    "split_videos",
]

_log = logging.getLogger(__name__)

# A worker that is forked inherits the garbage of its parent, decoded frames among it. To free them
# there would wait forever for decoder threads that only the parent has.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=gc.freeze)

_MAX_TRIES = 100  # videos in a row that cannot be used, before training gives up

# In each worker process. It holds 340 clips of 64 frames at 64x64, or 42 of 32 frames at 256x256.
_CACHE_BYTES = 256 * 2**20

Augmentation = Callable[[list[np.ndarray], np.random.Generator], list[np.ndarray]]


class FramePair(NamedTuple):
    """Two frames of one video, float32 (3, H, W) in [0, 1].

    `skipped` counts the videos that were drawn before this one and could not be used.
    """

    source: Tensor
    driving: Tensor
    skipped: int


class DatasetError(UserError):
    """A UserError that stays one line on its way out of a DataLoader worker.

    In the main process torch raises the worker's exception again as `type(error)(traceback)`, a
    text that ends with the name of this class and the message.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message.rsplit(f"{type(self).__name__}: ", 1)[-1].strip())


class TrainingPairs(Dataset[FramePair]):
    """Two different random frames of one video, source and driving; one item per video or per id.

    Args:
        videos: what to draw from, in a fixed order, such as that of list_videos.
        frame_shape: (H, W, C) to which frames are resized, before the augmentation.
        id_sampling: whether names are `id#rest`, and an item is drawn from one of an id's videos.
        augmentation: changes a pair of uint8 frames (H, W, 3) and keeps their size.
        seed: 0 or more; an item follows from (seed, epoch, repeat, index) and nothing else.

    A video that cannot be read, or has one frame only, is passed over with one warning per process,
    and a random other one stands in. An item raises DatasetError if that fails 100 times in a row.
    """

    def __init__(
        self,
        videos: Sequence[Path],
        *,
        frame_shape: tuple[int, int, int],
        id_sampling: bool,
        augmentation: Augmentation | None,
        seed: int,
    ) -> None:
        self.videos = list(videos)
        self._groups = by_id(self.videos) if id_sampling else [[video] for video in self.videos]
        self._size = frame_shape[:2]
        self._augmentation = augmentation
        self._seed = seed
        # In shared memory, since workers that outlive an epoch hold a copy of everything else.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        self._cache = FrameCache(_CACHE_BYTES)
        self._warned: set[Path] = set()

    def set_epoch(self, epoch: int) -> None:
        """Give an epoch draws of its own, in every worker; call it before the loader's `iter`."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self._groups)

    def __getitem__(self, index: int) -> FramePair:
        return self.draw(index, repeat=0)

    def draw(self, index: int, *, repeat: int) -> FramePair:
        """Item `index` of this epoch; each repeat is another draw of it."""
        rng = np.random.default_rng([self._seed, int(self._epoch), repeat, index])
        tried: list[str] = []
        for video in self._candidates(index, rng):
            try:
                frames = self._read_pair(video, rng)
            except UnreadableVideo as error:
                tried.append(str(error))
                self._warn_once(video, str(error))
                continue
            if self._augmentation is not None:
                frames = self._augmentation(frames, rng)
            return FramePair(to_tensor(frames[0]), to_tensor(frames[1]), len(tried))
        raise DatasetError(
            f"{self.videos[0].parent}: no training video can be used, {len(tried)} of "
            f"{len(self.videos)} were tried, replace them; the last one: {tried[-1]}"
        )

    def _candidates(self, index: int, rng: np.random.Generator) -> Iterator[Path]:
        """One of the item's own videos, then others in random order."""
        group = self._groups[index]
        chosen = group[rng.integers(len(group))]
        yield chosen
        others = [video for video in self.videos if video != chosen]
        for other in rng.permutation(len(others))[: _MAX_TRIES - 1]:
            yield others[other]

    def _read_pair(self, video: Path, rng: np.random.Generator) -> list[np.ndarray]:
        """Two different frames, uint8 (H, W, 3). Raises UnreadableVideo."""
        frames = self._cache.get(video)
        if frames is None:
            with open_video(video, frame_size=self._size) as reader:
                if reader.num_frames < 2:
                    raise UnreadableVideo(
                        f"{video}: has one frame, a training pair takes two; remove it"
                    )
                height, width = self._size
                if reader.seekable or 3 * reader.num_frames * height * width > _CACHE_BYTES:
                    indices = _two_of(reader.num_frames, rng)
                    return [resize_frame(frame, self._size) for frame in reader.frames(indices)]
                frames = [resize_frame(frame, self._size) for frame in reader]
            self._cache.put(video, frames)
        return [frames[index].copy() for index in _two_of(len(frames), rng)]

    def _warn_once(self, video: Path, reason: str) -> None:
        if video not in self._warned:
            self._warned.add(video)
            _log.warning("skipping a training video: %s", reason)


class DatasetRepeater(Dataset[FramePair]):
    """An epoch that walks over `dataset` num_repeats times, with fresh draws each time."""

    def __init__(self, dataset: TrainingPairs, num_repeats: int) -> None:
        self.dataset = dataset
        self.num_repeats = num_repeats

    def set_epoch(self, epoch: int) -> None:
        """As TrainingPairs.set_epoch."""
        self.dataset.set_epoch(epoch)

    def __len__(self) -> int:
        return self.num_repeats * len(self.dataset)

    def __getitem__(self, index: int) -> FramePair:
        if not 0 <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        repeat, item = divmod(index, len(self.dataset))
        return self.dataset.draw(item, repeat=repeat)


def _two_of(num_frames: int, rng: np.random.Generator) -> list[int]:
    return rng.choice(num_frames, size=2, replace=False).tolist()
