"""One training step: how networks, random warps and losses are wired together.

Loss terms come weighted, as one value per image: each replica's mean, repeated for its share of
the batch. Gathered from any number of replicas and averaged, they weigh each by its share.
"""

import torch
from torch import Tensor, nn

from modules.discriminator import MultiScaleDiscriminator
from modules.equivariance import RandomWarp, WarpDistribution
from modules.generator import OcclusionAwareGenerator
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
from modules.step import Draws, GeneratorStep, JudgedFrames, LossWeights, WarpedFrame


class GeneratorFullModel(nn.Module):
    """Detector and generator with their losses (FOMM, section 3.4).

    The discriminator only judges here: freeze it for this step, or its gradients pile up.

    Args:
        kp_detector, generator, discriminator: the networks.
        pyramid: the scales at which frames are compared and judged, the discriminator's among
            them if it has a say.
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


        real, rebuilt = self.pyramid(driving), self.pyramid(generated.prediction)
        terms, judged, warped = {}, None, None
        if any(self.weights.perceptual):
            terms["perceptual"] = self._perceptual(rebuilt, real)
        if self.weights.generator_gan:
            shown = self.shown_to_discriminator(real, rebuilt, kp_driving)
            terms |= self._adversarial_terms(shown)
            judged = shown.detach() if self.weights.discriminator_gan else None
        if draws.warp is not None:
            warped_image = draws.warp.frame(driving)                              # (B, C, H, W)
            warped = WarpedFrame(warped_image, self.kp_detector(warped_image))
            terms |= self._equivariance_terms(kp_driving, warped.keypoints, draws.warp)
        if self.weights.separation:
            terms["separation"] = self.weights.separation * separation(kp_driving.value)
        losses = _per_image(terms, driving)
        return GeneratorStep(losses, generated, kp_source, kp_driving, warped, judged)

    def shown_to_discriminator(
        self, real: list[Tensor], generated: list[Tensor], keypoints: Keypoints
    ) -> JudgedFrames:
        """Those levels of the driving frame's and the generated one's pyramids that it judges."""
        scales = self.discriminator.scales
        return JudgedFrames(
            self.pyramid.at(scales, real), self.pyramid.at(scales, generated), keypoints.detach()
        )

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

    def _adversarial_terms(self, judged: JudgedFrames) -> dict[str, Tensor]:
        fakes = self.discriminator(judged.generated, judged.keypoints)
        scores = [lsgan_generator(fake.prediction_map) for fake in fakes]
        terms = {"generator_gan": self.weights.generator_gan * torch.stack(scores).sum()}
        layer_weights = self.weights.feature_matching
        if any(layer_weights):
            depth = max(layer for layer, weight in enumerate(layer_weights, 1) if weight)
            reals = self.discriminator.features(judged.real, judged.keypoints, depth=depth)
            distances = [
                feature_distance(fake.feature_maps, real, layer_weights)
                for fake, real in zip(fakes, reals, strict=True)
            ]
            terms["feature_matching"] = torch.stack(distances).sum()
        return terms

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
        weight: of the loss.
        autocast: as in GeneratorFullModel.
    """

    def __init__(
        self,
        *,
        discriminator: MultiScaleDiscriminator,
        weight: float,
        autocast: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.discriminator = discriminator
        self.weight = weight
        self.autocast = autocast

    def forward(self, judged: JudgedFrames) -> dict[str, Tensor]:
        """Score real and generated frames, detached: the weighted term, (B,)."""
        images = judged.real[0]
        with _autocast(images, self.autocast):
            fakes = self.discriminator(judged.generated, judged.keypoints)
            reals = self.discriminator(judged.real, judged.keypoints)
        scores = [
            lsgan_discriminator(fake.prediction_map, real.prediction_map)
            for fake, real in zip(fakes, reals, strict=True)
        ]
        return _per_image({"discriminator_gan": self.weight * torch.stack(scores).sum()}, images)


def _autocast(images: Tensor, dtype: torch.dtype | None) -> torch.autocast:
    return torch.autocast(images.device.type, dtype=dtype, enabled=dtype is not None)


def _per_image(terms: dict[str, Tensor], images: Tensor) -> dict[str, Tensor]:
    return {name: term.expand(len(images)) for name, term in terms.items()}
