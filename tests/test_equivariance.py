"""The random warp that keypoints must follow: of points, of frames, and its jacobian."""

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from modules.equivariance import RandomWarp, WarpDistribution
from modules.geometry import coordinate_grid, warp
from modules.keypoint_detector import mean_position
from modules.keypoints import Keypoints, gaussian_maps

CPU = torch.device("cpu")
MILD = WarpDistribution(sigma_affine=0.05, sigma_tps=0.003, points_tps=5)
NONE = WarpDistribution(sigma_affine=0, sigma_tps=0, points_tps=5)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def random_points(batch_size: int = 2, *, number: int = 7) -> Tensor:
    return torch.rand(batch_size, number, 2) * 1.8 - 0.9


def in_double(warp: RandomWarp) -> RandomWarp:
    return warp._replace(theta=warp.theta.double(), control_params=warp.control_params.double())


def affine(matrix: list[list[float]], shift: list[float]) -> RandomWarp:
    """A z + b with no control points."""
    theta = torch.cat([torch.tensor(matrix), torch.tensor(shift).unsqueeze(1)], dim=1)
    return RandomWarp(theta.unsqueeze(0), torch.zeros(1, 1, 0), 0)


def test_a_warp_without_spread_is_the_identity() -> None:
    warp = NONE.sample(2, CPU)
    points = random_points().requires_grad_()
    assert_close(warp.points(points), points)
    assert_close(warp.jacobian(points), torch.eye(2).expand(2, 7, 2, 2))
    image = torch.rand(2, 3, 9, 12)
    assert_close(warp.frame(image), image, atol=1e-5, rtol=0)


def test_an_affine_warp_by_hand() -> None:
    warp = affine([[2.0, -1.0], [0.5, 1.0]], [0.1, -0.2])
    points = torch.tensor([[[0.0, 0.0], [1.0, 0.5], [-0.5, 1.0]]], requires_grad=True)
    expected = torch.tensor([[[0.1, -0.2], [1.6, 0.8], [-1.9, 0.55]]])
    assert_close(warp.points(points), expected)
    # A itself, not its transpose, at every point.
    jacobian = torch.tensor([[2.0, -1.0], [0.5, 1.0]])
    assert_close(warp.jacobian(points), jacobian.expand(1, 3, 2, 2))


def test_a_thin_plate_by_hand() -> None:
    # The control points are the corners, row by row; only the second, at (1, -1), pulls.
    identity = torch.eye(2, 3).unsqueeze(0)
    warp = RandomWarp(identity, torch.tensor([[[0.0, 0.1, 0.0, 0.0]]]), 2)
    points = torch.tensor([[[1.0, -1.0], [0.0, -1.0], [0.0, 0.0], [0.5, 0.5]]])
    # Distances, |dx| + |dy|: 0, 1, 2 and 2. Both coordinates move by w r^2 log r.
    bump = 0.1 * 4 * math.log(2)
    expected = points + torch.tensor([0.0, 0.0, bump, bump]).view(1, 4, 1)
    assert_close(warp.points(points), expected, atol=1e-5, rtol=0)


def test_points_are_where_the_pixels_went() -> None:
    # The frame under W shows at p what the image has at W(p).
    warp, points = MILD.sample(4, CPU), random_points(4, number=5) / 2
    blobs = gaussian_maps(Keypoints(warp.points(points), None), (64, 80), variance=0.002)
    warped = warp.frame(blobs)
    found = mean_position(warped / warped.sum(dim=(2, 3), keepdim=True))
    assert (warp.points(points) - points).abs().max() > 0.06  # two pixels
    assert_close(found, points, atol=0.01, rtol=0)


def test_a_frame_is_sampled_where_its_pixels_go() -> None:
    image = torch.rand(2, 3, 9, 14)
    random_warp = MILD.sample(2, CPU)
    pixels = coordinate_grid((9, 14), like=image).view(1, -1, 2).expand(2, -1, -1)
    points = random_warp.points(pixels).view(2, 9, 14, 2)
    assert_close(random_warp.frame(image), warp(image, points, padding_mode="reflection"))


