"""Wide 3x3 convolutions with 4/9 of the multiplications: Winograd's F(2x2, 3x3).

Of four input pixels in a row, d, a 3-tap filter g makes two: A^T [(G g) * (B^T d)], with 4
multiplications instead of 6; in two directions 16 instead of 36 (arXiv 1509.09308, section 4.1).
Over the channels, each of the 16 is a matrix product. Libraries for GPUs choose this by themselves;
those that torch calls on a CPU do not.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# How many tiles of 2x2 pixels are worked on at a time: their 16 matrices should stay in the cache,
# and be large enough for a matrix product to be fast.
_TILES_AT_A_TIME = 512


class WinogradConvolution(nn.Module):
    """A 3x3 convolution of stride 1 with ReLU, if wanted: (B, C, H, W) -> (B, out, H, W).

    Args:
        weight, bias: (out, C, 3, 3) and (out,).
        dtype: to compute in.

    Raises:
        RuntimeError: a gradient is wanted of it.
    """

    kernels: Tensor
    bias: Tensor

    def __init__(
        self, weight: Tensor, bias: Tensor, *, dtype: torch.dtype, relu: bool = False
    ) -> None:
        super().__init__()
        self.relu = relu
        self.register_buffer("kernels", winograd_kernels(weight.detach()).to(dtype))
        self.register_buffer("bias", bias.detach().to(dtype, copy=True))

    def forward(self, x: Tensor) -> Tensor:
        if x.requires_grad and torch.is_grad_enabled():
            raise RuntimeError(
                "Winograd's convolutions have no gradient: run them under torch.inference_mode() "
                "or torch.no_grad(), or fold the network without them"
            )
        out: Tensor = winograd(x.to(self.kernels.dtype), self.kernels, self.bias)
        return out.relu_() if self.relu else out


class FrozenConvolution(nn.Module):
    """A 3x3 convolution with ReLU whose weights are not trained, but what comes before it is.

    (B, C, H, W) -> (B, out, H, W).

    Args:
        weight, bias: (out, C, 3, 3) and (out,).
        dtype: to compute in, forwards and backwards.
    """

    forwards: Tensor
    backwards: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor, *, dtype: torch.dtype) -> None:
        super().__init__()
        forwards = winograd_kernels(weight.detach())
        # The gradient is a convolution as well, with the kernel transposed and turned around.
        backwards = winograd_kernels(weight.detach().transpose(0, 1).flip(2, 3))
        self.register_buffer("forwards", forwards.to(dtype))
        self.register_buffer("backwards", backwards.to(dtype))
        self.register_buffer("bias", bias.detach().to(dtype, copy=True))

    def forward(self, x: Tensor) -> Tensor:
        x = x.to(self.bias.dtype)
        out: Tensor = _Frozen.apply(x, self.forwards, self.bias, self.backwards)
        return out


class _Frozen(torch.autograd.Function):
    """winograd and ReLU, with a gradient for their input."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, forwards: Tensor, bias: Tensor, backwards: Tensor) -> Tensor:
        out = winograd(x, forwards, bias).relu_()
        ctx.save_for_backward(out, backwards)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        out, backwards = ctx.saved_tensors
        passed = torch.ops.aten.threshold_backward(gradient, out, 0)
        no_bias = passed.new_zeros(backwards.shape[2])
        return winograd(passed, backwards, no_bias), None, None, None


def winograd_kernels(weight: Tensor) -> Tensor:
    """What a 3x3 kernel is multiplied as, G g G^T: (out, C, 3, 3) -> (16, C, out)."""
    g = weight.new_tensor([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])   # (4, 3)
    return torch.einsum("iy,ocyx,jx->ijco", g, weight, g).flatten(0, 1)


