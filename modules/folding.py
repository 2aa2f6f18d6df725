"""Trained networks -> networks that only infer: the same numbers with less work.

Batch norms become part of the convolutions before them, nearest upsampling part of the convolution
after it, and weights are kept in the precision that the convolutions run in. On a CPU, wide
convolutions are computed as in modules/winograd.py.
"""

import copy
import itertools
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modules.generator import OcclusionAwareGenerator
from modules.upsampling import interleave, split_upsampled
from modules.util import DownBlock2d, Hourglass, ResBlock2d, SameBlock2d, UpBlock2d
from modules.winograd import WinogradConvolution

# From how many channels on Winograd's convolutions are faster: on two AMD cores with AVX512-BF16
# and 64 x 64 pixels, 1.45 times in bfloat16 and 1.2 in float32 with 256, 0.8 and 1.2 with 128.
_WIDE = 256

N = TypeVar("N", bound=nn.Module)


def fold(network: N, *, dtype: torch.dtype = torch.float32, winograd: bool = False) -> N:
    """A copy of a network that infers faster; the original stays as it is.

    Args:
        network: a detector or a generator, trained.
        dtype: of weights and feature maps; coordinates, softmaxes and flows stay in float32.
        winograd: compute wide residual blocks as Winograd's, which paid on the CPU tried.
    """
    replaced: dict[int, nn.Module] = {}
    # Children before their parents; what is replaced here, deepcopy takes instead of copying it.
    for module in reversed(list(network.modules())):
        folded = _fold_block(module, dtype, winograd)
        if isinstance(module, Hourglass):
            folded = InPrecision(copy.deepcopy(module, replaced), dtype)
        if folded is not None:
            replaced[id(module)] = folded
        if isinstance(module, OcclusionAwareGenerator) and len(module.up_blocks) > 0:
            replaced |= _fold_way_out(module, dtype)
    return copy.deepcopy(network, replaced).eval().requires_grad_(False)


def _fold_block(module: nn.Module, dtype: torch.dtype, winograd: bool) -> nn.Module | None:
    match module:
        case UpBlock2d():
            return FoldedUp(*fold_norm(module.conv, module.norm), dtype=dtype)
        case DownBlock2d():
            return FoldedDown(*fold_norm(module.conv, module.norm), dtype=dtype, relu=True)
        case SameBlock2d():
            return Convolution(*fold_norm(module.conv, module.norm), dtype=dtype, relu=True)
        case ResBlock2d():
            return FoldedRes(module, dtype, winograd)
        case nn.Conv2d(weight=weight, bias=Tensor() as bias, padding=(padding, _)):
            return Head(weight, bias, dtype=dtype, padding=padding)
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


class Head(Convolution):
    """A network's last convolution. What its type cannot hold it makes NaN, for all to see.

    The sigmoid that comes next would make a plain 0 or 1 of an infinity.
    """

    def forward(self, x: Tensor) -> Tensor:
        out = super().forward(x)
        if out.dtype == torch.float32:  # There is no type to turn to that holds more.
            return out
        return out.masked_fill(out.isinf(), torch.nan)


