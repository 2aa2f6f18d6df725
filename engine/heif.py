"""HEIC and AVIF pictures: whether Pillow can read them here. Imports no torch: it starts fast."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, features

HEIF_SUFFIXES = frozenset({".heic", ".heif", ".hif"})
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})


def register_heif() -> bool:
    """Let Pillow open HEIC files, if pillow-heif is installed; return whether it is.

    Call it before `Image.open`; calling it again changes nothing.
    """
    if "HEIF" in Image.OPEN:
        return True
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


def missing_reader(path: Path) -> str | None:
    """Return what to install to read a HEIC or AVIF file; None if nothing is missing for it."""
    kind = heif_kind(path)
    if kind == "HEIC" and not register_heif():
        return "HEIC, which needs pillow-heif; run pip install pillow-heif, or save it as JPEG"
    if kind == "AVIF" and "avif" not in features.get_supported():
        return "AVIF, which needs Pillow 11.3 or newer; run pip install -U pillow"
    return None


def heif_kind(path: Path) -> str | None:
    """Return `HEIC` or `AVIF`, by the first bytes of a file; None for any other file.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(64)
    if start[4:8] != b"ftyp":
        return None
    length = min(int.from_bytes(start[:4], "big"), len(start))
    brands = {start[8:12], *(start[at : at + 4] for at in range(16, length - 3, 4))}
    if brands & _AVIF_BRANDS:
        return "AVIF"
    return "HEIC" if brands & _HEIF_BRANDS else None
