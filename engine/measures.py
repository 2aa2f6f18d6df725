"""What a training loop measures: mean losses, where the time goes, and memory."""

import resource
import sys
import time
from collections.abc import Mapping

import torch
from torch import Tensor

from engine.distributed import is_first, total, world_size


class RunningMeans:
    """Means over steps, kept on the device so that no step has to wait for it."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._count = 0

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Count one step's values, scalars."""
        for name, value in values.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value.clone()
        self._count += 1

    @property
    def count(self) -> int:
        """How many steps were counted."""
        return self._count

    def sums(self) -> dict[str, float]:
        """The sum over steps of each value's mean over the processes, which must all ask for it."""
        return {name: total(value).item() / world_size() for name, value in self._sums.items()}

    def restore(self, sums: Mapping[str, float], count: int, device: torch.device) -> None:
        """Go on from what `sums` and `count` were; all processes must do so."""
        # The first has all of it; a single process, the very bits that it had.
        share = world_size() if is_first() else 0
        self._sums = {name: torch.tensor(it * share, device=device) for name, it in sums.items()}
        self._count = count

    def means(self) -> dict[str, float]:
        """The mean of each value over the processes, which must all ask for it.

        Nothing if no step was counted.
        """
        steps = self._count * world_size()
        return {name: total(value).item() / steps for name, value in self._sums.items()}


def with_total(losses: Mapping[str, float]) -> dict[str, float]:
    """Weighted terms with their sum, if there are any."""
    return {"total": sum(losses.values()), **losses} if losses else {}


def peak_memory(device: torch.device) -> int:
    """Bytes: the most that the process has held so far, on the device itself if it is a GPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB


class Stopwatch:
    """Seconds per step of the loop, and how many of them it waited for data."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._waiting, self._total, self._steps = 0.0, 0.0, 0
        self._lap = (0.0, 0.0, 0)

    @property
    def steps(self) -> int:
        """How many steps were timed."""
        return self._steps

    def restore(self, means: Mapping[str, float], steps: int) -> None:
        """Go on from what `means` were after so many steps."""
        self._total = means["seconds_per_step"] * steps
        self._waiting = means["seconds_waiting_for_data"] * steps
        self._steps = steps
        self._lap = (self._total, self._waiting, self._steps)

    def data_arrived(self) -> None:
        self._waiting += time.monotonic() - self._started

    def step_done(self) -> None:
        now = time.monotonic()
        self._total += now - self._started
        self._started, self._steps = now, self._steps + 1

    def means(self) -> dict[str, float]:
        """Over all steps."""
        return _per_step(self._total, self._waiting, self._steps)

    def lap(self) -> dict[str, float]:
        """Over the steps since the last lap."""
        seconds, waiting, steps = self._lap
        self._lap = (self._total, self._waiting, self._steps)
        return _per_step(self._total - seconds, self._waiting - waiting, self._steps - steps)


def _per_step(seconds: float, waiting: float, steps: int) -> dict[str, float]:
    count = max(steps, 1)
    return {"seconds_per_step": seconds / count, "seconds_waiting_for_data": waiting / count}
