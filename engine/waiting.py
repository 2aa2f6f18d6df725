"""Waiting for what may never come, such as a file on a disk that hangs, while signals are heard."""

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.5
LONG_WAIT_SECONDS = 60.0  # after which a person is told
_LEAVE_SECONDS = 1.0  # for a thread that is no longer wanted


@dataclass
class _Answer(Generic[T]):
    """One item, or none after the last, or what reading raised."""

    items: list[T]
    error: BaseException | None = None


def read_in_thread(read: Callable[[], Iterable[T]]) -> Generator[T | None, None, None]:
    """Yield the items of what `read` returns; another thread calls it, and walks over them.

    Each half second without the next item yields None. The thread takes an item when it is asked
    for, not before. Closing the generator ends the thread, or leaves it behind if it hangs.

    Raises:
        Exception: what reading raised.
    """
    wanted: SimpleQueue[bool] = SimpleQueue()
    answers: SimpleQueue[_Answer[T]] = SimpleQueue()
    # A daemon, for which the program does not wait when it leaves.
    thread = Thread(target=_serve, args=(read, wanted, answers), daemon=True)
    thread.start()
    try:
        while True:
            wanted.put(True)
            while (answer := _get(answers)) is None:
                yield None
            if answer.error is not None:
                raise answer.error
            if not answer.items:
                return
            yield answer.items.pop()
    finally:
        wanted.put(False)
        thread.join(_LEAVE_SECONDS)


def with_notice(items: Iterable[T | None], notice: Callable[[], None]) -> Iterator[T | None]:
    """Pass on what `read_in_thread` yields; call `notice` once where a wait becomes a long one."""
    asked_at, noticed = time.monotonic(), False
    for item in items:
        if item is None and not noticed and time.monotonic() - asked_at >= LONG_WAIT_SECONDS:
            noticed = True
            notice()
        yield item
        if item is not None:
            asked_at, noticed = time.monotonic(), False


def _get(answers: "SimpleQueue[_Answer[T]]") -> _Answer[T] | None:
    try:
        return answers.get(timeout=POLL_SECONDS)
    except Empty:
        return None


def _serve(
    read: Callable[[], Iterable[T]],
    wanted: "SimpleQueue[bool]",
    answers: "SimpleQueue[_Answer[T]]",
) -> None:
    items = None
    while wanted.get():
        try:
            items = iter(read()) if items is None else items
            answer = _Answer([next(items)])
        except StopIteration:
            answer = _Answer([])
        except BaseException as error:
            answer = _Answer([], error)
        answers.put(answer)
