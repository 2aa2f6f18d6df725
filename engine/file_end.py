"""Whether a video file ends where it says it does, in formats whose decoders do not tell."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

_SEGMENT = b"\x18\x53\x80\x67"
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_LARGEST_OGG_PAGE = 27 + 255 + 255 * 255  # bytes
_TS_PACKETS = ((0, 188), (4, 192), (0, 204))  # where its first mark is, and how long a packet is
_TS_MARK = 0x47
_PACK, _PACKS_END = b"\0\0\1\xba", b"\0\0\1\xb9"
_NEAR_THE_END = 2**18  # bytes; packs are smaller


def missing_end(path: Path) -> str | None:
    """What is missing at the end of a file that was cut; None if nothing is known to be.

    Told are Matroska (.mkv, .webm), GIF, AVI, MP4 and QuickTime, Ogg, ASF (.wmv), Flash Video, and
    MPEG's streams (.mpg, .ts, .m2ts). Those last are packets that tell no length of the whole: a
    cut between two of them cannot be told, nor one in a recording written without a length.
    """
    with path.open("rb") as file:
        length = file.seek(0, os.SEEK_END)
        for place, magic, missing in _KINDS:
            file.seek(place)
            if file.read(len(magic)) == magic:
                file.seek(0)
                return missing(file, length)
    return None


def _shortage(end: int, length: int) -> str | None:
    return f"{length:,} of its {end:,} bytes are there" if end > length else None


def _missing_segment(file: BinaryIO, length: int) -> str | None:
    """How much is there of the segment, which is all of a Matroska file that follows its header."""
    file.seek(4)
    file.seek(_element_size(file) or 0, os.SEEK_CUR)
    size = _element_size(file) if file.read(4) == _SEGMENT else None
    return None if size is None else _shortage(file.tell() + size, length)


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


def _missing_trailer(file: BinaryIO, length: int) -> str | None:
    """Whether the blocks of a GIF are followed by the byte that ends it."""
    _skip_colours(file, file.read(13)[10:11])  # Behind magic, version and size: flags.
    while kind := file.read(1):
        if kind == b";":
            return None
        if kind not in b"!,":  # Padding, which decoders pass over.
            continue
        if kind == b",":  # An image: its place and size, colours, and the width of its codes.
            _skip_colours(file, file.read(9)[8:])
        file.seek(1, os.SEEK_CUR)  # That width, or what an extension is about.
        while (size := file.read(1)) not in (b"", b"\0"):
            file.seek(size[0], os.SEEK_CUR)
    return "it has no end mark"


def _skip_colours(file: BinaryIO, flags: bytes) -> None:
    """Pass over the table of colours that the flags announce, if they do."""
    if flags and flags[0] & 0x80:
        file.seek(3 << (flags[0] & 7) + 1, os.SEEK_CUR)


def _missing_of_riff(file: BinaryIO, length: int) -> str | None:
    """An AVI is one chunk, or several of a gigabyte; a length of 0 was never filled in."""
    end = 0
    while end < length and file.read(4) == b"RIFF":
        size = int.from_bytes(file.read(4), "little")
        if not size:
            return None
        end = file.seek(end + 8 + size + size % 2)
    return _shortage(end, length)


def _missing_of_boxes(file: BinaryIO, length: int) -> str | None:
    """MP4 and QuickTime: boxes, each with its length; that of 0 lasts to the end."""
    end = 0
    while end < length:
        start = file.seek(end)
        size, header = int.from_bytes(file.read(4), "big"), file.read(4)
        if size == 1:
            size = int.from_bytes(file.read(8), "big")
        if size < 8 or not header.isalnum():
            return None
        end = start + size
    return _shortage(end, length)


def _missing_ogg_page(file: BinaryIO, length: int) -> str | None:
    """The last page of an Ogg file is whole, and says that it is the last."""
    file.seek(max(0, length - _LARGEST_OGG_PAGE))
    tail = file.read()
    page = tail[max(0, tail.rfind(b"OggS")) :]
    pieces = page[27 : 27 + page[26]] if len(page) > 26 else b""
    if len(page) < 27 + len(pieces) + sum(pieces) or not pieces:
        return "its last page is incomplete"
    return None if page[5] & 4 else "it has no end mark"


def _missing_of_asf(file: BinaryIO, length: int) -> str | None:
    """A header of objects, one of which tells the length of the file, unless it was a broadcast."""
    header = file.read(min(length, 2**16))
    at = header.find(_ASF_PROPERTIES)
    fields = header[at + 24 : at + 92] if at >= 0 else b""
    if len(fields) < 68 or fields[64] & 1:
        return None
    return _shortage(int.from_bytes(fields[16:24], "little"), length)


def _missing_flash_tag(file: BinaryIO, length: int) -> str | None:
    """Each tag of a Flash Video is followed by its own length, which it also begins with."""
    file.seek(max(0, length - 4))
    size = int.from_bytes(file.read(4), "big")
    if 11 <= size <= length - 4:
        file.seek(length - 4 - size + 1)
        if int.from_bytes(file.read(3), "big") == size - 11:
            return None
    return "its last tag is incomplete"


def _missing_of_packs(file: BinaryIO, length: int) -> str | None:
    """An MPEG program stream: packs of packets, each with its length, from the last pack on."""
    file.seek(max(0, length - _NEAR_THE_END))
    tail = file.read()
    at = max(0, tail.rfind(_PACK))
    while (code := tail[at : at + 4])[:3] == _PACK[:3] and code != _PACKS_END:
        if code == _PACK:
            mpeg2 = tail[at + 4 : at + 5] > b"\x3f"
            stuffing = tail[at + 13 : at + 14] if mpeg2 else b""
            at += 14 + (stuffing[0] & 7 if stuffing else 0) if mpeg2 else 12
        else:
            at += 6 + int.from_bytes(tail[at + 4 : at + 6], "big")
    left = len(tail) - at
    cut = left < 0 or (0 < left < 4 and _PACK.startswith(tail[at : at + 3]))
    return "its last packet is incomplete" if cut else None


def _missing_of_packets(file: BinaryIO, length: int) -> str | None:
    """An MPEG transport stream: packets of one length."""
    head = file.read(3 * 204)
    for first, size in _TS_PACKETS:
        marks = head[first::size][:3]
        if len(marks) == 3 and set(marks) == {_TS_MARK}:
            return "its last packet is incomplete" if length % size else None
    return None


_KINDS: tuple[tuple[int, bytes, Callable[[BinaryIO, int], str | None]], ...] = (
    (0, b"\x1a\x45\xdf\xa3", _missing_segment),
    (0, b"GIF8", _missing_trailer),
    (0, b"RIFF", _missing_of_riff),
    (4, b"ftyp", _missing_of_boxes),
    (0, b"OggS", _missing_ogg_page),
    (0, bytes.fromhex("3026b2758e66cf11"), _missing_of_asf),
    (0, b"FLV", _missing_flash_tag),
    (0, _PACK, _missing_of_packs),
    *((first, bytes([_TS_MARK]), _missing_of_packets) for first, _ in _TS_PACKETS[:2]),
)
