"""Training runs in this process, and what they left behind."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import torch
from commands import (
    Finished,
    Tree,
    run_here,
    thin_vgg_in_place,
    tiny_tree,
    write_config,
)
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

import train
from engine.checkpoint import read_torch_file
from engine.training import StepResult, Trainer

SEED = 5
EPOCHS, STEPS_AN_EPOCH = 3, 4
MILESTONES = [1, 2]
UNTESTED = ("--set", "train_params.validate_freq=0")  # where the test videos are of no interest


def config_of_a_run(dataset: Path) -> Path:
    """A configuration of tiny networks in which all that a run goes on from takes part."""
    tree = tiny_tree(dataset)
    tree["train_params"] |= {"num_epochs": EPOCHS, "epoch_milestones": MILESTONES}
    tree["train_params"] |= {"ema_decay": 0.9, "accumulation": 2, "grad_clip": 5}
    return write_config(dataset / "tiny.yaml", tree)


def run_through(config: Path, log_dir: Path) -> Path:
    """The folder of an uninterrupted run."""
    done = training("--config", config, "--log_dir", log_dir, "--seed", SEED)
    assert done.output().count("epoch") == EPOCHS
    return run_folder(log_dir)


def training(*arguments: object) -> Finished:
    """Run train.py in this process, with a thin VGG19."""
    with thin_vgg_in_place():
        return run_here(train.main, "--device", "cpu", *arguments)


def run_folder(log_dir: Path) -> Path:
    (folder,) = log_dir.iterdir()
    return folder


def last_checkpoint(folder: Path) -> Path:
    return max(folder.glob("0*-checkpoint.pth.tar"))


def train_tree(tmp_path: Path, tree: Tree, *arguments: object) -> Path:
    """Train as a tree of configuration says, and return the run's folder."""
    path = write_config(tmp_path / "run.yaml", tree)
    training("--config", path, "--log_dir", tmp_path / "log", *arguments).output()
    return run_folder(tmp_path / "log")


def assert_same_state(found: object, expected: object, where: str = "") -> None:
    """Compare nested states to the last bit of every tensor."""
    if isinstance(expected, torch.Tensor):
        assert isinstance(found, torch.Tensor)
        assert torch.equal(found, expected), where
    elif isinstance(expected, dict):
        assert isinstance(found, dict)
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert_same_state(found[key], value, f"{where}.{key}")
    elif isinstance(expected, list):
        assert isinstance(found, list)
        for index, (one, other) in enumerate(zip(found, expected, strict=True)):
            assert_same_state(one, other, f"{where}[{index}]")
    else:
        assert found == expected, where


def assert_same_end(folder: Path, whole_run: Path) -> None:
    found, expected = (read_torch_file(last_checkpoint(run)) for run in (folder, whole_run))
    for state in (found, expected):
        del state["config"]  # the number of workers may differ
    assert_same_state(found, expected)


def curve(folder: Path, name: str) -> dict[int, float]:
    events = EventAccumulator(str(folder)).Reload()
    return {event.step: event.value for event in events.Scalars(name)}


def interrupting(at_step: int, send: Callable[[], None]) -> Callable[..., StepResult]:
    """A Trainer.step that sends a signal in the midst of a step."""
    step, count = Trainer.step, 0

    def interrupted(trainer: Trainer, *images: torch.Tensor) -> StepResult:
        nonlocal count
        count += 1
        if count == at_step:
            send()
        return step(trainer, *images)

    return interrupted


@contextmanager
def finding_losses_soon() -> Iterator[None]:
    """Let torch look after its workers every tenth of a second, where it does so every 5 s."""
    waiting = _MultiProcessingDataLoaderIter._try_get_data
    with (
        patch("torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL", 0.1),
        patch.object(waiting, "__defaults__", (0.1,)),
    ):
        yield
