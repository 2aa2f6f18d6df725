"""What a training step saw and made, and how a test video is rebuilt, as titled pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import NamedTuple

import matplotlib
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from engine.drawing import draw_points
from engine.errors import UserError
from engine.image import to_frame
from modules.dense_motion import DenseMotion
from modules.geometry import resize_map
from modules.keypoints import Keypoints
from modules.step import GeneratorStep

_SMALLEST_CELL = 128  # pixels; smaller frames are enlarged to at least this
_GAP = 2  # pixels between cells
_PAPER = 220  # neither the black nor the white of an occlusion map
_BACKGROUND_COLOUR = np.full((1, 3), 128, np.uint8)


class Column(NamedTuple):
    """One column of the grid: what stands above it, and its cells (rows, H, W, 3), uint8."""

    title: str
    cells: np.ndarray


class TrainingGrid(NamedTuple):
    """A row for each image of the batch, with titles above the columns; (H, W, 3), uint8.

    Attributes:
        pairs: source, warped driving frame and driving frame, all with keypoints; the deformed
            source; the prediction; the occlusion map, black where the source cannot show it.
        motions: for the background and each keypoint, the source moved by it alone, times its
            mask; None where the networks have no motions.
    """

    pairs: np.ndarray
    motions: np.ndarray | None

    def whole(self) -> np.ndarray:
        """All columns side by side."""
        if self.motions is None:
            return self.pairs
        gap = _paper(len(self.pairs), _GAP)
        return np.concatenate([self.pairs, gap, self.motions], axis=1)


class Visualizer:
    """Draws what a training step saw and made.

    Args:
        kp_size: radius of a keypoint, in pixels of a frame whose shorter side is 256; it grows
            and shrinks with the frame, but stays visible.
        draw_border: whether each motion's picture has a frame in its keypoint's colour.
        colormap: what the keypoints' colours are taken from, by matplotlib's name.

    Raises:
        UserError: there is no such colormap.
    """

    def __init__(self, *, kp_size: int, draw_border: bool, colormap: str) -> None:
        if colormap not in matplotlib.colormaps:
            close = get_close_matches(colormap, matplotlib.colormaps, n=1)
            remedy = f"did you mean {close[0]}?" if close else "write one such as gist_rainbow"
            raise UserError(
                f"visualizer_params.colormap: {colormap!r} is no colormap of matplotlib; {remedy}"
            )
        self.kp_size = kp_size
        self.draw_border = draw_border
        self.colormap = matplotlib.colormaps[colormap]

    @torch.no_grad()
    def training_grid(
        self, source: Tensor, driving: Tensor, step: GeneratorStep, *, max_rows: int = 8
    ) -> TrainingGrid:
        """Draw a step. What it did not compute has no column; small frames are enlarged.

        Args:
            source, driving: what the step was given, (B, C, H, W) in [0, 1], C = 1 or 3.
            max_rows: the rest of the batch is not shown.
        """
        rows = slice(max_rows)
        size = (source.shape[2], source.shape[3])
        prediction, _, motion = step.generated
        deformed = step.generated.deformed
        columns = [self._with_keypoints("source", source[rows], step.kp_source)]
        if step.warped is not None:
            warped, kp_warped = step.warped
            columns.append(self._with_keypoints("warped driving", warped[rows], kp_warped))
        columns.append(self._with_keypoints("driving", driving[rows], step.kp_driving))
        if deformed is not None:
            columns.append(Column("deformed source", _cells(deformed[rows], size)))
        columns.append(Column("prediction", _cells(prediction[rows], size)))
        if motion is None:
            return TrainingGrid(_assemble(columns), None)
        if motion.occlusion_map is not None:
            columns.append(Column("occlusion map", _cells(motion.occlusion_map[rows], size)))
        return TrainingGrid(_assemble(columns), _assemble([*self._motions(motion, rows, size)]))

    def _with_keypoints(self, title: str, images: Tensor, keypoints: Keypoints) -> Column:
        height, width = images.shape[2:]
        cells = _cells(images, (height, width))  # (B, H, W, 3)
        enlargement = cells.shape[1] // height
        points = keypoints.value[: len(images)].float().cpu().numpy()  # (B, K, 2)
        pixels = (points + 1) / 2 * (np.array([width, height]) - 1)
        centres = enlargement * pixels + (enlargement - 1) / 2
        colours = self._colours(points.shape[1])
        drawn = [
            draw_points(cell, centre, colours, size=self.kp_size)
            for cell, centre in zip(cells, centres, strict=True)
        ]
        return Column(title, np.stack(drawn))

    def _motions(self, motion: DenseMotion, rows: slice, size: tuple[int, int]) -> Iterator[Column]:
        num_kp = motion.mask.shape[1] - 1
        for k, colour in enumerate(np.vstack([_BACKGROUND_COLOUR, self._colours(num_kp)])):
            mask = resize_map(motion.mask[rows, k : k + 1].float(), size)  # (B, 1, H, W)
            moved = resize_map(motion.sparse_deformed[rows, k].float(), size)  # (B, C, H, W)
            cells = _cells(mask * moved, size)
            if self.draw_border:
                _draw_border(cells, colour)
            yield Column(f"keypoint {k}" if k else "background", cells)

    def _colours(self, num_kp: int) -> np.ndarray:
        """The colour of each keypoint, (K, 3), uint8."""
        colours = self.colormap(np.arange(num_kp) / num_kp)[:, :3]
        return (255 * colours).round().astype(np.uint8)


def side_by_side(pictures: Mapping[str, np.ndarray]) -> np.ndarray:
    """Pictures of one size (H, W, 3), uint8, each under its title; small ones are enlarged."""
    return _assemble([Column(title, _enlarged(it[None])) for title, it in pictures.items()])


def _cells(images: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Images (B, C, h, w) at the frames' size, then enlarged: uint8 cells."""
    images = resize_map(images.float(), size).expand(-1, 3, -1, -1)  # (B, 3, H, W)
    return _enlarged(np.stack([to_frame(image) for image in images]))


def _enlarged(frames: np.ndarray) -> np.ndarray:
    """Frames (B, H, W, 3), small ones by a whole factor."""
    factor = max(1, math.ceil(_SMALLEST_CELL / min(frames.shape[1:3])))
    return frames.repeat(factor, axis=1).repeat(factor, axis=2)


def _draw_border(cells: np.ndarray, colour: np.ndarray) -> None:
    width = min(cells.shape[1:3]) // 64
    cells[:, :width] = cells[:, -width:] = colour
    cells[:, :, :width] = cells[:, :, -width:] = colour


def _assemble(columns: Sequence[Column]) -> np.ndarray:
    """Columns side by side under their titles: (H, W, 3), uint8."""
    rows, height, width, _ = columns[0].cells.shape
    font_size = min(height, width) // 8
    top = 3 * font_size // 2
    paper = _paper(top + rows * (height + _GAP) - _GAP, len(columns) * (width + _GAP) - _GAP)
    grid = Image.fromarray(paper)
    draw, font = ImageDraw.Draw(grid), ImageFont.load_default(font_size)
    for index, column in enumerate(columns):
        left = index * (width + _GAP)
        middle = (left + width / 2, top / 2)
        draw.text(middle, column.title, fill="black", font=font, anchor="mm")
        for row, cell in enumerate(column.cells):
            grid.paste(Image.fromarray(cell), (left, top + row * (height + _GAP)))
    return np.array(grid)


def _paper(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), _PAPER, np.uint8)