def _winograd(x: Tensor, kernels: Tensor, bias: Tensor) -> Tensor:
    """A 3x3 convolution of stride 1 that keeps the size: (B, C, H, W) -> (B, out, H, W).

    One operation for torch.compile, which would else take its loops apart. It has no gradient, and
    in float16 a quarter of the range of a direct convolution.

    Args:
        x: feature maps, in the type of the rest; fastest if channels last.
        kernels: (16, C, out), from winograd_kernels.
        bias: (out,).
    """
    batch, _, height, width = x.shape
    rows, columns = -(-height // 2), -(-width // 2)
    # A border of zeros; where the size is odd, two at the far end.
    odd = (0, 0, 1, 1 + width % 2, 1, 1 + height % 2)
    x = F.pad(x.permute(0, 2, 3, 1), odd)                                    # (B, 2R+2, 2S+2, C)
    out = x.new_empty(batch, rows, 2, columns, 2, len(bias))                 # (B, R, 2, S, 2, out)
    at_once = max(1, _TILES_AT_A_TIME // columns)
    frames = max(1, at_once // rows)
    for first in range(0, batch, frames):
        some = slice(first, first + frames)
        for top in range(0, rows, at_once):
            bottom = min(top + at_once, rows)
            _convolve(x[some, 2 * top : 2 * bottom + 2], kernels, bias, out[some, top:bottom])
    return out.flatten(3, 4).flatten(1, 2)[:, :height, :width].permute(0, 3, 1, 2)


def _convolve(x: Tensor, kernels: Tensor, bias: Tensor, out: Tensor) -> None:
    """Fill `out` (B, R, 2, S, 2, out) from x (B, 2R+2, 2S+2, C), which has borders."""
    batch, rows, _, columns, _, features = out.shape
    channels = x.shape[3]
    tall = x.new_empty(4, batch, rows, x.shape[2], channels)
    _input_transform(x.movedim(1, 0), tall.movedim(2, 1))
    tiles = x.new_empty(4, 4, batch, rows, columns, channels)
    _input_transform(tall.movedim(3, 0), tiles.movedim(1, 0).movedim(4, 1))
    with torch.autocast(x.device.type, enabled=False):
        products = torch.bmm(tiles.view(16, -1, channels), kernels)          # (16, B R S, out)
    products = products.view(4, 4, batch, rows, columns, features)
    wide = x.new_empty(2, 4, batch, rows, columns, features)
    _output_transform(products, wide)
    for row in range(2):
        both = out[:, :, row].movedim(3, 0)                                  # (2, B, R, S, out)
        _output_transform(wide[row], both)
        both.add_(bias)


def _input_transform(x: Tensor, out: Tensor) -> None:
    """B^T d along the first axis, for each four with a step of two: (2N+2, ...) -> (4, N, ...)."""
    a, b, c, d = x[:-2:2], x[1:-2:2], x[2::2], x[3::2]
    torch.sub(a, c, out=out[0])
    torch.add(b, c, out=out[1])
    torch.sub(c, b, out=out[2])
    torch.sub(b, d, out=out[3])


def _output_transform(x: Tensor, out: Tensor) -> None:
    """A^T m along the first axis: (4, ...) -> (2, ...)."""
    torch.add(x[0], x[1], out=out[0]).add_(x[2])
    torch.sub(x[1], x[2], out=out[1]).sub_(x[3])


def _fake_winograd(x: Tensor, kernels: Tensor, bias: Tensor) -> Tensor:
    batch, _, height, width = x.shape
    rows, columns = (height + 1) // 2 * 2, (width + 1) // 2 * 2
    out = x.new_empty(batch, rows, columns, len(bias))
    return out[:, :height, :width].permute(0, 3, 1, 2)


# Not by torch.library.custom_op, whose first call imports torch._dynamo: a second of a cold start.
_library = torch.library.Library("image_animation", "DEF")
_library.define("winograd(Tensor x, Tensor kernels, Tensor bias) -> Tensor")
_library.impl("winograd", _winograd, "CompositeExplicitAutograd")
torch.library.register_fake("image_animation::winograd", _fake_winograd, lib=_library)
winograd = torch.ops.image_animation.winograd.default
