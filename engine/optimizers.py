"""The optimizer of each network: how it steps, how fast it learns, and what it goes on from."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import MultiStepLR

from engine.errors import UserError
from engine.weights import checked

REMEDY = "start from its weights alone with --init_from"
_BETAS = (0.5, 0.999)
_DECAY = 0.1
_MOST_STEPS = 10**15


def build_optimizers(
    networks: Mapping[str, nn.Module], learning_rates: Mapping[str, float], device: torch.device
) -> dict[str, Adam]:
    """Adam for each network, by name."""
    # In one pass over the weights: on a CPU, 6 times as fast as one operation after the other.
    fused = True if device.type == "cpu" else None  # None: as torch finds best
    return {
        name: Adam(network.parameters(), lr=learning_rates[name], betas=_BETAS, fused=fused)
        for name, network in networks.items()
    }


def schedule_from(
    epoch: int, optimizer: Optimizer, learning_rate: float, milestones: Sequence[int]
) -> MultiStepLR:
    """Set the learning rate to that of an epoch, whatever the optimizer held; its schedule on."""
    passed = bisect_right(milestones, epoch - 1)
    for group in optimizer.param_groups:
        group["initial_lr"], group["lr"] = learning_rate, learning_rate * _DECAY**passed
    # Its constructor takes the last step, from epoch - 1.
    return MultiStepLR(optimizer, list(milestones), gamma=_DECAY, last_epoch=epoch - 1)


def load_optimizer(optimizer: Optimizer, state: Mapping, *, name: str, path: Path) -> None:
    """Go on from the moments that a checkpoint holds of an optimizer under a name.

    Its settings stay its own: they are the config's and this device's matter, not the file's.

    Raises:
        UserError: there are none, or they do not fit.
    """
    where = f"{path}: {name}"
    if name not in state:
        raise UserError(f"{path}: holds no {name}; {REMEDY}")
    (group,) = optimizer.param_groups
    parameters: list[Tensor] = group["params"]
    numbers, moments = _parts(where, state[name])
    if len(numbers) != len(parameters):
        raise UserError(
            f"{where}: of {len(numbers)} parameters, where the network has {len(parameters)}; "
            f"{REMEDY}"
        )
    own = {
        place: _moments(f"{where}.state.{number}", moments[number], parameter)
        for place, (number, parameter) in enumerate(zip(numbers, parameters, strict=True))
        if number in moments
    }
    groups = [{**group, "params": list(range(len(parameters)))}]
    optimizer.load_state_dict({"state": own, "param_groups": groups})


def _parts(where: str, found: object) -> tuple[list[int], Mapping]:
    """The numbers that a saved optimizer gives the parameters, in order, and the moments by them.

    A parameter that never had a gradient has none.
    """
    content = found if isinstance(found, Mapping) else {}
    groups, moments = content.get("param_groups"), content.get("state")
    if not isinstance(groups, list) or len(groups) != 1 or not isinstance(groups[0], Mapping):
        raise UserError(f"{where}.param_groups: not a list of one group; {REMEDY}")
    numbers = groups[0].get("params")
    if (
        not isinstance(numbers, list)
        or not all(type(number) is int for number in numbers)
        or len(set(numbers)) < len(numbers)
    ):
        raise UserError(f"{where}.param_groups: its params are no list of numbers; {REMEDY}")
    if not isinstance(moments, Mapping):
        raise UserError(f"{where}.state: not a section of moments; {REMEDY}")
    return numbers, moments


def _moments(where: str, found: object, parameter: Tensor) -> dict[str, Tensor]:
    """Adam's moments of a parameter, in its layout, and how many steps they have seen."""
    if not isinstance(found, Mapping):
        raise UserError(f"{where}: of type {type(found).__name__}, not moments; {REMEDY}")
    step = found.get("step")  # a number in checkpoints of old
    if isinstance(step, Tensor) and checked(f"{where}.step", step).numel() == 1:
        step = step.item()
    if isinstance(step, bool) or not isinstance(step, int | float) or not 0 <= step <= _MOST_STEPS:
        raise UserError(f"{where}.step: not a number of steps; {REMEDY}")
    moments = {"step": torch.tensor(float(step))}
    for key in ("exp_avg", "exp_avg_sq"):
        value = checked(f"{where}.{key}", found.get(key))
        if value.shape != parameter.shape:
            raise UserError(
                f"{where}.{key}: shape {tuple(value.shape)} where the parameter has "
                f"{tuple(parameter.shape)}; {REMEDY}"
            )
        # In the weights' layout, which follows precision and device: a fused step goes through
        # the memory of both, whatever it stands for.
        moments[key] = torch.empty_like(parameter, requires_grad=False).copy_(value)
    if (moments["exp_avg_sq"] < 0).any():
        raise UserError(f"{where}.exp_avg_sq: holds a negative square; {REMEDY}")
    return moments
