"""One step down a sum of losses: scaled for half precision, checked, clipped."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from engine.distributed import total


class Outcome(NamedTuple):
    """What a step would be by.

    Attributes:
        offender: the loss or the network's gradient that was not finite; None: all were.
        gradient_norms: of each network, before clipping; scalars.
    """

    offender: str | None
    gradient_norms: dict[str, Tensor]


class Descent:
    """The networks that one sum of losses moves, with their optimizers.

    Args:
        networks: by name.
        optimizers: by the same names.
        device: where they are.
        scaled: multiply the losses so that gradients in float16 do not vanish, by as much as
            does not overflow (arXiv 1710.03740, section 3.2).
        clip: the largest norm of a network's gradient; a longer one is shortened. None: any.
    """

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        optimizers: Mapping[str, Optimizer],
        *,
        device: torch.device,
        scaled: bool = False,
        clip: float | None = None,
    ) -> None:
        self.networks = networks
        self.optimizers = optimizers
        self.clip = clip
        self.scaler = torch.amp.GradScaler(device.type, enabled=scaled)
        self._losses: dict[str, Tensor] = {}

    def accumulate(self, losses: Mapping[str, Tensor], *, share: float) -> None:
        """Add the gradients of losses (B,) of a `share` of the batch."""
        terms = {name: term.mean() for name, term in losses.items()}
        mean = share * torch.stack(list(terms.values())).sum()
        self.scaler.scale(mean).backward()
        for name, term in terms.items():
            self._losses[name] = self._losses.get(name, 0.0) + share * term.detach()

    def check(self) -> Outcome:
        """See whether the gradients so far, and the losses, are finite in all processes."""
        for optimizer in self.optimizers.values():
            self.scaler.unscale_(optimizer)
        norms = {name: _gradient_norm(network) for name, network in self.networks.items()}
        offender = self._offender(norms)
        self._losses = {}
        return Outcome(offender, norms)

    def take(self, norms: Mapping[str, Tensor]) -> None:
        """Step by the gradients so far, which have been checked and have these norms."""
        for name, optimizer in self.optimizers.items():
            self._clip(self.networks[name], norms[name])
            self.scaler.step(optimizer)
        self.end()

    def end(self) -> None:
        """Be done with the gradients so far, which have been checked."""
        for optimizer in self.optimizers.values():
            optimizer.zero_grad()
        self.scaler.update()

    def _offender(self, norms: Mapping[str, Tensor]) -> str | None:
        suspects = {f"loss {name}": value for name, value in self._losses.items()}
        suspects |= {f"gradient of {name}": norm for name, norm in norms.items()}
        broken = total((~torch.isfinite(torch.stack(list(suspects.values())))).float())
        # The one place of a step that waits for the device.
        return next(
            (name for name, bad in zip(suspects, broken.tolist(), strict=True) if bad), None
        )

    def _clip(self, network: nn.Module, norm: Tensor) -> None:
        if self.clip is not None:
            nn.utils.clip_grads_with_norm_(network.parameters(), self.clip, norm)


def _gradient_norm(network: nn.Module) -> Tensor:
    gradients = [value.grad for value in network.parameters() if value.grad is not None]
    return nn.utils.get_total_norm(gradients)
