"""The network that finds keypoints, and the affine motion around each, with no labels."""

import torch
from torch import Tensor, nn

from modules.geometry import at_least_float32, coordinate_grid, spatial_size
from modules.keypoints import Keypoints
from modules.util import AntiAliasInterpolation2d, Hourglass


class KPDetector(nn.Module):
    """Image -> K keypoints with jacobians (FOMM, section 3.1).

    A keypoint is the mean position of a softmax heatmap; its jacobian is a map of 2x2 matrices
    averaged under the same heatmap.

    Args:
        num_kp: K.
        num_channels: C of the images.
        estimate_jacobian: whether to estimate jacobians, or points alone (order zero).
        single_jacobian_map: all keypoints average one shared map of matrices.
        temperature: of the softmax; the lower, the more peaked.
        scale_factor: the detector looks at the image at this scale.
        pad: padding of the two last 7x7 convolutions; 0 makes the heatmaps 6 pixels smaller.
        block_expansion, max_features, num_blocks: of the hourglass.
    """

    def __init__(
        self,
        *,
        num_kp: int,
        num_channels: int,
        estimate_jacobian: bool,
        block_expansion: int,
        max_features: int,
        num_blocks: int,
        temperature: float,
        single_jacobian_map: bool = False,
        scale_factor: float = 1,
        pad: int = 0,
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.predictor = Hourglass(
            num_channels,
            block_expansion=block_expansion,
            max_features=max_features,
            num_blocks=num_blocks,
        )
        features = self.predictor.out_features
        self.kp = nn.Conv2d(features, num_kp, kernel_size=7, padding=pad)
        self.jacobian: nn.Conv2d | None = None
        if estimate_jacobian:
            num_maps = 1 if single_jacobian_map else num_kp
            self.jacobian = nn.Conv2d(features, 4 * num_maps, kernel_size=7, padding=pad)
            nn.init.zeros_(self.jacobian.weight)
            # Every matrix starts as the identity.
            self.jacobian.bias = nn.Parameter(torch.eye(2).flatten().repeat(num_maps))
        self.down: AntiAliasInterpolation2d | None = None
        if scale_factor != 1:
            self.down = AntiAliasInterpolation2d(num_channels, scale_factor)

    def forward(self, image: Tensor) -> Keypoints:
        """(B, C, H, W) in [0, 1] -> Keypoints of (B, K, 2) and (B, K, 2, 2), float32."""
        if self.down is not None:
            image = self.down(image)
        features = self.predictor(image)
        logits = at_least_float32(self.kp(features))                              # (B, K, h, w)
        heatmap = softmax_over_space(logits / self.temperature)                   # (B, K, h, w)
        value = mean_position(heatmap)                                            # (B, K, 2)
        if self.jacobian is None:
            return Keypoints(value, None)
        maps = at_least_float32(self.jacobian(features))                          # (B, 4 K, h, w)
        maps = maps.unflatten(1, (-1, 4))                                         # (B, K, 4, h, w)
        mean = (heatmap.unsqueeze(2) * maps).sum(dim=(3, 4))                      # (B, K, 4)
        return Keypoints(value, mean.unflatten(2, (2, 2)))


def softmax_over_space(logits: Tensor) -> Tensor:
    """(B, K, H, W) -> (B, K, H, W), each map summing to 1."""
    return logits.flatten(2).softmax(dim=2).view(logits.shape)


def mean_position(heatmap: Tensor) -> Tensor:
    """The mean point of each heatmap (B, K, H, W), each summing to 1: (B, K, 2)."""
    grid = coordinate_grid(spatial_size(heatmap), like=heatmap)              # (H, W, 2)
    return (heatmap.unsqueeze(-1) * grid).sum(dim=(2, 3))                         # (B, K, 2)
