"""Gaussian maps of keypoints, and how motion is carried over from one object to another."""

from itertools import product

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from modules.keypoint_detector import mean_position, softmax_over_space
from modules.keypoints import (
    Keypoints,
    MotionTransfer,
    gaussian_maps,
    hull_area,
    movement_scale,
    transfer_motion,
)

SQUARE = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0], [0.2, 0.1]])


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def random_jacobians(batch_size: int = 2, *, num_kp: int = 5) -> Tensor:
    """Not far from the identity."""
    return torch.eye(2) + 0.2 * torch.randn(batch_size, num_kp, 2, 2)


def random_keypoints(batch_size: int = 2, *, num_kp: int = 5) -> Keypoints:
    value = torch.rand(batch_size, num_kp, 2) * 1.6 - 0.8
    return Keypoints(value, random_jacobians(batch_size, num_kp=num_kp))


def without_jacobians(points: Tensor) -> Keypoints:
    """Points (K, 2) of a single image."""
    return Keypoints(points.unsqueeze(0), None)


def one_keypoint(point: list[float], jacobian: list[list[float]]) -> Keypoints:
    return Keypoints(torch.tensor([[point]]), torch.tensor([[jacobian]]))


def test_a_gaussian_goes_in_and_its_mean_comes_out() -> None:
    value = torch.rand(2, 4, 2) - 0.5
    maps = gaussian_maps(Keypoints(value, None), (40, 56), variance=0.01)
    assert maps.shape == (2, 4, 40, 56)
    heatmaps = maps / maps.sum(dim=(2, 3), keepdim=True)
    assert_close(mean_position(heatmaps), value, atol=1e-4, rtol=0)


def test_a_gaussian_is_1_at_its_keypoint_and_falls_off_with_the_variance() -> None:
    value = torch.tensor([[[-0.5, 0.0]]])  # the pixel in row 2, column 1
    (bump,) = gaussian_maps(Keypoints(value, None), (5, 5), variance=0.25)[0]
    assert bump[2, 1] == 1
    assert (bump == 1).sum() == 1
    # One step is one standard deviation here.
    for row, column in product(range(5), range(5)):
        squared_steps = (row - 2) ** 2 + (column - 1) ** 2
        assert_close(bump[row, column], torch.tensor(-0.5 * squared_steps).exp())


def test_x_runs_along_the_width() -> None:
    right = Keypoints(torch.tensor([[[1.0, -1.0]]]), None)
    assert gaussian_maps(right, (3, 4), variance=0.01).argmax() == 3  # the first row's last pixel


def test_softmax_is_over_space_alone() -> None:
    logits = torch.randn(2, 3, 4, 5)
    heatmaps = softmax_over_space(logits)
    assert_close(heatmaps.sum(dim=(2, 3)), torch.ones(2, 3))
    expected = logits.exp() / logits.exp().sum(dim=(2, 3), keepdim=True)
    assert_close(heatmaps, expected)


@pytest.mark.parametrize("adapt_scale", [False, True])
def test_no_movement_leaves_the_source_where_it_is(adapt_scale: bool) -> None:
    source, driving = random_keypoints(1), random_keypoints(1)
    moved = transfer_motion(source, driving, driving, MotionTransfer(adapt_scale=adapt_scale))
    assert torch.equal(moved.value, source.value)
    assert_close(moved.jacobian, source.jacobian)


def test_absolute_transfer_takes_the_driving_keypoints() -> None:
    source, driving, reference = (random_keypoints() for _ in range(3))
    options = MotionTransfer(relative=False, adapt_scale=True)
    assert transfer_motion(source, driving, reference, options) is driving


def test_relative_transfer_by_hand() -> None:
    # No two of the three matrices commute: any other order or side of the inverse shows.
    source = one_keypoint([0.1, 0.2], [[1.0, 1.0], [0.0, 1.0]])
    driving = one_keypoint([0.5, -0.4], [[0.0, -1.0], [1.0, 0.0]])
    reference = one_keypoint([0.2, -0.3], [[2.0, 0.0], [0.0, 1.0]])
    moved = transfer_motion(source, driving, reference, MotionTransfer())
    assert_close(moved, one_keypoint([0.4, 0.1], [[0.0, -1.0], [0.5, 0.5]]))


def test_a_turn_of_the_driving_object_turns_the_source() -> None:
    points, of_source, of_reference = torch.rand(1, 5, 2), random_jacobians(1), random_jacobians(1)
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]])
    source, reference = Keypoints(points, of_source), Keypoints(points, of_reference)
    driving = Keypoints(points, turn @ of_reference)
    moved = transfer_motion(source, driving, reference, MotionTransfer())
    assert_close(moved, Keypoints(points, turn @ of_source))


