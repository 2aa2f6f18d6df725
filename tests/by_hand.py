"""What the networks make of a clip, one frame at a time and by the modules alone."""

from collections.abc import Sequence
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import torch
from torch import Tensor

from engine.build import InferenceNetworks, Networks
from modules.keypoints import MotionTransfer, transfer_motion

ABSOLUTE = MotionTransfer(relative=False)
RELATIVE = MotionTransfer()
SCALED = MotionTransfer(adapt_scale=True)
LEVEL = 1 / 255


def as_tensor(frame: np.ndarray) -> Tensor:
    """uint8 (H, W, 3) -> (C, H, W) in [0, 1]."""
    return torch.tensor(frame.transpose(2, 0, 1) / 255, dtype=torch.float32)


def as_frame(image: Tensor) -> np.ndarray:
    """(C, H, W) in [0, 1] -> uint8 (H, W, 3)."""
    return np.round(image.numpy() * 255).astype(np.uint8).transpose(1, 2, 0)


@torch.no_grad()
def animated(
    networks: Networks | InferenceNetworks,
    source: Tensor,
    driving: Sequence[Tensor],
    options: MotionTransfer,
    *,
    reference: int = 0,
) -> Tensor:
    """The prediction for each driving frame, (T, C, H, W), by one whole pass for each."""
    detector, generator = networks.kp_detector, networks.generator
    kp_source = detector(source[None])
    kp_reference = detector(driving[reference][None])
    predictions = []
    for frame in driving:
        moved = transfer_motion(kp_source, detector(frame[None]), kp_reference, options)
        predictions.append(generator(source[None], kp_source, moved).prediction[0])
    return torch.stack(predictions)


def saved_frames(folder: Path) -> Tensor:
    """The lossless frames that a command wrote, (T, C, H, W) in [0, 1], in the order of names."""
    paths = sorted(folder.iterdir())
    assert [path.name for path in paths] == [f"{index:08d}.png" for index in range(len(paths))]
    return torch.stack([as_tensor(iio.imread(path)) for path in paths])


def assert_same(found: Tensor, expected: Tensor, *, tolerance: float = LEVEL) -> None:
    """Compare frames; a level of 255 is what rounding to bytes may cost."""
    assert found.shape == expected.shape
    difference = (found - expected).abs().max().item()
    assert difference <= tolerance, f"off by {difference * 255:.2g} levels"
