"""What is said about the pixels of a clip of puppets: it can be checked by warping."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, maximum_filter, minimum_filter

from tools.puppets.figure import draw_identity
from tools.puppets.motion import draw_motion
from tools.puppets.render import Clip, render
from tools.puppets.skeleton import (
    JOINT_NAMES,
    PART_NAMES,
)
from tools.puppets.truth import JOINT_PARTS, Truth, backward_flow, load_truth, save_truth


def _draw(seed: int, frames: int, size: int) -> Clip:
    rng = np.random.default_rng(seed)
    return render(draw_identity(rng), draw_motion(rng, frames), size)


def _warp(picture: NDArray[np.floating], flow: NDArray[np.floating]) -> NDArray[np.floating]:
    """Sample (H, W, 3) at the points `flow` (H, W, 2), -1 and 1 being centres of pixels."""
    column, row = np.moveaxis((flow + 1) * (len(picture) - 1) / 2, -1, 0)
    channels = [
        map_coordinates(picture[..., channel], [row, column], order=1, mode="nearest")
        for channel in range(3)
    ]
    return np.stack(channels, axis=-1)


def _inner(index: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Pixels whose eight neighbours show the same part: away from all anti-aliased edges."""
    inner: NDArray[np.bool_] = minimum_filter(index, 3) == maximum_filter(index, 3)
    return inner


def _warping_errors(
    clip: Clip, *, source: int, driving: int, flow: NDArray[np.floating]
) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
    """Mean absolute error (H, W) of frame `driving` made from frame `source`; where it counts."""
    truth, pictures = clip.truth, clip.frames / 255.0
    right_flow, visible = backward_flow(truth, source=source, driving=driving)
    seen_inner = _warp(
        np.repeat(_inner(truth.part_index[source])[..., None], 3, 2) * 1.0, right_flow
    )
    counts = visible & _inner(truth.part_index[driving]) & (seen_inner[..., 0] == 1)
    error = np.abs(_warp(pictures[source], flow) - pictures[driving]).mean(axis=-1)
    return error, counts


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_warping_one_frame_by_the_true_flow_gives_the_other(seed: int) -> None:
    clip = _draw(seed, 20, 256)
    flow, _ = backward_flow(clip.truth, source=0, driving=19)
    error, counts = _warping_errors(clip, source=0, driving=19, flow=flow)
    figure = counts & (clip.truth.part_index[19] > 0)
    still = counts & (clip.truth.part_index[19] == 0)

    assert figure.sum() > 0.5 * (clip.truth.part_index[19] > 0).sum()
    # A texture is sampled twice, each time to within the contrast of neighbouring texels.
    assert error[figure].mean() < 0.01
    assert (error[figure] < 0.06).mean() > 0.98
    assert error[still].max() < 1e-9


@pytest.mark.parametrize("seed", [1, 2])
def test_a_wrong_flow_does_not_give_the_other_frame(seed: int) -> None:
    clip = _draw(seed, 20, 256)
    flow, _ = backward_flow(clip.truth, source=0, driving=19)
    line = np.linspace(-1, 1, 256)
    grid = np.stack(np.meshgrid(line, line), axis=-1)
    for wrong in (grid, 2 * grid - flow, flow[..., ::-1], flow + 4 / 255):
        error, counts = _warping_errors(clip, source=0, driving=19, flow=wrong)
        assert error[counts & (clip.truth.part_index[19] > 0)].mean() > 0.02


def _square_truth(shift: float) -> Truth:
    """A part of 2 x 2 pixels in a picture of 5 x 5, which moves one pixel to the right."""
    index = np.zeros((2, 5, 5), np.uint8)
    index[0, 1:3, 1:3] = 1
    index[1, 1:3, 2:4] = 1
    affines = np.zeros((2, 1, 2, 3))
    affines[:, 0, 0, 0] = affines[:, 0, 1, 1] = 0.25
    affines[1, 0, 0, 2] = shift
    nothing = np.zeros((2, 0, 2))
    return Truth(nothing, np.zeros((2, 0), bool), affines, index, np.ones(2), np.array([1]))


def test_flow_and_visibility_of_a_square_that_moves_by_one_pixel() -> None:
    flow, visible = backward_flow(_square_truth(0.5), source=0, driving=1)
    line = np.linspace(-1, 1, 5)
    expected = np.stack(np.meshgrid(line, line), axis=-1)
    expected[1:3, 2:4, 0] -= 0.5
    np.testing.assert_allclose(flow, expected)
    hidden = np.zeros((5, 5), bool)
    hidden[1:3, 1] = True  # Background that the square covers in frame 0.
    np.testing.assert_array_equal(visible, ~hidden)


def test_half_a_pixel_off_the_part_is_not_visible() -> None:
    _, visible = backward_flow(_square_truth(0.25), source=0, driving=1)
    np.testing.assert_array_equal(visible[1:3, 2:4], [[True, False], [True, False]])


def test_every_part_is_where_its_map_says() -> None:
    clip = _draw(4, 6, 128)
    body_frames = clip.truth.part_affine
    wrist, hand = JOINT_NAMES.index("left_wrist"), PART_NAMES.index("left_hand")
    np.testing.assert_allclose(clip.truth.joints[:, wrist], body_frames[:, hand, :, 2])
    assert set(np.unique(clip.truth.part_index)) <= set(range(len(PART_NAMES) + 1))
    assert sorted(clip.truth.depth_order) == list(range(1, len(PART_NAMES) + 1))


def test_a_visible_joint_lies_on_its_own_part() -> None:
    for seed in range(4):
        truth = _draw(seed, 12, 128).truth
        pixels = np.rint((truth.joints + 1) * 127 / 2).astype(int)
        for joint, name in enumerate(JOINT_NAMES):
            shown = truth.part_index[np.arange(12), pixels[:, joint, 1], pixels[:, joint, 0]]
            own = [PART_NAMES.index(part) + 1 for part in JOINT_PARTS[name]]
            np.testing.assert_array_equal(truth.visible[:, joint], np.isin(shown, own))
        assert truth.visible.mean() > 0.7


def test_the_same_scene_at_every_size() -> None:
    large, small = _draw(6, 3, 256), _draw(6, 3, 64)
    np.testing.assert_array_equal(large.truth.joints, small.truth.joints)
    line = np.linspace(-1, 1, 64)
    fine = np.linspace(-2 / 63, 2 / 63, 9)[1::2]  # Where a small pixel's area is seen.
    grid = np.stack(np.meshgrid(line, line), axis=-1)
    views = [
        _warp(large.frames[2] / 255, grid + np.array([u / 2, v / 2])) for u in fine for v in fine
    ]
    assert np.abs(np.mean(views, axis=0) - small.frames[2] / 255).mean() < 0.02


def test_truth_survives_its_file(tmp_path: Path) -> None:
    truth = _draw(0, 3, 64).truth
    with (tmp_path / "truth.npz").open("wb") as file:
        save_truth(file, truth)
    for kept, given in zip(load_truth(tmp_path / "truth.npz"), truth, strict=True):
        np.testing.assert_array_equal(kept, given)
    with np.load(tmp_path / "truth.npz") as archive:
        assert tuple(archive["joint_names"]) == JOINT_NAMES
        assert tuple(archive["part_names"]) == PART_NAMES
