"""Every frame is shown when it should be: rates are exact, and varying ones keep their times."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate
from pathlib import Path

import av
import pytest
from clips import NTSC, encode, number_of, numbered, write
from PIL import Image, ImageSequence

from engine.video import VideoWriter, open_video

X264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "10")
# 10 frames at 30 and 10 at 10 per second.
SETTING = "settb=1/600,setpts='if(lt(N,10),20*N,200+60*(N-10))'"
SLOWING = ("-vf", SETTING, "-fps_mode", "vfr", "-enc_time_base", "1:600")
TIMES = [Fraction(number, 30) for number in range(10)]
TIMES += [Fraction(1, 3) + Fraction(number, 10) for number in range(10)]
COUNT = len(TIMES)


def shown(path: Path) -> list[Fraction]:
    """When each frame is shown, counted from the first, as PyAV says."""
    with av.open(str(path)) as container:
        times = [
            frame.pts * frame.time_base
            for frame in container.decode(video=0)
            if frame.pts is not None and frame.time_base is not None
        ]
    return [time - times[0] for time in times]


def duration(path: Path) -> Fraction:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return (stream.duration or 0) * (stream.time_base or Fraction(0))


def copied(path: Path, driving: Path) -> Path:
    """Write the frames of a video with its times."""
    with (
        open_video(driving) as reader,
        VideoWriter(path, fps=reader.fps, times=reader.times) as writer,
    ):
        for frame in reader:
            writer.write(frame)
    return path


def delays(path: Path) -> list[int]:
    """How long the frames of a GIF last, in milliseconds."""
    with Image.open(path) as image:
        return [frame.info["duration"] for frame in ImageSequence.Iterator(image)]


def gif(path: Path, durations: Sequence[int]) -> Path:
    """Frames that last so many milliseconds each."""
    stills = [Image.new("RGB", (8, 6), (0, 9 * number, 0)) for number in range(len(durations))]
    stills[0].save(path, save_all=True, append_images=stills[1:], duration=list(durations))
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_a_constant_rate_has_no_times(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"clip{suffix}", numbered(12), fps=Fraction(24000, 1001))
    with open_video(path) as reader:
        assert (reader.fps, reader.times) == (Fraction(24000, 1001), None)


def test_stills_have_a_constant_rate(tmp_path: Path) -> None:
    Image.new("RGB", (8, 4)).save(tmp_path / "0.png")
    assert open_video(tmp_path).times is None
    assert open_video(tmp_path / "0.png", frame_width=4).times is None


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("clip.mp4", ".mp4"),
        ("clip.mov", ".mov"),
        ("clip.mp4", ".mkv"),
        ("clip.mp4", ".webm"),
        ("clip.mkv", ".mp4"),
    ],
)
def test_a_varying_rate_is_kept(tmp_path: Path, name: str, suffix: str) -> None:
    driving = encode(tmp_path / name, numbered(COUNT), *SLOWING, *X264, "-bf", "2")
    result = copied(tmp_path / f"result{suffix}", driving)
    exact = all(path.suffix in (".mp4", ".mov") for path in (driving, result))
    rounding = Fraction(0 if exact else 1, 1000)
    assert all(abs(a - b) <= rounding for a, b in zip(shown(result), TIMES, strict=True))
    with open_video(result) as reader:
        assert [number_of(frame) for frame in reader] == list(range(COUNT))
        assert reader.times is not None
        assert list(reader.times[:-1]) == shown(result)


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_the_last_frame_lasts_as_long_as_it_should(tmp_path: Path, suffix: str) -> None:
    driving = gif(tmp_path / "clip.gif", [40, 40, 40, 340])
    with open_video(driving) as reader:
        assert reader.times == tuple(Fraction(t, 100) for t in (0, 4, 8, 12, 46))
        assert reader.fps == Fraction(4, 46) * 100
    path = copied(tmp_path / f"result{suffix}", driving)
    assert shown(path) == [Fraction(t, 100) for t in (0, 4, 8, 12)]
    assert duration(path) == Fraction(46, 100)


def test_gifs_keep_varying_rates(tmp_path: Path) -> None:
    durations = [40, 200, 20, 100, 70]
    path = copied(tmp_path / "result.gif", gif(tmp_path / "clip.gif", durations))
    assert delays(path) == durations


def test_rates_between_the_ticks_of_a_gif_are_constant(tmp_path: Path) -> None:
    with open_video(gif(tmp_path / "clip.gif", [30, 30, 40] * 4)) as reader:
        assert (reader.fps, reader.times) == (30, None)


def test_frames_too_short_for_a_gif_leave_the_others_where_they_are(tmp_path: Path) -> None:
    milliseconds = [20, 5, 5, 30, 5, 35]
    times = [Fraction(time, 1000) for time in accumulate([0, *milliseconds])]
    path = tmp_path / "result.gif"
    with VideoWriter(path, fps=Fraction(60), times=times) as writer:
        for frame in numbered(len(milliseconds), size=(6, 8)):
            writer.write(frame)
    assert sum(delays(path)) == sum(milliseconds)
    assert min(delays(path)) >= 20


def test_a_missing_frame_leaves_a_gap(tmp_path: Path) -> None:
    drop = ("-vf", "select='not(between(n,4,6))'", "-fps_mode", "passthrough")
    path = encode(tmp_path / "clip.avi", numbered(12), *drop, "-c:v", "mpeg4", "-q:v", "2")
    result = copied(tmp_path / "result.mp4", path)
    expected = [number / NTSC for number in range(12) if not 4 <= number <= 6]
    assert shown(result) == expected


def test_one_frame_that_lasts(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.mp4", numbered(1), fps=Fraction(2, 5))
    result = copied(tmp_path / "result.mp4", path)
    assert duration(path) == duration(result) == Fraction(5, 2)
