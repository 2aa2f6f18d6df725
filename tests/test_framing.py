"""Pictures are cut to the aspect of the networks, never stretched, and pasted back softly."""

from pathlib import Path

import numpy as np
import pytest
from commands import write_folder

from engine.clip import open_cut_clip
from engine.errors import UserError
from engine.framing import Box, PasteBack, choose_box, read_box

SQUARE = (64, 64)


def chosen(size: tuple[int, int], frame: tuple[int, int] = SQUARE, box: Box | None = None) -> Box:
    return choose_box(size, frame, chosen=box, name="picture.png")


@pytest.mark.parametrize(
    ("size", "frame", "expected"),
    [
        ((100, 100), SQUARE, (0, 0, 100, 100)),
        ((100, 160), SQUARE, (30, 0, 100, 100)),
        ((161, 100), SQUARE, (0, 30, 100, 100)),
        ((1, 1), SQUARE, (0, 0, 1, 1)),
        ((1, 900), SQUARE, (449, 0, 1, 1)),
        ((100, 100), (32, 64), (0, 25, 100, 50)),
        ((100, 400), (32, 64), (100, 0, 200, 100)),
        ((3, 1), (10, 640), (0, 1, 1, 1)),
    ],
)
def test_the_largest_part_in_the_middle(
    size: tuple[int, int], frame: tuple[int, int], expected: tuple[int, ...]
) -> None:
    assert chosen(size, frame) == expected


def test_a_chosen_part_is_cut_to_the_aspect_too() -> None:
    assert chosen((100, 200), box=Box(20, 10, 40, 40)) == (20, 10, 40, 40)
    assert chosen((100, 200), box=Box(20, 10, 60, 40)) == (30, 10, 40, 40)
    assert chosen((100, 200), box=Box(0, 0, 200, 100)) == (50, 0, 100, 100)


@pytest.mark.parametrize("box", ["0,0,201,10", "-1,0,9,9", "0,95,9,9", "0,0,0,9", "5,5,9,-9"])
def test_a_part_beyond_the_picture_is_refused(box: str) -> None:
    with pytest.raises(UserError) as caught:
        chosen((100, 200), box=read_box(box))
    assert str(caught.value).startswith(f"picture.png: {box} does not lie within its 200x100 pix")


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,4,5", "1,2,3,x", "1.5,2,3,4"])
def test_what_is_no_part_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="write x,y,w,h"):
        read_box(text)


def test_a_clip_shows_the_part_and_nothing_else(tmp_path: Path) -> None:
    frame = np.zeros((20, 50, 3), np.uint8)
    frame[:, 15:35] = 200  # the middle
    frame[5:15, 2:12] = 90
    path = write_folder(tmp_path / "frames", [frame, frame])
    for box, level in ((None, 200), (Box(2, 5, 10, 10), 90)):
        with open_cut_clip(path, frame_shape=(8, 8, 3), chosen=box) as clip:
            for shown in (*clip, clip.frame(1)):
                assert shown.shape == (3, 8, 8)
                assert (shown * 255).round().unique().tolist() == [level]
    with pytest.raises(UserError, match="50x20 pixels"):
        open_cut_clip(path, frame_shape=(8, 8, 3), chosen=Box(40, 0, 20, 20))


# ----- pasting back


def picture_of(size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)


def test_a_part_pasted_back_unchanged_leaves_the_picture_as_it_was() -> None:
    picture, box = picture_of((60, 90)), Box(20, 10, 40, 40)
    pasted = PasteBack(picture, box)(box.cut(picture).copy())
    np.testing.assert_array_equal(pasted, picture)


def test_pasting_changes_the_part_alone_and_its_middle_wholly() -> None:
    picture = picture_of((60, 90))
    before = picture.copy()
    pasted = PasteBack(picture, Box(20, 10, 40, 40))(np.full((8, 8, 3), 77, np.uint8))
    assert (pasted[18:42, 28:52] == 77).all()
    outside = np.ones((60, 90), bool)
    outside[10:50, 20:60] = False
    np.testing.assert_array_equal(pasted[outside], before[outside])
    np.testing.assert_array_equal(picture, before)


def test_the_seam_is_feathered() -> None:
    """From black to white in steps that nobody sees as an edge, the first of them small."""
    pasted = PasteBack(np.zeros((120, 140, 3), np.uint8), Box(20, 10, 100, 100))(
        np.full((64, 64, 3), 255, np.uint8)
    )
    row = pasted[60, 15:45, 0].astype(int)
    steps = np.diff(row)
    assert (steps >= 0).all()
    assert 0 < steps.max() < 40
    assert row[5] < 10
    assert row[-1] == 255
    corner = np.diagonal(pasted[10:60, 20:70, 0]).astype(int)
    assert 0 < np.diff(corner).max() < 40


def test_no_seam_where_the_part_ends_with_the_picture() -> None:
    """Else the still picture would show through along its border."""
    black, white = np.zeros((100, 140, 3), np.uint8), np.full((64, 64, 3), 255, np.uint8)
    pasted = PasteBack(black, Box(0, 0, 100, 100))(white)
    assert (pasted[:, :80] == 255).all()
    assert (pasted[:, 99] < 10).all()
    assert (PasteBack(black, Box(0, 0, 140, 100))(white) == 255).all()


def test_a_part_of_one_pixel() -> None:
    pasted = PasteBack(np.zeros((3, 3, 3), np.uint8), Box(1, 1, 1, 1))(
        np.full((8, 8, 3), 200, np.uint8)
    )
    assert pasted[1, 1, 0] == 100
    assert pasted.sum() == 300
