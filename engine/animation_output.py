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
        picture: whether to write a picture of some frames beside the video.
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
        picture: bool,
        num_frames: int,
    ) -> None:
        self.num_frames = 0
        self.picture = video.with_suffix(".png") if picture else None
        self._columns: list[np.ndarray] = []
        self._shown = set(np.linspace(0, num_frames - 1, _PICTURE_COLUMNS).round().astype(int))
        with ExitStack() as stack:  # closes the first should the second fail
            self._frames = None if frames is None else stack.enter_context(FrameFolder(frames))
            self._video = stack.enter_context(VideoWriter(video, fps=fps, times=times, sound=sound))
            self._stack = stack.pop_all()

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the video's frames, once there is one."""
        return self._video.written_size

    def write(self, result: np.ndarray, panels: Sequence[np.ndarray]) -> None:
        """Append a frame.

        Args:
            result: what the networks made, uint8 (H, W, 3), kept without loss.
            panels: what the video shows side by side, of one size: the result alone, or the source,
                the driving frame and the result.
        """
        if self._frames is not None:
            self._frames.write(result)
        self._video.write(np.concatenate(panels, axis=1))
        if self.picture is not None and self.num_frames in self._shown:
            if not self._columns:
                self._columns.append(np.concatenate([np.full_like(panels[0], 255), panels[0]]))
            self._columns.append(np.concatenate(panels[1:]))
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
        if kind is None and self.picture is not None:
            picture = np.concatenate(self._columns, axis=1)
            write_whole(self.picture, lambda path: Image.fromarray(picture).save(path, "PNG"))
