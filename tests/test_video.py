"""Videos of every kind are opened and read alike, and what is none is named."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clips import encode, ffmpeg, numbered, write
from PIL import Image

from engine.video import UnreadableVideo, is_video, open_video


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
    with pytest.raises(UnreadableVideo, match=r"stack\.png: 15 pixels wide.* 4,"):
        open_video(path, frame_size=(4, 4))


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
