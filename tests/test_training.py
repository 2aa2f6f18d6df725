"""The parts of the training loop: the order of items, the measures, the optimizers' steps."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from commands import SIZE, thin_vgg_in_place, tiny_tree
from torch import Tensor, nn
from torch.testing import assert_close

from config.schema import parse_config
from engine import build_training, guard, measures
from engine.build import Networks
from engine.build_training import build_trainer
from engine.checkpoint import AVERAGE
from engine.errors import UserError
from engine.guard import keypoint_state, keypoint_warnings
from engine.measures import RunningMeans, Stopwatch, with_total
from engine.sampling import EpochSampler
from engine.training import Options, Trainer

CPU = torch.device("cpu")
RATES = {"generator": 1e-3, "discriminator": 2e-3, "kp_detector": 3e-3}


def trainer(
    *,
    milestones: Sequence[int] = (),
    generator_gan: float = 0.0,
    options: Options = Options(),  # noqa: B008
    compile: bool = False,
) -> Trainer:
    """Tiny networks, the same ones each time."""
    config = parse_config(tiny_tree(Path()), "tiny")
    weights = replace(config.train_params.loss_weights, generator_gan=generator_gan)
    params = replace(
        config.train_params,
        loss_weights=weights,
        epoch_milestones=tuple(milestones),
        lr_generator=RATES["generator"],
        lr_discriminator=RATES["discriminator"],
        lr_kp_detector=RATES["kp_detector"],
        compile=compile,
    )
    torch.manual_seed(0)
    config = replace(config, train_params=params)
    # Not by precision, which has no scaling on a CPU; the scaler does its work there, too.
    with thin_vgg_in_place(), patch.object(build_training, "Options", lambda **_: options):
        return build_trainer(config, device=CPU, device_ids=[])


def images(seed: int) -> tuple[Tensor, Tensor]:
    source, driving = torch.rand(2, 2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))
    return source, driving


def parameters_of(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.named_parameters()}


def changed(network: nn.Module, before: dict[str, Tensor]) -> set[str]:
    return {
        name for name, value in network.named_parameters() if not torch.equal(value, before[name])
    }


# ----- steps


@pytest.mark.parametrize("generator_gan", [0.0, 1.0])
def test_a_step_moves_the_networks_that_have_a_loss(generator_gan: float) -> None:
    training = trainer(generator_gan=generator_gan)
    before = {name: parameters_of(net) for name, net in training.networks._asdict().items()}
    result = training.step(*images(0))
    adversarial = {"generator_gan", "discriminator_gan", "feature_matching"}
    assert (result.losses.keys() & adversarial) == (adversarial if generator_gan else set())
    for term in result.losses.values():
        assert term.shape == ()
        assert not term.requires_grad
    for name, network in training.networks._asdict().items():
        moves = name != "discriminator" or generator_gan > 0
        assert changed(network, before[name]) == (set(before[name]) if moves else set())


def test_gradients_of_one_step_do_not_reach_the_next() -> None:
    training = trainer(generator_gan=1.0)
    training.step(*images(0))
    for network in training.networks:
        assert all(parameter.requires_grad for parameter in network.parameters())
        assert all(parameter.grad is None for parameter in network.parameters())


def test_the_generators_step_leaves_the_discriminator_no_gradient() -> None:
    """It would add to that of the discriminator's own step."""
    training = trainer(generator_gan=1.0)
    discriminator = training.networks.discriminator
    judging: list[bool] = []

    def look(*_: object) -> None:
        judging.append(not next(discriminator.parameters()).requires_grad)
        assert all(parameter.grad is None for parameter in discriminator.parameters())

    discriminator.register_forward_pre_hook(look)
    training.step(*images(0))
    # In the generator's step it judges alone, then it looks once more at both, in its own.
    assert judging == sorted(judging, reverse=True) and len(set(judging)) == 2


def test_a_checkpoint_s_layout_and_way_of_stepping_do_not_change_the_next_step() -> None:
    """They are those of the device and precision it was saved from; published ones have others."""
    first = trainer()
    for seed in range(2):
        first.step(*images(seed))
    state: dict[str, Any] = deepcopy({**first.state_dict(), "epoch": 0})
    elsewhere = deepcopy(state)
    relaid = 0
    for name in RATES:
        for moments in elsewhere[f"optimizer_{name}"]["state"].values():
            for key, value in moments.items():
                if value.dim() == 4 and not value.is_contiguous():
                    moments[key], relaid = value.contiguous(), relaid + 1
        for group in elsewhere[f"optimizer_{name}"]["param_groups"]:
            group["fused"] = None
    assert relaid
    ends = []
    for saved in (state, elsewhere):
        going_on = trainer()
        going_on.load_state_dict(Path("saved"), saved)
        torch.manual_seed(0)
        going_on.step(*images(2))
        ends.append([parameters_of(network) for network in going_on.networks])
        fused = {
            group["fused"] for opt in going_on.optimizers.values() for group in opt.param_groups
        }
        assert fused == {True}
    for one, other in zip(*ends, strict=True):
        assert_close(one, other, rtol=0, atol=0)


