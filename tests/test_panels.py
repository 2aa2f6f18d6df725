"""What is shown beside a result, and where its keypoints stand."""

from pathlib import Path

import numpy as np
import torch
from commands import write_folder

from engine.animator import Step
from engine.clip import Clip, open_clip
from engine.drawing import draw_points, spectrum
from engine.framing import Box
from engine.panels import Panels, fit
from engine.scene import Scene
from modules.keypoints import Keypoints

SIZE = 32
RED = (255, 0, 0)


def clip_in(folder: Path) -> Clip:
    frame = np.zeros((SIZE, SIZE, 3), np.uint8)
    return open_clip(write_folder(folder / "clip", [frame]), frame_shape=(SIZE, SIZE, 3))


def one_point(x: float, y: float) -> Keypoints:
    return Keypoints(torch.tensor([[[x, y]]]), None)


def step(point: Keypoints) -> Step:
    return Step(torch.full((3, SIZE, SIZE), 0.5), point, torch.zeros(3, SIZE, SIZE))


def centre(picture: np.ndarray) -> tuple[float, float]:
    """(x, y) of the red disc."""
    y, x = np.nonzero((picture == RED).all(axis=-1))
    return x.mean(), y.mean()


RESULT = np.full((SIZE, SIZE, 3), 200, np.uint8)


def test_source_and_driving_frame_carry_their_keypoints_and_the_result_none(tmp_path: Path) -> None:
    picture = np.full((SIZE, SIZE, 3), 90, np.uint8)
    scene = Scene(picture, Box(0, 0, SIZE, SIZE), clip_in(tmp_path))
    panels = Panels(scene, paste_back=False, source=one_point(0, 0))
    source, driving, result = panels(step(one_point(0.5, -0.5)), RESULT)
    # Six times as large: pixel x of the frame is centred on 6 x + 2.5.
    assert np.hypot(*np.subtract(centre(source), (95.5, 95.5))) < 0.5
    assert np.hypot(*np.subtract(centre(driving), (142, 49))) < 0.5
    np.testing.assert_array_equal(result, np.full((6 * SIZE, 6 * SIZE, 3), 200))
    assert source.shape == driving.shape == result.shape
    assert (source[0, 0] == 90).all() and (driving[0, 0] == 128).all()
    assert (picture == 90).all()


def test_pasted_back_all_are_as_large_as_the_picture(tmp_path: Path) -> None:
    picture = np.full((100, 180, 3), 90, np.uint8)
    scene = Scene(picture, Box(60, 20, 64, 64), clip_in(tmp_path))
    panels = Panels(scene, paste_back=True, source=one_point(0, 0))
    source, driving, result = panels(step(one_point(0, 0)), RESULT)
    assert source.shape == driving.shape == result.shape == picture.shape
    assert np.hypot(*np.subtract(centre(source), (91.5, 51.5))) < 0.5
    assert (driving[:, :30] == 255).all() and (driving[2, 90] == 128).all()
    assert (result[52, 92] == 200).all() and (result[:, :60] == 90).all()


def test_alone_the_result_is_all(tmp_path: Path) -> None:
    scene = Scene(np.full((50, 50, 3), 90, np.uint8), Box(0, 0, 50, 50), clip_in(tmp_path))
    (shown,) = Panels(scene, paste_back=False, source=None)(step(one_point(0, 0)), RESULT)
    assert shown is RESULT
    (shown,) = Panels(scene, paste_back=True, source=None)(step(one_point(0, 0)), RESULT)
    assert shown.shape == (50, 50, 3)


def test_a_frame_is_fitted_whole_and_unstretched() -> None:
    frame = np.zeros((10, 20, 3), np.uint8)
    fitted = fit(frame, (40, 40))
    assert (fitted[10:30] == 0).all()
    assert (fitted[:10] == 255).all() and (fitted[30:] == 255).all()
    assert fit(frame, (10, 20)) is frame


def test_colours_differ_and_odd_points_are_passed_over() -> None:
    assert len(np.unique(spectrum(10), axis=0)) == 10
    assert spectrum(1).tolist() == [list(RED)]
    picture = np.full((20, 20, 3), 90, np.uint8)
    centres = np.array([[np.nan, 3], [np.inf, 3], [500.0, -400.0]])
    np.testing.assert_array_equal(draw_points(picture, centres, spectrum(3), size=5), picture)
