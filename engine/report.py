"""One self-contained page about one run or several: strips, plots, tables, and where from."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from engine.charts import Line, frames_chart, videos_chart
from engine.colouring import ERROR_SCALE, colour_wheel
from engine.output import write_whole
from engine.score_words import KINDS, in_words
from engine.scoring import VideoScore, total_means
from engine.strips import Strip

MOST_RUNS = 5
"""As many as the style sheet has colours for."""

_STYLE = Path(__file__).with_name("report.css")
_LARGEST_CELL = 192  # pixels; the page would grow with larger ones, and not show more
_SMALL_CELL = 128  # pixels; smaller pictures keep their hard pixels when they are enlarged


class Run(NamedTuple):
    """What one set of results scored, and where it comes from.

    Attributes:
        name: what to call it.
        scores: of its videos, at least one.
        more: other numbers in words, by their titles.
        facts: what made it and what measured it.
        config: the networks' settings, as YAML; None if they are not known.
        notes: what is not measured, or does not match.
    """

    name: str
    scores: Sequence[VideoScore]
    more: Mapping[str, str]
    facts: Mapping[str, str]
    config: str | None
    notes: Sequence[str]


def write_report(path: Path, runs: Sequence[Run], strips: Sequence[Strip]) -> None:
    """Write the page, whole or not at all; the first run is what the others are held against.

    Raises:
        UserError: the file cannot be written.
    """
    page = "\n".join(_page(runs, strips))
    content = page.encode("utf-8", "backslashreplace")  # a file's name may be no Unicode
    write_whole(path, lambda partial: partial.write_bytes(content))


def _page(runs: Sequence[Run], strips: Sequence[Strip]) -> Iterable[str]:
    names = " and ".join(run.name for run in runs)
    first = runs[0]
    frames = sum(score.num_frames for score in first.scores)
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    style = _STYLE.read_text(encoding="utf-8")
    yield f"<title>{escape(names)}</title><style>{style}</style></head>"
    yield f"<body><h1>{escape(names)}</h1>"
    yield f'<p class="soft">{len(first.scores)} videos, {frames} frames</p>{_legend(runs)}'
    yield from _tiles(runs)
    yield "<h2>What it looks like</h2>"
    yield from _keys(strips)
    for strip in strips:
        yield from _strip(strip, runs)
    lines = [Line(run.name, run.scores) for run in runs]
    scored = [kind for kind in _kinds(runs) if KINDS[kind].lower_is_better is not None]
    yield "<h2>Frame by frame</h2>"
    yield '<p class="soft">The median video, and the middle 80 % of the videos.</p>'
    yield from _plots((kind, frames_chart(kind, lines)) for kind in scored)
    yield "<h2>Video by video</h2>"
    yield from _plots((kind, videos_chart(kind, lines)) for kind in scored)
    for run in runs:
        yield from _table(run)
    yield "<h2>Where it comes from</h2>"
    for run in runs:
        yield from _origin(run)
    yield from _definitions(runs)
    yield "</body></html>"


def _kinds(runs: Sequence[Run]) -> list[str]:
    """The metrics that any run has a value of, in the order of KINDS."""
    known = [
        kind for run in runs for kind, mean in total_means(run.scores).items() if mean is not None
    ]
    return [kind for kind in KINDS if kind in known]


def _mark(index: int) -> str:
    return f'<span class="mark run-{index}"></span>'


def _legend(runs: Sequence[Run]) -> str:
    if len(runs) == 1:
        return ""
    names = (f"<span>{_mark(i)}{escape(run.name)}</span>" for i, run in enumerate(runs))
    return f'<div class="legend">{"".join(names)}</div>'


def _tiles(runs: Sequence[Run]) -> Iterable[str]:
    """A tile for each number, the best run of several in bold."""
    means = [total_means(run.scores) for run in runs]
    yield f'<h2>All in all</h2><div class="tiles {"many" if len(runs) > 1 else ""}">'
    for kind in _kinds(runs):
        values = [mean.get(kind) for mean in means]
        best = _best(kind, values) if len(runs) > 1 else None
        yield f'<div class="card" title="{escape(KINDS[kind].definition)}">'
        yield f"<h3>{escape(KINDS[kind].heading)}</h3>"
        for index, value in enumerate(values):
            mark = _mark(index) if len(runs) > 1 else ""
            bold = " best" if value is not None and value == best else ""
            yield f'<div class="value{bold}">{mark}{in_words(kind, value)}</div>'
        yield "</div>"
    for title in dict.fromkeys(title for run in runs for title in run.more):
        yield f'<div class="card"><h3>{escape(title)}</h3>'
        for index, run in enumerate(runs):
            mark = _mark(index) if len(runs) > 1 else ""
            yield f'<div class="value">{mark}{escape(run.more.get(title, "-"))}</div>'
        yield "</div>"
    yield "</div>"


def _best(kind: str, values: Sequence[float | None]) -> float | None:
    """The best of some values; None where none is better than another."""
    known = [value for value in values if value is not None]
    lower_is_better = KINDS[kind].lower_is_better
    if lower_is_better is None:
        return None
    return min(known) if lower_is_better else max(known)


def _keys(strips: Sequence[Strip]) -> Iterable[str]:
    """What the colours of the pictures mean."""
    titles = {title.split(": ")[-1] for strip in strips for title in strip.rows}
    yield '<div class="keys soft">'
    yield f'<span><span class="heat"></span>error from 0 to {ERROR_SCALE:g}</span>'
    if titles & {"flow", "true flow"}:
        wheel = _image(colour_wheel(88), "the colours of directions")
        yield f"<span>{wheel}flow: where to, and how far, from the source</span>"
    if titles & {"occlusion", "true occlusion"}:
        yield "<span>occlusion: black is what the source does not show</span>"
    yield "</div>"


def _strip(strip: Strip, runs: Sequence[Run]) -> Iterable[str]:
    columns = len(strip.numbers)
    yield f'<div class="card strip"><header><h3>{escape(strip.heading)}: {escape(strip.video)}</h3>'
    for index, run in enumerate(runs):
        means = next((s.means() for s in run.scores if s.name == strip.video), {})
        shown = (
            f"{KINDS[k].title} {in_words(k, means[k])} {KINDS[k].unit}".rstrip()
            for k in ("l1", "psnr", "ssim")
            if k in means
        )
        mark = _mark(index) if len(runs) > 1 else ""
        yield f'<span class="soft">{mark}{", ".join(shown)}</span>'
    yield "</header>"
    yield f'<div class="film" style="--columns: {columns}">'
    yield '<span class="title">frame</span>'
    yield from (f'<span class="number">{number}</span>' for number in strip.numbers)
    rows = {"source": [strip.source], **strip.rows}
    for title, pictures in rows.items():
        yield f'<span class="title">{escape(title)}</span>'
        for number, picture in zip(strip.numbers, pictures, strict=False):
            yield _image(picture, f"{title}, frame {number}")
        yield "<span></span>" * (columns - len(pictures))
    yield "</div></div>"


def _plots(charts: Iterable[tuple[str, str]]) -> Iterable[str]:
    yield '<div class="plots">'
    for kind, chart in charts:
        better = "lower" if KINDS[kind].lower_is_better else "higher"
        head = f'{escape(KINDS[kind].heading)} <span class="soft">{better} is better</span>'
        yield f'<div class="card"><h3>{head}</h3>{chart}</div>'
    yield "</div>"


def _table(run: Run) -> Iterable[str]:
    means = total_means(run.scores)
    yield f"<details><summary>Every video of {escape(run.name)}</summary>"
    yield '<div class="scroll"><table><tr><th>video</th><th>frames</th>'
    yield "".join(f"<th>{escape(KINDS[kind].heading)}</th>" for kind in means) + "</tr>"
    for score in run.scores:
        yield f"<tr><td>{escape(score.name)}</td><td>{score.num_frames}</td>"
        yield "".join(f"<td>{in_words(kind, score.means().get(kind))}</td>" for kind in means)
        yield "</tr>"
    frames = sum(score.num_frames for score in run.scores)
    yield f'<tr class="all"><td>all</td><td>{frames}</td>'
    yield "".join(f"<td>{in_words(kind, mean)}</td>" for kind, mean in means.items())
    yield "</tr></table></div></details>"


def _origin(run: Run) -> Iterable[str]:
    yield f'<div class="card"><h3>{escape(run.name)}</h3><dl>'
    for title, text in run.facts.items():
        yield f"<dt>{escape(title)}</dt><dd>{escape(text)}</dd>"
    yield "</dl>"
    yield from (f'<p class="soft">{escape(note)}</p>' for note in run.notes)
    if run.config is not None:
        yield f"<details><summary>Config</summary><pre>{escape(run.config)}</pre></details>"
    yield "</div>"


def _definitions(runs: Sequence[Run]) -> Iterable[str]:
    yield "<details><summary>What the numbers mean</summary><dl>"
    for kind in _kinds(runs):
        yield f"<dt>{escape(KINDS[kind].title)}</dt><dd>{escape(KINDS[kind].definition)}</dd>"
    yield "</dl></details>"


def _image(picture: np.ndarray, label: str) -> str:
    """A picture within the page."""
    image = Image.fromarray(picture)
    small = ' class="small"' if max(image.size) <= _SMALL_CELL else ""
    image.thumbnail((_LARGEST_CELL, _LARGEST_CELL))
    content = BytesIO()
    image.save(content, "png", optimize=True)
    data = base64.b64encode(content.getvalue()).decode()
    return f'<img{small} src="data:image/png;base64,{data}" alt="{escape(label)}">'
