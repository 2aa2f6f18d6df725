"""How long an MP4 or QuickTime file says that a track is shown, which PyAV does not tell."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, NamedTuple


class TrackLength(NamedTuple):
    """How long a track is shown.

    Attributes:
        seconds: in the units of the file's header, often milliseconds.
        unit: that unit, in seconds.
        edited: whether an edit list places the track on the file's clock: it then ends at that
            second. Else it is that long from its first frame on.
    """

    seconds: Fraction
    unit: Fraction
    edited: bool


def track_length(path: Path, track: int) -> TrackLength | None:
    """Read the length of the track of that number; None if the file does not tell it.

    One that is written in fragments does not. Raises OSError if the file cannot be read.
    """
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(0)
        for kind, stop in boxes(file, end):
            if kind == b"moov":
                return _track_in(file, stop, track)
    return None


def boxes(file: BinaryIO, end: int) -> Iterator[tuple[bytes, int]]:
    """Give each box's kind and where it ends, the file standing at its content, up to `end`."""
    while (start := file.tell()) + 8 <= end:
        size, kind = struct.unpack(">I4s", file.read(8))
        if size == 1:
            size = int.from_bytes(file.read(8), "big")
        stop = end if size == 0 else start + size
        if not file.tell() <= stop <= end:  # Damaged, or cut short.
            return
        yield kind, stop
        file.seek(stop)


def _track_in(file: BinaryIO, end: int, track: int) -> TrackLength | None:
    ticks = timescale = 0
    edited = False
    for kind, stop in boxes(file, end):
        if kind == b"mvhd":
            timescale, _ = _numbers(file, short=">12xII", long=">20xIQ")
        elif kind == b"trak":
            number, length, has_edits = _header_of(file, stop)
            if number == track:
                ticks, edited = length, has_edits
    if not ticks or not timescale:
        return None
    return TrackLength(Fraction(ticks, timescale), Fraction(1, timescale), edited)


def _header_of(file: BinaryIO, end: int) -> tuple[int, int, bool]:
    """A track's number, its length in the file's units, 0 if unknown, and whether it has edits."""
    number = length = 0
    edited = False
    for kind, _ in boxes(file, end):
        if kind == b"tkhd":
            number, length = _numbers(file, short=">12xI4xI", long=">20xI4xQ")
        edited = edited or kind == b"edts"
    return number, 0 if length in (2**32 - 1, 2**64 - 1) else length, edited


def _numbers(file: BinaryIO, *, short: str, long: str) -> tuple[int, int]:
    """Two numbers of a header, which version 0 stores in 32 bits and version 1 in 64."""
    start = file.tell()
    form = long if file.read(1) == b"\1" else short
    file.seek(start)
    data = file.read(struct.calcsize(form))
    if len(data) < struct.calcsize(form):
        return 0, 0
    first, second = struct.unpack(form, data)
    return first, second
