"""A tiny set of puppets, and a checkpoint of tiny networks that take its frames."""

from pathlib import Path

import torch
from commands import tiny_tree

from config.schema import Config, parse_config
from engine.build import build_inference_networks
from engine.checkpoint import write_checkpoint
from tools.puppets.dataset import Plan, build
from tools.puppets.reading import PuppetSet, open_set

SIZE = 64
PLAN = Plan(size=SIZE, train=3, test=2, transfer=1, frames=4, seed=3, format="png")


def tiny_config() -> Config:
    tree = tiny_tree(Path("nowhere"))
    tree["dataset_params"]["frame_shape"] = [SIZE, SIZE, 3]
    return parse_config(tree, "tiny")


def make_set(folder: Path, plan: Plan = PLAN) -> PuppetSet:
    build(plan, folder, workers=1)
    return open_set(folder, frame_shape=(SIZE, SIZE, 3))


def write_tiny_checkpoint(path: Path) -> Path:
    """Random weights, always the same, with their config."""
    tree = tiny_tree(Path("nowhere"))
    tree["dataset_params"]["frame_shape"] = [SIZE, SIZE, 3]
    torch.manual_seed(0)
    networks = build_inference_networks(tiny_config().model_params)._asdict()
    states = {name: network.state_dict() for name, network in networks.items()}
    write_checkpoint(path, {**states, "config": tree})
    return path
