"""Where the time of a pipeline goes."""

import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class PartTimes:
    """Seconds of wall time by part. Parts in different threads overlap: they sum to more."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count the block."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - start

    def timed(self, name: str, items: Iterable[T]) -> Generator[T, None, None]:
        """Give the items, and count what making each of them takes."""
        remaining = iter(items)
        while True:
            with self.part(name):
                found = next(remaining, _END)
            if found is _END:
                return
            yield found  # type: ignore[misc]


_END = object()
