"""What a run goes on from besides its weights: each value of a checkpoint, checked when it is read.

The optimizers' moments, whose shapes are those of the networks, are checked in
engine/optimizers.py.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, TypeGuard

import torch
from torch import Tensor

from engine.checkpoint import AVERAGE, CHECKPOINT_FORMAT, read_torch_file
from engine.errors import UserError, shown

_REMEDY = "get a whole copy, or start from its weights alone with --init_from"
_MOST_EPOCHS = 10**9
_MOST_STEPS = 10**15
_COUNTS = {
    "epoch": _MOST_EPOCHS,
    "step": _MOST_STEPS,
    "step_in_epoch": _MOST_STEPS,
    "skipped_steps": _MOST_STEPS,
    "skipped_in_a_row": _MOST_STEPS,
    "seed": 2**31 - 1,
}
_SCALER_NUMBERS = ("scale", "growth_factor", "backoff_factor")
_SCALER_COUNTS = ("growth_interval", "_growth_tracker")


def read_saved_run(path: Path) -> dict:
    """The content of a checkpoint that a run goes on from; entries that are missing stay so.

    Raises:
        UserError: it cannot be read, an entry is of another type, size or range than train.py
            writes, or it was written by a later version of this program.
    """
    state = read_torch_file(path)
    place = _Place(str(path))
    for name, most in _COUNTS.items():
        if name in state:
            place.at(name).check_count(state[name], most=most)
    if "format" in state:
        _check_format(path, state["format"])
    if "best_l1" in state:
        place.at("best_l1").check_number(state["best_l1"], infinite=True)
    if "schedulers" in state:
        here = place.at("schedulers").at("generator")
        schedules = place.at("schedulers").section(state["schedulers"])
        here.at("last_epoch").check_count(
            here.section(schedules.get("generator")).get("last_epoch"), most=_MOST_EPOCHS
        )
    if "random_state" in state:
        _check_random_state(place.at("random_state"), state["random_state"])
    if "scalers" in state:
        _check_scalers(place.at("scalers"), state["scalers"])
    if AVERAGE in state:
        here = place.at(AVERAGE)
        here.at("num_updates").check_count(
            here.section(state[AVERAGE]).get("num_updates"), most=_MOST_STEPS
        )
    return state


class _Place(NamedTuple):
    """Where in a checkpoint a value stands, as errors name it."""

    where: str

    def at(self, name: object) -> "_Place":
        return _Place(f"{self.where}.{name}" if ": " in self.where else f"{self.where}: {name}")

    def refuse(self, value: object, wanted: str) -> UserError:
        found = "missing" if value is None else f"{shown(value)} is not {wanted}"
        return UserError(f"{self.where}: {found}; {_REMEDY}")

    def section(self, value: object) -> Mapping:
        if not isinstance(value, Mapping):
            raise self.refuse(value, "a section of named values")
        return value

    def check_count(self, value: object, *, most: int) -> None:
        is_count = isinstance(value, int) and not isinstance(value, bool)
        if not is_count or not 0 <= value <= most:  # type: ignore[operator]
            raise self.refuse(value, f"a whole number from 0 to {most:,}")

    def check_number(self, value: object, *, infinite: bool = False) -> None:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not 0 <= value <= (math.inf if infinite else 1e300):  # type: ignore[operator]
            raise self.refuse(value, "a number of at least 0")


def _check_format(path: Path, value: object) -> None:
    place = _Place(str(path)).at("format")
    place.check_count(value, most=_MOST_EPOCHS)
    if isinstance(value, int) and value > CHECKPOINT_FORMAT:
        raise UserError(
            f"{place.where}: {value}, where this version reads {CHECKPOINT_FORMAT}; train with the "
            "version that wrote it"
        )


def _check_random_state(place: _Place, found: object) -> None:
    states = place.section(found)
    cpu, cuda = states.get("cpu"), states.get("cuda")
    if not _is_bytes(cpu) or not _is_state(cpu):
        raise place.at("cpu").refuse(cpu, "a state of torch's generator")
    if not isinstance(cuda, list) or not all(_is_bytes(state) for state in cuda):
        raise place.at("cuda").refuse(cuda, "a list of states of GPUs' generators")


def _is_state(value: Tensor) -> bool:
    try:
        torch.Generator().set_state(value)
    except RuntimeError:
        return False
    return True


def _is_bytes(value: object) -> TypeGuard[Tensor]:
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and value.dtype == torch.uint8
        and not value.is_nested
        and value.ndim == 1
    )


def _check_scalers(place: _Place, found: object) -> None:
    for name, scaler in place.section(found).items():
        here = place.at(shown(name))
        values = here.section(scaler)
        for key in _SCALER_NUMBERS:
            here.at(key).check_number(values.get(key))
        for key in _SCALER_COUNTS:
            here.at(key).check_count(values.get(key), most=_MOST_STEPS)
