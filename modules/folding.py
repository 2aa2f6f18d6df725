"""Trained networks -> networks that only infer: the same numbers with less work.

Batch norms become part of the convolutions before them, nearest upsampling part of the convolution
after it, and weights are kept in the precision that the convolutions run in.
"""

import copy
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modules.util import DownBlock2d, Hourglass, ResBlock2d, SameBlock2d, UpBlock2d

N = TypeVar("N", bound=nn.Module)


def fold(network: N, *, dtype: torch.dtype = torch.float32) -> N:
    """A copy of a network that infers faster; the original stays as it is.

    Args:
        network: a detector or a generator, trained.
        dtype: of weights and feature maps; coordinates, softmaxes and flows stay in float32.
    """
    replaced: dict[int, nn.Module] = {}
    # Children before their parents; what is replaced here, deepcopy takes instead of copying it.
    for module in reversed(list(network.modules())):
        folded = _fold_block(module, dtype)
        if isinstance(module, Hourglass):
            folded = InPrecision(copy.deepcopy(module, replaced), dtype)
        if folded is not None:
            replaced[id(module)] = folded
    return copy.deepcopy(network, replaced).eval().requires_grad_(False)


def _fold_block(module: nn.Module, dtype: torch.dtype) -> nn.Module | None:
    match module:
        case UpBlock2d():
            return FoldedUp(*fold_norm(module.conv, module.norm), dtype=dtype)
        case DownBlock2d():
            return FoldedDown(*fold_norm(module.conv, module.norm), dtype=dtype, relu=True)
        case SameBlock2d():
            return Convolution(*fold_norm(module.conv, module.norm), dtype=dtype, relu=True)
        case ResBlock2d():
            return FoldedRes(module, dtype)
        case nn.Conv2d(weight=weight, bias=Tensor() as bias, padding=(padding, _)):
            return Convolution(weight, bias, dtype=dtype, padding=padding)
        case _:
            return None


class InPrecision(nn.Module):
    """A network whose input is brought to the type of its weights."""

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.network = network
        self.dtype = dtype

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x.to(self.dtype))


class Convolution(nn.Module):
    """A convolution of stride 1 with ReLU, if wanted: (B, C, H, W) -> (B, out, H, W).

    Args:
        weight, bias: (out, C, k, k) and (out,).
        dtype: to keep them in.
        padding: that of nn.Conv2d; None keeps the size.
    """

    weight: Tensor
    bias: Tensor

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor,
        *,
        dtype: torch.dtype,
        padding: int | None = None,
        relu: bool = False,
    ) -> None:
        super().__init__()
        self.padding = weight.shape[2] // 2 if padding is None else padding
        self.relu = relu
        self.register_buffer("weight", weight.detach().to(dtype, copy=True))
        self.register_buffer("bias", bias.detach().to(dtype, copy=True))

    def forward(self, x: Tensor) -> Tensor:
        out = F.conv2d(x.to(self.weight.dtype), self.weight, self.bias, padding=self.padding)
        return out.relu_() if self.relu else out


class FoldedDown(Convolution):
    """A DownBlock2d: (B, C, H, W) -> (B, out, H/2, W/2)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(super().forward(x), 2)


class FoldedUp(nn.Module):
    """An UpBlock2d, at 4/9 of the work: (B, C, H, W) -> (B, out, 2H, 2W).

    After nearest upsampling, a 3x3 window shows 2x2 pixels of the small map, some of them twice.
    Which, depends on whether row and column are even or odd: four 2x2 convolutions, run as one.
    """

    def __init__(self, weight: Tensor, bias: Tensor, *, dtype: torch.dtype) -> None:
        super().__init__()
        self.conv = Convolution(
            four_small_kernels(weight), bias.repeat(4), dtype=dtype, padding=1, relu=True
        )

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        parts = self.conv(x).chunk(4, dim=1)                                 # 4 (B, out, H+1, W+1)
        shape = (len(x), parts[0].shape[1], 2 * height, 2 * width)
        out = parts[0].new_empty(shape).to(memory_format=torch.channels_last)
        for part, (row, column) in zip(parts, _PARITIES, strict=True):
            # At even rows the window begins a row higher than at odd ones; columns likewise.
            out[:, :, row::2, column::2] = part[
                :, :, row : row + height, column : column + width
            ]
        return out


_PARITIES = ((0, 0), (0, 1), (1, 0), (1, 1))


def four_small_kernels(weight: Tensor) -> Tensor:
    """A 3x3 kernel after nearest upsampling -> 2x2 kernels before it: (4 out, C, 2, 2).

    One for each parity of row and column of the result: even-even, even-odd, odd-even, odd-odd.
    """
    # (parity, tap of the small map, tap of the large one): even 0|12, odd 01|2.
    merge = weight.new_tensor([[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]])
    kernels = torch.einsum("pyi,qxj,ocij->pqocyx", merge, merge, weight)     # (2, 2, out, C, 2, 2)
    return kernels.flatten(0, 2)


class FoldedRes(nn.Module):
    """A ResBlock2d: its second norm is in the first convolution, its first a scale and a shift."""

    scale: Tensor
    shift: Tensor

    def __init__(self, block: ResBlock2d, dtype: torch.dtype) -> None:
        super().__init__()
        scale, shift = scale_and_shift(block.norm1)
        self.register_buffer("scale", scale.view(1, -1, 1, 1).to(dtype))
        self.register_buffer("shift", shift.view(1, -1, 1, 1).to(dtype))
        self.conv1 = Convolution(*fold_norm(block.conv1, block.norm2), dtype=dtype, relu=True)
        self.conv2 = Convolution(block.conv2.weight, _bias(block.conv2), dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        x = x.to(self.scale.dtype)
        out = torch.addcmul(self.shift, x, self.scale).relu_()
        return self.conv2(self.conv1(out)).add_(x)


def scale_and_shift(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """What a trained batch norm does to each channel: scale (C,) and shift (C,)."""
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None and variance is not None
    scale = norm.weight.detach() * (variance + norm.eps).rsqrt()
    return scale, norm.bias.detach() - mean * scale


def fold_norm(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight and bias of the one convolution that does what `conv` and then `norm` do."""
    scale, shift = scale_and_shift(norm)
    return conv.weight.detach() * scale.view(-1, 1, 1, 1), _bias(conv) * scale + shift


def _bias(conv: nn.Conv2d) -> Tensor:
    assert conv.bias is not None
    return conv.bias.detach()
