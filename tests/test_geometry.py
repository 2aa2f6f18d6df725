"""Where a pixel lies, what a warp shows there, and 2x2 matrices."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from modules.geometry import (
    coordinate_grid,
    inverse_2x2,
    matrix_times_matrix,
    matrix_times_point,
    resize_flow,
    resize_map,
    warp,
)

IMAGE = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]).view(1, 1, 2, 3)
PIXEL_STEP = torch.tensor([2 / (3 - 1), 2 / (2 - 1)])  # of IMAGE, along x and y


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def identity_flow(size: tuple[int, int], *, batch_size: int = 1) -> Tensor:
    return coordinate_grid(size, like=torch.empty(0)).expand(batch_size, *size, 2)


def look(pixels_right: float, pixels_down: float) -> Tensor:
    """IMAGE as seen by pixels that look this far from themselves: (2, 3)."""
    offset = torch.tensor([pixels_right, pixels_down]) * PIXEL_STEP
    return warp(IMAGE, identity_flow((2, 3)) + offset)[0, 0]


@pytest.mark.parametrize(
    ("dtype", "exact"),
    [(torch.bfloat16, torch.float32), (torch.float32, torch.float32), (torch.float64,) * 2],
)
def test_pixel_i_of_n_sits_at_even_steps_between_the_corner_centres(
    dtype: torch.dtype, exact: torch.dtype
) -> None:
    grid = coordinate_grid((3, 7), like=torch.empty(0, dtype=dtype))
    assert grid.shape == (3, 7, 2)
    for row in range(3):
        for column in range(7):
            expected = torch.tensor([2 * column / 6 - 1, 2 * row / 2 - 1], dtype=exact)
            assert_close(grid[row, column], expected)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_warped_image_keeps_its_layout(layout: torch.memory_format) -> None:
    image = torch.rand(2, 3, 7, 5).contiguous(memory_format=layout)
    warped = warp(image, identity_flow((4, 6), batch_size=2))
    assert warped.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("flow_size", [(7, 5), (4, 3), (2, 2), (13, 17), (5, 7), (64, 48)])
def test_the_identity_flow_returns_the_image_at_any_flow_resolution(
    flow_size: tuple[int, int],
) -> None:
    image = torch.rand(2, 3, 7, 5)
    flow = resize_flow(identity_flow(flow_size, batch_size=2), (7, 5))
    assert flow.shape == (2, 7, 5, 2)
    assert_close(warp(image, flow), image, atol=1e-5, rtol=0)


def test_a_warp_looks_right_along_x_and_down_along_y() -> None:
    assert_close(look(1, 0), torch.tensor([[2.0, 3.0, 0.0], [5.0, 6.0, 0.0]]))
    assert_close(look(-1, 0), torch.tensor([[0.0, 1.0, 2.0], [0.0, 4.0, 5.0]]))
    assert_close(look(0, 1), torch.tensor([[4.0, 5.0, 6.0], [0.0, 0.0, 0.0]]))
    assert_close(look(1, -1), torch.tensor([[0.0, 0.0, 0.0], [2.0, 3.0, 0.0]]))


def test_half_a_pixel_away_lies_the_mean_of_two() -> None:
    assert_close(look(0.5, 0), torch.tensor([[1.5, 2.5, 1.5], [4.5, 5.5, 3.0]]))
    assert_close(look(0, 0.5), torch.tensor([[2.5, 3.5, 4.5], [2.0, 2.5, 3.0]]))


@pytest.mark.parametrize("shift", [(1, 0), (0, 2), (-2, 1), (3, -3)])
def test_moving_there_and_back_is_no_move(shift: tuple[int, int]) -> None:
    image = torch.zeros(1, 2, 12, 9)
    image[:, :, 3:9, 3:6] = torch.rand(1, 2, 6, 3)
    offset = torch.tensor(shift) * torch.tensor([2 / 8, 2 / 11])
    moved = warp(image, identity_flow((12, 9)) + offset)
    assert (moved - image).abs().max() > 0.1
    assert_close(warp(moved, identity_flow((12, 9)) - offset), image, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("padding_mode", "expected"),
    [("zeros", [0, 0, 1, 2]), ("border", [1, 1, 1, 2]), ("reflection", [3, 2, 1, 2])],
)
def test_what_lies_outside_the_image(padding_mode: str, expected: list[float]) -> None:
    image = torch.tensor([1.0, 2.0, 3.0, 4.0]).expand(1, 1, 2, 4)
    two_to_the_left = identity_flow((2, 4)) - torch.tensor([2 * 2 / 3, 0.0])
    seen = warp(image, two_to_the_left, padding_mode=padding_mode)[0, 0, 0]
    assert_close(seen, torch.tensor(expected, dtype=torch.float32), atol=1e-5, rtol=0)


def test_outside_is_black_unless_told_otherwise() -> None:
    assert warp(torch.ones(1, 1, 2, 2), identity_flow((2, 2)) + 9).eq(0).all()


def test_a_warp_takes_its_size_from_the_points() -> None:
    assert warp(torch.rand(2, 3, 4, 5), torch.zeros(2, 6, 7, 2)).shape == (2, 3, 6, 7)


def test_a_bfloat16_image_keeps_its_type_and_its_pixels() -> None:
    image = torch.rand(1, 1, 2, 256).add(1).bfloat16()
    # Points rounded to bfloat16 would be up to half a pixel off at this width.
    warped = warp(image, identity_flow((2, 256)))
    assert warped.dtype == torch.bfloat16
    assert torch.equal(warped, image)


def test_the_result_follows_the_points() -> None:
    ramp = identity_flow((5, 9)).permute(0, 3, 1, 2)  # its value is its place
    points = (torch.rand(1, 4, 4, 2) * 1.8 - 0.9).requires_grad_()
    seen = warp(ramp, points)
    assert_close(seen.permute(0, 2, 3, 1), points)
    (gradient,) = torch.autograd.grad(seen.sum(), points)
    assert_close(gradient, torch.ones_like(points))


@pytest.mark.parametrize("size", [(3, 4), (6, 8), (11, 5)])
def test_resizing_leaves_the_points_of_a_flow_where_they_are(size: tuple[int, int]) -> None:
    linear = identity_flow((6, 8)) * torch.tensor([0.5, -2.0]) + torch.tensor([0.1, 0.2])
    expected = identity_flow(size) * torch.tensor([0.5, -2.0]) + torch.tensor([0.1, 0.2])
    assert_close(resize_flow(linear, size), expected)


def test_resizing_keeps_corners_and_a_map_of_that_size() -> None:
    small = torch.rand(2, 3, 4, 5)
    large = resize_map(small, (9, 7))
    assert large.shape == (2, 3, 9, 7)
    assert_close(large[..., ::8, ::6], small[..., ::3, ::4])
    assert resize_map(small, (4, 5)) is small


SHAPES = [(), (5,), (2, 3, 4)]


@pytest.mark.parametrize("shape", SHAPES)
def test_matrix_products_are_matmuls(shape: tuple[int, ...]) -> None:
    left, right, point = torch.rand(*shape, 2, 2), torch.rand(*shape, 2, 2), torch.rand(*shape, 2)
    assert_close(matrix_times_matrix(left, right), left @ right)
    assert_close(matrix_times_point(left, point), (left @ point.unsqueeze(-1)).squeeze(-1))


def test_matrix_products_broadcast() -> None:
    left, right, points = torch.rand(3, 1, 2, 2), torch.rand(4, 2, 2), torch.rand(3, 7, 2)
    assert_close(matrix_times_matrix(left, right), left @ right)
    assert_close(matrix_times_point(left, points), points @ left[:, 0].transpose(1, 2))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_inverse_is_that_of_linear_algebra(shape: tuple[int, ...]) -> None:
    matrix = torch.randn(*shape, 2, 2, dtype=torch.float64)
    assert_close(inverse_2x2(matrix), torch.linalg.inv(matrix))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_inverse_of_a_nearly_singular_matrix_keeps_its_sign(sign: float) -> None:
    matrix = torch.diag(torch.tensor([1e-4, sign * 1e-4]))  # determinant +- 1e-8, held at +- 1e-6
    expected = torch.diag(torch.tensor([1e2, sign * 1e2]))
    assert_close(inverse_2x2(matrix), expected)
    assert_close(inverse_2x2(matrix, smallest_determinant=1e-9), torch.linalg.inv(matrix))


@pytest.mark.parametrize("entries", [[[0, 0], [0, 0]], [[1, 2], [2, 4]], [[-1, 1], [1, -1]]])
def test_a_singular_matrix_gives_finite_values_and_gradients(entries: list[list[float]]) -> None:
    matrix = torch.tensor(entries, dtype=torch.float32, requires_grad=True)
    inverse = inverse_2x2(matrix)
    (gradient,) = torch.autograd.grad(inverse.sum(), matrix)
    assert inverse.isfinite().all() and gradient.isfinite().all()


def _grid(_: Tensor) -> Tensor:
    return coordinate_grid((9, 7), like=torch.empty(0))


def _resized_flow(random: Tensor) -> Tensor:
    return resize_flow(random, (9, 7))


def _moved_points(random: Tensor) -> Tensor:
    return matrix_times_point(random, random[..., 0])


def _squared(random: Tensor) -> Tensor:
    return matrix_times_matrix(random, random)


def _warped(random: Tensor) -> Tensor:
    return warp(random, random[:, :, :1, :].permute(0, 2, 1, 3).expand(-1, 2, -1, -1))


@pytest.mark.parametrize(
    "function", [_grid, _resized_flow, _moved_points, _squared, _warped, inverse_2x2]
)
def test_autocast_leaves_coordinates_in_float32(function: Callable[[Tensor], Tensor]) -> None:
    random = torch.rand(4, 3, 2, 2)
    with torch.autocast("cpu", torch.bfloat16):
        assert (random @ random).dtype == torch.bfloat16  # what it does to others
        result = function(random)
    assert result.dtype == torch.float32
    assert torch.equal(result, function(random))
