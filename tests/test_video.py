"""Videos of every kind are read frame by frame, exactly, in order and at random."""

import struct
import weakref
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import encode, ffmpeg, number_of, numbered, patch_error, patches, write
from PIL import Image

from engine.compressed_video import CompressedReader
from engine.video import UnreadableVideo, is_video, open_video

X264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "10")
B_FRAMES = (*X264, "-bf", "3", "-b_strategy", "0", "-sc_threshold", "0")  # Always three in a row.
OPEN_GOP = (*B_FRAMES, "-g", "10", "-x264-params", "open-gop=1")
KINDS = {
    "one_keyframe.mp4": (*B_FRAMES, "-g", "250"),
    "keyframes.mp4": (*B_FRAMES, "-g", "9"),
    "fragments.mp4": (*B_FRAMES, "-g", "9", "-movflags", "frag_keyframe+empty_moov"),
    "open_gop.mp4": OPEN_GOP,
    "open_gop.mkv": OPEN_GOP,
    "open_gop.ts": OPEN_GOP,
    "refresh.mp4": (*X264, "-x264-params", "intra-refresh=1:keyint=10"),
    "no_times.h264": (*B_FRAMES, "-g", "9"),
    "invented_times.avi": (*B_FRAMES, "-g", "9"),
    "mpeg4.avi": ("-c:v", "mpeg4", "-q:v", "2", "-g", "9"),
    "layers.mp4": ("-c:v", "libx265", "-x265-params", "log-level=none:keyint=12:temporal-layers=3"),
    "hidden_frames.webm": ("-c:v", "libvpx", "-b:v", "2M", "-auto-alt-ref", "1", "-g", "15"),
}


def order_in_file(path: Path) -> list[int]:
    """Frame numbers in the order in which a file with times stores them."""
    with av.open(str(path)) as container:
        times = [packet.pts or 0 for packet in container.demux(video=0) if packet.size]
    return [sorted(times).index(time) for time in times]


def test_the_samples_are_what_they_are_to_test(tmp_path: Path) -> None:
    stored = order_in_file(encode(tmp_path / "a.mp4", numbered(40), *KINDS["keyframes.mp4"]))
    assert stored[:2] == [0, 4]  # Frames 1 to 3 need frame 4.
    stored = order_in_file(encode(tmp_path / "b.mp4", numbered(40), *OPEN_GOP))
    assert stored.index(10) < stored.index(9)  # Frame 9 needs the keyframe 10 that follows it.


@pytest.mark.parametrize("name", KINDS)
def test_random_access_equals_iteration(tmp_path: Path, name: str) -> None:
    with open_video(encode(tmp_path / name, numbered(40), *KINDS[name])) as reader:
        in_order = list(reader)
        assert reader.num_frames == 40
        assert [number_of(frame) for frame in in_order] == list(range(40))
        assert (reader.height, reader.width) == in_order[0].shape[:2] == (32, 48)
        alone = [reader.frames([index])[0] for index in reversed(range(40))][::-1]
        np.testing.assert_array_equal(alone, in_order)
        np.testing.assert_array_equal(reader.frames(range(40)), in_order)


@pytest.mark.parametrize("name", ["keyframes.mp4", "open_gop.mp4", "open_gop.mkv", "layers.mp4"])
def test_random_access_need_not_start_from_the_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with open_video(encode(tmp_path / name, numbered(40), *KINDS[name])) as reader:
        monkeypatch.delattr(CompressedReader, "_decoded")
        for index in reversed(range(40)):
            assert number_of(reader.frames([index])[0]) == index


