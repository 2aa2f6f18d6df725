"""Runs that are stopped, or end by some harm, and go on as if nothing had been."""

import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from commands import (
    ROOT,
    Finished,
    golden_checkpoint,
    golden_tree,
    write_dataset,
)
from training_runs import (
    EPOCHS,
    SEED,
    STEPS_AN_EPOCH,
    UNTESTED,
    assert_same_end,
    assert_same_state,
    config_of_a_run,
    curve,
    finding_losses_soon,
    interrupting,
    last_checkpoint,
    run_folder,
    run_through,
    train_tree,
    training,
)

from engine.build import Networks
from engine.checkpoint import read_torch_file
from engine.errors import UserError
from engine.interrupt import PASSED_ON_WITHIN, ignore_interrupts
from engine.training import StepResult, Trainer
from frames_dataset import DatasetRepeater, FramePair, TrainingPairs


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def config(dataset: Path) -> Path:
    return config_of_a_run(dataset)


@pytest.fixture(scope="module")
def whole_run(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_through(config, tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_resumed_run_equals_an_uninterrupted_one(
    config: Path, whole_run: Path, tmp_path: Path, num_workers: int
) -> None:
    workers = ["--set", f"train_params.num_workers={num_workers}"]
    one_epoch = ["--set", "train_params.num_epochs=1", *workers]
    training("--config", config, "--log_dir", tmp_path, "--seed", SEED, *one_epoch)
    folder = run_folder(tmp_path)
    checkpoint = last_checkpoint(folder)
    assert read_torch_file(checkpoint)["epoch"] == 1

    training("--checkpoint", checkpoint, "--set", f"train_params.num_epochs={EPOCHS}")
    assert run_folder(tmp_path) == folder  # the same one
    assert len((folder / "log.txt").read_text().splitlines()) == EPOCHS
    assert_same_end(folder, whole_run)


def assert_stopped_and_resumed(done: Finished, whole_run: Path, *, at_step: int) -> None:
    found = re.search(r"stopped; --checkpoint (\S+) goes on from here\n$", done.output())
    assert found is not None
    checkpoint = Path(found[1])
    content = read_torch_file(checkpoint)
    assert content["step"] == at_step
    assert STEPS_AN_EPOCH * content["epoch"] + content["step_in_epoch"] == at_step
    # A checkpoint that is named after an epoch is of that epoch's end, and stays.
    for numbered in checkpoint.parent.glob("0*-checkpoint.pth.tar"):
        assert read_torch_file(numbered)["step_in_epoch"] == 0
    assert training("--checkpoint", checkpoint).code == 0
    assert_same_end(checkpoint.parent, whole_run)


@pytest.mark.parametrize("at_step", [1, STEPS_AN_EPOCH])
def test_a_signal_in_the_first_or_last_step_of_an_epoch_stops_there(
    config: Path, whole_run: Path, tmp_path: Path, at_step: int
) -> None:
    """tests/test_random_stops.py has those in between."""
    step = interrupting(at_step, lambda: os.kill(os.getpid(), signal.SIGINT))
    with patch.object(Trainer, "step", step):
        done = training("--config", config, "--log_dir", tmp_path, "--seed", SEED)
    assert_stopped_and_resumed(done, whole_run, at_step=at_step)


def test_a_killed_run_goes_on_from_its_last_minutes(
    config: Path, whole_run: Path, tmp_path: Path
) -> None:
    """Whatever ends it: here an error in the sixth step, with a checkpoint after every step."""

    def die() -> None:
        raise UserError("the power is gone")

    often = ["--set", "train_params.checkpoint_minutes=1e-9"]
    with patch.object(Trainer, "step", interrupting(6, die)):
        training("--config", config, "--log_dir", tmp_path, "--seed", SEED, *often).error()
    folder = run_folder(tmp_path)
    last = folder / "last-checkpoint.pth.tar"
    assert read_torch_file(last)["step"] == 5
    training("--checkpoint", last).output()
    assert_same_end(folder, whole_run)


CTRL_C = """
import os, signal, sys
from unittest.mock import patch
import train, training_runs
from commands import thin_vgg_in_place
from engine.command_line import run
from engine.training import Trainer

step = training_runs.interrupting(6, lambda: os.killpg(0, signal.SIGINT))
with patch.object(Trainer, "step", step), thin_vgg_in_place():
    run(train.main)
"""


def test_ctrl_c_reaches_the_workers_too_and_does_no_harm(
    config: Path, whole_run: Path, tmp_path: Path
) -> None:
    arguments = ["--config", config, "--log_dir", tmp_path, "--seed", SEED, "--device", "cpu"]
    workers = ["--set", "train_params.num_workers=2"]
    ended = subprocess.run(
        [sys.executable, "-c", CTRL_C, *map(str, arguments), *workers],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
        start_new_session=True,
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in ended.stderr
    done = Finished(ended.returncode, ended.stdout, ended.stderr)
    assert_stopped_and_resumed(done, whole_run, at_step=6)


def test_workers_leave_signals_to_their_parent() -> None:
    """A scheduler signals the whole group: a worker that dies of it would take the run along."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        ignore_interrupts(0)
        assert {signal.getsignal(number) for number in kept} == {signal.SIG_IGN}
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def losing_workers(at_steps: range) -> Callable[..., StepResult]:
    """A Trainer.step in the midst of which a worker is killed, at some steps, counted from 1."""
    step, count = Trainer.step, 0

    def losing(trainer: Trainer, *images: torch.Tensor) -> StepResult:
        nonlocal count
        count += 1
        if count in at_steps:
            multiprocessing.active_children()[0].kill()
            time.sleep(0.5)  # in which the news of its end arrives
        return step(trainer, *images)

    return losing


def test_workers_that_are_killed_are_replaced_and_nothing_is_lost(
    config: Path, whole_run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    arguments = ["--config", config, "--log_dir", tmp_path, "--seed", SEED]
    with (
        patch.object(Trainer, "step", losing_workers(range(2, 7, 4))),
        finding_losses_soon(),
    ):
        training(*arguments, "--set", "train_params.num_workers=1").output()
    folder = run_folder(tmp_path)
    assert_same_end(folder, whole_run)
    assert caplog.text.count("a data-loader worker was killed") == 2
    assert list(curve(folder, "warning/workers_lost")) == [2, 6]


def test_workers_that_are_killed_again_at_once_end_the_run(
    config: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def die(dataset: TrainingPairs, index: int, *, repeat: int) -> FramePair:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    with (
        patch.object(TrainingPairs, "draw", die),
        finding_losses_soon(),
    ):
        done = training(
            *("--config", config, "--log_dir", tmp_path, "--set", "train_params.num_workers=2")
        )
    assert done.error().startswith("data-loader workers were killed twice at one step")
    assert "train_params.num_workers=2" in done.stderr
    assert not list(run_folder(tmp_path).glob("*checkpoint*"))  # there is nothing to go on from


def test_what_was_learned_before_workers_were_killed_again_is_kept(
    config: Path, whole_run: Path, tmp_path: Path
) -> None:
    draw, step, stepping = TrainingPairs.draw, Trainer.step, multiprocessing.Event()
    draws = multiprocessing.Value("i", 0)

    def draw_four_pairs(dataset: TrainingPairs, index: int, *, repeat: int) -> FramePair:
        draws.value += 1
        if draws.value > 4:
            stepping.wait()
            os.kill(os.getpid(), signal.SIGKILL)
        return draw(dataset, index, repeat=repeat)

    def tell(trainer: Trainer, *images: torch.Tensor) -> StepResult:
        stepping.set()
        return step(trainer, *images)

    arguments = ("--config", config, "--log_dir", tmp_path, "--seed", SEED)
    with (
        patch.object(TrainingPairs, "draw", draw_four_pairs),
        patch.object(Trainer, "step", tell),
        finding_losses_soon(),
    ):
        done = training(*arguments, "--set", "train_params.num_workers=1")
    assert done.error().startswith("data-loader workers were killed twice at one step")
    folder = run_folder(tmp_path)
    training("--checkpoint", folder / "last-checkpoint.pth.tar").output()
    assert_same_end(folder, whole_run)


def test_going_back_to_an_older_checkpoint_keeps_the_best_one(
    config: Path, tmp_path: Path, whole_run: Path
) -> None:
    folder = shutil.copytree(whole_run, tmp_path / "run")
    best = folder / "best.pth.tar"
    content = read_torch_file(best) | {"best_l1": 0.001}
    torch.save(content, best)
    older = min(folder.glob("0*-checkpoint.pth.tar"))
    training("--checkpoint", older).output()
    assert read_torch_file(best)["best_l1"] == 0.001
    assert read_torch_file(last_checkpoint(folder))["best_l1"] == 0.001


def test_a_run_that_goes_on_in_another_folder_has_a_best_of_its_own(
    tmp_path: Path, whole_run: Path
) -> None:
    """However good that of the folder it comes from is."""
    checkpoint = tmp_path / "good.pth.tar"
    torch.save(read_torch_file(min(whole_run.glob("0*"))) | {"best_l1": 1e-6}, checkpoint)
    training("--checkpoint", checkpoint, "--log_dir", tmp_path / "log").output()
    assert (run_folder(tmp_path / "log") / "best.pth.tar").is_file()


def test_a_stop_before_an_epochs_first_step_is_the_last_checkpoint_too(
    tmp_path: Path, whole_run: Path
) -> None:
    folder = shutil.copytree(whole_run, tmp_path / "run")
    begun = read_torch_file(min(folder.glob("0*")))
    torch.save({}, folder / "last-checkpoint.pth.tar")  # of some earlier stop
    set_epoch = DatasetRepeater.set_epoch

    def stopping(dataset: DatasetRepeater, epoch: int) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        set_epoch(dataset, epoch)

    with patch.object(DatasetRepeater, "set_epoch", stopping):
        training("--checkpoint", min(folder.glob("0*"))).output()
    last = read_torch_file(folder / "last-checkpoint.pth.tar")
    assert (last["step"], last["epoch"]) == (begun["step"], begun["epoch"])
    assert_same_state(last["generator"], begun["generator"])


def test_a_checkpoint_beside_another_config_gets_a_folder_of_its_own(
    config: Path, tmp_path: Path, whole_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    shutil.copy(last_checkpoint(whole_run), downloads / "mine.pth.tar")
    (downloads / "config.yaml").write_text("# my notes\n")
    monkeypatch.chdir(tmp_path)
    more = ["--set", f"train_params.num_epochs={EPOCHS + 1}", *UNTESTED]
    training("--checkpoint", downloads / "mine.pth.tar", *more).output()
    assert sorted(path.name for path in downloads.iterdir()) == ["config.yaml", "mine.pth.tar"]
    assert (downloads / "config.yaml").read_text() == "# my notes\n"
    assert (run_folder(tmp_path / "log") / "log.txt").is_file()


def test_a_run_that_is_over_says_so(whole_run: Path) -> None:
    message = training("--checkpoint", last_checkpoint(whole_run)).error()
    assert f"has all {EPOCHS} epochs behind it" in message


@pytest.mark.parametrize("again", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_comes_twice_is_one_request(
    again: signal.Signals, config: Path, tmp_path: Path
) -> None:
    """The second as passed on by whoever started the process, SIGTERM however late."""
    late = 0 if again == signal.SIGTERM else PASSED_ON_WITHIN

    def twice() -> None:
        os.kill(os.getpid(), again)
        os.kill(os.getpid(), again)

    with (
        patch("engine.interrupt.PASSED_ON_WITHIN", late),
        patch.object(Trainer, "step", interrupting(6, twice)),
    ):
        done = training("--config", config, "--log_dir", tmp_path, *UNTESTED)
    last = run_folder(tmp_path) / "last-checkpoint.pth.tar"
    assert f"stopped; --checkpoint {last} goes on from here" in done.output()
    assert read_torch_file(last)["step"] == 6


def test_a_second_ctrl_c_ends_at_once(config: Path, tmp_path: Path) -> None:
    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with (
        patch("engine.interrupt.PASSED_ON_WITHIN", 0),
        patch.object(Trainer, "step", interrupting(6, twice)),
    ):
        done = training("--config", config, "--log_dir", tmp_path, *UNTESTED)
    assert done.code == 130
    assert signal.getsignal(signal.SIGINT) is before
    assert read_torch_file(last_checkpoint(run_folder(tmp_path)))["step"] == STEPS_AN_EPOCH


def test_a_larger_batch_after_an_interruption_ends_that_epoch(config: Path, tmp_path: Path) -> None:
    """Eight items an epoch, two steps of two done: none of a step of six is left."""
    step = interrupting(2, lambda: os.kill(os.getpid(), signal.SIGINT))
    with patch.object(Trainer, "step", step):
        training("--config", config, "--log_dir", tmp_path, *UNTESTED)
    folder = run_folder(tmp_path)
    overrides = ["--set", "train_params.batch_size=6", "--set", "train_params.num_epochs=2"]
    training("--checkpoint", folder / "last-checkpoint.pth.tar", *overrides).output()
    content = read_torch_file(last_checkpoint(folder))
    assert (content["epoch"], content["step"]) == (2, 3)


@pytest.mark.parametrize("name", ["small-jacobian", "small-single-map-kp-disc"])
def test_a_published_checkpoint_goes_on_from_its_epoch(
    name: str, dataset: Path, tmp_path: Path
) -> None:
    """And the discriminator, with keypoints or without, takes its steps."""
    tree = golden_tree(name, dataset)
    tree["train_params"] |= {
        **dict.fromkeys(("lr_generator", "lr_discriminator", "lr_kp_detector"), 1e-3),
        "num_epochs": 5,
        "batch_size": 4,  # one step
        "num_workers": 0,
        "epoch_milestones": [2, 5],
        "perceptual_weights": "random",
    }
    folder = train_tree(tmp_path, tree, "--checkpoint", golden_checkpoint(name))

    (line,) = (folder / "log.txt").read_text().splitlines()
    # The epoch that it holds, 3, is the number of the last one done, counted from 0.
    assert line.startswith("epoch    5  step       1 ")
    assert {"generator_gan", "discriminator_gan", "feature_matching"} <= set(line.split())
    content = read_torch_file(last_checkpoint(folder))
    before = read_torch_file(golden_checkpoint(name))
    for network in Networks._fields:
        # Past one milestone the rate is 1e-4, and Adam's first step is that long; now, past two:
        assert content[f"optimizer_{network}"]["param_groups"][0]["lr"] == pytest.approx(1e-5)
        parameters = [key for key in before[network] if key.endswith(("weight", "bias"))]
        moves = [(content[network][key] - before[network][key]).abs().max() for key in parameters]
        assert max(moves).item() == pytest.approx(1e-4, rel=0.02)
