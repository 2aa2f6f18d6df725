"""Video is shown as it is meant: HDR tone-mapped, fields made frames, alpha over white."""

from pathlib import Path

import av
import numpy as np
import pytest
from clips import encode, number_of, numbered

from engine.compressed_video import CompressedReader
from engine.tone_mapping import HLG, PQ, tone_map
from engine.video import VideoReader, open_video

WHITE = 229  # where BT.2390's curve puts the white of standard range, 203 of 1,000 cd/m2
# Levels of HLG and PQ that stand for (200, 40, 40) of sRGB at that white, and for white itself.
HLG_LEVELS = [(156, 65, 47), (191, 191, 191)]
PQ_LEVELS = [(122, 80, 67), (148, 148, 148)]
SEEN = [(198, 40, 40), (WHITE, WHITE, WHITE)]


def assert_random_access_equals_iteration(reader: VideoReader) -> list[np.ndarray]:
    in_order = list(reader)
    assert len(in_order) == reader.num_frames
    alone = [reader.frames([index])[0] for index in reversed(range(reader.num_frames))][::-1]
    np.testing.assert_array_equal(alone, in_order)
    np.testing.assert_array_equal(reader.frames(range(reader.num_frames)), in_order)
    return in_order


# ----- high dynamic range


@pytest.mark.parametrize(("transfer", "levels"), [(HLG, HLG_LEVELS), (PQ, PQ_LEVELS)])
def test_tone_mapping_keeps_colours_and_compresses_highlights(
    transfer: int, levels: list[tuple[int, int, int]]
) -> None:
    seen = tone_map(np.array([levels], np.uint16) * 257, transfer)
    np.testing.assert_allclose(seen[0].astype(int), SEEN, atol=4)
    ramp = np.arange(0, 65536, 64, dtype=np.uint16)[None, :, None].repeat(3, axis=2)
    grey = tone_map(ramp, transfer).astype(int)
    assert np.ptp(grey, axis=-1).max() <= 1  # grey stays grey
    assert (np.diff(grey[0, :, 1]) >= 0).all()
    assert grey[0, 0, 1] == 0 and grey[0, -1, 1] == 255


@pytest.mark.parametrize(
    ("trc", "levels"), [("arib-std-b67", HLG_LEVELS), ("smpte2084", PQ_LEVELS)]
)
def test_high_dynamic_range_is_tone_mapped(
    tmp_path: Path, trc: str, levels: list[tuple[int, int, int]]
) -> None:
    halves = [np.full((32, 32, 3), level, np.uint8) for level in levels]
    scale = "scale=out_color_matrix=bt2020:out_range=tv:flags=accurate_rnd"
    tags = f"setparams=color_trc={trc}:color_primaries=bt2020:colorspace=bt2020nc"
    path = encode(
        tmp_path / "clip.mkv",
        [np.concatenate(halves, axis=1)] * 3,
        *("-vf", f"{scale},format=yuv420p10le,{tags}", "-c:v", "ffv1"),
    )
    with open_video(path) as reader:
        frames = assert_random_access_equals_iteration(reader)
    seen = [frames[2][16, 16].astype(int), frames[2][16, 48].astype(int)]
    np.testing.assert_allclose(seen, SEEN, atol=5)


# ----- interlaced


def fields(count: int) -> list[np.ndarray]:
    """Frames of two moments each: a bar moves by 4 pixels from the even lines to the odd ones."""
    frames = []
    for number in range(count):
        frame = np.full((64, 96, 3), 40, np.uint8)
        for field in range(2):
            left = 4 * (2 * number + field)
            frame[field::2, left : left + 16] = 220
        frames.append(frame)
    return frames


def comb(frame: np.ndarray) -> float:
    """How much odd lines differ from the even ones beside them."""
    return float(np.abs(frame[1:-1:2].astype(int) - frame[2::2]).mean())


INTERLACED = ("-vf", "setfield=tff", "-pix_fmt", "yuv420p", "-crf", "5", "-bf", "2", "-g", "6")
INTERLACED_KINDS = {
    "clip.ts": ("-c:v", "mpeg2video", "-flags", "+ildct+ilme", "-q:v", "2"),
    "clip.mp4": ("-c:v", "libx264", "-x264-params", "tff=1"),
}


@pytest.mark.parametrize("name", INTERLACED_KINDS)
def test_interlaced_frames_lose_their_comb_and_keep_their_times(tmp_path: Path, name: str) -> None:
    path = encode(tmp_path / name, fields(9), *INTERLACED, *INTERLACED_KINDS[name])
    with av.open(str(path)) as container:
        stored = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    with open_video(path) as reader:
        frames = assert_random_access_equals_iteration(reader)
        assert (reader.num_frames, reader.times) == (9, None)
    assert min(map(comb, stored)) > 10
    assert max(map(comb, frames)) < 3


def test_a_video_may_turn_interlaced_and_back(tmp_path: Path) -> None:
    interlaced = (*INTERLACED, *INTERLACED_KINDS["clip.mp4"])
    plain = ("-c:v", "libx264", *INTERLACED[2:])
    whole = [frame[::2].repeat(2, 0) for frame in fields(4)]
    # At rest in the end, so that what came before decides whether lines count as of one moment.
    rest = [fields(1)[0]] * 5
    parts = [(whole, plain), (fields(5), interlaced), (whole, plain), (rest, interlaced)]
    path = tmp_path / "all.ts"
    with path.open("wb") as file:
        for number, (frames, options) in enumerate(parts):
            file.write(encode(tmp_path / f"{number}.ts", frames, *options).read_bytes())
    with open_video(path) as reader:
        seen = assert_random_access_equals_iteration(reader)
    assert len(seen) == 18
    assert max(map(comb, seen[:13])) < 3


# ----- transparency


TRANSPARENT_KINDS = {
    "vp9.webm": ("-c:v", "libvpx-vp9", "-b:v", "2M", "-g", "5"),
    "vp8.webm": ("-c:v", "libvpx", "-b:v", "2M", "-auto-alt-ref", "0", "-g", "5"),
    "vp9.mkv": ("-c:v", "libvpx-vp9", "-b:v", "2M"),
}


@pytest.mark.parametrize("name", TRANSPARENT_KINDS)
def test_transparent_web_video_is_shown_over_white(tmp_path: Path, name: str) -> None:
    hole = "format=yuva420p,geq=lum='p(X,Y)':a='if(lt(X,24),0,255)'"
    options = ("-vf", hole, *TRANSPARENT_KINDS[name])
    with open_video(encode(tmp_path / name, numbered(12), *options)) as reader:
        frames = assert_random_access_equals_iteration(reader)
    for number, frame in enumerate(frames):
        assert frame[:, :20].min() > 250
        assert number_of(frame[:, 28:]) == number


def test_without_the_decoder_that_takes_transparency_a_warning_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("-vf", "format=yuva420p", *TRANSPARENT_KINDS["vp9.webm"])
    path = encode(tmp_path / "clip.webm", numbered(3), *options)
    monkeypatch.setattr(av, "codecs_available", {"vp9"})
    with CompressedReader(path) as reader:
        assert len(list(reader)) == 3
        reader.frames([1])
    assert len(caplog.messages) == 1
    assert f"{path}: its transparency is left out" in caplog.messages[0]
