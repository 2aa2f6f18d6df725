"""Backgrounds: procedural places, each the same picture at any size."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tools.puppets.indoors import bokeh, bricks, room, studio, wood
from tools.puppets.outdoors import city, forest, hills, seaside
from tools.puppets.scene import Scene
from tools.puppets.shapes import ramp

Array = NDArray[np.floating]
OVERSAMPLING = 2


BACKDROPS: dict[str, Callable[[Scene], Array]] = {
    "hills": hills,
    "seaside": seaside,
    "room": room,
    "bricks": bricks,
    "wood": wood,
    "bokeh": bokeh,
    "studio": studio,
    "city": city,
    "forest": forest,
}


class Backdrop(NamedTuple):
    """Which place it is, and the seed of everything random about it."""

    kind: str
    seed: int


def paint_backdrop(backdrop: Backdrop, size: int) -> Array:
    """The place as (size, size, 3) float32 in [0, 1], every pixel the mean of its own area."""
    pixel = np.arange(size * OVERSAMPLING, dtype=np.float32)
    line = (2 * pixel + 1) / (OVERSAMPLING * (size - 1)) - size / (size - 1)
    x, y = np.meshgrid(line, line)
    scene = Scene(x, y, 2 / (size - 1), np.random.default_rng(backdrop.seed))
    picture = BACKDROPS[backdrop.kind](scene)
    vignette = 1 - 0.13 * ramp(np.hypot(x, y), 0.6, 1.5)
    picture = np.clip(picture * vignette[..., None], 0, 1).astype(np.float32)
    return picture.reshape(size, OVERSAMPLING, size, OVERSAMPLING, 3).mean(axis=(1, 3))
