"""A checkpoint is written whole or not at all, and read whole, by name, without running code."""

import io
import os
import pickle
import re
import resource
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from commands import ROOT
from golden_files import FOLDER, NAMES, load_golden
from torch import Tensor, nn

from engine.build import build_inference_networks
from engine.checkpoint import (
    CHECKPOINT_FORMAT,
    best_path,
    epoch_path,
    load_weights,
    random_state,
    read_torch_file,
    remove_old,
    remove_unfinished,
    restore_random_state,
    write_checkpoint,
)
from engine.errors import UserError

WEIGHT = torch.arange(6.0).view(2, 3)
STATE: dict[str, object] = {"generator": {"weight": WEIGHT}, "epoch": 3, "step": 162}


def as_bytes(content: object, *, legacy: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def refusal(path: Path, content: bytes) -> str:
    """The one line with which a file of this content is refused."""
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        read_torch_file(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def small_networks() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return {
        "generator": nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)),
        "kp_detector": nn.Linear(2, 3),
    }


def weights_of(networks: dict[str, nn.Module]) -> dict[str, dict[str, Tensor]]:
    """A copy of their state, as a checkpoint holds it."""
    return {
        name: {key: value.clone() for key, value in network.state_dict().items()}
        for name, network in networks.items()
    }


def filled(state: dict[str, dict[str, Tensor]], value: float) -> dict[str, dict[str, Tensor]]:
    return {
        name: {key: torch.full_like(tensor, value) for key, tensor in network.items()}
        for name, network in state.items()
    }


def assert_equal(found: dict[str, dict[str, Tensor]], expected: dict) -> None:
    assert found.keys() == expected.keys()
    for name, network in found.items():
        assert network.keys() == expected[name].keys()
        for key, value in network.items():
            assert torch.equal(value, expected[name][key]), f"{name}.{key}"


# ----- writing


def test_what_is_written_comes_back_with_its_format(tmp_path: Path) -> None:
    path = tmp_path / "a" / "run" / "x.pth.tar"
    write_checkpoint(path, {**STATE, "best_l1": float("inf"), "config": {"scales": [1, 0.5]}})
    content = torch.load(path, weights_only=True)
    assert content.pop("format") == CHECKPOINT_FORMAT
    assert content["config"] == {"scales": [1, 0.5]}
    assert content["best_l1"] == float("inf")
    assert torch.equal(content["generator"]["weight"], WEIGHT)
    assert list(path.parent.iterdir()) == [path]


KILLED_WRITER = """
import os, random, signal, sys, time
from pathlib import Path
import torch
from engine.checkpoint import read_torch_file, write_checkpoint

path, kills = Path(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(1)
weights = torch.zeros(500_000)
write_checkpoint(path, {"epoch": 0, "generator": {"weight": weights}})
written = 0
for kill in range(kills):
    child = os.fork()
    if child == 0:
        for epoch in range(written + 1, written + 1000):
            write_checkpoint(path, {"epoch": epoch, "generator": {"weight": weights + epoch}})
        os._exit(0)
    time.sleep(random.Random(kill).uniform(0.01, 0.08))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    content = read_torch_file(path)
    assert (content["generator"]["weight"] == content["epoch"]).all()
    assert content["epoch"] >= written
    written = content["epoch"]
assert written > 0, "no child came to write"
"""


