"""What a dataset holds, counted side by side for training and testing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import get_args

from engine.listing import by_id
from tools.bench.loading import kind_of
from tools.dataset.examining import Finding, State

_MOST_LINES = 8  # of kinds or sizes; rarer ones are summed up
_NAMES, _COLUMN = 32, 12  # characters

_LENGTHS = ("of the shortest", "of the median", "of the longest")
_SHARES = ("with the fewest videos", "with the median", "with the most videos")

Sides = Mapping[str, Sequence[Finding]]
Line = tuple[str, Sequence[object]]


def table(root: Path, sides: Sides) -> str:
    """A column for each side, a line for each thing that there is to count."""
    opened = [[finding for finding in found if finding.num_frames] for found in sides.values()]
    lines: list[Line] = [
        (str(root), list(sides)),
        ("videos", [f"{len(found):,}" for found in sides.values()]),
        *_states(sides),
        ("kinds", []),
        *_counts([Counter(kind_of(one.video) for one in found) for found in sides.values()]),
        ("width x height", []),
        *_counts([Counter("{1} x {0}".format(*one.size) for one in found) for found in opened]),
        ("frames", [f"{sum(one.num_frames for one in found):,}" for found in opened]),
        *_spread(_LENGTHS, [[one.num_frames for one in found] for found in opened]),
        *_ids(sides),
    ]
    return "\n".join(aligned(*line) for line in lines)


def aligned(name: str, cells: Sequence[object]) -> str:
    """A line of the table; a long name takes a line of its own."""
    start = f"{name}\n{'':<{_NAMES}}" if cells and len(name) >= _NAMES else f"{name:<{_NAMES}}"
    return (start + "".join(f"{cell!s:>{_COLUMN}}" for cell in cells)).rstrip()


def _states(sides: Sides) -> Iterator[Line]:
    """Those of use, and of all that may be wrong what is."""
    columns = [Counter(finding.state for finding in found) for found in sides.values()]
    good, *bad = get_args(State)
    for state in (good, *(state for state in bad if any(column[state] for column in columns))):
        yield f"  {state}", [f"{column[state]:,}" for column in columns]


def _counts(columns: Sequence[Counter[str]]) -> Iterator[Line]:
    """The commonest first."""
    total = sum(columns, Counter[str]())
    common = [name for name, _ in total.most_common(_MOST_LINES)]
    for name in common:
        yield f"  {name}", [f"{column[name]:,}" for column in columns]
    if len(total) > len(common):
        rare = [column.total() - sum(column[name] for name in common) for column in columns]
        yield f"  {len(total) - len(common)} others", [f"{count:,}" for count in rare]


def _spread(names: Sequence[str], columns: Sequence[Sequence[int]]) -> Iterator[Line]:
    """Least, median and most of each column, under these names."""
    summaries: tuple[Callable[[Sequence[int]], float], ...] = (min, median, max)
    for name, summary in zip(names, summaries, strict=True):
        yield f"  {name}", [f"{summary(column):,.0f}" if column else "-" for column in columns]


def _ids(sides: Sides) -> Iterator[Line]:
    """Of a dataset whose names tell ids."""
    if any("#" in finding.video.name for found in sides.values() for finding in found):
        groups = [by_id([finding.video for finding in found]) for found in sides.values()]
        yield "ids (the name up to '#')", [f"{len(group):,}" for group in groups]
        yield from _spread(_SHARES, [[len(own) for own in group] for group in groups])
