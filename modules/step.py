"""What a training step is given beside frames, and what it computes."""

from typing import NamedTuple

from torch import Tensor

from modules.equivariance import RandomWarp
from modules.generator import Generated
from modules.keypoints import Keypoints


class LossWeights(NamedTuple):
    """The weight of each term, and of each layer of those that compare features.

    A discriminator whose own loss weighs 0 judges, but does not learn.
    """

    generator_gan: float
    discriminator_gan: float
    feature_matching: tuple[float, ...]
    perceptual: tuple[float, ...]
    equivariance_value: float
    equivariance_jacobian: float
    separation: float = 0


class Draws(NamedTuple):
    """What a step draws at random for each of B images.

    For a whole batch at once, and handed to its shares: replicas that drew for themselves would all
    draw the same.

    Attributes:
        warp: of the equivariance losses; None where they are off.
        dropped: the motions that the generator leaves out, (B, K + 1); None for none.
    """

    warp: RandomWarp | None = None
    dropped: Tensor | None = None

    def of(self, images: slice) -> "Draws":
        """The draws for some images of the batch."""
        return Draws(
            None if self.warp is None else self.warp.of(images),
            None if self.dropped is None else self.dropped[images],
        )


class WarpedFrame(NamedTuple):
    """A frame (B, C, H, W) under a random warp, and the keypoints found on it."""

    image: Tensor
    keypoints: Keypoints


class JudgedFrames(NamedTuple):
    """What the discriminator is shown.

    Attributes:
        real, generated: the driving frame and the one rebuilt, at each scale s of the
            discriminator: (B, C, H s, W s) in [0, 1].
        keypoints: of the driving frame, detached: they are not to be bent to please it.
    """

    real: list[Tensor]
    generated: list[Tensor]
    keypoints: Keypoints

    def detach(self) -> "JudgedFrames":
        return self._replace(generated=[image.detach() for image in self.generated])


class GeneratorStep(NamedTuple):
    """What the generator's and detector's step computed.

    Attributes:
        losses: each weighted term by name, (B,).
        generated: the driving frame rebuilt from the source.
        kp_source, kp_driving: the keypoints of both.
        warped: the driving frame under the random warp, with its keypoints; None where the
            equivariance terms are off.
        judged: what the discriminator is to learn from, detached; None where it does not learn.
    """

    losses: dict[str, Tensor]
    generated: Generated
    kp_source: Keypoints
    kp_driving: Keypoints
    warped: WarpedFrame | None
    judged: JudgedFrames | None = None