def test_a_kill_during_writing_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "x.pth.tar"
    command = [sys.executable, "-c", KILLED_WRITER, str(path), "8"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@contextmanager
def largest_file(num_bytes: int) -> Iterator[None]:
    """Let files grow to a size only; what exceeds it fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [0, 1000, 200_000])
def test_a_full_disk_is_one_line_and_leaves_the_file_before(tmp_path: Path, room: int) -> None:
    path = tmp_path / "x.pth.tar"
    write_checkpoint(path, STATE)
    before = path.read_bytes()
    large = {"generator": {f"weight_{i}": torch.zeros(25_000) for i in range(10)}}
    with (
        largest_file(room),
        pytest.raises(UserError, match=r"x\.pth\.tar: cannot be written \(File too large\);"),
    ):
        write_checkpoint(path, large)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_is_no_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"file/x\.pth\.tar: cannot be written"):
        write_checkpoint(tmp_path / "file" / "x.pth.tar", STATE)
    with pytest.raises(UserError, match=r"file/run/x\.pth\.tar: cannot be written"):
        write_checkpoint(tmp_path / "file" / "run" / "x.pth.tar", STATE)
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.parametrize("times", [(1, 2, 3, 4), (4, 3, 2, 1)])
def test_the_newest_checkpoints_stay_whatever_the_clock_says(
    tmp_path: Path, times: tuple[int, ...]
) -> None:
    for epoch, time in zip((8, 9, 10, 11), times, strict=True):
        write_checkpoint(epoch_path(tmp_path, epoch), STATE)
        os.utime(epoch_path(tmp_path, epoch), (time, time))
    others = [best_path(tmp_path), tmp_path / "mine-checkpoint.pth.tar", tmp_path / "log.txt"]
    for other in others:
        other.write_text("kept")
    remove_old(epoch_path(tmp_path, 11), 4)
    assert len(set(tmp_path.iterdir())) == 7
    remove_old(epoch_path(tmp_path, 11), 2)
    stay = [epoch_path(tmp_path, epoch) for epoch in (10, 11)]
    assert set(tmp_path.iterdir()) == {*stay, *others}
    remove_old(epoch_path(tmp_path, 11), 1)
    assert set(tmp_path.iterdir()) == {stay[1], *others}


def test_later_checkpoints_than_the_one_just_written_stay(tmp_path: Path) -> None:
    """They are there where a run goes on from an early epoch."""
    for epoch in (7, 8, 9, 2, 3):
        write_checkpoint(epoch_path(tmp_path, epoch), STATE)
    remove_old(epoch_path(tmp_path, 3), 1)
    assert set(tmp_path.iterdir()) == {epoch_path(tmp_path, epoch) for epoch in (3, 7, 8, 9)}


def test_only_what_killed_saves_left_is_removed(tmp_path: Path) -> None:
    write_checkpoint(epoch_path(tmp_path, 1), STATE)
    (tmp_path / ".00000001-checkpoint.pth.tar.4711.tmp").write_text("half")
    (tmp_path / ".best.pth.tar.12.tmp").write_text("half")
    (tmp_path / ".notes.tmp").write_text("mine")
    remove_unfinished(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "00000001-checkpoint.pth.tar",
        ".notes.tmp",
    }


# ----- reading


@pytest.mark.parametrize("legacy", [False, True])
def test_both_formats_of_torch_load(tmp_path: Path, legacy: bool) -> None:
    path = tmp_path / "x.pth.tar"
    path.write_bytes(as_bytes(STATE, legacy=legacy))
    assert torch.equal(read_torch_file(path)["generator"]["weight"], WEIGHT)


@pytest.mark.parametrize("legacy", [False, True])
def test_truncated_files_are_refused(tmp_path: Path, legacy: bool) -> None:
    whole = as_bytes({"generator": {"weight": torch.ones(1000)}}, legacy=legacy)
    for length in {0, 1, 10, 100, *range(len(whole) // 2, len(whole), 200), len(whole) - 1}:
        message = refusal(tmp_path / "x.pth.tar", whole[:length])
        assert message == "truncated, damaged, or not a torch file; get a whole copy"


@pytest.mark.parametrize("legacy", [False, True])
def test_damaged_files_load_or_are_refused(tmp_path: Path, legacy: bool) -> None:
    whole = as_bytes(STATE, legacy=legacy)
    generator = torch.Generator().manual_seed(0)
    refused = 0
    for _ in range(150):
        damaged = bytearray(whole)
        place, value = torch.randint(0, len(whole) * 256, (2,), generator=generator).tolist()
        damaged[place % len(whole)] = value % 256
        path = tmp_path / "x.pth.tar"
        path.write_bytes(damaged)
        try:
            read_torch_file(path)
        except UserError:
            refused += 1
    assert refused > 30


@pytest.mark.parametrize(
    "content",
    [b"", b"hello, this is text\n", b'{"epoch": 3}', b"<html>", b"\x89PNG\r\n\x1a\n", b"(" * 40]
    + [bytes([byte]) * 40 for byte in b"\x80}K"],
)
def test_what_is_no_torch_file_is_refused(tmp_path: Path, content: bytes) -> None:
    message = refusal(tmp_path / "x.pth.tar", content)
    assert message == "truncated, damaged, or not a torch file; get a whole copy"


class Command:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (self.command,)


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_file_is_refused_and_does_not_run(tmp_path: Path, legacy: bool) -> None:
    trace = tmp_path / "trace"
    content = as_bytes({"generator": Command(f"touch {trace}"), "epoch": 3}, legacy=legacy)
    assert "run code" in refusal(tmp_path / "x.pth.tar", content)
    assert "not a torch file" in refusal(
        tmp_path / "x.pth.tar", pickle.dumps(Command(f"touch {trace}"))
    )
    assert not trace.exists()
    pickle.loads(pickle.dumps(Command(f"touch {trace}")))
    assert trace.exists()  # so the file was a danger


def test_a_pickled_network_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path / "x.pth.tar", as_bytes({"generator": nn.Linear(2, 2)}))
    assert "run code" in message


@pytest.mark.parametrize(("content", "kind"), [([1, 2], "list"), (torch.ones(2), "Tensor")])
def test_what_is_no_dict_is_refused(tmp_path: Path, content: object, kind: str) -> None:
    assert f"holds a {kind}" in refusal(tmp_path / "x.pth.tar", as_bytes(content))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none.pth.tar"
    with pytest.raises(UserError, match=rf"^{re.escape(str(path))}: no such file; "):
        read_torch_file(path)


def test_a_folder_is_told_from_an_unpacked_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"this is a folder; name a \.pth\.tar file$"):
        read_torch_file(tmp_path)
    (tmp_path / "x.pth.tar").write_bytes(as_bytes(STATE))
    with pytest.raises(UserError, match=r"this is a folder; name .* such as .*/x\.pth\.tar$"):
        read_torch_file(tmp_path)
    for inner in (tmp_path / "unpacked", tmp_path / "twice" / "unpacked"):
        with zipfile.ZipFile(tmp_path / "x.pth.tar") as archive:
            archive.extractall(inner)
        for folder in (inner, *inner.iterdir()):
            with pytest.raises(UserError, match="a checkpoint that was unpacked: name the file"):
                read_torch_file(folder)


# ----- weights into networks


def test_weights_are_taken_by_name(tmp_path: Path) -> None:
    networks = small_networks()
    state = filled(weights_of(networks), 2.0)
    load_weights(tmp_path, {**state, "epoch": 3}, networks)
    assert_equal(weights_of(networks), state)


def drop(state: dict, network: str, key: str) -> None:
    del state[network][key]


def reshape(state: dict, network: str, key: str) -> None:
    state[network][key] = torch.zeros(7, 2)


def add(state: dict, network: str, key: str) -> None:
    state[network][f"{key}_of_another"] = torch.zeros(1)


@pytest.mark.parametrize("change", [drop, reshape, add])
@pytest.mark.parametrize(
    ("network", "key"), [("generator", "1.running_var"), ("kp_detector", "weight")]
)
def test_what_does_not_fit_is_named_and_no_network_changes(
    change: Callable[[dict, str, str], None], network: str, key: str
) -> None:
    networks = small_networks()
    before = weights_of(networks)
    state = filled(before, 2.0)
    change(state, network, key)
    with pytest.raises(UserError, match=rf"^x: {network}\.{key}.*another architecture"):
        load_weights(Path("x"), state, networks)
    assert_equal(weights_of(networks), before)


@pytest.mark.parametrize("found", [{}, {"kp_detector": None}, {"kp_detector": torch.zeros(1)}])
def test_a_missing_network_is_named_and_no_network_changes(found: dict) -> None:
    networks = small_networks()
    before = weights_of(networks)
    state = {"generator": filled(before, 2.0)["generator"], **found}
    missing, odd = "holds no kp_detector; it has generator", "kp_detector: of type .*, not a state"
    with pytest.raises(UserError, match=f"^x: ({missing}|{odd})"):
        load_weights(Path("x"), state, networks)
    assert_equal(weights_of(networks), before)


@pytest.mark.parametrize("name", NAMES)
def test_inference_needs_neither_discriminator_nor_optimizers(tmp_path: Path, name: str) -> None:
    golden = load_golden(name)
    whole = read_torch_file(FOLDER / f"{name}.pth.tar")
    path = tmp_path / "x.pth.tar"
    torch.save({key: whole[key] for key in ("generator", "kp_detector")}, path)
    networks = build_inference_networks(golden.model_params)
    load_weights(path, read_torch_file(path), networks._asdict())
    assert_equal(weights_of(networks._asdict()), {key: whole[key] for key in networks._fields})


# ----- random draws


def test_random_draws_go_on_where_they_were(tmp_path: Path) -> None:
    torch.manual_seed(1)
    torch.rand(3)
    write_checkpoint(tmp_path / "x.pth.tar", {"random_state": random_state()})
    expected = torch.rand(5)
    torch.manual_seed(2)
    restore_random_state(read_torch_file(tmp_path / "x.pth.tar")["random_state"])
    assert torch.equal(torch.rand(5), expected)


@pytest.mark.parametrize(("shared", "restored"), [(False, [7, 8]), (True, [7, 7, 7])])
def test_random_draws_on_gpus_continue(
    monkeypatch: pytest.MonkeyPatch, shared: bool, restored: list[int]
) -> None:
    """Each GPU its own, but processes that share a batch draw on theirs as the first did."""
    found: list[int] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: found.append(state))
    restore_random_state({"cpu": torch.get_rng_state(), "cuda": [7, 8]}, shared=shared)
    assert found == restored
