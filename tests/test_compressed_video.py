"""Compressed video comes back exactly: every frame, in order and at random, the right way up."""

import multiprocessing
import os
import struct
import weakref
from pathlib import Path

import av
import numpy as np
import pytest
from clips import encode, ffmpeg, number_of, numbered, patch_error, patches, write
from PIL import Image

from engine.compressed_video import CompressedReader
from engine.video import UnreadableVideo, open_video
from engine.video_writer import VideoWriter

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
def test_random_access_equals_iteration(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    with open_video(encode(tmp_path / name, numbered(40), *KINDS[name])) as reader:
        in_order = list(reader)
        assert reader.num_frames == 40
        assert [number_of(frame) for frame in in_order] == list(range(40))
        assert (reader.height, reader.width) == in_order[0].shape[:2] == (32, 48)
        alone = [reader.frames([index])[0] for index in reversed(range(40))][::-1]
        np.testing.assert_array_equal(alone, in_order)
        np.testing.assert_array_equal(reader.frames(range(40)), in_order)
    assert caplog.messages == []


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


def test_tags_in_another_encoding_do_not_matter(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.mp4", numbered(3), *X264, "-metadata", "title=caf\udce9")
    assert b"caf\xe9" in path.read_bytes()
    assert open_video(path).num_frames == 3


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


def joined(folder: Path, *parts: list[np.ndarray]) -> Path:
    """One video of parts whose frames have a size each."""
    files = [encode(folder / f"{n}.ts", part, *X264) for n, part in enumerate(parts)]
    both = folder / "both.ts"
    both.write_bytes(b"".join(file.read_bytes() for file in files))
    return both


def test_a_change_of_size_within_a_video_is_resized_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    both = joined(tmp_path, *(numbered(5, size=(side, side)) for side in (32, 64)))
    with open_video(both) as reader:
        frames = list(reader)
        assert {frame.shape for frame in frames} == {(32, 32, 3)}
        assert [number_of(frame) for frame in frames] == [*range(5), *range(5)]
        assert len(list(reader)) == 10
    assert [str(both) in message and "size" in message for message in caplog.messages] == [True]


@pytest.mark.parametrize("size", [(32, 64), (96, 32)])
def test_a_change_of_aspect_within_a_video_is_cut_and_never_stretched(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    """Of the later frames, dark in the middle, nothing white is left."""
    later = np.full((*size, 3), 255, np.uint8)
    top, left = (size[0] - 32) // 2, (size[1] - 32) // 2
    later[top : top + 32, left : left + 32] = 20
    frames = list(open_video(joined(tmp_path, numbered(3, size=(32, 32)), [later] * 3)))
    assert {frame.shape for frame in frames} == {(32, 32, 3)}
    assert max(frame[2:-2, 2:-2].max() for frame in frames[3:]) < 60


def test_pixels_that_are_not_square_are_made_so(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.mp4", [patches()] * 3, "-vf", "setsar=3/2", *X264)
    with open_video(path) as reader:
        assert (reader.height, reader.width) == (32, 288)
        frames = [*reader, *reader.frames([1])]
    assert [frame.shape for frame in frames] == [(32, 288, 3)] * 4
    colours = [frames[3][16, 48 * number + 24] for number in range(6)]
    np.testing.assert_allclose(colours, patches()[16, 16::32], atol=6)


def test_damage_within_a_video_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = encode(tmp_path / "clip.mp4", numbered(40, size=(64, 96)), *X264)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = np.random.default_rng(0).bytes(400)
    path.write_bytes(data)
    with open_video(path) as reader:
        assert len(list(reader)) == reader.num_frames == 40
    assert [str(path) in message and "damaged" in message for message in caplog.messages] == [True]


def test_a_video_that_is_damaged_midway_says_from_which_frame_on(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", numbered(40), *B_FRAMES, "-g", "9")
    with av.open(str(path)) as container:
        packets = [(packet.pts, packet.pos) for packet in container.demux(video=0) if packet.size]
    damaged, place = next((pts, pos) for pts, pos in packets if pts > packets[24][0])
    number = sorted(pts for pts, _ in packets).index(damaged)
    with path.open("r+b") as file:
        file.seek(place)
        file.write(bytes(40))
    with open_video(path) as reader:
        for read in (reader.flaws, lambda: list(reader)):
            with pytest.raises(
                UnreadableVideo, match=r"cannot be read from frame \d+ of 40 on"
            ) as e:
                read()
            assert number - 8 <= int(str(e.value).split("frame ")[1].split()[0]) <= number
        assert len(reader.frames([0, 39])) == 2


@pytest.mark.parametrize("name", ["a.mp4", "a.gif", "folder"])
def test_a_sound_video_has_no_flaws(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
        for index, frame in enumerate(numbered(3)):
            Image.fromarray(frame).save(path / f"{index}.png")
    else:
        write(path, numbered(12))
    with open_video(path) as reader:
        assert reader.flaws() == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_reads_and_writes_what_its_parent_does(tmp_path: Path) -> None:
    def copied(name: str) -> Path:
        with open_video(clip) as reader, VideoWriter(tmp_path / name, fps=reader.fps) as writer:
            for frame in reader:
                writer.write(frame)
        return tmp_path / name

    clip = encode(tmp_path / "clip.mp4", [frame.repeat(8, 0).repeat(8, 1) for frame in numbered(4)])
    whole = copied("whole.mp4").read_bytes()
    with av.open(str(clip)) as container:  # PyAV keeps the threads that this starts.
        next(container.decode(video=0)).to_ndarray(format="rgb24")
    child = multiprocessing.get_context("fork").Process(target=copied, args=["forked.mp4"])
    child.start()
    child.join(timeout=30)
    child.kill()
    assert child.exitcode == 0
    assert (tmp_path / "forked.mp4").read_bytes() == whole
