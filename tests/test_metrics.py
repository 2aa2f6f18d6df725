"""Each metric on cases whose answer is known by hand, and against scikit-image."""

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from engine.metrics import (
    MAX_PSNR,
    NOTHING,
    RocArea,
    end_point_error,
    feature_distance,
    keypoint_distance,
    l1,
    missing_keypoints,
    psnr,
    ssim,
    temporal_error,
)

NAN = float("nan")


def grey(level: float, *, size: int = 16) -> Tensor:
    return torch.full((3, size, size), level)


def noisy(seed: int, *, size: tuple[int, int] = (40, 56)) -> Tensor:
    """A soft picture with some noise in it."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]]
    picture = 0.5 + 0.3 * np.sin(x / 7 + np.arange(3)[:, None, None]) * np.cos(y / 5)
    noise = rng.normal(0, 0.08, picture.shape)
    return torch.tensor(np.clip(picture + noise, 0, 1), dtype=torch.float32)


def test_l1_is_the_mean_absolute_difference() -> None:
    half = torch.cat([grey(0.25)[:, :8], grey(0.75)[:, :8]], dim=1)
    assert l1(half, grey(0.5)) == pytest.approx(0.25)
    assert l1(grey(1.0), grey(0.0)) == 1
    assert l1(noisy(0), noisy(0)) == 0


def test_psnr_of_a_constant_error() -> None:
    assert psnr(grey(0.6), grey(0.5)) == pytest.approx(20, abs=1e-4)
    assert psnr(grey(0.51), grey(0.5)) == pytest.approx(40, abs=1e-3)
    assert psnr(noisy(0), noisy(0)) == MAX_PSNR


def test_psnr_is_that_of_scikit_image() -> None:
    expected = peak_signal_noise_ratio(noisy(1).numpy(), noisy(2).numpy(), data_range=1)
    assert psnr(noisy(2), noisy(1)) == pytest.approx(expected, abs=1e-4)


def test_ssim_of_two_greys() -> None:
    """Without structure only the means count: (2 a b + C1) / (a^2 + b^2 + C1), C1 = 0.0001."""
    expected = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    assert ssim(grey(0.2), grey(0.6)) == pytest.approx(expected, abs=1e-5)
    assert ssim(noisy(0), noisy(0)) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("size", [(11, 11), (40, 56), (64, 64)])
def test_ssim_is_that_of_scikit_image(size: tuple[int, int]) -> None:
    left, right = noisy(1, size=size), noisy(2, size=size)
    expected = structural_similarity(
        left.double().numpy(),
        right.double().numpy(),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1,
        channel_axis=0,
    )
    assert 0.2 < expected < 0.9
    assert ssim(left, right) == pytest.approx(expected, abs=1e-5)


def test_ssim_needs_room_for_its_window() -> None:
    with pytest.raises(ValueError, match="10x12"):
        ssim(torch.zeros(3, 12, 10), torch.zeros(3, 12, 10))


def test_temporal_error_is_that_of_the_change() -> None:
    """A constant offset is no flicker; one that comes and goes is."""
    still = temporal_error(grey(0.7), grey(0.4), grey(0.6), grey(0.3))
    assert still == pytest.approx(0, abs=1e-6)
    flicker = temporal_error(grey(0.7), grey(0.3), grey(0.6), grey(0.3))
    assert flicker == pytest.approx(0.1)


def test_keypoints_found_in_both_are_compared() -> None:
    truth = np.array([[0.0, 0], [10, 0], [5, 5], [NAN, NAN]])
    result = np.array([[3.0, 4], [10, 1], [NAN, NAN], [7, 7]])
    assert keypoint_distance(result, truth) == (3.0, 2)  # (5 + 1) / 2
    assert missing_keypoints(result, truth) == (pytest.approx(1 / 3), 3)
    nowhere = np.full((4, 2), NAN)
    assert keypoint_distance(nowhere, truth) == NOTHING
    assert missing_keypoints(nowhere, truth) == (1.0, 3)
    assert missing_keypoints(truth, nowhere) == NOTHING


def test_feature_distance_is_not_squared() -> None:
    assert feature_distance(np.array([3.0, 0]), np.array([0.0, 4])) == (5.0, 1)
    assert feature_distance(np.array([NAN, 0]), np.array([0.0, 4])) == NOTHING


def test_end_point_error_is_in_pixels() -> None:
    """On 5 x 3 pixels a step of 0.5 is one pixel sideways; up or down, half a pixel."""
    truth = np.zeros((3, 5, 2))
    predicted = np.full((3, 5, 2), (0.5, 0.0))
    predicted[0] = [0, 0.5]
    everywhere = np.ones((3, 5), bool)
    assert end_point_error(predicted, truth, everywhere) == (pytest.approx(2.5 / 3), 15)
    first_row = everywhere.copy()
    first_row[1:] = False
    assert end_point_error(predicted, truth, first_row) == (pytest.approx(0.5), 5)
    assert end_point_error(predicted, truth, ~everywhere) == NOTHING


def test_roc_area_counts_pairs_in_order() -> None:
    """Of the pairs of 0.9, 0.4 and 0.8, 0.4, 0.1, four are in order and one is tied."""
    area = RocArea()
    assert area.value() is None
    area.add(np.array([0.9, 0.8, 0.4]), np.array([True, False, True]))
    area.add(np.array([[0.4], [0.1]]), np.array([[False], [False]]))
    assert area.value() == pytest.approx((3 + 1 + 0.5) / 6)


def test_roc_area_of_the_perfect_the_wrong_and_the_blind() -> None:
    positive = np.arange(100) >= 60
    for scores, expected in (
        (positive * 1.0, 1.0),
        (1 - positive * 1.0, 0.0),
        (np.zeros(100), 0.5),
    ):
        area = RocArea()
        area.add(scores, positive)
        assert area.value() == expected
