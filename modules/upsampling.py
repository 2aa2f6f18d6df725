"""A 3x3 convolution after nearest upsampling, computed on the small map at 4/9 of the work.

After nearest upsampling, a 3x3 window shows 2x2 pixels of the small map, some of them twice. Which,
depends on whether row and column are even or odd: four 2x2 convolutions, run as one.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modules.convolution import convolve

# From how many pixels of a batch on to split the kernel takes less time than it saves.
_WORTH_A_SPLIT = 1024


def upsample_and_convolve(x: Tensor, convolution: nn.Conv2d) -> Tensor:
    """Double a map, and convolve it 3x3, keeping its size: (B, C, H, W) -> (B, out, 2H, 2W)."""
    if x.shape[0] * x.shape[2] * x.shape[3] < _WORTH_A_SPLIT:
        return convolve(F.interpolate(x, scale_factor=2), convolution)
    bias = convolution.bias
    four_biases = None if bias is None else bias.repeat(4)
    split = split_upsampled(convolution.weight)
    return interleave(F.conv2d(x, split, four_biases, padding=1))


def split_upsampled(weight: Tensor) -> Tensor:
    """A 3x3 kernel after nearest upsampling -> 2x2 kernels before it: (4 out, C, 2, 2).

    Row 2i + p of the result reads rows 2i + p - 1 to 2i + p + 1 of the large map, which show rows
    i + p - 1 and i + p of the small one.
    """
    rows = _halves(weight, dim=2)                                             # (2, out, C, 2, 3)
    return _halves(rows, dim=4).transpose(0, 1).flatten(0, 2)


def _halves(weight: Tensor, dim: int) -> Tensor:
    """The two kernels of two taps, for even and odd places, from one of three: (2, ...)."""
    first, middle, last = weight.unbind(dim)
    even, odd = (first, middle + last), (first + middle, last)
    return torch.stack([torch.stack(taps, dim) for taps in (even, odd)])


def interleave(parts: Tensor) -> Tensor:
    """Four parts by parity, (B, 4 out, H+1, W+1), put together: (B, out, 2H, 2W).

    At odd rows and columns the window begins a pixel later than at even ones, so that pixel
    (2i + row, 2j + column) is at (i + row, j + column) of its part. The layout is kept.
    """
    channels_last = parts.is_contiguous(memory_format=torch.channels_last)
    if channels_last:
        parts = parts.permute(0, 2, 3, 1)                                    # (B, H+1, W+1, 4 out)
    row_axis = 1 if channels_last else 2
    height, width = parts.shape[row_axis] - 1, parts.shape[row_axis + 1] - 1
    four = parts.chunk(4, dim=3 if channels_last else 1)
    rows = [
        torch.stack(
            [
                four[2 * row + column]
                .narrow(row_axis, row, height)
                .narrow(row_axis + 1, column, width)
                for column in range(2)
            ],
            dim=row_axis + 2,
        )                                                                    # (.., H, W, 2, ..)
        for row in range(2)
    ]
    out = torch.stack(rows, dim=row_axis + 1)                                # (.., H, 2, W, 2, ..)
    out = out.flatten(row_axis + 2, row_axis + 3).flatten(row_axis, row_axis + 1)
    return out.permute(0, 3, 1, 2) if channels_last else out                 # (B, out, 2H, 2W)
