"""What every kind of video offers to its readers, and the kinds that are made of still images."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np

from engine.errors import UserError
from engine.image import (
    IMAGE_SUFFIXES,
    open_picture,
    read_image,
    upright_size,
)

DEFAULT_FPS = Fraction(25)  # Folders of frames and stacked images carry no rate.


class UnreadableVideo(UserError):  # noqa: N818 - the name that callers catch says what is wrong.
    """There is no video to be read in a file or folder; the message names it and says why."""


class Sound(NamedTuple):
    """The sound of a video: its file, and the second of that file's clock that shows frame 0."""

    path: Path
    start: Fraction


class VideoReader(ABC):
    """One video, read in order or at random. Frames are uint8 RGB (height, width, 3).

    Attributes:
        path: the file or folder.
        fps: frames per second, the exact average rate.
        times: num_frames + 1 moments in seconds, from 0: when each frame begins, and when the last
            ends. None if the rate is constant: frame i begins at i / fps.
        sound: where to find what is heard; None if nothing is.
        height, width: of one frame in pixels, after rotation.
        num_frames: how many frames iteration gives, exactly.
        codec: what decodes them, as ffmpeg calls it; None for images.
        is_still: whether this is a picture, rather than a video of one frame.
        seekable: whether a frame can be read without decoding many others.
    """

    path: Path
    fps: Fraction
    times: tuple[Fraction, ...] | None = None
    sound: Sound | None = None
    height: int
    width: int
    num_frames: int
    codec: str | None = None
    is_still: bool = False
    seekable: bool = True

    @abstractmethod
    def __iter__(self) -> Iterator[np.ndarray]:
        """Give all frames in order, one at a time: memory does not grow with the duration.

        Raises UnreadableVideo where the video turns out to be damaged.
        """

    def frames(self, indices: Sequence[int]) -> list[np.ndarray]:
        """Read the frames at `indices`, in the order asked for; each equals that of iteration.

        Raises IndexError for an index outside [0, num_frames), UnreadableVideo for damage.
        """
        for index in indices:
            if not 0 <= index < self.num_frames:
                raise IndexError(f"{self.path}: no frame {index}, it has {self.num_frames}")
        return self._read_frames(indices)

    @abstractmethod
    def _read_frames(self, indices: Sequence[int]) -> list[np.ndarray]:
        """Read frames whose indices are known to exist."""

    def flaws(self) -> list[str]:
        """Decode all frames; what is wrong with them, in a few words each, though they can be read.

        Raises UnreadableVideo for those that cannot.
        """
        for _ in self:
            pass
        return []

    def close(self) -> None:  # noqa: B027 - most kinds hold nothing open.
        """Release what the reader holds open."""

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class FolderReader(VideoReader):
    """A folder with one image per frame, in natural order: frame2 before frame10."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fps = DEFAULT_FPS
        self._files = sorted(image_files(path), key=natural_key)
        if not self._files:
            raise UnreadableVideo(
                f"{path}: the folder holds no images; put frames into it, or name another"
            )
        self.num_frames = len(self._files)
        self.height, self.width = read_still(self._files[0]).shape[:2]

    def __iter__(self) -> Iterator[np.ndarray]:
        return map(self._read, self._files)

    def _read_frames(self, indices: Sequence[int]) -> list[np.ndarray]:
        return [self._read(self._files[index]) for index in indices]

    def _read(self, file: Path) -> np.ndarray:
        frame = read_still(file)
        height, width = frame.shape[:2]
        if (height, width) != (self.height, self.width):
            raise UnreadableVideo(
                f"{file}: {width}x{height} pixels, but the first frame of its folder has "
                f"{self.width}x{self.height}; give all frames one size"
            )
        return frame


class StackReader(VideoReader):
    """One image of frames side by side, `frame_size` (H, W) each (None: it is a single frame)."""

    seekable = False

    def __init__(self, path: Path, *, frame_size: tuple[int, int] | None) -> None:
        self.path = path
        self.fps = DEFAULT_FPS
        # By its header: a large picture that is none need not be decoded.
        with unreadable(), open_picture(path) as image:
            width, height = upright_size(image)
            self.height, self.width = frame_size or (height, width)
            if height != self.height or width % self.width:
                raise UnreadableVideo(
                    f"{path}: a still picture of {width}x{height} pixels, and no row of frames of "
                    f"{self.width}x{self.height}, the frame_shape; choose a video"
                )
        stack = read_still(path)
        self.num_frames = width // self.width
        self.is_still = self.num_frames == 1
        self._stack = stack.reshape(self.height, self.num_frames, self.width, 3)  # (H, T, W, 3)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self._stack[:, index].copy() for index in range(self.num_frames))

    def _read_frames(self, indices: Sequence[int]) -> list[np.ndarray]:
        return [self._stack[:, index].copy() for index in indices]


def image_files(folder: Path) -> Iterator[Path]:
    """Find the images of a folder, in no particular order, leaving out hidden files."""
    for file in folder.iterdir():
        if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith("."):
            yield file


def natural_key(path: Path) -> tuple[list[str | int], str]:
    """Sort digits as numbers, and break ties (frame1, frame01) by the name."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [int(part) if part.isdecimal() else part for part in parts], path.name


def read_still(path: Path) -> np.ndarray:
    """Do as read_image, but fail with UnreadableVideo."""
    with unreadable():
        return read_image(path)


@contextmanager
def unreadable() -> Iterator[None]:
    """Turn the UserErrors of pictures into UnreadableVideos."""
    try:
        yield
    except UnreadableVideo:
        raise
    except UserError as error:
        raise UnreadableVideo(str(error)) from error
