"""Results on disk: folders of frames and JSON reports, checked before the work and whole after."""

import contextlib
import io
import json
import re
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
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


def is_frame_name(name: str) -> bool:
    """Tell whether FrameFolder writes files of such a name."""
    return _FRAME_NAME.fullmatch(name) is not None


def check_frames(folder: Path) -> None:
    """See that a FrameFolder would replace nothing but frames that one has written.

    Raises:
        UserError: something else of such a name is there.
    """
    for file in sorted(folder.iterdir()) if folder.is_dir() else ():
        if is_frame_name(file.name) and not _is_own(file):
            raise UserError(
                f"{file}: frames would replace it, and no earlier run is known to have written it; "
                f"name a new folder, or move the frames in {folder} away"
            )


class FrameFolder:
    """Writes uint8 RGB frames (H, W, 3) as 00000000.png onwards, without loss.

    A context manager. The frames appear in `folder` when the block ends, in place of those that an
    earlier run left there, and that are as it left them; after an exception the folder is what it
    was. Other files stay.

    Raises:
        UserError: the folder cannot be written to, or holds other files of such names.
    """

    def __init__(self, folder: Path) -> None:
        check_folder(folder)
        check_frames(folder)
        self.folder = folder
        self.num_frames = 0
        self._partial = tempfile.TemporaryDirectory(prefix=".partial-", dir=folder)

    def write(self, frame: np.ndarray) -> None:
        """Append one frame."""
        content = io.BytesIO()
        Image.fromarray(frame).save(content, "PNG", compress_level=1)
        with writing(self.folder):
            path = Path(self._partial.name) / f"{self.num_frames:08d}.png"
            path.write_bytes(_marked(content.getvalue()))
        self.num_frames += 1

    def __enter__(self) -> "FrameFolder":
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        with self._partial as partial:
            if kind is None:
                self._replace_frames(Path(partial))

    def _replace_frames(self, partial: Path) -> None:
        check_frames(self.folder)
        with writing(self.folder):
            for old in self.folder.iterdir():
                if is_frame_name(old.name):
                    old.unlink()
            for frame in partial.iterdir():
                frame.replace(self.folder / frame.name)


_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"


def _marked(png: bytes) -> bytes:
    """A PNG file that says who wrote it, in a text at its end, with a checksum of the rest."""
    rest = png.removesuffix(_PNG_END)
    return rest + _mark(rest) + _PNG_END


def _mark(rest: bytes) -> bytes:
    """The chunk of text for the end of a PNG file; the rest is what precedes it."""
    text = b"tEXtSoftware\0First Order Motion Model, " + f"{zlib.crc32(rest):08x}".encode()
    return struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))


def _is_own(file: Path) -> bool:
    """Tell whether a file is a frame that a FrameFolder has written, and unchanged."""
    if file.is_symlink() or not file.is_file():
        return False
    content = file.read_bytes()
    rest = content[: -len(_mark(b"") + _PNG_END)]
    return content == rest + _mark(rest) + _PNG_END


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
