"""The folder that uploads come into: one for each server, deleted even if the server was killed."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Literal

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_PREFIX = "first-order-page-"
_LOCK = "server.lock"  # beside the uploads, which are swept by their age
_UPLOADS = "uploads"


@contextmanager
def upload_folder() -> Iterator[Path]:
    """Make a folder for a server's uploads, and delete those of servers that are gone.

    A server holds a lock in its folder for as long as it lives, however it ends.
    """
    sweep_abandoned()
    folder, lock = _make_folder()
    try:
        (folder / _UPLOADS).mkdir()
        yield folder / _UPLOADS
    finally:
        _delete(folder, lock)


def sweep_abandoned() -> None:
    """Delete the folders of this person's servers that no longer run."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if _is_mine(folder):
                _delete(folder, _locked(folder / _LOCK, "r+b"))


def _make_folder() -> tuple[Path, IO[bytes]]:
    """A new folder and its lock. It gets its name only once it is locked, and so is never swept."""
    unlocked = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}"))
    folder = unlocked.with_name(unlocked.name[1:])
    lock = _locked(unlocked / _LOCK, "wb")
    if sys.platform == "win32":  # where no folder that holds an open file can be renamed
        lock.close()
        unlocked.rename(folder)
        return folder, _locked(folder / _LOCK, "r+b")
    unlocked.rename(folder)
    return folder, lock


def _locked(path: Path, mode: Literal["wb", "r+b"]) -> IO[bytes]:
    """A file, locked for as long as it is open.

    Raises:
        OSError: it is not there, or another process has locked it.
    """
    file = path.open(mode)
    try:
        if sys.platform == "win32":
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise
    return file


def _is_mine(folder: Path) -> bool:
    if folder.is_symlink() or not folder.is_dir():
        return False
    return sys.platform == "win32" or folder.stat().st_uid == os.getuid()


def _delete(folder: Path, lock: IO[bytes]) -> None:
    """Delete a folder whose lock is held: the lock last, so that what is left can be swept."""
    for path in folder.iterdir():
        if path.name == _LOCK:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    lock.close()
    shutil.rmtree(folder, ignore_errors=True)
