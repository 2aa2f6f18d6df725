"""Several processes under torchrun train as one would with the whole batch."""

import re
import signal
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from commands import (
    Finished,
    run_here,
    start_torchrun,
    thin_vgg_in_place,
    tiny_tree,
    torchrun,
    write_config,
    write_dataset,
)
from steps_of_processes import Outcome, take_steps, take_steps_in_replicas

import train
from engine import distributed
from engine.checkpoint import read_torch_file
from engine.distributed import RankShare
from engine.sampling import EpochSampler


@pytest.fixture(scope="module")
def five_steps() -> Outcome:
    """Of one process, with all terms, random warps, dropped motions and spectral norms."""
    return take_steps()


def assert_followed(found: Outcome, expected: Outcome) -> None:
    for losses, own in zip(found.losses, expected.losses, strict=True):
        assert losses == pytest.approx(own, rel=1e-6)
    for name, state in expected.state.items():
        for key, value in state.items():
            torch.testing.assert_close(found.state[name][key], value, rtol=1e-6, atol=1e-7)


def test_two_processes_follow_one_for_five_steps(tmp_path: Path, five_steps: Outcome) -> None:
    result = tmp_path / "result.pt"
    torchrun(2, "tests/steps_of_processes.py", result, cwd=tmp_path).output()
    assert_followed(Outcome(**read_torch_file(result)), five_steps)


@pytest.mark.parametrize("shares", [(2, 2), (3, 1)])
def test_two_replicas_follow_one_device_for_five_steps(
    shares: tuple[int, int], five_steps: Outcome
) -> None:
    assert_followed(take_steps_in_replicas(shares), five_steps)


