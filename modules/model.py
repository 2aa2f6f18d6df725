"""One training step: how networks, random warps and losses are wired together.

Loss terms come weighted, as one value per image: each replica's mean, repeated for its share of
the batch. Gathered from any number of replicas and averaged, they weigh each by its share.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from modules.discriminator import Judgement, MultiScaleDiscriminator
from modules.equivariance import RandomWarp, WarpDistribution
from modules.generator import Generated, OcclusionAwareGenerator
from modules.geometry import matrix_times_matrix
from modules.keypoint_detector import KPDetector
from modules.keypoints import Keypoints
from modules.losses import (
    equivariance_jacobian,
    equivariance_value,
    feature_distance,
    lsgan_discriminator,
    lsgan_generator,
    separation,
)
from modules.perceptual import ImagePyramid, VGG19Features


class LossWeights(NamedTuple):
    """The weight of each term, and of each layer of those that compare features."""

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


class GeneratorStep(NamedTuple):
    """What the generator's and detector's step computed.

    Attributes:
        losses: each weighted term by name, (B,).
        generated: the driving frame rebuilt from the source.
        kp_source, kp_driving: the keypoints of both.
        warped: the driving frame under the random warp, with its keypoints; None where the
            equivariance terms are off.
    """

    losses: dict[str, Tensor]
    generated: Generated
    kp_source: Keypoints
    kp_driving: Keypoints
    warped: WarpedFrame | None


class GeneratorFullModel(nn.Module):
    """Detector and generator with their losses (FOMM, section 3.4).

    The discriminator only judges here: freeze it for this step, or its gradients pile up.

    Args:
        kp_detector, generator, discriminator: the networks.
        pyramid: the scales at which frames are compared.
        vgg: the features in which they are compared.
        warps: what the warps of the equivariance losses are drawn from.
        weights: of the terms; one whose weights are all 0 is not computed.
        autocast: the type in which convolutions run; None for that of the parameters.
    """

    def __init__(
        self,
        *,
        kp_detector: KPDetector,
        generator: OcclusionAwareGenerator,
        discriminator: MultiScaleDiscriminator,
        pyramid: ImagePyramid,
        vgg: VGG19Features,
        warps: WarpDistribution,
        weights: LossWeights,
        autocast: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if weights.equivariance_jacobian and kp_detector.jacobian is None:
            raise ValueError("equivariance_jacobian has a weight, but the detector no jacobians")
        self.kp_detector = kp_detector
        self.generator = generator
        self.discriminator = discriminator
        self.pyramid = pyramid
        self.vgg = vgg
        self.warps = warps
        self.weights = weights
        self.autocast = autocast

    def draw(self, batch_size: int, device: torch.device) -> Draws:
        """Draw all that a step on B images takes from torch's generator of the device."""
        warp, dropped = None, None
        if self.weights.equivariance_value or self.weights.equivariance_jacobian:
            warp = self.warps.sample(batch_size, device)
        if self.generator.dense_motion_network is not None:
            dropped = self.generator.dense_motion_network.draw_dropped(batch_size, device)
        return Draws(warp, dropped)

    def forward(
        self, source: Tensor, driving: Tensor, draws: Draws | None = None
    ) -> GeneratorStep:
        """Rebuild `driving` from `source`, both (B, C, H, W) in [0, 1], and score it.

        The detector sees source, driving and warped frame as three batches, in this order: its
        batch norm keeps running statistics of each. `draws` are made where they are not given.
        """
        draws = draws or self.draw(len(driving), driving.device)
        # Here and not around the call: autocast is a thread's own, and replicas run in threads.
        with _autocast(driving, self.autocast):
            return self._step(source, driving, draws)

    def _step(self, source: Tensor, driving: Tensor, draws: Draws) -> GeneratorStep:
        kp_source = self.kp_detector(source)
        kp_driving = self.kp_detector(driving)
        generated = self.generator(source, kp_source, kp_driving, draws.dropped)

        terms = self._reconstruction_terms(generated.prediction, driving, kp_driving)
        warped = None
        if draws.warp is not None:
            warped_image = draws.warp.frame(driving)                              # (B, C, H, W)
            warped = WarpedFrame(warped_image, self.kp_detector(warped_image))
            terms |= self._equivariance_terms(kp_driving, warped.keypoints, draws.warp)
        if self.weights.separation:
            terms["separation"] = self.weights.separation * separation(kp_driving.value)
        losses = _per_image(terms, driving)
        return GeneratorStep(losses, generated, kp_source, kp_driving, warped)

    def _reconstruction_terms(
        self, prediction: Tensor, driving: Tensor, kp_driving: Keypoints
    ) -> dict[str, Tensor]:
        generated, real = self.pyramid(prediction), self.pyramid(driving)
        terms = {}
        if any(self.weights.perceptual):
            terms["perceptual"] = self._perceptual(generated, real)
        if self.weights.generator_gan:
            keypoints = kp_driving.detach()
            fakes = judge(self.discriminator, self.pyramid, generated, keypoints)
            scores = [lsgan_generator(fake.prediction_map) for fake in fakes]
            terms["generator_gan"] = self.weights.generator_gan * torch.stack(scores).sum()
            if any(self.weights.feature_matching):
                reals = judge(self.discriminator, self.pyramid, real, keypoints)
                terms["feature_matching"] = self._feature_matching(fakes, reals)
        return terms

    def _perceptual(self, generated: list[Tensor], real: list[Tensor]) -> Tensor:
        distances = []
        for fake_image, real_image in zip(generated, real, strict=True):
            with torch.no_grad():
                real_features = self.vgg(real_image)
            fake_features = self.vgg(fake_image)
            distances.append(
                feature_distance(fake_features, real_features, self.weights.perceptual)
            )
        return torch.stack(distances).sum()

    def _feature_matching(self, fakes: list[Judgement], reals: list[Judgement]) -> Tensor:
        distances = [
            feature_distance(fake.feature_maps, real.feature_maps, self.weights.feature_matching)
            for fake, real in zip(fakes, reals, strict=True)
        ]
        return torch.stack(distances).sum()

    def _equivariance_terms(
        self, kp_driving: Keypoints, kp_warped: Keypoints, random_warp: RandomWarp
    ) -> dict[str, Tensor]:
        terms = {}
        if self.weights.equivariance_value:
            value = equivariance_value(kp_driving.value, random_warp.points(kp_warped.value))
            terms["equivariance_value"] = self.weights.equivariance_value * value
        if self.weights.equivariance_jacobian:
            assert kp_driving.jacobian is not None and kp_warped.jacobian is not None
            warp_jacobian = random_warp.jacobian(kp_warped.value)                 # (B, K, 2, 2)
            warped_back = matrix_times_matrix(warp_jacobian, kp_warped.jacobian)  # (B, K, 2, 2)
            value = equivariance_jacobian(kp_driving.jacobian, warped_back)
            terms["equivariance_jacobian"] = self.weights.equivariance_jacobian * value
        return terms


