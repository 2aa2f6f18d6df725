"""The command that makes puppets: repeatable, resumable, and polite about mistakes."""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from commands import run_here

from engine.errors import UserError
from engine.video import open_video
from tools import make_puppets
from tools.puppets import dataset
from tools.puppets.dataset import Plan, build
from tools.puppets.figure import draw_identity
from tools.puppets.motion import draw_motion
from tools.puppets.render import render
from tools.puppets.skeleton import JOINT_NAMES
from tools.puppets.truth import load_truth

ROOT = Path(__file__).parents[1]
PLAN = Plan(size=64, train=2, test=1, transfer=1, frames=3, seed=5, format="png")


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_same_plan_gives_the_same_bytes_however_many_work(tmp_path: Path) -> None:
    assert build(PLAN, tmp_path / "one", workers=1)
    assert build(PLAN, tmp_path / "two", workers=2)
    assert _files(tmp_path / "one") == _files(tmp_path / "two")


def test_a_larger_set_begins_with_the_smaller_one(tmp_path: Path) -> None:
    small, large = replace(PLAN, transfer=0), replace(PLAN, transfer=0, train=3, test=2)
    build(small, tmp_path / "small", workers=1)
    build(large, tmp_path / "large", workers=1)
    kept = _files(tmp_path / "small")
    assert kept["train/train-00000.png"] != kept["test/test-00000.png"]
    more = _files(tmp_path / "large")
    del kept["puppets.json"]
    assert kept.items() <= more.items()
    build(replace(small, seed=6), tmp_path / "other", workers=1)
    assert not _files(tmp_path / "other").items() & kept.items()


@pytest.mark.parametrize("kind", ["mp4", "png", "frames"])
def test_what_is_written_can_be_read(tmp_path: Path, kind: Literal["mp4", "png", "frames"]) -> None:
    plan = replace(PLAN, train=1, test=0, transfer=0, format=kind)
    build(plan, tmp_path / "set", workers=1)
    (path,) = (tmp_path / "set" / "train").iterdir()
    rng = np.random.default_rng([plan.seed, 0, 0])
    expected = render(draw_identity(rng), draw_motion(rng, 3), 64).frames
    with open_video(path, frame_size=(64, 64)) as video:
        frames = np.stack(list(video))
    assert frames.shape == (3, 64, 64, 3)
    assert np.abs(frames.astype(int) - expected).mean() <= (6 if kind == "mp4" else 0)
    truth = load_truth(tmp_path / "set" / "ground_truth" / "train-00000.npz")
    assert truth.joints.shape == (3, len(JOINT_NAMES), 2)


def test_a_set_holds_its_arguments_and_its_triples(tmp_path: Path) -> None:
    build(PLAN, tmp_path / "set", workers=1)
    made = json.loads((tmp_path / "set" / "puppets.json").read_text())
    assert {name: made[name] for name in ("size", "seed", "frames")} == {
        "size": 64,
        "seed": 5,
        "frames": 3,
    }
    triple = tmp_path / "set" / "transfer" / "transfer-00000"
    with open_video(triple / "relative.png", frame_size=(64, 64)) as answer:
        first = next(iter(answer))
    with open_video(triple / "source.png") as source:
        np.testing.assert_array_equal(first, next(iter(source)))
    names = {"driving.png", "driving.npz", "absolute.png", "absolute.npz", "relative.npz"}
    assert names < {path.name for path in triple.iterdir()}


def test_an_interrupted_run_leaves_no_set_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(PLAN, tmp_path / "whole", workers=1)
    real = dataset.make_clip
    made: list[tuple[str, int]] = []

    def fills_the_disk(plan: Plan, folder: Path, split: str, index: int) -> None:
        if made:
            (folder / split / ".half.png").write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder / "train"))
        made.append((split, index))
        real(plan, folder, split, index)

    def counts(plan: Plan, folder: Path, split: str, index: int) -> None:
        made.append((split, index))
        real(plan, folder, split, index)

    monkeypatch.setattr(dataset, "make_clip", fills_the_disk)
    with pytest.raises(UserError, match="No space left"):
        build(PLAN, tmp_path / "set", workers=1)
    assert not (tmp_path / "set").exists()
    monkeypatch.setattr(dataset, "make_clip", counts)
    assert build(PLAN, tmp_path / "set", workers=1)
    assert made == [("train", 0), ("train", 1), ("test", 0), ("transfer", 0)]
    assert _files(tmp_path / "set") == _files(tmp_path / "whole")
    assert not build(PLAN, tmp_path / "set", workers=1)
    assert not (tmp_path / "set.partial").exists()


def test_ctrl_c_finishes_the_clip_and_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = dataset.make_clip

    def interrupted(plan: Plan, folder: Path, split: str, index: int) -> None:
        if index == 0:
            os.kill(os.getpid(), signal.SIGINT)
        real(plan, folder, split, index)

    monkeypatch.setattr(dataset, "make_clip", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build(PLAN, tmp_path / "set", workers=1)
    kept = _files(tmp_path / "set.partial")
    assert set(kept) == {"puppets.json", "train/train-00000.png", "ground_truth/train-00000.npz"}


def test_other_arguments_and_other_things_are_refused(tmp_path: Path) -> None:
    small = replace(PLAN, train=1, test=0, transfer=0, frames=2)
    build(small, tmp_path / "set", workers=1)
    before = _files(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for out, plan, words in (
        ("set", replace(small, seed=9), "made with seed 5, not 9"),
        ("mine", small, "no set of puppets"),
        ("file", small, "is a file"),
        ("file/below", small, "cannot be written"),
    ):
        with pytest.raises(UserError, match=words):
            build(plan, tmp_path / out, workers=1)
    assert before.items() <= _files(tmp_path).items()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--size", "0"], "size"),
        (["--size", "100"], "size"),
        (["--train", "-1"], "--train -1"),
        (["--frames", "1"], "--frames 1"),
        (["--workers", "0"], "--workers 0"),
        (["--seed", "-3"], "--seed -3"),
        (["--travel", "1.5"], "--travel 1.5"),
        (["--travel", "nan"], "--travel nan"),
        (["--format", "avi"], "format"),
        (["--train", "0", "--test", "0"], "nothing to make"),
        (["--trian", "3"], "trian"),
    ],
)
def test_bad_arguments_are_named(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["make_puppets.py", "--out", str(tmp_path / "x"), *arguments])
    with pytest.raises(UserError, match=words):
        make_puppets.main()
    assert not list(tmp_path.iterdir())


def test_the_command_answers_a_full_disk_in_one_line(tmp_path: Path) -> None:
    out = str(tmp_path / "set")
    small = ["--train", "1", "--test", "0", "--frames", "2", "--workers", "1", "--out", out]
    small += ["--format", "png"]
    done = subprocess.run(
        [sys.executable, "tools/make_puppets.py", *small],
        cwd=ROOT,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
        check=False,
    )
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 2
    assert last.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert not Path(out).exists()
    assert run_here(make_puppets.main, *small).output() == f"{out}: complete\n"
