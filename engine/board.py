"""What TensorBoard shows of a run, and under which names.

TensorBoard groups by what stands before the slash, in alphabetical order, and opens the first two
groups: `at_a_glance` answers whether it goes well, `keypoints` is the first sign where it does not.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard.summary import hparams, scalar, text

from engine.event_file import EventFile

AT_A_GLANCE = "at_a_glance"


class Board:
    """Adds to a run's curves, pictures and texts in TensorBoard.

    Args:
        folder: of the run; `tensorboard --logdir` takes it, or one with many of them.
        resume_step: steps already done; what an earlier run logged after them is forgotten.

    Raises:
        UserError: the folder cannot be written to; so do the methods, once the disk is full.
    """

    def __init__(self, folder: Path, *, resume_step: int) -> None:
        first_step = resume_step + 1 if resume_step else 0  # the first to be done again
        self._events = EventFile(folder, first_step=first_step)

    def close(self) -> None:
        self._events.close()

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to each named curve; `loss/perceptual` is grouped under `loss`."""
        self._events.write(step, [scalar(name, value) for name, value in values.items()])

    def text(self, step: int, name: str, words: str) -> None:
        """Show words, in Markdown."""
        self._events.write(step, [text(name, words)])

    def code(self, step: int, name: str, lines: str) -> None:
        """Show lines as they are."""
        self.text(step, name, textwrap.indent(lines, "    "))

    def picture(self, step: int, name: str, picture: np.ndarray) -> None:
        """Show a picture (H, W, 3), uint8."""
        self._image(step, name, [picture], "PNG")

    def film(self, step: int, name: str, frames: Sequence[np.ndarray], *, fps: float) -> None:
        """Show frames (H, W, 3), uint8, one or more, as a moving picture."""
        self._image(step, name, frames, "GIF", duration=round(1000 / fps), loop=0)

    def _image(
        self, step: int, name: str, frames: Sequence[np.ndarray], kind: str, **options: int
    ) -> None:
        first, *others = (Image.fromarray(frame) for frame in frames)
        encoded = BytesIO()
        first.save(encoded, kind, save_all=bool(others), append_images=others, **options)
        image = Summary.Image(
            width=first.width,
            height=first.height,
            colorspace=len(first.getbands()),
            encoded_image_string=encoded.getvalue(),
        )
        self._events.write(step, [Summary(value=[Summary.Value(tag=name, image=image)])])

    def settings(self, values: Mapping[str, object]) -> None:
        """Have a row in the table of runs: these settings, and the last point of each curve."""
        plain = {
            name: value if _is_plain(value) else json.dumps(value) for name, value in values.items()
        }
        # A list of columns, which comes with it, would be the first run's for all runs; without
        # one, TensorBoard begins with the settings in which they differ.
        _, start, _ = hparams(plain, {})
        self._events.write(0, [start])


def _is_plain(value: object) -> bool:
    return isinstance(value, int | float | str) and not isinstance(value, bool)