class DiscriminatorFullModel(nn.Module):
    """The discriminator with its loss.

    Args:
        discriminator: the network.
        pyramid: its scales must contain the discriminator's.
        weight: of the loss.
        autocast: as in GeneratorFullModel.
    """

    def __init__(
        self,
        *,
        discriminator: MultiScaleDiscriminator,
        pyramid: ImagePyramid,
        weight: float,
        autocast: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.discriminator = discriminator
        self.pyramid = pyramid
        self.weight = weight
        self.autocast = autocast

    def forward(
        self, driving: Tensor, prediction: Tensor, kp_driving: Keypoints
    ) -> dict[str, Tensor]:
        """Score real and generated frames, (B, C, H, W) in [0, 1]: the weighted term, (B,)."""
        keypoints = kp_driving.detach()
        generated, real = self.pyramid(prediction.detach()), self.pyramid(driving)
        with _autocast(driving, self.autocast):
            fakes = judge(self.discriminator, self.pyramid, generated, keypoints)
            reals = judge(self.discriminator, self.pyramid, real, keypoints)
        scores = [
            lsgan_discriminator(fake.prediction_map, real.prediction_map)
            for fake, real in zip(fakes, reals, strict=True)
        ]
        return _per_image({"discriminator_gan": self.weight * torch.stack(scores).sum()}, driving)


def judge(
    discriminator: MultiScaleDiscriminator,
    pyramid: ImagePyramid,
    images: list[Tensor],
    keypoints: Keypoints,
) -> list[Judgement]:
    """Show the discriminator those levels of a pyramid that it has a scale for."""
    levels = [images[pyramid.scales.index(scale)] for scale in discriminator.scales]
    return discriminator(levels, keypoints)


def _autocast(images: Tensor, dtype: torch.dtype | None) -> torch.autocast:
    return torch.autocast(images.device.type, dtype=dtype, enabled=dtype is not None)


def _per_image(terms: dict[str, Tensor], images: Tensor) -> dict[str, Tensor]:
    return {name: term.expand(len(images)) for name, term in terms.items()}
