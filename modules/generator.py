"""The network that paints the driving frame with the source's features, moved and masked."""

from itertools import pairwise
from typing import NamedTuple

from torch import Tensor, nn

from modules.dense_motion import DenseMotion, DenseMotionNetwork
from modules.geometry import at_least_float32, resize_flow, resize_map, spatial_size, warp
from modules.keypoints import Keypoints
from modules.util import DownBlock2d, ResBlock2d, SameBlock2d, UpBlock2d


class Source(NamedTuple):
    """A source image encoded once, for any number of driving frames.

    Attributes:
        image: (B, C, H, W) in [0, 1].
        features: (B, F, H / 2^d, W / 2^d), what the generator's d down blocks made of it.
        keypoints: of the image.
    """

    image: Tensor
    features: Tensor
    keypoints: Keypoints

    def expand(self, batch_size: int) -> "Source":
        """One source repeated for a batch of driving frames, without a copy."""
        return Source(
            self.image.expand(batch_size, -1, -1, -1),
            self.features.expand(batch_size, -1, -1, -1),
            self.keypoints.expand(batch_size),
        )


class Generated(NamedTuple):
    """A generated frame and how it came about.

    Attributes:
        prediction: (B, C, H, W) in [0, 1].
        image: (B, C, H, W) in [0, 1], the source.
        motion: the dense motion; None without.
    """

    prediction: Tensor
    image: Tensor
    motion: DenseMotion | None

    @property
    def deformed(self) -> Tensor | None:
        """(B, C, H, W), the source image itself warped, to look at; None without dense motion."""
        if self.motion is None:
            return None
        flow = resize_flow(self.motion.deformation, spatial_size(self.image))     # (B, H, W, 2)
        return warp(self.image, flow)


class OcclusionAwareGenerator(nn.Module):
    """Source image and two sets of keypoints -> driving frame (FOMM, section 3.2; figure 2).

    Encode, warp the features by the dense motion, mask what the source cannot show, decode.

    Args:
        num_channels: C of the images.
        block_expansion: width after the first block; each down block doubles it.
        max_features: the largest width.
        num_down_blocks: d; the features are warped at 1 / 2^d of the image.
        num_bottleneck_blocks: residual blocks between the warp and the way up.
        dense_motion_network: where pixels come from; None for a plain auto-encoder.
        copy_visible: take the pixels that the occlusion map calls visible from the warped source
            itself, and paint the others alone. Not in the paper: what stands still stays exact.
    """

    def __init__(
        self,
        *,
        num_channels: int,
        block_expansion: int,
        max_features: int,
        num_down_blocks: int,
        num_bottleneck_blocks: int,
        dense_motion_network: DenseMotionNetwork | None = None,
        copy_visible: bool = False,
    ) -> None:
        super().__init__()
        self.copy_visible = copy_visible
        widths = [min(max_features, block_expansion * 2**i) for i in range(num_down_blocks + 1)]
        self.dense_motion_network = dense_motion_network
        self.first = SameBlock2d(num_channels, widths[0], kernel_size=7)
        steps = list(pairwise(widths))
        self.down_blocks = nn.ModuleList(DownBlock2d(narrow, wide) for narrow, wide in steps)
        self.up_blocks = nn.ModuleList(UpBlock2d(wide, narrow) for narrow, wide in reversed(steps))
        self.bottleneck = nn.Sequential()
        for i in range(num_bottleneck_blocks):
            self.bottleneck.add_module(f"r{i}", ResBlock2d(widths[-1]))
        self.final = nn.Conv2d(widths[0], num_channels, kernel_size=7, padding=3)

    def encode(self, image: Tensor) -> Tensor:
        """(B, C, H, W) in [0, 1] -> features (B, F, H / 2^d, W / 2^d)."""
        features = self.first(image)
        for block in self.down_blocks:
            features = block(features)
        return features

    def decode(
        self, source: Source, kp_driving: Keypoints, dropped: Tensor | None = None
    ) -> Generated:
        """Move an encoded source to the driving keypoints, of the same batch size.

        `dropped` is the motion network's.
        """
        motion = None
        if self.dense_motion_network is not None:
            motion = self.dense_motion_network(source.image, source.keypoints, kp_driving, dropped)
        generated = Generated(self.paint(source.features, motion), source.image, motion)
        return _with_visible_copied(generated) if self.copy_visible else generated

    def paint(self, features: Tensor, motion: DenseMotion | None) -> Tensor:
        """Encoded features (B, F, h, w), moved by a motion -> image (B, C, H, W) in [0, 1]."""
        if motion is not None:
            features = self._move(features, motion)                               # (B, F, h, w)
        features = self.bottleneck(features)
        for block in self.up_blocks:
            features = block(features)
        return at_least_float32(self.final(features)).sigmoid()                   # (B, C, H, W)

    def forward(
        self,
        image: Tensor,
        kp_source: Keypoints,
        kp_driving: Keypoints,
        dropped: Tensor | None = None,
    ) -> Generated:
        """Encode and decode at once: source image (B, C, H, W) in [0, 1] -> Generated."""
        return self.decode(Source(image, self.encode(image), kp_source), kp_driving, dropped)

    @staticmethod
    def _move(features: Tensor, motion: DenseMotion) -> Tensor:
        size = spatial_size(features)
        moved = warp(features, resize_flow(motion.deformation, size))             # (B, F, h, w)
        if motion.occlusion_map is None:
            return moved
        return moved * resize_map(motion.occlusion_map, size).to(moved.dtype)


def _with_visible_copied(generated: Generated) -> Generated:
    """Painted only where the occlusion map is 0, the warped source where it is 1."""
    painted, image, motion = generated
    if motion is None or motion.occlusion_map is None or generated.deformed is None:
        return generated
    visible = resize_map(motion.occlusion_map, spatial_size(image))               # (B, 1, H, W)
    return generated._replace(prediction=painted.lerp(generated.deformed, visible))
