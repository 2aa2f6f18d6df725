"""VGG19 features and the image pyramid on which the perceptual loss compares frames."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from modules.util import AntiAliasInterpolation2d
from modules.winograd import FrozenConvolution

# The index in torchvision's `vgg19().features` just past relu1_1, relu2_1, ..., relu5_1.
_RELU_ENDS = (2, 7, 12, 21, 30)
_WIDE = 256  # from how many channels on Winograd's convolutions are faster; modules/folding.py
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


class ImagePyramid(nn.Module):
    """An image at several scales, each blurred before it is shrunk.

    Args:
        scales: the scales of the levels, each 1 / n.
        num_channels: C of the images.
    """

    def __init__(self, scales: Sequence[float], num_channels: int) -> None:
        super().__init__()
        self.scales = tuple(scales)
        self.downs = nn.ModuleList(
            AntiAliasInterpolation2d(num_channels, scale) for scale in scales
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, C, H, W) -> one (B, C, H s, W s) for each scale s, in the order of `scales`."""
        return [down(image) for down in self.downs]

    def at(self, scales: Sequence[float], levels: Sequence[Tensor]) -> list[Tensor]:
        """Of all its levels of an image, those at some of its scales, in their order."""
        return [levels[self.scales.index(scale)] for scale in scales]


class VGG19Features(nn.Module):
    """The features of VGG19 after relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1.

    Args:
        layers: the `features` of a torchvision vgg19, with the weights to use; they are frozen.
        depth: how many of the five features are wanted; the layers beyond are left out.
        dtype: to keep the weights in, as autocast would have to cast them at every call.
        winograd: compute wide convolutions as in modules/winograd.py, which pays on a CPU.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        layers: nn.Sequential,
        *,
        depth: int = len(_RELU_ENDS),
        dtype: torch.dtype = torch.float32,
        winograd: bool = False,
    ) -> None:
        super().__init__()
        if winograd:
            layers = _with_winograd(layers, dtype)
        ends = (0, *_RELU_ENDS[:depth])
        stages = nn.ModuleList(layers[start:end] for start, end in pairwise(ends))
        self.stages = stages.to(dtype)
        self.register_buffer("mean", torch.tensor(_IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(_IMAGENET_STD).view(1, 3, 1, 1))
        self.requires_grad_(False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """RGB (B, 3, H, W) in [0, 1], H and W at least 16 -> `depth` (B, F_i, H / 2^i, W / 2^i)."""
        out = (image - self.mean) / self.std
        features = []
        for stage in self.stages:
            out = stage(out)
            features.append(out)
        return features


def _with_winograd(layers: nn.Sequential, dtype: torch.dtype) -> nn.Sequential:
    """The same layers, their wide convolutions together with the ReLUs after them."""
    replaced = list(layers)
    for place, layer in enumerate(layers):
        if isinstance(layer, nn.Conv2d) and layer.in_channels >= _WIDE:
            assert layer.bias is not None
            replaced[place] = FrozenConvolution(layer.weight, layer.bias, dtype=dtype)
            replaced[place + 1] = nn.Identity()
    return nn.Sequential(*replaced)
