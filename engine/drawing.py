"""Keypoints drawn into pictures, each in its colour and with a dark rim."""

from __future__ import annotations

import colorsys

import numpy as np

_RIM_COLOUR = np.zeros(3, np.uint8)
_LAST_HUE = 0.85  # red to violet; the rest of the circle would look like red again


def spectrum(count: int) -> np.ndarray:
    """Colours from red to violet, (count, 3), uint8."""
    hues = _LAST_HUE * np.arange(count) / max(count - 1, 1)
    colours = [colorsys.hsv_to_rgb(hue, 1, 1) for hue in hues]
    return np.rint(255 * np.array(colours)).astype(np.uint8).reshape(count, 3)


def draw_points(
    picture: np.ndarray, centres: np.ndarray, colours: np.ndarray, *, size: float
) -> np.ndarray:
    """A picture with points on it.

    Args:
        picture: uint8 (H, W, 3); stays as it is.
        centres: (K, 2), (x, y) in pixels. What is not finite, or outside, is not drawn.
        colours: (K, 3), uint8.
        size: radius of a point, in pixels of a picture whose shorter side is 256; it grows and
            shrinks with the picture, but stays visible.
    """
    canvas = picture.astype(np.float32)
    radius = max(1.5, size * min(picture.shape[:2]) / 256)
    for centre, colour in zip(centres, colours, strict=True):
        _paint_disc(canvas, centre, radius + 1, _RIM_COLOUR)
        _paint_disc(canvas, centre, radius, colour)
    return canvas.round().astype(np.uint8)


def _paint_disc(canvas: np.ndarray, centre: np.ndarray, radius: float, colour: np.ndarray) -> None:
    """Paint a smooth disc into a float picture (H, W, 3), in place."""
    if not np.isfinite(centre).all():
        return
    bounds = canvas.shape[1::-1]
    low = np.clip(np.floor(centre - radius - 1), 0, bounds).astype(int)
    high = np.clip(np.ceil(centre + radius + 2), 0, bounds).astype(int)
    part = canvas[low[1] : high[1], low[0] : high[0]]
    y, x = np.ogrid[low[1] : low[1] + part.shape[0], low[0] : low[0] + part.shape[1]]
    distance = np.hypot(x - centre[0], y - centre[1])
    cover = np.clip(radius + 0.5 - distance, 0, 1)[..., None].astype(np.float32)
    part += cover * (colour - part)
