"""The best frame is the one whose keypoints lie as the source's do, whatever place and size."""

import torch
from torch import Tensor

from engine.animator import Tracked
from engine.best_frame import find_best_frame, normalized_layout
from modules.keypoints import Keypoints

K = 6


def tracked(points: Tensor, batch_size: int = 4) -> list[Tracked]:
    """Points (T, K, 2) as they come from an Animator."""
    return [
        Tracked(torch.zeros(len(part), 3, 2, 2), Keypoints(part, None))
        for part in points.split(batch_size)
    ]


def best(source: Tensor, points: Tensor, batch_size: int = 4) -> int | None:
    found = find_best_frame(Keypoints(source[None], None), tracked(points, batch_size))
    if found is None:
        return None
    value = found.keypoints.value
    assert torch.equal(value.nan_to_num(), points[found.number : found.number + 1].nan_to_num())
    return found.number


def layouts(count: int = 10) -> Tensor:
    return torch.rand(count, K, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_place_and_size_do_not_matter_and_shape_does() -> None:
    points = layouts()
    source = 0.3 * points[7] + torch.tensor([0.5, -0.2])
    for batch_size in (1, 3, 4, 10):
        assert best(source, points, batch_size) == 7


def test_of_frames_alike_the_first() -> None:
    assert best(layouts()[0], layouts()[:1].expand(5, -1, -1)) == 0


def test_layouts_without_an_area() -> None:
    """On a line, in a point, not a number: none is an error, and none is taken for what fits."""
    points = layouts()
    points[0] = points[1, :1]  # all in one place
    points[2] = torch.linspace(-1, 1, K)[:, None]  # on a line
    points[3, 0] = torch.nan
    assert best(points[7], points) == 7
    for odd in (0, 2):
        assert best(points[odd], points) == odd
    assert best(torch.full((K, 2), torch.nan), points) == 0
    assert best(points[7, :2], points[:, :2]) == 7  # two points span no area either
    assert best(points[7, :1], points[4:, :1]) == 0  # one point always fits


def test_no_frames() -> None:
    assert find_best_frame(Keypoints(layouts()[:1], None), []) is None


def test_normalized_layouts_span_one_whole() -> None:
    square = torch.tensor([[0.0, 0.0], [0.4, 0.0], [0.4, 0.4], [0.0, 0.4]])
    expected = torch.tensor([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    assert torch.allclose(normalized_layout(square), expected)
