"""Which checkpoint, and which machine: what makes a number comparable."""

import hashlib
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import torch

from engine.errors import shown
from engine.words import counted

_CPU_INFO = Path("/proc/cpuinfo")


def checkpoint_facts(path: Path, state: Mapping[str, object]) -> dict[str, str]:
    """The name, the SHA-256 and how far the training was, as far as the content tells."""
    with path.open("rb") as file:
        digest = _sha256(file)
    facts = {"checkpoint": str(path), "SHA-256": digest}
    facts |= {key: shown(state[key]) for key in ("epoch", "step") if key in state}
    return facts


def file_state(path: Path) -> tuple[str, int, int]:
    """(path, size in bytes, time of change): as long as they are the same, so is the file."""
    state = path.stat()
    return os.path.realpath(path), state.st_size, state.st_mtime_ns


def machine_facts(device: torch.device) -> dict[str, str]:
    """What it ran on."""
    name = str(device)
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    return {
        "device": name,
        "processor": f"{_processor()}, {counted(os.cpu_count() or 1, 'core')}",
        "system": platform.platform(),
        "software": f"Python {platform.python_version()}, torch {torch.__version__}",
    }


def _processor() -> str:
    """The processor's name, where the system tells it."""
    if _CPU_INFO.is_file():
        for line in _CPU_INFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _sha256(file: IO[bytes]) -> str:
    """The digest of a file of any size."""
    digest = hashlib.sha256()
    while block := file.read(2**20):
        digest.update(block)
    return digest.hexdigest()
