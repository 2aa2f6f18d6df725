"""Start a run from another one's weights: what fits is taken, and what is not is listed."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor, nn

from engine.checkpoint import network_weights
from engine.errors import UserError, named

_NEEDED = ("generator", "kp_detector")
_MOST_LISTED = 3


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
        state: its content. `module.` and `_orig_mod.` in parameter names are ignored.
        networks: to be filled; a discriminator that does not fit stays as it is.

    Raises:
        UserError: the generator or the detector is missing, or less than half of it fits; a network
            holds what cannot be computed with.
    """
    lines = []
    for name, network in networks.items():
        is_there = name in _NEEDED or name in state
        fit = _compare(network_weights(path, state, name) if is_there else {}, network)
        if name in _NEEDED:
            _check(path, name, fit)
        if fit.too_little:
            lines.append(f"{name} starts anew: {name}.{fit.not_taken[0]}")
            continue
        network.load_state_dict(fit.taken, strict=False)
        lines.append(f"{name}: {len(fit.taken)} of {fit.num_wanted} tensors taken from {path}")
        if fit.not_taken:
            lines.append(f"{name}: not taken: {_listed(fit.not_taken)}")
    return lines


def _check(path: Path, name: str, fit: Fit) -> None:
    if fit.too_little:
        raise UserError(
            f"{path}: {name}: {len(fit.taken)} of {fit.num_wanted} tensors fit; it is of another "
            f"architecture, as {name}.{fit.not_taken[0]}; give a config like that it was trained "
            "with"
        )


def _listed(phrases: Sequence[str]) -> str:
    """The first few of many phrases, and how many more there are."""
    more = len(phrases) - _MOST_LISTED
    return ", ".join([*phrases[:_MOST_LISTED], *([f"and {more} more"] if more > 0 else [])])


def _compare(theirs: Mapping[str, Tensor], network: nn.Module) -> Fit:
    ours = network.state_dict()
    taken = {key: theirs[key] for key in ours if key in theirs and _fits(theirs[key], ours[key])}
    share = _numbers(taken) / max(1, _numbers(ours))
    return Fit(taken, list(_misfits(theirs, ours)), len(ours), share)


def _numbers(tensors: Mapping[str, Tensor]) -> int:
    return sum(tensor.numel() for tensor in tensors.values())


def _misfits(theirs: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> Iterator[str]:
    for key, tensor in ours.items():
        if key not in theirs:
            yield f"{key} (missing there)"
        elif not _fits(theirs[key], tensor):
            yield f"{key} ({_described(theirs[key])} there, {_described(tensor)} here)"
    yield from (f"{named(key)} (not in this network)" for key in theirs if key not in ours)


def _fits(found: Tensor, wanted: Tensor) -> bool:
    return found.shape == wanted.shape and found.is_floating_point() == wanted.is_floating_point()


def _described(tensor: Tensor) -> str:
    kind = "" if tensor.is_floating_point() else f" of {tensor.dtype}"
    return f"{tuple(tensor.shape)}{kind}"
