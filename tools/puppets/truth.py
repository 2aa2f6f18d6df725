"""The truth about a clip: joints, parts, and the exact flow and visibility between its frames."""

from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tools.puppets.skeleton import JOINT_NAMES, PART_NAMES, SIDES

Array = NDArray[np.floating]

JOINT_PARTS: dict[str, tuple[str, ...]] = {
    "head_top": ("head",),
    "neck": ("neck", "torso", "head"),
}
for _side in SIDES:
    JOINT_PARTS |= {
        f"{_side}_shoulder": (f"{_side}_upper_arm", "torso"),
        f"{_side}_elbow": (f"{_side}_upper_arm", f"{_side}_forearm"),
        f"{_side}_wrist": (f"{_side}_forearm", f"{_side}_hand"),
        f"{_side}_hip": (f"{_side}_thigh", "hips", "torso"),
        f"{_side}_knee": (f"{_side}_thigh", f"{_side}_shin"),
        f"{_side}_ankle": (f"{_side}_shin", f"{_side}_shoe"),
    }


class Truth(NamedTuple):
    """What is true about T frames of H x W pixels with J joints and P parts.

    Points are (x, y) in [-1, 1], y down, -1 and 1 being the centres of the first and last pixel.

    joints (T, J, 2): in the order of `skeleton.JOINT_NAMES`.
    visible (T, J): whether the joint's own part, and not another limb, is what its pixel shows.
    part_affine (T, P, 2, 3): from the plane of a part (body heights) to the picture, in the order
        of `skeleton.PART_NAMES`. A part is a rigid picture: this is all that ever happens to it.
    part_index (T, H, W) uint8: what a pixel shows, 0 the background, 1..P a part.
    figure_height (T,): the standing height, in the units of the points.
    depth_order (P,): values of `part_index` from back to front.
    """

    joints: Array
    visible: NDArray[np.bool_]
    part_affine: Array
    part_index: NDArray[np.uint8]
    figure_height: Array
    depth_order: NDArray[np.integer]


def save_truth(file: IO[bytes], truth: Truth) -> None:
    """Write a compressed `.npz` with the fields of `Truth`, `joint_names` and `part_names`."""
    np.savez_compressed(
        file,
        joint_names=np.array(JOINT_NAMES),
        part_names=np.array(PART_NAMES),
        joints=truth.joints,
        visible=truth.visible,
        part_affine=truth.part_affine,
        part_index=truth.part_index,
        figure_height=truth.figure_height,
        depth_order=truth.depth_order,
    )


def load_truth(path: Path) -> Truth:
    """Read what `save_truth` wrote."""
    with path.open("rb") as file, np.load(file) as archive:  # It closes no file that is damaged.
        return Truth(**{name: archive[name] for name in Truth._fields})


def joint_visibility(joints: Array, part_index: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether each joint (T, J, 2) lies on one of its own parts in the index map (T, H, W)."""
    size = part_index.shape[1]
    pixels = np.clip(np.rint((joints + 1) * (size - 1) / 2), 0, size - 1).astype(int)
    shown = part_index[np.arange(len(joints))[:, None], pixels[..., 1], pixels[..., 0]]  # (T, J)
    own = np.zeros((len(JOINT_NAMES), len(PART_NAMES) + 1), bool)
    for joint, name in enumerate(JOINT_NAMES):
        own[joint, [PART_NAMES.index(part) + 1 for part in JOINT_PARTS[name]]] = True
    return own[np.arange(len(JOINT_NAMES)), shown]


def backward_flow(truth: Truth, *, source: int, driving: int) -> tuple[Array, NDArray[np.bool_]]:
    """The exact flow (H, W, 2) from one frame back to another, and where it is visible (H, W).

    `flow[y, x]` is the point of frame `source` that shows what pixel (x, y) of frame `driving`
    shows: on part p it is A_source,p A_driving,p^-1 z; on the background it is z. It is visible
    where all four pixels of frame `source` around that point show the same part (or background).
    """
    index = truth.part_index[driving]
    size = index.shape[0]
    line = np.linspace(-1, 1, size)
    grid = np.stack(np.meshgrid(line, line), axis=-1)  # (H, W, 2)
    maps = part_motion(truth, source=source, driving=driving)[index]  # (H, W, 2, 3)
    flow = maps[..., 0] * grid[..., :1] + maps[..., 1] * grid[..., 1:] + maps[..., 2]
    return flow, _shows(truth.part_index[source], flow, index)


def part_motion(truth: Truth, *, source: int, driving: int) -> Array:
    """Maps (P + 1, 2, 3) from frame `driving` to frame `source`; the first is the background's."""
    back = truth.part_affine[driving]
    a, b, c, d = back[:, 0, 0], back[:, 0, 1], back[:, 1, 0], back[:, 1, 1]
    inverse = np.stack([d, -b, -c, a], axis=-1).reshape(-1, 2, 2) / (a * d - b * c)[:, None, None]
    linear = truth.part_affine[source][..., :2] @ inverse  # (P, 2, 2)
    moved = truth.part_affine[source][..., 2:] - linear @ back[..., 2:]  # (P, 2, 1)
    still = np.eye(2, 3)[None]
    return np.concatenate([still, np.concatenate([linear, moved], axis=-1)])


def _shows(index: NDArray[np.uint8], points: Array, parts: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether the four pixels of `index` around each point (H, W, 2) are all of its part."""
    size = index.shape[0]
    # A background pixel maps to itself; rounding must not make it look beyond the frame.
    at = np.round((points + 1) * (size - 1) / 2, 6)
    inside = np.all((at >= 0) & (at <= size - 1), axis=-1)
    low = np.clip(np.floor(at).astype(int), 0, size - 1)
    high = np.clip(np.ceil(at).astype(int), 0, size - 1)
    corners = [index[v[..., 1], u[..., 0]] == parts for u in (low, high) for v in (low, high)]
    return inside & np.logical_and.reduce(corners)
