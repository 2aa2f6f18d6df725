"""A run leaves pictures, lines, its config and its checkpoints, and never a torn file."""

import math
from pathlib import Path

import numpy as np
import pytest

from engine.checkpoint import read_torch_file
from engine.errors import UserError
from engine.image import read_image
from engine.visualizer import TrainingGrid, Visualizer
from logger import Logger, readable


def open_logger(folder: Path, *, keep_checkpoints: int = 2, resume_step: int = 0) -> Logger:
    return Logger(
        folder,
        visualizer=Visualizer(kp_size=5, draw_border=False, colormap="gist_rainbow"),
        keep_checkpoints=keep_checkpoints,
        resume_step=resume_step,
    )


def test_log_lines_are_added_to_those_of_the_run_before(tmp_path: Path) -> None:
    with open_logger(tmp_path / "a" / "run") as logger:
        first = logger.epoch(1, 54, {"loss": 1.31, "perceptual": 1.08119})
        assert (tmp_path / "a" / "run" / "log.txt").read_text() == f"{first}\n"
    with open_logger(tmp_path / "a" / "run", resume_step=54) as logger:
        second = logger.epoch(12, 648, {"loss": 0.5, "test_l1": 0.0341})
    assert (tmp_path / "a" / "run" / "log.txt").read_text() == f"{first}\n{second}\n"
    assert first.split() == ["epoch", "1", "step", "54", "loss", "1.310", "perceptual", "1.081"]
    assert second.split()[-4:] == ["loss", "0.5000", "test_l1", "0.03410"]


def test_log_lines_are_aligned(tmp_path: Path) -> None:
    with open_logger(tmp_path) as logger:
        lines = [
            logger.epoch(epoch, step, {"loss": loss, "l1": 0.03})
            for epoch, step, loss in ((1, 54, 1e-7), (999, 1234567, 12.5), (9, 8, math.nan))
        ]
    assert len({(line.index("step"), line.index("loss"), line.index("l1")) for line in lines}) == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.31, "1.310"),
        (0.0341, "0.03410"),
        (1234.56, "1235"),
        (1.23456e-5, "1.235e-05"),
        (-98765.0, "-9.876e+04"),
        (0.0, "0.000"),
        (7, "7"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
    ],
)
def test_numbers_are_readable(value: float, text: str) -> None:
    assert readable(value) == text


def test_the_picture_of_an_epoch_is_a_png_of_the_whole_grid(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 9, 7, 3), np.uint8)
    with_motions, without = TrainingGrid(*pixels), TrainingGrid(pixels[0], None)
    with open_logger(tmp_path) as logger:
        logger.picture(12, 648, with_motions)
        logger.picture(13, 702, without)
    whole = read_image(tmp_path / "train-vis" / "00000012-rec.png")
    assert np.array_equal(whole, with_motions.whole())
    assert np.array_equal(whole[:, :7], pixels[0]) and np.array_equal(whole[:, -7:], pixels[1])
    assert np.array_equal(read_image(tmp_path / "train-vis" / "00000013-rec.png"), pixels[0])


def test_the_newest_checkpoints_and_the_best_stay(tmp_path: Path) -> None:
    with open_logger(tmp_path, keep_checkpoints=2) as logger:
        paths = []
        for epoch in range(1, 6):
            if epoch in (1, 2):
                logger.best_checkpoint({"epoch": epoch})
            paths.append(logger.checkpoint(epoch, {"epoch": epoch}))
    best = tmp_path / "best.pth.tar"
    assert sorted(tmp_path.glob("*.pth.tar")) == [*paths[-2:], best]
    assert read_torch_file(paths[-1])["epoch"] == 5
    assert read_torch_file(best)["epoch"] == 2


def test_a_config_is_never_lost(tmp_path: Path) -> None:
    for text, step in (("a", 0), ("a", 50), ("b", 50), ("c", 50)):
        with open_logger(tmp_path, resume_step=step) as logger:
            logger.config(text)
    found = {path.name: path.read_text() for path in tmp_path.glob("*.yaml")}
    assert found == {
        "config.yaml": "c",
        "config-until-step-50.yaml": "a",
        "config-until-step-50-2.yaml": "b",
    }


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"file.run: cannot be written .*name another folder"):
        open_logger(tmp_path / "file" / "run")
    (tmp_path / "run" / "config.yaml").mkdir(parents=True)
    (tmp_path / "run" / "train-vis").write_text("in the way")
    with open_logger(tmp_path / "run") as logger:
        with pytest.raises(UserError, match=r"config\.yaml: cannot be written"):
            logger.config("a")
        with pytest.raises(UserError, match=r"00000001-rec\.png: cannot be written"):
            logger.picture(1, 1, TrainingGrid(np.zeros((2, 2, 3), np.uint8), None))
