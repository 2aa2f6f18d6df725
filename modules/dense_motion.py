"""The network that turns the sparse motion of K keypoints into a flow for every pixel."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from modules.geometry import (
    at_least_float32,
    coordinate_grid,
    inverse_2x2,
    matrix_times_matrix,
    matrix_times_point,
    spatial_size,
    warp,
)
from modules.keypoints import Keypoints, gaussian_maps
from modules.util import AntiAliasInterpolation2d, Hourglass


class DenseMotion(NamedTuple):
    """Where each driving pixel comes from, at the resolution (h, w) of the motion network.

    Attributes:
        deformation: (B, h, w, 2), the point of the source that each driving pixel shows.
        mask: (B, K + 1, h, w), the share of each motion, summing to 1; the background is first.
        occlusion_map: (B, 1, h, w) in [0, 1], 0 where the source cannot show it; None without.
        sparse_deformed: (B, K + 1, C, h, w), the source warped by each motion alone.
    """

    deformation: Tensor
    mask: Tensor
    occlusion_map: Tensor | None
    sparse_deformed: Tensor


class DenseMotionNetwork(nn.Module):
    """Source image and two sets of keypoints -> DenseMotion (FOMM, section 3.2).

    Args:
        num_kp: K.
        num_channels: C of the images.
        estimate_occlusion_map: whether to predict what the source cannot show.
        scale_factor: the network works at this scale of the image.
        kp_variance: of the Gaussians that show it the keypoints.
        motion_dropout: in training, the probability with which a keypoint's motion is left out for
            an image. Without it two or three keypoints may come to move everything: the others,
            never chosen by the mask, get no gradient to become useful by.
        block_expansion, max_features, num_blocks: of the hourglass.
    """

    def __init__(
        self,
        *,
        num_kp: int,
        num_channels: int,
        estimate_occlusion_map: bool,
        block_expansion: int,
        max_features: int,
        num_blocks: int,
        scale_factor: float = 1,
        kp_variance: float = 0.01,
        motion_dropout: float = 0,
    ) -> None:
        super().__init__()
        self.kp_variance = kp_variance
        self.motion_dropout = motion_dropout
        self.hourglass = Hourglass(
            (num_kp + 1) * (num_channels + 1),
            block_expansion=block_expansion,
            max_features=max_features,
            num_blocks=num_blocks,
        )
        features = self.hourglass.out_features
        self.mask = nn.Conv2d(features, num_kp + 1, kernel_size=7, padding=3)
        self.occlusion: nn.Conv2d | None = None
        if estimate_occlusion_map:
            self.occlusion = nn.Conv2d(features, 1, kernel_size=7, padding=3)
        self.down: AntiAliasInterpolation2d | None = None
        if scale_factor != 1:
            self.down = AntiAliasInterpolation2d(num_channels, scale_factor)

    def forward(
        self,
        source: Tensor,
        kp_source: Keypoints,
        kp_driving: Keypoints,
        dropped: Tensor | None = None,
    ) -> DenseMotion:
        """Source image (B, C, H, W) and keypoints of batch size B -> DenseMotion of M = K + 1.

        `dropped` (B, M) says which motions to leave out; see draw_dropped.
        """
        if self.down is not None:
            source = self.down(source)                                            # (B, C, h, w)
        size = spatial_size(source)
        heatmaps = self._heatmap_features(kp_source, kp_driving, size)            # (B, M, h, w)
        motions = sparse_motions(kp_source, kp_driving, size)                     # (B, M, h, w, 2)
        deformed = warp_by_each(source, motions)                                  # (B, M, C, h, w)

        seen = torch.cat([heatmaps.unsqueeze(2), deformed], dim=2).flatten(1, 2)
        features = self.hourglass(seen)
        logits = at_least_float32(self.mask(features))                            # (B, M, h, w)
        if dropped is not None:
            logits = logits.masked_fill(dropped[:, :, None, None], -torch.inf)
        mask = logits.softmax(dim=1)                                              # (B, M, h, w)
        deformation = (mask.unsqueeze(-1) * motions).sum(dim=1)                   # (B, h, w, 2)
        occlusion_map = None
        if self.occlusion is not None:
            occlusion_map = at_least_float32(self.occlusion(features)).sigmoid()  # (B, 1, h, w)
        return DenseMotion(deformation, mask, occlusion_map, deformed)

    def draw_dropped(self, batch_size: int, device: torch.device) -> Tensor | None:
        """Motions to leave out at random, each image its own, never the background's: (B, M).

        None where nothing is dropped: in eval mode, or without motion_dropout.
        """
        if not (self.training and self.motion_dropout):
            return None
        draws = torch.rand(batch_size, self.mask.out_channels, device=device)     # (B, M)
        dropped = draws < self.motion_dropout                                     # (B, M)
        dropped[:, 0] = False
        return dropped

    def _heatmap_features(
        self, kp_source: Keypoints, kp_driving: Keypoints, size: tuple[int, int]
    ) -> Tensor:
        """Where each keypoint is in the driving frame less where it was: (B, K + 1, h, w)."""
        driving = gaussian_maps(kp_driving, size, self.kp_variance)               # (B, K, h, w)
        difference = driving - gaussian_maps(kp_source, size, self.kp_variance)
        background = torch.zeros_like(difference[:, :1])
        return torch.cat([background, difference], dim=1)


def sparse_motions(
    kp_source: Keypoints, kp_driving: Keypoints, size: tuple[int, int]
) -> Tensor:
    """The flow of each keypoint's affine motion, after the still background: (B, K + 1, h, w, 2).

    T_k(z) = p_S + J_S J_D^-1 (z - p_D), equation 4 of FOMM; J_S J_D^-1 = 1 for order zero.
    """
    grid = coordinate_grid(size, like=kp_driving.value)                          # (h, w, 2)
    offset = grid - kp_driving.value[:, :, None, None]                            # (B, K, h, w, 2)
    if kp_source.jacobian is not None and kp_driving.jacobian is not None:
        matrix = matrix_times_matrix(kp_source.jacobian, inverse_2x2(kp_driving.jacobian))
        offset = matrix_times_point(matrix[:, :, None, None], offset)             # (B, K, h, w, 2)
    motions = offset + kp_source.value[:, :, None, None]                          # (B, K, h, w, 2)
    background = grid.expand(motions.shape[0], 1, *grid.shape)                    # (B, 1, h, w, 2)
    return torch.cat([background, motions], dim=1)


def warp_by_each(image: Tensor, motions: Tensor) -> Tensor:
    """Warp one image by each of M flows: (B, C, h, w), (B, M, h, w, 2) -> (B, M, C, h, w)."""
    copies = image.unsqueeze(1).expand(-1, motions.shape[1], -1, -1, -1)          # (B, M, C, h, w)
    warped = warp(copies.flatten(0, 1), motions.flatten(0, 1))                    # (B M, C, h, w)
    return warped.unflatten(0, motions.shape[:2])
