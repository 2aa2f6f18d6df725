"""Networks that others have trained and published, from files that a person has put in place."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from engine.checkpoint import read_torch_file
from engine.errors import UserError
from engine.weights import plain_weights
from modules.lpips import LPIPS

# torchvision itself takes seconds to import: only where its networks are built.
_ORIGIN = "https://download.pytorch.org/models"
_BODY_URL = f"{_ORIGIN}/keypointrcnn_resnet50_fpn_coco-fc266e95.pth"


class MissingWeights(UserError):  # noqa: N818 - the name that callers catch says what is wrong.
    """A file of weights is not in place; the message says which, whence and where to."""


class _Backbone(NamedTuple):
    """What LPIPS looks with: torchvision's file, where its stages end, the linear weights' file."""

    url: str
    ends: tuple[int, ...]
    linear: str


_BACKBONES = {
    "alex": _Backbone(f"{_ORIGIN}/alexnet-owt-7be5be79.pth", (2, 5, 8, 10, 12), "lpips_alex.pth"),
    "vgg": _Backbone(f"{_ORIGIN}/vgg16-397923af.pth", (4, 9, 16, 23, 30), "lpips_vgg.pth"),
}
LPIPS_NETWORKS = tuple(_BACKBONES)


def weights_folder() -> Path:
    """Where torchvision keeps what it downloads, and where files are looked for by default."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def lpips_files(name: str, folder: Path) -> list[Path]:
    """The files that load_lpips reads: the backbone's weights, and the linear ones."""
    backbone = _BACKBONES[name]
    return [folder / Path(backbone.url).name, folder / backbone.linear]


def body_file(folder: Path) -> Path:
    """The file that load_body_detector reads."""
    return folder / Path(_BODY_URL).name


def load_lpips(name: str, folder: Path) -> LPIPS:
    """LPIPS 0.1 on AlexNet (`alex`) or VGG16 (`vgg`).

    Raises:
        MissingWeights: the backbone's or the linear weights are not in the folder.
        UserError: a file there is something else.
    """
    backbone = _BACKBONES[name]
    images, linear = lpips_files(name, folder)
    _require(images, backbone.url)
    _require(linear, f"lpips/weights/v0.1/{name}.pth of the Python package lpips")
    from torchvision.models import alexnet
    from torchvision.models.vgg import cfgs, make_layers

    with torch.device("meta"):
        layers = alexnet().features if name == "alex" else make_layers(cfgs["D"])
    _fill(layers, images, read_torch_file(images), below="features.")
    return LPIPS(layers, ends=backbone.ends, weights=_linear_weights(linear, layers, backbone))


def load_body_detector(folder: Path) -> nn.Module:
    """torchvision's Keypoint R-CNN, which finds the 17 joints of COCO.

    Raises: as load_lpips.
    """
    path = body_file(folder)
    _require(path, _BODY_URL)
    from torchvision.models.detection import keypointrcnn_resnet50_fpn

    with torch.device("meta"):
        network = keypointrcnn_resnet50_fpn(weights=None, weights_backbone=None)
    _fill(network, path, read_torch_file(path))
    return network.eval()


def _require(path: Path, origin: str) -> None:
    if not path.is_file():
        raise MissingWeights(f"put {origin} at {path}, or name its folder with --weights")


def _fill(network: nn.Module, path: Path, state: Mapping, *, below: str = "") -> None:
    """Take a file's weights, of any precision, in float32; those alone whose names begin so.

    Raises:
        UserError: they are of another network, or not finite.
    """
    weights = plain_weights(f"{path}: weights", state, below=below)
    try:
        network.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        raise UserError(f"{path}: of another network; get a whole copy") from error
    network.float()


def _linear_weights(path: Path, layers: nn.Sequential, backbone: _Backbone) -> list[Tensor]:
    """The weight of each channel, a layer at a time; checked against the layers' widths."""
    state = plain_weights(f"{path}: weights", read_torch_file(path))
    convolutions = [
        [layer for layer in layers[:end] if isinstance(layer, nn.Conv2d)][-1]
        for end in backbone.ends
    ]
    weights = []
    for index, layer in enumerate(convolutions):
        weight = state.get(f"lin{index}.model.1.weight")
        if weight is None or weight.shape != (1, layer.out_channels, 1, 1):
            raise UserError(f"{path}: not the linear weights of LPIPS 0.1; get a whole copy")
        weights.append(weight.float())
    return weights
