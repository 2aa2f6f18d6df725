"""Keypoints and features that another program has found, from .npz and .csv files.

KEYPOINTS.npz   for each video an array (T, K, 2) under the video's name: x, y in pixels of the
                evaluated frames, NaN where a keypoint was not found
KEYPOINTS.csv   columns video, frame, keypoint, x, y, counted from 0; a keypoint without a row
                or without numbers was not found
FEATURES.npz    for each video an array (T, D)
FEATURES.csv    columns video, frame, and the D numbers of the frame, in any number of columns
"""

import csv
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from engine.errors import UserError
from engine.metrics import Array

_COLUMNS = ("video", "frame", "keypoint", "x", "y")
_MOST_NUMBERS = 10**8  # of one video; a count that asks for more is a slip


def read_keypoints(path: Path) -> dict[str, Array]:
    """The keypoints (T, K, 2) of each video. Raises UserError if there are none to be read."""
    arrays = _read_csv_keypoints(path) if path.suffix.lower() == ".csv" else _read_npz(path)
    for name, array in arrays.items():
        if array.ndim != 3 or array.shape[2] != 2:
            raise UserError(
                f"{path}: {name}: of shape {array.shape} in place of (frames, keypoints, 2)"
            )
    return arrays


def read_features(path: Path) -> dict[str, Array]:
    """The features (T, D) of each video. Raises UserError if there are none to be read."""
    arrays = _read_csv_features(path) if path.suffix.lower() == ".csv" else _read_npz(path)
    for name, array in arrays.items():
        if array.ndim != 2:
            raise UserError(f"{path}: {name}: of shape {array.shape} in place of (frames, numbers)")
    return arrays


def _read_npz(path: Path) -> dict[str, Array]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {
                name: archive[name].astype(np.float64, casting="same_kind")
                for name in archive.files
            }
    except Exception as error:  # damaged bytes make numpy and zipfile raise all kinds of them
        raise UserError(f"{path}: not a readable .npz of arrays by video name") from error


def _read_csv_keypoints(path: Path) -> dict[str, Array]:
    found: dict[str, list[tuple[int, int, float, float]]] = {}
    for where, row in _rows(path, required=_COLUMNS):
        frame, keypoint = _count(row["frame"], where), _count(row["keypoint"], where)
        point = (frame, keypoint, _number(row["x"], where), _number(row["y"], where))
        found.setdefault(row["video"], []).append(point)
    most = 1 + max((point[1] for points in found.values() for point in points), default=0)
    arrays = {}
    for name, points in found.items():
        array = _nothing(path, name, (1 + max(point[0] for point in points), most, 2))
        for frame, keypoint, x, y in points:
            array[frame, keypoint] = x, y
        arrays[name] = array
    return arrays


def _read_csv_features(path: Path) -> dict[str, Array]:
    found: dict[str, dict[int, list[float]]] = {}
    for where, row in _rows(path, required=_COLUMNS[:2]):
        numbers = [_number(text, where) for key, text in row.items() if key not in _COLUMNS[:2]]
        found.setdefault(row["video"], {})[_count(row["frame"], where)] = numbers
    arrays = {}
    for name, frames in found.items():
        array = _nothing(path, name, (1 + max(frames), len(next(iter(frames.values())))))
        for frame, numbers in frames.items():
            array[frame] = numbers
        arrays[name] = array
    return arrays


def _nothing(path: Path, name: str, shape: tuple[int, ...]) -> Array:
    """An array of NaN for a video."""
    if math.prod(shape) > _MOST_NUMBERS:
        counts = " x ".join(map(str, shape))
        raise UserError(
            f"{path}: {name}: {counts} numbers, more than any video has; mend its counts"
        )
    return np.full(shape, np.nan)


def _rows(path: Path, *, required: tuple[str, ...]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """(where it stands, row); cells that a short row lacks are empty."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="", restkey="", skipinitialspace=True)
            missing = set(required) - set(reader.fieldnames or [])
            if missing:
                raise UserError(f"{path}: no column {' or '.join(sorted(missing))}; add it")
            for row in reader:
                if "" in row:
                    raise UserError(f"{path}:{reader.line_num}: more cells than columns; mend it")
                yield f"{path}:{reader.line_num}", row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a readable CSV ({error}); check the path") from error


def _count(text: str, where: str) -> int:
    if not text.strip().isdecimal():
        raise UserError(f"{where}: {text!r} in place of a count from 0")
    return int(text)


def _number(text: str, where: str) -> float:
    """A number; NaN for an empty cell."""
    try:
        return float(text) if text.strip() else float("nan")
    except ValueError as error:
        raise UserError(f"{where}: {text!r} in place of a number") from error
