"""Encoding frames, each with its time, into a container: H.264, VP9 and GIF."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, cast

import av
import numpy as np
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from engine.reformatting import reformat
from engine.sound import SoundFormat, SoundTrack, open_track, pulled
from engine.video_reader import Sound

BT709 = 1
LIMITED_RANGE = 1
# Bicubic, accurate rounding, chroma from all pixels.
CONVERSION = 0x4 | 0x40000 | 0x4000
FINEST_TICK = Fraction(1, 90_000)  # seconds, unless a file's own are no multiples of it

_MP4_SOUND = SoundFormat(frozenset({"aac", "mp3"}), "aac", run_up=Fraction(1, 10))
_MOV_SOUND = _MP4_SOUND._replace(copied=_MP4_SOUND.copied | {"alac", "pcm_s16le"})
_WEBM_SOUND = SoundFormat(frozenset({"opus", "vorbis"}), "libopus")
_MKV_SOUND = SoundFormat(_MOV_SOUND.copied | _WEBM_SOUND.copied | {"ac3", "flac"}, "aac")


class Encoding(NamedTuple):
    """What a suffix stands for.

    Attributes:
        encoder: its name.
        options: for the encoder.
        muxer_options: for the container.
        sound: None if the container has none.
        tick: the unit of time, in seconds; None if any will do.
        shortest: how many ticks a frame lasts at least.
        varying: options for the encoder, besides, where the rate varies.
    """

    encoder: str
    options: Mapping[str, str]
    muxer_options: Mapping[str, str]
    sound: SoundFormat | None
    tick: Fraction | None = None
    shortest: int = 1
    varying: Mapping[str, str] = MappingProxyType({})


_H264 = {"crf": "18"}
# MP4 and QuickTime store how far apart frames are decoded. With B-frames, that is another order
# than the one in which they are shown, and how long the last one is shown has no place of its own.
_IN_ORDER = {"bf": "0"}
_IN_FRONT = {"movflags": "+faststart"}
_VP9 = {"crf": "20", "b": "0", "deadline": "good", "cpu-used": "2", "row-mt": "1"}
ENCODINGS = {
    ".mp4": Encoding("libx264", _H264, _IN_FRONT, _MP4_SOUND, varying=_IN_ORDER),
    ".mov": Encoding("libx264", _H264, _IN_FRONT, _MOV_SOUND, varying=_IN_ORDER),
    ".mkv": Encoding("libx264", _H264, {}, _MKV_SOUND),
    ".webm": Encoding("libvpx-vp9", _VP9, {}, _WEBM_SOUND),
    # Players slow down GIFs of more than 50 frames per second.
    ".gif": Encoding("gif", {}, {}, None, tick=Fraction(1, 100), shortest=2),
}


class FrameEncoder:
    """Encodes uint8 RGB frames (H, W, 3), all of one size, into a new file.

    Args:
        path: the file.
        encoding: of ENCODINGS.
        size: (H, W) of the frames. H.264 and VP9 in 4:2:0 take even sizes: odd ones gain a copy of
            the last column or row.
        fps, times, sound: as VideoWriter's.

    All methods raise FFmpegError.
    """

    def __init__(
        self,
        path: Path,
        encoding: Encoding,
        *,
        size: tuple[int, int],
        fps: Fraction,
        times: Sequence[Fraction] | None,
        sound: Sound | None,
    ) -> None:
        self._encoding = encoding
        self._fps = fps
        self._times = times
        self._tick = encoding.tick or (1 / fps if times is None else common_tick(times))
        self._count = 0
        self._end = 0  # ticks
        self._durations: dict[int, int] = {}  # in ticks, of the frames within the encoder
        self._output = av.open(f"file:{path}", "w", options=dict(encoding.muxer_options))
        height, width = size
        self._missing = (0, 0) if encoding.encoder == "gif" else (height % 2, width % 2)
        self._prepared: Callable[[VideoFrame | None], Iterator[VideoFrame]] = as_yuv
        options = {**encoding.options, **(encoding.varying if times is not None else {})}
        self._stream = cast(
            VideoStream,
            self._output.add_stream(
                encoding.encoder, rate=fps, options=options, time_base=self._tick
            ),
        )
        if encoding.encoder == "gif":
            self._prepared = Palette(width, height, self._tick)
            self._stream.pix_fmt = "pal8"
        else:
            context = self._stream.codec_context
            # What is converted and what is tagged must agree, or players show other colours.
            context.colorspace = context.color_primaries = context.color_trc = BT709
            context.color_range = LIMITED_RANGE
        self._stream.height = height + self._missing[0]
        self._stream.width = width + self._missing[1]
        self._track: SoundTrack | None = None
        if sound is not None and encoding.sound is not None:
            self._track = open_track(sound, self._output, encoding.sound)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in the file."""
        return self._stream.height, self._stream.width

    def add(self, image: np.ndarray) -> None:
        """Encode one frame, and the sound that is heard with it."""
        begin, shortest = self._end, self._encoding.shortest
        self._count += 1
        moment = self._moment(self._count)
        end = round(moment / self._tick)
        if begin == 0:
            end = max(end, shortest)
        elif end - begin < shortest:  # Its time goes to the next one.
            return
        self._end = end
        self._durations[begin] = end - begin
        padding = [(0, missing) for missing in self._missing]
        frame = VideoFrame.from_ndarray(np.pad(image, (*padding, (0, 0)), mode="edge"))
        frame.pts, frame.time_base = begin, self._tick
        self._encode(self._prepared(frame))
        if self._track is not None:
            self._track.mux_until(moment)

    def finish(self) -> None:
        """Encode what is under way, and complete the file."""
        self._encode(chain(self._prepared(None), [None]))
        if self._track is not None:
            self._track.finish(self._moment(self._count))
        self._output.close()

    def close(self) -> None:
        """Let go of all files, complete or not."""
        try:
            self._output.close()
        finally:
            if self._track is not None:
                self._track.close()

    def _moment(self, index: int) -> Fraction:
        """When frame `index` begins, in seconds."""
        return index / self._fps if self._times is None else self._times[index]

    def _encode(self, frames: Iterator[VideoFrame | None]) -> None:
        for frame in frames:
            for packet in self._stream.encode(frame):
                assert packet.pts is not None
                packet.duration = self._durations.pop(packet.pts)
                self._output.mux(packet)


