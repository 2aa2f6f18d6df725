"""Pictures show what a training step saw and made, and how a test video is rebuilt."""

import math

import matplotlib
import numpy as np
import pytest
import torch
from torch import Tensor

from engine.errors import UserError
from engine.image import to_frame
from engine.visualizer import TrainingGrid, Visualizer, side_by_side
from modules.dense_motion import DenseMotion
from modules.generator import Generated
from modules.keypoints import Keypoints
from modules.step import GeneratorStep, WarpedFrame

GAP = 2
SHOWN = 128  # what the small frames of these tests are enlarged to
FAR_AWAY = Keypoints(torch.full((2, 3, 2), 9.0), None)
GENERATED_MOTION = DenseMotion(
    deformation=torch.zeros(2, 8, 8, 2),
    mask=torch.rand(2, 4, 8, 8, generator=torch.Generator().manual_seed(0)),
    occlusion_map=torch.full((2, 1, 8, 8), 0.25),
    sparse_deformed=torch.ones(2, 4, 3, 8, 8),
)


def picture(level: float, *, batch: int = 2, size: tuple[int, int] = (16, 16)) -> Tensor:
    return torch.full((batch, 3, *size), level)


SOURCE, DRIVING, WARPED = picture(0.125), picture(0.375), picture(0.625)
STEP = GeneratorStep(
    losses={},
    generated=Generated(picture(0.875), picture(0.75), GENERATED_MOTION),
    kp_source=FAR_AWAY,
    kp_driving=FAR_AWAY,
    warped=WarpedFrame(WARPED, FAR_AWAY),
)


def visualizer(
    *, kp_size: int = 5, draw_border: bool = False, colormap: str = "gist_rainbow"
) -> Visualizer:
    return Visualizer(kp_size=kp_size, draw_border=draw_border, colormap=colormap)


def cells(grid: TrainingGrid, *, rows: int, size: tuple[int, int] = (SHOWN, SHOWN)) -> np.ndarray:
    """The whole grid without titles and gaps: (rows, columns, H, W, 3)."""
    return cells_of(grid.whole(), rows=rows, size=size)


def cells_of(grid: np.ndarray, *, rows: int, size: tuple[int, int]) -> np.ndarray:
    height, width = size
    columns = (grid.shape[1] + GAP) // (width + GAP)
    assert grid.shape[1] == columns * (width + GAP) - GAP
    top = grid.shape[0] - rows * (height + GAP) + GAP
    assert 0 < top < height
    return np.stack(
        [
            [
                grid[top + row * (height + GAP) :, column * (width + GAP) :][:height, :width]
                for column in range(columns)
            ]
            for row in range(rows)
        ]
    )


def levels(grid: TrainingGrid, columns: int) -> list[int]:
    """The grey levels of the first columns, each of one level."""
    shown = cells(grid, rows=2)[:, :columns]
    assert (shown == shown[:1, :, :1, :1, :1]).all()
    return [int(level) for level in shown[0, :, 0, 0, 0]]


def one_keypoint(
    point: tuple[float, float], *, size: tuple[int, int], level: float = 0.0, kp_size: int = 5
) -> np.ndarray:
    """The source column's cell with one keypoint in it."""
    image = picture(level, batch=1, size=size)
    keypoints = Keypoints(torch.tensor([[point]]), None)
    step = GeneratorStep({}, Generated(image, image, None), keypoints, keypoints, None)
    grid = visualizer(kp_size=kp_size).training_grid(image, image, step)
    factor = max(1, SHOWN // min(size))
    return cells(grid, rows=1, size=(size[0] * factor, size[1] * factor))[0, 0]


def test_columns_stand_in_order_and_rows_are_the_batch() -> None:
    grid = visualizer().training_grid(SOURCE, DRIVING, STEP)
    assert grid.whole().dtype == np.uint8
    assert cells(grid, rows=2).shape == (2, 6 + 4, SHOWN, SHOWN, 3)
    source, warped, driving, deformed, prediction, occlusion = 32, 159, 96, 191, 223, 64
    assert levels(grid, 6) == [source, warped, driving, deformed, prediction, occlusion]


def test_pairs_and_motions_are_pictures_of_their_own() -> None:
    grid = visualizer().training_grid(SOURCE, DRIVING, STEP)
    assert grid.motions is not None
    parts = [cells_of(part, rows=2, size=(SHOWN, SHOWN)) for part in (grid.pairs, grid.motions)]
    assert [part.shape[1] for part in parts] == [6, 4]
    assert np.array_equal(np.concatenate(parts, axis=1), cells(grid, rows=2))


def test_frames_stand_side_by_side_under_their_titles_enlarged() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 20, 30, 3), np.uint8)
    grid = side_by_side(dict(zip("abc", frames, strict=True)))
    height, width = 20 * 7, 30 * 7
    shown = cells_of(grid, rows=1, size=(height, width))[0]
    assert np.array_equal(shown[:, ::7, ::7], frames)
    top = len(grid) - height
    titles = [grid[:top, left : left + width] for left in range(0, 3 * width, width + GAP)]
    assert all((title < 128).any() for title in titles)
    assert len({title.tobytes() for title in titles}) == 3


