"""Work ahead and behind keeps its order, holds little, passes errors on, and never hangs."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import count

import pytest

from engine.pipeline import ahead, behind

PATIENCE = 5.0  # seconds, after which something hangs


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


class Numbers:
    """Counts without end, and how far it has come."""

    def __init__(self) -> None:
        self.given = 0
        self.closed_by: threading.Thread | None = None

    def __iter__(self) -> Iterator[int]:
        try:
            for number in count():
                self.given = number + 1
                yield number
        finally:
            self.closed_by = threading.current_thread()


def settled(numbers: Numbers) -> int:
    """How many are given once nobody asks any more."""
    while True:
        before = numbers.given
        time.sleep(0.05)
        if numbers.given == before:
            return before


@pytest.mark.parametrize("size", [1, 3])
def test_ahead_gives_everything_in_order(size: int) -> None:
    assert list(ahead(range(100), size)) == list(range(100))
    assert list(ahead([], size)) == []


@pytest.mark.parametrize("size", [1, 3])
def test_ahead_runs_no_further_than_its_size(size: int) -> None:
    numbers = Numbers()
    items = ahead(iter(numbers), size)
    assert numbers.given == 0
    for taken in range(1, 5):
        assert next(items) == taken - 1
        assert settled(numbers) == taken + size + 1  # the last waits for room
    items.close()


def test_ahead_really_overlaps() -> None:
    """The maker can only go on while the taker holds the first item."""
    made_second = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        made_second.set()
        yield 2

    with closing(ahead(items(), 1)) as running:
        assert next(running) == 1
        assert made_second.wait(PATIENCE)


def test_an_error_ahead_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("damaged")

    found = []
    with pytest.raises(OSError, match="damaged"):
        for item in ahead(items(), 4):
            found.append(item)
    assert found == [1, 2]


def test_a_generator_ahead_is_closed_by_the_thread_that_ran_it() -> None:
    numbers = Numbers()
    items = ahead(iter(numbers), 2)
    assert next(items) == 0
    items.close()
    assert numbers.closed_by is not None
    assert numbers.closed_by is not threading.current_thread()


def test_letting_go_of_ahead_ends_its_thread() -> None:
    numbers = Numbers()
    for item in ahead(iter(numbers), 2):
        if item == 3:
            break
    assert settled(numbers) < 8


@pytest.mark.parametrize("size", [1, 3])
def test_behind_consumes_everything_in_order_before_the_block_ends(size: int) -> None:
    found: list[int] = []
    with behind(found.append, size) as hand_on:
        for number in range(50):
            hand_on(number)
    assert found == list(range(50))


def test_behind_lets_no_more_wait_than_its_size() -> None:
    release, handed_on = threading.Event(), []

    def feed() -> None:
        with behind(lambda number: release.wait(PATIENCE), 2) as hand_on:
            for number in range(10):
                hand_on(number)
                handed_on.append(number)

    feeder = threading.Thread(target=feed)
    feeder.start()
    time.sleep(0.2)
    assert len(handed_on) == 3  # one is being consumed
    release.set()
    feeder.join(PATIENCE)
    assert len(handed_on) == 10


def test_an_error_behind_is_raised_where_items_are_handed_on() -> None:
    consumed = []

    def consume(number: int) -> None:
        consumed.append(number)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"), behind(consume, 1) as hand_on:
        for number in count():
            hand_on(number)
    assert consumed == [0]


def test_an_error_behind_the_last_item_is_raised_by_the_end_of_the_block() -> None:
    def consume(number: int) -> None:
        raise OSError("disk full")

    reached = False
    with pytest.raises(OSError, match="disk full"), behind(consume, 4) as hand_on:
        hand_on(1)
        reached = True
    assert reached


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_error_in_the_block_drops_what_waits(error: type[BaseException]) -> None:
    release, consumed = threading.Event(), []

    def consume(number: int) -> None:
        consumed.append(number)
        release.wait(PATIENCE)

    with pytest.raises(error), behind(consume, 3) as hand_on:
        for number in range(3):
            hand_on(number)
        while not consumed:
            time.sleep(0.01)
        threading.Timer(0.1, release.set).start()
        raise error
    assert consumed == [0]


def test_a_chain_of_all_three_ends_when_its_end_fails() -> None:
    """As when the disk is full: the decoder's thread must end, too."""

    def consume(number: int) -> None:
        if number == 5:
            raise OSError("disk full")

    numbers = Numbers()
    with (
        pytest.raises(OSError, match="disk full"),
        behind(consume, 2) as hand_on,
        closing(ahead(iter(numbers), 2)) as items,
    ):
        for item in items:
            hand_on(item)
    assert numbers.given < 5 + 2 + 1 + 1 + 2 + 2
