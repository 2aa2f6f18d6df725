"""Keypoints with local affine motion, their Gaussian maps, and the transfer of their motion."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from modules.geometry import coordinate_grid, inverse_2x2, matrix_times_matrix

# A hundredth of a pixel at 256 x 256; rounding alone gives points on a line that much.
_SMALLEST_AREA = 1e-6


class Keypoints(NamedTuple):
    """K points of each image of a batch, and the affine motion around each.

    Attributes:
        value: (B, K, 2), (x, y) in [-1, 1].
        jacobian: (B, K, 2, 2), or None for a detector of order zero.
    """

    value: Tensor
    jacobian: Tensor | None

    def detach(self) -> "Keypoints":
        """The same keypoints, cut from the graph."""
        return self.map(Tensor.detach)

    def map(self, change: Callable[[Tensor], Tensor]) -> "Keypoints":
        """The same change made to both parts."""
        jacobian = None if self.jacobian is None else change(self.jacobian)
        return Keypoints(change(self.value), jacobian)

    def at(self, index: int) -> "Keypoints":
        """Those of one image of the batch: (1, K, 2) and (1, K, 2, 2)."""
        return self.map(lambda part: part[index : index + 1])

    def expand(self, batch_size: int) -> "Keypoints":
        """The keypoints of one image, repeated for a batch without a copy."""
        jacobian = None if self.jacobian is None else self.jacobian.expand(batch_size, -1, -1, -1)
        return Keypoints(self.value.expand(batch_size, -1, -1), jacobian)


def gaussian_maps(keypoints: Keypoints, size: tuple[int, int], variance: float) -> Tensor:
    """A Gaussian bump of height 1 around each keypoint: (B, K, H, W)."""
    grid = coordinate_grid(size, like=keypoints.value)                           # (H, W, 2)
    offset = grid - keypoints.value[:, :, None, None, :]                          # (B, K, H, W, 2)
    return torch.exp(-0.5 * offset.square().sum(-1) / variance)                   # (B, K, H, W)


class MotionTransfer(NamedTuple):
    """How the motion of a driving video is carried over to a source (design: section 3).

    Attributes:
        relative: move the source's keypoints by the driving video's change since its reference
            frame; otherwise take the driving keypoints as they are.
        relative_jacobian: do so for the jacobians, too.
        adapt_scale: scale the movement by the relative sizes of the two objects.
    """

    relative: bool = True
    relative_jacobian: bool = True
    adapt_scale: bool = False


def transfer_motion(
    source: Keypoints, driving: Keypoints, reference: Keypoints, options: MotionTransfer
) -> Keypoints:
    """The keypoints that the source should take to follow the driving frame.

    p = p_S + s (p_D - p_D0) and J = J_D J_D0^-1 J_S, where D0 is the reference frame of the
    driving video (FOMM, section 3.3).

    Args:
        source: of the source image, B = 1 or the batch size of `driving`.
        driving: of the driving frames.
        reference: of the driving video's reference frame, B = 1 or that of `driving`.
    """
    if not options.relative:
        return driving
    scale = movement_scale(source, reference) if options.adapt_scale else 1.0
    moved = relative_motion(source, driving, reference, scale)
    return moved if options.relative_jacobian else Keypoints(moved.value, driving.jacobian)


def relative_motion(
    source: Keypoints, driving: Keypoints, reference: Keypoints, scale: float | Tensor
) -> Keypoints:
    """The source moved by the change from `reference` to `driving`, its path scaled."""
    value = source.value + scale * (driving.value - reference.value)              # (B, K, 2)
    if driving.jacobian is None or reference.jacobian is None or source.jacobian is None:
        return Keypoints(value, driving.jacobian)
    change = matrix_times_matrix(driving.jacobian, inverse_2x2(reference.jacobian))
    return Keypoints(value, matrix_times_matrix(change, source.jacobian))         # (B, K, 2, 2)


def movement_scale(source: Keypoints, reference: Keypoints) -> float:
    """sqrt(area of the source's hull / area of the reference's hull), of the first batch items.

    1 where either set of keypoints spans no area: there is no size to compare then.
    """
    source_area, reference_area = hull_area(source.value[0]), hull_area(reference.value[0])
    if min(source_area, reference_area) < _SMALLEST_AREA:
        return 1.0
    return math.sqrt(source_area / reference_area)


def hull_area(points: Tensor) -> float:
    """The area of the convex hull of points (K, 2); 0 for fewer than three or points on a line."""
    if len(points) < 3:
        return 0.0
    # Imported here because few runs measure a hull, and the import takes a sixth of a second.
    from scipy.spatial import ConvexHull, QhullError

    try:
        hull = ConvexHull(points.detach().cpu().numpy().astype(np.float64))
    except QhullError:
        return 0.0
    return float(hull.volume)  # scipy calls the measure of any dimension a volume
