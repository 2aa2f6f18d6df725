"""Damaging bytes in the ways that disks, networks and people do."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

_TEXT = b"Dear reader, this is not what its name says. " * 40
_PAGE = b"<!DOCTYPE html><html><head><title>404</title></head><body>Not found</body></html>"


def damage(rng: Random, data: bytes) -> tuple[bytes, str]:
    """A damaged copy of a file's bytes, and what was done to it."""
    kind = rng.choice(_KINDS)
    size = max(1, len(data))
    start = rng.randrange(size)
    count = min(size - start, 1 + int(size * rng.random() ** 4))
    if kind == "truncated":
        return data[:start], f"cut off at {start} of {size} bytes"
    if kind == "flipped":
        spoilt = bytearray(data)
        flips = rng.choice([1, 1, 1, 4, 30])
        for _ in range(flips if spoilt else 0):
            spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
        return bytes(spoilt), f"{flips} bits flipped"
    if kind == "header":
        spoilt = bytearray(data)
        for _ in range(rng.choice([1, 3, 10]) if spoilt else 0):
            spoilt[rng.randrange(min(256, len(spoilt)))] = rng.randrange(256)
        return bytes(spoilt), "bytes of the header changed"
    if kind == "zeroed":
        return data[:start] + bytes(count) + data[start + count :], f"{count} bytes zeroed"
    if kind == "removed":
        return data[:start] + data[start + count :], f"{count} bytes missing"
    if kind == "inserted":
        noise = rng.randbytes(rng.choice([1, 16, 5000]))
        return data[:start] + noise + data[start:], f"{len(noise)} bytes of noise inserted"
    if kind == "repeated":
        part = data[start : start + count]
        return data[:start] + part + data[start:], f"{count} bytes there twice"
    if kind == "replaced":
        content, name = rng.choice(
            [
                (b"", "empty"),
                (b"\0", "one byte"),
                (_TEXT, "a text"),
                (_PAGE, "an HTML page"),
                (bytes(size), "zeros"),
                (rng.randbytes(size), "noise"),
                (b"PK\x03\x04" + rng.randbytes(100), "noise after a zip's first bytes"),
                (b"\x1f\x8b\x08" + rng.randbytes(100), "noise after a gzip's first bytes"),
                (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "LFS"),
            ]
        )
        return content, f"replaced by {name}"
    return data + rng.choice([b"\0", _TEXT, data]), "with more behind its end"


# fmt: off
_KINDS = (
    "truncated", "truncated", "flipped", "flipped", "header", "zeroed", "removed", "inserted",
    "repeated", "replaced", "appended",
)
# fmt: on


def damage_file(rng: Random, path: Path) -> str:
    """Damage a file in its place; returns what was done."""
    data, what = damage(rng, path.read_bytes())
    path.write_bytes(data)
    return f"{path.name}: {what}"


def replace_by_something_else(rng: Random, path: Path, *, pipe: bool = True) -> str:
    """Put something that is no regular file where a file was; returns what.

    pipe: whether that may be a pipe into which nobody writes. Not where people name one on
        purpose, such as `--config <(...)`: to wait for its content is right there.
    """
    path.unlink(missing_ok=True)
    kind = rng.choice(["missing", "folder", "loop", "dangling", "pipe", "device", "sparse"])
    kind = "missing" if kind == "pipe" and not pipe else kind
    if kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "dangling":
        path.symlink_to("nowhere")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to(rng.choice(["/dev/null", "/dev/zero", "/dev/full"]))
    elif kind == "sparse":
        with path.open("wb") as file:
            file.truncate(3 << 30)
    return f"{path.name}: {kind}"
