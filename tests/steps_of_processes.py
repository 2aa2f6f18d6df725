"""Five training steps in float64, the batch shared by the processes that torchrun starts.

    torchrun --nproc_per_node 2 tests/steps_of_processes.py RESULT

Float64, since Adam's steps are as long for a gradient that is rounding alone as for any other: in
float32 each bias before a batch norm, which has no effect and no gradient, walks at random.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

# A script's path begins with its own folder; the packages lie one above.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from commands import SIZE, thin_vgg_in_place, tiny_tree
from replicas import DataParallelOnCpu
from torch import Tensor

from config.schema import parse_config
from engine import build_training, distributed, training
from engine.build_training import build_trainer
from engine.training import Trainer

CPU = torch.device("cpu")
STEPS, BATCH_SIZE = 5, 4


class Outcome(NamedTuple):
    """The losses of each step, means over the processes, and all that the networks hold after."""

    losses: list[dict[str, float]]
    state: dict[str, dict[str, Tensor]]


def take_steps() -> Outcome:
    """Take the steps, on this process's share of each batch."""
    size, own = distributed.whole_batch(BATCH_SIZE // distributed.world_size())
    generator = torch.Generator().manual_seed(1)
    frames = torch.rand(STEPS, 2, size, 3, SIZE, SIZE, generator=generator)
    with in_float64():
        trainer = tiny_trainer()
        losses = []
        for source, driving in frames.double():
            terms = trainer.step(source[own], driving[own]).losses
            means = {name: distributed.total(term) for name, term in terms.items()}
            losses.append({n: (t / distributed.world_size()).item() for n, t in means.items()})
    networks = trainer.networks._asdict()
    return Outcome(losses, {name: network.state_dict() for name, network in networks.items()})


def take_steps_in_replicas(shares: Sequence[int]) -> Outcome:
    """Take the steps in one process, each batch shared by replicas of the networks."""
    with patch.object(training, "_shared", lambda model, _: DataParallelOnCpu(model, shares)):
        return take_steps()


@contextmanager
def in_float64() -> Iterator[None]:
    with (
        patch.object(build_training, "place", lambda model, *_, **__: model.double()),
        patch.object(Tensor, "float", Tensor.double),
    ):
        yield


def tiny_trainer() -> Trainer:
    """All that draws at random or looks at the whole batch takes part."""
    tree = tiny_tree(Path())
    motion = tree["model_params"]["generator_params"]["dense_motion_params"]
    motion["motion_dropout"] = 0.5
    tree["model_params"]["discriminator_params"]["sn"] = True
    tree["train_params"]["loss_weights"] |= {"generator_gan": 1, "separation": 1}
    config = parse_config(tree, "tiny")
    torch.manual_seed(0)
    with thin_vgg_in_place():
        return build_trainer(config, device=CPU)


if __name__ == "__main__":
    with distributed.processes(CPU):
        outcome = take_steps()
        if distributed.is_first():
            torch.save(outcome._asdict(), sys.argv[1])
