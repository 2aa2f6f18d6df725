"""Which test video is to move which: pairs drawn at random, or listed in a CSV."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch.utils.data import Dataset

from engine.errors import UserError
from engine.video import bare_name
from engine.words import counted

_COLUMNS = ("source", "driving", "frame")
_LARGEST_FILE = 2**26
"""Bytes; a row takes less than a hundred."""
_MOST_DIGITS = 9
"""Of a frame number; Python refuses to read numbers of thousands of digits."""


class AnimationPair(NamedTuple):
    """Frame number `frame` of the video `source` is to be moved by the video `driving`."""

    source: Path
    driving: Path
    frame: int


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
            f"{pairs_list}: no row names two of the {counted(len(videos), 'test video')} "
            f"(such as {videos[0].name}); correct the names or dataset_params.root_dir"
        )
    return pairs


def _read_rows(pairs_list: Path) -> list[tuple[int, dict[str, str]]]:
    """(line number, row) of a CSV; cells that a short row lacks are empty."""
    try:
        if pairs_list.stat().st_size > _LARGEST_FILE:
            raise UserError(
                f"{pairs_list}: more than {_LARGEST_FILE >> 20} MiB, too large for pairs; "
                "correct dataset_params.pairs_list"
            )
        with pairs_list.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="", skipinitialspace=True)
            columns = list(reader.fieldnames or [])
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(
            f"{pairs_list}: not a readable CSV ({reason}); correct dataset_params.pairs_list"
        ) from error
    missing = {"source", "driving"} - set(columns)
    if missing:
        raise UserError(
            f"{pairs_list}: no column {' or '.join(sorted(missing))}; name them in the first line"
        )
    twice = [name for name in _COLUMNS if columns.count(name) > 1]
    if twice:
        raise UserError(f"{pairs_list}: two columns {twice[0]}; rename or remove one")
    return rows


def _frame_number(text: str, where: str) -> int:
    if not text.strip():
        return 0
    digits = text.strip()
    if not digits.isdecimal() or len(digits) > _MOST_DIGITS:
        raise UserError(f"{where}: frame {text!r} is no frame number; write 0 or a larger integer")
    return int(digits)