def test_each_network_has_its_rate() -> None:
    """Adam's first step is as long as the rate, whatever the gradient."""
    training = trainer(generator_gan=1.0)
    before = {name: parameters_of(net) for name, net in training.networks._asdict().items()}
    training.step(*images(0))
    for name, network in training.networks._asdict().items():
        moves = [
            (value - before[name][key]).abs().max() for key, value in network.named_parameters()
        ]
        assert max(moves).item() == pytest.approx(RATES[name], rel=0.01)


def rates_at(epoch: int, milestones: Sequence[int]) -> object:
    passed = sum(milestone <= epoch for milestone in milestones)
    return pytest.approx({name: rate / 10**passed for name, rate in RATES.items()})


@pytest.mark.parametrize("milestones", [[], [1], [2, 3], [3, 5]])
def test_rates_follow_the_milestones_before_and_after_resumption(milestones: list[int]) -> None:
    running = trainer(milestones=milestones, generator_gan=1.0)
    for epoch in range(7):
        assert running.current_learning_rates() == rates_at(epoch, milestones)
        resumed = trainer(milestones=milestones, generator_gan=1.0)
        state = {**running.state_dict(), "epoch": epoch}
        resumed.load_state_dict(Path("x"), state)
        assert resumed.current_learning_rates() == running.current_learning_rates()
        # As in a published checkpoint, whose epochs count from 0.
        del state["schedulers"]
        resumed.load_state_dict(Path("x"), state | {"epoch": epoch - 1})
        assert resumed.current_learning_rates() == running.current_learning_rates()
        running.step(*images(epoch))
        running.end_epoch()


def test_rates_of_the_config_win_over_those_of_the_checkpoint() -> None:
    state = {**trainer(milestones=[9]).state_dict(), "epoch": 3}
    resumed = trainer(milestones=[2], generator_gan=1.0)
    resumed.load_state_dict(Path("x"), {**state, "schedulers": None})
    assert resumed.current_learning_rates() == rates_at(3, [2])


def test_a_resting_discriminator_keeps_its_rate() -> None:
    training = trainer(milestones=[1])
    training.step(*images(0))
    training.end_epoch()
    assert training.current_learning_rates()["discriminator"] == RATES["discriminator"]
    assert training.current_learning_rates()["generator"] == pytest.approx(1e-4)


@pytest.mark.parametrize("key", [*Networks._fields, "optimizer_generator", "epoch"])
def test_a_state_with_something_missing_is_refused_by_name(key: str) -> None:
    training = trainer()
    state = {**training.state_dict(), "epoch": 1}
    del state[key]
    with pytest.raises(UserError, match=rf"^x: holds no {key};"):
        training.load_state_dict(Path("x"), state)


def test_an_optimizer_that_does_not_fit_is_named_with_a_remedy() -> None:
    training = trainer()
    state = {**training.state_dict(), "epoch": 1}
    state["optimizer_generator"] = state["optimizer_kp_detector"]
    with pytest.raises(UserError, match=r"^x: optimizer_generator: of \d+ parameters, .*--init"):
        training.load_state_dict(Path("x"), state)


@pytest.mark.slow
def test_compiled_networks_train_as_others_do() -> None:
    """And nothing of their compilation shows in a checkpoint or in the average."""
    losses, states = [], []
    for compile in (False, True):
        training = trainer(options=Options(ema_decay=0.9), compile=compile)
        torch.manual_seed(3)
        results = [training.step(*images(number)) for number in range(2)]
        terms = [{name: term.item() for name, term in r.losses.items()} for r in results]
        losses.append(terms)
        states.append(training.state_dict())
        assert (training.networks.generator._compiled_call_impl is not None) == compile
    for found, expected in zip(losses[1], losses[0], strict=True):
        assert found == pytest.approx(expected, rel=1e-3)
    assert states[0].keys() == states[1].keys()
    for name in (*Networks._fields, AVERAGE):
        assert state_names(states[0][name]) == state_names(states[1][name])


