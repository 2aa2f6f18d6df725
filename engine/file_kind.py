"""What a file holds, judged by its first bytes: an ending may be wrong, or missing."""

from __future__ import annotations

import mmap
import re
from pathlib import Path
from typing import Literal

FileKind = Literal["picture", "gif", "video", "unknown"]

_HEAD = 256  # bytes; a transport stream shows its second mark within them
_STILL_BRANDS = frozenset({b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"mif1", b"heif"})
_HEIF_SEQUENCE_BRANDS = frozenset({b"hevc", b"hevx", b"msf1"})
_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
_JPEG = b"\xff\xd8\xff"
_PICTURE = re.compile(
    rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|BM.{4}\0\0\0\0|II[*+]\0|MM\0[*+]|RIFF.{4}WEBP|P[1-6]\s",
    re.DOTALL,
)
_VIDEO = re.compile(
    rb"\x1a\x45\xdf\xa3|RIFF.{4}AVI |OggS|FLV|\x30\x26\xb2\x75\x8e\x66\xcf\x11"  # Matroska to ASF
    rb"|\x00\x00\x01[\xb3\xba]|G.{187}G|.{4}G.{191}G",  # MPEG: elementary, program, transport
    re.DOTALL,
)


def file_kind(path: Path) -> FileKind:
    """Tell by the first bytes of a file what it holds.

    A picture is what Pillow reads, animated or not, HEIC among it; "unknown" may be anything.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head[4:8] in _BOXES:
        return _kind_of_boxes(head)
    if head.startswith(b"GIF8"):
        return "gif"
    if head.startswith(_JPEG) and _is_motion_jpeg(path):
        return "video"
    if _PICTURE.match(head):
        return "picture"
    return "video" if _VIDEO.match(head) else "unknown"


def _kind_of_boxes(head: bytes) -> FileKind:
    """Tell pictures in the container of MP4 from videos by the brands that it names.

    Pillow reads AVIF sequences, and of HEIC ones no more than the cover.
    """
    if head[4:8] != b"ftyp":
        return "video"
    length = min(int.from_bytes(head[:4], "big"), len(head))
    brands = {head[8:12], *(head[at : at + 4] for at in range(16, length - 3, 4))}
    if brands & _HEIF_SEQUENCE_BRANDS and not brands & {b"avif", b"avis"}:
        return "video"
    return "picture" if brands & _STILL_BRANDS else "video"


def _is_motion_jpeg(path: Path) -> bool:
    """Tell a stream of JPEG pictures, one right behind the other, from a single one.

    Phones and cameras append further pictures, too; those name them in a directory, the MPF.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.find(b"\xff\xd9" + _JPEG) >= 0 and data.find(b"MPF\0", 0, 2**16) < 0
