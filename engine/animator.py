"""Encode a source once, then step through driving frames: the one inference loop."""

import logging
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import islice

import torch
from torch import Tensor

from engine.compilation import can_compile, compile_networks
from engine.device import place
from modules.folding import fold
from modules.generator import OcclusionAwareGenerator, Source
from modules.keypoint_detector import KPDetector
from modules.keypoints import Keypoints, MotionTransfer, transfer_motion

DEFAULT_BATCH_SIZE = 4

_log = logging.getLogger(__name__)


class Animator:
    """Moves still pictures. It keeps nothing of a clip, so it can serve several at a time.

    It runs folded copies of the networks (modules/folding.py); those it is given stay as they are.

    Args:
        kp_detector, generator: trained.
        device: where they run.
        batch_size: driving frames generated at a time.
        precision: of weights and feature maps. What a half precision cannot hold is computed again
            in float32, with a warning.
        compile: let torch.compile fuse what it can; the first batch then takes a minute longer.

    Attributes:
        kp_detector, generator: what it runs: folded copies.
        compiled: whether they are, which they are only if asked for and if this machine can.
    """

    def __init__(
        self,
        *,
        kp_detector: KPDetector,
        generator: OcclusionAwareGenerator,
        device: torch.device,
        batch_size: int = DEFAULT_BATCH_SIZE,
        precision: torch.dtype = torch.float32,
        compile: bool = False,
    ) -> None:
        self.device = device
        self.batch_size = batch_size
        self.precision = precision
        self.kp_detector = place(fold(kp_detector, dtype=precision), device)
        self.generator = place(fold(generator, dtype=precision), device)
        self._trained = kp_detector, generator
        self.compiled = compile and can_compile(device)
        if self.compiled:
            compile_networks(self.kp_detector, self.generator)

    @torch.inference_mode()
    def encode(self, image: Tensor) -> Source:
        """Prepare a source picture (C, H, W) in [0, 1] for any number of driving frames."""
        keypoints = self.detect(image)
        batch = place(image.unsqueeze(0), self.device)  # (1, C, H, W)
        features = self.generator.encode(batch)
        if not self._is_finite(features).all():
            features = self._exact.generator.encode(batch)
        return Source(batch, features, keypoints)

    @torch.inference_mode()
    def detect(self, image: Tensor) -> Keypoints:
        """The keypoints of one picture (C, H, W) in [0, 1]."""
        batch = place(self._padded(image.unsqueeze(0)), self.device)
        keypoints = self.kp_detector(batch).at(0)
        return keypoints if self._is_finite(*keypoints).all() else self._exact.detect(image)

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
            if reference is None:
                reference = self.detect(batch[0])
            yield from self._predict(source, batch, reference, options)

    def _predict(
        self, source: Source, batch: Tensor, reference: Keypoints, options: MotionTransfer
    ) -> Tensor:
        """The predictions (B, C, H, W), on the CPU, for driving frames (B, C, H, W)."""
        kp_driving = self.kp_detector(place(self._padded(batch), self.device))
        keypoints = transfer_motion(source.keypoints, kp_driving, reference, options)
        generated = self.generator.decode(source.expand(len(keypoints.value)), keypoints)
        flow = None if generated.motion is None else generated.motion.deformation
        finite = self._is_finite(*kp_driving, flow, generated.prediction)[: len(batch)]
        predictions = generated.prediction[: len(batch)].cpu().contiguous()
        for index in (~finite).nonzero().flatten().tolist():
            frame = batch[index : index + 1]
            predictions[index] = self._exact._predict(source, frame, reference, options)[0]
        return predictions

    def _is_finite(self, *values: Tensor | None) -> Tensor:
        """Whether half precision could hold all values (B, ...) of each image: (B,).

        In float32 there is nothing better to turn to, so it need not be asked.
        """
        present = [value for value in values if value is not None]
        finite = torch.ones(len(present[0]), dtype=torch.bool, device=self.device)
        if self.precision != torch.float32:
            for value in present:
                finite &= value.flatten(1).isfinite().all(dim=1)
        return finite

    def _padded(self, batch: Tensor) -> Tensor:
        """A small batch filled up: compiled code is for one size."""
        missing = self.batch_size - len(batch)
        if not self.compiled or missing == 0:
            return batch
        return torch.cat([batch, batch[-1:].expand(missing, -1, -1, -1)])  # (batch_size, C, H, W)

    @cached_property
    def _exact(self) -> "Animator":
        """The same in float32, for what half precision cannot hold."""
        _log.warning("values too large for %s: computing those frames in float32", self.precision)
        kp_detector, generator = self._trained
        return Animator(kp_detector=kp_detector, generator=generator, device=self.device)

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
