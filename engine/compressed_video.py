"""Compressed video through PyAV: streaming, and random access that decodes what it must."""

from __future__ import annotations

import logging
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from itertools import accumulate, groupby
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.video.frame import VideoFrame
from PIL import Image

from engine.container import open_container
from engine.file_end import missing_end
from engine.frame_index import (
    at_constant_rate,
    decoding,
    frame_rate,
    frame_times,
    read_index,
    said_by,
    seconds,
    video_stream,
)
from engine.framing import choose_box
from engine.image import resize_frame, to_rgb
from engine.reformatting import reformat
from engine.video_reader import Sound, UnreadableVideo, VideoReader

_log = logging.getLogger(__name__)

# YCbCr matrices that FFmpeg's frames and its scaler number alike: BT.709, SMPTE 240M, BT.2020.
# Frames with any other tag, or with none, are read as BT.601, as ffmpeg does.
TAGGED_MATRICES = frozenset({1, 7, 9})
BT601 = 5
FULL_RANGE = 2
# Bilinear, accurate rounding, full chroma interpolation: without the latter two every level comes
# out about 1 too dark. In numbers, since not every PyAV has names for them.
CONVERSION = 0x2 | 0x40000 | 0x2000


class CompressedReader(VideoReader):
    """A video file that PyAV decodes.

    A frame that the decoder drops shows the picture before it, so that iteration and random
    access agree on every index. Pixels that are not square are made so. Frames of another size than
    the first are shown at that of the first; what has another aspect is cut to it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._warnings: set[str] = set()
        with decoding(path):
            self._container = open_container(path)
            self._stream = video_stream(self._container, path)
            # Frame threads would decode past the frame that is wanted, again at every seek.
            self._stream.thread_type = "SLICE"
            self._index, self._first = read_index(self._container, self._stream, path)
        self.num_frames = len(self._index.times)
        self.codec = self._stream.codec_context.name
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
        return map(self._convert, self._decoded(self._warn))

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
            yield from container.decode(stream)

    def _warn(self, text: str) -> None:
        """Say it once, however often the video is read."""
        if text not in self._warnings:
            self._warnings.add(text)
            _log.warning("%s: %s", self.path, text)

    def _read_frames(self, indices: Sequence[int]) -> list[np.ndarray]:
        found: dict[int, np.ndarray] = {}
        for keyframe, group in groupby(sorted(set(indices)), key=self._keyframe_before):
            wanted = list(group)
            picked = None
            # A seek may land late, or on a keyframe that cannot be decoded on its own.
            for start in range(keyframe, max(keyframe - 2, -1), -1):
                picked = picked or self._pick_after(self._index.keyframe_times[start], wanted)
            found |= picked or self._pick_from_start(wanted)
        return [found[index] for index in indices]

    def _keyframe_before(self, index: int) -> int:
        """Number the last keyframe shown no later than this frame; -1 if there is none.

        In an open group of pictures, frames shown before a keyframe follow it in the file and
        need the keyframe before it too: the order of presentation is the one that counts.
        """
        return bisect_right(self._index.keyframe_times, self._index.times[index]) - 1

    def _pick_after(self, start: int, wanted: list[int]) -> dict[int, np.ndarray] | None:
        """Decode ascending indices from the keyframe at time `start`; None if that fails."""
        times = self._index.times
        first = times[bisect_left(times, start)]
        pending = {times[index]: index for index in wanted}
        begun = False
        found: dict[int, np.ndarray] = {}
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
                        found[pending.pop(frame.pts)] = self._convert(frame)
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

    def _pick_from_start(self, wanted: list[int]) -> dict[int, np.ndarray]:
        frames = zip(range(wanted[-1] + 1), self._decoded(self._warn), strict=False)
        return {index: self._convert(frame) for index, frame in frames if index in wanted}

    def _convert(self, frame: VideoFrame) -> np.ndarray:
        transparent = any(component.is_alpha for component in frame.format.components)
        image = reformat(
            frame,
            format="rgba" if transparent else "rgb24",
            interpolation=CONVERSION,
            src_colorspace=frame.colorspace if frame.colorspace in TAGGED_MATRICES else BT601,
            src_color_range=frame.color_range,
            dst_colorspace=BT601,
            dst_color_range=FULL_RANGE,
        ).to_ndarray()
        if transparent:
            image = to_rgb(Image.fromarray(image))
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


class GifReader(CompressedReader):
    """An animated GIF. Its frames build on each other, so random access decodes and keeps all."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with decoding(path), open_container(path) as container:
            delays = [packet.duration or 0 for packet in container.demux(video=0) if packet.size]
        tick = Fraction(1, 100)
        ticks = list(accumulate([0, *delays[-self.num_frames :]]))
        moments = tuple(time * tick for time in ticks)
        self.fps = self.num_frames / moments[-1]
        # Unlike other files, a GIF is right about how long its last frame lasts.
        self.times = None if at_constant_rate(ticks, self.fps, tick=tick) else moments

    @cached_property
    def _frames(self) -> list[np.ndarray]:
        return list(self)

    def _read_frames(self, indices: Sequence[int]) -> list[np.ndarray]:
        return [self._frames[index].copy() for index in indices]


def display_matrix(frame: VideoFrame) -> np.ndarray:
    """Read how the picture is turned for display: (x, y) shown = (x, y) stored @ matrix, 2x2."""
    try:
        data = cast(Mapping[str, bytes], frame.side_data)["DISPLAYMATRIX"]
    except (KeyError, ValueError):  # ValueError: side data of a kind that PyAV has no name for.
        return np.eye(2)
    return np.frombuffer(data, np.int32).reshape(3, 3)[:2, :2]


def turned(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Apply the quarter turns and reflections of a display matrix to an (H, W, 3) image."""
    (xx, xy), (yx, yy) = matrix
    if abs(xy) > abs(xx):  # What is stored along x is shown along y.
        image, xx, yy = image.transpose(1, 0, 2), yx, xy
    return np.ascontiguousarray(image[:: -1 if yy < 0 else 1, :: -1 if xx < 0 else 1])
