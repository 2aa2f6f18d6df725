"""An epoch's batches in several processes, which stop at the same step, even while one waits."""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import Any

import torch

from engine import distributed
from engine.errors import UserError


class AgreedBatches:
    """Batches, as long as all processes have one and none is to stop; to be walked over once.

    Args:
        arriving: this process's batches, and None each moment in which the next is not there.
        is_to_stop: whether this process was asked to stop; asked at each batch, and while waiting.
        is_save_due: whether this process wants all to save.
        device: where processes agree.

    Attributes:
        is_save_due: whether any process wanted to save before the batch that came last.
        is_stopped: whether a process was asked to stop, before the last batch or after it.
        is_failed: whether a process has no more, though it should.
        error: why this one has not, if it is the one.
    """

    def __init__(
        self,
        arriving: Generator[Any, None, None],
        *,
        is_to_stop: Callable[[], bool],
        is_save_due: Callable[[], bool],
        device: torch.device,
    ) -> None:
        self._arriving = arriving
        self._is_to_stop, self._wants_to_save = is_to_stop, is_save_due
        self._device = device
        self.is_save_due = self.is_stopped = self.is_failed = False
        self.error: UserError | None = None

    def __iter__(self) -> Iterator[Any]:
        batch, is_over = None, False
        with closing(self._arriving):
            while True:
                try:
                    batch = next(self._arriving) if batch is None and not is_over else batch
                except StopIteration:
                    is_over = True
                except UserError as caught:
                    self.error = caught
                # Whoever has a batch waits here for the others, so that all hear a request.
                self.is_failed, self.is_stopped, self.is_save_due, is_waiting = (
                    distributed.agree_on_each(
                        [
                            self.error is not None,
                            self._is_to_stop(),
                            self._wants_to_save(),
                            batch is None and not is_over,
                        ],
                        self._device,
                    )
                )
                if self.is_failed or self.is_stopped:
                    return
                if is_waiting:
                    continue
                if is_over:
                    return
                yield batch
                batch = None
