"""Where an animation goes: a video, a folder of lossless frames, a picture to look at."""

from collections.abc import Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import numpy as np
from PIL import Image

from engine.output import FrameFolder, write_whole
from engine.video_reader import Sound
from engine.video_writer import VideoWriter

_PICTURE_COLUMNS = 6


class AnimationOutput:
    """Writes an animation frame by frame; a context manager, which leaves nothing half done.

    Args:
        video: the file to write.
        fps, times, sound: as VideoWriter's.
        frames: a folder for the frames without loss; None for none.
        source: the picture that is moved, uint8 (H, W, 3), to show source and driving frame to the
            left of each result, and to write a picture of some of them beside the video; None to
            show the results alone.
        num_frames: how many will come.
    """

    def __init__(
        self,
        video: Path,
        *,
        fps: Fraction,
        times: Sequence[Fraction] | None = None,
        sound: Sound | None = None,
        frames: Path | None,
        source: np.ndarray | None,
        num_frames: int,
    ) -> None:
        self.num_frames = 0
        self.picture = None if source is None else video.with_suffix(".png")
        self._source = source
        self._columns: list[np.ndarray] = []
        self._shown = set(np.linspace(0, num_frames - 1, _PICTURE_COLUMNS).round().astype(int))
        with ExitStack() as stack:  # closes the first should the second fail
            self._frames = None if frames is None else stack.enter_context(FrameFolder(frames))
            self._video = stack.enter_context(VideoWriter(video, fps=fps, times=times, sound=sound))
            self._stack = stack.pop_all()

    def write(self, driving: np.ndarray, result: np.ndarray) -> None:
        """Append a driving frame and what became of the source, uint8 (H, W, 3) each."""
        if self._frames is not None:
            self._frames.write(result)
        if self._source is None:
            self._video.write(result)
        else:
            self._video.write(np.concatenate([self._source, driving, result], axis=1))
            if self.num_frames in self._shown:
                self._columns.append(np.concatenate([driving, result]))
        self.num_frames += 1

    def __enter__(self) -> "AnimationOutput":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, traceback)
        if kind is None and self.picture is not None and self._source is not None:
            beside = np.concatenate([np.full_like(self._source, 255), self._source])
            picture = np.concatenate([beside, *self._columns], axis=1)
            write_whole(self.picture, lambda path: Image.fromarray(picture).save(path, "PNG"))
