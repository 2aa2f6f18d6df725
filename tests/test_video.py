"""Videos of every kind are opened and read alike, and what is none is named."""

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import encode, ffmpeg, number_of, numbered, write
from PIL import Image, features

from engine.clip import open_cut_clip
from engine.video import UnreadableVideo, is_video, open_video, read_image


def test_gif_frames_rate_and_transparency(tmp_path: Path) -> None:
    stills = [Image.new("RGBA", (8, 6), (0, 0, 40 * index, 255)) for index in range(5)]
    for still in stills:
        still.putpixel((3, 2), (0, 0, 0, 0))
    path = tmp_path / "clip.gif"
    delays = [40, 40, 40, 40, 340]
    stills[0].save(path, save_all=True, append_images=stills[1:], duration=delays, disposal=2)
    with open_video(path) as reader:
        assert (reader.num_frames, reader.height, reader.width) == (5, 6, 8)
        in_order = list(reader)
        np.testing.assert_array_equal(reader.frames([4, 0, 2]), [in_order[i] for i in (4, 0, 2)])
    assert [frame[0, 0].tolist() for frame in in_order] == [[0, 0, 40 * i] for i in range(5)]
    assert [frame[2, 3].tolist() for frame in in_order] == [[255, 255, 255]] * 5
    assert reader.fps == Fraction(5 * 1000, sum(delays))


