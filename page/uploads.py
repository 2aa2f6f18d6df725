"""Which uploads the page takes: by their name and size at once, then by decoding them elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

from engine.errors import UserError
from engine.heif import HEIF_SUFFIXES
from engine.image import IMAGE_SUFFIXES
from engine.video import VIDEO_SUFFIXES
from page.limits import MEGA, Limits

CHECK_SECONDS = 30
PICTURE_SUFFIXES = tuple(
    sorted((IMAGE_SUFFIXES | HEIF_SUFFIXES | {".avif", ".gif", ".jfif"}) - {".ppm"})
)
DRIVING_SUFFIXES = tuple(sorted(VIDEO_SUFFIXES))

Kind = Literal["picture", "video"]


def check_upload(path: Path, kind: Kind, limits: Limits) -> None:
    """See that a file is what it should be, and can be decoded within bounds of time and memory.

    It is decoded once in a process of its own, with a limit on both; whoever decodes it after that
    meets the same frames.

    Raises:
        UserError: it is not, in a sentence that begins with the file's name.
    """
    name = path.name
    if not path.is_file():
        raise UserError(f"{name}: is no longer here; choose it again")
    suffixes = PICTURE_SUFFIXES if kind == "picture" else DRIVING_SUFFIXES
    if path.suffix.lower() not in suffixes:
        raise UserError(f"{name}: no name of a {kind}; choose one of {', '.join(suffixes)}")
    size = path.stat().st_size
    if size > limits.megabytes * MEGA:
        raise UserError(
            f"{name}: {size / MEGA:,.0f} MB, more than {limits.megabytes}; save it smaller"
        )
    complaint = _probe(path, kind, limits)
    if complaint:
        raise UserError(f"{name}: {complaint}")


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
