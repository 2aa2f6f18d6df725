"""The page's command: a person's mistake is one line, exit code 2."""

import sys
from pathlib import Path

import pytest
from commands import run_here

import app


def test_without_gradio_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    for name in [name for name in sys.modules if name.startswith("page.")]:
        monkeypatch.delitem(sys.modules, name)
    message = run_here(app.main, "--device", "cpu").error()
    assert message.startswith("gradio: ") and "pip install -r requirements-app.txt" in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max_seconds", "0"], "--max_seconds 0: must be at least 1"),
        (["--max_waiting", "many"], "argument --max_waiting"),
        (["--port", "70000"], "--port 70000: choose one from 1 to 65535"),
        (["--colour", "red"], "--colour red"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], message: str) -> None:
    assert message in run_here(app.main, *arguments).error()


def test_nobody_else_is_let_in_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["app.py"])
    assert app.parse_arguments().host == "127.0.0.1"


def test_every_example_is_a_file_of_the_demo() -> None:
    found = [*app.examples(app.IMAGE_SUFFIXES), *app.examples(app.VIDEO_SUFFIXES)]
    assert {path.name for path in found} >= {"source.png", "driving.mp4"}
    assert all(path.is_file() and path.parent == Path(app.DEMO) for path in found)
