"""Steps that are cut into parts, scaled, clipped, averaged, or not to be trusted."""

import copy
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from test_training import changed, images, parameters_of, trainer
from torch import Tensor, nn
from training_runs import assert_same_state

from engine.build import Networks
from engine.checkpoint import AVERAGE, with_averages
from engine.training import Options, Trainer

SCALED = Options(scaled=True)


def gradients_of_a_step(training: Trainer, source: Tensor, driving: Tensor) -> dict[str, Tensor]:
    """The gradients that the optimizers of a step were given, by network and parameter."""
    found: dict[str, Tensor] = {}
    for name, optimizer in training.optimizers.items():
        network = getattr(training.networks, name)

        def look(*_: object, name: str = name, network: nn.Module = network) -> None:
            for key, value in network.named_parameters():
                assert value.grad is not None
                found[f"{name}.{key}"] = value.grad.clone()

        optimizer.register_step_pre_hook(look)
    torch.manual_seed(7)
    training.step(source, driving)
    return found


def frozen_statistics(training: Trainer) -> Trainer:
    """With batch norm as in inference, so that no image of a batch knows of the others."""
    for network in training.networks:
        network.eval()
    return training


def batch(seed: int, size: int) -> tuple[Tensor, Tensor]:
    pairs = [images(seed + number) for number in range(size)]
    return torch.cat([p[0][:1] for p in pairs]), torch.cat([p[1][:1] for p in pairs])


@pytest.mark.parametrize("accumulation", [2, 4])
def test_parts_of_a_batch_have_the_gradients_of_the_whole(accumulation: int) -> None:
    whole = frozen_statistics(trainer(generator_gan=1.0))
    parts = frozen_statistics(trainer(generator_gan=1.0, options=Options(accumulation)))
    expected = gradients_of_a_step(whole, *batch(0, 4))
    found = gradients_of_a_step(parts, *batch(0, 4))
    assert found.keys() == expected.keys()
    for key, gradient in expected.items():
        # Some are sums that cancel: a softmax does not feel its bias.
        scale = max(g.abs().max().item() for k, g in expected.items() if k[:3] == key[:3])
        assert torch.allclose(found[key], gradient, rtol=1e-3, atol=1e-5 * scale), key


def test_losses_of_parts_are_those_of_the_whole() -> None:
    whole = frozen_statistics(trainer(generator_gan=1.0))
    parts = frozen_statistics(trainer(generator_gan=1.0, options=Options(2)))
    losses = []
    for training in (whole, parts):
        torch.manual_seed(7)
        result = training.step(*batch(0, 4))
        losses.append({name: term.item() for name, term in result.losses.items()})
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert len(result.pictures.generated.prediction) == 2


def test_a_long_gradient_is_shortened_and_its_length_told() -> None:
    free = trainer(generator_gan=1.0)
    expected = gradients_of_a_step(free, *images(0))
    norms = {
        name: math.sqrt(
            sum(g.square().sum().item() for key, g in expected.items() if key.startswith(name))
        )
        for name in Networks._fields
    }
    clip = norms["generator"] / 2
    bound = trainer(generator_gan=1.0, options=Options(clip=clip))
    torch.manual_seed(7)
    assert bound.step(*images(0)).gradient_norms == pytest.approx(norms, rel=1e-4)
    bound = trainer(generator_gan=1.0, options=Options(clip=clip))
    found = gradients_of_a_step(bound, *images(0))
    for key, gradient in found.items():
        ratio = min(1.0, clip / norms[key.split(".")[0]])
        assert torch.allclose(gradient, ratio * expected[key], rtol=1e-3, atol=1e-7), key


def state_of(training: Trainer) -> Iterator[tuple[str, Tensor]]:
    for name, network in training.networks._asdict().items():
        for key, value in network.state_dict().items():
            yield f"{name}.{key}", value.clone()
    if training.average is not None:
        for name, network in training.average.networks._asdict().items():
            for key, value in network.state_dict().items():
                yield f"average.{name}.{key}", value.clone()