@pytest.mark.parametrize("sn", [False, True])
def test_all_networks_are_compiled_that_can_be(sn: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The vectors of spectral norms move between a compiled forward pass and its backward."""
    tree = tiny_tree(Path())
    tree["model_params"]["discriminator_params"]["sn"] = sn
    tree["train_params"]["compile"] = True
    monkeypatch.setattr(build_training, "can_compile", lambda device, asked: True)
    with thin_vgg_in_place():
        networks = build_trainer(parse_config(tree, "tiny"), device=CPU).networks
    compiled = {n: net._compiled_call_impl is not None for n, net in networks._asdict().items()}
    assert compiled == {"generator": True, "kp_detector": True, "discriminator": not sn}


def test_compiled_networks_cannot_be_copied_to_several_devices() -> None:
    config = parse_config(tiny_tree(Path()), "tiny", ["train_params.compile=true"])
    with pytest.raises(UserError, match=r"train_params.compile: .* or use torchrun"):
        build_trainer(config, device=CPU, device_ids=[0, 1])


def state_names(state: object) -> list[str]:
    """The names of all tensors of nested states."""
    assert isinstance(state, dict)
    return [
        f"{key}.{inner}"
        for key, value in state.items()
        for inner in (state_names(value) if isinstance(value, dict) else [""])
    ]


def test_training_goes_on_without_a_compiler(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(function: object) -> None:
        raise RuntimeError("no C++ compiler found")

    monkeypatch.setattr(torch, "compile", fail)
    training = trainer(compile=True)
    assert training.step(*images(0)).offender is None
    assert "train_params.compile: this machine cannot (no C++ compiler found)" in caplog.text


# ----- the order of items


def order_of(sampler: EpochSampler, epoch: int, *, first_item: int = 0) -> list[int]:
    sampler.set_epoch(epoch, first_item=first_item)
    return list(sampler)


def test_an_epoch_is_a_shuffle_that_follows_from_seed_and_epoch() -> None:
    sampler = EpochSampler(50, seed=1)
    orders = [order_of(sampler, epoch) for epoch in (0, 1, 2)]
    orders.append(order_of(EpochSampler(50, seed=2), 0))
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    torch.manual_seed(99)
    torch.rand(3)
    assert order_of(EpochSampler(50, seed=1), 2) == orders[2]


def test_an_epoch_can_start_in_its_midst() -> None:
    sampler = EpochSampler(50, seed=1)
    whole = order_of(sampler, 3)
    for first_item in (0, 20, 50, 60):
        assert order_of(sampler, 3, first_item=first_item) == whole[first_item:]
        assert len(sampler) == len(whole[first_item:])


# ----- warnings


def test_keypoints_that_lie_together_or_at_the_edge_are_told_apart() -> None:
    corners = torch.tensor([[-0.5, -0.5], [0.5, -0.5], [-0.5, 0.5], [0.5, 0.5]])
    spread, at_edge = keypoint_state(torch.stack([corners, corners]))
    assert spread.item() == pytest.approx(0.5**0.5)
    assert at_edge.item() == 0
    assert keypoint_state(corners[None] / 20).spread.item() == pytest.approx(0.05 * 0.5**0.5)
    beyond = torch.tensor([[[-1.2, 0.0], [0.3, 0.99], [1.0, 1.0], [0.1, 0.2]]])
    assert keypoint_state(beyond).at_edge.item() == 0.75


@pytest.mark.parametrize(
    ("spread", "at_edge", "names"),
    [
        (0.3, 0.0, set()),
        (0.3, 0.5, set()),
        (0.04, 0.0, {"keypoints_collapsed"}),
        (0.3, 0.75, {"keypoints_leave"}),
        (0.04, 0.75, {"keypoints_collapsed", "keypoints_leave"}),
    ],
)
def test_lost_keypoints_are_warned_of_once_training_is_under_way(
    spread: float, at_edge: float, names: set[str]
) -> None:
    assert keypoint_warnings(guard.FIRST_CHECK, spread, at_edge).keys() == names
    assert keypoint_warnings(guard.FIRST_CHECK - 1, spread, at_edge) == {}


def test_ten_skipped_steps_are_too_many() -> None:
    guard.check_skipped(9, "loss perceptual", "begin again")
    with pytest.raises(UserError, match=r"^loss perceptual: not finite in 10 .* begin again"):
        guard.check_skipped(10, "loss perceptual", "begin again")


# ----- measures


def test_means_are_over_steps() -> None:
    losses = RunningMeans()
    assert losses.means() == {}
    term = torch.tensor(1.0)
    losses.add({"perceptual": term, "equivariance": torch.tensor(0.5)})
    losses.add({"perceptual": torch.tensor(4.0), "equivariance": torch.tensor(0.25)})
    assert losses.means() == {"perceptual": 2.5, "equivariance": 0.375}
    assert with_total(losses.means())["total"] == 2.875
    assert with_total({}) == {}
    assert term.item() == 1.0  # what was added is left as it is


def test_a_step_is_timed_from_the_end_of_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([10.0, 11.0, 13.0, 13.5, 14.0])  # start, data, done, data, done
    monkeypatch.setattr(measures.time, "monotonic", lambda: next(moments))
    watch = Stopwatch()
    assert watch.means() == {"seconds_per_step": 0.0, "seconds_waiting_for_data": 0.0}
    for _ in range(2):
        watch.data_arrived()
        watch.step_done()
        assert watch.lap()["seconds_per_step"] in (1.0, 3.0)
    assert watch.means() == {"seconds_per_step": 2.0, "seconds_waiting_for_data": 0.75}