def test_a_row_holds_one_image_and_the_last_ones_can_be_left_out() -> None:
    source = torch.stack([picture(0.0, batch=1)[0], picture(1.0, batch=1)[0]])
    shown = cells(visualizer().training_grid(source, DRIVING, STEP), rows=2)
    assert (shown[0, 0] == 0).all()
    assert (shown[1, 0] == 255).all()
    first = visualizer().training_grid(source, DRIVING, STEP, max_rows=1)
    assert np.array_equal(cells(first, rows=1), shown[:1])


def test_what_the_step_lacks_has_no_column() -> None:
    generated = STEP.generated
    no_warp = STEP._replace(warped=None)
    grid = visualizer().training_grid(SOURCE, DRIVING, no_warp)
    assert cells(grid, rows=2).shape[1] == 5 + 4
    assert levels(grid, 5) == [32, 96, 191, 223, 64]

    motion = GENERATED_MOTION._replace(occlusion_map=None)
    no_occlusion = STEP._replace(generated=generated._replace(motion=motion))
    grid = visualizer().training_grid(SOURCE, DRIVING, no_occlusion)
    assert cells(grid, rows=2).shape[1] == 5 + 4
    assert levels(grid, 5) == [32, 159, 96, 191, 223]

    no_motion = STEP._replace(generated=generated._replace(motion=None))
    grid = visualizer().training_grid(SOURCE, DRIVING, no_motion)
    assert grid.motions is None
    assert cells(grid, rows=2).shape[1] == 4
    assert levels(grid, 4) == [32, 159, 96, 223]


def test_small_frames_are_enlarged_without_blur_and_large_ones_stay() -> None:
    for size, factor in ((16, 8), (100, 2), (128, 1), (144, 1)):
        prediction = torch.rand(1, 3, size, size)
        step = GeneratorStep({}, Generated(prediction, prediction, None), FAR_AWAY, FAR_AWAY, None)
        grid = visualizer().training_grid(prediction, prediction, step)
        shown = cells(grid, rows=1, size=(size * factor, size * factor))[0, -1]
        assert np.array_equal(shown, np.kron(to_frame(prediction[0]), np.ones((factor, factor, 1))))


@pytest.mark.parametrize("size", [(16, 16), (128, 128), (128, 256), (256, 128)])
def test_a_keypoint_lands_on_its_pixel_in_its_size(size: tuple[int, int]) -> None:
    height, width = size
    cell = one_keypoint((0.5, -0.25), size=size)
    red = cell[..., 0] / 255  # gist_rainbow starts red; on black, this is the disc's coverage
    factor = SHOWN // min(size)
    y, x = np.indices(red.shape)
    # The pixel centres -1 and 1 are 0 and width - 1; an enlarged pixel covers `factor` of them.
    assert (red * x).sum() / red.sum() == pytest.approx(
        0.75 * (width - 1) * factor + (factor - 1) / 2, abs=0.05
    )
    assert (red * y).sum() / red.sum() == pytest.approx(
        0.375 * (height - 1) * factor + (factor - 1) / 2, abs=0.05
    )
    radius = 5 * SHOWN / 256
    assert red.sum() == pytest.approx(math.pi * radius**2, rel=0.05)


