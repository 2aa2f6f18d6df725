"""The commands that fuzzing calls, by name."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import animate
import app
import evaluate
import reconstruction
import train
from page.limits import Limits
from page.uploads import check_upload
from tools import (
    benchmark,
    check_data,
    export,
    make_gallery,
    make_puppets,
    prepare_dataset,
    score_puppets,
    shrink_checkpoint,
)


def upload() -> None:
    """What the page does with a file that a person gives it: `upload picture|video FILE`."""
    kind, name = sys.argv[1:]
    assert kind in ("picture", "video")
    check_upload(Path(name), kind, Limits())  # type: ignore[arg-type]


COMMANDS: dict[str, Callable[[], None]] = {
    "animate": animate.main,
    "app": app.main,
    "benchmark": benchmark.main,
    "check_data": check_data.main,
    "evaluate": evaluate.main,
    "export": export.main,
    "make_gallery": make_gallery.main,
    "make_puppets": make_puppets.main,
    "prepare_dataset": prepare_dataset.main,
    "reconstruction": reconstruction.main,
    "score_puppets": score_puppets.main,
    "shrink_checkpoint": shrink_checkpoint.main,
    "train": train.main,
    "upload": upload,
}
