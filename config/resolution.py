"""What follows from the frames' size: the keys that say `auto`.

The networks that find keypoints and motion look at 64 pixels, whatever the size of the frames, so
that weights trained at one size start a run at another; frames are compared down to 32 pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

AUTO = "auto"
LARGEST_SIDE = 8192  # pixels
_MOTION_SIZE = 64  # pixels
_COARSEST = 32  # pixels
_SCALES = ("train_params", "scales")
_SCALED = (
    ("model_params", "kp_detector_params"),
    ("model_params", "generator_params", "dense_motion_params"),
)


def with_derived(tree: Any) -> Any:
    """A copy of a tree of plain values with numbers in place of `auto`.

    Where there is no usable frame_shape, `auto` stays: the schema names what is wrong.
    """
    shape = _at(tree, ("dataset_params", "frame_shape"))
    if not isinstance(shape, list | tuple) or not all(_is_side(side) for side in shape[:2]):
        return tree
    size = min(shape[:2], default=0)
    scale = 1 / max(1, round(size / _MOTION_SIZE))
    halvings = max(0, (size // _COARSEST).bit_length() - 1)
    derived = {(*path, "scale_factor"): scale for path in _SCALED}
    for path, value in {**derived, _SCALES: [0.5**i for i in range(halvings + 1)]}.items():
        if _at(tree, path) == AUTO:
            tree = _replaced(tree, path, value)
    return tree


def _is_side(value: object) -> bool:
    return isinstance(value, int) and 0 <= value <= LARGEST_SIDE


def _at(tree: Any, path: tuple[str, ...]) -> Any:
    """What stands at a path; None where nothing does."""
    for name in path:
        tree = tree.get(name) if isinstance(tree, Mapping) else None
    return tree


def _replaced(tree: Any, path: tuple[str, ...], value: object) -> Any:
    """A copy of a tree with another value at a path that it has."""
    if not path:
        return value
    name, *rest = path
    return {**tree, name: _replaced(tree[name], tuple(rest), value)}
