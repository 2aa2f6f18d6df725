"""Results on disk: folders of frames and JSON reports, checked before the work and whole after."""

import contextlib
import json
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from engine.errors import UserError, WriteError

_FRAME_NAME = re.compile(r"\d{8}\.png")


def check_folder(folder: Path) -> None:
    """Make a folder and see that files can be written into it.

    Raises:
        UserError: they cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be written to ({error.strerror}); name another folder"
        ) from error


def check_file(path: Path) -> None:
    """Make the folder of a file, and see that the file can be written there.

    Raises:
        UserError: it cannot.
    """
    if path.is_dir():
        raise UserError(f"{path}: is a folder; name a file to write")
    check_folder(path.parent)


def check_report(flag: str, path: Path, read: Iterable[Path | None]) -> None:
    """See that the file that a flag names can be written, and is none of those that are read.

    Raises:
        UserError: it cannot, or is.
    """
    if path.resolve() in {it.resolve() for it in read if it is not None}:
        raise UserError(f"{path}: {flag} would write over it; name another file")
    check_file(path)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Let a block write a file.

    Raises:
        WriteError: it could not.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise WriteError(
            f"{path}: cannot be written ({reason}); free some space or name another folder"
        ) from error


def make_new_folder(path: Path) -> Path:
    """Make the folder or, where one of that name is there, path-2, path-3 and so on.

    Raises:
        UserError: it cannot be made.
    """
    folder, number = path, 1
    check_folder(path.parent)
    while True:
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            number += 1
            folder = path.with_name(f"{path.name}-{number}")
        except OSError as error:
            raise UserError(
                f"{folder}: cannot be made ({error.strerror}); name another folder"
            ) from error


def write_json(path: Path, content: object) -> None:
    """Write a report, whole or not at all.

    Raises:
        UserError: the file cannot be written.
    """
    write_whole(path, lambda partial: partial.write_text(json.dumps(content, indent=2) + "\n"))


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file that takes the place of `path` once it is whole.

    Raises:
        UserError: the file cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        write(partial)
        partial.replace(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def is_frame_of(folder: Path, file: Path) -> bool:
    """Whether FrameFolder would take a file for a frame that an earlier run left in its folder."""
    inside = file.resolve().parent == folder.resolve()
    return inside and _FRAME_NAME.fullmatch(file.resolve().name) is not None


class FrameFolder:
    """Writes uint8 RGB frames (H, W, 3) as 00000000.png onwards, without loss.

    A context manager. The frames appear in `folder` when the block ends, in place of frames that an
    earlier run left there; after an exception the folder is what it was. Other files stay.

    Raises:
        UserError: the folder cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        check_folder(folder)
        self.folder = folder
        self.num_frames = 0
        self._partial = tempfile.TemporaryDirectory(prefix=".partial-", dir=folder)

    def write(self, frame: np.ndarray) -> None:
        """Append one frame."""
        path = Path(self._partial.name) / f"{self.num_frames:08d}.png"
        try:
            Image.fromarray(frame).save(path, compress_level=1)
        except OSError as error:
            raise UserError(f"{self.folder}: cannot be written to ({error.strerror})") from error
        self.num_frames += 1

    def __enter__(self) -> "FrameFolder":
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        with self._partial as partial:
            if kind is None:
                self._replace_frames(Path(partial))

    def _replace_frames(self, partial: Path) -> None:
        for old in self.folder.iterdir():
            if _FRAME_NAME.fullmatch(old.name):
                old.unlink()
        for frame in partial.iterdir():
            frame.replace(self.folder / frame.name)


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill, which takes the place of `folder` when the block ends.

    After an exception nothing of it is left.

    Raises:
        UserError: `folder` is a file, or has something in it, or cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: is a file; name a folder")
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{folder}: is not empty; name a new folder")
    check_folder(folder.parent)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as partial:
            # One within it: those that tempfile makes are for nobody else to read.
            whole = Path(partial) / "whole"
            whole.mkdir()
            yield whole
            if folder.is_dir():
                folder.rmdir()
            whole.rename(folder)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror})") from error
