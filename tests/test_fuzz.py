"""Faulty inputs of every family meet the promises, and fuzzing finds it out when they do not."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from commands import ROOT, run_here

from tools import fuzz
from tools.fuzzing.damage import damage
from tools.fuzzing.judging import MEMORY, has_remedy, judge, snapshot
from tools.fuzzing.place import Place
from tools.fuzzing.pool import Trial, copy_place, spoil
from tools.fuzzing.run import Ending, Run

RUNS, SEED = 150, 1


def test_faults_of_every_family_are_met_as_promised() -> None:
    """By the command itself: this process may have threads, which no fork takes along."""
    command = [sys.executable, str(ROOT / "tools" / "fuzz.py"), "--workers", "1"]
    command += ["--runs", str(RUNS), "--seed", str(SEED)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stdout.endswith("every promise was kept\n"), done.stdout + done.stderr
    assert done.returncode == 0


def test_a_seed_and_a_number_stand_for_one_fault(tmp_path: Path) -> None:
    found = []
    for name in ("one", "other"):
        made = []
        for number in range(30):
            place = tmp_path / name / str(number)
            place.mkdir(parents=True)
            (place / "pairs.csv").write_text("source,driving,frame\ne,f,0\n")
            for other in ("source.png", "driving.mp4", "config.yaml", "run/best.pth.tar"):
                (place / other).parent.mkdir(exist_ok=True)
                (place / other).write_text(other)
            run = spoil(Trial("pairs", number, seed=3), Place(place, tmp_path))
            made.append((run, snapshot(place)))
        found.append(made)
    assert found[0] == found[1]
    assert len({str(state) for _, state in found[0]}) > 20


def test_a_place_is_kept_as_it_is(tmp_path: Path) -> None:
    """But for what no folder can keep."""
    place, kept = tmp_path / "place", tmp_path / "kept"
    (place / "inner").mkdir(parents=True)
    (place / "inner" / "file").write_text("content")
    (place / "loop").symlink_to("loop")
    os.mkfifo(place / "pipe")
    copy_place(place, kept)
    assert snapshot(place) == snapshot(kept) | {"pipe": "special"}


@pytest.mark.parametrize(
    "arguments", [("--only", "nothing:3"), ("--only", "pairs"), ("--runs", 0), ("--families", "x")]
)
def test_its_own_arguments_are_checked(arguments: tuple[object, ...]) -> None:
    assert has_remedy(run_here(fuzz.main, *arguments).error())


def ending(stderr: str = "", *, code: int | None = 0, peak: int = 0) -> Ending:
    return Ending(code, "", stderr, seconds=1.0, peak=peak)


TRACEBACK = 'Traceback (most recent call last):\n  File "x.py", line 1, in f\nKeyError: 3\n'


@pytest.mark.parametrize(
    ("ended", "kinds"),
    [
        (ending(), []),
        (ending("error: a.mp4: is damaged; get a whole copy\n", code=2), []),
        (ending("INFO: on the CPU\nerror: a.mp4: is damaged; get a copy\n", code=2), []),
        (ending(TRACEBACK, code=1), ["traceback"]),
        (ending(code=None), ["hang"]),
        (ending(code=-11), ["crash"]),
        (ending(code=3), ["exit code"]),
        (ending(peak=MEMORY + 1), ["memory"]),
        (ending(code=2), ["message"]),
        (ending("error: a.b: x; write y\nerror: a.b: x; write y\n", code=2), ["message"]),
        (ending("error: a.b: x; write y\n", code=0), ["message"]),
        (ending("x.py:3: UserWarning: mind the gap\n"), ["library"]),
        (ending("error: a.mp4: is damaged\n", code=2), ["remedy"]),
        (ending("error: a.mp4: is damaged, is it not\n", code=2), ["remedy"]),
        (ending("error: something is wrong; mend it\n", code=2), ["place"]),
        (ending(f"error: a.b: {'x' * 600}; mend it\n", code=2), ["length"]),
        (ending(f"error: a.b: {'9' * 100}; mend it\n", code=2), ["length"]),
    ],
)
def test_a_broken_promise_is_seen(ended: Ending, kinds: list[str]) -> None:
    run = Run("animate", ["--device", "cpu"], "")
    assert [failure.kind for failure in judge(run, ended, {}, {})] == kinds


@pytest.mark.parametrize(
    ("change", "code", "kinds"),
    [
        (lambda folder: None, 0, []),
        (lambda folder: (folder / "new.mp4").touch(), 0, []),
        (lambda folder: (folder / "input").unlink(), 0, ["lost"]),
        (lambda folder: (folder / "input").write_text("x"), 0, ["overwritten"]),
        (lambda folder: (folder / "result").write_text("x"), 0, []),
        (lambda folder: (folder / "result").write_text("x"), 2, ["overwritten"]),
        (lambda folder: (folder / ".new.mp4.partial").touch(), 0, ["leftover"]),
        (lambda folder: (folder / "EXECUTED").touch(), 0, ["code was run"]),
        (lambda folder: (folder / "link").unlink(), 0, ["lost"]),
        (lambda folder: shutil.rmtree(folder / "inner"), 0, ["lost", "lost"]),
    ],
)
def test_lost_files_are_seen(
    tmp_path: Path, change: Callable[[Path], object], code: int, kinds: list[str]
) -> None:
    for name in ("input", "result", "inner/input"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "link").symlink_to("input")
    before = snapshot(tmp_path)
    change(tmp_path)
    message = "error: a.mp4: is damaged; get a whole copy\n" if code == 2 else ""
    run = Run("animate", [], "", writes={"result"})
    found = judge(run, ending(message, code=code), before, snapshot(tmp_path))
    assert [failure.kind for failure in found] == kinds


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("a.yaml: no such file; check the path", True),
        ("a.yaml: no such file; did you mean b.yaml?", True),
        ("--best_frame x: write auto or the number of a frame", True),
        ("the checkpoint: of another kind, correct it", True),
        ("a.mp4: was not written; name another folder, or free some space", True),
        ("a.mp4: not a readable video (Invalid data found when processing input)", False),
        ("write access denied", False),
        ("a.yaml: unknown key; the keys here are a, b", False),
    ],
)
def test_a_remedy_is_told_from_a_complaint(message: str, expected: bool) -> None:
    assert has_remedy(message) == expected


def test_the_same_number_draws_the_same_damage() -> None:
    data = bytes(range(256)) * 4
    assert damage(Random("a"), data) == damage(Random("a"), data)
    assert len({damage(Random(str(number)), data)[1] for number in range(200)}) > 50
