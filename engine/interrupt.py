"""Leaving a long loop at a clean place when a person or a scheduler asks for it."""

import signal
import time
from types import FrameType

# Whoever started this process may pass on what has reached it already, as torchrun does.
PASSED_ON_WITHIN = 2.0  # seconds


class StopRequest:
    """Within its block, Ctrl-C and SIGTERM set `received`; a later Ctrl-C ends at once."""

    def __init__(self) -> None:
        self.received = False
        self._first_at = 0.0

    def __enter__(self) -> "StopRequest":
        self._previous = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
        for number in self._previous:
            signal.signal(number, self._receive)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not self.received:
            self.received, self._first_at = True, now
        elif number == signal.SIGINT and now - self._first_at >= PASSED_ON_WITHIN:
            raise KeyboardInterrupt


def ignore_interrupts(worker: int) -> None:
    """For data-loader workers, which such signals reach too: they end when their parent does."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
