"""Plots as inline SVG, coloured by the page's style sheet: `run-0`, `run-1`, ..."""

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import numpy as np

from engine.score_words import KINDS, in_words
from engine.scoring import VideoScore

_WIDTH, _HEIGHT = 560, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 12, 34
_MOST_DOTS = 400  # of videos; more would be one blot


class Line(NamedTuple):
    """A run's scores, and what to call it."""

    name: str
    scores: Sequence[VideoScore]


def frames_chart(kind: str, lines: Sequence[Line]) -> str:
    """A metric over frames: each run's median video, and the middle 80 % of its videos."""
    columns = [_by_frame(kind, line.scores) for line in lines]
    length = max(len(column) for column in columns)
    bounds = _bounds([v for column in columns for values in column for v in values])
    plot = _Plot(max(length - 1, 1), bounds)
    parts = [plot.axes("frame")]
    for index, column in enumerate(columns):
        known = [(x, values) for x, values in enumerate(column) if values]
        low, middle, high = (
            [(x, float(np.percentile(values, share))) for x, values in known]
            for share in (10, 50, 90)
        )
        band = plot.path([*low, *reversed(high)])
        parts.append(f'<path class="band run-{index}" d="{band} Z"/>')
        parts.append(f'<path class="line run-{index}" d="{plot.path(middle)}"/>')
    return _svg(parts, f"{kind} over frames")


def videos_chart(kind: str, lines: Sequence[Line]) -> str:
    """A metric over videos: a dot for each, in the order of the first run, its worst first."""
    means = [{score.name: score.means().get(kind) for score in line.scores} for line in lines]
    known = {name: value for name, value in means[0].items() if value is not None}
    order = sorted(known, key=lambda name: known[name], reverse=bool(KINDS[kind].lower_is_better))
    every = max(1, math.ceil(len(order) / _MOST_DOTS))
    order = order[::every]
    bounds = _bounds([run[name] for run in means for name in order if run.get(name) is not None])
    plot = _Plot(max(len(order) - 1, 1), bounds)
    parts = [plot.axes(f"videos, worst{' of the first run' if len(lines) > 1 else ''} first")]
    for index, (line, run) in enumerate(zip(lines, means, strict=True)):
        for x, name in enumerate(order):
            value = run.get(name)
            if value is not None:
                title = escape(f"{line.name} {name}: {in_words(kind, value)}")
                cx, cy = plot.at(x, value)
                dot = f'<circle class="dot run-{index}" cx="{cx:.1f}" cy="{cy:.1f}" r="4">'
                parts.append(f"{dot}<title>{title}</title></circle>")
    return _svg(parts, f"{kind} over videos")


class _Plot:
    """Where values lie in the picture, and its axes."""

    def __init__(self, last_x: int, bounds: tuple[float, float]) -> None:
        self._last_x = last_x
        self._ticks = _ticks(*bounds)
        self._low, self._high = self._ticks[0], self._ticks[-1]

    def at(self, x: float, y: float) -> tuple[float, float]:
        across = (_WIDTH - _LEFT - _RIGHT) * x / self._last_x
        up = (_HEIGHT - _TOP - _BOTTOM) * (y - self._low) / (self._high - self._low)
        return _LEFT + across, _HEIGHT - _BOTTOM - up

    def path(self, points: Sequence[tuple[float, float]]) -> str:
        places = (self.at(*point) for point in points)
        return "M" + " L".join(f"{x:.1f},{y:.1f}" for x, y in places)

    def axes(self, title: str) -> str:
        parts = []
        for tick in self._ticks:
            x, y = self.at(0, tick)
            parts.append(f'<path class="grid" d="M{x},{y:.1f} H{_WIDTH - _RIGHT}"/>')
            parts.append(f'<text class="tick left" x="{x - 8}" y="{y + 4:.1f}">{tick:.4g}</text>')
        bottom = _HEIGHT - 16
        for number in sorted({0, self._last_x // 2, self._last_x}):
            x, _ = self.at(number, self._low)
            parts.append(f'<text class="tick" x="{x:.1f}" y="{bottom}">{number}</text>')
        middle = (_LEFT + _WIDTH - _RIGHT) / 2
        parts.append(f'<text class="tick" x="{middle:.0f}" y="{_HEIGHT - 3}">{title}</text>')
        return "".join(parts)


def _by_frame(kind: str, scores: Sequence[VideoScore]) -> list[list[float]]:
    """The known values of every video's frame 0, frame 1, ..."""
    columns: list[list[float]] = [[] for _ in range(max(score.num_frames for score in scores))]
    for score in scores:
        series = score.series.get(kind)
        for number, value in enumerate(series.shown() if series else []):
            if value is not None:
                columns[number].append(value)
    return columns


def _bounds(values: Sequence[float | None]) -> tuple[float, float]:
    known = [value for value in values if value is not None]
    return (min(known), max(known)) if known else (0.0, 1.0)


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers, three to seven of them, that enclose both."""
    span = max(high - low, abs(high) / 100, 1e-6)
    power = 10.0 ** math.floor(math.log10(span / 3))
    step = next(power * factor for factor in (1, 2, 5, 10) if span / (power * factor) <= 5)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [step * number for number in range(first, max(last, first + 1) + 1)]


def _svg(parts: Sequence[str], label: str) -> str:
    box = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label)}"'
    return f"<svg {box}>{''.join(parts)}</svg>"
