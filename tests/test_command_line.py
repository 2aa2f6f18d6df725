"""What all commands share: how arguments are read, what is printed, and how a run ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import patch

import pytest
from commands import ROOT, golden_checkpoint, run_here, run_process
from test_imports import ENTRY_POINTS

from engine.command_line import Parser, to_path
from engine.errors import UserError

COMMANDS = [ROOT / f"{name}.py" for name in ENTRY_POINTS] + [
    path for path in sorted((ROOT / "tools").glob("*.py")) if path.name != "__init__.py"
]


# ----- arguments


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    parser = Parser("")
    parser.add_argument("--out", type=to_path)
    assert parser.parse_args(["--out=~/a/b.mp4"]).out == tmp_path / "a" / "b.mp4"
    assert parser.parse_args(["--out", "./~/b.mp4"]).out == Path("~") / "b.mp4"
    assert parser.parse_args(["--out", "a~b"]).out == Path("a~b")
    with pytest.raises(UserError, match=r"there is no user nobody-here; write \./~nobody-here"):
        parser.parse_args(["--out", "~nobody-here/b.mp4"])
    (tmp_path / "~lock").touch()  # an editor's, say
    assert parser.parse_args(["--out", "~lock"]).out == Path("~lock")


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path.stem)
def test_every_path_among_the_arguments_is_read_so(path: Path) -> None:
    text = path.read_text()
    assert "type=Path" not in text
    assert "type=str" not in text
    if "Path(args." in text or "Path(options." in text:
        raise AssertionError(f"{path}: makes a path of an argument by itself")


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path.stem)
def test_every_command_takes_overrides_alike(path: Path) -> None:
    """`--set A=1 B=2` and `--set A=1 --set B=2`."""
    assert '"--set"' not in path.read_text()
    parser = Parser("")
    parser.add_overrides()
    together = parser.parse_args(["--set", "a=1", "b=2", "--set", "c=3"])
    assert together.set == ["a=1", "b=2", "c=3"]


def test_an_endless_word_is_shown_in_part() -> None:
    parser = Parser("")
    parser.add_argument("--batch_size", type=int)
    with pytest.raises(UserError) as caught:
        parser.parse_args(["--batch_size", "7" * 5000])
    assert str(caught.value).startswith(f"argument --batch_size: invalid int value: '{'7' * 39}...")
    assert len(str(caught.value)) < 150
    deep = "/".join(["x" * 255] * 15)
    assert str(UserError(f"{deep}: no such file")) == f"{deep}: no such file"


# ----- what is printed

NAME = "\u65e5\u672c"
ESCAPED = r"\u65e5\u672c"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
@pytest.mark.parametrize("way", ["print", "log", "bar", "error", "--help"])
def test_what_the_terminal_cannot_show_is_escaped(encoding: str, way: str) -> None:
    script = f"""
import logging, sys
from tqdm import tqdm
from engine.command_line import Parser, run
from engine.errors import UserError

def main():
    Parser("{NAME}").parse_args()
    if {way!r} == "print": print("{NAME} \\udcff")
    if {way!r} == "log": logging.warning("{NAME}")
    if {way!r} == "bar": list(tqdm([1], desc="{NAME}"))
    if {way!r} == "error": raise UserError("{NAME}: no such file; check the path")

run(main)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, *([way] if way == "--help" else [])],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        capture_output=True,
    )
    shown = done.stdout if way in ("print", "--help") else done.stderr
    assert b"Traceback" not in done.stderr, done.stderr
    assert done.returncode == (2 if way == "error" else 0)
    assert (NAME if encoding == "utf-8" else ESCAPED) in shown.decode(encoding)
    if way == "print":
        assert rb"\udcff" in shown


def test_a_result_with_a_name_that_the_terminal_cannot_show(tmp_path: Path) -> None:
    result = tmp_path / f"{NAME}.pth.tar"
    files = ["--checkpoint", golden_checkpoint("small-jacobian"), "--out", result]
    environment = {"PYTHONIOENCODING": "cp1252"}
    done = run_process("tools/shrink_checkpoint", *files, cwd=tmp_path, environment=environment)
    assert f"{ESCAPED}.pth.tar: " in done.output()
    assert result.is_file()


# ----- how a run ends


class Passing:
    """Something in whose end Ctrl-C falls, where Python can raise nothing."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)


def test_ctrl_c_is_not_lost_where_nothing_can_be_raised() -> None:
    def main() -> None:
        passing = Passing()
        del passing
        time.sleep(10)
        raise AssertionError("it was lost")

    # Started in the background by a shell, a process ignores Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    begun = time.monotonic()
    try:
        done = run_here(main)
    finally:
        signal.signal(signal.SIGINT, before)
    assert done.code == 130
    assert done.stderr == ""
    assert time.monotonic() - begun < 5  # and is heard while something is waited for


def test_other_errors_there_are_told_as_ever() -> None:
    """And what tells them is in place again afterwards."""
    told = []

    class Failing:
        def __del__(self) -> None:
            raise ValueError("as it ends")

    def main() -> None:
        failing = Failing()
        del failing

    with patch.object(sys, "unraisablehook", lambda args: told.append(str(args.exc_value))):
        assert run_here(main).code == 0
        main()
    assert told == ["as it ends"] * 2
