"""Reading that hangs, as on a network disk that is gone: a person is told, and can still stop."""

import multiprocessing
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from commands import Finished, start_torchrun, tiny_tree, write_config, write_dataset
from training_runs import (
    SEED,
    assert_same_end,
    config_of_a_run,
    run_folder,
    run_through,
    training,
)

from engine import validation, waiting
from engine.checkpoint import read_torch_file
from engine.clip import open_clip
from engine.training import Trainer
from engine.waiting import read_in_thread
from frames_dataset import FramePair, TrainingPairs

SECONDS_TO_LEAVE = 15  # on a busy machine; 2 or 3 otherwise


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return config_of_a_run(write_dataset(tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def whole_run(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_through(config, tmp_path_factory.mktemp("whole"))


class Alarm:
    """Sends this process a signal a second after `set`, and measures how long it ran on."""

    def __init__(self, number: signal.Signals) -> None:
        self._number, self._at = number, 0.0

    def set(self) -> None:
        threading.Timer(1, self._ring).start()

    def _ring(self) -> None:
        self._at = time.monotonic()
        os.kill(os.getpid(), self._number)

    def seconds_ago(self) -> float:
        assert self._at, "was never set"
        return time.monotonic() - self._at


def stopping_workers(method: Callable[..., Any], at_call: int, alarm: Alarm) -> Callable[..., Any]:
    """A method that, called for the so-manieth time, lets all data workers hang."""
    count = 0

    def stopping(*arguments: Any) -> Any:
        nonlocal count
        count += 1
        if count == at_call:
            for worker in multiprocessing.active_children():
                assert worker.pid is not None
                os.kill(worker.pid, signal.SIGSTOP)
            alarm.set()
        return method(*arguments)

    return stopping


def assert_left_soon_and_resumed(done: Finished, alarm: Alarm, whole_run: Path) -> None:
    assert alarm.seconds_ago() < SECONDS_TO_LEAVE
    assert multiprocessing.active_children() == []
    found = re.search(r"stopped; --checkpoint (\S+) goes on from here\n$", done.output())
    assert found is not None
    checkpoint = Path(found[1])
    training("--checkpoint", checkpoint, "--set", "train_params.num_workers=0").output()
    assert_same_end(checkpoint.parent, whole_run)


@pytest.mark.parametrize(
    ("number", "method", "at_call", "num_workers"),
    [
        (signal.SIGTERM, "step", 2, 2),
        (signal.SIGINT, "step", 6, 1),
        (signal.SIGTERM, "end_epoch", 1, 2),  # while the workers wait for the next epoch
    ],
)
def test_workers_that_hang_do_not_keep_a_run_from_stopping(
    config: Path,
    whole_run: Path,
    tmp_path: Path,
    number: signal.Signals,
    method: str,
    at_call: int,
    num_workers: int,
) -> None:
    alarm = Alarm(number)
    hanging = stopping_workers(getattr(Trainer, method), at_call, alarm)
    workers = ("--set", f"train_params.num_workers={num_workers}")
    with patch.object(Trainer, method, hanging):
        done = training("--config", config, "--log_dir", tmp_path, "--seed", SEED, *workers)
    assert_left_soon_and_resumed(done, alarm, whole_run)


@contextmanager
def hanging_from(at_draw: int, alarm: Alarm) -> Iterator[None]:
    """Let the reading of training pairs hang within this block."""
    draw, count, released = TrainingPairs.draw, 0, threading.Event()

    def hanging(dataset: TrainingPairs, index: int, *, repeat: int) -> FramePair:
        nonlocal count
        count += 1
        if count == at_draw:
            alarm.set()
            released.wait()
        return draw(dataset, index, repeat=repeat)

    with patch.object(TrainingPairs, "draw", hanging):
        try:
            yield
        finally:
            released.set()


@pytest.mark.parametrize("at_draw", [1, 6])
def test_a_run_that_reads_by_itself_stops_as_well(
    config: Path, whole_run: Path, tmp_path: Path, at_draw: int
) -> None:
    alarm = Alarm(signal.SIGTERM)
    with hanging_from(at_draw, alarm):
        done = training("--config", config, "--log_dir", tmp_path, "--seed", SEED)
        assert_left_soon_and_resumed(done, alarm, whole_run)


def test_a_test_video_that_hangs_does_not_keep_a_run_from_stopping(
    config: Path, whole_run: Path, tmp_path: Path
) -> None:
    alarm, released = Alarm(signal.SIGTERM), threading.Event()

    def hanging(*arguments: Any, **options: Any) -> Any:
        alarm.set()
        released.wait()
        return open_clip(*arguments, **options)

    with patch.object(validation, "open_clip", hanging):
        done = training("--config", config, "--log_dir", tmp_path, "--seed", SEED)
        released.set()
    assert_left_soon_and_resumed(done, alarm, whole_run)
    scores = [
        re.findall(r"test_\S+ +\S+", (run / "log.txt").read_text())
        for run in (run_folder(tmp_path), whole_run)
    ]
    assert scores[0] == scores[1] != []


def test_a_person_is_told_of_a_long_wait_once(
    config: Path, whole_run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    draw, clip, count = TrainingPairs.draw, open_clip, 0

    def slow_draw(dataset: TrainingPairs, index: int, *, repeat: int) -> FramePair:
        nonlocal count
        count += 1
        time.sleep(0.6 * (count == 4))
        return draw(dataset, index, repeat=repeat)

    def slow_clip(*arguments: Any, **options: Any) -> Any:
        time.sleep(0.6 * (not caplog.text.count("no frame")))
        return clip(*arguments, **options)

    with (
        patch.object(TrainingPairs, "draw", slow_draw),
        patch.object(validation, "open_clip", slow_clip),
        patch.multiple(waiting, LONG_WAIT_SECONDS=0.3, POLL_SECONDS=0.05),
    ):
        training("--config", config, "--log_dir", tmp_path, "--seed", SEED).output()
    folder = run_folder(tmp_path)
    assert caplog.text.count("no training data for 60 seconds") == 1
    assert (folder / "log.txt").read_text().count("no training data for 60 seconds") == 1
    assert caplog.text.count("no frame for 60 seconds") == 1
    assert_same_end(folder, whole_run)


def test_what_reading_in_a_thread_gives_and_raises() -> None:
    read: list[int] = []

    def numbers(count: int) -> Iterator[int]:
        try:
            for number in range(count):
                read.append(number)
                yield number
            raise ValueError("no more")
        finally:
            read.append(-1)

    with closing(read_in_thread(lambda: numbers(3))) as found:
        assert next(found) == 0
        time.sleep(0.05)
        assert read == [0]  # nothing ahead of time
        assert (next(found), next(found)) == (1, 2)
        with pytest.raises(ValueError, match="no more"):
            next(found)
    read.clear()
    with closing(read_in_thread(lambda: numbers(3))) as found:
        next(found)
    assert read == [0, -1]  # closed, in the thread
    assert list(read_in_thread(list)) == []
    assert list(read_in_thread(lambda: [None, 5])) == [None, 5]


def test_none_comes_while_an_item_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "POLL_SECONDS", 0.01)
    arrived = threading.Event()

    def late() -> Generator[str, None, None]:
        arrived.wait()
        yield "late"

    found = read_in_thread(late)
    assert [next(found) for _ in range(3)] == [None] * 3
    arrived.set()
    assert [item for item in found if item is not None] == ["late"]


@pytest.mark.slow
def test_all_processes_stop_where_a_worker_of_one_hangs_and_another_is_asked(
    tmp_path: Path,
) -> None:
    tree = tiny_tree(write_dataset(tmp_path / "data"))
    tree["train_params"] |= {"num_epochs": 1000, "num_repeats": 50, "num_workers": 1}
    arguments = ["--config", write_config(tmp_path / "tiny.yaml", tree), "--device", "cpu"]
    harm = {"HARM": "1:hang:5,0:terminate:5"}
    running = start_torchrun(2, "tests/train_thinly.py", *arguments, cwd=tmp_path, environment=harm)
    stdout, stderr = running.communicate(timeout=120)
    found = re.search(r"stopped; --checkpoint (\S+) goes on from here", stdout)
    assert found is not None, stderr
    assert 5 <= read_torch_file(tmp_path / found[1])["step"] <= 8  # two batches are there already
    assert "error: " not in stderr
