"""The steps of the optimizers, and the state that training goes on from."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import MultiStepLR

from engine import distributed
from engine.build import Networks
from engine.checkpoint import load_weights
from engine.errors import UserError
from modules.model import DiscriminatorFullModel, GeneratorFullModel, GeneratorStep
from sync_batchnorm import SyncDataParallel

_BETAS = (0.5, 0.999)
_DECAY = 0.1
_REMEDY = "start from its weights alone with --init_from"


class FullModels(NamedTuple):
    """The two halves of a training step."""

    generator: GeneratorFullModel
    discriminator: DiscriminatorFullModel


class StepResult(NamedTuple):
    """One training step's outcome: each weighted term, a detached scalar, and the pictures."""

    losses: dict[str, Tensor]
    pictures: GeneratorStep


class Trainer:
    """Networks, their optimizers and learning rates.

    Args:
        networks: to be trained, by their names in a checkpoint.
        models: the same networks wrapped with their losses.
        learning_rates: of the network of each name.
        milestones: the epochs after which learning rates are divided by 10.
        device: where the networks are already.
        device_ids: GPUs among which this process shares each batch; one or none: it does not.
    """

    def __init__(
        self,
        networks: Networks,
        models: FullModels,
        *,
        learning_rates: Mapping[str, float],
        milestones: Sequence[int],
        device: torch.device,
        device_ids: Sequence[int] = (),
    ) -> None:
        self.networks = networks
        self.device = device
        self._warps = models.generator.warps
        self.adversarial = models.generator.weights.generator_gan != 0
        # Frozen while it is wrapped, as it is in every step that it only judges in.
        networks.discriminator.requires_grad_(False)
        self._generator_model = _shared(models.generator, device_ids)
        networks.discriminator.requires_grad_(True)
        self._discriminator_model = _shared(models.discriminator, device_ids)
        self._learning_rates = learning_rates
        self._milestones = milestones
        self.optimizers = {
            name: Adam(network.parameters(), lr=learning_rates[name], betas=_BETAS)
            for name, network in networks._asdict().items()
        }
        self._start_schedules(0)

    def train_mode(self) -> None:
        """Back into training mode, after an evaluation."""
        for network in self.networks:
            network.train()

    def step(self, source: Tensor, driving: Tensor) -> StepResult:
        """Step all networks on a batch of frame pairs, (B, C, H, W) in [0, 1] each."""
        source, driving = source.to(self.device), driving.to(self.device)
        pictures = self._step_generator(source, driving)
        losses = pictures.losses
        if self.adversarial:
            losses = losses | self._step_discriminator(driving, pictures)
        means = {name: term.detach().mean() for name, term in losses.items()}
        return StepResult(means, pictures)

    def _step_generator(self, source: Tensor, driving: Tensor) -> GeneratorStep:
        self.networks.discriminator.requires_grad_(False)
        # Drawn for the whole batch: replicas that drew for themselves would all draw the same.
        warps = self._warps.sample(len(driving), self.device)
        result = self._generator_model(source, driving, warps)
        self._descend(result.losses, ("generator", "kp_detector"))
        self.networks.discriminator.requires_grad_(True)
        return result

    def _step_discriminator(self, driving: Tensor, pictures: GeneratorStep) -> dict[str, Tensor]:
        losses = self._discriminator_model(
            driving, pictures.generated.prediction.detach(), pictures.kp_driving.detach()
        )
        self._descend(losses, ("discriminator",))
        return losses

    def _descend(self, losses: Mapping[str, Tensor], names: Sequence[str]) -> None:
        total = torch.stack([term.mean() for term in losses.values()]).sum()
        total.backward()
        for name in names:
            self.optimizers[name].step()
            self.optimizers[name].zero_grad()

    def end_epoch(self) -> None:
        """Move the learning rates on by one epoch."""
        # Not by step(), which rounds them otherwise than a run that is resumed here.
        self._start_schedules(self._schedules["generator"].last_epoch + 1)

    def current_learning_rates(self) -> dict[str, float]:
        return {name: opt.param_groups[0]["lr"] for name, opt in self.optimizers.items()}

    def state_dict(self) -> dict[str, object]:
        """Networks, optimizers and schedules, under their names in a checkpoint."""
        state: dict[str, object] = {
            name: network.state_dict() for name, network in self.networks._asdict().items()
        }
        for name, optimizer in self.optimizers.items():
            state[f"optimizer_{name}"] = optimizer.state_dict()
        state["schedulers"] = {name: s.state_dict() for name, s in self._schedules.items()}
        return state

    def load_state_dict(self, path: Path, state: Mapping) -> None:
        """Go on from a checkpoint; published ones, which have no schedules, included.

        The learning rates are those that the config gives for the checkpoint's epoch.

        Raises:
            UserError: something is missing or does not fit.
        """
        load_weights(path, state, self.networks._asdict())
        for name, optimizer in self.optimizers.items():
            _load_optimizer(optimizer, state, name=f"optimizer_{name}", path=path)
        if "epoch" not in state:
            raise UserError(f"{path}: holds no epoch; {_REMEDY}")
        schedules = state.get("schedulers")
        self._start_schedules(
            schedules["generator"]["last_epoch"] if schedules else state["epoch"] + 1
        )

    def _start_schedules(self, epoch: int) -> None:
        """Set the learning rates to those of an epoch, whatever the optimizers held."""
        self._schedules = {}
        for name, optimizer in self.optimizers.items():
            if name == "discriminator" and not self.adversarial:
                continue  # torch warns of a schedule whose optimizer never steps
            rate = self._learning_rates[name]
            passed = bisect_right(self._milestones, epoch - 1)
            for group in optimizer.param_groups:
                group["initial_lr"], group["lr"] = rate, rate * _DECAY**passed
            # Its constructor takes the last step, from epoch - 1.
            self._schedules[name] = MultiStepLR(
                optimizer, list(self._milestones), gamma=_DECAY, last_epoch=epoch - 1
            )


def _shared(model: nn.Module, device_ids: Sequence[int]) -> nn.Module:
    if len(device_ids) > 1:
        return SyncDataParallel(model, device_ids=list(device_ids))
    return distributed.wrap(model)


def _load_optimizer(optimizer: Optimizer, state: Mapping, *, name: str, path: Path) -> None:
    if name not in state:
        raise UserError(f"{path}: holds no {name}; {_REMEDY}")
    try:
        optimizer.load_state_dict(state[name])
    except (ValueError, KeyError) as error:
        raise UserError(f"{path}: {name} does not fit ({error}); {_REMEDY}") from error
