"""What a run leaves behind: TensorBoard, log.txt, pictures, and checkpoints.

All of it in one folder, with config.yaml; `tensorboard --logdir FOLDER` shows the curves.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from itertools import chain, count
from pathlib import Path
from shutil import copyfile

import numpy as np
from PIL import Image

from engine.board import AT_A_GLANCE, Board
from engine.checkpoint import (
    best_path,
    epoch_path,
    last_path,
    read_torch_file,
    remove_old,
    remove_unfinished,
    write_checkpoint,
)
from engine.errors import UserError
from engine.output import writing
from engine.run_lock import RunLock
from engine.visualizer import TrainingGrid, Visualizer, side_by_side

_FILM_RATE = 12.5  # frames per second
_log = logging.getLogger(__name__)


class Logger:
    """Writes a run's folder; a context manager, so that its files are closed.

    Args:
        folder: made where it is missing; what lies there is added to.
        visualizer: draws the run's pictures.
        keep_checkpoints: how many numbered checkpoints stay.
        resume_step: steps already done; TensorBoard forgets what an earlier run logged after it.

    Raises:
        UserError: another process trains in the folder, or it cannot be written to; the latter by
            the methods, too, once the disk is full.
    """

    def __init__(
        self, folder: Path, *, visualizer: Visualizer, keep_checkpoints: int, resume_step: int = 0
    ) -> None:
        self.folder = folder
        self.visualizer = visualizer
        self.keep_checkpoints = keep_checkpoints
        self.resume_step = resume_step
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._lock = RunLock(folder)
        remove_unfinished(folder)
        with writing(folder):
            self._log = (folder / "log.txt").open("a", encoding="utf-8")
        self._board = Board(folder, resume_step=resume_step)

    def __enter__(self) -> Logger:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        # On a full disk, closing fails once more, and would hide the error that says more.
        with suppress(*([] if kind is None else [OSError, UserError])):
            self.close()

    def close(self) -> None:
        with closing(self._lock), closing(self._log):
            self._board.close()

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to each named curve in TensorBoard; the name's beginning is its group."""
        self._board.scalars(step, values)

    def epoch(self, epoch: int, step: int, values: Mapping[str, float]) -> str:
        """Add a line about a finished epoch to log.txt, and return it."""
        fields = [f"{name} {readable(value):<9}" for name, value in values.items()]
        line = "  ".join([f"epoch {epoch:4d}", f"step {step:7d}", *fields]).rstrip()
        self._add_line(line)
        return line

    def warning(self, step: int, name: str, text: str) -> None:
        """Say that something is wrong: to the person, in log.txt, and in TensorBoard."""
        _log.warning("step %d: %s", step, text)
        self._add_line(f"warning  step {step:7d}  {text}")
        self._board.scalars(step, {f"warning/{name}": 1})
        self._board.text(step, "warnings", text)

    def _add_line(self, line: str) -> None:
        with writing(self.folder / "log.txt"):
            self._log.write(f"{line}\n")
            self._log.flush()

    def film(self, step: int, frames: Sequence[Mapping[str, np.ndarray]]) -> None:
        """Show frames, pictures (H, W, 3), uint8, by title, as a moving picture in TensorBoard."""
        if frames:
            drawn = [side_by_side(pictures) for pictures in frames]
            self._board.film(step, f"{AT_A_GLANCE}/test_video", drawn, fps=_FILM_RATE)

    def settings(self, values: Mapping[str, object]) -> None:
        """Show settings beside the final scores in TensorBoard's table of runs."""
        self._board.settings(values)

    def picture(self, epoch: int, step: int, grid: TrainingGrid) -> None:
        """Save a grid as train-vis/NNNNNNNN-rec.png, and show it in TensorBoard."""
        path = self.folder / "train-vis" / f"{epoch:08d}-rec.png"
        with writing(path):
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(grid.whole()).save(path)
        self._board.picture(step, f"{AT_A_GLANCE}/training_pairs", grid.pairs)
        if grid.motions is not None:
            self._board.picture(step, "keypoints/motions", grid.motions)

    def config(self, text: str) -> None:
        """Write config.yaml; another one that is there is kept as config-until-step-N.yaml."""
        path, content = self.folder / "config.yaml", text.encode()
        with writing(path):
            if path.is_file() and path.read_bytes() != content:
                kept = _free(self.folder / f"config-until-step-{self.resume_step}.yaml")
                copyfile(path, kept)
            unfinished = path.with_name(f".{path.name}.partial")
            unfinished.write_bytes(content)
            unfinished.replace(path)
        self._board.code(self.resume_step, "config", text)

    def checkpoint(self, epoch: int, state: dict[str, object]) -> Path:
        """Save the state after `epoch` epochs, and drop the oldest such checkpoint."""
        path = epoch_path(self.folder, epoch)
        write_checkpoint(path, state)
        remove_old(path, self.keep_checkpoints)
        return path

    def best_checkpoint(self, state: dict[str, object]) -> Path:
        """Save the state as the best; before it is saved otherwise, or a kill would lose it."""
        path = best_path(self.folder)
        write_checkpoint(path, state)
        return path

    def last_checkpoint(self, state: dict[str, object]) -> Path:
        """Save the state in the midst of an epoch or at a stop, apart from those of epochs."""
        path = last_path(self.folder)
        write_checkpoint(path, state)
        return path

    def remove_outdated_last(self, step: int) -> None:
        """Remove the checkpoint of an earlier stop, unless it is of a later step than `step`."""
        path = last_path(self.folder)
        with suppress(UserError):  # it is not there, or damaged
            if read_torch_file(path).get("step", math.inf) <= step:
                path.unlink()


def readable(value: float) -> str:
    """A count as it is, else four significant digits: 1.310, 0.03410, 1235, 1.235e-05, nan."""
    return str(value) if isinstance(value, int) else f"{value:#.4g}".removesuffix(".")


def _free(path: Path) -> Path:
    """The path, or else the first of path-2, path-3, ... where nothing lies."""
    others = (path.with_stem(f"{path.stem}-{number}") for number in count(2))
    return next(candidate for candidate in chain([path], others) if not candidate.exists())
