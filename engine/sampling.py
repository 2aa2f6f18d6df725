"""The order in which an epoch walks over the training items."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from torch.utils.data import Sampler

from engine.errors import UserError

_LARGEST = 10**15


class EpochSampler(Sampler[int]):
    """A shuffle that depends on seed and epoch alone, and can start in the middle of an epoch.

    Args:
        num_items: length of the dataset.
        seed: of all epochs, 0 or more.
    """

    def __init__(self, num_items: int, *, seed: int) -> None:
        self.num_items = num_items
        self.seed = seed
        self.epoch = 0
        self.first_item = 0

    def set_epoch(self, epoch: int, *, first_item: int = 0) -> None:
        """Choose the epoch that the next iteration walks over, and how many items it passes by."""
        self.epoch = epoch
        self.first_item = first_item

    def __len__(self) -> int:
        return max(0, self.num_items - self.first_item)

    def __iter__(self) -> Iterator[int]:
        # Not torch's generator: on the CPU it reads no more than 32 bits of a seed.
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.num_items)
        return iter(order[self.first_item :].tolist())


def describe_difference(before: Mapping[str, int], now: Mapping[str, int]) -> str:
    """In what an epoch's items are taken otherwise than before, and what comes of it, if in any.

    Args:
        before, now: settings by name, `processes` among them; what `before` lacks counts as equal.
    """
    changed = [name for name in now if before.get(name, now[name]) != now[name]]
    if not changed:
        return ""
    changes = ", ".join(f"{name} {now[name]} in place of {before[name]}" for name in changed)
    if changed == ["processes"]:
        return f"with {changes}: its steps are the same to rounding"
    return f"with {changes}: some of its items come twice or not at all"


def check_sampling(path: Path, settings: object) -> None:
    """See that a checkpoint holds settings that can be compared.

    Raises:
        UserError: it holds something else.
    """
    is_mapping = isinstance(settings, Mapping)
    if not is_mapping or not all(
        isinstance(name, str) and type(value) is int and 0 <= value <= _LARGEST
        for name, value in settings.items()  # type: ignore[attr-defined]
    ):
        raise UserError(
            f"{path}: sampling: unreadable; get a whole copy, or start from its weights alone with "
            "--init_from"
        )
