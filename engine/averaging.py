"""A moving average of the weights, which scores better than the weights of any one step."""

import copy
from collections.abc import Mapping
from pathlib import Path

import torch

from engine.build import InferenceNetworks
from engine.checkpoint import AVERAGE, load_weights

_WARM_UP = 10  # steps


class WeightAverage:
    """Exponential moving averages of networks' weights and batch statistics.

    Over the first steps it forgets faster, or random weights would count for long.

    Args:
        networks: to be followed.
        decay: how much of the average stays at each step, below 1.
    """

    def __init__(self, networks: InferenceNetworks, *, decay: float) -> None:
        self._followed = networks
        self._decay = decay
        self._num_updates = 0
        self.networks = copy.deepcopy(networks)
        for network in self.networks:
            network.requires_grad_(False)

    @torch.no_grad()
    def update(self) -> None:
        """Move the averages towards the weights as they are now."""
        self._num_updates += 1
        decay = min(self._decay, self._num_updates / (self._num_updates + _WARM_UP))
        for average, network in zip(self.networks, self._followed, strict=True):
            current = network.state_dict()
            for key, value in average.state_dict().items():
                if value.is_floating_point():
                    value.lerp_(current[key], 1 - decay)
                else:
                    value.copy_(current[key])

    def state_dict(self) -> dict[str, object]:
        states = {name: net.state_dict() for name, net in self.networks._asdict().items()}
        return {"num_updates": self._num_updates, **states}

    def load_state_dict(self, path: Path, state: Mapping) -> None:
        """Go on from a checkpoint's average, as `read_saved_run` returned it.

        Raises:
            UserError: something is missing or does not fit.
        """
        load_weights(path, state, self.networks._asdict(), within=f"{AVERAGE}.")
        self._num_updates = state["num_updates"]
