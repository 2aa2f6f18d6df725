"""Animated pictures: GIF, WebP, PNG and AVIF. Their frames build on each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from engine.compressed_video import CompressedReader
from engine.container import open_container
from engine.frame_index import at_constant_rate, decoding
from engine.image import open_picture, to_rgb, upright
from engine.video_reader import VideoReader, unreadable

_MILLISECOND = Fraction(1, 1000)
_UNTIMED = 100  # milliseconds, for a frame that is to last none at all; browsers do so


class GifReader(CompressedReader):
    """An animated GIF. To show one frame takes decoding all before it."""

    seekable = False

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
        self.is_still = self.num_frames == 1


class AnimationReader(VideoReader):
    """An animated WebP, PNG or AVIF, which Pillow decodes from its start.

    Opening it decodes it once: when its frames are shown is written with each of them.
    """

    seekable = False

    def __init__(self, path: Path) -> None:
        self.path = path
        begins: list[Fraction] = []
        end = Fraction(0)
        for image in self._images():
            begins.append(Fraction(image.info.get("timestamp", end)))
            lasts = Fraction(image.info.get("duration", 0)).limit_denominator(1000)
            end = begins[-1] + lasts
            self.width, self.height = upright(image).size
        delays = [after - before or _UNTIMED for before, after in pairwise([*begins, end])]
        moments = list(accumulate([Fraction(0), *delays]))  # milliseconds
        self.num_frames = len(begins)
        self.fps = self.num_frames / (moments[-1] * _MILLISECOND)
        ticks = [round(moment) for moment in moments]
        if not at_constant_rate(ticks, self.fps, tick=_MILLISECOND):
            self.times = tuple(moment * _MILLISECOND for moment in moments)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (to_rgb(upright(image)) for image in self._images())

    def _read_frames(self, indices: Sequence[int]) -> list[np.ndarray]:
        wanted = set(indices)
        if not wanted:
            return []
        images = zip(range(max(wanted) + 1), self._images(), strict=False)
        found = {number: to_rgb(upright(image)) for number, image in images if number in wanted}
        return [found[index].copy() for index in indices]

    def _images(self) -> Iterator[Image.Image]:
        """Decode the frames in order, each valid until the next."""
        with unreadable(), open_picture(self.path) as image:
            # A PNG may begin with a picture for programs that know no animation.
            first = 1 if image.info.get("default_image") else 0
            for number in range(first, getattr(image, "n_frames", 1)):
                image.seek(number)
                image.load()
                yield image
