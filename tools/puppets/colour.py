"""Colours: skin, hair, wardrobes that go together, and how far two colours are apart."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from skimage.color import rgb2lab

Array = NDArray[np.floating]


class Wardrobe(NamedTuple):
    """Colours that were chosen to be worn together, as hex strings."""

    shirt: str
    accent: str
    bottom: str
    shoes: str


SKIN = ("#f8d7bd", "#f1c5a1", "#e5ad82", "#d19468", "#b0744b", "#875236", "#64402c")

HAIR = ("#231c20", "#3a2722", "#5c3826", "#84492a", "#c06a30", "#dcae62", "#ead9b0", "#a8a2a0")

WARDROBES = (
    Wardrobe("#e6a63a", "#fbeed3", "#2f3d63", "#c2502f"),
    Wardrobe("#cf5a3c", "#f9e6cf", "#3f618d", "#f3ece1"),
    Wardrobe("#24897f", "#f4dfb8", "#3a3946", "#e0894a"),
    Wardrobe("#f27d6b", "#fdf0e1", "#573a63", "#f4c95d"),
    Wardrobe("#3e7d57", "#f3e7cd", "#b98550", "#5c3a2a"),
    Wardrobe("#63aad3", "#fdf8ee", "#28365a", "#e05a47"),
    Wardrobe("#9a83cb", "#fbeede", "#3b3a6a", "#f0a8a0"),
    Wardrobe("#d33f49", "#fdf3e3", "#2d4468", "#f7efe6"),
    Wardrobe("#f0a0ae", "#fff4ea", "#7c2f4b", "#fbe3c8"),
    Wardrobe("#f6ecdc", "#2b4770", "#c8493a", "#2b4770"),
    Wardrobe("#2d4373", "#f2b84b", "#c9693b", "#f5eada"),
    Wardrobe("#f4c443", "#d8482f", "#3f7d8c", "#fdf2df"),
    Wardrobe("#8cb369", "#fbf1d9", "#4d4a63", "#d96c4a"),
    Wardrobe("#3b3a4a", "#ef8354", "#d8b384", "#f2ead9"),
    Wardrobe("#1f7a8c", "#ffd9a0", "#a63d40", "#fbeee0"),
    Wardrobe("#e98a5b", "#3d405b", "#3d405b", "#f4e3c5"),
)


def rgb(colour: str) -> Array:
    """`#rrggbb` as three floats in [0, 1]."""
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], dtype=np.float32) / 255


def mix(first: Array, second: Array, amount: Array | float) -> Array:
    """From `first` (amount 0) to `second` (amount 1); `amount` may be a map (H, W)."""
    weight = np.asarray(amount, dtype=np.float32)[..., None]
    return first + (second - first) * weight


def darker(colour: Array, amount: float) -> Array:
    """A shadow of the colour: less light, and a little towards a cool violet, as in daylight."""
    return mix(colour * (1 - amount), rgb("#3a2a55"), 0.25 * amount)


def lighter(colour: Array, amount: Array | float) -> Array:
    """A highlight of the colour, a little towards a warm white."""
    return mix(colour, rgb("#fff3df"), amount)


def distance(first: Array, second: Array) -> Array:
    """How different colours (..., 3) look: the Euclidean distance in CIE Lab."""
    return np.linalg.norm(rgb2lab(first) - rgb2lab(second), axis=-1)
