"""The steps of the optimizers, and the state that training goes on from."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from engine import distributed
from engine.averaging import WeightAverage
from engine.build import InferenceNetworks, Networks
from engine.checkpoint import AVERAGE, load_weights, with_averages
from engine.descent import Descent
from engine.device import place
from engine.errors import UserError
from engine.optimizers import REMEDY, build_optimizers, load_optimizer, schedule_from
from engine.warm_start import take_what_fits
from modules.model import DiscriminatorFullModel, GeneratorFullModel
from modules.step import GeneratorStep, JudgedFrames
from sync_batchnorm import SyncDataParallel

# Which networks step together, on one sum of losses.
_DESCENTS = {"generator": ("generator", "kp_detector"), "discriminator": ("discriminator",)}


class FullModels(NamedTuple):
    """The two halves of a training step."""

    generator: GeneratorFullModel
    discriminator: DiscriminatorFullModel


class Options(NamedTuple):
    """How steps are taken.

    Attributes:
        accumulation: in how many parts, one after the other, a batch goes through the networks.
        clip, scaled: as in Descent.
        ema_decay: as in WeightAverage; 0: there is no average.
    """

    accumulation: int = 1
    clip: float | None = None
    scaled: bool = False
    ema_decay: float = 0.0


class StepResult(NamedTuple):
    """One training step's outcome.

    Attributes:
        losses: each weighted term, a detached scalar.
        pictures: what the first part of the batch became, in its order.
        gradient_norms: of each network that has losses, a scalar.
        offender: what was not finite, so that the step was skipped; None: it was taken.
    """

    losses: dict[str, Tensor]
    pictures: GeneratorStep
    gradient_norms: dict[str, Tensor]
    offender: str | None


class Trainer:
    """Networks, their optimizers and learning rates.

    Args:
        networks: to be trained, by their names in a checkpoint.
        models: the same networks wrapped with their losses.
        learning_rates: of the network of each name.
        milestones: the epochs after which learning rates are divided by 10.
        options: how steps are taken.
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
        options: Options = Options(),  # noqa: B008
        device_ids: Sequence[int] = (),
    ) -> None:
        self.networks = networks
        self.device = device
        self.options = options
        self._draw = models.generator.draw
        weights = models.generator.weights
        self._discriminator_learns = bool(weights.generator_gan and weights.discriminator_gan)
        # Frozen while it is wrapped, as it is in every step that it only judges in.
        networks.discriminator.requires_grad_(False)
        self._generator_model = _shared(models.generator, device_ids)
        networks.discriminator.requires_grad_(True)
        self._discriminator_model = _shared(models.discriminator, device_ids)
        self._learning_rates = learning_rates
        self._milestones = milestones
        self.optimizers = build_optimizers(networks._asdict(), learning_rates, device)
        self._descents = {name: self._descent(*moved) for name, moved in _DESCENTS.items()}
        self._start_schedules(0)
        self._start_average()

    def _descent(self, *names: str) -> Descent:
        return Descent(
            {name: getattr(self.networks, name) for name in names},
            {name: self.optimizers[name] for name in names},
            device=self.device,
            scaled=self.options.scaled,
            clip=self.options.clip,
        )

    @property
    def animating(self) -> InferenceNetworks:
        """What results are made with: the averaged weights, where they are kept."""
        if self.average is not None:
            return self.average.networks
        return InferenceNetworks(self.networks.generator, self.networks.kp_detector)

    def step(self, source: Tensor, driving: Tensor) -> StepResult:
        """Step all networks on a batch of frame pairs, (B, C, H, W) in [0, 1] each.

        If anything is not finite, nothing moves: no network's weights or batch statistics, no
        optimizer, and no average.
        """
        # From pinned memory, a copy need not be waited for.
        source, driving = (
            place(frames.to(self.device, non_blocking=True), self.device)
            for frames in (source, driving)
        )
        before = [buffer.clone() for buffer in self._buffers()]
        parts = _parts(len(driving), self.options.accumulation)
        descents = [self._descents["generator"]]
        result, judged = self._generator_gradients(source, driving, parts)
        if judged and result.offender is None:
            descents.append(self._descents["discriminator"])
            result = self._discriminator_gradients(result, judged)
        for descent in descents:
            if result.offender is None:
                descent.take(result.gradient_norms)
            else:
                descent.end()
        if result.offender is not None:
            for buffer, value in zip(self._buffers(), before, strict=True):
                buffer.copy_(value)
        elif self.average is not None:
            self.average.update()
        return result

    def _buffers(self) -> Iterator[Tensor]:
        return chain.from_iterable(network.buffers() for network in self.networks)

    def _generator_gradients(
        self, source: Tensor, driving: Tensor, parts: Sequence[slice]
    ) -> tuple[StepResult, list[JudgedFrames]]:
        """The step but for the discriminator's losses, and what there is of each part for these."""
        self.networks.discriminator.requires_grad_(False)
        size, own = distributed.whole_batch(len(driving))
        draws = self._draw(size, self.device).of(own)
        descent, losses, judged, pictures = self._descents["generator"], _Losses(), [], None
        for part in parts:
            with distributed.gradients_shared(self._generator_model, now=part is parts[-1]):
                result = self._generator_model(source[part], driving[part], draws.of(part))
                descent.accumulate(result.losses, share=1 / len(parts))
            losses.add(result.losses)
            if result.judged is not None:
                judged.append(result.judged)
            pictures = pictures or result
        outcome = descent.check()
        self.networks.discriminator.requires_grad_(True)
        assert pictures is not None
        norms, offender = outcome.gradient_norms, outcome.offender
        return StepResult(losses.means(), pictures, norms, offender), judged

    def _discriminator_gradients(
        self, step: StepResult, parts: Sequence[JudgedFrames]
    ) -> StepResult:
        """The step with the discriminator's losses beside those of the generator."""
        descent, losses = self._descents["discriminator"], _Losses()
        for part in parts:
            with distributed.gradients_shared(self._discriminator_model, now=part is parts[-1]):
                terms = self._discriminator_model(part)
                descent.accumulate(terms, share=1 / len(parts))
            losses.add(terms)
        outcome = descent.check()
        return step._replace(
            losses=step.losses | losses.means(),
            gradient_norms=step.gradient_norms | outcome.gradient_norms,
            offender=outcome.offender,
        )

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
        if self.options.scaled:
            scalers = {name: d.scaler.state_dict() for name, d in self._descents.items()}
            state["scalers"] = scalers
        if self.average is not None:
            state[AVERAGE] = self.average.state_dict()
        return state

    def load_state_dict(self, path: Path, state: Mapping) -> None:
        """Go on from what `read_saved_run` returned; published ones, without schedules, included.

        The learning rates are those that the config gives for the checkpoint's epoch.

        Raises:
            UserError: something is missing or does not fit.
        """
        load_weights(path, state, self.networks._asdict())
        for name, optimizer in self.optimizers.items():
            load_optimizer(optimizer, state, name=f"optimizer_{name}", path=path)
        if "epoch" not in state:
            raise UserError(f"{path}: holds no epoch; {REMEDY}")
        schedules = state.get("schedulers")
        self._start_schedules(
            schedules["generator"]["last_epoch"] if schedules else state["epoch"] + 1
        )
        scalers = state.get("scalers", {}) if self.options.scaled else {}
        for name, descent in self._descents.items():
            if name in scalers:
                descent.scaler.load_state_dict(scalers[name])
        self._start_average()
        if self.average is not None and AVERAGE in state:
            self.average.load_state_dict(path, state[AVERAGE])

    def take_what_fits(self, path: Path, state: Mapping) -> list[str]:
        """Start from the weights of another run; returns what was taken and what was not.

        Raises:
            UserError: little or nothing fits.
        """
        averaged = with_averages(path, state)
        lines = take_what_fits(path, averaged, self.networks._asdict())
        self._start_average()
        return lines

    def _start_average(self) -> None:
        """Let the average of the weights begin at what they are now."""
        decay = self.options.ema_decay
        followed = InferenceNetworks(self.networks.generator, self.networks.kp_detector)
        self.average = WeightAverage(followed, decay=decay) if decay else None

    def _start_schedules(self, epoch: int) -> None:
        """Set the learning rates to those of an epoch, whatever the optimizers held."""
        self._schedules = {
            name: schedule_from(epoch, optimizer, self._learning_rates[name], self._milestones)
            for name, optimizer in self.optimizers.items()
            # torch warns of a schedule whose optimizer never steps
            if name != "discriminator" or self._discriminator_learns
        }


class _Losses:
    """The mean of each term over the parts of a batch, detached."""

    def __init__(self) -> None:
        self._parts: list[Mapping[str, Tensor]] = []

    def add(self, losses: Mapping[str, Tensor]) -> None:
        """Count one part's terms, (B,) each."""
        self._parts.append({name: term.detach().mean() for name, term in losses.items()})

    def means(self) -> dict[str, Tensor]:
        return {
            name: torch.stack([part[name] for part in self._parts]).mean()
            for name in self._parts[0]
        }


def _parts(batch_size: int, count: int) -> list[slice]:
    """A batch cut into parts of one size."""
    size = -(-batch_size // count)
    return [slice(start, start + size) for start in range(0, batch_size, size)]


def _shared(model: nn.Module, device_ids: Sequence[int]) -> nn.Module:
    if len(device_ids) > 1:
        return SyncDataParallel(model, device_ids=list(device_ids))
    return distributed.wrap(model)
