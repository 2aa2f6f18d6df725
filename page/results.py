"""What goes between the page and what does its work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from engine.animation import AnimationOptions
from engine.film import Look
from engine.framing import Box
from modules.generator import Source


@dataclass(frozen=True)
class Choices:
    """What a person chose; None for a crop: the middle."""

    options: AnimationOptions
    crop_source: Box | None = None
    crop_driving: Box | None = None


class Preview(NamedTuple):
    """A picture or a video's first frame, to draw a crop on.

    Attributes:
        frame: uint8 (h, w, 3), as small as it is shown.
        size: (H, W) of what it shows.
        box: the part that the networks see if nothing is chosen.
        played: the file that a browser shows.
    """

    frame: np.ndarray
    size: tuple[int, int]
    box: Box
    played: Path

    @property
    def is_cut(self) -> bool:
        """Whether the networks see a part of it alone."""
        return (self.box.height, self.box.width) != self.size


class Seen(NamedTuple):
    """One frame of a film: what goes in, and what the networks see.

    Attributes:
        number: of the frame in the driving video.
        driving, source: uint8 (h, w, 3), as the networks see them.
        driving_keypoints, source_keypoints: (K, 2), (x, y) in [-1, 1].
        look: the rest.
    """

    number: int
    driving: np.ndarray
    driving_keypoints: np.ndarray
    source: np.ndarray
    source_keypoints: np.ndarray
    look: Look


class Subject(NamedTuple):
    """The picture of a visit, as the networks see it, uint8 (h, w, 3), and encoded."""

    frame: np.ndarray
    source: Source
