"""What is animated, as files and as the networks see it: a picture, and a driving video."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from engine.clip import Clip, open_cut_clip
from engine.framing import Box, choose_box
from engine.image import read_image, resize_frame


class Scene(NamedTuple):
    """A picture, uint8 (H, W, 3), of which the networks see the part `box`, and what moves it."""

    picture: np.ndarray
    box: Box
    clip: Clip

    def source(self) -> np.ndarray:
        """What the networks see of the picture, uint8 (h, w, 3)."""
        return resize_frame(self.box.cut(self.picture), self.clip.size)


@contextmanager
def open_scene(
    source_image: Path,
    driving_video: Path,
    *,
    frame_shape: tuple[int, int, int],
    crop_source: Box | None = None,
    crop_driving: Box | None = None,
) -> Iterator[Scene]:
    """Open a picture and a driving video, each cut to the aspect of the networks' frames.

    Args:
        frame_shape: (H, W, C) of the networks' frames.
        crop_source, crop_driving: the part to take; None for the middle.

    Raises:
        UserError: one of them cannot be read, or lacks the part that is asked for.
    """
    picture = read_image(source_image)
    size = (picture.shape[0], picture.shape[1])
    box = choose_box(size, frame_shape[:2], chosen=crop_source, name=source_image)
    with open_cut_clip(driving_video, frame_shape=frame_shape, chosen=crop_driving) as clip:
        yield Scene(picture, box, clip)
