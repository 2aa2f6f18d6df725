"""The networks that tell real frames from generated ones, patch by patch."""

from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modules.geometry import spatial_size
from modules.keypoints import Keypoints, gaussian_maps
from modules.util import SpectralNormConv2d


class Judgement(NamedTuple):
    """What a discriminator makes of an image.

    Attributes:
        feature_maps: the output of each block, (B, F_i, H_i, W_i).
        prediction_map: (B, 1, H', W'), 1 where a patch looks real, 0 where generated.
    """

    feature_maps: list[Tensor]
    prediction_map: Tensor


class DiscriminatorBlock(nn.Module):
    """4x4 valid convolution, instance norm, leaky ReLU, 2x2 average pooling."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        normalize: bool,
        pool: bool,
        spectral_norm: bool,
    ) -> None:
        super().__init__()
        self.conv = _convolution(in_features, out_features, 4, spectral_norm=spectral_norm)
        self.norm = nn.InstanceNorm2d(out_features, affine=True) if normalize else None
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv(x)
        if self.norm is not None:
            out = self.norm(out)
        out = F.leaky_relu(out, 0.2)
        return F.avg_pool2d(out, 2) if self.pool else out


class Discriminator(nn.Module):
    """A PatchGAN (arXiv 1611.07004) on one scale, with LSGAN scores.

    Args:
        num_channels: C of the images.
        num_kp: K; read only if `use_kp`.
        block_expansion: half the first block's width; each block doubles it.
        max_features: the largest width.
        num_blocks: number of blocks; all but the first normalise, all but the last pool.
        sn: spectral norm on every convolution.
        use_kp: show it the keypoints as K Gaussian maps beside the image.
        kp_variance: of those Gaussians.
    """

    def __init__(
        self,
        *,
        num_channels: int,
        num_kp: int,
        block_expansion: int,
        max_features: int,
        num_blocks: int,
        sn: bool = False,
        use_kp: bool = False,
        kp_variance: float = 0.01,
    ) -> None:
        super().__init__()
        inner = [min(max_features, block_expansion * 2 ** (i + 1)) for i in range(num_blocks)]
        widths = [num_channels + (num_kp if use_kp else 0), *inner]
        self.use_kp = use_kp
        self.kp_variance = kp_variance
        self.down_blocks = nn.ModuleList(
            DiscriminatorBlock(
                widths[i],
                widths[i + 1],
                normalize=i > 0,
                pool=i < num_blocks - 1,
                spectral_norm=sn,
            )
            for i in range(num_blocks)
        )
        self.conv = _convolution(widths[-1], 1, 1, spectral_norm=sn)

    def forward(self, image: Tensor, keypoints: Keypoints | None = None) -> Judgement:
        """Image (B, C, H, W) in [0, 1], and the keypoints if `use_kp`, -> Judgement."""
        feature_maps = self.features(image, keypoints)
        return Judgement(feature_maps, self.conv(feature_maps[-1]))

    def features(
        self, image: Tensor, keypoints: Keypoints | None = None, *, depth: int | None = None
    ) -> list[Tensor]:
        """The feature maps alone, of the first `depth` blocks; None: of all."""
        out = image
        if self.use_kp:
            if keypoints is None:
                raise ValueError("this discriminator was built with use_kp: give it keypoints")
            maps = gaussian_maps(keypoints, spatial_size(image), self.kp_variance)  # (B, K, H, W)
            out = torch.cat([image, maps], dim=1)
        feature_maps = []
        for block in islice(self.down_blocks, depth):
            out = block(out)
            feature_maps.append(out)
        return feature_maps


class MultiScaleDiscriminator(nn.Module):
    """One discriminator for each scale of an image pyramid.

    Args:
        scales: of the pyramid's levels, in the order in which `forward` gets them.
        discriminators: one for each scale.
    """

    def __init__(self, scales: Sequence[float], discriminators: Sequence[Discriminator]) -> None:
        super().__init__()
        # A module's name cannot hold a dot: the published checkpoints call scale 0.5 "0-5".
        names = [f"{scale:g}".replace(".", "-") for scale in scales]
        self.scales = tuple(scales)
        self.discs = nn.ModuleDict(dict(zip(names, discriminators, strict=True)))

    def forward(
        self, pyramid: Sequence[Tensor], keypoints: Keypoints | None = None
    ) -> list[Judgement]:
        """One image (B, C, H_s, W_s) for each of `scales` -> one Judgement for each."""
        return [
            disc(image, keypoints)
            for disc, image in zip(self.discs.values(), pyramid, strict=True)
        ]

    def features(
        self, pyramid: Sequence[Tensor], keypoints: Keypoints | None = None, *, depth: int
    ) -> list[list[Tensor]]:
        """The feature maps of each scale, of its first `depth` blocks, without a judgement."""
        return [
            cast(Discriminator, disc).features(image, keypoints, depth=depth)
            for disc, image in zip(self.discs.values(), pyramid, strict=True)
        ]


def _convolution(
    in_features: int, out_features: int, kernel_size: int, *, spectral_norm: bool
) -> nn.Conv2d:
    make = SpectralNormConv2d if spectral_norm else nn.Conv2d
    return make(in_features, out_features, kernel_size)
