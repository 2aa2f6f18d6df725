"""Signed distances of flat shapes, negative inside, and noise that has no resolution."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Point = tuple[float, float]


def cover(distance: Array, soft: float) -> Array:
    """Share of a sample of width `soft` that lies inside, in [0, 1]."""
    return np.clip(0.5 - distance / soft, 0.0, 1.0)


def ramp(values: Array, low: float, high: float) -> Array:
    """Smooth step from 0 at `low` to 1 at `high`, flat beyond; `low` may be above `high`."""
    t = np.clip((values - low) / (high - low), 0.0, 1.0)
    return t * t * (3 - 2 * t)


def ellipse(x: Array, y: Array, centre: Point, radii: Point) -> Array:
    """Distance to an upright ellipse, exact on its edge and to first order near it."""
    u, v = (x - centre[0]) / radii[0], (y - centre[1]) / radii[1]
    norm = np.sqrt(u * u + v * v)
    slope = np.sqrt((u / radii[0]) ** 2 + (v / radii[1]) ** 2)
    return norm * (norm - 1) / np.maximum(slope, 1e-6)


def box(x: Array, y: Array, low: Point, high: Point) -> Array:
    """Distance to an upright rectangle; a bound outside its corners."""
    across = np.maximum(low[0] - x, x - high[0])
    along = np.maximum(low[1] - y, y - high[1])
    return np.maximum(across, along)


def limb(x: Array, y: Array, length: float, radii: Point) -> Array:
    """Distance to two discs, at (0, 0) and (0, length), and the tapered skin around them."""
    across = np.abs(x)
    slope = (radii[0] - radii[1]) / length
    cosine = np.sqrt(1 - slope * slope)
    along = cosine * y - slope * across
    skin = cosine * across + slope * y - radii[0]
    start = np.hypot(across, y) - radii[0]
    end = np.hypot(across, y - length) - radii[1]
    return np.where(along < 0, start, np.where(along > cosine * length, end, skin))


def outline(x: Array, y: Array, points: Sequence[Point] | Array, *, rounding: float = 0.0) -> Array:
    """Distance to a polygon (H, W), its corners rounded by growing it; either winding."""
    a = np.asarray(points)[:, None, None]  # (N, 1, 1, 2)
    edge = np.roll(a, -1, axis=0) - a  # (N, 1, 1, 2)
    px, py = x - a[..., 0], y - a[..., 1]  # (N, H, W)
    ex, ey = edge[..., 0], edge[..., 1]
    along = np.clip((px * ex + py * ey) / (ex * ex + ey * ey), 0, 1)  # (N, H, W)
    nearest = np.min((px - ex * along) ** 2 + (py - ey * along) ** 2, axis=0)  # (H, W)
    crosses = (py >= 0) != (py - ey >= 0)
    left = np.where(ey > 0, ex * py - ey * px > 0, ex * py - ey * px < 0)
    inside = (crosses & left).sum(axis=0) % 2 == 1
    return np.where(inside, -1, 1) * np.sqrt(nearest) - rounding


def curve(points: Sequence[Point], steps: int = 5) -> list[Point]:
    """A closed Catmull-Rom curve through the points, as a polygon with `steps` corners for each."""
    p1 = np.asarray(points, dtype=float)[:, None]
    p0, p2, p3 = np.roll(p1, 1, 0), np.roll(p1, -1, 0), np.roll(p1, -2, 0)
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    bend = 2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2
    smooth = 0.5 * (bend + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
    return [(float(u), float(v)) for u, v in smooth.reshape(-1, 2)]


def mirrored(half: Sequence[Point]) -> list[Point]:
    """The whole outline of which `half` is the right side, listed from top to bottom."""
    return [*half, *((-u, v) for u, v in reversed(half) if u > 1e-9)]


class Noise:
    """Smooth noise in [-1, 1] over the plane, periodic, the same at every sampling density."""

    def __init__(self, rng: np.random.Generator, cells: int = 32) -> None:
        self._lattice = rng.uniform(-1, 1, (cells, cells)).astype(np.float32)

    def __call__(self, x: Array, y: Array, *, octaves: int = 1, gain: float = 0.5) -> Array:
        """Noise (H, W) where the lines x (W,) and y (H,) cross, both counted in cells.

        Each octave doubles the frequency and has `gain` times the weight of the one before.
        """
        total: Array = np.zeros((y.size, x.size), np.float32)
        weight, norm = 1.0, 0.0
        for octave in range(octaves):
            rows = _spline(self._lattice, y * 2**octave + 7.3 * octave)
            total += weight * _spline(rows.T, x * 2**octave + 3.1 * octave).T
            norm += weight
            weight *= gain
        return total / norm


def _spline(rows: Array, at: Array) -> Array:
    """Quadratic B-spline through `rows` (N, M), periodic, at positions (P,) -> (P, M)."""
    nearest = np.floor(at + 0.5)
    t = (at - nearest).astype(np.float32)[:, None]
    index = nearest.astype(int)
    parts = ((-1, 0.5 * (0.5 - t) ** 2), (0, 0.75 - t**2), (1, 0.5 * (0.5 + t) ** 2))
    return sum(rows[(index + step) % len(rows)] * weight for step, weight in parts)
