"""Converts decoded frames between pixel formats, so that a forked process can do so, too."""

import threading
from typing import Any

from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter


class _Reformatter(threading.local):
    """One for each thread: it may be kept, which is faster, but not shared."""

    def __init__(self) -> None:
        self.own = VideoReformatter()


_reformatter = _Reformatter()


def reformat(frame: VideoFrame, **options: Any) -> VideoFrame:
    """Convert a frame as `VideoFrame.reformat` does, with its options, in the calling thread alone.

    PyAV's method converts in threads, and from version 19 on keeps them for the next frame. A
    forked process, such as a data loader's worker, has them not, and waits for them for ever.
    """
    return _reformatter.own.reformat(frame, threads=1, **options)
