"""What follows from the frames' size: the keys that say `auto`.

The networks that find keypoints and motion look at 64 pixels, whatever the size of the frames, so
that weights trained at one size start a run at another; frames are compared down to 32 pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

AUTO = "auto"
_MOTION_SIZE = 64  # pixels
_COARSEST = 32  # pixels
_SCALED = (
    ("model_params", "kp_detector_params"),
    ("model_params", "generator_params", "dense_motion_params"),
)


def with_derived(tree: Any) -> Any:
    """A copy of a tree of plain values with numbers in place of `auto`.

    Where there is no usable frame_shape, `auto` stays: the schema names what is wrong.
    """
    shape = _at(tree, ("dataset_params",)).get("frame_shape")
    if not isinstance(shape, list) or not all(isinstance(side, int) for side in shape[:2]):
        return tree
    tree, size = deepcopy(tree), min(shape[:2], default=0)
    for path in _SCALED:
        section = _at(tree, path)
        if section.get("scale_factor") == AUTO:
            section["scale_factor"] = 1 / max(1, round(size / _MOTION_SIZE))
    training = _at(tree, ("train_params",))
    if training.get("scales") == AUTO:
        halvings = max(0, (size // _COARSEST).bit_length() - 1)
        training["scales"] = [0.5**i for i in range(halvings + 1)]
    return tree


def _at(tree: Any, path: tuple[str, ...]) -> dict[str, Any]:
    """The section at a path, to be changed in place; an empty one where there is none."""
    for name in path:
        tree = tree.get(name) if isinstance(tree, Mapping) else None
    return tree if isinstance(tree, dict) else {}
