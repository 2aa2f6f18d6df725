"""When each frame of a compressed video is shown, found without decoding it."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from statistics import median_low
from typing import NamedTuple

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from engine.container import RefusedFormat, open_container
from engine.image import one_line
from engine.last_frame import Shown, end_of_last
from engine.video_reader import DEFAULT_FPS, UnreadableVideo

HARDLY_SEEN = Fraction(1, 100)  # seconds by which a last frame may miss the rate of the others


class FrameIndex(NamedTuple):
    """When each frame is shown, ascending, in the stream's time base, and when the last one ends.

    A stream without usable times has `timed=False`: its times are 0, 1, 2, ... in the order in
    which frames leave the decoder, and it can only be read from its start. The end is None where
    the file does not tell it.
    """

    times: list[int]
    end: int | None
    keyframe_times: list[int]
    timed: bool


@contextmanager
def decoding(path: Path) -> Iterator[None]:
    """Turn what the decoder raises into an UnreadableVideo that names the file."""
    try:
        yield
    except RefusedFormat as error:
        raise UnreadableVideo(f"{path}: {error.strerror}") from error
    except av.error.FFmpegError as error:
        raise UnreadableVideo(
            f"{path}: not a readable video ({said_by(error)}); copy or download it again"
        ) from error


def said_by(error: av.error.FFmpegError) -> str:
    """What the decoder says."""
    return error.strerror or one_line(error)


def video_stream(container: InputContainer, path: Path) -> VideoStream:
    """Find the first video stream that is not the cover picture of a song or of a sequence."""
    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic
    ]
    if not streams:
        raise UnreadableVideo(f"{path}: holds no video stream; choose a file that holds one")
    stream = next((stream for stream in streams if stream.frames != 1), streams[0])
    if stream.codec_context is None:
        raise UnreadableVideo(
            f"{path}: its video has no codec that is known here; convert it to H.264"
        )
    return stream


def read_index(
    container: InputContainer, stream: VideoStream, path: Path
) -> tuple[FrameIndex, VideoFrame]:
    """Read all packets of a file just opened, decoding no more than its first frame.

    The header's own count of frames is often absent or wrong. Frames before the first that can be
    decoded, in a recording that starts between keyframes, are left out.
    """
    first: VideoFrame | None = None
    times: list[int | None] = []
    packets: list[Shown] = []
    keyframe_times: list[int] = []
    cut_short = False
    for packet in container.demux(stream):
        if first is None:
            first = next(iter(packet.decode()), None)
        if not packet.size:  # The end of the file.
            continue
        cut_short = packet.is_corrupt
        if packet.is_keyframe and packet.pts is not None:
            keyframe_times.append(packet.pts)
        if not packet.is_discard:  # Hidden by an edit list, though others may need it.
            times.append(packet.pts)
            if packet.pts is not None:
                packets.append(Shown(packet.pts, packet.duration or 0))
    if cut_short:
        raise UnreadableVideo(f"{path}: the file is cut short; copy or download it again")
    if first is None:
        raise UnreadableVideo(f"{path}: holds no frame that can be decoded; save it again, as .mp4")
    known = sorted({time for time in times if time is not None})
    # AVI stores no times; those that FFmpeg makes up for it ignore that frames are reordered.
    invented = container.format.name == "avi" and stream.codec_context.has_b_frames
    if invented or len(known) < len(times) or first.pts not in known:
        return FrameIndex(list(range(count_frames(path))), None, [], timed=False), first
    shown = known[bisect_left(known, first.pts) :]
    end = end_of_last(packets, container=container, stream=stream, path=path)
    return FrameIndex(shown, end, sorted(keyframe_times), timed=True), first


def count_frames(path: Path) -> int:
    """Count frames by decoding them all."""
    with open_container(path) as container:
        return sum(1 for _ in container.decode(video_stream(container, path)))


def frame_rate(stream: VideoStream, index: FrameIndex) -> Fraction:
    """Take the rate that the file declares, unless its times drift from it by half a frame."""
    declared = [rate for rate in (stream.guessed_rate, stream.average_rate) if rate]
    intervals = len(index.times) - 1
    if not index.timed or not intervals or stream.time_base is None:
        return declared[0] if declared else DEFAULT_FPS
    seconds = (index.times[-1] - index.times[0]) * stream.time_base
    for rate in declared:
        if abs(seconds * rate - intervals) <= Fraction(1, 2):
            return rate
    return (intervals / seconds).limit_denominator(10_000)


def frame_times(
    stream: VideoStream, index: FrameIndex, fps: Fraction
) -> tuple[Fraction, ...] | None:
    """Tell when each frame begins and the last ends, in seconds; None if that is fps's doing."""
    if not index.timed or stream.time_base is None:
        return None
    start, tick = index.times[0], stream.time_base
    ticks = [time - start for time in index.times]
    begins = [time * tick for time in ticks]
    usual = median_low(b - a for a, b in pairwise(begins)) if len(begins) > 1 else 1 / fps
    end = begins[-1] + usual if index.end is None else (index.end - start) * tick
    tolerance = min(max(2 * tick, HARDLY_SEEN), 1 / (4 * fps))
    ends_in_time = index.end is None or abs(end - len(ticks) / fps) <= tolerance
    if ends_in_time and at_constant_rate(ticks, fps, tick=tick):
        return None
    return (*begins, end)


def at_constant_rate(ticks: Sequence[int], fps: Fraction, *, tick: Fraction) -> bool:
    """Tell whether frame i begins at i / fps, but for what a container's ticks round away."""
    tolerance = min(tick, 1 / (4 * fps))  # Some ticks are as long as a frame.
    # In integers: training opens a file for each pair, and fractions took a tenth of that time.
    unit = math.lcm(tick.denominator, (1 / fps).denominator, tolerance.denominator)
    length, interval, most = int(tick * unit), int(unit / fps), int(tolerance * unit)
    return all(abs(at * length - number * interval) <= most for number, at in enumerate(ticks))


def seconds(time: int | None, unit: Fraction | None) -> Fraction:
    """Turn a time of a stream, a frame or a packet into seconds; 0 if there is none."""
    return Fraction(0) if time is None or unit is None else time * unit
