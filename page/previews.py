"""What people are shown of what they brought."""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from pathlib import Path

import av
import numpy as np

from engine.container import open_container
from engine.frame_index import video_stream
from engine.framing import choose_box
from engine.image import resize_frame
from engine.video_reader import VideoReader
from engine.video_writer import VideoWriter
from page.results import Preview

PREVIEW_SIDE = 640  # pixels
PREVIEW_FRAMES = 100  # of a video that has to be converted to be played

# What all browsers play: by ending, the container and its codecs, as FFmpeg calls them; 4:2:0 with
# 8 bits.
_IN_MP4 = ("mov", frozenset({"h264"}))
_PLAYED = {".mp4": _IN_MP4, ".m4v": _IN_MP4, ".mov": _IN_MP4}
_PLAYED[".webm"] = ("matroska", frozenset({"vp8", "vp9"}))
_PIXEL_FORMATS = frozenset({"yuv420p", "yuvj420p"})


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


def browsers_play(path: Path) -> bool:
    """Whether all browsers show a video, that has been decoded before, as it is."""
    if path.suffix.lower() not in _PLAYED:
        return False
    kind, codecs = _PLAYED[path.suffix.lower()]
    with suppress(av.error.FFmpegError), open_container(path) as container:
        coding = video_stream(container, path).codec_context
        return (
            container.format.name.split(",")[0] == kind
            and coding.codec.canonical_name in codecs
            and coding.pix_fmt in _PIXEL_FORMATS
        )
    return False  # FFmpeg does not read it: an animated picture by another name.


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