@pytest.mark.parametrize("options", [Options(ema_decay=0.9), Options(2, ema_decay=0.9), SCALED])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_step_that_is_not_finite_moves_nothing(options: Options, value: float) -> None:
    """Neither weights nor what forward changes: batch statistics, singular vectors."""
    training = trainer(generator_gan=1.0, options=options)
    assert training.step(*images(0)).offender is None
    before = dict(state_of(training))
    source, driving = images(1)
    driving[1, 0, 3, 3] = value
    offender = training.step(source, driving).offender
    assert offender is not None
    assert offender.startswith("loss ")
    for key, tensor in state_of(training):
        assert torch.equal(tensor, before[key]), key
    assert training.step(*images(2)).offender is None


def test_a_discriminator_that_fails_moves_no_other_network() -> None:
    training = trainer(generator_gan=1.0)
    assert training.step(*images(0)).offender is None
    before = copy.deepcopy(training.state_dict())
    parameter = next(training.networks.discriminator.parameters())
    parameter.register_hook(lambda gradient: gradient * torch.nan)
    assert training.step(*images(1)).offender == "gradient of discriminator"
    assert_same_state(training.state_dict(), before)


def test_a_gradient_that_is_not_finite_is_named_by_its_network() -> None:
    training = trainer()
    training.networks.kp_detector.kp.weight.register_hook(lambda gradient: gradient * math.inf)
    before = parameters_of(training.networks.generator)
    assert training.step(*images(0)).offender == "gradient of kp_detector"
    assert not changed(training.networks.generator, before)


def test_scaled_losses_make_the_same_step() -> None:
    plain, scaled = (
        gradients_of_a_step(trainer(generator_gan=1.0, options=options), *images(0))
        for options in (Options(), SCALED)
    )
    for key, gradient in plain.items():
        assert torch.allclose(scaled[key], gradient, rtol=1e-3, atol=1e-7), key


def test_the_scale_falls_when_it_overflows_and_is_resumed() -> None:
    training = trainer(options=SCALED)
    training.step(*images(0))
    scales = [training.state_dict()["scalers"]["generator"]["scale"]]  # type: ignore[index]
    source, driving = images(1)
    training.step(source, driving * math.inf)
    state = {**training.state_dict(), "epoch": 1}
    scales.append(state["scalers"]["generator"]["scale"])  # type: ignore[index]
    assert scales[1] == scales[0] / 2
    resumed = trainer(options=SCALED)
    resumed.load_state_dict(Path("x"), state)
    assert resumed.state_dict()["scalers"] == state["scalers"]


def test_the_average_follows_weights_and_statistics() -> None:
    """After its warm-up it is sum_i d^(n - i) (1 - d) w_i, and the first steps soon fade."""
    training = trainer(options=Options(ema_decay=0.5))
    assert training.average is not None
    mean = training.networks.generator.final.weight.detach().clone()
    statistics = training.networks.generator.get_buffer("first.norm.running_var").clone()
    for number in range(1, 14):
        training.step(*images(number))
        decay = min(0.5, number / (number + 10))
        mean = decay * mean + (1 - decay) * training.networks.generator.final.weight.detach()
        now = training.networks.generator.get_buffer("first.norm.running_var")
        statistics = decay * statistics + (1 - decay) * now
    averaged = training.animating.generator
    assert torch.allclose(averaged.final.weight, mean, atol=1e-7)
    assert torch.allclose(averaged.get_buffer("first.norm.running_var"), statistics, atol=1e-6)
    assert not torch.equal(averaged.final.weight, training.networks.generator.final.weight)


def test_a_checkpoint_with_averages_animates_with_them() -> None:
    training = trainer(options=Options(ema_decay=0.5))
    training.step(*images(0))
    state = training.state_dict()
    used = with_averages(Path("x"), state)
    for name, network in training.animating._asdict().items():
        for key, value in network.state_dict().items():
            assert torch.equal(used[name][key], value)
            assert torch.equal(state[AVERAGE][name][key], value)  # type: ignore[index]
    assert used["discriminator"] is state["discriminator"]
    plain = trainer().state_dict()
    assert with_averages(Path("x"), plain) == plain
    assert AVERAGE not in plain


def test_without_an_average_the_last_weights_animate() -> None:
    training = trainer()
    assert training.average is None
    assert training.animating.generator is training.networks.generator
