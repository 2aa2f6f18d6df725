"""train.py with a thin VGG19, which is quick to make; for processes of their own.

With HARM=1:raise:3 in the environment, process number 1 of those that torchrun starts raises an
error in its third step; with HARM=0:kill:3, number 0 is killed there; with HARM=1:starve:3, number
1 has no third batch.
"""

import os
import signal
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any
from unittest.mock import patch

# A script's path begins with its own folder; the packages lie one above.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from commands import thin_vgg_in_place
from torch import Tensor

import train
from engine.command_line import run
from engine.errors import UserError
from engine.loading import EpochLoader, WorkersLostError
from engine.training import StepResult, Trainer


def harmed(what: str, at_step: int) -> Callable[..., StepResult]:
    """A Trainer.step that comes to harm."""
    step, count = Trainer.step, 0

    def stepping(trainer: Trainer, *images: Tensor) -> StepResult:
        nonlocal count
        count += 1
        if count == at_step and what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if count == at_step:
            raise UserError("the disk: is full; make room")
        return step(trainer, *images)

    return stepping


def starved(at_step: int) -> Callable[..., Generator[Any, None, None]]:
    """An EpochLoader.batches whose workers are lost for good before it has given so many."""
    batches = EpochLoader.batches

    def giving(loader: EpochLoader, epoch: int, *, first_step: int) -> Generator[Any, None, None]:
        count = 1
        for batch in batches(loader, epoch, first_step=first_step):
            if count == at_step:
                break
            yield batch
            count += batch is not None
        raise WorkersLostError("data-loader workers: were killed twice; lower their number")

    return giving


if __name__ == "__main__":
    rank, what, number = os.environ.get("HARM", "none:none:0").split(":")
    step, batches = Trainer.step, EpochLoader.batches
    if rank == os.environ.get("RANK") and what == "starve":
        batches = starved(int(number))
    elif rank == os.environ.get("RANK"):
        step = harmed(what, int(number))
    with (
        thin_vgg_in_place(),
        patch.object(Trainer, "step", step),
        patch.object(EpochLoader, "batches", batches),
    ):
        run(train.main)
