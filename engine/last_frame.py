"""When the last frame of a compressed video ends, which its packet alone may not tell."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from engine.track_length import track_length

MOST_DELAY = 16  # frames between the orders of decoding and of showing, in H.264 and HEVC


class Shown(NamedTuple):
    """A frame that is shown: its beginning and its packet's duration, in the stream's time base."""

    begin: int
    duration: int

    @property
    def end(self) -> int:
        return self.begin + self.duration


def end_of_last(
    frames: Sequence[Shown], *, container: InputContainer, stream: VideoStream, path: Path
) -> int | None:
    """Find when the frame that is shown last ends, in the stream's time base.

    Args:
        frames: those that are shown, in the order of the file; at least one.

    Returns:
        The end, or None if nothing in the file tells it.
    """
    in_turn = sorted(frames)
    last = in_turn[-1]
    ends: list[int | None]
    if "mp4" in container.format.name.split(","):
        ends = ends_in_mp4(frames, in_turn, stream, path)
    elif last == frames[-1] or not overlapping(in_turn):
        ends = [last.end if last.duration else length_in_header(container, stream)]
    else:  # Copied from an MP4, with durations that mean no end.
        ends = []
    return min((end for end in ends if end is not None and end > last.begin), default=None)


def ends_in_mp4(
    frames: Sequence[Shown], in_turn: Sequence[Shown], stream: VideoStream, path: Path
) -> list[int | None]:
    """When the last frame may end, in MP4 and QuickTime: the earliest that is later than it counts.

    They store how far apart frames are decoded. With B-frames at a varying rate, that is not how
    long a frame is shown, but for the one that ends the file.
    """
    last = in_turn[-1]
    whole = None if stream.duration is None else (stream.start_time or 0) + stream.duration
    if last != frames[-1]:
        end = end_of_track(in_turn, whole, stream, path)
        return [last.end, whole] if end is None else [end]
    if in_turn != list(frames):  # The distances add up to another length than what is shown has.
        return [last.end]
    return [last.end, whole]  # An edit list may cut it short.


def end_of_track(
    in_turn: Sequence[Shown], whole: int | None, stream: VideoStream, path: Path
) -> int | None:
    """When the header says that a track ends; None if it says nothing, or nothing credible.

    Args:
        whole: when the stream ends, in whose finer unit it may say the same; None if it does not.
    """
    length = track_length(path, stream.id)
    if length is None or not stream.time_base:
        return None
    start = 0 if length.edited else in_turn[0].begin
    end = start + length.seconds / stream.time_base
    unit = length.unit / stream.time_base
    if whole is not None and abs(whole - end) <= unit:
        return whole
    return None if is_misled(in_turn, end, unit) else round(end)


def is_misled(in_turn: Sequence[Shown], end: Fraction, tolerance: Fraction) -> bool:
    """Tell whether an end was computed by a muxer that copied from MP4 durations that mean none.

    It then is the end of a frame by the frame's duration here, or lies after a frame that is not
    the last by as much as the pause it was decoded around.
    """
    for number, frame in enumerate(in_turn):
        around = in_turn[max(0, number - MOST_DELAY) : number + 1]
        pauses = [after.begin - before.begin for before, after in pairwise(around)]
        durations = [frame.duration] if frame == in_turn[-1] else [frame.duration, *pauses]
        if any(abs(frame.begin + duration - end) <= tolerance for duration in durations):
            return True
    return False


def overlapping(in_turn: Sequence[Shown]) -> bool:
    """Tell whether some frame would outlast the beginning of the next, by more than rounding."""
    return any(frame.end > following.begin + 1 for frame, following in pairwise(in_turn))


def length_in_header(container: InputContainer, stream: VideoStream) -> int | None:
    """When a file without durations of packets ends, in formats whose headers tell.

    With several streams it is not known which of them ends then.
    """
    told = container.format.name in ("flv", "asf") and len(container.streams) == 1
    if not told or container.duration is None or not stream.time_base:
        return None
    return round(container.duration / (av.time_base * stream.time_base))
