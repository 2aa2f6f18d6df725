"""Batches from worker processes, also when one of them is killed or hangs."""

import signal
from collections.abc import Callable, Generator
from contextlib import closing
from threading import Thread
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from engine import distributed
from engine.errors import UserError
from engine.interrupt import ignore_interrupts
from engine.memory import enough_memory
from engine.sampling import EpochSampler
from engine.waiting import LONG_WAIT_SECONDS, read_in_thread, with_notice

# For workers to end by themselves, and once they are killed, on a busy machine.
_GRACE_SECONDS, _KILL_SECONDS = 1.0, 5.0
# What torch says of a worker that has not ended by itself.
_SIGN_OF_A_LOST_WORKER = "DataLoader worker (pid"


class WorkersLostError(UserError):
    """Workers were lost again before they had read a batch: new ones would be, too."""


class EpochLoader:
    """This process's share of each batch of an epoch, in an order that follows from the seed.

    Workers that are lost, most often to a lack of memory, are replaced by new ones, which begin
    with the batch that is due. A context manager: the workers end with its block.

    Args:
        dataset: its items follow from its epoch and an index.
        batch_size: of all processes together; an unfinished last batch is dropped.
        num_workers: processes that read; 0: this one does.
        seed: of the order, 0 or more.
        pin_memory: whether the batches are to be copied to a GPU.
        warn: is told, by a name and in words, of workers that were lost, and of a long wait.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        *,
        batch_size: int,
        num_workers: int,
        seed: int,
        pin_memory: bool,
        warn: Callable[[str, str], None],
    ) -> None:
        self.batch_size = batch_size
        self._dataset = dataset
        self._num_workers = num_workers
        self._pin_memory = pin_memory
        self._warn = warn
        self._sampler = EpochSampler(len(dataset), seed=seed)  # type: ignore[arg-type]
        self._loader = self._start()

    def _start(self) -> DataLoader[Any]:
        return DataLoader(
            self._dataset,
            batch_size=self.batch_size // distributed.world_size(),
            sampler=distributed.RankShare(self._sampler, batch_size=self.batch_size),
            num_workers=self._num_workers,
            drop_last=True,
            pin_memory=self._pin_memory,
            worker_init_fn=ignore_interrupts,
            persistent_workers=self._num_workers > 0,
            # Of its own, or each iteration would move the random state that a run resumes from.
            generator=torch.Generator(),
        )

    def __enter__(self) -> "EpochLoader":
        return self

    def __exit__(self, *exception: object) -> None:
        self._end_workers()

    def _end_workers(self) -> None:
        """End the workers; those that hang are killed.

        Without this they last as long as anything refers to the loader, if only a traceback; and at
        its exit the program would wait for them forever, since they ignore signals.
        """
        iterator = self._loader._iterator
        if iterator is None:
            return
        # By a thread, since it waits for locks that a worker may hold that hangs or was killed.
        ending = Thread(target=iterator._shutdown_workers, daemon=True)  # type: ignore[attr-defined]
        ending.start()
        ending.join(_GRACE_SECONDS)
        for worker in iterator._workers:  # type: ignore[attr-defined]
            worker.kill()
        ending.join(_KILL_SECONDS)

    def num_steps(self, epoch: int, *, first_step: int) -> int:
        """How many batches the rest of an epoch has."""
        self._sampler.set_epoch(epoch, first_item=first_step * self.batch_size)
        return len(self._sampler) // self.batch_size

    def batches(self, epoch: int, *, first_step: int) -> Generator[Any, None, None]:
        """The batches of an epoch from one of them on, as torch collates them.

        Yields None each half second for as long as the next batch is not there.

        Raises:
            WorkersLostError: for the second time at one batch.
            UserError: the workers take more memory than there is.
        """
        step, last_lost = first_step, None
        while True:
            self._sampler.set_epoch(epoch, first_item=step * self.batch_size)
            try:
                with (
                    enough_memory(f"train_params.num_workers={self._num_workers}", "lower it"),
                    closing(self._iterate()) as batches,
                ):
                    for batch in with_notice(batches, self._notice_long_wait):
                        yield batch
                        step += batch is not None
                return
            except (RuntimeError, ConnectionError, EOFError) as error:
                if isinstance(error, RuntimeError) and _SIGN_OF_A_LOST_WORKER not in str(error):
                    raise
                if step == last_lost:
                    raise WorkersLostError(
                        "data-loader workers were killed twice at one step; if memory ran out, "
                        f"lower train_params.num_workers={self._num_workers}"
                    ) from error
            last_lost = step
            self._warn(
                "workers_lost", "a data-loader worker was killed; new ones go on from this step"
            )
            self._end_workers()
            self._loader = self._start()

    def _iterate(self) -> Generator[Any, None, None]:
        """The batches that the sampler now stands for, and None as `batches` says."""
        if not self._num_workers or self._loader._iterator is not None:
            # What the last epoch left in the workers is waited for in the thread, too.
            return read_in_thread(lambda: self._loader)
        # Here, where the process's GPU is the current device, and may get signals' handlers.
        batches = iter(self._loader)
        # Torch lets the signal raise wherever the program is, be it in the midst of a step.
        # What waits for a batch finds out by itself.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        return read_in_thread(lambda: batches)

    def _notice_long_wait(self) -> None:
        self._warn(
            "no_data",
            f"no training data for {LONG_WAIT_SECONDS:.0f} seconds; see whether the disk with "
            "dataset_params.root_dir answers, or press Ctrl-C to save and stop",
        )
