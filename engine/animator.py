"""Encode a source once, then step through driving frames: the one inference loop."""

from collections.abc import Iterable, Iterator
from itertools import islice

import torch
from torch import Tensor

from engine.device import place
from modules.generator import OcclusionAwareGenerator, Source
from modules.keypoint_detector import KPDetector
from modules.keypoints import Keypoints, MotionTransfer, transfer_motion

DEFAULT_BATCH_SIZE = 4


class Animator:
    """Moves still pictures. It keeps nothing of a clip, so it can serve several at a time.

    Args:
        kp_detector, generator: put on `device` and into eval mode.
        device: where they run.
        batch_size: driving frames generated at a time.
    """

    def __init__(
        self,
        *,
        kp_detector: KPDetector,
        generator: OcclusionAwareGenerator,
        device: torch.device,
        batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> None:
        self.kp_detector = place(kp_detector.eval(), device)
        self.generator = place(generator.eval(), device)
        self.device = device
        self.batch_size = batch_size

    @torch.inference_mode()
    def encode(self, image: Tensor) -> Source:
        """Prepare a source picture (C, H, W) in [0, 1] for any number of driving frames."""
        batch = place(image.unsqueeze(0), self.device)  # (1, C, H, W)
        return Source(batch, self.generator.encode(batch), self.kp_detector(batch))

    @torch.inference_mode()
    def detect(self, image: Tensor) -> Keypoints:
        """The keypoints of one picture (C, H, W) in [0, 1]."""
        return self.kp_detector(place(image.unsqueeze(0), self.device))

    @torch.inference_mode()
    def animate(
        self,
        source: Source,
        frames: Iterable[Tensor],
        options: MotionTransfer,
        *,
        reference: Keypoints | None = None,
    ) -> Iterator[Tensor]:
        """Move a source as the driving frames move.

        Args:
            source: what `encode` returned.
            frames: (C, H, W) in [0, 1] each, read as they are needed.
            options: how motion is carried over.
            reference: the keypoints of the driving frame that the source's pose stands for; the
                first frame's where it is not given.

        Yields:
            One prediction (C, H, W) in [0, 1] on the CPU for each frame.
        """
        for batch in _batches(frames, self.batch_size):
            kp_driving = self.kp_detector(place(batch, self.device))
            reference = reference or kp_driving.at(0)
            keypoints = transfer_motion(source.keypoints, kp_driving, reference, options)
            generated = self.generator.decode(source.expand(len(batch)), keypoints)
            yield from generated.prediction.cpu().contiguous()

    def reconstruct(self, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        """Rebuild a video (frames (C, H, W) in [0, 1]) from its first frame: each frame rebuilt."""
        remaining = iter(frames)
        for first in islice(remaining, 1):
            driving = (frame for part in ([first], remaining) for frame in part)
            yield from self.animate(self.encode(first), driving, MotionTransfer(relative=False))


def _batches(frames: Iterable[Tensor], size: int) -> Iterator[Tensor]:
    remaining = iter(frames)
    while batch := list(islice(remaining, size)):
        yield torch.stack(batch)  # (B, C, H, W)
