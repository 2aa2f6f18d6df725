"""Where a background is painted: coordinates, dice, noise and a few common strokes."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tools.puppets.colour import mix, rgb
from tools.puppets.shapes import Noise, ramp

Array = NDArray[np.floating]


class Scene(NamedTuple):
    """Where to paint: coordinates (H, W) in [-1, 1], y down; the width of a sample; the dice."""

    x: Array
    y: Array
    soft: float
    rng: np.random.Generator

    def noise(self, across: float, down: float, octaves: int = 4) -> Array:
        """Fresh noise in [-1, 1], with that many cells over half the width and half the height."""
        field = Noise(self.rng)
        return field(self.x[0] * across, self.y[:, 0] * down, octaves=octaves, gain=0.55) * 2


def pick_tone(scene: Scene, *colours: str) -> Array:
    return rgb(colours[int(scene.rng.integers(len(colours)))])


def fall(scene: Scene, top: Array, bottom: Array, low: float = -1, high: float = 1) -> Array:
    return mix(top, bottom, ramp(scene.y, low, high))
