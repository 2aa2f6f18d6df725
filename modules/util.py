"""The blocks that all networks are built of."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modules.convolution import convolve
from modules.upsampling import upsample_and_convolve
from sync_batchnorm import SyncBatchNorm2d


class SameBlock2d(nn.Module):
    """Convolution, batch norm, ReLU: (B, C, H, W) -> (B, out_features, H, W)."""

    def __init__(self, in_features: int, out_features: int, *, kernel_size: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_features, out_features, kernel_size, padding=kernel_size // 2)
        self.norm = SyncBatchNorm2d(out_features)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(convolve(x, self.conv)))


class DownBlock2d(SameBlock2d):
    """The same, then halved by average pooling: (B, C, H, W) -> (B, out_features, H/2, W/2)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(super().forward(x), 2)


class UpBlock2d(SameBlock2d):
    """The same on the doubled input: (B, C, H, W) -> (B, out_features, 2H, 2W)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(upsample_and_convolve(x, self.conv)))


class ResBlock2d(nn.Module):
    """A pre-activation residual block that keeps the shape (B, features, H, W)."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1)
        self.norm1 = SyncBatchNorm2d(features)
        self.norm2 = SyncBatchNorm2d(features)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv1(F.relu(self.norm1(x)))
        out = self.conv2(F.relu(self.norm2(out)))
        return x + out


class Encoder(nn.Module):
    """The way down of an hourglass; returns the input and what each block made of it."""

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.down_blocks = nn.ModuleList(
            DownBlock2d(narrow, wide) for narrow, wide in pairwise(widths)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        outputs = [x]
        for block in self.down_blocks:
            outputs.append(block(outputs[-1]))
        return outputs


class Decoder(nn.Module):
    """The way up, each block followed by the encoder's output of the same size."""

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        deepest = len(widths) - 2
        self.up_blocks = nn.ModuleList(
            # All but the deepest block read the block below joined with a skip connection.
            UpBlock2d(widths[i + 1] * (1 if i == deepest else 2), widths[i])
            for i in reversed(range(len(widths) - 1))
        )

    def forward(self, skips: list[Tensor]) -> Tensor:
        out = skips[-1]
        for block, skip in zip(self.up_blocks, reversed(skips[:-1]), strict=True):
            out = torch.cat([block(out), skip], dim=1)
        return out


class Hourglass(nn.Module):
    """A U-Net: (B, in_features, H, W) -> (B, out_features, H, W), the input being its last skip.

    H and W must be divisible by 2 ** num_blocks. Block i is min(max_features,
    block_expansion * 2 ** i) wide.
    """

    def __init__(
        self, in_features: int, *, block_expansion: int, max_features: int, num_blocks: int
    ) -> None:
        super().__init__()
        widths = [min(max_features, block_expansion * 2**i) for i in range(num_blocks + 1)]
        self.encoder = Encoder([in_features, *widths[1:]])
        self.decoder = Decoder(widths)
        self.out_features = widths[0] + in_features

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x))


class AntiAliasInterpolation2d(nn.Module):
    """Shrinks an image by 1 / scale: a Gaussian blur whose width follows the scale, then strides.

    (B, channels, H, W) -> (B, channels, ceil(H * scale), ceil(W * scale)) for a scale of 1 / n.
    The blur is a buffer because the published checkpoints carry it.
    """

    weight: Tensor

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__()
        self.stride = int(1 / scale + 1e-4)  # a third, written 0.33333334, is a third
        sigma = (1 / scale - 1) / 2
        radius = round(4 * sigma)
        offsets = torch.arange(-radius, radius + 1, dtype=torch.float32)
        bump = torch.exp(-offsets.square() / (2 * sigma**2)) if radius else torch.ones(1)
        kernel = torch.outer(bump, bump)
        kernel = kernel / kernel.sum()
        self.register_buffer("weight", kernel.repeat(channels, 1, 1, 1))          # (C, 1, k, k)

    def forward(self, image: Tensor) -> Tensor:
        channels, _, _, size = self.weight.shape
        if size == 1 and self.stride == 1:
            return image
        with torch.autocast(image.device.type, enabled=False):  # a picture, not features
            # Only the pixels that the stride keeps are blurred.
            return F.conv2d(
                image, self.weight, stride=self.stride, padding=size // 2, groups=channels
            )


class SpectralNormConv2d(nn.Conv2d):
    """A convolution whose weight is divided by its largest singular value (arXiv 1802.05957).

    One power iteration per forward in training updates the singular vectors `weight_u` and
    `weight_v`. The parameter names, their order and the order of the iteration are those of the
    published checkpoints; torch has since renamed the first and swapped the last.
    """

    weight_u: Tensor
    weight_v: Tensor

    def __init__(self, in_features: int, out_features: int, kernel_size: int) -> None:
        super().__init__(in_features, out_features, kernel_size)
        weight = self.weight.detach().clone()
        del self.weight
        self.weight_orig = nn.Parameter(weight)
        rows = weight.flatten(1)                                                  # (out, in k k)
        self.register_buffer("weight_u", F.normalize(torch.randn(rows.shape[0]), dim=0))
        self.register_buffer("weight_v", F.normalize(torch.randn(rows.shape[1]), dim=0))

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):  # singular vectors, not features
            weight = self._normalized_weight()
        return F.conv2d(x, weight, self.bias)

    def _normalized_weight(self) -> Tensor:
        rows = self.weight_orig.flatten(1)                                        # (out, in k k)
        if self.training:
            with torch.no_grad():
                # In place: a DataParallel replica on the first device shares these buffers.
                self.weight_v.copy_(F.normalize(rows.t() @ self.weight_u, dim=0, eps=1e-12))
                self.weight_u.copy_(F.normalize(rows @ self.weight_v, dim=0, eps=1e-12))
        # Clones, because a later forward moves the buffers while this graph still needs them.
        u, v = self.weight_u.clone(), self.weight_v.clone()
        return self.weight_orig / torch.dot(u, rows @ v)
