"""The folder for uploads: one for each server, and swept only when its server is gone."""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commands import ROOT

from page.upload_folder import sweep_abandoned, upload_folder

HOLDER = """
import sys
from page.upload_folder import upload_folder
with upload_folder() as folder:
    (folder / "visits").mkdir()
    (folder / "visits" / "picture.png").write_bytes(b"a picture")
    print(folder, flush=True)
    sys.stdin.read()
"""
Holder = tuple["subprocess.Popen[str]", Path]


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def hold(tmp_path: Path) -> Iterator[Callable[[], Holder]]:
    """Starts processes that hold a folder with an upload in it each."""
    started = []

    def start() -> Holder:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER],
            cwd=ROOT,
            env={"TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        return process, Path(process.stdout.readline().strip())

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_the_end_deletes_the_folder(tmp_path: Path) -> None:
    with upload_folder() as folder:
        (folder / "visits").mkdir()
        (folder / "upload.png").write_bytes(b"a picture")
        (server,) = tmp_path.iterdir()
        assert folder.parent == server and server.name.startswith("first-order-page-")
        assert not list(folder.glob("*lock*")), "what is swept by age may hold no lock"
    assert not list(tmp_path.iterdir())


def test_what_a_killed_server_left_is_swept_and_what_a_living_one_holds_is_not(
    hold: Callable[[], Holder], tmp_path: Path
) -> None:
    (killed, left), (_, held) = hold(), hold()
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert (left / "visits" / "picture.png").exists()
    with upload_folder() as folder:
        assert not left.parent.exists()
        assert (held / "visits" / "picture.png").exists()
        assert set(tmp_path.iterdir()) == {folder.parent, held.parent}


def test_what_is_no_folder_of_a_server_is_left_alone(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "server.lock").touch()
    (tmp_path / "first-order-page-link").symlink_to(precious)
    (tmp_path / "first-order-page-notes").mkdir()
    (tmp_path / "first-order-page-file").write_text("notes")
    before = sorted(tmp_path.rglob("*"))
    sweep_abandoned()
    assert sorted(tmp_path.rglob("*")) == before
