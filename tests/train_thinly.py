"""train.py with a thin VGG19, which is quick to make; for processes of their own.

With HARM=1:raise:3 in the environment, process number 1 of those that torchrun starts raises an
error in its third step. Others than `raise`: `kill` ends the process there, `hang` lets its workers
hang, `terminate` asks it to stop three seconds later; with `starve` there is no third batch, and
with `half` the process is killed when its third checkpoint is half written. A comma stands between
several. Without torchrun, the process is number 0.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO
from unittest.mock import patch

# A script's path begins with its own folder; the packages lie one above.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from commands import thin_vgg_in_place
from torch import Tensor

import train
from engine.command_line import run
from engine.errors import UserError
from engine.loading import EpochLoader, WorkersLostError
from engine.training import StepResult, Trainer


def harmed(what: str, at_step: int) -> Callable[..., StepResult]:
    """A Trainer.step that comes to harm, or does it."""
    step, count = Trainer.step, 0

    def stepping(trainer: Trainer, *images: Tensor) -> StepResult:
        nonlocal count
        count += 1
        if count == at_step and what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if count == at_step and what == "hang":
            for worker in multiprocessing.active_children():
                assert worker.pid is not None
                os.kill(worker.pid, signal.SIGSTOP)
        if count == at_step and what == "terminate":
            threading.Timer(3, os.kill, (os.getpid(), signal.SIGTERM)).start()
        if count == at_step and what == "raise":
            raise UserError("the disk: is full; make room")
        return step(trainer, *images)

    return stepping


def half_saved(at_save: int) -> Callable[..., None]:
    """A torch.save in which the process is killed."""
    save, count = torch.save, 0

    def saving(state: object, file: BinaryIO) -> None:
        nonlocal count
        count += 1
        if count == at_save:
            file.write(b"half")
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        save(state, file)

    return saving


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


def harms() -> Iterator[Any]:
    """The harm that this process comes to, as contexts."""
    for harm in filter(None, os.environ.get("HARM", "").split(",")):
        rank, what, number = harm.split(":")
        if rank != os.environ.get("RANK", "0"):
            continue
        if what == "starve":
            yield patch.object(EpochLoader, "batches", starved(int(number)))
        elif what == "half":
            yield patch.object(torch, "save", half_saved(int(number)))
        else:
            yield patch.object(Trainer, "step", harmed(what, int(number)))


if __name__ == "__main__":
    with ExitStack() as stack:
        for context in [thin_vgg_in_place(), *harms()]:
            stack.enter_context(context)
        run(train.main)
