"""Animating as two networks of tensors alone: what runtimes that know no Python can run.

One encodes a picture, the other makes frames of it; which steps they take depends on no data.
"""

from torch import Tensor, nn

from modules.generator import OcclusionAwareGenerator, Source
from modules.keypoint_detector import KPDetector
from modules.keypoints import Keypoints, relative_motion


class SourceEncoder(nn.Module):
    """A picture -> all that is kept of it: (B, C, H, W) in [0, 1] -> features and keypoints."""

    def __init__(self, kp_detector: KPDetector, generator: OcclusionAwareGenerator) -> None:
        super().__init__()
        self.kp_detector = kp_detector
        # Of the generator only what encodes: files of some formats hold all that a network holds.
        self.encode = nn.Sequential(generator.first, *generator.down_blocks)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Features (B, F, h, w), points (B, K, 2) and, if there are any, jacobians (B, K, 2, 2)."""
        points, jacobians = self.kp_detector(image)
        features = self.encode(image)
        return (features, points) if jacobians is None else (features, points, jacobians)


class FrameGenerator(nn.Module):
    """Driving frames -> the source, moved by their change since a reference frame."""

    def __init__(self, kp_detector: KPDetector, generator: OcclusionAwareGenerator) -> None:
        super().__init__()
        self.kp_detector = kp_detector
        self.generator = generator

    def forward(
        self,
        driving: Tensor,
        source_image: Tensor,
        source_features: Tensor,
        source_points: Tensor,
        reference_points: Tensor,
        scale: Tensor,
        source_jacobians: Tensor | None = None,
        reference_jacobians: Tensor | None = None,
    ) -> Tensor:
        """What FOMM's section 3.3 does, for B driving frames at once.

        With the source's own keypoints as reference, the driving keypoints are taken as they are:
        absolute motion.

        Args:
            driving: (B, C, H, W) in [0, 1].
            source_image, source_features, source_points, source_jacobians: a picture (1, C, H, W)
                and what SourceEncoder made of it.
            reference_points, reference_jacobians: of the frame that the source's pose stands for.
            scale: (), how far the source moves where the driving object moves by one.

        Returns:
            (B, C, H, W) in [0, 1].
        """
        source_keypoints = Keypoints(source_points, source_jacobians)
        reference = Keypoints(reference_points, reference_jacobians)
        found = self.kp_detector(driving)
        keypoints = relative_motion(source_keypoints, found, reference, scale)
        source = Source(source_image, source_features, source_keypoints)
        return self.generator.decode(source.expand(driving.shape[0]), keypoints).prediction
