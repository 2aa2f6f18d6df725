"""Titled pictures: on the page side by side, and as one picture to be saved."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from engine.drawing import spectrum
from page.fields import data_url

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

COLUMNS = 6
_SMALLEST_CELL = 192  # pixels; titles have no room beneath smaller ones
_GAP = 12
_LINE = 16
_FONT_SIZE = 12
_LINES = 2


class Figure(NamedTuple):
    """A picture, uint8 (h, w, 3), its title, and the colour of its frame, uint8 (3,), if any."""

    title: str
    picture: np.ndarray
    colour: np.ndarray | None = None


class Group(NamedTuple):
    """Figures under a heading."""

    heading: str
    figures: Sequence[Figure]


def part_colours(count: int) -> list[np.ndarray]:
    """The colours of the background and of all keypoints, `count` together."""
    return [np.full(3, 128, np.uint8), *spectrum(count - 1)]


def groups_html(groups: Sequence[Group]) -> str:
    """All figures, as a page shows them."""
    return "".join(
        f"<h3>{escape(group.heading)}</h3>"
        f'<div class="figures">{"".join(map(_figure_html, group.figures))}</div>'
        for group in groups
        if group.figures
    )


def draw_sheet(groups: Sequence[Group]) -> np.ndarray:
    """All figures on one sheet, uint8 (H, W, 3), up to six in a row; a new group, a new row.

    Small pictures are enlarged by a whole factor; none is made smaller.
    """
    rows = [
        group.figures[start : start + COLUMNS]
        for group in groups
        for start in range(0, len(group.figures), COLUMNS)
    ]
    figures = [figure for row in rows for figure in row]
    height, width = (max(_enlarged(f.picture).shape[axis] for f in figures) for axis in (0, 1))
    below = _LINES * _LINE + _GAP
    columns = max(map(len, rows))
    size = (columns * (width + _GAP) + _GAP, len(rows) * (height + below) + _GAP)
    sheet = Image.new("RGB", size, "white")
    for row_number, row in enumerate(rows):
        for column, figure in enumerate(row):
            corner = (_GAP + column * (width + _GAP), _GAP + row_number * (height + below))
            _draw_figure(sheet, figure, corner, (height, width))
    return np.asarray(sheet)


def _draw_figure(
    sheet: Image.Image, figure: Figure, corner: tuple[int, int], size: tuple[int, int]
) -> None:
    """Put a figure, its frame and its title onto a sheet, within (h, w) and the lines below it."""
    x, y = corner
    picture = _enlarged(figure.picture)
    draw = ImageDraw.Draw(sheet)
    sheet.paste(Image.fromarray(picture), corner)
    if figure.colour is not None:
        edges = (x - 4, y - 4, x + picture.shape[1] + 3, y + picture.shape[0] + 3)
        draw.rectangle(edges, outline=tuple(map(int, figure.colour)), width=3)
    font = ImageFont.load_default(_FONT_SIZE)
    for number, line in enumerate(_wrapped(figure.title, size[1], draw, font)):
        draw.text((x, y + size[0] + 4 + number * _LINE), line, fill="black", font=font)


def _wrapped(text: str, width: int, draw: ImageDraw.ImageDraw, font: Font) -> list[str]:
    """The lines of a text that is that many pixels wide."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and draw.textlength(longer, font=font) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines[:_LINES]


def _enlarged(picture: np.ndarray) -> np.ndarray:
    factor = -(-_SMALLEST_CELL // min(picture.shape[:2]))
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def _figure_html(figure: Figure) -> str:
    style = ""
    if figure.colour is not None:
        colour = "rgb({},{},{})".format(*figure.colour)
        style = f' class="part" style="border-color:{colour}"'
    title = escape(figure.title)
    return (
        f'<figure><img src="{data_url(figure.picture)}" alt="{title}"{style}>'
        f"<figcaption>{title}</figcaption></figure>"
    )
