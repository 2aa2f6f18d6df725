"""Augmentations do what their names say, and the same to every frame of a clip."""

import random
from collections import Counter

import numpy as np
import pytest
import torch

from augmentation import (
    Augmentation,
    Clip,
    ColorJitter,
    Compose,
    Crop,
    HorizontalFlip,
    Resize,
    Rotation,
    TimeFlip,
    build_augmentation,
)

EVERYTHING = build_augmentation(
    horizontal_flip=True,
    time_flip=True,
    resize_ratio=(0.6, 1.4),
    crop_size=(20, 24),
    rotation_degrees=(-30, 30),
    jitter=ColorJitter(brightness=0.3, contrast=0.3, saturation=0.3, hue=0.5),
)
SINGLE_STEPS: list[Augmentation] = [
    HorizontalFlip(),
    Resize((0.5, 1.5)),
    Crop((15, 30)),
    Rotation((-180, 180)),
    ColorJitter(brightness=0.5),
    ColorJitter(contrast=0.5),
    ColorJitter(saturation=0.5),
    ColorJitter(hue=0.5),
    ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.2),
]


class Tossed(np.random.Generator):
    """A generator whose coin tosses come out as told."""

    def __init__(self, toss: float) -> None:
        super().__init__(np.random.PCG64(0))
        self.toss = toss

    def random(self, *args: object, **kwargs: object) -> float:  # type: ignore[override]
        return self.toss


class Extreme(np.random.Generator):
    """A generator whose uniform draws are all the upper (or lower) end of their range."""

    def __init__(self, upper: bool) -> None:
        super().__init__(np.random.PCG64(0))
        self.upper = upper

    def uniform(self, low: float = 0, high: float = 1) -> float:  # type: ignore[override]
        return high if self.upper else low


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def random_clip(length: int = 2, height: int = 20, width: int = 24, seed: int = 0) -> Clip:
    frames = rng(seed).integers(0, 256, (length, height, width, 3), dtype=np.uint8)
    return list(frames)


def flat_frame(red: int, green: int, blue: int) -> np.ndarray:
    return np.full((4, 4, 3), (red, green, blue), dtype=np.uint8)


def assert_equal(clip: Clip, expected: Clip) -> None:
    assert len(clip) == len(expected)
    for frame, other in zip(clip, expected, strict=True):
        np.testing.assert_array_equal(frame, other)


def test_horizontal_flip_mirrors_a_gradient() -> None:
    gradient = np.broadcast_to(np.arange(5, dtype=np.uint8)[None, :, None], (3, 5, 3))
    (flipped,) = HorizontalFlip()([gradient], Tossed(0.0))
    np.testing.assert_array_equal(flipped[0, :, 0], [4, 3, 2, 1, 0])
    assert_equal(HorizontalFlip()([gradient], Tossed(0.9)), [gradient])


def test_time_flip_reverses_the_clip() -> None:
    clip = random_clip(length=3)
    assert_equal(TimeFlip()(clip, Tossed(0.0)), [clip[2], clip[1], clip[0]])
    assert_equal(TimeFlip()(clip, Tossed(0.9)), clip)


def test_flips_are_independent_fair_coin_tosses() -> None:
    flips = build_augmentation(horizontal_flip=True, time_flip=True)
    # Pixel x of frame t is 10 t + x: the first pixel of the first frame tells which flips occurred.
    clip = [np.array([[[t] * 3, [t + 1] * 3]], dtype=np.uint8) for t in (0, 10)]
    generator = rng()
    seen = Counter(int(flips(clip, generator)[0][0, 0, 0]) for _ in range(4000))
    assert set(seen) == {0, 1, 10, 11}
    assert all(900 < count < 1100 for count in seen.values())


def test_resize_scales_both_sides_by_one_ratio_from_the_range() -> None:
    clip = random_clip(height=40, width=80)
    generator, ratios = rng(), []
    for _ in range(50):
        height, width = Resize((0.5, 1.5))(clip, generator)[0].shape[:2]
        assert abs(width - 2 * height) <= 2
        ratios.append(height / 40)
    assert 0.5 <= min(ratios) < 0.6
    assert 1.4 < max(ratios) <= 1.5


