"""Encode a source once, then step through driving frames: the one inference loop."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from operator import itemgetter
from typing import NamedTuple

import torch
from torch import Tensor

from engine.compilation import can_compile, compile_networks
from engine.description import Description
from engine.device import place
from engine.errors import UserError
from engine.smoothing import OneEuro, SmoothingState, smooth
from modules.folding import fold
from modules.generator import OcclusionAwareGenerator, Source
from modules.keypoint_detector import KPDetector
from modules.keypoints import Keypoints, MotionTransfer, transfer_motion

DEFAULT_BATCH_SIZE = 4

_log = logging.getLogger(__name__)


class Smoothing(NamedTuple):
    """That keypoints are to be smoothed, how much, and when each frame is shown, in seconds."""

    times: Sequence[float]
    settings: OneEuro


class Tracked(NamedTuple):
    """A batch of driving frames and where their keypoints are.

    Attributes:
        frames: (B, C, H, W) in [0, 1], on the CPU.
        keypoints: of them, on the device; smoothed where that was asked for.
    """

    frames: Tensor
    keypoints: Keypoints


class Step(NamedTuple):
    """A driving frame and what became of the source; images (C, H, W) in [0, 1] on the CPU."""

    driving: Tensor
    keypoints: Keypoints  # of the driving frame, (1, K, ...), on the CPU
    prediction: Tensor


class Animator:
    """Moves still pictures. It keeps nothing of a clip, so it can serve several at a time.

    It runs folded copies of the networks (modules/folding.py); those it is given stay as they are.

    Args:
        kp_detector, generator: trained.
        device: where they run.
        batch_size: driving frames generated at a time.
        precision: of the generator's weights and feature maps. Frames that a half precision cannot
            hold are computed again in float32, with a warning. Keypoints are always found in
            float32: it costs a thirtieth of the time, and rounding would make them tremble.
        compile: let torch.compile fuse what it can; the first batch then takes a minute longer.
        description: what the networks are, where that is known.

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
        description: Description | None = None,
    ) -> None:
        self.device = device
        self.description = description
        self.batch_size = batch_size
        self.precision = precision
        self.kp_detector = place(fold(kp_detector), device)
        on_cpu = device.type == "cpu"
        self.generator = place(fold(generator, dtype=precision, winograd=on_cpu), device)
        self._trained = kp_detector, generator
        self.compiled = compile and can_compile(device, asked="--compile")
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
        return self.kp_detector(batch).at(0)

    @torch.inference_mode()
    def track(
        self, frames: Iterable[Tensor], *, smoothing: Smoothing | None = None
    ) -> Iterator[Tracked]:
        """Follow the keypoints through a video, its frames (C, H, W) in [0, 1] read as needed."""
        state: SmoothingState | None = None
        start = 0
        for batch in _batches(frames, self.batch_size):
            found = self.kp_detector(place(self._padded(batch), self.device))
            keypoints = found.map(itemgetter(slice(len(batch))))
            if smoothing is not None:
                times = smoothing.times[start : start + len(batch)]
                keypoints, state = smooth(keypoints, times, smoothing.settings, state)
                start += len(batch)
            yield Tracked(batch, keypoints)

    @torch.inference_mode()
    def steps(
        self,
        source: Source,
        frames: Iterable[Tensor],
        options: MotionTransfer,
        *,
        reference: Keypoints | None = None,
        smoothing: Smoothing | None = None,
    ) -> Iterator[Step]:
        """Move a source as the driving frames move.

        Args:
            source: what `encode` returned.
            frames: (C, H, W) in [0, 1] each, read as they are needed.
            options: how motion is carried over.
            reference: the keypoints of the driving frame that the source's pose stands for; the
                first frame's where it is not given.
            smoothing: of the driving keypoints over time, if wanted.
        """
        for batch, kp_driving in self.track(frames, smoothing=smoothing):
            if reference is None:
                reference = kp_driving.at(0)
            keypoints = transfer_motion(source.keypoints, kp_driving, reference, options)
            predictions = self._predict(source, keypoints)
            shown = kp_driving.map(Tensor.cpu)
            for index, frame in enumerate(batch):
                yield Step(frame, shown.at(index), predictions[index])

    def animate(
        self,
        source: Source,
        frames: Iterable[Tensor],
        options: MotionTransfer,
        *,
        reference: Keypoints | None = None,
    ) -> Iterator[Tensor]:
        """Do as `steps`, and give the predictions (C, H, W) alone."""
        for step in self.steps(source, frames, options, reference=reference):
            yield step.prediction

    @torch.inference_mode()
    def move(self, source: Source, keypoints: Keypoints) -> Tensor:
        """Move a source so that its keypoints lie there, (1, K, ...): one picture (C, H, W)."""
        return self._predict(source, keypoints.map(lambda part: part.to(self.device)))[0]

    def _predict(self, source: Source, keypoints: Keypoints) -> Tensor:
        """The predictions (B, C, H, W), on the CPU, for the keypoints of B driving frames.

        Raises:
            UserError: they are not finite.
        """
        count = len(keypoints.value)
        padded = keypoints.map(self._padded)
        generated = self.generator.decode(source.expand(len(padded.value)), padded)
        flow = None if generated.motion is None else generated.motion.deformation
        finite = self._is_finite(flow, generated.prediction)[:count]
        predictions = generated.prediction[:count].cpu().contiguous()
        for index in (~finite).nonzero().flatten().tolist():
            predictions[index] = self._exact._predict(source, keypoints.at(index))[0]
        if not predictions.isfinite().all():
            raise UserError(
                "the networks predict NaN or infinite values, in float32, too; take an earlier "
                "checkpoint of the run, or another one"
            )
        return predictions

    def _is_finite(self, *values: Tensor | None) -> Tensor:
        """Whether half precision could hold all values (B, ...) of each image: (B,).

        In float32 there is nothing better to turn to, so it need not be asked.
        """
        present = [value for value in values if value is not None]
        if self.precision == torch.float32:
            return torch.ones(len(present[0]), dtype=torch.bool)
        return torch.stack([value.flatten(1).isfinite().all(dim=1) for value in present]).all(dim=0)

    def _padded(self, batch: Tensor) -> Tensor:
        """What belongs to a small batch (B, ...), filled up: compiled code is for one size."""
        missing = self.batch_size - len(batch)
        if not self.compiled or missing == 0:
            return batch
        return torch.cat([batch, batch[-1:].expand(missing, *batch.shape[1:])])

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
