"""Results on disk: folders of frames and JSON reports, checked before the work and whole after."""

import contextlib
import io
import json
import re
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from engine.errors import UserError, WriteError

MARKER = ".frames.json"
"""The file in a folder of frames that lists those that were written, so that others stay."""

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
        reason = error.strerror or str(error)
        raise UserError(
            f"{path}: cannot be written ({reason}); free some space or name another folder"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


# ----- folders of frames


class _Written(NamedTuple):
    """A frame as it was written: its name, its size in bytes and its CRC-32."""

    name: str
    size: int
    checksum: int


def is_frame_name(name: str) -> bool:
    """Tell whether FrameFolder writes files of such a name."""
    return _FRAME_NAME.fullmatch(name) is not None


def check_frames(folder: Path) -> None:
    """See that a FrameFolder would replace nothing but frames that it has written.

    Raises:
        UserError: something else of such a name is there.
    """
    if folder.is_dir():
        _check_own(folder, _read_marker(folder))


class FrameFolder:
    """Writes uint8 RGB frames (H, W, 3) as 00000000.png onwards, without loss.

    A context manager. The frames appear in `folder` when the block ends, in place of frames that an
    earlier run left there, as a hidden list tells; after an exception the folder is what it was.
    Other files stay.

    Raises:
        UserError: the folder cannot be written to, or holds other files of such names.
    """

    def __init__(self, folder: Path) -> None:
        check_folder(folder)
        check_frames(folder)
        self.folder = folder
        self._written: list[_Written] = []
        self._partial = tempfile.TemporaryDirectory(prefix=".partial-", dir=folder)

    @property
    def num_frames(self) -> int:
        return len(self._written)

    def write(self, frame: np.ndarray) -> None:
        """Append one frame."""
        name, content = f"{self.num_frames:08d}.png", io.BytesIO()
        Image.fromarray(frame).save(content, "PNG", compress_level=1)
        with writing(self.folder):
            (Path(self._partial.name) / name).write_bytes(content.getbuffer())
        self._written.append(
            _Written(name, content.getbuffer().nbytes, zlib.crc32(content.getbuffer()))
        )

    def __enter__(self) -> "FrameFolder":
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        with self._partial as partial:
            if kind is None:
                self._replace_frames(Path(partial))

    def _replace_frames(self, partial: Path) -> None:
        old = _read_marker(self.folder)
        _check_own(self.folder, old)
        # In between, a run that is killed may leave old frames and new ones.
        _write_marker(self.folder, {*old, *self._written})
        with writing(self.folder):
            for frame in old:
                (self.folder / frame.name).unlink(missing_ok=True)
            for frame in self._written:
                (partial / frame.name).replace(self.folder / frame.name)
        _write_marker(self.folder, self._written)


def _read_marker(folder: Path) -> set[_Written]:
    """The frames that a FrameFolder has left in a folder; none if it has no list of them."""
    try:
        content = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        frames = {_Written(*frame) for frame in content["frames"]}
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return set()
    kinds = {(str, int, int)}
    return {it for it in frames if {tuple(map(type, it))} == kinds and is_frame_name(it.name)}


def _write_marker(folder: Path, frames: Iterable[_Written]) -> None:
    about = "lossless frames of animate.py or reconstruction.py, which may replace them"
    write_json(folder / MARKER, {"about": about, "frames": sorted(frames)})


def _check_own(folder: Path, written: set[_Written]) -> None:
    """See that each file with the name of a frame is one of those that were written.

    Raises:
        UserError: one is not.
    """
    sizes = {(frame.name, frame.size) for frame in written}
    for file in sorted(folder.iterdir()):
        if not is_frame_name(file.name):
            continue
        is_own = file.is_file() and not file.is_symlink() and (file.name, _size(file)) in sizes
        if not is_own or _Written(file.name, _size(file), _checksum(file)) not in written:
            raise UserError(
                f"{file}: frames would replace it, and no earlier run is known to have written it; "
                f"name a new folder, or move the frames in {folder} away"
            )


def _size(file: Path) -> int:
    return file.stat().st_size


def _checksum(file: Path) -> int:
    return zlib.crc32(file.read_bytes())


# ----- new folders


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
        raise UserError(
            f"{folder}: cannot be written ({error.strerror}); free some space, or name another "
            "folder"
        ) from error
