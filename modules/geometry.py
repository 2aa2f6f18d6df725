"""Coordinate grids, warping, flow resizing and 2x2 matrices: the one place that samples images.

Points are (x, y), x to the right and y down, in [-1, 1], where -1 and 1 are the centres of the
first and the last pixel. Every sampling therefore uses `align_corners=True`: the identity flow
returns its image exactly, at any resolution of the flow.

The 2x2 products are written out as sums of elementwise products: a matmul would be cast to half
precision by autocast, and coordinates must stay in float32.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def spatial_size(image: Tensor) -> tuple[int, int]:
    """(H, W) of an image (B, C, H, W)."""
    return image.shape[2], image.shape[3]


def at_least_float32(x: Tensor) -> Tensor:
    """`x` in float32 where its type holds less; float64 stays."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def coordinate_grid(size: tuple[int, int], like: Tensor) -> Tensor:
    """The point of every pixel: (H, W, 2), last axis (x, y) in [-1, 1].

    On the device of `like`, and in its type if that holds at least what float32 does.
    """
    height, width = size
    dtype = torch.promote_types(like.dtype, torch.float32)
    x = torch.linspace(-1, 1, width, device=like.device, dtype=dtype)
    y = torch.linspace(-1, 1, height, device=like.device, dtype=dtype)
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([grid_x, grid_y], dim=-1)


def warp(image: Tensor, points: Tensor, *, padding_mode: str = "zeros") -> Tensor:
    """Sample an image bilinearly at points.

    Args:
        image: (B, C, H, W), any floating type.
        points: (B, h, w, 2), where in `image` each pixel of the result looks, in [-1, 1].
        padding_mode: what lies outside the image: "zeros", "border" or "reflection".

    Returns:
        (B, C, h, w) in the type and the layout of `image`; the interpolation itself runs in
        float32, or in float64 where either is.
    """
    exact = torch.promote_types(image.dtype, at_least_float32(points).dtype)
    warped = F.grid_sample(
        image.to(exact), points.to(exact), padding_mode=padding_mode, align_corners=True
    )
    return warped.to(image.dtype, memory_format=layout_of(image))


def layout_of(image: Tensor) -> torch.memory_format:
    """Whether channels come last in memory, for (B, C, H, W)."""
    last = image.is_contiguous(memory_format=torch.channels_last) and not image.is_contiguous()
    return torch.channels_last if last else torch.contiguous_format


def resize_map(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (B, C, h, w) to (B, C, H, W) bilinearly, corner pixels staying on corner pixels."""
    if spatial_size(image) == size:
        return image
    return F.interpolate(image, size=size, mode="bilinear", align_corners=True)


def resize_flow(flow: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize a flow of points (B, h, w, 2) to (B, H, W, 2); its values, being points, stay."""
    return resize_map(flow.permute(0, 3, 1, 2), size).permute(0, 2, 3, 1)


def matrix_times_point(matrix: Tensor, point: Tensor) -> Tensor:
    """(..., 2, 2) times (..., 2), with broadcasting: (..., 2)."""
    return (matrix * point.unsqueeze(-2)).sum(-1)


def matrix_times_matrix(left: Tensor, right: Tensor) -> Tensor:
    """(..., 2, 2) times (..., 2, 2), with broadcasting: (..., 2, 2)."""
    return (left.unsqueeze(-1) * right.unsqueeze(-3)).sum(-2)


def inverse_2x2(matrix: Tensor, *, smallest_determinant: float = 1e-6) -> Tensor:
    """The inverse of each matrix (..., 2, 2), in closed form.

    The determinant is held at least `smallest_determinant` away from zero with its sign kept, so
    that a keypoint whose jacobian degenerates gives a large motion and never a NaN.
    """
    a, b = matrix[..., 0, 0], matrix[..., 0, 1]
    c, d = matrix[..., 1, 0], matrix[..., 1, 1]
    determinant = a * d - b * c
    sign = torch.where(determinant < 0, -1.0, 1.0)
    determinant = sign * determinant.abs().clamp(min=smallest_determinant)
    adjugate = torch.stack([torch.stack([d, -b], -1), torch.stack([-c, a], -1)], -2)
    return adjugate / determinant[..., None, None]
