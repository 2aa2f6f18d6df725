"""The networks in a size that takes milliseconds, for 3 channels, in eval mode."""

import torch
from torch import nn
from torchvision.models.vgg import cfgs, make_layers

from modules.dense_motion import DenseMotionNetwork
from modules.discriminator import Discriminator
from modules.generator import OcclusionAwareGenerator
from modules.keypoint_detector import KPDetector
from modules.keypoints import Keypoints
from modules.perceptual import VGG19Features

K = 3


def lively(network: nn.Module) -> None:
    """Draw weights that carry a signal through all layers; torch's own let it fade to nothing."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)


def tiny_detector(
    *,
    temperature: float = 0.1,
    estimate_jacobian: bool = True,
    single_jacobian_map: bool = False,
    scale_factor: float = 1,
    pad: int = 0,
) -> KPDetector:
    detector = KPDetector(
        num_kp=K,
        num_channels=3,
        estimate_jacobian=estimate_jacobian,
        block_expansion=4,
        max_features=8,
        num_blocks=2,
        temperature=temperature,
        single_jacobian_map=single_jacobian_map,
        scale_factor=scale_factor,
        pad=pad,
    )
    lively(detector.predictor)
    return detector.eval()


def tiny_motion_network(
    *,
    estimate_occlusion_map: bool = True,
    scale_factor: float = 1,
    motion_dropout: float = 0,
) -> DenseMotionNetwork:
    network = DenseMotionNetwork(
        num_kp=K,
        num_channels=3,
        estimate_occlusion_map=estimate_occlusion_map,
        block_expansion=4,
        max_features=8,
        num_blocks=2,
        scale_factor=scale_factor,
        motion_dropout=motion_dropout,
    )
    lively(network)
    return network.eval()


def tiny_generator(
    motion_network: DenseMotionNetwork | None,
    *,
    num_down_blocks: int = 2,
    copy_visible: bool = False,
) -> OcclusionAwareGenerator:
    generator = OcclusionAwareGenerator(
        num_channels=3,
        block_expansion=4,
        max_features=8,
        num_down_blocks=num_down_blocks,
        num_bottleneck_blocks=1,
        dense_motion_network=motion_network,
        copy_visible=copy_visible,
    )
    lively(generator)
    return generator.eval()


def tiny_discriminator(*, use_kp: bool = False, sn: bool = False) -> Discriminator:
    return Discriminator(
        num_channels=3,
        num_kp=K,
        block_expansion=4,
        max_features=12,
        num_blocks=3,
        use_kp=use_kp,
        sn=sn,
        kp_variance=0.05,
    ).eval()


def narrow_vgg(*, depth: int = 5, winograd: bool = False) -> VGG19Features:
    """VGG19 layer for layer, a sixteenth as wide."""
    widths = [width if isinstance(width, str) else width // 16 for width in cfgs["E"]]
    layers = make_layers(widths)
    lively(layers)
    return VGG19Features(layers, depth=depth, winograd=winograd)


def random_keypoints(batch_size: int = 2) -> Keypoints:
    """Points in the image, with jacobians not far from the identity."""
    value = torch.rand(batch_size, K, 2) * 1.6 - 0.8
    return Keypoints(value, torch.eye(2) + 0.2 * torch.randn(batch_size, K, 2, 2))