def test_resize_keeps_the_picture_where_it_was() -> None:
    ramp = np.tile(np.linspace(0, 255, 40).astype(np.uint8)[None, :, None], (10, 1, 3))
    (doubled,) = Resize((2.0, 2.0))([ramp], rng())
    assert doubled.shape == (20, 80, 3)
    difference = doubled[::2, ::2].astype(int) - ramp
    assert abs(difference).max() <= 4


def test_crop_is_a_window_and_reaches_every_place() -> None:
    clip = [np.arange(12, dtype=np.uint8).reshape(3, 4, 1).repeat(3, axis=2)]
    generator, corners = rng(), set()
    for _ in range(300):
        (window,) = Crop((2, 3))(clip, generator)
        corner = int(window[0, 0, 0])
        corners.add(corner)
        expected = corner + np.array([[0, 1, 2], [4, 5, 6]])
        np.testing.assert_array_equal(window[..., 0], expected)
    assert corners == {0, 1, 4, 5}


def test_crop_of_a_smaller_frame_repeats_its_edges() -> None:
    frame = np.array([[1, 2], [3, 4]], dtype=np.uint8)[..., None].repeat(3, axis=2)
    generator, seen = rng(), set()
    for _ in range(300):
        (window,) = Crop((3, 4))([frame], generator)
        seen.add(tuple(window[..., 0].ravel().tolist()))
    expected = set()
    for top in range(2):
        for left in range(3):
            padding = ((top, 1 - top), (left, 2 - left))
            expected.add(tuple(np.pad(frame[..., 0], padding, mode="edge").ravel().tolist()))
    assert seen == expected


@pytest.mark.parametrize("size", [(7, 7), (8, 8)])
def test_rotation_by_90_degrees_is_counter_clockwise_and_exact(size: tuple[int, int]) -> None:
    clip = random_clip(height=size[0], width=size[1])
    turned = Rotation((90.0, 90.0))(clip, rng())
    assert_equal(turned, [np.rot90(frame) for frame in clip])


def test_rotation_by_180_degrees_turns_about_the_centre_of_an_oblong_frame() -> None:
    clip = random_clip(height=6, width=9)
    assert_equal(Rotation((180.0, 180.0))(clip, rng()), [frame[::-1, ::-1] for frame in clip])


@pytest.mark.parametrize("degrees", [-35.0, 12.5, 60.0])
def test_rotation_turns_the_slope_of_a_ramp(degrees: float) -> None:
    offset = np.arange(31) - 15
    ramp = np.broadcast_to((125 + 8 * offset).astype(np.uint8)[None, :, None], (31, 31, 3))
    (turned,) = Rotation((degrees, degrees))([ramp], rng())
    angle = np.deg2rad(degrees)
    expected = 125 + 8 * (offset * np.cos(angle) - offset[:, None] * np.sin(angle))
    inside = np.hypot(offset, offset[:, None]) < 14
    assert np.abs(turned[..., 0] - expected)[inside].max() < 0.51


def test_rotation_fills_the_corners_with_the_edges() -> None:
    clip = [np.full((16, 40, 3), 200, np.uint8)]
    for degrees in (-45.0, 17.0, 90.0, 200.0):
        (turned,) = Rotation((degrees, degrees))(clip, rng())
        assert turned.min() == turned.max() == 200


def test_rotation_draws_from_its_range() -> None:
    clip = random_clip(length=1)
    assert_equal(Rotation((0.0, 0.0))(clip, rng()), clip)
    angles = {Rotation((-20, 20))(clip, rng(seed))[0].tobytes() for seed in range(5)}
    assert len(angles) == 5


def test_brightness_is_a_factor_around_one() -> None:
    clip = [flat_frame(10, 100, 200)]
    jitter = ColorJitter(brightness=0.5)
    assert jitter(clip, Extreme(upper=True))[0][0, 0].tolist() == [15, 150, 255]
    assert jitter(clip, Extreme(upper=False))[0][0, 0].tolist() == [5, 50, 100]
    assert ColorJitter(brightness=3.0)(clip, Extreme(upper=False))[0].max() == 0


def test_contrast_moves_away_from_the_mean_of_the_whole_clip() -> None:
    clip = [flat_frame(100, 100, 100), flat_frame(140, 140, 140)]  # mean 120
    stronger = ColorJitter(contrast=0.5)(clip, Extreme(upper=True))
    assert [frame[0, 0, 0] for frame in stronger] == [90, 150]
    none = ColorJitter(contrast=1.0)(clip, Extreme(upper=False))
    assert [frame[0, 0, 0] for frame in none] == [120, 120]


