"""Numbers as colours: errors, flows and occlusion maps turned into pictures, uint8 (H, W, 3)."""

import colorsys

import numpy as np
from torch import Tensor

from engine.metrics import Array

ERROR_SCALE = 0.3
"""The mean absolute difference that is shown brightest."""

_HEAT = np.array([(8, 8, 24), (66, 15, 117), (170, 38, 105), (240, 110, 50), (252, 240, 170)])
_HUES = np.array([colorsys.hsv_to_rgb(hue / 256, 1, 1) for hue in range(256)])  # (256, 3)


def error_picture(result: Tensor, truth: Tensor) -> np.ndarray:
    """Where two frames (C, H, W) differ: from black through red to yellow."""
    error = (result - truth).abs().mean(dim=0).numpy() / ERROR_SCALE  # (H, W)
    levels = np.clip(error, 0, 1) * (len(_HEAT) - 1)
    channels = [np.interp(levels, np.arange(len(_HEAT)), column) for column in _HEAT.T]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def flow_picture(flow: Array) -> np.ndarray:
    """How each pixel of a backward flow (H, W, 2) has moved, as a colour on the wheel.

    The hue is the direction, red to the right; the deeper, the further: full at an eighth of the
    picture. White has not moved.
    """
    height, width = flow.shape[:2]
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    moved = np.stack([x, y], axis=-1) - flow  # (H, W, 2), halves of the picture
    return _wheel_colours(4 * moved)


def colour_wheel(size: int) -> np.ndarray:
    """The colours of every direction and length, on white."""
    x, y = np.meshgrid(np.linspace(-1, 1, size), np.linspace(-1, 1, size))
    wheel = _wheel_colours(np.stack([x, y], axis=-1))
    wheel[np.hypot(x, y) > 1] = 255
    return wheel


def map_picture(values: Array) -> np.ndarray:
    """A map (H, W) in [0, 1] from black to white."""
    grey = (np.clip(values, 0, 1) * 255).round().astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


def _wheel_colours(vectors: Array) -> np.ndarray:
    """White for the vector 0, the full hue of its direction from length 1 on."""
    turns = np.arctan2(vectors[..., 1], vectors[..., 0]) / (2 * np.pi)
    hues = _HUES[np.floor(turns % 1 * 256).astype(int) % 256]  # (H, W, 3)
    depth = np.clip(np.linalg.norm(vectors, axis=-1), 0, 1)[..., None]
    return (255 * (1 - depth * (1 - hues))).round().astype(np.uint8)
