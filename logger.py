"""What a run leaves behind: TensorBoard, log.txt, pictures, and checkpoints.

All of it in one folder, with config.yaml; `tensorboard --logdir FOLDER` shows the curves.
"""

from __future__ import annotations

import logging
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from io import BytesIO
from itertools import chain, count
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from tensorboard.compat.proto.summary_pb2 import Summary
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from engine.checkpoint import best_path, epoch_path, last_path, remove_old, write_checkpoint
from engine.drawing import draw_points
from engine.errors import UserError
from engine.image import to_frame
from modules.dense_motion import DenseMotion
from modules.geometry import resize_map
from modules.keypoints import Keypoints
from modules.step import GeneratorStep

_log = logging.getLogger(__name__)

_SMALLEST_CELL = 128  # pixels; smaller frames are enlarged to at least this
_GAP = 2  # pixels between cells
_PAPER = "gainsboro"  # neither the black nor the white of an occlusion map
_BACKGROUND_COLOUR = np.full((1, 3), 128, np.uint8)


class Column(NamedTuple):
    """One column of the grid: what stands above it, and its cells (rows, H, W, 3), uint8."""

    title: str
    cells: np.ndarray


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
    ) -> np.ndarray:
        """A titled grid (H, W, 3), uint8, with one row for each image of the batch.

        Columns: source, warped driving frame and driving frame, all with keypoints; the deformed
        source; the prediction; the occlusion map, black where the source cannot show it; and, for
        the background and each keypoint, the source moved by it alone, times its mask. What the
        step did not compute has no column. Small frames are enlarged by a whole factor.

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
        if motion is not None:
            if motion.occlusion_map is not None:
                columns.append(Column("occlusion map", _cells(motion.occlusion_map[rows], size)))
            columns += self._motions(motion, rows, size)
        return _assemble(columns)

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


def _cells(images: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Images (B, C, h, w) at the frames' size, then enlarged by a whole factor: uint8 cells."""
    images = resize_map(images.float(), size).expand(-1, 3, -1, -1)  # (B, 3, H, W)
    frames = np.stack([to_frame(image) for image in images])  # (B, H, W, 3)
    factor = max(1, math.ceil(_SMALLEST_CELL / min(size)))
    return frames.repeat(factor, axis=1).repeat(factor, axis=2)


def _draw_border(cells: np.ndarray, colour: np.ndarray) -> None:
    width = min(cells.shape[1:3]) // 64
    cells[:, :width] = cells[:, -width:] = colour
    cells[:, :, :width] = cells[:, :, -width:] = colour


def _assemble(columns: list[Column]) -> np.ndarray:
    """Columns side by side under their titles: (H, W, 3), uint8."""
    rows, height, width, _ = columns[0].cells.shape
    font_size = min(height, width) // 11
    top = 2 * font_size
    size = (len(columns) * (width + _GAP) - _GAP, top + rows * (height + _GAP) - _GAP)
    grid = Image.new("RGB", size, _PAPER)
    draw, font = ImageDraw.Draw(grid), ImageFont.load_default(font_size)
    for index, column in enumerate(columns):
        left = index * (width + _GAP)
        middle = (left + width / 2, top / 2)
        draw.text(middle, column.title, fill="black", font=font, anchor="mm")
        for row, cell in enumerate(column.cells):
            grid.paste(Image.fromarray(cell), (left, top + row * (height + _GAP)))
    return np.array(grid)


