"""Stills of every kind are read alike; frames and tensors turn into each other without loss."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine.errors import UserError
from engine.image import read_image, resize_frame, to_frame, to_tensor

GREY = np.array([[0, 100], [200, 255]], np.uint8)


def save(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def test_greyscale_becomes_rgb(tmp_path: Path) -> None:
    image = read_image(save(tmp_path / "grey.png", GREY))
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, np.stack([GREY] * 3, axis=-1))


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    path = save(tmp_path / "deep.png", GREY.astype(np.uint16) * 257)
    np.testing.assert_array_equal(read_image(path)[..., 0], GREY)


def test_alpha_is_composited_over_white(tmp_path: Path) -> None:
    pixels = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 51]]], np.uint8)
    expected = [[[10, 20, 30], [255, 255, 255], [204, 204, 204]]]
    np.testing.assert_array_equal(read_image(save(tmp_path / "alpha.png", pixels)), expected)


def test_grey_with_alpha_is_composited_too(tmp_path: Path) -> None:
    path = tmp_path / "la.png"
    Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(GREY)]).save(path)
    assert read_image(path)[0, 0].tolist() == [255, 255, 255]
    assert read_image(path)[1, 1].tolist() == [255, 255, 255]


def test_a_transparent_palette_colour_becomes_white(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1]], np.uint8), mode=None).convert("P")
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.save(tmp_path / "palette.png", transparency=0)
    assert read_image(tmp_path / "palette.png").tolist() == [[[255, 255, 255], [0, 0, 255]]]


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:, :16] = 255  # The left half as stored is the top half as seen.
    exif = Image.Exif()
    exif[0x0112] = 6  # Turn by 90 degrees clockwise for display.
    Image.fromarray(pixels).save(tmp_path / "phone.jpg", exif=exif)
    image = read_image(tmp_path / "phone.jpg")
    assert image.shape == (32, 16, 3)
    assert image[:14].min() > 240
    assert image[18:].max() < 15


@pytest.mark.parametrize("content", [b"", b"hello", None])
def test_an_unreadable_image_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "broken.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"broken\.png"):
        read_image(path)


def test_an_image_cut_short_is_named(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    path = save(tmp_path / "short.png", noise)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UserError, match=r"short\.png"):
        read_image(path)


def test_resizing_averages_what_it_cannot_resolve() -> None:
    lines = np.zeros((64, 64, 3), np.uint8)
    lines[:, ::8] = 240  # 30 on average
    small = resize_frame(lines, (8, 8))
    assert small.shape == (8, 8, 3)
    assert small.dtype == np.uint8
    assert small.min() > 15
    assert abs(small.mean() - 30) < 5


def test_resizing_takes_height_first_and_keeps_left_and_top() -> None:
    frame = np.zeros((20, 40, 3), np.uint8)
    frame[:10, :, 0] = 255
    frame[:, :20, 1] = 255
    small = resize_frame(frame, (8, 12))
    assert small.shape == (8, 12, 3)
    assert small[0, 0].tolist() == [255, 255, 0]
    assert small[-1, -1].tolist() == [0, 0, 0]


def test_resizing_to_the_same_size_costs_nothing() -> None:
    frame = np.zeros((5, 7, 3), np.uint8)
    assert resize_frame(frame, (5, 7)) is frame


def test_every_level_survives_the_way_to_a_tensor_and_back() -> None:
    frame = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    tensor = to_tensor(frame)
    assert tensor.shape == (3, 16, 16)
    assert tensor.dtype == torch.float32
    assert tensor.is_contiguous()
    assert (tensor.min(), tensor.max()) == (0, 1)
    np.testing.assert_array_equal(to_frame(tensor), frame)


def test_a_turned_frame_can_become_a_tensor() -> None:
    frame = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    np.testing.assert_array_equal(to_frame(to_tensor(frame[:, ::-1])), frame[:, ::-1])


def test_to_frame_rounds_and_clamps() -> None:
    image = torch.tensor([-0.5, 0.4 / 255, 0.6 / 255, 254.6 / 255, 1.5]).expand(3, 1, 5)
    assert to_frame(image)[0, :, 0].tolist() == [0, 0, 1, 255, 255]
    assert to_frame(image.to(torch.bfloat16).requires_grad_())[0, :, 0].tolist() == [
        0,
        0,
        1,
        255,
        255,
    ]