def test_a_recording_starts_with_the_first_frame_that_can_be_decoded(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.ts", numbered(50), *OPEN_GOP)
    packets = len(path.read_bytes()) // 188
    path.write_bytes(path.read_bytes()[188 * (packets // 5) :])  # Between two keyframes.
    with av.open(str(path)) as container:
        decodable = sum(1 for _ in container.decode(video=0))
    with open_video(path) as reader:
        in_order = list(reader)
        assert [number_of(frame) for frame in in_order] == list(range(50 - decodable, 50))
        assert reader.num_frames == decodable < 50
        alone = [reader.frames([index])[0] for index in range(decodable)]
        np.testing.assert_array_equal(alone, in_order)


def test_an_empty_frame_shows_the_picture_before_it(tmp_path: Path) -> None:
    whole = encode(tmp_path / "whole.mp4", numbered(12), "-c:v", "mpeg4", "-q:v", "2")
    path = tmp_path / "clip.mkv"
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.size:
                data = bytes(packet) if number != 5 else b"\0\0\1\xb6\x50\0\x13"  # Not coded.
                copy = av.Packet(data)
                copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
                copy.is_keyframe = packet.is_keyframe
                copy.stream = stream
                target.mux(copy)
    with open_video(path) as reader:
        assert reader.num_frames == 12
        assert [number_of(frame) for frame in reader] == [0, 1, 2, 3, 4, 4, 6, 7, 8, 9, 10, 11]
        assert number_of(reader.frames([5])[0]) == 4


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_frames_hidden_by_an_edit_list_do_not_count(tmp_path: Path, suffix: str) -> None:
    whole = encode(tmp_path / f"whole{suffix}", numbered(40), *X264, "-bf", "3", "-g", "30")
    cut = tmp_path / f"cut{suffix}"
    ffmpeg("-ss", "0.4", "-i", whole, "-c", "copy", cut)  # Not at a keyframe: 12 is seen first.
    with av.open(str(cut)) as container:
        assert container.streams.video[0].frames == 40
    with open_video(cut) as reader:
        in_order = list(reader)
        assert [number_of(frame) for frame in in_order] == list(range(12, 40))
        assert reader.num_frames == 28
        alone = [reader.frames([index])[0] for index in range(28)]
        np.testing.assert_array_equal(alone, in_order)


def test_frames_come_in_the_order_asked_for(tmp_path: Path) -> None:
    with open_video(write(tmp_path / "clip.mp4", numbered(20))) as reader:
        assert [number_of(frame) for frame in reader.frames([7, 2, 19, 2])] == [7, 2, 19, 2]
        assert reader.frames([]) == []
        for index in (-1, 20):
            with pytest.raises(IndexError, match=r"clip\.mp4"):
                reader.frames([0, index])


def test_iterations_and_random_access_do_not_disturb_each_other(tmp_path: Path) -> None:
    with open_video(write(tmp_path / "clip.mp4", numbered(12))) as reader:
        seen = [
            (number_of(first), number_of(second), number_of(reader.frames([5])[0]))
            for first, second in zip(reader, reader, strict=True)
        ]
    assert seen == [(index, index, 5) for index in range(12)]


def test_iteration_keeps_no_frames(tmp_path: Path) -> None:
    with open_video(write(tmp_path / "clip.mp4", numbered(30))) as reader:
        seen: list[weakref.ref[np.ndarray]] = []
        for frame in reader:
            seen.append(weakref.ref(frame))
            assert sum(reference() is not None for reference in seen) <= 2


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_variable_rate_is_given_on_average(tmp_path: Path, suffix: str) -> None:
    slow_down = (
        "setpts='if(lt(N,10),N,10+3*(N-10))/(30*TB)'"  # 10 frames at 30, 10 at 10 per second.
    )
    options = ("-vf", slow_down, "-fps_mode", "vfr", *X264)
    with open_video(encode(tmp_path / f"clip{suffix}", numbered(20), *options)) as reader:
        assert [number_of(frame) for frame in reader] == list(range(20))
        assert 20 / reader.fps == pytest.approx(10 / 30 + 10 / 10, abs=0.08)


@pytest.mark.parametrize(
    ("matrix", "levels"), [("bt709", "tv"), ("smpte170m", "tv"), ("bt709", "pc")]
)
@pytest.mark.parametrize("codec", ["libx264", "ffv1"])
def test_colour_tags_are_honoured(tmp_path: Path, codec: str, matrix: str, levels: str) -> None:
    scale = f"scale=out_color_matrix={matrix}:out_range={levels}:flags=accurate_rnd"
    tags = ("-colorspace", matrix, "-color_range", levels, "-pix_fmt", "yuv420p", "-c:v", codec)
    path = encode(tmp_path / "clip.mkv", [patches()], "-vf", scale, *tags)
    assert patch_error(next(iter(open_video(path)))) <= 4


MATRICES = {  # (a, b, c, d) of x' = a x + c y, y' = b x + d y, and what becomes of the picture.
    "a quarter turn to the right": ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
    "a quarter turn to the left": ((0, -1, 1, 0), lambda image: np.rot90(image, 1)),
    "upside down": ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
    "mirrored": ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
    "flipped": ((1, 0, 0, -1), lambda image: image[::-1]),
    "transposed": ((0, 1, 1, 0), lambda image: image.transpose(1, 0, 2)),
}


@pytest.mark.parametrize("case", MATRICES)
def test_pictures_are_turned_the_right_way_up(tmp_path: Path, case: str) -> None:
    path = write(tmp_path / "clip.mp4", [patches(), patches()[::-1] // 2])
    with open_video(path) as plain:
        stored = list(plain)
    values, turn = MATRICES[case]
    a, b, c, d = (65536 * value for value in values)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44  # The matrix of the track header, version 0 of the box.
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    with open_video(path) as reader:
        assert (reader.height, reader.width) == turn(stored[0]).shape[:2]
        np.testing.assert_array_equal(list(reader), [turn(frame) for frame in stored])
        np.testing.assert_array_equal(reader.frames([1]), [turn(stored[1])])


def test_a_change_of_size_within_a_video_is_resized_away(tmp_path: Path) -> None:
    parts = [
        encode(tmp_path / f"{side}.ts", numbered(5, size=(side, side)), *X264) for side in (32, 64)
    ]
    both = tmp_path / "both.ts"
    both.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert {frame.shape for frame in open_video(both)} == {(32, 32, 3)}


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
    with open_video(path, frame_width=5) as reader:
        assert (reader.num_frames, reader.height, reader.width, reader.fps) == (3, 4, 5, 25)
        assert [frame.shape for frame in reader] == [(4, 5, 3)] * 3
        assert [frame[0, 0, 0] for frame in reader.frames([2, 0, 1])] == [2, 0, 1]
    assert open_video(path).num_frames == 1
    with pytest.raises(UnreadableVideo, match=r"stack\.png: 15 pixels wide.* 4,"):
        open_video(path, frame_width=4)


def test_frames_belong_to_the_caller(tmp_path: Path) -> None:
    Image.new("RGB", (8, 4)).save(tmp_path / "stack.png")
    Image.new("RGB", (8, 4)).save(tmp_path / "clip.gif")
    for name in ("stack.png", "clip.gif"):
        reader = open_video(tmp_path / name, frame_width=4)
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
