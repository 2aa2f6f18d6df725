"""Smoothing takes jitter away, follows motion closely, and depends on nothing but what was."""

import math
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from engine.smoothing import OneEuro, smooth
from modules.keypoints import Keypoints

FPS, NUM_FRAMES, K = 25, 200, 10
TIMES = [index / FPS for index in range(NUM_FRAMES)]


def effort(fps: int) -> Tensor:
    """How much of their speed points have in the frames of eight seconds: all for two, none..."""
    return torch.sigmoid(8 * torch.sin(math.pi / 2 * torch.arange(8 * fps) / fps))


def trajectory(fps: int = FPS) -> Keypoints:
    """Points that circle and turn for two seconds, rest for two, and so on."""
    moving = effort(fps)
    angle = 2 * math.pi * 0.3 * moving.cumsum(0)[:, None] / fps + torch.linspace(0, 6, K)
    value = 0.25 * torch.stack([angle.sin(), angle.cos()], dim=-1)  # (T, K, 2)
    turn = 0.4 * angle.sin()
    rows = [[turn.cos(), -turn.sin()], [turn.sin(), turn.cos()]]
    jacobian = torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)  # (T, K, 2, 2)
    return Keypoints(value, jacobian)


def with_noise(keypoints: Keypoints) -> Keypoints:
    torch.manual_seed(0)
    assert keypoints.jacobian is not None
    return Keypoints(
        keypoints.value + 0.01 * torch.randn_like(keypoints.value),
        keypoints.jacobian + 0.05 * torch.randn_like(keypoints.jacobian),
    )


def filtered(keypoints: Keypoints, times: list[float] = TIMES) -> Keypoints:
    return smooth(keypoints, times, OneEuro())[0]


def jitter(found: Tensor, truth: Tensor) -> float:
    """How much the error changes from frame to frame, as a root of mean squares."""
    return (found - truth).diff(dim=0).square().mean().sqrt().item()


def lag(found: Tensor, truth: Tensor) -> float:
    """By how many frames the truth must be delayed to be most like what was found."""

    def error(delay: float) -> float:
        whole = int(delay)
        delayed = truth[10 - whole : -whole or None].lerp(
            truth[9 - whole : -whole - 1], delay - whole
        )
        return (found[10:] - delayed[-len(found) + 10 :]).square().sum().item()

    return min((step / 10 for step in range(80)), key=error)


def test_jitter_falls_by_half_at_a_lag_of_under_two_frames() -> None:
    truth = trajectory()
    noisy = with_noise(truth)
    found = filtered(noisy)
    for part, shaky, true in zip(found, noisy, truth, strict=True):
        assert part is not None and shaky is not None and true is not None
        assert jitter(part, true) < 0.5 * jitter(shaky, true)
        assert 0.1 < lag(part, true) < 2
    assert lag(truth.value.roll(3, dims=0), truth.value) == pytest.approx(3)


@pytest.mark.parametrize("fps", [8, 10, 25, 30, 60])
def test_it_does_so_at_any_rate(fps: int) -> None:
    """Of what rests: where points start and stop within a frame or two, what is late shakes too."""
    truth = trajectory(fps)
    noisy = with_noise(truth)
    times = [index / fps for index in range(8 * fps)]
    found, _ = smooth(noisy, times, OneEuro.at_rate(Fraction(fps)))
    resting = effort(fps) < 0.02
    assert 0.3 < resting.float().mean() < 0.6
    for part, shaky, true in zip(found, noisy, truth, strict=True):
        assert part is not None and shaky is not None and true is not None
        shakes, shook = ((value - true).diff(dim=0)[resting[1:]] for value in (part, shaky))
        assert shakes.square().mean().sqrt() < 0.45 * shook.square().mean().sqrt()
        assert lag(part, true) < 2


def test_the_first_frame_and_what_rests_stay_as_they_are() -> None:
    resting = Keypoints(torch.rand(1, K, 2).expand(9, -1, -1), None)
    found = filtered(resting, TIMES[:9])
    assert found.jacobian is None
    assert torch.equal(found.value, resting.value)


def test_it_is_causal_and_its_state_is_all_that_it_remembers() -> None:
    noisy = with_noise(trajectory())
    whole = filtered(noisy)
    state, start, parts = None, 0, []
    for count in (1, 4, 7, 30):
        batch = noisy.map(lambda part, at=slice(start, start + count): part[at])  # type: ignore[misc]
        part, state = smooth(batch, TIMES[start : start + count], OneEuro(), state)
        parts.append(part)
        start += count
    assert torch.equal(torch.cat([part.value for part in parts]), whole.value[:start])


def test_frames_further_apart_in_time_are_smoothed_less() -> None:
    noisy = with_noise(trajectory())
    slow = filtered(noisy, [4 * time for time in TIMES])
    assert jitter(slow.value, noisy.value) < 0.8 * jitter(filtered(noisy).value, noisy.value)


def test_two_frames_at_one_time_are_no_division_by_zero() -> None:
    noisy = with_noise(trajectory())
    found = filtered(noisy, [0.0] * NUM_FRAMES)
    assert found.value.isfinite().all()


def test_the_direction_of_a_step_is_kept() -> None:
    """One cut-off for x and y: else a diagonal path would bend."""
    path = torch.zeros(3, 1, 2)
    path[1:, 0] = torch.tensor([0.3, 0.1])
    found = filtered(Keypoints(path, None), TIMES[:3]).value[1:, 0]
    assert torch.allclose(found[:, 0], 3 * found[:, 1])
    assert 0 < found[0, 0] < found[1, 0] < 0.3
