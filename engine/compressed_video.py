"""Compressed video through PyAV: streaming, and random access that decodes what it must."""

from __future__ import annotations

import logging
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.codec.context import CodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from engine.container import open_container
from engine.deinterlacing import deinterlaced
from engine.file_end import missing_end
from engine.frame_index import (
    decoding,
    frame_rate,
    frame_times,
    read_index,
    said_by,
    seconds,
    video_stream,
)
from engine.framing import choose_box
from engine.image import check_pixels, resize_frame
from engine.pixels import display_matrix, frame_to_rgb, turned
from engine.video_reader import Sound, UnreadableVideo, VideoReader, unreadable

_log = logging.getLogger(__name__)

# FFmpeg's own decoders of these leave out the transparency that WebM may add to them.
_DECODERS_OF_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


class CompressedReader(VideoReader):
    """A video file that PyAV decodes.

    A frame that the decoder drops shows the picture before it, so that iteration and random
    access agree on every index. Pixels that are not square are made so. Frames of another size than
    the first are shown at that of the first; what has another aspect is cut to it. Interlaced
    frames are deinterlaced, high dynamic range is tone-mapped, and transparency shown over white.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._warnings: set[str] = set()
        with decoding(path):
            self._container = open_container(path)
            self._stream = video_stream(self._container, path)
            with unreadable():
                check_pixels(path, self._stream.width, self._stream.height)
            # Frame threads would decode past the frame that is wanted, again at every seek.
            self._stream.thread_type = "SLICE"
            self._index, self._first = read_index(self._container, self._stream, path)
        self.num_frames = len(self._index.times)
        self.codec = self._stream.codec_context.name
        self.is_still = self._container.format.name.endswith(("_pipe", "image2"))
        self._alpha_decoder = self._find_alpha_decoder()
        if self._alpha_decoder is not None:
            self.seekable = False  # Its keyframes need not be those of the colours.
        self._transfer = self._stream.codec_context.color_trc
        self.fps = frame_rate(self._stream, self._index)
        self.times = frame_times(self._stream, self._index, self.fps)
        if self._container.streams.audio:
            self.sound = Sound(path, seconds(self._first.pts, self._first.time_base))
        self._matrix = display_matrix(self._first)
        self._pixel_aspect = self._stream.sample_aspect_ratio or Fraction(1)
        self._size = self._square_size(self._first.height, self._first.width)
        self.height, self.width = self._convert(self._first).shape[:2]

    def __iter__(self) -> Iterator[np.ndarray]:
        for text in self._missing():
            self._warn(text)
        return map(self._convert, deinterlaced(self._decoded(self._warn)))

    def flaws(self) -> list[str]:
        found = self._missing()
        # To turn them into RGB, too, would take four times as long.
        for _ in self._decoded(found.append):
            pass
        return found

    def close(self) -> None:
        self._container.close()

    def _missing(self) -> list[str]:
        """That the end of the file is missing, if it is."""
        missing = missing_end(self.path)
        left = f"{self.num_frames} frames are left"
        return [] if missing is None else [f"the file is cut short, {missing}; {left}"]

    def _decoded(self, tell: Callable[[str], None]) -> Iterator[VideoFrame]:
        """Decode from the start, giving one frame for each entry of the index; `tell` of flaws."""
        times, index, shown = self._index.times, 0, self._first
        damaged, sizes = 0, set()
        try:
            for count, frame in enumerate(self._packed()):
                time = frame.pts if self._index.timed else count
                end = index if time is None else bisect_right(times, time, lo=index)
                for due in times[index:end]:
                    yield frame if due == time else shown
                index, shown = end, frame
                damaged += frame.is_corrupt
                sizes.add((frame.width, frame.height))
        except av.error.FFmpegError as error:
            raise UnreadableVideo(
                f"{self.path}: cannot be read from frame {index} of {self.num_frames} on "
                f"({said_by(error)}); copy or download it again"
            ) from error
        for _ in times[index:]:
            yield shown
        if damaged:
            tell(f"{damaged} of its frames are damaged")
        if len(sizes) > 1:
            tell("its frames change size; they are cut and resized to the first")

    def _packed(self) -> Iterator[VideoFrame]:
        """The frames that the decoder gives, of which some may be missing or twice."""
        with open_container(self.path) as container:
            stream = video_stream(container, self.path)
            stream.thread_type = "AUTO"
            if self._alpha_decoder is None:
                yield from container.decode(stream)
                return
            decoder = cast(VideoCodecContext, CodecContext.create(self._alpha_decoder, "r"))
            for packet in container.demux(stream):
                yield from decoder.decode(packet)

    def _find_alpha_decoder(self) -> str | None:
        """Name what decodes the transparency of a VP8 or VP9 video; None if it has none."""
        name = _DECODERS_OF_ALPHA.get(self._stream.codec_context.name)
        tags = {key.lower(): value for key, value in self._stream.metadata.items()}
        if name is None or tags.get("alpha_mode") != "1":
            return None
        if name in av.codecs_available:
            return name
        self._warn(f"its transparency is left out; to show it takes a PyAV with {name}")
        return None

    def _warn(self, text: str) -> None:
        """Say it once, however often the video is read."""
        if text not in self._warnings:
            self._warnings.add(text)
            _log.warning("%s: %s", self.path, text)

    def _read_frames(self, indices: Sequence[int]) -> list[np.ndarray]:
        found = self._pick(indices)
        interlaced = [index for index, frame in found.items() if frame.interlaced_frame]
        beside = {near for index in interlaced for near in self._with_neighbours(index)}
        around = found | self._pick(beside - found.keys())
        for index in interlaced:
            nearby = self._with_neighbours(index)
            made = list(deinterlaced(around[near] for near in nearby))
            found[index] = made[nearby.index(index)]
        return [self._convert(found[index]) for index in indices]

    def _with_neighbours(self, index: int) -> range:
        return range(max(0, index - 1), min(index + 2, self.num_frames))

    def _pick(self, indices: Iterable[int]) -> dict[int, VideoFrame]:
        """Decode the frames at these indices, and as few others as possible."""
        ascending = sorted(set(indices))
        if not self.seekable:
            return self._pick_from_start(ascending)
        found: dict[int, VideoFrame] = {}
        for keyframe, group in groupby(ascending, key=self._keyframe_before):
            wanted = list(group)
            picked = None
            # A seek may land late, or on a keyframe that cannot be decoded on its own.
            for start in range(keyframe, max(keyframe - 2, -1), -1):
                picked = picked or self._pick_after(self._index.keyframe_times[start], wanted)
            found |= picked or self._pick_from_start(wanted)
        return found

    def _keyframe_before(self, index: int) -> int:
        """Number the last keyframe shown no later than this frame; -1 if there is none.

        In an open group of pictures, frames shown before a keyframe follow it in the file and
        need the keyframe before it too: the order of presentation is the one that counts.
        """
        return bisect_right(self._index.keyframe_times, self._index.times[index]) - 1

    def _pick_after(self, start: int, wanted: list[int]) -> dict[int, VideoFrame] | None:
        """Decode ascending indices from the keyframe at time `start`; None if that fails."""
        times = self._index.times
        first = times[bisect_left(times, start)]
        pending = {times[index]: index for index in wanted}
        begun = False
        found: dict[int, VideoFrame] = {}
        with decoding(self.path):
            try:
                self._container.seek(start, stream=self._stream)
            except av.error.FFmpegError:  # Not all files can.
                return None
            for packet in self._container.demux(self._stream):
                self._skip_unless(packet.pts in (None, first) or packet.pts in pending)
                for frame in packet.decode():
                    begun = begun or frame.pts == first
                    if begun and frame.pts in pending:
                        found[pending.pop(frame.pts)] = frame
                    if not pending:
                        return found
                    if frame.pts is None or frame.pts >= (min(pending) if begun else first):
                        return None
        return None

    def _skip_unless(self, needed: bool) -> None:
        """Let the decoder pass over a frame that neither we nor other frames need.

        Only H.264 marks those reliably: with temporal layers, other HEVC frames may need them.
        """
        if self._stream.codec_context.name == "h264":
            self._stream.codec_context.skip_frame = "DEFAULT" if needed else "NONREF"

    def _pick_from_start(self, wanted: list[int]) -> dict[int, VideoFrame]:
        frames = zip(range(max(wanted, default=-1) + 1), self._decoded(self._warn), strict=False)
        return {index: frame for index, frame in frames if index in wanted}

    def _convert(self, frame: VideoFrame) -> np.ndarray:
        image = frame_to_rgb(frame, transfer=self._transfer)
        return turned(self._framed(image), self._matrix)

    def _framed(self, image: np.ndarray) -> np.ndarray:
        """A picture with square pixels, cut to the first frame's aspect and of its size."""
        square = resize_frame(image, self._square_size(*image.shape[:2]))
        size = (square.shape[0], square.shape[1])
        box = choose_box(size, self._size, chosen=None, name=self.path)
        return resize_frame(box.cut(square), self._size)

    def _square_size(self, height: int, width: int) -> tuple[int, int]:
        """(H, W) of a stored picture once its pixels are square."""
        return height, max(1, round(width * self._pixel_aspect))
