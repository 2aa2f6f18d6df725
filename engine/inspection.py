"""What the networks see on the way to a prediction: keypoints, motions, masks, flow, occlusion."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from engine.animator import Animator
from engine.device import place
from engine.errors import UserError
from engine.metrics import Array
from modules.dense_motion import DenseMotion
from modules.generator import Source
from modules.geometry import resize_flow, resize_map, spatial_size, warp
from modules.keypoints import Keypoints


class Inspected(NamedTuple):
    """Of B driving frames, at their own size (H, W).

    Attributes:
        keypoints: (B, K, 2), (x, y) in [-1, 1].
        flow: (B, H, W, 2), the point of the source that each pixel shows; None without motion.
        occlusion_map: (B, H, W) in [0, 1], 0 where the source cannot show it; None without.
    """

    keypoints: Array
    flow: Array | None
    occlusion_map: Array | None


class Parts(NamedTuple):
    """Of one frame: the motions that its flow is a mixture of, at the source's size (H, W).

    Attributes:
        masks: (K + 1, H, W), the share of each motion; the background's is first.
        pictures: (K + 1, C, H, W) in [0, 1], the source moved by each motion alone.
        moved: (C, H, W) in [0, 1], the source moved by the flow, before anything is painted in.
    """

    masks: Tensor
    pictures: Tensor
    moved: Tensor


@torch.inference_mode()
def inspect(animator: Animator, source: Source, frames: Tensor) -> Inspected:
    """Look at how a source would be moved to frames (B, C, H, W) in [0, 1], poses as they are.

    Raises:
        UserError: what the networks find is not finite.
    """
    found = inspect_at(animator, source, animator.kp_detector(place(frames, animator.device)))
    if not all(np.isfinite(part).all() for part in found if part is not None):
        raise UserError("the networks find NaN or infinite values; take another checkpoint")
    return found


@torch.inference_mode()
def inspect_at(animator: Animator, source: Source, keypoints: Keypoints) -> Inspected:
    """Look at how a source would be moved so that its keypoints lie there, (B, K, ...)."""
    found = keypoints.value.float().cpu().numpy()
    motion = _motion(animator, source, keypoints)
    if motion is None:
        return Inspected(found, None, None)
    size = spatial_size(source.image)
    flow = resize_flow(motion.deformation.float(), size).cpu().numpy()
    if motion.occlusion_map is None:
        return Inspected(found, flow, None)
    occlusion_map = resize_map(motion.occlusion_map.float(), size)[:, 0].cpu().numpy()
    return Inspected(found, flow, occlusion_map)


@torch.inference_mode()
def inspect_parts(animator: Animator, source: Source, keypoints: Keypoints) -> Parts | None:
    """Take the motion to keypoints (1, K, ...) apart; None for networks without motion."""
    motion = _motion(animator, source, keypoints)
    if motion is None:
        return None
    size = spatial_size(source.image)
    flow = resize_flow(motion.deformation.float(), size)  # (1, H, W, 2)
    return Parts(
        masks=resize_map(motion.mask.float(), size)[0].cpu(),
        pictures=resize_map(motion.sparse_deformed[0].float(), size).cpu(),
        moved=warp(source.image.float(), flow)[0].cpu(),
    )


def _motion(animator: Animator, source: Source, keypoints: Keypoints) -> DenseMotion | None:
    network = animator.generator.dense_motion_network
    if network is None:
        return None
    sources = source.expand(len(keypoints.value))
    there = keypoints.map(lambda part: part.to(animator.device))
    return network(sources.image, sources.keypoints, there)
