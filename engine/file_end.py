"""Whether a video file ends where it says it does, in formats whose decoders do not tell."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_GIF = b"GIF8"


def missing_end(path: Path) -> str | None:
    """What is missing at the end of a Matroska file (.mkv, .webm) or a GIF; None if nothing is.

    Nor is anything known to be missing from other files, and from recordings that were written
    without a length.
    """
    with path.open("rb") as file:
        magic = file.read(4)
        if magic == _EBML:
            return _missing_bytes(file)
        if magic == _GIF and not _has_trailer(file):
            return "it has no end mark"
    return None


def _missing_bytes(file: BinaryIO) -> str | None:
    """How much is there of the segment, which is all of a Matroska file that follows its header."""
    length = os.fstat(file.fileno()).st_size
    file.seek(_element_size(file) or 0, os.SEEK_CUR)
    size = _element_size(file) if file.read(4) == _SEGMENT else None
    if size is None or file.tell() + size <= length:
        return None
    return f"{length:,} of its {file.tell() + size:,} bytes are there"


def _element_size(file: BinaryIO) -> int | None:
    """The length of an element's content: the leading zero bits tell how many bytes it takes.

    None where it is unknown, which all other bits being 1 says.
    """
    first = file.read(1)
    if not first or not first[0]:
        return None
    more = 8 - first[0].bit_length()
    limit = 1 << 7 * (more + 1)
    size = int.from_bytes(first + file.read(more), "big") % limit
    return None if size == limit - 1 else size


def _has_trailer(file: BinaryIO) -> bool:
    """Whether the blocks of a GIF are followed by the byte that ends it."""
    _skip_colours(file, file.read(9)[6:7])  # Behind the magic: the version, the size, flags.
    while kind := file.read(1):
        if kind == b";":
            return True
        if kind == b",":  # An image: its place and size, colours, and the width of its codes.
            _skip_colours(file, file.read(9)[8:])
        file.seek(1, os.SEEK_CUR)  # That width, or what an extension is about.
        while (size := file.read(1)) not in (b"", b"\0"):
            file.seek(size[0], os.SEEK_CUR)
    return False


def _skip_colours(file: BinaryIO, flags: bytes) -> None:
    """Pass over the table of colours that the flags announce, if they do."""
    if flags and flags[0] & 0x80:
        file.seek(3 << (flags[0] & 7) + 1, os.SEEK_CUR)
