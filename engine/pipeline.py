"""Work that overlaps: an iterator that runs ahead in a thread, a consumer that runs behind in one.

Both hold a bounded number of items, so that memory does not depend on how many pass through. Their
threads end with the block or the iteration that started them, however that ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from threading import Condition, Thread
from typing import Generic, TypeVar

T = TypeVar("T")


class _Queue(Generic[T]):
    """Hands items from one thread to another, in order, at most `size` of them waiting."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._items: deque[T] = deque()
        self._changed = Condition()
        self._complete = False
        self._abandoned = False

    def put(self, item: T) -> bool:
        """Append an item once there is room; False if nobody will take it."""
        with self._changed:
            self._changed.wait_for(lambda: self._abandoned or len(self._items) < self._size)
            if not self._abandoned:
                self._items.append(item)
            self._changed.notify_all()
            return not self._abandoned

    def complete(self) -> None:
        """Say that no more items will come."""
        with self._changed:
            self._complete = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """Drop what waits, and let neither side wait any longer."""
        with self._changed:
            self._abandoned = True
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._complete or self._abandoned)
                if not self._items:
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item
            # The caller lets go of it, too, while this waits for the next.
            del item


class _Failure:
    """The exception that ended a thread, if one did."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def raise_again(self) -> None:
        if self.error is not None:
            raise self.error


def ahead(items: Iterable[T], size: int) -> Generator[T, None, None]:
    """Give the items of an iterable while a thread makes the next ones, up to `size` of them.

    The thread starts with the first item asked for. What the iterable raises is raised here, after
    the items before it. A generator among the iterables is closed by its thread. When this one is
    closed, or let go of, the thread ends after the item it is at.
    """
    queue: _Queue[T] = _Queue(size)
    failure = _Failure()

    def fill() -> None:
        try:
            for item in items:
                if not queue.put(item):
                    break
        except BaseException as error:
            failure.error = error
        finally:
            if isinstance(items, Generator):
                items.close()
            queue.complete()

    thread = Thread(target=fill, name="ahead", daemon=True)
    thread.start()
    try:
        yield from queue
        failure.raise_again()
    finally:
        queue.abandon()
        thread.join()


@contextmanager
def behind(consume: Callable[[T], object], size: int) -> Iterator[Callable[[T], None]]:
    """A block in which items are handed on to a thread that consumes them in order.

    Yields a function that takes the next item and waits only while `size` are waiting. The block
    ends once all are consumed; if it ends in an exception, after the item that is being consumed,
    and the rest are dropped. What `consume` raises is raised by the function or the block's end.
    """
    queue: _Queue[T] = _Queue(size)
    failure = _Failure()

    def drain() -> None:
        try:
            for item in queue:
                consume(item)
        except BaseException as error:
            failure.error = error
        finally:
            queue.abandon()

    def hand_on(item: T) -> None:
        if not queue.put(item):
            failure.raise_again()

    thread = Thread(target=drain, name="behind", daemon=True)
    thread.start()
    try:
        yield hand_on
        queue.complete()
        thread.join()
        failure.raise_again()
    finally:
        queue.abandon()
        thread.join()
