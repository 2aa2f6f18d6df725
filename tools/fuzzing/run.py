"""A run of a command that fuzzing tries, and what became of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tools.fuzzing.place import Place


@dataclass
class Run:
    """A command line to be tried in a place that was spoilt for it.

    Attributes:
        command: a name of `commands.COMMANDS`.
        arguments: behind that name.
        fault: what is wrong, for the report.
        writes: existing files, by their paths in the place, that a run which succeeds may replace,
            or folders in which it may.
        encoding: of the terminal.
    """

    command: str
    arguments: list[str]
    fault: str
    writes: set[str] = field(default_factory=set)
    encoding: str = "utf-8"


Family = Callable[[Random, "Place"], Run]
"""Spoils a place in a random way, and returns what is to be run there."""


class Ending(NamedTuple):
    """How a run ended.

    Attributes:
        code: of its exit; negative for a signal; None if it ran into the limit of time.
        stdout, stderr: what it printed.
        seconds: of wall clock.
        peak: bytes of memory in use at most, by it or a process that it started.
    """

    code: int | None
    stdout: str
    stderr: str
    seconds: float
    peak: int


class Failure(NamedTuple):
    """A promise that a run broke.

    Attributes:
        kind: of the promise.
        detail: what is to be seen of it.
    """

    kind: str
    detail: str
