"""Config -> the full models of training, with the VGG19 that they compare frames in."""

import logging
import urllib.error
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.models import VGG19_Weights, vgg19

from config.schema import Config
from engine.build import Networks
from engine.checkpoint import read_torch_file
from engine.errors import UserError
from modules.equivariance import WarpDistribution
from modules.model import DiscriminatorFullModel, GeneratorFullModel, LossWeights
from modules.perceptual import ImagePyramid, VGG19Features

_RANDOM_VGG_SEED = 0
_log = logging.getLogger(__name__)


class FullModels(NamedTuple):
    """The two halves of a training step."""

    generator: GeneratorFullModel
    discriminator: DiscriminatorFullModel


def build_full_models(config: Config, networks: Networks) -> FullModels:
    """Wrap networks with their losses.

    Raises:
        UserError: the VGG19 weights cannot be had.
    """
    params = config.train_params
    channels = config.model_params.common_params.num_channels
    weights = LossWeights(**asdict(params.loss_weights))
    generator_model = GeneratorFullModel(
        kp_detector=networks.kp_detector,
        generator=networks.generator,
        discriminator=networks.discriminator,
        pyramid=ImagePyramid(params.scales, channels),
        vgg=build_vgg(params.perceptual_weights),
        warps=WarpDistribution(**asdict(params.transform_params)),
        weights=weights,
    )
    discriminator_model = DiscriminatorFullModel(
        discriminator=networks.discriminator,
        pyramid=ImagePyramid(params.scales, channels),
        weight=weights.discriminator_gan,
    )
    return FullModels(generator_model, discriminator_model)


def build_vgg(perceptual_weights: str) -> VGG19Features:
    """VGG19 with weights `imagenet` (torchvision's), `random` (seeded), or those of a file.

    Raises:
        UserError: the weights cannot be downloaded, or the file is not a VGG19.
    """
    if perceptual_weights == "random":
        _log.warning(
            "perceptual loss: VGG19 with random weights (seed %d); "
            "for better pictures set train_params.perceptual_weights to imagenet",
            _RANDOM_VGG_SEED,
        )
        return VGG19Features(_random_vgg19())
    if perceptual_weights == "imagenet":
        return VGG19Features(_filled(_imagenet_weights(), "torchvision's VGG19 weights"))
    path = Path(perceptual_weights)
    return VGG19Features(_filled(read_torch_file(path), str(path)))


def _random_vgg19() -> torch.nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_RANDOM_VGG_SEED)
        # The whole network, although only its features stay: that fixes the random draws.
        return vgg19(weights=None).features


def _filled(state: dict[str, Tensor], name: str) -> torch.nn.Sequential:
    with torch.device("meta"):
        layers = vgg19(weights=None).features
    features = {
        key.removeprefix("features."): value
        for key, value in state.items()
        if key.startswith("features.")
    }
    try:
        layers.load_state_dict(features, assign=True)
    except RuntimeError as error:
        raise UserError(
            f"{name}: not the state dict of torchvision's vgg19; set "
            "train_params.perceptual_weights to imagenet, random or such a file"
        ) from error
    return layers


def _imagenet_weights() -> dict[str, Tensor]:
    weights = VGG19_Weights.IMAGENET1K_V1
    target = Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name
    try:
        return weights.get_state_dict(progress=True, check_hash=True)
    except (urllib.error.URLError, OSError) as error:
        raise UserError(
            f"the VGG19 weights cannot be downloaded from {weights.url} ({error}); put that file "
            f"at {target}, or set train_params.perceptual_weights to where it is, or to random"
        ) from error
