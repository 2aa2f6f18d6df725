"""A random warp that keypoints must follow: affine plus thin-plate spline (FOMM, section 3.4)."""

from typing import NamedTuple

import torch
from torch import Tensor

from modules.geometry import coordinate_grid, matrix_times_point, spatial_size, warp


class RandomWarp(NamedTuple):
    """W(z) = A z + b + sum_i w_i r_i^2 log(r_i + 1e-6), r_i = |z - c_i|_1; one for each image.

    Attributes:
        theta: (B, 2, 3), [A | b].
        control_params: (B, 1, P^2), the weights w_i; P = 0 for a purely affine warp.
        points_tps: P; the control points c_i are a P x P grid over the image.
    """

    theta: Tensor
    control_params: Tensor
    points_tps: int

    def of(self, images: slice) -> "RandomWarp":
        """The warps of some images of the batch."""
        return self._replace(
            theta=self.theta[images], control_params=self.control_params[images]
        )

    def points(self, points: Tensor) -> Tensor:
        """Where W takes points: (B, N, 2) -> (B, N, 2)."""
        matrix, shift = self.theta[:, None, :, :2], self.theta[:, None, :, 2]
        warped = matrix_times_point(matrix, points) + shift                       # (B, N, 2)
        centres = coordinate_grid((self.points_tps,) * 2, like=points)            # (P, P, 2)
        offset = points[:, :, None] - centres.view(1, 1, -1, 2)                   # (B, N, P^2, 2)
        bending = (bumps(offset.abs().sum(-1)) * self.control_params).sum(-1)     # (B, N)
        return warped + bending.unsqueeze(-1)

    def frame(self, image: Tensor) -> Tensor:
        """The image (B, C, H, W) sampled at W of each pixel, mirrored beyond its border."""
        grid = coordinate_grid(spatial_size(image), like=image)                   # (H, W, 2)
        matrix, shift = self.theta[:, None, None, :, :2], self.theta[:, None, None, :, 2]
        points = matrix_times_point(matrix, grid) + shift                         # (B, H, W, 2)
        bending = self._bending_of(grid).unsqueeze(-1)                            # (B, H, W, 1)
        return warp(image, points + bending, padding_mode="reflection")

    def _bending_of(self, grid: Tensor) -> Tensor:
        """What `points` adds to those of a coordinate grid (H, W, 2): (B, H, W).

        The distances of a grid to a grid are sums over rows and columns, the same for all images.
        """
        columns = coordinate_grid((1, self.points_tps), like=grid)[0, :, 0]       # (P,)
        rows = coordinate_grid((self.points_tps, 1), like=grid)[:, 0, 1]          # (P,)
        across = (grid[0, :, 0, None] - columns).abs()                            # (W, P)
        down = (grid[:, 0, 1, None] - rows).abs()                                 # (H, P)
        distance = down[:, None, :, None] + across[None, :, None, :]              # (H, W, P, P)
        weights = self.control_params.transpose(1, 2).to(distance.dtype)          # (B, P^2, 1)
        with torch.autocast(grid.device.type, enabled=False):  # coordinates, not features
            return (bumps(distance).flatten(2) @ weights[:, None]).squeeze(-1)    # (B, H, W)

    def jacobian(self, points: Tensor) -> Tensor:
        """W' at points (B, N, 2) that require gradients: (B, N, 2, 2), differentiable in them."""
        warped = self.points(points)                                              # (B, N, 2)
        rows = [
            torch.autograd.grad(warped[..., i].sum(), points, create_graph=True)[0]
            for i in range(2)
        ]
        return torch.stack(rows, dim=-2)                                          # (B, N, 2, 2)


def bumps(distance: Tensor) -> Tensor:
    """r^2 log(r + 1e-6), the thin-plate spline's."""
    return distance.square() * torch.log(distance + 1e-6)


class WarpDistribution(NamedTuple):
    """What random warps are drawn from: A ~ N(identity, sigma_affine), w ~ N(0, sigma_tps).

    Attributes:
        sigma_affine: standard deviation of each entry of [A | b].
        sigma_tps: standard deviation of the spline's weights.
        points_tps: number of control points along each side.
    """

    sigma_affine: float
    sigma_tps: float
    points_tps: int

    def sample(self, batch_size: int, device: torch.device) -> RandomWarp:
        """Draw one warp for each image of a batch from torch's generator of the device."""
        identity = torch.eye(2, 3, device=device)
        noise = torch.randn(batch_size, 2, 3, device=device)
        weights = torch.randn(batch_size, 1, self.points_tps**2, device=device)
        return RandomWarp(
            identity + self.sigma_affine * noise, self.sigma_tps * weights, self.points_tps
        )
