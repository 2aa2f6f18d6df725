"""What the networks see on the way to a prediction: keypoints, flow and occlusion map."""

from typing import NamedTuple

import torch
from torch import Tensor

from engine.animator import Animator
from engine.device import place
from engine.metrics import Array
from modules.generator import Source
from modules.geometry import resize_flow, resize_map, spatial_size


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


@torch.inference_mode()
def inspect(animator: Animator, source: Source, frames: Tensor) -> Inspected:
    """Look at how a source would be moved to frames (B, C, H, W) in [0, 1], poses as they are."""
    keypoints = animator.kp_detector(place(frames, animator.device))
    network = animator.generator.dense_motion_network
    found = keypoints.value.float().cpu().numpy()
    if network is None:
        return Inspected(found, None, None)
    size = spatial_size(frames)
    sources = source.expand(len(frames))
    motion = network(sources.image, sources.keypoints, keypoints)
    flow = resize_flow(motion.deformation.float(), size).cpu().numpy()
    if motion.occlusion_map is None:
        return Inspected(found, flow, None)
    occlusion_map = resize_map(motion.occlusion_map.float(), size)[:, 0].cpu().numpy()
    return Inspected(found, flow, occlusion_map)
