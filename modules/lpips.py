"""LPIPS: how different two images look, in the features of a network trained to classify."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

# Zhang et al. 2018 (arXiv 1801.03924): what their networks subtract and divide by, for RGB in
# [-1, 1]. It is ImageNet's mean and deviation, rounded as they were.
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
_EPSILON = 1e-10


class LPIPS(nn.Module):
    """The learned perceptual distance, version 0.1, of RGB images.

    Args:
        layers: the `features` of a torchvision network; it is frozen.
        ends: the indices just past the layers to compare after.
        weights: of each of these layers' C_i channels, (1, C_i, 1, 1), not negative.
    """

    shift: Tensor
    scale: Tensor

    def __init__(
        self, layers: nn.Sequential, *, ends: Sequence[int], weights: Sequence[Tensor]
    ) -> None:
        super().__init__()
        starts = (0, *ends[:-1])
        self.stages = nn.ModuleList(
            layers[start:end] for start, end in zip(starts, ends, strict=True)
        )
        self.weights = nn.ParameterList(nn.Parameter(weight) for weight in weights)
        self.register_buffer("shift", torch.tensor(_SHIFT).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(_SCALE).view(1, 3, 1, 1))
        self.requires_grad_(False)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Two batches (B, 3, H, W) in [0, 1] -> distances (B,), 0 for equal images."""
        batch = (torch.cat([left, right]) * 2 - 1 - self.shift) / self.scale      # (2 B, 3, H, W)
        total = torch.zeros(len(left), device=left.device)                        # (B,)
        for stage, weight in zip(self.stages, self.weights, strict=True):
            batch = stage(batch)                                                  # (2 B, C, h, w)
            norm = batch.square().sum(dim=1, keepdim=True).sqrt()                 # (2 B, 1, h, w)
            first, second = (batch / (norm + _EPSILON)).chunk(2)
            distance = (weight * (first - second).square()).sum(dim=1)            # (B, h, w)
            total = total + distance.mean(dim=(1, 2))
        return total
