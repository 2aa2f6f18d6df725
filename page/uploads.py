"""Which uploads the page takes: by their name and size at once, then by decoding them elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

from engine.errors import UserError
from engine.image import IMAGE_SUFFIXES
from engine.video import VIDEO_SUFFIXES
from page.limits import MEGA, Limits

CHECK_SECONDS = 30
Kind = Literal["picture", "video"]

SUFFIXES: dict[Kind, tuple[str, ...]] = {
    "picture": tuple(sorted((IMAGE_SUFFIXES | {".gif", ".jfif"}) - {".ppm"})),
    "video": tuple(sorted(VIDEO_SUFFIXES | {".apng", ".avif", ".png", ".webp"})),
}
"""How the names of files end that are taken"""


def check_upload(path: Path, kind: Kind, limits: Limits) -> None:
    """See that a file is what it should be, and can be decoded within bounds of time and memory.

    It is decoded once in a process of its own, with a limit on both; whoever decodes it after that
    meets the same frames.

    Raises:
        UserError: it is not, in a sentence that begins with the file's name.
    """
    if not path.is_file():
        raise UserError(f"{path.name}: is no longer here; choose it again")
    check_name_and_size(path.name, path.stat().st_size, kind, limits)
    complaint = _probe(path, kind, limits)
    if complaint:
        raise UserError(f"{path.name}: {complaint}")


def check_name_and_size(name: str, size: int, kind: Kind, limits: Limits) -> None:
    """See that a file of so many bytes may be brought.

    Raises:
        UserError: it has the name of something else, or is too large.
    """
    suffixes = SUFFIXES[kind]
    if Path(name).suffix.lower() not in suffixes:
        raise UserError(
            f"{name}: not the name of a {kind}; choose a file of up to {limits.megabytes} MB that "
            f"ends in {', '.join(suffixes)}"
        )
    if size > limits.megabytes * MEGA:
        raise UserError(
            f"{name}: {size / MEGA:,.1f} MB, more than {limits.megabytes} MB; save it smaller"
        )


def _probe(path: Path, kind: Kind, limits: Limits) -> str:
    """What page.probe has to say of a file; nothing if it is welcome."""
    command = [sys.executable, "-m", "page.probe", kind, str(path), json.dumps(limits.for_probe())]
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
    try:
        done = subprocess.run(
            command,
            cwd=Path(__file__).parent.parent,
            env={**os.environ, **threads},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=CHECK_SECONDS,
            text=True,
        )
    except subprocess.TimeoutExpired:
        return f"takes more than {CHECK_SECONDS} seconds to decode; save it smaller or shorter"
    if done.returncode != 0:
        return f"is not a readable {kind}; choose another file"
    return done.stdout.strip()
