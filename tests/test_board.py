"""TensorBoard shows what is added, at once, and a resumed run goes on where its checkpoint is."""

import math
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from engine.board import Board
from engine.errors import UserError

RNG = np.random.default_rng(0)


@contextmanager
def open_board(folder: Path, *, resume_step: int = 0) -> Iterator[Board]:
    board = Board(folder, resume_step=resume_step)
    yield board
    board.close()


def events(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder)).Reload()


def curve(folder: Path, name: str) -> dict[int, float]:
    return {event.step: event.value for event in events(folder).Scalars(name)}


def test_curves_have_their_points(tmp_path: Path) -> None:
    with open_board(tmp_path) as board:
        board.scalars(10, {"loss/a": 2.0, "optimizer/lr": 2e-4})
        board.scalars(20, {"loss/a": math.inf})
    assert curve(tmp_path, "loss/a") == {10: 2.0, 20: math.inf}
    assert curve(tmp_path, "optimizer/lr") == {10: pytest.approx(2e-4)}


def test_what_is_added_can_be_seen_at_once(tmp_path: Path) -> None:
    with open_board(tmp_path) as board:
        board.scalars(10, {"loss/a": 2.0})
        assert curve(tmp_path, "loss/a") == {10: 2.0}
        board.picture(20, "pictures/a", np.zeros((2, 2, 3), np.uint8))
        assert [image.step for image in events(tmp_path).Images("pictures/a")] == [20]


def test_pictures_are_shown_to_the_bit(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 256, (4, 6, 3), np.uint8)
    with open_board(tmp_path) as board:
        board.picture(20, "pictures/a", pixels)
    (image,) = events(tmp_path).Images("pictures/a")
    assert (image.step, image.height, image.width) == (20, 4, 6)
    with Image.open(BytesIO(image.encoded_image_string)) as shown:
        assert np.array_equal(np.array(shown), pixels)


@pytest.mark.parametrize("count", [1, 3])
def test_a_film_moves_at_its_rate_over_and_over(tmp_path: Path, count: int) -> None:
    levels = [50 * index for index in range(count)]
    with open_board(tmp_path) as board:
        frames = [np.full((4, 6, 3), level, np.uint8) for level in levels]
        board.film(20, "films/a", frames, fps=12.5)
    (image,) = events(tmp_path).Images("films/a")
    with Image.open(BytesIO(image.encoded_image_string)) as film:
        assert (film.format, film.size, film.info["loop"]) == ("GIF", (6, 4), 0)
        shown = []
        for frame in ImageSequence.Iterator(film):
            assert frame.info["duration"] == 80
            shown.append(np.asarray(frame.convert("RGB"))[0, 0, 0])
    assert shown == levels


def test_code_keeps_its_lines(tmp_path: Path) -> None:
    with open_board(tmp_path) as board:
        board.code(0, "config", "a:\n  b: 0\n")
    (text,) = events(tmp_path).Tensors("config/text_summary")
    assert text.tensor_proto.string_val[0] == b"    a:\n      b: 0\n"  # Markdown's code block


def test_settings_make_a_row_of_numbers_and_words(tmp_path: Path) -> None:
    with open_board(tmp_path) as board:
        board.settings({"lr": 2e-4, "batch": 4, "sn": True, "scales": [1, 0.5], "clip": None})
    content = events(tmp_path).PluginTagToContent("hparams")
    (row,) = content.values()  # alone: no run says which columns others have
    start = HParamsPluginData.FromString(row).session_start_info
    shown = {name: getattr(it, it.WhichOneof("kind")) for name, it in start.hparams.items()}
    words = {"sn": "true", "scales": "[1, 0.5]", "clip": "null"}
    assert shown == {"lr": 2e-4, "batch": 4, **words}


def test_a_resumed_run_replaces_what_was_logged_after_its_checkpoint(tmp_path: Path) -> None:
    picture = np.zeros((2, 2, 3), np.uint8)
    with open_board(tmp_path) as board:
        for step in (10, 20, 30):
            board.scalars(step, {"loss/a": 1.0})
            board.picture(step, "pictures/a", picture)
    with open_board(tmp_path, resume_step=20) as board:
        board.scalars(40, {"loss/a": 2.0})
        board.picture(40, "pictures/a", picture)
    assert curve(tmp_path, "loss/a") == {10: 1.0, 20: 1.0, 40: 2.0}
    assert [image.step for image in events(tmp_path).Images("pictures/a")] == [10, 20, 40]


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    picture = RNG.integers(0, 256, (99, 99, 3), np.uint8)
    board, limits = Board(tmp_path, resume_step=0), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9999, limits[1]))
    try:
        with pytest.raises(UserError, match=r"tfevents.*: cannot be written .*; free some space"):
            board.picture(1, "pictures/a", picture)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    board.close()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none.*: cannot be written .*name another folder"):
        Board(tmp_path / "none", resume_step=0)