def test_each_keypoint_has_its_colour_and_a_dark_rim() -> None:
    points = torch.tensor([[[-0.5, 0.0], [0.0, 0.0], [0.5, 0.0]]])
    image = picture(1.0, batch=1, size=(129, 129))
    keypoints = Keypoints(points, None)
    step = GeneratorStep({}, Generated(image, image, None), keypoints, keypoints, None)
    grid = visualizer(kp_size=16, colormap="hsv").training_grid(image, image, step)
    shown = cells(grid, rows=1, size=(129, 129))[0]
    for k, column in enumerate((32, 64, 96)):
        colour = np.array(matplotlib.colormaps["hsv"](k / 3)[:3]) * 255
        assert shown[0, 64, column] == pytest.approx(colour, abs=1)
    brightness = shown[0, 64].sum(axis=-1)  # 255 on the discs, 765 beside them
    assert brightness[64 - 10 : 64 - 6].min() < 200
    assert (shown[-1] == 255).all()  # the prediction has no keypoints


@pytest.mark.parametrize("value", [-40.0, 1e30, math.inf, -math.inf, math.nan])
def test_points_outside_are_not_drawn(value: float) -> None:
    cell = one_keypoint((value, 0.0), size=(16, 16), level=1.0)
    assert (cell == 255).all()


def test_a_tiny_keypoint_is_still_seen() -> None:
    assert one_keypoint((0.0, 0.0), size=(16, 16), kp_size=1)[..., 0].max() == 255


def test_motions_are_the_moved_source_times_its_mask_at_the_size_of_the_frame() -> None:
    frame = picture(0.0, batch=1, size=(128, 128))
    mask = torch.zeros(1, 2, 2, 2)
    mask[0, 1] = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    moved = torch.zeros(1, 2, 3, 2, 2)
    moved[0, :, 1] = 1.0
    moved[0, :, 2] = 0.5
    motion = DenseMotion(torch.zeros(1, 2, 2, 2), mask, None, moved)
    step = GeneratorStep({}, Generated(frame, frame, motion), FAR_AWAY, FAR_AWAY, None)
    background, keypoint = cells(visualizer().training_grid(frame, frame, step), rows=1)[0, -2:]
    assert (background == 0).all()
    ramp = np.arange(128) / 127  # from one centre of the two mask pixels to the other
    expected = 255 * np.stack([0 * ramp, ramp, 0.5 * ramp], axis=-1)
    assert np.abs(keypoint - expected[None]).max() <= 0.51


def test_borders_have_the_colour_of_the_keypoint() -> None:
    motion = GENERATED_MOTION._replace(mask=torch.zeros(2, 4, 8, 8))
    step = STEP._replace(generated=STEP.generated._replace(motion=motion))
    grid = visualizer(draw_border=True).training_grid(SOURCE, DRIVING, step)
    for k, cell in enumerate(cells(grid, rows=2)[1, -4:]):
        cmap = matplotlib.colormaps["gist_rainbow"]
        colour = np.array(cmap((k - 1) / 3)[:3]) * 255 if k else [128, 128, 128]
        for edge in (cell[0], cell[-1], cell[:, 0], cell[:, -1]):
            assert np.abs(edge - np.asarray(colour)).max() <= 1
        assert (cell[2:-2, 2:-2] == 0).all()
    plain = visualizer(draw_border=False).training_grid(SOURCE, DRIVING, step)
    assert (cells(plain, rows=2)[:, -4:] == 0).all()


def test_gradients_half_precision_and_grey_images_are_taken() -> None:
    grid = visualizer().training_grid(SOURCE, DRIVING, STEP)
    half = STEP.generated._replace(prediction=STEP.generated.prediction.half().requires_grad_())
    keypoints = Keypoints(FAR_AWAY.value.bfloat16().requires_grad_(), None)
    step = STEP._replace(generated=half, kp_source=keypoints)
    grey = SOURCE[:, :1].half().requires_grad_()
    grey_grid = visualizer().training_grid(grey, DRIVING, step)
    assert np.array_equal(grey_grid.whole(), grid.whole())


@pytest.mark.parametrize(
    ("name", "remedy"), [("gist_rainbo", "did you mean gist_rainbow"), ("?", "such as")]
)
def test_an_unknown_colormap_is_named_with_a_remedy(name: str, remedy: str) -> None:
    with pytest.raises(UserError, match=rf"visualizer_params\.colormap: .*{remedy}"):
        visualizer(colormap=name)
