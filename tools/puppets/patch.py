"""Painting: a rectangle of one part's own plane, its layers, light and cloth."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tools.puppets.colour import darker, lighter, mix
from tools.puppets.shapes import Noise, Point, cover

Array = NDArray[np.floating]
MARGIN = 4


class Texture(NamedTuple):
    """What one part looks like, as a function of its own coordinates alone.

    `texels` (H, W, 4) float32: red, green, blue, and the signed distance to the part's edge in
    body heights, negative inside. Texel (row, column) lies at `origin + (column, row) / density`.
    """

    texels: Array
    origin: Point
    density: float


class Patch:
    """A rectangle of local coordinates, painted from the bottom layer up.

    Lengths are body heights. `x`, `y` (H, W) are the coordinates, `soft` the width over which an
    edge fades so that it survives being seen at `density` samples a body height.
    """

    def __init__(self, low: Point, high: Point, density: float) -> None:
        first = np.floor(np.array(low) * density).astype(int) - MARGIN
        last = np.ceil(np.array(high) * density).astype(int) + MARGIN
        self.density = density
        self.soft = 1.25 / density
        self.origin = (first[0] / density, first[1] / density)
        across = np.arange(first[0], last[0] + 1, dtype=np.float32) / density
        down = np.arange(first[1], last[1] + 1, dtype=np.float32) / density
        self.x, self.y = np.meshgrid(across, down)
        self.rgb: Array = np.zeros((*self.x.shape, 3), np.float32)

    def fill(self, colour: Array) -> None:
        """Paint everything; the colour is (3,) or (H, W, 3)."""
        self.rgb = np.broadcast_to(colour, self.rgb.shape).astype(np.float32)

    def over(self, distance: Array, colour: Array, opacity: float = 1.0) -> None:
        """Paint where the distance is negative, with an edge one sample soft."""
        self.rgb = mix(self.rgb, colour, opacity * cover(distance, self.soft))

    def blend(self, amount: Array | float, colour: Array) -> None:
        """Paint with a share in [0, 1], which may be a map (H, W)."""
        self.rgb = mix(self.rgb, colour, amount)

    def light(self, amount: Array) -> None:
        """Brighten where `amount` (H, W) is positive, shade where it is negative; in [-1, 1]."""
        self.rgb = np.where(
            amount[..., None] > 0,
            lighter(self.rgb, 0.28 * np.clip(amount, 0, 1)),
            _shaded(self.rgb, np.clip(-amount, 0, 1)),
        )

    def weave(self, seed: int, strength: float = 0.035) -> None:
        """Lay the unevenness of real cloth, skin or hair over everything."""
        noise = Noise(np.random.default_rng(seed))
        self.rgb *= (
            1
            + strength
            * 2
            * noise(self.x[0] * 18, self.y[:, 0] * 18, octaves=3, gain=0.7)[..., None]
        )

    def cut(self, distance: Array) -> Texture:
        """The painted part, with `distance` (H, W) as its outline."""
        colour = np.clip(self.rgb, 0, 1)
        texels = np.concatenate([colour, distance[..., None]], axis=-1).astype(np.float32)
        return Texture(np.ascontiguousarray(texels), self.origin, self.density)


def round_light(distance: Array, radius: float, density: float, toward: Point) -> Array:
    """Light (H, W) on a cushion of that outline: `toward` the light positive, away negative."""
    depth = np.clip(-distance / radius, 0, 1)
    height = radius * np.sqrt(1 - (1 - depth) ** 2 + 1e-4)
    slope_y, slope_x = np.gradient(height, 1 / density)
    steep = np.sqrt(1 + slope_x**2 + slope_y**2)
    return -(slope_x * toward[0] + slope_y * toward[1]) / steep


def _shaded(colours: Array, amount: Array) -> Array:
    full = darker(colours, 0.42)
    return mix(colours, full, amount)