def common_tick(times: Sequence[Fraction]) -> Fraction:
    """The largest unit that all times are multiples of, or a fine one where that is finer still."""
    tick = Fraction(1, math.lcm(*{time.denominator for time in times}))
    return max(tick, FINEST_TICK)


def as_yuv(frame: VideoFrame | None) -> Iterator[VideoFrame]:
    """Turn RGB into BT.709 4:2:0."""
    if frame is not None:
        yield reformat(
            frame,
            format="yuv420p",
            interpolation=CONVERSION,
            dst_colorspace=BT709,
            dst_color_range=LIMITED_RANGE,
        )


class Palette:
    """Turns RGB frames into ones with a palette, the same for all, or still areas would flicker.

    It is made from the first 50 frames, which stay in memory until it is known.
    """

    def __init__(self, width: int, height: int, tick: Fraction) -> None:
        self._graph = graph = Graph()
        picture = f"video_size={width}x{height}:pix_fmt=rgb24:pixel_aspect=1/1"
        source = graph.add("buffer", f"{picture}:time_base={tick.numerator}/{tick.denominator}")
        split = graph.add("split")
        first = graph.add("trim", "end_frame=50")
        generate = graph.add("palettegen")
        use = graph.add("paletteuse", "dither=bayer:bayer_scale=4")
        source.link_to(split)
        split.link_to(first)
        first.link_to(generate)
        split.link_to(use, 1, 0)
        generate.link_to(use, 0, 1)
        use.link_to(graph.add("buffersink"))
        graph.configure()

    def __call__(self, frame: VideoFrame | None) -> Iterator[VideoFrame]:
        self._graph.push(frame)
        return cast(Iterator[VideoFrame], pulled(self._graph))