def test_without_relative_jacobians_the_driving_ones_are_taken() -> None:
    source, driving, reference = (random_keypoints() for _ in range(3))
    options = MotionTransfer(relative_jacobian=False)
    moved = transfer_motion(source, driving, reference, options)
    assert moved.jacobian is driving.jacobian
    assert_close(moved.value, source.value + driving.value - reference.value)


def test_keypoints_of_order_zero_carry_points_alone() -> None:
    source, driving, reference = (without_jacobians(torch.rand(5, 2)) for _ in range(3))
    moved = transfer_motion(source, driving, reference, MotionTransfer(adapt_scale=True))
    assert moved.jacobian is None
    assert moved.value.shape == (1, 5, 2)


def test_one_source_and_reference_serve_a_batch_of_driving_frames() -> None:
    source, reference, driving = random_keypoints(1), random_keypoints(1), random_keypoints(3)
    options = MotionTransfer(adapt_scale=True)
    batch = transfer_motion(source, driving, reference, options)
    for i in range(3):
        alone = transfer_motion(source, driving.at(i), reference, options)
        assert_close(batch.at(i), alone)


def test_adapted_scale_by_hand() -> None:
    # Areas of 4 and 1: the source is twice as large and moves twice as far.
    source, reference = without_jacobians(SQUARE), without_jacobians(SQUARE / 2)
    step = torch.tensor([0.1, -0.05])
    driving = without_jacobians(reference.value[0] + step)
    moved = transfer_motion(source, driving, reference, MotionTransfer(adapt_scale=True))
    assert_close(moved.value[0], SQUARE + 2 * step)
    assert movement_scale(reference, source) == pytest.approx(0.5)


def test_a_driving_object_that_grows_does_not_change_the_scale() -> None:
    reference = without_jacobians(SQUARE / 2)
    driving = without_jacobians(SQUARE)
    moved = transfer_motion(reference, driving, reference, MotionTransfer(adapt_scale=True))
    assert_close(moved.value, driving.value)


def test_the_hull_ignores_what_lies_inside() -> None:
    inside = torch.rand(20, 2) * 1.9 - 0.95
    assert hull_area(torch.cat([inside, SQUARE])) == pytest.approx(4)
    assert hull_area(torch.tensor([[0.0, 0.0], [0.5, 0.0], [0.0, 0.25]])) == pytest.approx(1 / 16)


LINE = torch.linspace(-0.5, 0.5, 5)
DEGENERATE = {
    "on a line": torch.tensor([[-0.5, -0.5], [0.0, 0.0], [0.25, 0.25], [0.5, 0.5]]),
    "on a horizontal line": torch.tensor([[-0.5, 0.25], [0.0, 0.25], [0.75, 0.25]]),
    "coincident": torch.full((5, 2), 0.3),
    "on a line but for rounding": torch.stack([LINE, 0.3 * LINE + 0.1], dim=1),
    "coincident but for rounding": 0.3 + 1e-7 * torch.tensor([[1, 2], [3, 1], [0, 4], [2.5, 3]]),
    "two": torch.tensor([[0.0, 0.0], [0.5, 0.25]]),
    "one": torch.tensor([[0.0, 0.0]]),
}


@pytest.mark.parametrize("points", DEGENERATE.values(), ids=DEGENERATE.keys())
def test_keypoints_that_span_no_area_leave_the_scale_at_1(points: Tensor) -> None:
    flat, square = without_jacobians(points), without_jacobians(SQUARE)
    assert movement_scale(flat, square) == 1
    assert movement_scale(square, flat) == 1


def test_the_keypoints_of_one_image() -> None:
    value, jacobian = torch.rand(3, 5, 2), random_jacobians(3)
    assert_close(Keypoints(value, jacobian).at(1), Keypoints(value[1:2], jacobian[1:2]))
    assert Keypoints(value, None).at(1).jacobian is None


def test_repetition_copies_nothing() -> None:
    value, jacobian = torch.rand(1, 5, 2), random_jacobians(1)
    repeated = Keypoints(value, jacobian).expand(4)
    assert_close(repeated, Keypoints(value.repeat(4, 1, 1), jacobian.repeat(4, 1, 1, 1)))
    assert repeated.value.data_ptr() == value.data_ptr()
    assert Keypoints(value, None).expand(4).jacobian is None


def test_detached_keypoints_are_cut_from_the_graph() -> None:
    value = torch.rand(1, 5, 2, requires_grad=True) * 2
    jacobian = torch.rand(1, 5, 2, 2, requires_grad=True) * 2
    detached = Keypoints(value, jacobian).detach()
    assert not any(tensor.requires_grad for tensor in detached if tensor is not None)
    assert_close(detached, Keypoints(value, jacobian))
    assert Keypoints(value, None).detach().jacobian is None
