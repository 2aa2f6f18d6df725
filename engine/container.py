"""Opens video and sound files for reading. Imports PyAV alone, so that it starts fast."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer

# Tags need not be UTF-8, and must not stop us. From 19 on PyAV sees to that itself.
_READING_TAGS: dict[str, Any] = (
    {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}
)


def open_container(path: Path, *, options: Mapping[str, str] | None = None) -> InputContainer:
    """Open a file for reading.

    "file:" keeps names such as `a:b.mp4` from being taken for a protocol.

    Args:
        options: of FFmpeg's demuxers.

    Raises:
        av.error.FFmpegError: it cannot be opened.
    """
    return av.open(f"file:{path}", options=dict(options or {}), **_READING_TAGS)