class Runs(NamedTuple):
    """A run in one process, and what became of going on from its first epoch in two."""

    whole: Path
    shared: Path
    done: Finished


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Two epochs of two steps each; the two processes begin a third, in which one fails."""
    folder = tmp_path_factory.mktemp("runs")
    tree = tiny_tree(write_dataset(folder / "data"))
    tree["train_params"] |= {"num_epochs": 2, "batch_size": 4}
    config = write_config(folder / "tiny.yaml", tree)
    arguments = ["--config", config, "--log_dir", folder / "whole", "--device", "cpu"]
    with thin_vgg_in_place():
        run_here(train.main, *arguments).output()
    (whole,) = (folder / "whole").iterdir()
    shared = ["--checkpoint", whole / "00000001-checkpoint.pth.tar", "--device", "cpu"]
    shared += ["--log_dir", folder / "shared", "--set", "train_params.num_epochs=3"]
    failing = {"HARM": "1:raise:3"}
    done = torchrun(2, "tests/train_thinly.py", *shared, cwd=folder, environment=failing)
    (run_folder,) = (folder / "shared").iterdir()  # one, although two processes ran
    return Runs(whole, run_folder, done)


def test_two_processes_go_on_as_one_would(runs: Runs) -> None:
    """Down to the random warps: both continue the draws of the one that wrote the checkpoint."""
    (found,) = (runs.shared / "log.txt").read_text().splitlines()
    expected = (runs.whole / "log.txt").read_text().splitlines()[1]
    names, values = expected.split()[::2], expected.split()[1::2]
    assert found.split()[::2] == names
    assert "equivariance_value" in names
    for name, value, other in zip(names, values, found.split()[1::2], strict=True):
        if not name.startswith("seconds"):
            assert float(other) == pytest.approx(float(value), rel=2e-3), name


def test_all_processes_end_in_one_line_each_when_one_fails(runs: Runs) -> None:
    assert runs.done.code != 0
    lines = [line for line in runs.done.stderr.splitlines() if line.startswith("error: ")]
    assert sorted(lines) == [
        "error: process 0: another process has ended; see its own message",
        "error: the disk: is full; make room",
    ]
    # Of torchrun's own, and none of a process of ours.
    assert runs.done.stderr.count("Traceback") == 1
    (last,) = runs.shared.glob("0*-checkpoint.pth.tar")
    assert read_torch_file(last)["epoch"] == 2


def test_what_was_learned_is_saved_when_one_process_has_no_more_data(
    runs: Runs, tmp_path: Path
) -> None:
    """Although it is not the one that saves."""
    checkpoint = runs.whole / "00000001-checkpoint.pth.tar"
    arguments = ["--checkpoint", checkpoint, "--device", "cpu", "--log_dir", tmp_path / "log"]
    starving = {"HARM": "1:starve:2"}
    done = torchrun(2, "tests/train_thinly.py", *arguments, cwd=tmp_path, environment=starving)
    assert done.code != 0
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert sorted(lines) == [
        "error: data-loader workers: were killed twice; lower their number",
        "error: process 0: another process has no more data; see its own message",
    ]
    found = re.search(r"stopped; --checkpoint (\S+) goes on from here", done.stdout)
    assert found is not None
    content = read_torch_file(Path(found[1]))
    assert (content["epoch"], content["step"], content["step_in_epoch"]) == (1, 3, 1)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_all_processes_end_when_one_is_killed(tmp_path: Path, rank: int) -> None:
    config = write_config(tmp_path / "tiny.yaml", tiny_tree(write_dataset(tmp_path / "data")))
    killing = {"HARM": f"{rank}:kill:2"}
    arguments = ["--config", config, "--log_dir", tmp_path / "log", "--device", "cpu"]
    done = torchrun(2, "tests/train_thinly.py", *arguments, cwd=tmp_path, environment=killing)
    assert done.code != 0
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert line.startswith(f"error: process {1 - rank}: another process has ended")


@pytest.mark.slow
def test_sigterm_to_torchrun_stops_all_processes_at_one_step(tmp_path: Path) -> None:
    tree = tiny_tree(write_dataset(tmp_path / "data"))
    tree["train_params"] |= {"num_epochs": 1000, "num_repeats": 50}
    arguments = ["--config", write_config(tmp_path / "tiny.yaml", tree), "--device", "cpu"]
    running = start_torchrun(2, "tests/train_thinly.py", *arguments, cwd=tmp_path)
    assert running.stdout is not None
    assert running.stdout.readline().startswith("training in ")
    assert running.stdout.readline().startswith("epoch    1 ")
    running.send_signal(signal.SIGTERM)
    stdout, stderr = running.communicate()
    found = re.search(r"stopped; --checkpoint (\S+) goes on from here", stdout)
    assert found is not None, stderr
    content = read_torch_file(tmp_path / found[1])
    assert content["step"] == 100 * content["epoch"] + content["step_in_epoch"]
    assert "error: " not in stderr
    one_more = [f"train_params.num_epochs={content['epoch'] + 1}", "train_params.validate_freq=0"]
    with thin_vgg_in_place():
        run_here(train.main, "--checkpoint", tmp_path / found[1], "--set", *one_more).output()


def test_a_batch_that_cannot_be_shared_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tiny_tree(write_dataset(tmp_path / "data"))
    tree["train_params"]["batch_size"] = 3
    config = write_config(tmp_path / "tiny.yaml", tree)
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    message = run_here(train.main, "--config", config, "--device", "cpu").error()
    assert message.startswith("train_params.batch_size: 3 cannot be shared by 2 processes")


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_shares_make_up_each_batch(processes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sampler = EpochSampler(20, seed=0)
    sampler.set_epoch(1, first_item=1)
    whole = list(sampler)
    monkeypatch.setattr(distributed, "world_size", lambda: processes)
    shares = []
    for rank in range(processes):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        share = RankShare(sampler, batch_size=6)
        shares.append(list(share))
        assert len(share) == len(shares[-1]) == 18 // processes
    each = 6 // processes
    for batch in range(3):
        joined = [i for share in shares for i in share[batch * each : (batch + 1) * each]]
        assert joined == whole[batch * 6 : (batch + 1) * 6]


def test_items_are_shared_out_and_come_back_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    items = [0, 1, 2, 3, 4, 5, 6]
    monkeypatch.setattr(distributed, "world_size", lambda: 3)
    shares = []
    for rank in range(3):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        shares.append(distributed.own_items(items))

    def gather(found: list, own: object) -> None:
        found[:] = shares

    monkeypatch.setattr(distributed.dist, "all_gather_object", gather)
    assert distributed.gather_items(shares[0]) == items


def test_one_process_has_all_items() -> None:
    items = [0, 1, 2]
    assert distributed.gather_items(items) == distributed.own_items(items) == items
