"""Which driving frame to start from: the one whose pose is most like the source's.

Relative motion carries over how the driving object has changed since one of its frames. In that
frame source and driving object should therefore hold the same pose, or all others are off by the
difference. The keypoints tell, for any kind of object that they were learned on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from engine.animator import Tracked
from modules.keypoints import Keypoints, hull_area

# In units of the frame's half sides, as keypoints are: half a pixel at 256 x 256. Layouts smaller
# than that are points, whose shape is noise.
_SMALLEST_SIZE = 0.004


class BestFrame(NamedTuple):
    """A driving frame: its number, and its keypoints (1, K, ...)."""

    number: int
    keypoints: Keypoints


def find_best_frame(source: Keypoints, video: Iterable[Tracked]) -> BestFrame | None:
    """Find the frame whose keypoints lie most like the source's, in one pass.

    Of frames alike, the first one. None for a video without frames.

    Args:
        source: of the source picture, B = 1.
        video: what Animator.track gives.
    """
    layout = normalized_layout(source.value[0].cpu())
    best: BestFrame | None = None
    least, start = math.inf, 0
    for frames, keypoints in video:
        for index, points in enumerate(keypoints.value.cpu()):
            distance = _distance(normalized_layout(points), layout)
            if best is None or distance < least:
                best, least = BestFrame(start + index, keypoints.at(index)), distance
        start += len(frames)
    return best


def normalized_layout(points: Tensor) -> Tensor:
    """Points (K, 2), centred and divided by the root of the area that they span.

    Points that span none, such as two, or some on a line, are divided by how far they lie from
    their centre; points that all coincide stay in their centre. What is not finite stays so.
    """
    if not points.isfinite().all():
        return torch.full_like(points, math.nan)
    centred = points - points.mean(dim=0)
    spread = centred.square().sum(dim=1).mean().sqrt().item()
    if spread < _SMALLEST_SIZE:
        return torch.zeros_like(points)
    size = math.sqrt(hull_area(points))
    return centred / (size if size >= _SMALLEST_SIZE else spread)


def _distance(layout: Tensor, other: Tensor) -> float:
    """The mean distance of points; infinite where some are not finite."""
    distance = (layout - other).norm(dim=1).mean().item()
    return distance if math.isfinite(distance) else math.inf
