"""A run's folder stays whole under kills, full disks, wrong clocks and second processes."""

import multiprocessing
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from commands import ROOT, run_process, write_dataset
from test_logger import open_logger
from training_runs import (
    EPOCHS,
    SEED,
    STEPS_AN_EPOCH,
    UNTESTED,
    assert_same_end,
    assert_same_state,
    config_of_a_run,
    interrupting,
    last_checkpoint,
    run_folder,
    run_through,
    training,
)

from engine.checkpoint import read_torch_file
from engine.errors import UserError
from engine.run_lock import RunLock
from engine.training import Trainer
from logger import Logger


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return config_of_a_run(write_dataset(tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def whole_run(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_through(config, tmp_path_factory.mktemp("whole"))


def checkpoints(folder: Path) -> set[str]:
    """The names of all checkpoints, unfinished ones among them."""
    return {path.name for path in folder.iterdir() if ".pth.tar" in path.name}


# ----- kills


@pytest.mark.parametrize("at_save", [3, 4])  # the best after the second epoch; its own
def test_a_kill_while_a_checkpoint_is_written_changes_nothing(
    config: Path, whole_run: Path, tmp_path: Path, at_save: int
) -> None:
    scores = re.findall(r"test_l1 +(\S+)", (whole_run / "log.txt").read_text())
    assert float(scores[1]) < float(scores[0])
    arguments = ("--config", config, "--log_dir", tmp_path, "--seed", SEED, "--device", "cpu")
    killed = run_process(
        "tests/train_thinly",
        *arguments,
        cwd=tmp_path,
        environment={"HARM": f"0:half:{at_save}", "OMP_NUM_THREADS": str(torch.get_num_threads())},
    )
    assert killed.code == -signal.SIGKILL, killed
    folder = run_folder(tmp_path)
    assert any(name.endswith(".tmp") for name in checkpoints(folder))
    training("--checkpoint", last_checkpoint(folder)).output()
    assert checkpoints(folder) == checkpoints(whole_run)
    assert_same_end(folder, whole_run)
    best, expected = (read_torch_file(run / "best.pth.tar") for run in (folder, whole_run))
    assert_same_state(best["generator"], expected["generator"])
    assert best["best_l1"] == expected["best_l1"]


def test_a_best_that_is_worse_than_a_checkpoint_says_is_improved_upon(
    whole_run: Path, tmp_path: Path
) -> None:
    """As in the folder of a run that was killed between the two by an older version."""
    folder = tmp_path / "run"
    shutil.copytree(whole_run, folder)
    best = folder / "best.pth.tar"
    torch.save(read_torch_file(best) | {"best_l1": 1.0}, best)
    training("--checkpoint", min(folder.glob("0*"))).output()
    assert read_torch_file(best)["best_l1"] < 1


def test_a_config_outlives_a_kill_while_another_is_written(tmp_path: Path) -> None:
    def die(path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            file.write(content[:2])
        os.kill(os.getpid(), signal.SIGKILL)

    def write_another() -> None:
        with patch.object(Path, "write_bytes", die), open_logger(tmp_path) as logger:
            logger.config("b: 2")

    with open_logger(tmp_path) as logger:
        logger.config("a: 1")
    killed = multiprocessing.get_context("fork").Process(target=write_another)
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    assert (tmp_path / "config.yaml").read_text() == "a: 1"


# ----- earlier stops and clocks


def stop(config: Path, log_dir: Path, *, at_step: int) -> Path:
    """Stop a new run, and return its last checkpoint."""
    step = interrupting(at_step, lambda: os.kill(os.getpid(), signal.SIGINT))
    with patch.object(Trainer, "step", step):
        training("--config", config, "--log_dir", log_dir, "--seed", SEED).output()
    return run_folder(log_dir) / "last-checkpoint.pth.tar"


@pytest.mark.parametrize("at_step", [3, STEPS_AN_EPOCH])
def test_an_epochs_line_is_that_of_the_whole_epoch(
    config: Path, whole_run: Path, tmp_path: Path, at_step: int
) -> None:
    """In the latter, no step is left, only validation."""
    last = stop(config, tmp_path, at_step=at_step)
    training("--checkpoint", last).output()
    seconds = r"seconds_per_step\s+\S+\s+seconds_waiting_for_data\s+\S+\s*"
    lines, expected = (
        re.sub(seconds, "", (run / "log.txt").read_text()) for run in (last.parent, whole_run)
    )
    assert lines == expected
    assert lines.count("test_l1_vs_copy") == lines.count("perceptual") == EPOCHS


def test_what_an_earlier_stop_left_does_not_stay_beside_a_finished_run(
    config: Path, tmp_path: Path
) -> None:
    last = stop(config, tmp_path, at_step=6)
    two_epochs = ("--set", "train_params.num_epochs=2")
    training("--checkpoint", last, *two_epochs).output()
    assert not last.exists()


def test_going_back_is_said_and_going_on_is_not(
    whole_run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole_run, folder)
    begun = min(folder.glob("0*"))
    torch.save(read_torch_file(begun), folder / "last-checkpoint.pth.tar")
    training("--checkpoint", folder / "last-checkpoint.pth.tar", *UNTESTED).output()
    assert f"has {EPOCHS - 1} epochs behind it, {EPOCHS:08d}-checkpoint.pth.tar more" in caplog.text
    caplog.clear()
    more = ("--set", f"train_params.num_epochs={EPOCHS + 1}", *UNTESTED)
    training("--checkpoint", last_checkpoint(folder), *more).output()
    assert "behind it" not in caplog.text


def test_a_later_stop_than_a_run_that_finishes_early_stays(config: Path, tmp_path: Path) -> None:
    last = stop(config, tmp_path, at_step=6)
    first_epoch = last.with_name("00000001-checkpoint.pth.tar")
    torch.save(read_torch_file(last) | {"step": 99}, last)
    training("--checkpoint", first_epoch, "--set", "train_params.num_epochs=2").output()
    assert read_torch_file(last)["step"] == 99


def test_checkpoints_go_by_number_where_clocks_are_set_back(
    config: Path, whole_run: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole_run, folder)
    for path in folder.glob("0*"):
        os.utime(path, (2**32, 2**32))
    more = ("--set", f"train_params.num_epochs={EPOCHS + 2}", "train_params.keep_checkpoints=1")
    training("--checkpoint", last_checkpoint(folder), *more, *UNTESTED).output()
    assert [path.name for path in folder.glob("0*")] == [f"{EPOCHS + 2:08d}-checkpoint.pth.tar"]


# ----- other settings within an epoch


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--set", "train_params.batch_size=4"), "batch_size 4 in place of 2"),
        (("--seed", "6"), f"seed 6 in place of {SEED}"),
        (("--set", "train_params.num_repeats=1"), "num_repeats 1 in place of 2"),
    ],
)
def test_other_settings_within_an_epoch_are_said(
    config: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    last = stop(config, tmp_path, at_step=2)
    training("--checkpoint", last, *arguments, "--set", "train_params.num_epochs=1", *UNTESTED)
    expected = f"going on within epoch 1 with {said}: some of its items come twice or not at all"
    assert expected in caplog.text
    assert expected in (last.parent / "log.txt").read_text()


def test_the_same_settings_or_an_epochs_beginning_need_no_words(
    config: Path, whole_run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one_epoch = ("--set", "train_params.num_epochs=1", *UNTESTED)
    training("--checkpoint", stop(config, tmp_path / "a", at_step=2), *one_epoch).output()
    begun = min(whole_run.glob("0*"))
    training("--checkpoint", begun, "--seed", 9, "--log_dir", tmp_path / "b", *UNTESTED).output()
    assert "going on within" not in caplog.text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epoch_record", {"losses": 5}),
        ("epoch_record", [1]),
        ("epoch_record", {"losses": {"perceptual": "much"}, "steps": 1}),
        ("sampling", "batch_size"),
        ("sampling", {"batch_size": -1}),
    ],
)
def test_what_a_damaged_checkpoint_says_of_an_epoch_is_refused(
    whole_run: Path, tmp_path: Path, name: str, value: object
) -> None:
    path = tmp_path / "x.pth.tar"
    torch.save(read_torch_file(min(whole_run.glob("0*"))) | {name: value}, path)
    message = training("--checkpoint", path, "--log_dir", tmp_path / "log").error()
    assert message.startswith(f"{path}: {name}: unreadable; get a whole copy")
    assert not (tmp_path / "log").exists()


# ----- two at a time


def test_a_second_process_in_a_runs_folder_is_refused_until_the_first_is_killed(
    config: Path, tmp_path: Path
) -> None:
    """Also where a data worker outlives it."""
    more = ("--set", "train_params.num_epochs=1000", "train_params.num_workers=1", *UNTESTED)
    arguments = ("--config", config, "--log_dir", tmp_path, "--device", "cpu", *more)
    command = [sys.executable, str(ROOT / "tests" / "train_thinly.py"), *map(str, arguments)]
    environment = {**os.environ, "HARM": "0:hang:6"}
    two_epochs = ("--set", "train_params.num_epochs=2", "train_params.num_workers=0", *UNTESTED)
    with subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as first:
        try:
            assert first.stdout is not None
            assert first.stdout.readline().startswith("training in ")
            assert first.stdout.readline().startswith("epoch    1 ")
            folder = run_folder(tmp_path)
            checkpoint = until(lambda: next(folder.glob("0*"), None))
            message = training("--checkpoint", checkpoint).error()
            assert re.match(rf"{folder}: process {first.pid} on \S+ is training in it; ", message)
            time.sleep(2)  # its worker hangs by now
            first.kill()
            first.wait()
            training("--checkpoint", checkpoint, *two_epochs).output()
        finally:
            os.killpg(first.pid, signal.SIGKILL)


def until(found: Callable[[], Path | None]) -> Path:
    while (path := found()) is None:
        time.sleep(0.05)
    return path


def test_a_disk_without_locks_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with patch("fcntl.lockf", side_effect=OSError(38, "Function not implemented")):
        RunLock(tmp_path).close()
    assert "its disk has no locks (Function not implemented)" in caplog.text


# ----- full disks


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    ("method", "room", "file", "good"),
    [
        ("best_checkpoint", 50_000, "best.pth.tar", "00000001-checkpoint.pth.tar"),
        ("checkpoint", 50_000, "00000002-checkpoint.pth.tar", "best.pth.tar"),
        ("epoch", 0, "log.txt", "00000001-checkpoint.pth.tar"),
        ("scalars", 0, "events", "00000001-checkpoint.pth.tar"),
    ],
)
def test_a_full_disk_ends_a_run_with_what_to_go_on_from(
    config: Path, whole_run: Path, tmp_path: Path, method: str, room: int, file: str, good: str
) -> None:
    """In the second epoch, in a checkpoint or in what else is written."""
    write = getattr(Logger, method)

    def filled(logger: Logger, *arguments: Any) -> Any:
        if not (logger.folder / "00000001-checkpoint.pth.tar").exists():
            return write(logger, *arguments)
        with full_disk(room):
            return write(logger, *arguments)

    with patch.object(Logger, method, filled):
        done = training("--config", config, "--log_dir", tmp_path, "--seed", SEED)
    folder, message = run_folder(tmp_path), done.error()
    assert message.startswith(f"{folder / file}")
    assert "cannot be written (File too large); free some space" in message
    assert message.endswith(f", and go on with --checkpoint {folder / good}")
    training("--checkpoint", folder / good).output()
    assert_same_end(folder, whole_run)


def test_closing_on_a_full_disk_hides_no_error(tmp_path: Path) -> None:
    logger = open_logger(tmp_path)

    def write() -> None:
        with full_disk(0), logger:
            logger.scalars(1, {"loss/total": 1.0})

    with pytest.raises(UserError, match=r"events\S+: cannot be written"):
        write()
