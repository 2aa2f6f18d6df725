"""What a run goes on from is checked when it is read: one line names the entry that is wrong."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import SIZE, thin_vgg_in_place, tiny_tree
from torch import Tensor

from config.schema import parse_config, to_dict
from engine.build_training import build_trainer
from engine.checkpoint import CHECKPOINT_FORMAT, random_state, write_checkpoint
from engine.errors import UserError
from engine.saved_run import read_saved_run
from engine.training import Trainer

CPU = torch.device("cpu")


def new_trainer() -> Trainer:
    tree = tiny_tree(Path())
    tree["train_params"]["ema_decay"] = 0.9
    with thin_vgg_in_place():
        return build_trainer(parse_config(tree, "tiny"), device=CPU)


@pytest.fixture(scope="module")
def trainer() -> Trainer:
    return new_trainer()


@pytest.fixture(scope="module")
def saved() -> dict[str, Any]:
    """A checkpoint's content after one step."""
    torch.manual_seed(0)
    trainer = new_trainer()
    trainer.step(*torch.rand(2, 2, 3, SIZE, SIZE))
    numbers = {
        "format": CHECKPOINT_FORMAT,
        "epoch": 3,
        "step_in_epoch": 1,
        "step": 13,
        "best_l1": 0.02,
        "seed": 7,
    }
    scaler = {"scale": 65536.0, "growth_factor": 2.0, "backoff_factor": 0.5}
    scaler |= {"growth_interval": 2000, "_growth_tracker": 0}
    return {
        **numbers,
        **trainer.state_dict(),
        "scalers": {"generator": scaler},
        "config": to_dict(parse_config(tiny_tree(Path()), "tiny")),
        "random_state": random_state(),
    }


def replaced(content: Any, path: str, value: object) -> Any:
    """A copy of nested dicts and lists with another value at a path of names and numbers."""
    if not path:
        return value
    first, _, rest = path.partition(".")
    name = int(first) if first.isdecimal() else first
    changed = copy.copy(content)
    changed[name] = replaced(content[name], rest, value)
    return changed


def load(trainer: Trainer, folder: Path, state: dict[str, Any]) -> None:
    path = folder / "x.pth.tar"
    write_checkpoint(path, state)
    trainer.load_state_dict(path, read_saved_run(path))


def test_what_train_writes_is_taken(
    trainer: Trainer, saved: dict[str, Any], tmp_path: Path
) -> None:
    load(trainer, tmp_path, saved)
    for name, optimizer in trainer.optimizers.items():
        found = optimizer.state_dict()["state"]
        for number, moments in saved[f"optimizer_{name}"]["state"].items():
            for key, value in moments.items():
                assert torch.equal(found[number][key], value), f"{name}.{number}.{key}"


def tensor(value: float, *shape: int) -> Tensor:
    return torch.full(shape, value)


NAN, INF = float("nan"), float("inf")
NONE: list[object] = [None, 3, [], {}]
WRONG: dict[str, list[object]] = {
    "epoch": [-1, 2.5, 10**18, True, None, "3", "9" * 5000, [3], torch.tensor(3), {}],
    "step": [-1, "x", 10**20],
    "step_in_epoch": [-1, "x", 10**20],
    "seed": [-1, 2**31, None],
    "best_l1": [-1.0, NAN, "x", None, tensor(1.0)],
    "format": ["x", -1, CHECKPOINT_FORMAT + 1],
    "schedulers": [None, 3, {}, {"generator": 3}],
    "schedulers.generator.last_epoch": [-1, 1.5, "x", 10**12],
    "random_state": [None, tensor(0, 3), {}],
    "random_state.cpu": [None, 3, tensor(0, 5056), tensor(0, 3).byte(), tensor(255, 5056).byte()],
    "random_state.cuda": [None, 3, {}, [3], [tensor(0, 16)]],
    "scalers.generator": [None, 3, {}],
    "scalers.generator.scale": [-1.0, NAN, INF, "x", None],
    "scalers.generator.growth_interval": [-1, 0.5, None],
    "average": NONE,
    "average.num_updates": [-1, 1.5, tensor(0, 2), None],
    "average.generator": NONE,
    "generator": NONE,
    "optimizer_generator": NONE,
    "optimizer_generator.param_groups": [None, 3, [], [1], [{}, {}]],
    "optimizer_generator.state": [None, 3, []],
    "optimizer_kp_detector.param_groups.0.params": [None, 3, [], [0], ["x"] * 18, [0] * 18],
    "optimizer_generator.state.0": [None, 3, {}],
    "optimizer_generator.state.0.step": [-1, NAN, "x", True, tensor(0, 2), tensor(INF)],
    "optimizer_generator.state.0.exp_avg": [None, 3, tensor(0, 1), tensor(NAN).expand(9**5, 9**5)],
    "optimizer_generator.state.0.exp_avg_sq": [None, 3, tensor(0, 1)],
}
TABLE = [(path, value) for path, values in WRONG.items() for value in values]
NAMES = [f"{path}-{number}" for number, (path, _) in enumerate(TABLE)]


