"""Videos on disk -> training pairs, test videos, animation pairs.

A dataset is a folder of videos, each of a kind that `engine.video.open_video` reads: a compressed
video, a GIF, a folder of frames, one image of frames side by side. No global random state is read
or changed: every draw has its own generator, seeded by what identifies it, so that one seed gives
the same batches with any number of workers.
"""

from __future__ import annotations

import csv
import gc
import logging
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from engine.errors import UserError
from engine.image import IMAGE_SUFFIXES
from engine.video import (
    UnreadableVideo,
    bare_name,
    is_video,
    open_video,
    resize_frame,
    to_tensor,
)

_log = logging.getLogger(__name__)

# A worker that is forked inherits the garbage of its parent, decoded frames among it. To free them
# there would wait forever for decoder threads that only the parent has.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=gc.freeze)

# Not an argument: training and evaluation, two commands, must agree on which videos are unseen.
_SPLIT_SEED = 0
_TEST_SHARE = 0.2

_MAX_TRIES = 100  # videos in a row that cannot be used, before training gives up

_DECODED_WHOLE = IMAGE_SUFFIXES | {".gif"}  # to show one frame of these, all are decoded

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


class AnimationPair(NamedTuple):
    """Frame number `frame` of the video `source` is to be moved by the video `driving`."""

    source: Path
    driving: Path
    frame: int


class DatasetError(UserError):
    """A UserError that stays one line on its way out of a DataLoader worker.

    In the main process torch raises the worker's exception again as `type(error)(traceback)`, a
    text that ends with the name of this class and the message.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message.rsplit(f"{type(self).__name__}: ", 1)[-1].strip())


# ----- which videos


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
    groups = _by_id(videos) if id_sampling else [[video] for video in videos]
    if len(groups) < 2:
        unit = "id (the name up to '#')" if id_sampling else "video"
        raise UserError(
            f"{root}: holds one {unit}, a split into train and test needs two, add another"
        )
    num_test = max(1, round(_TEST_SHARE * len(groups)))
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(groups))
    chosen = sorted(order[:num_test] if side == "test" else order[num_test:])
    return [video for group in chosen for video in groups[group]]


def _by_id(videos: Sequence[Path]) -> list[list[Path]]:
    """The videos of each id: the name up to '#', or the whole name."""
    groups: dict[str, list[Path]] = {}
    for video in videos:
        groups.setdefault(bare_name(video.name).split("#")[0], []).append(video)
    return list(groups.values())


# ----- training


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
        self._groups = _by_id(self.videos) if id_sampling else [[video] for video in self.videos]
        self._size = frame_shape[:2]
        self._augmentation = augmentation
        self._seed = seed
        # In shared memory, since workers that outlive an epoch hold a copy of everything else.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        self._cache = _FrameCache(_CACHE_BYTES)
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
            with open_video(video, frame_width=self._size[1]) as reader:
                if reader.num_frames < 2:
                    raise UnreadableVideo(f"{video}: has one frame, a training pair takes two")
                if video.is_dir() or video.suffix.lower() not in _DECODED_WHOLE:
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


class _FrameCache:
    """The decoded frames of the clips used last, up to `max_bytes` in all."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._clips: OrderedDict[Path, list[np.ndarray]] = OrderedDict()

    def get(self, path: Path) -> list[np.ndarray] | None:
        if path not in self._clips:
            return None
        self._clips.move_to_end(path)
        return self._clips[path]

    def put(self, path: Path, frames: list[np.ndarray]) -> None:
        size = sum(frame.nbytes for frame in frames)
        if size > self._max_bytes:
            return
        self._clips[path] = frames
        self._bytes += size
        while self._bytes > self._max_bytes:
            _, dropped = self._clips.popitem(last=False)
            self._bytes -= sum(frame.nbytes for frame in dropped)


# ----- testing


class PairedDataset(Dataset[AnimationPair]):
    """Which source each driving video of an evaluation is to move.

    Args:
        videos: the test videos.
        num_pairs: how many pairs at most.
        pairs_list: a CSV with the columns source, driving (names with or without their endings)
            and, if wanted, frame; rows whose names are not both among the videos are passed over.
            None: different pairs of different videos are drawn at random.
        seed: 0 or more, for these draws.

    Raises UserError if pairs_list cannot be read, or none of its rows names two of the videos.
    """

    def __init__(
        self, videos: Sequence[Path], *, num_pairs: int, pairs_list: Path | None, seed: int
    ) -> None:
        ordered = sorted(videos, key=lambda video: video.name)
        if pairs_list is None:
            self._pairs = _random_pairs(ordered, num_pairs, seed)
        else:
            self._pairs = _listed_pairs(ordered, pairs_list)[:num_pairs]

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> AnimationPair:
        return self._pairs[index]


def _random_pairs(videos: Sequence[Path], num_pairs: int, seed: int) -> list[AnimationPair]:
    if len(videos) == 1:
        return [AnimationPair(videos[0], videos[0], 0)][:num_pairs]
    others = len(videos) - 1
    possible = len(videos) * others
    rng = np.random.default_rng(seed)
    pairs = []
    for code in rng.choice(possible, size=min(num_pairs, possible), replace=False):
        source, driving = divmod(int(code), others)
        pairs.append(AnimationPair(videos[source], videos[driving + (driving >= source)], 0))
    return pairs


def _listed_pairs(videos: Sequence[Path], pairs_list: Path) -> list[AnimationPair]:
    by_name = {bare_name(video.name): video for video in videos}
    by_name |= {video.name: video for video in videos}
    pairs = []
    for line, row in _read_rows(pairs_list):
        source, driving = (
            by_name.get(row[column]) or by_name.get(bare_name(row[column]))
            for column in ("source", "driving")
        )
        if source is not None and driving is not None:
            frame = _frame_number(row.get("frame", ""), f"{pairs_list}:{line}")
            pairs.append(AnimationPair(source, driving, frame))
    if not pairs:
        raise UserError(
            f"{pairs_list}: no row names two of the {len(videos)} test videos "
            f"(such as {videos[0].name}), correct the names or dataset_params.root_dir"
        )
    return pairs


def _read_rows(pairs_list: Path) -> list[tuple[int, dict[str, str]]]:
    """(line number, row) of a CSV; cells that a short row lacks are empty."""
    try:
        with pairs_list.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="", skipinitialspace=True)
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{pairs_list}: not a readable CSV ({error}), correct dataset_params.pairs_list"
        ) from error
    missing = {"source", "driving"} - set(reader.fieldnames or [])
    if missing:
        raise UserError(
            f"{pairs_list}: no column {' or '.join(sorted(missing))}, name them in the first line"
        )
    return rows


def _frame_number(text: str, where: str) -> int:
    if not text.strip():
        return 0
    if not text.strip().isdecimal():
        raise UserError(f"{where}: frame {text!r} is no frame number, write 0 or a larger integer")
    return int(text)
