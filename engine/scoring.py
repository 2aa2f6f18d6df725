"""Scores of whole videos, gathered frame by frame, and their means over all frames."""

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


class Kind(NamedTuple):
    """What a number means.

    Attributes:
        title: how it is headed, with its unit.
        definition: in one sentence.
        lower_is_better: whether it is an error; None for a mark that belongs to the truth alone.
    """

    title: str
    definition: str
    lower_is_better: bool | None = True


KINDS = {
    "l1": Kind("L1", "mean |p - g| over all pixels and frames, values in [0, 1]"),
    "copy_l1": Kind(
        "copy L1", "the L1 of showing the true first frame throughout", lower_is_better=None
    ),
    "psnr": Kind(
        "PSNR dB",
        "-10 log10 of a frame's mean squared error, at most 100; mean over frames",
        lower_is_better=False,
    ),
    "ssim": Kind(
        "SSIM",
        "structural similarity, Gaussian window of sigma 1.5, per channel; mean over frames",
        lower_is_better=False,
    ),
    "lpips": Kind("LPIPS", "learned perceptual distance, version 0.1; mean over frames"),
    "temporal": Kind(
        "temporal", "flicker: mean |(p_t - p_t-1) - (g_t - g_t-1)| over pixels and frames from 1 on"
    ),
    "akd": Kind("AKD px", "mean distance of keypoints found in both, in pixels as evaluated"),
    "mkr": Kind("MKR", "of the keypoints found in the truth, the share missing in the result"),
    "aed": Kind("AED", "mean over frames of the Euclidean distance of identity features"),
}


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
    """All that was measured of one video; the series by their names in KINDS."""

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
        UserError: a frame holds values that are not finite.
    """
    measures = [metric(name) for metric in metrics]
    found: dict[str, list[Measured]] = {}
    num_frames = 0
    for result, truth in pairs:
        for side, frame in (("result", result), ("truth", truth)):
            check_finite(frame, f"{name}: frame {num_frames} of the {side}")
        for measure in measures:
            for kind, measured in measure(result, truth).items():
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
    """

    def __init__(self, name: str, *, still: Tensor | None = None) -> None:
        self._still = still
        self._previous: tuple[Tensor, Tensor] | None = None

    def __call__(self, result: Tensor, truth: Tensor) -> dict[str, Measured]:
        self._still = truth if self._still is None else self._still
        change = NOTHING
        if self._previous is not None:
            change = Measured(temporal_error(result, self._previous[0], truth, self._previous[1]))
        self._previous = result, truth
        return {
            "l1": Measured(l1(result, truth)),
            "copy_l1": Measured(l1(self._still, truth)),
            "psnr": Measured(psnr(result, truth)),
            "ssim": Measured(ssim(result, truth)),
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


# ----- in words


def table(scores: Sequence[VideoScore]) -> str:
    """A line for each video and one for all, under the titles of the metrics."""
    means = total_means(scores)
    frames = sum(score.num_frames for score in scores)
    heads = ["video", "frames", *(KINDS[kind].title for kind in means)]
    rows = [[s.name, str(s.num_frames), *_cells(s.means(), means)] for s in scores]
    rows.append(["all", str(frames), *_cells(means, means)])
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    lines = []
    for first, *rest in [heads, *rows]:
        numbers = (cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
        lines.append("  ".join([first.ljust(widths[0]), *numbers]))
    return "\n".join(lines)


def _cells(values: Mapping[str, float | None], kinds: Iterable[str]) -> list[str]:
    return [in_words(kind, values.get(kind)) for kind in kinds]


def in_words(kind: str, value: float | None) -> str:
    """A number as tables show it: four digits, two for decibels; a dash where there is none."""
    return "-" if value is None else f"{value:.{2 if kind == 'psnr' else 4}f}"


def as_dict(scores: Sequence[VideoScore]) -> dict[str, object]:
    """Everything for a JSON file: total, definitions, each video, each frame."""
    means = total_means(scores)
    return {
        "num_frames": sum(score.num_frames for score in scores),
        **means,
        "definitions": {kind: KINDS[kind].definition for kind in means},
        "videos": [
            {
                "name": score.name,
                "num_frames": score.num_frames,
                **score.means(),
                "frames": {kind: series.shown() for kind, series in score.series.items()},
            }
            for score in scores
        ],
    }
