"""What the line about an epoch tells, measured from its first step on, across stops within it."""

from collections.abc import Mapping
from pathlib import Path

import torch

from engine.distributed import is_first, total
from engine.errors import UserError
from engine.measures import RunningMeans, Stopwatch, with_total
from engine.training import StepResult

_TIMES = ("seconds_per_step", "seconds_waiting_for_data")
_COUNTS = ("loss_steps", "steps", "skipped_clips", "skipped_steps")
_MOST = 10**15


class EpochRecord:
    """Losses, times and what was skipped in the steps of one epoch.

    Args:
        device: where the losses are.
        state: what `state_dict` returned when the run was stopped within the epoch, else empty.
    """

    def __init__(self, device: torch.device, state: Mapping) -> None:
        self.times = Stopwatch()
        self._device = device
        self._losses = RunningMeans()
        self._skipped_clips = self._skipped_steps = 0
        if state:
            self._losses.restore(state["losses"], state["loss_steps"], device)
            self.times.restore(state, state["steps"])
            self._skipped_steps = state["skipped_steps"]
            self._skipped_clips = state["skipped_clips"] if is_first() else 0

    def add(self, step: StepResult, *, skipped_clips: int) -> None:
        """Count a step, and the clips that were passed over for this process's share of it."""
        if step.offender is None:
            self._losses.add(step.losses)
        else:
            self._skipped_steps += 1
        self._skipped_clips += skipped_clips

    def means(self) -> dict[str, float]:
        """The values of the epoch's line; all processes must ask for them."""
        return {
            **with_total(self._losses.means()),
            **self.times.means(),
            "skipped_clips": self._all_skipped_clips(),
            "skipped_steps": self._skipped_steps,
        }

    def state_dict(self) -> dict[str, object]:
        """What another record goes on from, plain numbers; all processes must ask for it."""
        return {
            "losses": self._losses.sums(),
            "loss_steps": self._losses.count,
            "steps": self.times.steps,
            **self.times.means(),
            "skipped_clips": self._all_skipped_clips(),
            "skipped_steps": self._skipped_steps,
        }

    def _all_skipped_clips(self) -> int:
        return int(total(torch.tensor(self._skipped_clips, device=self._device)))


def check_record(path: Path, state: object) -> None:
    """See that a checkpoint holds a record's state, or none.

    Raises:
        UserError: it holds something else.
    """
    if not isinstance(state, Mapping) or (state and not _is_whole(state)):
        raise UserError(
            f"{path}: epoch_record: unreadable; get a whole copy, or start from its weights alone "
            "with --init_from"
        )


def _is_whole(state: Mapping) -> bool:
    losses = state.get("losses")
    if not isinstance(losses, Mapping) or not all(isinstance(name, str) for name in losses):
        return False
    counts = [state.get(name) for name in _COUNTS]
    numbers = [*losses.values(), *(state.get(name) for name in _TIMES)]
    return all(type(it) is int and 0 <= it <= _MOST for it in counts) and all(
        type(it) in (int, float) and abs(it) <= _MOST for it in numbers
    )