class Logger:
    """Writes a run's folder; a context manager, so that its files are closed.

    Args:
        folder: made where it is missing; what lies there is added to.
        visualizer: draws the run's pictures.
        keep_checkpoints: how many numbered checkpoints stay.
        resume_step: steps already done; TensorBoard forgets what an earlier run logged after it.

    Raises:
        UserError: the folder cannot be written to; so do the methods, once the disk is full.
    """

    def __init__(
        self, folder: Path, *, visualizer: Visualizer, keep_checkpoints: int, resume_step: int = 0
    ) -> None:
        self.folder = folder
        self.visualizer = visualizer
        self.keep_checkpoints = keep_checkpoints
        self.resume_step = resume_step
        with _writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._log = (folder / "log.txt").open("a", encoding="utf-8")
            purge_step = resume_step + 1 if resume_step else None  # the first step to be done again
            self._tensorboard = SummaryWriter(str(folder), purge_step=purge_step)

    def __enter__(self) -> Logger:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        self._tensorboard.close()
        self._log.close()

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to each named curve in TensorBoard; `loss/total` is grouped under `loss`."""
        for name, value in values.items():
            self._tensorboard.add_scalar(name, value, step)

    def epoch(self, epoch: int, step: int, values: Mapping[str, float]) -> str:
        """Add a line about a finished epoch to log.txt, and return it."""
        fields = [f"{name} {readable(value):<9}" for name, value in values.items()]
        line = "  ".join([f"epoch {epoch:4d}", f"step {step:7d}", *fields]).rstrip()
        with _writing(self.folder / "log.txt"):
            self._log.write(f"{line}\n")
            self._log.flush()
        self._tensorboard.flush()
        return line

    def warning(self, step: int, name: str, text: str) -> None:
        """Say that something is wrong: to the person, in log.txt, and in TensorBoard."""
        _log.warning("step %d: %s", step, text)
        with _writing(self.folder / "log.txt"):
            self._log.write(f"warning  step {step:7d}  {text}\n")
            self._log.flush()
        self._tensorboard.add_scalar(f"warning/{name}", 1, step)
        self._tensorboard.add_text("warnings", text, step)

    def film(self, step: int, frames: Sequence[np.ndarray], *, fps: float = 12.5) -> None:
        """Show frames (H, W, 3), uint8, as a moving picture in TensorBoard; none: nothing."""
        if not frames:
            return
        buffer = BytesIO()
        pictures = [Image.fromarray(frame) for frame in frames]
        duration = round(1000 / fps)  # milliseconds
        pictures[0].save(
            buffer, "GIF", save_all=True, append_images=pictures[1:], duration=duration, loop=0
        )
        height, width, channels = frames[0].shape
        # add_video would want another package for the same.
        image = Summary.Image(
            height=height, width=width, colorspace=channels, encoded_image_string=buffer.getvalue()
        )
        self._add(Summary(value=[Summary.Value(tag="test/rebuilt", image=image)]), step)

    def settings(self, values: Mapping[str, object]) -> None:
        """Show settings beside the final test scores in TensorBoard's table of runs."""
        plain = {
            key: value if isinstance(value, bool | int | float | str) else str(value)
            for key, value in values.items()
        }
        scores = dict.fromkeys(("test/l1", "test/psnr", "loss/total"), None)
        for summary in hparams(plain, scores):
            self._add(summary, None)

    def _add(self, summary: Summary, step: int | None) -> None:
        writer = self._tensorboard.file_writer
        assert writer is not None
        writer.add_summary(summary, step)

    def picture(self, epoch: int, step: int, grid: np.ndarray) -> None:
        """Save a grid (H, W, 3), uint8, as train-vis/NNNNNNNN-rec.png and into TensorBoard."""
        path = self.folder / "train-vis" / f"{epoch:08d}-rec.png"
        with _writing(path):
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(grid).save(path)
        self._tensorboard.add_image("train/reconstruction", grid, step, dataformats="HWC")

    def config(self, text: str) -> None:
        """Write config.yaml; another one that is there is kept as config-until-step-N.yaml."""
        path, content = self.folder / "config.yaml", text.encode()
        with _writing(path):
            if path.is_file() and path.read_bytes() != content:
                path.rename(_free(self.folder / f"config-until-step-{self.resume_step}.yaml"))
            path.write_bytes(content)
        code = textwrap.indent(text, "    ")  # as Markdown, which TensorBoard reads, has it
        self._tensorboard.add_text("config", code, self.resume_step)

    def checkpoint(self, epoch: int, state: dict[str, object], *, best: bool = False) -> Path:
        """Save the state after `epoch` epochs, if `best` also as the best, and drop the oldest."""
        path = epoch_path(self.folder, epoch)
        write_checkpoint(path, state)
        remove_old(self.folder, self.keep_checkpoints)
        if best:
            write_checkpoint(best_path(self.folder), state)
        return path

    def checkpoint_within_epoch(self, state: dict[str, object]) -> Path:
        """Save the state in the midst of an epoch, apart from those of whole epochs."""
        path = last_path(self.folder)
        write_checkpoint(path, state)
        return path


def readable(value: float) -> str:
    """A count as it is, else four significant digits: 1.310, 0.03410, 1235, 1.235e-05, nan."""
    return str(value) if isinstance(value, int) else f"{value:#.4g}".removesuffix(".")


def _free(path: Path) -> Path:
    """The path, or else the first of path-2, path-3, ... where nothing lies."""
    others = (path.with_stem(f"{path.stem}-{number}") for number in count(2))
    return next(candidate for candidate in chain([path], others) if not candidate.exists())


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"{path}: cannot be written ({reason}); free some space or name another folder"
        ) from error
