"""What was decoded lately, as far as there is room for it."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np


class FrameCache:
    """The decoded frames of the clips used last, up to `max_bytes` in all."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._clips: OrderedDict[Path, list[np.ndarray]] = OrderedDict()

    def get(self, path: Path) -> list[np.ndarray] | None:
        if path not in self._clips:
            return None
        self._clips.move_to_end(path)
        return self._clips[path]

    def put(self, path: Path, frames: list[np.ndarray]) -> None:
        size = sum(frame.nbytes for frame in frames)
        if size > self._max_bytes:
            return
        self._clips[path] = frames
        self._bytes += size
        while self._bytes > self._max_bytes:
            _, dropped = self._clips.popitem(last=False)
            self._bytes -= sum(frame.nbytes for frame in dropped)
