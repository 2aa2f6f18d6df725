"""Which part of a picture the networks see, and how what they make of it goes back into the whole.

Networks take frames of one size. A picture of another aspect is cut, never stretched.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.errors import UserError
from engine.image import resize_frame

_FEATHER = 0.12  # of the cut part's shorter side


class Box(NamedTuple):
    """A part of a picture in pixels: its upper left corner and its size."""

    x: int
    y: int
    width: int
    height: int

    def __str__(self) -> str:
        return ",".join(map(str, self))

    def cut(self, picture: np.ndarray) -> np.ndarray:
        """This part of a picture (H, W, 3), without a copy."""
        return picture[self.y : self.y + self.height, self.x : self.x + self.width]


def read_box(text: str) -> Box:
    """Read `x,y,w,h`.

    Raises:
        UserError: it says something else.
    """
    try:
        return Box(*map(int, text.split(",")))
    except (TypeError, ValueError):
        raise UserError(
            f"{text!r}: no part of a picture; write x,y,w,h in pixels, such as 100,40,256,256"
        ) from None


def choose_box(
    size: tuple[int, int], frame_size: tuple[int, int], *, chosen: Box | None, name: object
) -> Box:
    """The part of a picture that the networks see.

    That is the largest part in the middle of `chosen`, or of the whole picture, that has the aspect
    of the networks' frames, to the pixel.

    Args:
        size: (H, W) of the picture.
        frame_size: (h, w) of the networks' frames.
        chosen: what a person asked for.
        name: of the picture, for the message.

    Raises:
        UserError: `chosen` is empty or reaches beyond the picture.
    """
    height, width = size
    x, y, w, h = chosen or Box(0, 0, width, height)
    if min(w, h) < 1 or min(x, y) < 0 or x + w > width or y + h > height:
        raise UserError(
            f"{name}: {x},{y},{w},{h} does not lie within its {width}x{height} pixels; "
            "choose x,y,w,h with x + w and y + h at most these"
        )
    aspect_height, aspect_width = frame_size
    inner_width = min(w, max(1, round(h * aspect_width / aspect_height)))
    inner_height = min(h, max(1, round(w * aspect_height / aspect_width)))
    return Box(x + (w - inner_width) // 2, y + (h - inner_height) // 2, inner_width, inner_height)


class PasteBack:
    """Puts what the networks made of a part of a picture back into the whole.

    The seam is feathered, except where the part ends with the picture.

    Args:
        picture: the whole, uint8 (H, W, 3).
        box: the part that the networks saw.
    """

    def __init__(self, picture: np.ndarray, box: Box) -> None:
        self._picture = picture
        self._box = box
        height, width = picture.shape[:2]
        margin = max(1.0, _FEATHER * min(box.height, box.width))
        rows = _ramp(box.height, margin, first=box.y > 0, last=box.y + box.height < height)
        columns = _ramp(box.width, margin, first=box.x > 0, last=box.x + box.width < width)
        self._weight = np.minimum(rows[:, None], columns[None, :])[..., None]  # (h, w, 1)
        self._still = (1 - self._weight) * box.cut(picture)  # (h, w, 3)

    def __call__(self, result: np.ndarray) -> np.ndarray:
        """A result of the networks, uint8 (h, w, 3) of any size -> the whole, uint8 (H, W, 3)."""
        part = resize_frame(result, (self._box.height, self._box.width))
        whole = self._picture.copy()
        self._box.cut(whole)[:] = np.rint(part * self._weight + self._still)
        return whole


def _ramp(length: int, margin: float, *, first: bool, last: bool) -> np.ndarray:
    """Weights that rise smoothly from 0 to 1 within the margin of each end that is a seam."""
    position = np.arange(length, dtype=np.float32) + 0.5
    distance = np.full(length, margin, np.float32)
    if first:
        distance = np.minimum(distance, position)
    if last:
        distance = np.minimum(distance, length - position)
    share = distance / margin
    return share * share * (3 - 2 * share)
