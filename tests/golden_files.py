"""The golden files: small published checkpoints with inputs and expected outputs."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import yaml
from torch import Tensor

from config.schema import LossWeights, ModelParams, TransformParams, parse_section
from engine.build import Networks, build_networks
from engine.checkpoint import load_weights, read_torch_file
from modules.equivariance import RandomWarp

FOLDER = Path(__file__).parent / "golden"
NAMES = sorted(path.stem for path in FOLDER.glob("*.npz"))


class Golden(NamedTuple):
    """One golden case, its networks loaded and in eval mode."""

    name: str
    model_params: ModelParams
    scales: tuple[float, ...]
    transform_params: TransformParams
    loss_weights: LossWeights
    networks: Networks
    arrays: dict[str, np.ndarray]

    def tensor(self, key: str) -> Tensor:
        return torch.from_numpy(self.arrays[key])

    def random_warp(self) -> RandomWarp:
        return RandomWarp(
            self.tensor("transform/theta"),
            self.tensor("transform/control_params"),
            self.transform_params.points_tps,
        )


def load_golden(name: str) -> Golden:
    tree = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    train_params = tree["train_params"]
    model_params = parse_section(ModelParams, tree["model_params"], name)
    networks = build_networks(model_params)
    path = FOLDER / f"{name}.pth.tar"
    load_weights(path, read_torch_file(path), networks._asdict())
    for network in networks:
        network.eval()
    return Golden(
        name=name,
        model_params=model_params,
        scales=tuple(train_params["scales"]),
        transform_params=parse_section(TransformParams, train_params["transform_params"], name),
        loss_weights=parse_section(LossWeights, train_params["loss_weights"], name),
        networks=networks,
        arrays=_arrays(name),
    )


@cache
def _arrays(name: str) -> dict[str, np.ndarray]:
    with np.load(FOLDER / f"{name}.npz") as arrays:
        return dict(arrays)
