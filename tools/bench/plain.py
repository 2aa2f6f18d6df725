"""Networks as a plain implementation has them, to compare with."""

from collections.abc import Callable
from typing import TypeVar

import torch.nn.functional as F
from torch import Tensor, nn

from modules.util import AntiAliasInterpolation2d, SameBlock2d, UpBlock2d

M = TypeVar("M", bound=nn.Module)


def upsample_first(network: nn.Module) -> None:
    """Let convolutions of upsampled maps read these, in place."""
    _replace(network, UpBlock2d, _in_two_steps)


def blur_whole_frames(network: nn.Module) -> None:
    """Let frames be blurred whole, in place, before most of their pixels are left out."""
    _replace(network, AntiAliasInterpolation2d, _WholeBlur)


def _replace(network: nn.Module, kind: type[M], replacement: Callable[[M], nn.Module]) -> None:
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, kind):
                setattr(module, name, replacement(child))


def _in_two_steps(block: UpBlock2d) -> nn.Module:
    same = SameBlock2d(block.conv.in_channels, block.conv.out_channels)
    same.conv, same.norm = block.conv, block.norm
    return nn.Sequential(nn.Upsample(scale_factor=2), same)


class _WholeBlur(nn.Module):
    """AntiAliasInterpolation2d that blurs every pixel, and then leaves most of them out."""

    weight: Tensor

    def __init__(self, down: AntiAliasInterpolation2d) -> None:
        super().__init__()
        self.stride = down.stride
        self.register_buffer("weight", down.weight)

    def forward(self, image: Tensor) -> Tensor:
        channels, _, _, size = self.weight.shape
        blurred = F.conv2d(image, self.weight, padding=size // 2, groups=channels)
        return blurred[:, :, :: self.stride, :: self.stride]
