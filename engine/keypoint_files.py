"""Keypoints and features that another program has found, from .npz and .csv files.

KEYPOINTS.npz   for each video an array (T, K, 2) under the video's name: x, y in pixels of the
                evaluated frames, NaN where a keypoint was not found
KEYPOINTS.csv   columns video, frame, keypoint, x, y, counted from 0; a keypoint without a row
                or without numbers was not found; other columns are passed over
FEATURES.npz    for each video an array (T, D)
FEATURES.csv    columns video, frame, and the D numbers of the frame, in any number of columns

Nothing may be told twice, and no number be infinite.
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
            found = [
                (name, archive[name].astype(np.float64, casting="same_kind"))
                for name in archive.files
            ]
    except Exception as error:  # damaged bytes make numpy and zipfile raise all kinds of them
        raise UserError(f"{path}: not a readable .npz of arrays by video name") from error
    arrays: dict[str, Array] = {}
    for name, array in found:
        if name in arrays:
            raise UserError(f"{path}: {name}: there twice; remove one")
        if np.isinf(array).any():
            raise UserError(
                f"{path}: {name}: holds infinite numbers; write NaN for what is not known"
            )
        arrays[name] = array
    return arrays


def _read_csv_keypoints(path: Path) -> dict[str, Array]:
    found: dict[str, dict[tuple[int, int], tuple[float, float]]] = {}
    for where, row in _rows(path, required=_COLUMNS):
        points = found.setdefault(row["video"], {})
        at = _count(row["frame"], where), _count(row["keypoint"], where)
        if at in points:
            raise UserError(
                f"{where}: tells again of keypoint {at[1]} in frame {at[0]}; remove one"
            )
        points[at] = _number(row["x"], where), _number(row["y"], where)
    most = 1 + max((keypoint for points in found.values() for _, keypoint in points), default=0)
    arrays = {}
    for name, points in found.items():
        array = _nothing(path, name, (1 + max(frame for frame, _ in points), most, 2))
        for at, point in points.items():
            array[at] = point
        arrays[name] = array
    return arrays


def _read_csv_features(path: Path) -> dict[str, Array]:
    found: dict[str, dict[int, list[float]]] = {}
    for where, row in _rows(path, required=_COLUMNS[:2]):
        frames, number = found.setdefault(row["video"], {}), _count(row["frame"], where)
        if number in frames:
            raise UserError(f"{where}: tells again of frame {number}; remove one")
        frames[number] = [_number(row[key], where) for key in row if key not in _COLUMNS[:2]]
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
            columns = list(reader.fieldnames or [])
            missing = set(required) - set(columns)
            if missing:
                raise UserError(f"{path}: no column {' or '.join(sorted(missing))}; add it")
            twice = [name for name in columns if columns.count(name) > 1]
            if twice:
                raise UserError(f"{path}: two columns {twice[0]}; rename or remove one")
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
        number = float(text) if text.strip() else math.nan
    except ValueError as error:
        raise UserError(f"{where}: {text!r} in place of a number") from error
    if math.isinf(number):
        raise UserError(f"{where}: {text!r} in place of a number; leave unknown ones empty")
    return number