def test_saturation_zero_is_grey_and_keeps_the_luminance() -> None:
    (grey,) = ColorJitter(saturation=1.0)([flat_frame(200, 50, 100)], Extreme(upper=False))
    luminance = round(0.2989 * 200 + 0.587 * 50 + 0.114 * 100)
    assert grey[0, 0].tolist() == [luminance] * 3


def test_hue_turns_the_colour_circle() -> None:
    red = [flat_frame(255, 0, 0)]
    third = ColorJitter(hue=1 / 3)
    assert third(red, Extreme(upper=True))[0][0, 0].tolist() == [0, 255, 0]
    assert third(red, Extreme(upper=False))[0][0, 0].tolist() == [0, 0, 255]
    grey = [flat_frame(90, 90, 90)]
    assert_equal(third(grey, Extreme(upper=True)), grey)


def test_jitter_applies_its_steps_in_random_order() -> None:
    # Brightness cuts red off at 255 and saturation spreads what is left, or the other way round.
    clip = [flat_frame(200, 100, 150)]
    jitter = ColorJitter(brightness=1.0, saturation=1.0)
    results = set()
    for seed in range(20):
        generator = Extreme(upper=True)
        generator.bit_generator.state = np.random.PCG64(seed).state
        results.add(tuple(jitter(clip, generator)[0][0, 0].tolist()))
    assert len(results) == 2


def test_jitter_of_strength_zero_is_the_identity() -> None:
    clip = random_clip()
    assert_equal(ColorJitter()(clip, rng()), clip)


def test_a_chain_without_steps_is_the_identity() -> None:
    clip = random_clip()
    assert build_augmentation() == Compose(())
    assert_equal(build_augmentation()(clip, rng()), clip)


def test_the_order_is_flips_resize_crop_rotation_jitter() -> None:
    kinds = [type(step) for step in EVERYTHING.steps]
    assert set(kinds[:2]) == {TimeFlip, HorizontalFlip}
    assert kinds[2:] == [Resize, Crop, Rotation, ColorJitter]


@pytest.mark.parametrize("seed", range(8))
def test_the_full_chain_keeps_number_shape_and_type(seed: int) -> None:
    clip = EVERYTHING(random_clip(length=3), rng(seed))
    assert len(clip) == 3
    for frame in clip:
        assert frame.shape == (20, 24, 3)
        assert frame.dtype == np.uint8


@pytest.mark.parametrize("step", SINGLE_STEPS, ids=repr)
def test_equal_frames_stay_equal_and_do_change(step: Augmentation) -> None:
    (frame,) = random_clip(length=1)
    other = random_clip(length=1, seed=1)[0]
    changed = 0
    for seed in range(6):
        first, _, last = step([frame, other, frame.copy()], rng(seed))
        np.testing.assert_array_equal(first, last)
        changed += first.shape != frame.shape or bool((first != frame).any())
    assert changed > 0


@pytest.mark.parametrize("step", [*SINGLE_STEPS, TimeFlip(), ColorJitter(), EVERYTHING], ids=repr)
def test_inputs_are_left_alone(step: Augmentation) -> None:
    clip = random_clip()
    frames, copies = list(clip), [frame.copy() for frame in clip]
    for seed in range(4):
        step(clip, rng(seed))
    assert all(frame is before for frame, before in zip(clip, frames, strict=True))
    assert_equal(clip, copies)


def test_one_seed_gives_one_result_and_another_seed_another() -> None:
    clip = random_clip()
    assert_equal(EVERYTHING(clip, rng(3)), EVERYTHING(clip, rng(3)))
    assert any((EVERYTHING(clip, rng(3))[0] != EVERYTHING(clip, rng(4))[0]).ravel())


def test_no_global_random_state_is_read_or_changed() -> None:
    clip = random_clip()
    before = (random.getstate(), str(np.random.get_state()), torch.get_rng_state())  # noqa: NPY002
    first = EVERYTHING(clip, rng(0))
    after = (random.getstate(), str(np.random.get_state()), torch.get_rng_state())  # noqa: NPY002
    assert before[:2] == after[:2]
    assert torch.equal(before[2], after[2])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch.initial_seed() + 1)
        assert_equal(EVERYTHING(clip, rng(0)), first)
