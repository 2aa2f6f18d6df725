"""What a training loop measures: mean losses and where the time goes."""

import math
import time
from collections.abc import Mapping

from torch import Tensor

from engine.distributed import total, world_size
from engine.errors import UserError


class RunningMeans:
    """Means over steps, kept on the device so that no step has to wait for it."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._count = 0

    def add(self, losses: Mapping[str, Tensor]) -> None:
        """Count one step's terms, scalars."""
        for name, value in losses.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value.clone()
        self._count += 1

    def means(self) -> dict[str, float]:
        """The mean of each term over the processes, which must all ask for it, and their `total`.

        Nothing if no step was counted.

        Raises:
            UserError: a term is not finite, which no further step would mend.
        """
        steps = self._count * world_size()
        means = {name: total(value).item() / steps for name, value in self._sums.items()}
        for name, mean in means.items():
            if not math.isfinite(mean):
                raise UserError(
                    f"loss {name}: became {mean}; go on from the last checkpoint with lower "
                    "learning rates (--set train_params.lr_generator=1e-4 ...)"
                )
        return {"total": sum(means.values()), **means} if means else {}


class Stopwatch:
    """Seconds per step of the loop, and how many of them it waited for data."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._waiting, self._total, self._steps = 0.0, 0.0, 0

    def data_arrived(self) -> None:
        self._waiting += time.monotonic() - self._started

    def step_done(self) -> None:
        now = time.monotonic()
        self._total += now - self._started
        self._started, self._steps = now, self._steps + 1

    def means(self) -> dict[str, float]:
        steps = max(self._steps, 1)
        return {
            "seconds_per_step": self._total / steps,
            "seconds_waiting_for_data": self._waiting / steps,
        }