def test_a_transparent_video_is_composited_over_white(tmp_path: Path) -> None:
    half = ("-vf", "format=rgba,colorchannelmixer=aa=0.5", "-c:v", "png")
    path = encode(tmp_path / "clip.mov", [np.full((8, 8, 3), 55, np.uint8)], *half)
    frame = next(iter(open_video(path)))
    assert np.abs(frame.astype(int) - (55 + 255) // 2).max() <= 1


def test_a_folder_is_read_in_natural_order(tmp_path: Path) -> None:
    folder = tmp_path / "clip"
    folder.mkdir()
    for number in (10, 2, 1):
        Image.new("RGB", (4, 3), (number, 0, 0)).save(folder / f"frame{number}.png")
    Image.new("RGB", (9, 9)).save(folder / ".hidden.png")
    (folder / "notes.txt").write_text("no image")
    with open_video(folder) as reader:
        assert [frame[0, 0, 0] for frame in reader] == [1, 2, 10]
        assert [frame[0, 0, 0] for frame in reader.frames([2, 0])] == [10, 1]
        assert (reader.num_frames, reader.height, reader.width, reader.fps) == (3, 3, 4, 25)


def test_a_folder_of_unequal_frames_names_the_odd_one(tmp_path: Path) -> None:
    for name, width in (("a.png", 4), ("b.png", 4), ("c.png", 5)):
        Image.new("RGB", (width, 3)).save(tmp_path / name)
    reader = open_video(tmp_path)
    assert len(reader.frames([0, 1])) == 2
    with pytest.raises(UnreadableVideo, match=r"c\.png: 5x3"):
        list(reader)


def test_an_image_of_frames_side_by_side(tmp_path: Path) -> None:
    path = tmp_path / "stack.png"
    stack = np.zeros((4, 15, 4), np.uint8)
    stack[..., 0] = np.arange(15) // 5  # Three frames of 4x5, RGBA.
    stack[..., 3] = 255
    Image.fromarray(stack).save(path)
    with open_video(path, frame_size=(4, 5)) as reader:
        assert (reader.num_frames, reader.height, reader.width, reader.fps) == (3, 4, 5, 25)
        assert [frame.shape for frame in reader] == [(4, 5, 3)] * 3
        assert [frame[0, 0, 0] for frame in reader.frames([2, 0, 1])] == [2, 0, 1]
    assert open_video(path).num_frames == 1
    with pytest.raises(UnreadableVideo, match=r"stack\.png: a still picture of 15x4"):
        open_video(path, frame_size=(4, 4))


@pytest.mark.parametrize("size", [(720, 1280), (64, 96), (32, 64), (128, 128)])
def test_a_still_is_no_row_of_frames(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size[::-1]).save(tmp_path / "still.jpg")
    with pytest.raises(UnreadableVideo, match=r"still\.jpg: a still picture of .*choose a video"):
        open_video(tmp_path / "still.jpg", frame_size=(64, 64))


def moving(count: int) -> list[Image.Image]:
    """Pictures that tell their number by how red they are, with a hole in one corner."""
    images = [Image.new("RGBA", (48, 32), (40 * number, 0, 0, 255)) for number in range(count)]
    for image in images:
        image.paste((0, 0, 0, 0), (0, 0, 12, 12))
    return images


DELAYS = [40, 200, 20, 100, 70, 30]
ANIMATIONS: dict[str, dict[str, Any]] = {
    "webp": {"lossless": True},
    "png": {},
    "avif": {"quality": 100},
    "gif": {},
}


@pytest.mark.parametrize("kind", ANIMATIONS)
@pytest.mark.parametrize("name", ["clip.{}", "clip.mp4", "clip.jpg", "clip"])
def test_animated_pictures_give_all_their_frames_with_their_times(
    tmp_path: Path, kind: str, name: str
) -> None:
    if kind == "avif" and "avif" not in features.get_supported():
        pytest.skip("this Pillow reads no AVIF")
    images, path = moving(len(DELAYS)), tmp_path / name.format(kind)
    rest: dict[str, Any] = {
        "save_all": True,
        "append_images": images[1:],
        "duration": DELAYS,
        "disposal": 2,
    }
    images[0].save(path, format=kind, **rest, **ANIMATIONS[kind])
    with open_video(path) as reader:
        frames = list(reader)
        assert reader.num_frames == len(DELAYS)
        assert reader.times == tuple(Fraction(sum(DELAYS[:n]), 1000) for n in range(7))
        assert (reader.height, reader.width, reader.is_still) == (32, 48, False)
        np.testing.assert_array_equal(reader.frames([4, 0, 4]), [frames[n] for n in (4, 0, 4)])
    for number, frame in enumerate(frames):
        assert frame[4, 4].min() > 250
        assert abs(int(frame[16, 30, 0]) - 40 * number) <= 3
    assert np.abs(read_image(path).astype(int) - frames[0]).max() <= 3


def test_an_animated_png_has_a_constant_rate_where_its_times_say_so(tmp_path: Path) -> None:
    images = moving(4)
    images[3].save(
        tmp_path / "a.png",
        save_all=True,
        append_images=images[:3],
        duration=1000 / 30,
        default_image=True,  # for those who know no animation; no part of it
    )
    with open_video(tmp_path / "a.png") as reader:
        assert [frame[16, 30, 0] // 40 for frame in reader] == [0, 1, 2]
        assert (reader.fps, reader.times) == (pytest.approx(30, abs=0.05), None)


def test_frames_that_are_to_last_no_time_last_a_tenth_of_a_second(tmp_path: Path) -> None:
    images = moving(3)
    images[0].save(tmp_path / "a.png", save_all=True, append_images=images[1:], duration=0)
    assert open_video(tmp_path / "a.png").fps == 10


@pytest.mark.parametrize("name", ["clip.gif", "clip.png", "clip.heic", "clip"])
def test_a_video_is_one_whatever_its_name(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "clip.mp4", numbered(8), fps=Fraction(10)).rename(tmp_path / name)
    with open_video(path, frame_size=(32, 32)) as reader:
        assert [number_of(frame) for frame in reader] == list(range(8))
        assert (reader.fps, reader.times) == (10, None)


def test_motion_jpeg_is_a_video_and_a_picture_in_several_parts_is_none(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, "JPEG")
    (tmp_path / "clip.mjpeg").write_bytes(5 * buffer.getvalue())
    assert open_video(tmp_path / "clip.mjpeg").num_frames == 5
    parts = [Image.new("RGB", (16, 16)), Image.new("RGB", (16, 16), "red")]
    parts[0].save(tmp_path / "phone.jpg", format="MPO", save_all=True, append_images=parts[1:])
    assert open_video(tmp_path / "phone.jpg").is_still


def test_a_sequence_in_the_container_of_heic_is_a_video(tmp_path: Path) -> None:
    hevc = ("-c:v", "libx265", "-x265-params", "log-level=none", "-tag:v", "hvc1")
    path = encode(tmp_path / "clip.mp4", numbered(8, size=(64, 64)), *hevc)
    data = path.read_bytes().replace(b"ftypisom", b"ftypmsf1", 1)
    (tmp_path / "clip.heic").write_bytes(data.replace(b"vide", b"pict", 1))
    with open_video(tmp_path / "clip.heic") as reader:
        assert [number_of(frame) for frame in reader] == list(range(8))


STILLS = ["PNG", "JPEG", "BMP", "WEBP", "TIFF", "PPM", "GIF", "TGA", "ICO", "DDS", "JPEG2000"]


@pytest.mark.parametrize("kind", STILLS)
@pytest.mark.parametrize("name", ["still.mp4", "still"])
def test_a_still_is_no_driving_video_whatever_its_name(
    tmp_path: Path, kind: str, name: str
) -> None:
    pages = {"save_all": True, "append_images": moving(2)} if kind == "TIFF" else {}
    Image.new("RGB", (32, 32), "red").save(tmp_path / name, format=kind, **pages)
    with pytest.raises(UnreadableVideo, match=f"{name}: a still picture.*; choose a video"):
        open_cut_clip(tmp_path / name, frame_shape=(32, 32, 3), chosen=None)
    assert read_image(tmp_path / name).shape == (32, 32, 3)


def test_frames_belong_to_the_caller(tmp_path: Path) -> None:
    Image.new("RGB", (8, 4)).save(tmp_path / "stack.png")
    Image.new("RGB", (8, 4)).save(tmp_path / "clip.gif")
    for name in ("stack.png", "clip.gif"):
        reader = open_video(tmp_path / name, frame_size=(4, 4))
        for frame in (*reader.frames([0]), next(iter(reader))):
            frame[:] = 255
        assert reader.frames([0])[0].max() == 0


def unreadable(folder: Path) -> dict[str, Path]:
    paths = {name: folder / f"{name}.mp4" for name in ("empty", "text", "noise", "cut", "short")}
    paths["empty"].touch()
    paths["text"].write_text("this is no video\n" * 100)
    paths["noise"].write_bytes(np.random.default_rng(0).bytes(20000))
    whole = write(folder / "whole.mp4", numbered(30))  # Its header comes first.
    paths["cut"].write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    paths["short"].write_bytes(whole.read_bytes()[:600])
    paths["sound"] = folder / "sound.mp4"
    ffmpeg("-f", "lavfi", "-i", "sine=d=0.2", paths["sound"])
    paths["song"] = folder / "song.m4a"
    cover = folder / "cover.png"
    Image.new("RGB", (16, 16)).save(cover)
    picture = ("-c:v", "copy", "-disposition:v:0", "attached_pic")
    ffmpeg("-i", paths["sound"], "-i", cover, "-map", "0", "-map", "1", *picture, paths["song"])
    paths["missing"] = folder / "missing.mp4"
    paths["still"] = folder / "still.png"
    paths["still"].write_text("this is no image")
    paths["gif"] = folder / "moving.gif"
    paths["gif"].write_bytes(b"GIF89a")
    paths["folder"] = folder / "bare"
    paths["folder"].mkdir()
    return paths


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in unreadable(tmp_path).values():
        with pytest.raises(UnreadableVideo) as caught:
            open_video(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_names_that_look_like_protocols_or_patterns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a:b.mp4", "id1#x %d [1].mp4", "-i.mp4"):
        assert open_video(write(Path(name), numbered(2))).num_frames == 2


def test_is_video_goes_by_names(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "0.png").touch()
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / ".0.png").touch()
    understood = ["a.mp4", "A.MOV", "b.gif", "c.png", "d.webm", "frames"]
    assert all(is_video(tmp_path / name) for name in understood)
    assert not any(is_video(tmp_path / name) for name in [".a.mp4", "pairs.csv", "noext", "bare"])


def test_is_video_goes_by_content_where_a_name_has_no_ending(tmp_path: Path) -> None:
    for name in ("clip", "take1.5", "id1.2#3"):
        write(tmp_path / "clip.mp4", numbered(2)).rename(tmp_path / name)
        assert is_video(tmp_path / name)
    Image.new("RGB", (4, 4)).save(tmp_path / "picture", format="PNG")
    assert is_video(tmp_path / "picture")
    for name in ("notes", "notes.1", "empty"):
        (tmp_path / name).write_text("" if name == "empty" else "no video")
        assert not is_video(tmp_path / name)