@pytest.mark.parametrize(("path", "value"), TABLE, ids=NAMES)
def test_a_wrong_entry_is_refused_by_name(
    trainer: Trainer, saved: dict[str, Any], tmp_path: Path, path: str, value: object
) -> None:
    with pytest.raises(UserError) as error:
        load(trainer, tmp_path, replaced(saved, path, value))
    message = str(error.value)
    place = f"{tmp_path / 'x.pth.tar'}: "
    assert message.startswith(place)
    # The sections around the entry may be named alone; never another entry.
    told = message.removeprefix(place).removeprefix("holds no ")
    assert told.startswith(path.split(".")[0])
    assert "; " in message, "a remedy follows"
    assert len(message.removeprefix(place)) < 400


@pytest.mark.parametrize("sign", [float("nan"), -1.0])
def test_squares_that_are_none_are_refused(
    trainer: Trainer, saved: dict[str, Any], tmp_path: Path, sign: float
) -> None:
    squares = saved["optimizer_generator"]["state"][0]["exp_avg_sq"]
    state = replaced(
        saved, "optimizer_generator.state.0.exp_avg_sq", torch.full_like(squares, sign)
    )
    with pytest.raises(UserError, match=r": optimizer_generator\.state\.0\.exp_avg_sq: holds "):
        load(trainer, tmp_path, state)


def test_the_settings_of_an_optimizer_are_not_the_files_matter(
    trainer: Trainer, saved: dict[str, Any], tmp_path: Path
) -> None:
    """Whatever it says of rates, betas or ways to compute, a step is the same."""
    odd = {"lr": "x", "betas": None, "eps": -1, "amsgrad": True, "capturable": True, "foreach": 3}
    state = saved
    for key, value in odd.items():
        state = replaced(state, f"optimizer_generator.param_groups.0.{key}", value)
    own = copy.deepcopy(trainer.optimizers["generator"].param_groups[0])
    load(trainer, tmp_path, state)
    found = trainer.optimizers["generator"].param_groups[0]
    assert {**found, "params": None} == {**own, "params": None}
    trainer.step(*torch.rand(2, 2, 3, SIZE, SIZE))


@pytest.mark.parametrize("make", [int, float, lambda step: torch.tensor(step, dtype=torch.int64)])
def test_steps_are_counted_on_whatever_they_were_counted_by(
    trainer: Trainer, saved: dict[str, Any], tmp_path: Path, make: Callable[[int], object]
) -> None:
    load(trainer, tmp_path, replaced(saved, "optimizer_generator.state.0.step", make(5)))
    moments = next(iter(trainer.optimizers["generator"].state.values()))
    assert isinstance(moments["step"], Tensor)
    assert (moments["step"].item(), moments["step"].dtype) == (5, torch.float32)


def test_a_parameter_that_never_moved_has_no_moments(
    trainer: Trainer, saved: dict[str, Any], tmp_path: Path
) -> None:
    moments = {n: it for n, it in saved["optimizer_generator"]["state"].items() if n != 0}
    load(trainer, tmp_path, replaced(saved, "optimizer_generator.state", moments))
    assert set(trainer.optimizers["generator"].state_dict()["state"]) == set(moments)