class FoldedDown(Convolution):
    """A DownBlock2d: (B, C, H, W) -> (B, out, H/2, W/2)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(super().forward(x), 2)


class FoldedUp(nn.Module):
    """An UpBlock2d, its four kernels kept: (B, C, H, W) -> (B, out, 2H, 2W)."""

    def __init__(self, weight: Tensor, bias: Tensor, *, dtype: torch.dtype) -> None:
        super().__init__()
        kernels = split_upsampled(weight)
        self.conv = Convolution(kernels, bias.repeat(4), dtype=dtype, padding=1, relu=True)

    def forward(self, x: Tensor) -> Tensor:
        return interleave(self.conv(x))


class FoldedUpInParts(FoldedUp):
    """The same, its result left in four parts by parity: (B, C, H, W) -> (B, 4 out, H+1, W+1).

    Pixel (2i + row, 2j + column) is at (i + row, j + column) of its part; the rest is zero.
    """

    def forward(self, x: Tensor) -> Tensor:
        parts = self.conv(x)
        inside = inside_parts((parts.shape[2], parts.shape[3]), like=parts)
        # Not by assigning to borders, which torch.compile could not fuse.
        parts.unflatten(1, (4, -1)).mul_(inside)
        return parts


class FoldedFinal(Head):
    """A 7x7 convolution of what FoldedUpInParts left: (B, 4 C, H+1, W+1) -> (B, out, 2H, 2W).

    The large map is never put together. Convolution libraries work on 16 channels at a time, so
    that four times `out` of them cost hardly more than `out`, at a quarter of the pixels.
    """

    def __init__(self, weight: Tensor, bias: Tensor, *, dtype: torch.dtype) -> None:
        kernels = split_both(weight)
        super().__init__(kernels, bias.repeat_interleave(4), dtype=dtype, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(super().forward(x), 2)


def inside_parts(size: tuple[int, int], like: Tensor) -> Tensor:
    """1 where a pixel of a part (H+1, W+1) is one of the large map, 0 elsewhere: (4, 1, H+1, W+1).

    Parts of even rows lack the last row, those of odd ones the first; likewise for columns.
    """
    row, column = (torch.arange(length, device=like.device) for length in size)
    rows = torch.stack([row < size[0] - 1, row > 0])                         # (2, H+1)
    columns = torch.stack([column < size[1] - 1, column > 0])                # (2, W+1)
    inside = rows[:, None, :, None] & columns[None, :, None, :]              # (2, 2, H+1, W+1)
    return inside.flatten(0, 1).unsqueeze(1).to(like.dtype)


def split_both(weight: Tensor) -> Tensor:
    """A 7x7 kernel -> 4x4 kernels from the parts of its input to those of its result.

    (out, C, 7, 7) -> (4 out, 4 C, 4, 4). Row 2i + p of the result reads row 2i + p + k - 3, which
    is row 2j + q; in part q that is row j + q, one of i - 1 to i + 2.
    """
    taps = weight.new_zeros(2, 2, 4, 7)                                      # (p, q, small, large)
    for p, k in itertools.product(range(2), range(7)):
        j, q = divmod(p + k - 3, 2)
        taps[p, q, j + q + 1, k] = 1
    kernels = torch.einsum("pryk,qsxl,ockl->opqrscyx", taps, taps, weight)
    return kernels.flatten(3, 5).flatten(0, 2)


def _fold_way_out(generator: OcclusionAwareGenerator, dtype: torch.dtype) -> dict[int, nn.Module]:
    """What takes the place of the last block and the last convolution."""
    last, final = generator.up_blocks[-1], generator.final
    assert isinstance(last, UpBlock2d)
    return {
        id(last): FoldedUpInParts(*fold_norm(last.conv, last.norm), dtype=dtype),
        id(final): FoldedFinal(final.weight, _bias(final), dtype=dtype),
    }


class FoldedRes(nn.Module):
    """A ResBlock2d: its second norm is in the first convolution, its first a scale and a shift."""

    scale: Tensor
    shift: Tensor

    def __init__(self, block: ResBlock2d, dtype: torch.dtype, winograd: bool) -> None:
        super().__init__()
        scale, shift = scale_and_shift(block.norm1)
        self.register_buffer("scale", scale.view(1, -1, 1, 1).to(dtype))
        self.register_buffer("shift", shift.view(1, -1, 1, 1).to(dtype))
        wide = winograd and block.conv1.in_channels >= _WIDE
        convolution = WinogradConvolution if wide else Convolution
        self.conv1 = convolution(*fold_norm(block.conv1, block.norm2), dtype=dtype, relu=True)
        self.conv2 = convolution(block.conv2.weight, _bias(block.conv2), dtype=dtype)

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
