"""The order in which an epoch walks over the training items."""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler


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