def test_beyond_the_border_the_image_is_mirrored() -> None:
    ramp = torch.tensor([1.0, 2.0, 3.0, 4.0]).expand(1, 1, 2, 4)
    two_pixels_right = affine([[1.0, 0.0], [0.0, 1.0]], [2 * 2 / 3, 0.0])
    warped = two_pixels_right.frame(ramp)
    assert_close(warped[0, 0, 0], torch.tensor([3.0, 4.0, 3.0, 2.0]), atol=1e-5, rtol=0)


def test_the_jacobian_is_that_of_finite_differences() -> None:
    warp = in_double(WarpDistribution(0.3, 0.3, 5).sample(2, CPU))
    points = random_points().double().requires_grad_()
    jacobian = warp.jacobian(points)
    step = 1e-6
    for j in range(2):
        offset = torch.eye(2, dtype=torch.float64)[j] * step
        difference = warp.points(points + offset) - warp.points(points - offset)
        assert_close(jacobian[..., j], difference / (2 * step), atol=1e-6, rtol=1e-6)


def test_the_jacobian_can_be_trained_through() -> None:
    warp = in_double(WarpDistribution(0.1, 0.3, 5).sample(1, CPU))
    points = random_points(1, number=3).double().requires_grad_()
    assert torch.autograd.gradcheck(warp.jacobian, points)
    (gradient,) = torch.autograd.grad(warp.jacobian(points).square().sum(), points)
    assert gradient.abs().min() > 0


def test_each_image_has_a_warp_of_its_own() -> None:
    warp = MILD.sample(3, CPU)
    assert warp.theta.shape == (3, 2, 3) and warp.control_params.shape == (3, 1, 25)
    image, points = torch.rand(1, 2, 8, 9), random_points(1)
    frames, moved = warp.frame(image.expand(3, -1, -1, -1)), warp.points(points.expand(3, -1, -1))
    for i in range(3):
        own = RandomWarp(warp.theta[i : i + 1], warp.control_params[i : i + 1], 5)
        assert_close(frames[i : i + 1], own.frame(image))
        assert_close(moved[i : i + 1], own.points(points))
        other = (i + 1) % 3
        assert not torch.equal(warp.theta[i], warp.theta[other])
        assert not torch.equal(warp.control_params[i], warp.control_params[other])


def test_a_point_moves_alone() -> None:
    warp, points = MILD.sample(2, CPU), random_points()
    assert_close(warp.points(points)[:, 3:4], warp.points(points[:, 3:4]))
    grid = coordinate_grid((4, 4), like=points).view(1, -1, 2).expand(2, -1, -1)
    assert warp.points(grid).shape == (2, 16, 2)


def test_a_seed_draws_the_same_warps_again() -> None:
    torch.manual_seed(3)
    first, second = MILD.sample(2, CPU), MILD.sample(2, CPU)
    torch.manual_seed(3)
    again = MILD.sample(2, CPU)
    assert torch.equal(again.theta, first.theta)
    assert torch.equal(again.control_params, first.control_params)
    assert not torch.equal(second.theta, first.theta)


def test_warps_are_spread_as_asked_around_the_identity() -> None:
    warp = WarpDistribution(sigma_affine=0.2, sigma_tps=0.03, points_tps=3).sample(4000, CPU)
    mean, spread = warp.theta.mean(dim=0), warp.theta.std(dim=0)
    assert_close(mean, torch.eye(2, 3), atol=0.02, rtol=0)
    assert_close(spread, torch.full((2, 3), 0.2), atol=0, rtol=0.05)
    assert_close(warp.control_params.std(), torch.tensor(0.03), atol=0, rtol=0.05)
    assert warp.control_params.mean().abs() < 0.002
