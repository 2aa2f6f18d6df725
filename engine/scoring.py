"""Scores of whole videos, gathered frame by frame, and their means over all frames."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import NamedTuple

import torch
from torch import Tensor

from engine.detectors import Detector, FrameId
from engine.device import place
from engine.errors import UserError
from engine.metrics import (
    NOTHING,
    Array,
    Measured,
    feature_distance,
    keypoint_distance,
    l1,
    missing_keypoints,
    psnr,
    ssim,
    temporal_error,
)
from modules.lpips import LPIPS


class Series(NamedTuple):
    """A metric of each frame of a video, and how much each weighs; both as long as the video."""

    values: tuple[float, ...]
    weights: tuple[float, ...]

    def mean(self) -> float | None:
        """The weighted mean; None where nothing could be measured."""
        return _weighted_mean(zip(self.values, self.weights, strict=True))

    def shown(self) -> list[float | None]:
        """The values, None where there was nothing to measure."""
        return [v if w else None for v, w in zip(self.values, self.weights, strict=True)]


class VideoScore(NamedTuple):
    """All that was measured of one video; the series by their names in score_words.KINDS."""

    name: str
    num_frames: int
    series: Mapping[str, Series]

    def means(self) -> dict[str, float | None]:
        return {kind: series.mean() for kind, series in self.series.items()}


FrameMetric = Callable[[Tensor, Tensor], Mapping[str, Measured]]
"""Measures a result against the truth, (C, H, W) in [0, 1]; called for a video's frames in order"""

MetricOfVideo = Callable[[str], FrameMetric]
"""Makes a metric for the video of that name."""


def score_video(
    name: str, pairs: Iterable[tuple[Tensor, Tensor]], metrics: Sequence[MetricOfVideo]
) -> VideoScore:
    """Measure a video, given as pairs of result and truth, holding two pairs at a time.

    Raises:
        UserError: a frame holds values that are not finite, or what was measured is not.
    """
    measures = [metric(name) for metric in metrics]
    found: dict[str, list[Measured]] = {}
    num_frames = 0
    for result, truth in pairs:
        for side, frame in (("result", result), ("truth", truth)):
            check_finite(frame, f"{name}: frame {num_frames} of the {side}")
        for measure in measures:
            for kind, measured in measure(result, truth).items():
                _check_number(measured, f"{name}: {kind} of frame {num_frames}")
                found.setdefault(kind, []).append(measured)
        num_frames += 1
    series = {
        kind: Series(tuple(m.value for m in column), tuple(m.weight for m in column))
        for kind, column in found.items()
    }
    return VideoScore(name, num_frames, series)


def check_finite(frame: Tensor, what: str) -> None:
    """Raise UserError if a frame holds values that are not finite; `what` names it."""
    if not frame.isfinite().all():
        raise UserError(f"{what} holds NaN or infinite values; make it again")


def _check_number(measured: Measured, what: str) -> None:
    if not math.isfinite(measured.value):
        raise UserError(f"{what} is {measured.value}; mend the weights or the file it is from")


def total_means(scores: Iterable[VideoScore]) -> dict[str, float | None]:
    """The mean of each metric over all frames of all videos, as the papers have it."""
    columns: dict[str, list[tuple[float, float]]] = {}
    for score in scores:
        for kind, series in score.series.items():
            columns.setdefault(kind, []).extend(zip(*series, strict=True))
    return {kind: _weighted_mean(column) for kind, column in columns.items()}


def _weighted_mean(column: Iterable[tuple[float, float]]) -> float | None:
    total, count = 0.0, 0.0
    for value, weight in column:
        total, count = total + weight * value, count + weight
    return total / count if count else None


# ----- metrics of a video


class PixelMetrics:
    """L1, that of copying one picture, PSNR, SSIM and temporal error.

    Args:
        name: of the video.
        still: the picture that copying would show; None for the true first frame.

    Raises:
        UserError: when called, the frames are too small for SSIM.
    """

    def __init__(self, name: str, *, still: Tensor | None = None) -> None:
        self._name, self._still = name, still
        self._previous: tuple[Tensor, Tensor] | None = None

    def __call__(self, result: Tensor, truth: Tensor) -> dict[str, Measured]:
        self._still = truth if self._still is None else self._still
        change = NOTHING
        if self._previous is not None:
            change = Measured(temporal_error(result, self._previous[0], truth, self._previous[1]))
        self._previous = result, truth
        try:
            similarity = ssim(result, truth)
        except ValueError as error:
            raise UserError(f"{self._name}: {error}; evaluate larger frames") from error
        return {
            "l1": Measured(l1(result, truth)),
            "copy_l1": Measured(l1(self._still, truth)),
            "psnr": Measured(psnr(result, truth)),
            "ssim": Measured(similarity),
            "temporal": change,
        }


def perceptual_metric(network: LPIPS, device: torch.device) -> MetricOfVideo:
    """LPIPS, computed on a device."""
    network = place(network, device)

    @torch.inference_mode()
    def measure(result: Tensor, truth: Tensor) -> dict[str, Measured]:
        batches = (place(frame.unsqueeze(0), device) for frame in (result, truth))  # (1, C, H, W)
        return {"lpips": Measured(network(*batches).item())}

    return lambda name: measure


def keypoint_metric(detector: Detector) -> MetricOfVideo:
    """AKD and MKR of the keypoints that a detector finds."""

    def measure(result: Array, truth: Array) -> dict[str, Measured]:
        return {
            "akd": keypoint_distance(result, truth),
            "mkr": missing_keypoints(result, truth),
        }

    return _on_findings(detector, measure)


def feature_metric(detector: Detector) -> MetricOfVideo:
    """AED of the features that a detector finds."""
    return _on_findings(detector, lambda *found: {"aed": feature_distance(*found)})


def _on_findings(
    detector: Detector, measure: Callable[[Array, Array], Mapping[str, Measured]]
) -> MetricOfVideo:
    """Compare what is found in the frames in place of the frames."""

    def for_video(name: str) -> FrameMetric:
        numbers = count()

        def compare(result: Tensor, truth: Tensor) -> Mapping[str, Measured]:
            number = next(numbers)
            return measure(
                detector(result, FrameId("result", name, number)),
                detector(truth, FrameId("truth", name, number)),
            )

        return compare

    return for_video
