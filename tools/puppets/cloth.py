"""The shirt: its colours and its pattern, the same on the trunk and on the sleeves."""

import numpy as np
from numpy.typing import NDArray

from tools.puppets.colour import mix, rgb
from tools.puppets.figure import Look
from tools.puppets.patch import Patch
from tools.puppets.shapes import Point, ramp

Array = NDArray[np.floating]

LIGHT: Point = (-0.6, -0.75)


def shirt_cloth(look: Look, patch: Patch) -> Array:
    """The cloth (H, W, 3) that would cover the whole patch."""
    shirt, accent = rgb(look.wardrobe.shirt), rgb(look.wardrobe.accent)
    return mix(shirt, accent, 0.92 * _pattern(look, patch))


def _pattern(look: Look, patch: Patch) -> Array:
    """Share (H, W) of the accent colour in the cloth of a repeating pattern."""
    pitch, x, y = look.pattern_pitch, patch.x, patch.y
    fade = patch.soft / pitch
    if look.pattern == "stripes":
        return ramp(np.abs((y / pitch) % 1 - 0.5), 0.28 + fade / 2, 0.28 - fade / 2)
    if look.pattern == "dots":
        row = np.floor(y / pitch / 0.7)
        across = (x / pitch + 0.5 * (row % 2) + 0.5) % 1 - 0.5
        down = ((y / pitch / 0.7) % 1 - 0.5) * 0.7
        return ramp(np.hypot(across, down), 0.2 + fade / 2, 0.2 - fade / 2)
    if look.pattern == "checks":
        bars = [ramp(np.abs((z / pitch) % 1 - 0.5), 0.25 + fade, 0.25 - fade) for z in (x, y)]
        return 0.42 * (bars[0] + bars[1])
    return np.zeros_like(x)
