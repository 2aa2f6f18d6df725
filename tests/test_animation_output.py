"""What an animation leaves on disk, and what it leaves alone when it fails."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from engine.animation_output import AnimationOutput
from engine.video import open_video, read_image

SIZE = (16, 24)


def grey(level: int) -> np.ndarray:
    return np.full((*SIZE, 3), level, dtype=np.uint8)


def output(folder: Path, *, picture: bool, num_frames: int = 11) -> AnimationOutput:
    return AnimationOutput(
        folder / "moved.mp4",
        fps=Fraction(30000, 1001),
        frames=folder / "frames",
        picture=picture,
        num_frames=num_frames,
    )


def write_all(out: AnimationOutput, num_frames: int = 11) -> None:
    with out:
        for i in range(num_frames):
            result = grey(10 * i + 100)
            beside = [] if out.picture is None else [grey(250), grey(10 * i)]
            out.write(result, [*beside, result])


def test_results_alone(tmp_path: Path) -> None:
    out = output(tmp_path, picture=False)
    write_all(out)
    with open_video(tmp_path / "moved.mp4") as video:
        assert (video.num_frames, video.height, video.width) == (11, *SIZE)
        assert video.fps == Fraction(30000, 1001)
    assert out.picture is None
    assert not (tmp_path / "moved.png").exists()
    np.testing.assert_array_equal(read_image(tmp_path / "frames" / "00000010.png"), grey(200))


def test_panels_stand_side_by_side(tmp_path: Path) -> None:
    write_all(output(tmp_path, picture=True))
    with open_video(tmp_path / "moved.mp4") as video:
        (frame,) = video.frames([5])
    assert frame.shape == (SIZE[0], 3 * SIZE[1], 3)
    for column, level in enumerate((250, 50, 150)):
        middle = frame[SIZE[0] // 2, column * SIZE[1] + SIZE[1] // 2]
        assert np.abs(middle.astype(int) - level).max() <= 3
    # The lossless frames are the results alone.
    np.testing.assert_array_equal(read_image(tmp_path / "frames" / "00000005.png"), grey(150))


def test_the_picture_shows_frames_from_the_first_to_the_last(tmp_path: Path) -> None:
    write_all(output(tmp_path, picture=True))
    picture = read_image(tmp_path / "moved.png")
    rows = picture.reshape(2, SIZE[0], 7, SIZE[1], 3)[:, 0, :, 0, 0]
    np.testing.assert_array_equal(rows[0], [255, 0, 20, 40, 60, 80, 100])
    np.testing.assert_array_equal(rows[1], [250, 100, 120, 140, 160, 180, 200])


def test_a_clip_of_two_frames_shows_both(tmp_path: Path) -> None:
    write_all(output(tmp_path, picture=True, num_frames=2), num_frames=2)
    assert read_image(tmp_path / "moved.png").shape == (2 * SIZE[0], 3 * SIZE[1], 3)


def test_a_failure_leaves_earlier_results_alone(tmp_path: Path) -> None:
    write_all(output(tmp_path, picture=True))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    with pytest.raises(RuntimeError, match="halfway"), output(tmp_path, picture=True) as out:
        out.write(grey(1), [grey(1), grey(2), grey(1)])
        raise RuntimeError("halfway")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before
