"""Start a run from another one's weights: what fits is taken, and what is not is listed."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from torch import Tensor, nn

from engine.errors import UserError

_NEEDED = ("generator", "kp_detector")


class Fit(NamedTuple):
    """How one network and a checkpoint meet.

    Attributes:
        taken: the tensors that fit, by key.
        not_taken: what does not, one phrase for each key of either side.
        num_wanted: how many tensors the network has.
        share: of the network's numbers, those that fit.
    """

    taken: dict[str, Tensor]
    not_taken: list[str]
    num_wanted: int
    share: float

    @property
    def too_little(self) -> bool:
        """Whether it is of another architecture, so that what fits does so by chance."""
        return self.share < 0.5


def take_what_fits(path: Path, state: Mapping, networks: Mapping[str, nn.Module]) -> list[str]:
    """Fill networks, by name, with what of a checkpoint fits them; returns a line for each finding.

    Convolutions have no size, so a network trained on 256 pixels fits one for 512 but for the
    blur in front of it, which the config alone decides.

    Args:
        path: of the checkpoint, for messages.
        state: its content. A `module.` before parameter names is ignored.
        networks: to be filled; a discriminator that does not fit stays as it is.

    Raises:
        UserError: the generator or the detector is missing, or less than half of it fits.
    """
    lines = []
    for name, network in networks.items():
        fit = _compare(state.get(name, {}), network)
        if name in _NEEDED:
            _check(path, name, fit, is_there=name in state)
        if fit.too_little:
            lines.append(f"{name} starts anew: {name}.{fit.not_taken[0]}")
            continue
        network.load_state_dict(fit.taken, strict=False)
        lines.append(f"{name}: {len(fit.taken)} of {fit.num_wanted} tensors taken from {path}")
        lines += [f"not taken: {name}.{phrase}" for phrase in fit.not_taken]
    return lines


def _check(path: Path, name: str, fit: Fit, *, is_there: bool) -> None:
    if not is_there:
        raise UserError(f"{path}: holds no {name}; name a checkpoint of this method")
    if fit.too_little:
        raise UserError(
            f"{path}: {name}: {len(fit.taken)} of {fit.num_wanted} tensors fit; it is of another "
            f"architecture, as {name}.{fit.not_taken[0]}; give a config like that it was trained "
            "with"
        )


def _compare(found: object, network: nn.Module) -> Fit:
    content = found if isinstance(found, Mapping) else {}
    theirs = {str(key).removeprefix("module."): value for key, value in content.items()}
    ours = network.state_dict()
    taken = {key: theirs[key] for key in ours if _shape(theirs.get(key)) == tuple(ours[key].shape)}
    share = _numbers(taken) / max(1, _numbers(ours))
    return Fit(taken, list(_misfits(theirs, ours)), len(ours), share)


def _numbers(tensors: Mapping[str, Tensor]) -> int:
    return sum(tensor.numel() for tensor in tensors.values())


def _misfits(theirs: Mapping[str, object], ours: Mapping[str, Tensor]) -> Iterator[str]:
    for key, tensor in ours.items():
        if key not in theirs:
            yield f"{key} (missing there)"
        elif _shape(theirs[key]) != tuple(tensor.shape):
            yield f"{key} ({_shape(theirs[key])} there, {tuple(tensor.shape)} here)"
    yield from (f"{key} (not in this network)" for key in theirs if key not in ours)


def _shape(value: object) -> tuple[int, ...] | None:
    return tuple(value.shape) if isinstance(value, Tensor) else None
