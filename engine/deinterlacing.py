"""Interlaced frames, whose odd and even lines are of two moments, made whole ones of one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

import av
from av.video.frame import VideoFrame

_TICK = Fraction(1, 90000)


def deinterlaced(frames: Iterable[VideoFrame]) -> Iterator[VideoFrame]:
    """Give a frame for each, in the same order; what is not interlaced passes through as it is.

    A frame depends on itself and its two neighbours alone, so that those three in a row give the
    same as the whole video.
    """
    previous: VideoFrame | None = None
    graph: _Graph | None = None
    for frame in frames:
        if graph is not None and not graph.fits(frame):
            yield from graph.rest()
            graph = previous = None
        if graph is None and frame.interlaced_frame:
            graph = _Graph(frame)
            if previous is not None and graph.fits(previous):
                graph.open_with(previous)
        if graph is None:
            yield frame
        else:
            yield from graph.push(frame)
        previous = frame
    if graph is not None:
        yield from graph.rest()


class _Graph:
    """FFmpeg's bwdif filter, which gives a frame once it has the next."""

    def __init__(self, frame: VideoFrame) -> None:
        self._kind = _kind(frame)
        self._graph = av.filter.Graph()
        width, height = frame.width, frame.height
        source = self._graph.add_buffer(
            width=width, height=height, format=frame.format, time_base=_TICK
        )
        # One frame for each, at its time; those not marked as interlaced are left alone.
        bwdif = self._graph.add("bwdif", "mode=send_frame:deint=interlaced")
        sink = self._graph.add("buffersink")
        source.link_to(bwdif)
        bwdif.link_to(sink)
        self._graph.configure()
        self._passed_over = 0

    def fits(self, frame: VideoFrame) -> bool:
        return _kind(frame) == self._kind

    def open_with(self, previous: VideoFrame) -> None:
        """Show it the frame before the first, which has been given already."""
        self._passed_over = 1
        self._graph.push(previous)

    def push(self, frame: VideoFrame) -> Iterator[VideoFrame]:
        self._graph.push(frame)
        yield from self._ready()

    def rest(self) -> Iterator[VideoFrame]:
        self._graph.push(None)
        yield from self._ready()

    def _ready(self) -> Iterator[VideoFrame]:
        while True:
            try:
                frame = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            if self._passed_over:
                self._passed_over -= 1
            elif isinstance(frame, VideoFrame):
                yield frame


def _kind(frame: VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name
