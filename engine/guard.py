"""Signs that a training goes wrong: steps that have to be skipped, keypoints that are lost."""

from typing import NamedTuple

import torch
from torch import Tensor

from engine.errors import UserError

MAX_SKIPPED = 10  # steps in a row
# Half of the frame is 1. At the beginning keypoints lie close together: they get this many steps.
SMALLEST_SPREAD, FIRST_CHECK = 0.05, 500
EDGE = 0.98
LARGEST_SHARE_AT_EDGE = 0.5


def check_skipped(in_a_row: int, offender: str, way_on: str) -> None:
    """See that not too many steps were skipped.

    Args:
        in_a_row: how many, up to now.
        offender: what was not finite in the last one.
        way_on: how a person can go on.

    Raises:
        UserError: there is no hope that the next one is better.
    """
    if in_a_row < MAX_SKIPPED:
        return
    raise UserError(
        f"{offender}: not finite in {in_a_row} steps in a row; {way_on} and lower learning rates "
        "(--set train_params.lr_generator=1e-4 ...), train_params.grad_clip=1 or "
        "train_params.precision=fp32"
    )


class KeypointState(NamedTuple):
    """Where the keypoints of a batch are, each a scalar.

    Attributes:
        spread: root mean square distance of an image's keypoints from their centre; 1 is half of
            the frame.
        at_edge: the share of keypoints at the frame's edge or beyond.
    """

    spread: Tensor
    at_edge: Tensor


def keypoint_state(points: Tensor) -> KeypointState:
    """Look at keypoints (B, K, 2) in [-1, 1]."""
    points = points.detach().float()
    offsets = points - points.mean(1, keepdim=True)  # (B, K, 2)
    spread = offsets.square().sum(-1).mean(-1).sqrt().mean()
    at_edge = (points.abs().amax(-1) > EDGE).float().mean()
    return KeypointState(torch.as_tensor(spread), torch.as_tensor(at_edge))


def keypoint_warnings(step: int, spread: float, at_edge: float) -> dict[str, str]:
    """What to worry about, by name, in words that say what to do."""
    warnings = {}
    if step >= FIRST_CHECK and spread < SMALLEST_SPREAD:
        warnings["keypoints_collapsed"] = (
            f"keypoints lie within {spread:.3f} of each other (1 is half of the frame) and cannot "
            "show motion; raise loss_weights.perceptual or lower equivariance_value and "
            "equivariance_jacobian"
        )
    if step >= FIRST_CHECK and at_edge > LARGEST_SHARE_AT_EDGE:
        warnings["keypoints_leave"] = (
            f"{at_edge:.0%} of the keypoints lie at the edge of the frame or beyond; lower "
            "lr_kp_detector, or go on from an earlier checkpoint"
        )
    return warnings
