"""Rendering: a puppet in motion as pictures, together with the truth about every pixel."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tools.puppets.backdrop import paint_backdrop
from tools.puppets.figure import Identity
from tools.puppets.paint import paint_parts
from tools.puppets.patch import Texture
from tools.puppets.skeleton import PART_NAMES, Motion, depth_order, pose
from tools.puppets.truth import Truth, joint_visibility

Array = NDArray[np.floating]

TEXELS_PER_PIXEL = 0.8
"""Texels to a body height for each pixel of the frame's side: one to a pixel at 80 percent."""


class Clip(NamedTuple):
    """T frames (T, size, size, 3) uint8 RGB, and what is true about them."""

    frames: NDArray[np.uint8]
    truth: Truth


def render(identity: Identity, motion: Motion, size: int) -> Clip:
    """The identity performing the motion, `size` pixels square; the same scene at every size."""
    textures = paint_parts(identity, TEXELS_PER_PIXEL * size)
    backdrop = paint_backdrop(identity.backdrop, size)
    look = identity.look
    posed = pose(identity.body, motion, skirt=look.bottom == "skirt")
    order = [PART_NAMES.index(name) for name in depth_order(identity.near, tucked=look.tucked)]
    count = len(motion.height)
    frames = np.empty((count, size, size, 3), np.uint8)
    part_index = np.zeros((count, size, size), np.uint8)
    inverses = _to_pixels(posed.affines, size)
    for t in range(count):
        canvas = backdrop.copy()
        for part in order:
            _draw_part(
                canvas, part_index[t], textures[PART_NAMES[part]], inverses[t, part], part + 1
            )
        frames[t] = np.rint(canvas * 255)
    truth = Truth(
        joints=posed.joints,
        visible=joint_visibility(posed.joints, part_index),
        part_affine=posed.affines,
        part_index=part_index,
        figure_height=motion.height,
        depth_order=np.array(order) + 1,
    )
    return Clip(frames, truth)


def _to_pixels(affines: Array, size: int) -> Array:
    """Maps (T, P, 2, 3) from a part's plane to pixels, column and row, in place of [-1, 1]."""
    half = (size - 1) / 2
    pixels = affines * half
    pixels[..., 2] += half
    return pixels


def _draw_part(
    canvas: Array, index: NDArray[np.uint8], texture: Texture, affine: Array, label: int
) -> None:
    """Composite one part over the canvas (H, W, 3), and label its pixels, both in place."""
    texels, (x0, y0), density = texture
    rows, columns = texels.shape[:2]
    reach = np.array([[x0, y0], [x0 + columns / density, y0 + rows / density]])
    corners = affine[:, :2] @ np.array([reach[[0, 0, 1, 1], 0], reach[[0, 1, 0, 1], 1]])
    corners = corners + affine[:, 2:]
    low = np.maximum(np.ceil(corners.min(axis=1)).astype(int), 0)
    high = np.minimum(np.floor(corners.max(axis=1)).astype(int) + 1, canvas.shape[0])
    if np.any(low >= high):
        return
    a, b, c, d = affine[:, :2].ravel()
    area = a * d - b * c
    across = (np.arange(low[0], high[0]) - affine[0, 2]) * density / area
    down = ((np.arange(low[1], high[1]) - affine[1, 2]) * density / area)[:, None]
    u = (d * across - x0 * density).astype(np.float32) - (b * down).astype(np.float32)  # (h, w)
    v = (a * down - y0 * density).astype(np.float32) - (c * across).astype(np.float32)  # (h, w)
    sample = _bilinear(texels, u, v)  # (h, w, 4)
    share = np.clip(0.5 - sample[..., 3] * np.sqrt(abs(area)), 0, 1)  # (h, w)
    window = (slice(low[1], high[1]), slice(low[0], high[0]))
    canvas[window] += (sample[..., :3] - canvas[window]) * share[..., None]
    index[window][share >= 0.5] = label


def _bilinear(texels: Array, u: Array, v: Array) -> Array:
    """Texels (h, w, 4) at columns `u` and rows `v`; beyond the border, the border's."""
    rows, columns = texels.shape[:2]
    u, v = np.clip(u, 0, columns - 1.001), np.clip(v, 0, rows - 1.001)
    column, row = u.astype(np.int32), v.astype(np.int32)
    right = (u - column)[..., None]
    below = (v - row)[..., None]
    flat = texels.reshape(-1, 4)
    start = row * np.int32(columns) + column
    top, bottom = (_between(flat, start + step, right) for step in (0, columns))
    bottom -= top
    bottom *= below
    return top + bottom


def _between(flat: Array, start: NDArray[np.int32], share: Array) -> Array:
    """From each texel (`share` 0) to its right neighbour (`share` 1)."""
    left = flat.take(start, axis=0, mode="clip")
    right = flat.take(start + 1, axis=0, mode="clip")
    right -= left
    right *= share
    return left + right
