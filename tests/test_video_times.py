"""Every frame is shown when it should be: rates are exact, and varying ones keep their times."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import accumulate
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from clips import NTSC, encode, ffmpeg, number_of, numbered, write
from PIL import Image, ImageSequence

from engine.track_length import track_length
from engine.video import VideoWriter, open_video

X264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "10")
# 10 frames at 30 and 10 at 10 per second.
SETTING = "settb=1/600,setpts='if(lt(N,10),20*N,200+60*(N-10))'"
SLOWING = ("-vf", SETTING, "-fps_mode", "vfr", "-enc_time_base", "1:600")
TIMES = [Fraction(number, 30) for number in range(10)]
TIMES += [Fraction(1, 3) + Fraction(number, 10) for number in range(10)]
COUNT = len(TIMES)
ROUNDING = 0.0010001  # seconds, of Matroska and of the headers of MP4
# How long frames last, in milliseconds.
RATES = {
    "as in a slide show": [100, 40, 200, 40, 300, 40, 40, 500],
    "ends slowly": [30] * 10 + [100] * 10,
    "ends fast": [100] * 10 + [30] * 10,
    "the first lasts": [2000] + [40] * 11,
    "the last lasts": [40] * 11 + [2000],
    "the last is short": [100] * 7 + [20],
    "pauses": [40] * 8 + [2000] + [40] * 9,
    "pauses near the end": [40] * 8 + [3000, 40, 40],
    "three": [40, 300, 40],
    "two": [40, 1200],
    "one": [700],
    "constant": [40] * 12,
}


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


def seconds(milliseconds: Sequence[int]) -> list[Fraction]:
    """When frames begin and the last ends."""
    return [Fraction(time, 1000) for time in accumulate([0, *milliseconds])]


def moving(count: int) -> list[np.ndarray]:
    """Frames that encoders make B-frames of."""
    still = np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)
    return [np.roll(still, (number, 2 * number), (0, 1)) for number in range(count)]


def with_b_frames(
    path: Path,
    milliseconds: Sequence[int],
    *,
    begin: int = 0,
    muxing: Mapping[str, str] | None = None,
) -> Path:
    """A video of frames that last so long each, as PyAV and ffmpeg write it."""
    with av.open(str(path), "w", options=dict(muxing or {})) as output:
        unit = Fraction(1, 1000)
        stream = output.add_stream("libx264", rate=25, options={"bf": "3"}, time_base=unit)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = 64, 48
        begins = [begin + time for time in accumulate([0, *milliseconds])]
        durations = dict(zip(begins, milliseconds, strict=False))
        frames: list[VideoFrame | None] = [*map(VideoFrame.from_ndarray, moving(len(milliseconds)))]
        for frame, time in zip([*frames, None], begins, strict=True):
            if frame is not None:
                frame.pts, frame.time_base = time, unit
            for packet in stream.encode(frame):
                assert packet.pts is not None
                packet.duration = durations[packet.pts]
                output.mux(packet)
    return path


def read_times(path: Path) -> list[Fraction]:
    with open_video(path) as reader:
        return list(reader.times or [i / reader.fps for i in range(reader.num_frames + 1)])


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_a_constant_rate_has_no_times(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"clip{suffix}", numbered(12), fps=Fraction(24000, 1001))
    with open_video(path) as reader:
        assert (reader.fps, reader.times) == (Fraction(24000, 1001), None)


def test_stills_have_a_constant_rate(tmp_path: Path) -> None:
    Image.new("RGB", (8, 4)).save(tmp_path / "0.png")
    assert open_video(tmp_path).times is None
    assert open_video(tmp_path / "0.png", frame_size=(4, 4)).times is None


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


def test_the_last_frame_of_a_gif_lasts_as_long_as_it_should(tmp_path: Path) -> None:
    with open_video(gif(tmp_path / "clip.gif", [40, 40, 40, 340])) as reader:
        assert reader.times == tuple(Fraction(t, 100) for t in (0, 4, 8, 12, 46))
        assert reader.fps == Fraction(4, 46) * 100


@pytest.mark.parametrize("rate", RATES.values(), ids=RATES.keys())
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".gif"])
def test_frames_are_written_with_their_times(tmp_path: Path, suffix: str, rate: list[int]) -> None:
    path, times = tmp_path / f"result{suffix}", seconds(rate)
    with VideoWriter(path, fps=len(rate) / times[-1], times=times) as writer:
        for frame in moving(len(rate)):
            writer.write(frame)
    assert shown(path) == pytest.approx(times[:-1], abs=ROUNDING)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        unit = stream.time_base
        assert unit is not None and container.duration is not None
        ends = [((packet.pts or 0) + (packet.duration or 0)) * unit for packet in packets]
        assert max(ends) == pytest.approx(times[-1], abs=ROUNDING)
        assert container.duration / av.time_base == pytest.approx(times[-1], abs=ROUNDING)
        if stream.duration is not None:
            assert stream.duration * unit == pytest.approx(times[-1], abs=ROUNDING)
    assert read_times(path) == pytest.approx(times, abs=ROUNDING)


@pytest.mark.parametrize("rate", RATES.values(), ids=RATES.keys())
@pytest.mark.parametrize("name", ["clip.mp4", "clip.mov", "clip.mkv"])
def test_the_end_of_a_video_with_b_frames_is_found(
    tmp_path: Path, name: str, rate: list[int]
) -> None:
    path = with_b_frames(tmp_path / name, rate)
    assert read_times(path) == pytest.approx(seconds(rate), abs=ROUNDING)
    later = with_b_frames(tmp_path / f"later_{name}", rate, begin=1500)
    assert read_times(later) == pytest.approx(seconds(rate), abs=ROUNDING)


@pytest.mark.parametrize("rate", ["ends slowly", "pauses", "pauses near the end", "constant"])
@pytest.mark.parametrize(
    "options", [{"movflags": "frag_keyframe+empty_moov"}, {"use_editlist": "0"}], ids=str
)
def test_the_end_is_found_without_an_edit_list(
    tmp_path: Path, options: dict[str, str], rate: str
) -> None:
    path = with_b_frames(tmp_path / "clip.mp4", RATES[rate], muxing=options)
    assert read_times(path) == pytest.approx(seconds(RATES[rate]), abs=ROUNDING)


@pytest.mark.parametrize("position", range(4, 14))
def test_a_pause_is_not_made_twice_by_copying(tmp_path: Path, position: int) -> None:
    """Whoever copies packets of an MP4 takes their distances for durations."""
    rate = [40] * position + [5000] + [40] * (14 - position)
    path = with_b_frames(tmp_path / "clip.mp4", rate)
    ffmpeg("-i", path, "-c", "copy", tmp_path / "copy.mp4")
    assert read_times(tmp_path / "copy.mp4") == pytest.approx(seconds(rate), abs=ROUNDING)


@pytest.mark.parametrize("name", ["copy.mkv", "again.mp4"])
def test_a_pause_is_not_made_twice_by_copying_through_matroska(tmp_path: Path, name: str) -> None:
    path = with_b_frames(tmp_path / "clip.mp4", RATES["pauses"])
    for copy in ("copy.mkv", "again.mp4"):
        ffmpeg("-i", path, "-c", "copy", tmp_path / copy)
        path = tmp_path / copy
    times = read_times(tmp_path / name)
    assert times == pytest.approx(seconds(RATES["pauses"]), abs=2 * ROUNDING)


def test_an_edit_list_cuts_the_last_frame_short(tmp_path: Path) -> None:
    lasting = tmp_path / "lasting.mp4"
    with VideoWriter(lasting, fps=Fraction(25), times=seconds([40] * 5 + [4000])) as writer:
        for frame in moving(6):
            writer.write(frame)
    # In the only edit, and in the lengths of the track and of the file.
    data = lasting.read_bytes()
    old, new = (4200).to_bytes(4, "big"), (1200).to_bytes(4, "big")
    assert data.count(old) == 3
    (tmp_path / "cut.mp4").write_bytes(data.replace(old, new))
    assert read_times(tmp_path / "cut.mp4")[-1] == Fraction(12, 10)


@pytest.mark.parametrize("name", ["clip.flv", "clip.wmv"])
def test_the_end_is_found_in_the_header_where_packets_have_no_durations(
    tmp_path: Path, name: str
) -> None:
    gap = ("-vf", "select='not(between(n,4,8))'", "-fps_mode", "passthrough")
    codec = ("-c:v", {".flv": "flv1", ".wmv": "wmv2"}[Path(name).suffix])
    path = encode(tmp_path / name, numbered(12), *gap, *codec)
    assert read_times(path)[-1] == pytest.approx(12 / NTSC, abs=2 * ROUNDING)


def test_where_nothing_tells_the_end_the_last_frame_lasts_as_the_others(tmp_path: Path) -> None:
    path = with_b_frames(tmp_path / "clip.ts", [40] * 8 + [3000] + [40] * 5 + [600])
    assert read_times(path)[-1] == Fraction(40 * 14 + 3000, 1000)


def test_headers_tell_how_long_tracks_are(tmp_path: Path) -> None:
    path = with_b_frames(tmp_path / "clip.mp4", RATES["pauses"], begin=500)
    length = track_length(path, 1)
    assert length is not None
    assert (length.seconds, length.edited) == (Fraction(2680 + 500, 1000), True)
    assert track_length(path, 2) is None
    plain = with_b_frames(tmp_path / "plain.mp4", RATES["pauses"], muxing={"use_editlist": "0"})
    length = track_length(plain, 1)
    assert length is not None
    assert (length.seconds, length.edited) == (Fraction(2680, 1000), False)


def test_a_damaged_header_tells_no_length(tmp_path: Path) -> None:
    data = with_b_frames(tmp_path / "clip.mp4", RATES["pauses"]).read_bytes()
    at, broken = data.index(b"moov"), tmp_path / "broken.mp4"
    for end in range(at, len(data), 50):
        broken.write_bytes(data[:end])
        assert track_length(broken, 1) is None
    noise = np.random.default_rng(0)
    for _ in range(100):
        mutated = np.frombuffer(data, np.uint8).copy()
        mutated[noise.integers(at, len(data), 4)] = noise.integers(0, 256, 4)
        broken.write_bytes(mutated.tobytes())
        length = track_length(broken, 1)
        assert length is None or length.seconds > 0


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
