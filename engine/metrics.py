"""How far a result is from the truth: one small function for each number that papers report.

Frames are float (C, H, W) in [0, 1]. docs/evaluation.md has the formulas.
"""

import functools
import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.floating]

MAX_PSNR = 100.0
"""What a frame without any error counts in dB, so that means stay finite; 8-bit frames differ by
less than that only if they are equal."""

_SIGMA, _RADIUS = 1.5, 5  # of SSIM's window, pixels
_SSIM_C1, _SSIM_C2 = 0.01**2, 0.03**2


class Measured(NamedTuple):
    """A mean, and how many things it is the mean of; nothing was measured where `weight` is 0."""

    value: float
    weight: float = 1.0


NOTHING = Measured(0.0, 0.0)


# ----- of frames


def l1(result: Tensor, truth: Tensor) -> float:
    """Mean absolute difference, in [0, 1]; the papers' reconstruction error."""
    return (result - truth).abs().mean().item()


def psnr(result: Tensor, truth: Tensor) -> float:
    """Peak signal-to-noise ratio, -10 log10 of the mean squared difference, in dB; at most 100."""
    mse = (result - truth).square().mean().item()
    return min(-10 * math.log10(mse), MAX_PSNR) if mse else MAX_PSNR


def ssim(result: Tensor, truth: Tensor) -> float:
    """Mean structural similarity, at most 1 (Wang et al. 2004: a Gaussian window, sigma 1.5).

    It equals scikit-image's structural_similarity with gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False, data_range=1 for each channel, and is ten times as fast.

    Raises:
        ValueError: the frames are smaller than the window.
    """
    height, width = result.shape[1:]
    if min(height, width) <= 2 * _RADIUS:
        raise ValueError(f"frames of {width}x{height} pixels, but SSIM looks at 11x11")
    # A channel at a time, since its four maps fit into a core's cache.
    channels = zip(result.float(), truth.float(), strict=True)
    return sum(_ssim_of_channel(x, y) for x, y in channels) / len(result)


def temporal_error(
    result: Tensor, previous_result: Tensor, truth: Tensor, previous_truth: Tensor
) -> float:
    """Mean |(p_t - p_t-1) - (g_t - g_t-1)|: how wrong the change since the last frame is."""
    return ((result - previous_result) - (truth - previous_truth)).abs().mean().item()


def _ssim_of_channel(x: Tensor, y: Tensor) -> float:
    """The mean over all places of the window in x and y (H, W)."""
    # Far from zero, float32 would lose the variance of flat places.
    level_x, level_y = x.mean(), y.mean()
    x, y = x - level_x, y - level_y
    maps = torch.stack([x, y, x * x + y * y, x * y])  # (4, H, W)
    mean_x, mean_y, squares, product = _smooth(_smooth(maps, 1), 2)  # (H - 10, W - 10) each
    covariance = product - mean_x * mean_y
    variances = squares - mean_x * mean_x - mean_y * mean_y
    mean_x, mean_y = mean_x + level_x, mean_y + level_y
    similarity = (2 * mean_x * mean_y + _SSIM_C1) * (2 * covariance + _SSIM_C2)
    similarity /= (mean_x * mean_x + mean_y * mean_y + _SSIM_C1) * (variances + _SSIM_C2)
    return similarity.mean().item()


def _smooth(maps: Tensor, dim: int) -> Tensor:
    """Weigh with the window along one dimension, where all of it fits."""
    # Sums of shifted copies: torch's own convolutions take five times as long for one channel.
    size = maps.shape[dim] - 2 * _RADIUS
    weights = _window()
    smooth = maps.narrow(dim, _RADIUS, size) * weights[0]
    for offset in range(1, _RADIUS + 1):
        before = maps.narrow(dim, _RADIUS - offset, size)
        smooth.add_(before + maps.narrow(dim, _RADIUS + offset, size), alpha=weights[offset])
    return smooth


@functools.cache
def _window() -> list[float]:
    """The weight of a pixel at distance 0, 1, ..., 5 from the middle."""
    weights = [math.exp(-0.5 * (distance / _SIGMA) ** 2) for distance in range(_RADIUS + 1)]
    total = weights[0] + 2 * sum(weights[1:])
    return [weight / total for weight in weights]


# ----- of keypoints and features; a keypoint that was not found is NaN


def keypoint_distance(result: Array, truth: Array) -> Measured:
    """AKD: mean distance of the keypoints (K, 2) that were found in both, in their unit."""
    both = _found(result) & _found(truth)
    if not both.any():
        return NOTHING
    distances = np.linalg.norm(result[both] - truth[both], axis=1)
    return Measured(float(distances.mean()), float(both.sum()))


def missing_keypoints(result: Array, truth: Array) -> Measured:
    """MKR: of the keypoints (K, 2) found in the truth, the share missing in the result."""
    wanted = _found(truth)
    if not wanted.any():
        return NOTHING
    return Measured(float((wanted & ~_found(result)).sum() / wanted.sum()), float(wanted.sum()))


def feature_distance(result: Array, truth: Array) -> Measured:
    """AED: Euclidean distance of two feature vectors (D,); nothing where either is NaN."""
    difference = result - truth
    if np.isnan(difference).any():
        return NOTHING
    return Measured(float(np.linalg.norm(difference)))


def _found(keypoints: Array) -> NDArray[np.bool_]:
    return np.logical_and.reduce(np.isfinite(keypoints), axis=1)  # (K,)


# ----- of flows and occlusion maps


def end_point_error(predicted: Array, truth: Array, where: NDArray[np.bool_]) -> Measured:
    """EPE: mean distance in pixels of two flows of points (H, W, 2) in [-1, 1], on some pixels."""
    if not where.any():
        return NOTHING
    height, width = where.shape
    unit = (np.array([width, height]) - 1) / 2  # pixels
    distances = np.linalg.norm((predicted - truth)[where] * unit, axis=1)
    return Measured(float(distances.mean()), float(where.sum()))


class RocArea:
    """The area under the ROC curve, gathered piece by piece in bounded memory.

    It is the chance that a positive scores higher than a negative, ties counting half: 0.5 for
    guessing, 1 for scores that separate the two. Scores nearer than 1 / 65536 count as tied.
    """

    _BINS = 65536

    def __init__(self) -> None:
        self._positive = np.zeros(self._BINS, np.int64)
        self._negative = np.zeros(self._BINS, np.int64)

    def add(self, scores: Array, positive: NDArray[np.bool_]) -> None:
        """Count scores in [0, 1] and whether each is of a positive; arrays of one shape."""
        bins = (np.clip(scores, 0, 1) * (self._BINS - 1)).round().astype(np.int64)
        self._positive += np.bincount(bins[positive], minlength=self._BINS)
        self._negative += np.bincount(bins[~positive], minlength=self._BINS)

    def value(self) -> float | None:
        """The area; None while either kind is missing."""
        pairs = float(self._positive.sum()) * float(self._negative.sum())
        if not pairs:
            return None
        lower = np.cumsum(self._negative) - self._negative / 2
        return float((self._positive * lower).sum() / pairs)
