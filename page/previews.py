"""What people are shown of what they brought."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np

from engine.framing import choose_box
from engine.image import resize_frame
from engine.video_reader import VideoReader
from engine.video_writer import VideoWriter
from page.results import Preview

PREVIEW_SIDE = 640  # pixels
PREVIEW_FRAMES = 100  # of a video that has to be converted to be played

# What all browsers play.
_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".webm"})
_CODECS = frozenset({"h264", "vp8", "vp9", "av1", "libdav1d"})


def preview_of(
    frame: np.ndarray, shape: tuple[int, int, int], *, name: Path, played: Path
) -> Preview:
    """What is shown of a picture, or of a video given its first frame.

    Args:
        frame: uint8 (H, W, 3).
        shape: (h, w, C) of what networks see.
        name: of the file, for errors.
        played: the file that browsers are given.
    """
    size = (frame.shape[0], frame.shape[1])
    box = choose_box(size, shape[:2], chosen=None, name=name)
    return Preview(reduced(frame, PREVIEW_SIDE), size, box, played)


def browsers_play(video: VideoReader) -> bool:
    """Whether a video can be shown as it is."""
    return video.path.suffix.lower() in _SUFFIXES and video.codec in _CODECS


def write_playable(video: VideoReader, path: Path) -> None:
    """Let browsers play how a video begins: its first 100 frames, small, without sound."""
    times = None if video.times is None else video.times[: PREVIEW_FRAMES + 1]
    with VideoWriter(path, fps=video.fps, times=times) as writer:
        for frame in islice(video, PREVIEW_FRAMES):
            writer.write(reduced(frame, PREVIEW_SIDE))


def reduced(frame: np.ndarray, side: int) -> np.ndarray:
    """A frame (H, W, 3) of which no side is longer."""
    height, width = frame.shape[:2]
    share = side / max(height, width)
    if share >= 1:
        return frame
    return resize_frame(frame, (max(1, round(share * height)), max(1, round(share * width))))
