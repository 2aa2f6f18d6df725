"""A video as the networks see it, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from torch import Tensor

from engine.errors import UserError
from engine.framing import Box, choose_box
from engine.image import resize_frame, to_tensor
from engine.video import Sound, UnreadableVideo, VideoReader, bare_name, open_video
from engine.words import counted


@dataclass(frozen=True)
class Clip:
    """A test or driving video, frame by frame, float32 (3, H, W) in [0, 1] at the size asked for.

    Each iteration starts at the first frame, and holds one frame at a time.
    """

    reader: VideoReader
    size: tuple[int, int]
    box: Box | None = None  # the part of each frame that is shown; None for all of it

    @property
    def name(self) -> str:
        """What to call results: the name on disk, without the ending of a video file."""
        return bare_name(self.reader.path.name)

    @property
    def fps(self) -> Fraction:
        return self.reader.fps

    @property
    def times(self) -> tuple[Fraction, ...] | None:
        """As VideoReader.times: when each frame begins and the last ends; None: at its rate."""
        return self.reader.times

    @property
    def sound(self) -> Sound | None:
        """What is heard; None if nothing is."""
        return self.reader.sound

    @property
    def num_frames(self) -> int:
        return self.reader.num_frames

    def moments(self) -> list[float]:
        """When each frame is shown, in seconds."""
        if self.times is None:
            return [float(index / self.fps) for index in range(self.num_frames)]
        return [float(time) for time in self.times[:-1]]

    def frame(self, index: int) -> Tensor:
        """Frame `index` alone, counted from 0. Raises UserError if the video has fewer frames."""
        self.check_number(index)
        return self._seen(self.reader.frames([index])[0])

    def check_number(self, index: int) -> None:
        """Raise UserError if the video has no frame `index`."""
        if not 0 <= index < self.num_frames:
            raise UserError(
                f"{self.reader.path}: frame {index} is not among its "
                f"{counted(self.num_frames, 'frame')}; choose one from 0 to {self.num_frames - 1}"
            )

    def __iter__(self) -> Iterator[Tensor]:
        return map(self._seen, self.reader)

    def _seen(self, frame: np.ndarray) -> Tensor:
        part = frame if self.box is None else self.box.cut(frame)
        return to_tensor(resize_frame(part, self.size))

    def __enter__(self) -> Clip:
        return self

    def __exit__(self, *exception: object) -> None:
        self.reader.close()


def open_clip(path: Path, *, frame_shape: tuple[int, int, int]) -> Clip:
    """Open a video of any kind, its frames resized to frame_shape (H, W, C).

    This is also the size of each frame in an image of frames side by side. Raises UnreadableVideo,
    a UserError, if the video is damaged or none, here or while its frames are read.
    """
    return Clip(open_video(path, frame_size=frame_shape[:2]), frame_shape[:2])


def open_cut_clip(path: Path, *, frame_shape: tuple[int, int, int], chosen: Box | None) -> Clip:
    """As open_clip, but frames of another aspect are cut, as choose_box does it, not stretched.

    Raises UserError, too, if it is a still picture, or `chosen` does not lie within the frames.
    """
    clip = open_clip(path, frame_shape=frame_shape)
    reader = clip.reader
    try:
        if reader.is_still:
            raise UnreadableVideo(
                f"{path}: a still picture, which does not move; choose a video, an animated "
                "picture, or a folder of frames"
            )
        size = (reader.height, reader.width)
        return replace(clip, box=choose_box(size, clip.size, chosen=chosen, name=path))
    except UserError:
        reader.close()
        raise
