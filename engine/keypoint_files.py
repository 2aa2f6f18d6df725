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
_MOST_NUMBERS = 10**8
"""In all arrays of a file, 0.8 GB of them: a count that asks for more is a slip."""
_MOST_DIGITS = 9
"""Of a count."""


def read_keypoints(path: Path) -> dict[str, Array]:
    """The keypoints (T, K, 2) of each video. Raises UserError if there are none to be read."""
    arrays = _read_csv_keypoints(path) if path.suffix.lower() == ".csv" else _read_npz(path)
    for name, array in arrays.items():
        if array.ndim != 3 or array.shape[2] != 2:
            raise UserError(
                f"{path}: {name}: of shape {array.shape}; make it (frames, keypoints, 2)"
            )
    return arrays


def read_features(path: Path) -> dict[str, Array]:
    """The features (T, D) of each video. Raises UserError if there are none to be read."""
    arrays = _read_csv_features(path) if path.suffix.lower() == ".csv" else _read_npz(path)
    for name, array in arrays.items():
        if array.ndim != 2:
            raise UserError(f"{path}: {name}: of shape {array.shape}; make it (frames, numbers)")
    return arrays


def _read_npz(path: Path) -> dict[str, Array]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            _check_size(path, sum(entry.file_size for entry in archive.zip.infolist()) // 8)
            found = [
                (name, archive[name].astype(np.float64, casting="same_kind"))
                for name in archive.files
            ]
    except UserError:
        raise
    except Exception as error:  # damaged bytes make numpy and zipfile raise all kinds of them
        raise UserError(
            f"{path}: not a readable .npz of arrays of numbers by video name; write it anew with "
            "numpy.savez"
        ) from error
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
    lengths = {name: 1 + max(frame for frame, _ in points) for name, points in found.items()}
    _check_size(path, 2 * most * sum(lengths.values()))
    arrays = {}
    for name, points in found.items():
        arrays[name] = np.full((lengths[name], most, 2), np.nan)
        for at, point in points.items():
            arrays[name][at] = point
    return arrays


def _read_csv_features(path: Path) -> dict[str, Array]:
    found: dict[str, dict[int, list[float]]] = {}
    for where, row in _rows(path, required=_COLUMNS[:2]):
        frames, number = found.setdefault(row["video"], {}), _count(row["frame"], where)
        if number in frames:
            raise UserError(f"{where}: tells again of frame {number}; remove one")
        frames[number] = [_number(row[key], where) for key in row if key not in _COLUMNS[:2]]
    width = max((len(next(iter(frames.values()))) for frames in found.values()), default=0)
    _check_size(path, width * sum(1 + max(frames) for frames in found.values()))
    arrays = {}
    for name, frames in found.items():
        arrays[name] = np.full((1 + max(frames), width), np.nan)
        for frame, numbers in frames.items():
            arrays[name][frame] = numbers
    return arrays


def _check_size(path: Path, count: int) -> None:
    """See that a file asks for no more numbers than any set of videos has."""
    if count > _MOST_NUMBERS:
        raise UserError(
            f"{path}: asks for {count:,} numbers, more than {_MOST_NUMBERS:,}; mend its counts"
        )


def _rows(path: Path, *, required: tuple[str, ...]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """(where it stands, row); cells that a short row lacks are empty."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="", restkey="", skipinitialspace=True)
            columns = list(reader.fieldnames or [])
            missing = set(required) - set(columns)
            if missing:
                raise UserError(f"{path}: no column {' or '.join(sorted(missing))}; add it")
            if "" in columns:
                raise UserError(f"{path}: a column without a name; name or remove it")
            twice = [name for name in columns if columns.count(name) > 1]
            if twice:
                raise UserError(f"{path}: two columns {twice[0]}; rename or remove one")
            for row in reader:
                if "" in row:
                    raise UserError(f"{path}:{reader.line_num}: more cells than columns; mend it")
                yield f"{path}:{reader.line_num}", row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{path}: not a readable CSV ({reason}); check the path") from error


def _count(text: str, where: str) -> int:
    digits = text.strip()
    if not digits.isdecimal() or len(digits) > _MOST_DIGITS:
        raise UserError(f"{where}: {text!r} in place of a count; write a whole number from 0")
    return int(digits)


def _number(text: str, where: str) -> float:
    """A number; NaN for an empty cell."""
    try:
        number = float(text) if text.strip() else math.nan
    except ValueError as error:
        raise UserError(
            f"{where}: {text!r} in place of a number; leave unknown ones empty"
        ) from error
    if math.isinf(number):
        raise UserError(f"{where}: {text!r} in place of a number; leave unknown ones empty")
    return number
