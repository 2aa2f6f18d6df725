"""Stills of every kind are read alike; frames and tensors turn into each other without loss."""

import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from clips import COLOURS, write
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from engine.errors import UserError
from engine.image import read_image, resize_frame, to_frame, to_tensor
from engine.video import UnreadableVideo, open_video

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


@pytest.mark.parametrize(("colour_type", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_sixteen_bits_of_any_number_of_channels(
    tmp_path: Path, colour_type: int, channels: int
) -> None:
    """PNG's own numbers for grey, RGB, and each with alpha."""
    levels = np.arange(6 * channels, dtype=np.uint8).reshape(2, 3, channels) * 9
    if channels in (2, 4):
        levels[..., -1] = 255
    rows = b"".join(b"\0" + (row.astype(">u2") * 257).tobytes() for row in levels)
    header = struct.pack(">IIBBBBB", 3, 2, 16, colour_type, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    parts = [b"\x89PNG\r\n\x1a\n"]
    for name, data in chunks:
        sums = struct.pack(">I", zlib.crc32(name + data))
        parts.append(struct.pack(">I", len(data)) + name + data + sums)
    (tmp_path / "deep.png").write_bytes(b"".join(parts))
    colours = levels[..., : 3 if channels >= 3 else 1]
    np.testing.assert_array_equal(
        read_image(tmp_path / "deep.png"), np.broadcast_to(colours, (2, 3, 3))
    )


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_the_colours_of_print_are_those_of_the_screen(tmp_path: Path, suffix: str) -> None:
    colours = np.repeat(np.array([COLOURS], np.uint8), 16, axis=0).repeat(16, axis=1)
    image = Image.fromarray(colours).convert("CMYK")
    image.save(tmp_path / f"print{suffix}", quality=95)
    found = read_image(tmp_path / f"print{suffix}").astype(int)
    assert np.abs(found - colours).mean() < 2


def profile(*, swapped: bool) -> bytes:
    """The profile of sRGB, or of a device that shows red where blue is meant."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    if swapped:
        data = data.replace(b"rXYZ", b"tmp.").replace(b"bXYZ", b"rXYZ").replace(b"tmp.", b"bXYZ")
        data = data.replace("sRGB".encode("utf-16-be"), "test".encode("utf-16-be"))
    return data


def test_colour_profiles_are_applied(tmp_path: Path) -> None:
    pixels = np.array([[[250, 20, 10, 255], [10, 120, 240, 255], [0, 0, 0, 0]]], np.uint8)
    for mode, channels in (("RGB", 3), ("RGBA", 4)):
        image = Image.fromarray(pixels[..., :channels])
        assert image.mode == mode
        image.save(tmp_path / "plain.png", icc_profile=profile(swapped=False))
        image.save(tmp_path / "swapped.png", icc_profile=profile(swapped=True))
        image.save(tmp_path / "broken.png", icc_profile=b"no profile")
        plain = read_image(tmp_path / "plain.png")
        np.testing.assert_array_equal(plain[0, :2], pixels[0, :2, :3])
        np.testing.assert_array_equal(read_image(tmp_path / "broken.png"), plain)
        swapped = read_image(tmp_path / "swapped.png").astype(int)
        assert np.abs(swapped - plain[..., ::-1]).max() <= 3


def test_a_single_pixel_is_a_picture(tmp_path: Path) -> None:
    image = read_image(save(tmp_path / "pixel.png", np.full((1, 1, 3), 77, np.uint8)))
    assert image.tolist() == [[[77, 77, 77]]]
    assert (resize_frame(image, (4, 6)) == 77).all()


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


STORED = {  # EXIF's numbers, and how a picture is stored that it sets upright.
    1: lambda seen: seen,
    2: lambda seen: seen[:, ::-1],
    3: lambda seen: seen[::-1, ::-1],
    4: lambda seen: seen[::-1],
    5: lambda seen: seen.transpose(1, 0, 2),
    6: lambda seen: np.rot90(seen),
    7: lambda seen: seen[::-1, ::-1].transpose(1, 0, 2),
    8: lambda seen: np.rot90(seen, -1),
}


@pytest.mark.parametrize("orientation", STORED)
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    seen = np.zeros((16, 32, 3), np.uint8)
    seen[:8, :, 0] = 255
    seen[:, :8, 1] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](seen)))
    stored.save(tmp_path / "phone.jpg", exif=exif, quality=95, subsampling=0)
    image = read_image(tmp_path / "phone.jpg")
    assert image.shape == (16, 32, 3)
    assert np.abs(image.astype(int) - seen).max() < 16


@pytest.mark.parametrize(
    ("gamma", "expected"), [(1, 188), (1 / 2.2, 128), (1 / 1.8, 147), (0, 128)]
)
def test_the_gamma_of_a_png_is_applied(tmp_path: Path, gamma: float, expected: int) -> None:
    info = PngInfo()
    info.add(b"gAMA", struct.pack(">I", round(gamma * 100000)))
    for mode, colour in (("L", 128), ("RGB", (128, 0, 255)), ("RGBA", (128, 0, 255, 255))):
        Image.new(mode, (2, 2), colour).save(tmp_path / "a.png", pnginfo=info)
        assert abs(int(read_image(tmp_path / "a.png")[0, 0, 0]) - expected) <= 1
    assert read_image(tmp_path / "a.png")[0, 0].tolist()[1:] == [0, 255]


def test_a_transparent_palette_with_a_profile_is_read_as_both(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1]], np.uint8), mode=None).convert("P")
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.save(tmp_path / "a.png", transparency=0, icc_profile=profile(swapped=True))
    first, second = read_image(tmp_path / "a.png")[0].astype(int)
    assert first.tolist() == [255, 255, 255]
    assert np.abs(second - [255, 0, 0]).max() <= 3


def test_a_picture_is_refused_by_its_header_if_it_is_too_large(tmp_path: Path) -> None:
    """Not decoded, which would fail here in another way: its rows are missing."""
    header = struct.pack(">IIBBBBB", 13400, 13400, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", b""))
    path = tmp_path / "large.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
            for name, data in chunks
        )
    )
    refusal = r"large\.png: 13,400 x 13,400 pixels, more than 120 million; save it smaller"
    with pytest.raises(UserError, match=refusal):
        read_image(path)
    for frame_size in (None, (256, 256)):
        with pytest.raises(UnreadableVideo, match=refusal):
            open_video(path, frame_size=frame_size)
    with pytest.raises(UnreadableVideo, match=refusal):
        open_video(tmp_path)
    path.rename(tmp_path / "large.mp4")
    with pytest.raises(UnreadableVideo, match="13,400 x 13,400 pixels"):
        open_video(tmp_path / "large.mp4")


def test_a_large_picture_passes_without_a_warning_of_pillow(tmp_path: Path) -> None:
    """Pillow warns from 89 megapixels on. Elsewhere: pytest has filters of its own."""
    Image.new("1", (10_000, 9_000)).save(tmp_path / "large.png")
    damaged = tmp_path / "phone.jpg"
    part = Image.new("RGB", (4, 4))
    part.save(damaged, format="MPO", save_all=True, append_images=[part])
    damaged.write_bytes(damaged.read_bytes().replace(b"MPF\0II", b"MPF\0??"))
    code = f"""
from pathlib import Path
from engine.image import open_picture, read_image
with open_picture(Path({str(tmp_path / "large.png")!r})) as image:
    print(image.size)
print(read_image(Path({str(damaged)!r})).shape)
"""
    command = [sys.executable, "-c", code]
    root = Path(__file__).parent.parent
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("(10000, 9000)\n(4, 4, 3)\n", "")


def test_converting_takes_no_more_memory_than_the_result(tmp_path: Path) -> None:
    """Peak of numpy's part, over that of the decoded picture, which Pillow holds."""
    Image.new("LA", (3000, 3000), (9, 99)).save(tmp_path / "a.png")
    tracemalloc.start()
    try:
        assert read_image(tmp_path / "a.png").shape == (3000, 3000, 3)
        assert tracemalloc.get_traced_memory()[1] < 1.8 * 27e6
    finally:
        tracemalloc.stop()


def test_pictures_of_rare_kinds_are_refused_in_a_sentence(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.dds")
    data = bytearray((tmp_path / "a.dds").read_bytes())
    data[80:88] = struct.pack("<I", 4) + b"ABCD"  # a pixel format that Pillow has not implemented
    (tmp_path / "a.dds").write_bytes(data)
    with pytest.raises(UserError, match=r"a\.dds: not a readable image .*; .*save it as PNG"):
        read_image(tmp_path / "a.dds")
    with pytest.raises(UnreadableVideo, match=r"a\.dds: .*; "):
        open_video(tmp_path / "a.dds")


def test_a_video_as_a_picture_is_called_one(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", [np.zeros((16, 16, 3), np.uint8)]).rename(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"a\.png: .*but a video; choose a picture"):
        read_image(path)


def test_a_file_that_may_not_be_read_is_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "a.png", GREY)

    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(UserError, match=r"a\.png: cannot be read \(Permission denied\); check"):
        read_image(path)


HEIC = Path(__file__).parent / "pictures" / "iphone.heic"


def test_without_its_reader_heic_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    monkeypatch.setattr(Image, "ID", [name for name in Image.ID if name != "HEIF"])
    with pytest.raises(UserError, match=r"iphone\.heic: .*pip install pillow-heif"):
        read_image(HEIC)


def test_heic_is_read_where_its_reader_is_installed() -> None:
    pytest.importorskip("pillow_heif")
    image = read_image(HEIC)
    assert image.shape == (1600, 1200, 3)
    assert np.abs(image[800, 600].astype(int) - (210, 200, 50)).max() <= 3
    assert open_video(HEIC).is_still


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
