"""The sound of the driving video is heard with the frames that it was heard with."""

import logging
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import ffmpeg, numbered

from engine.video import VideoWriter, open_video

BEEP = "aevalsrc='if(between(mod(t,0.4),0.2,0.25),sin(2*PI*1000*t),0)':s=44100"  # At 0.2, 0.6, ...
RATE = Fraction(25)
FRAMES = numbered(25)  # One second.


def clip(
    path: Path,
    *options: str,
    seconds: float = 1,
    sound_at: float = 0,
    video_at: float = 0,
    codec: str = "",
) -> Path:
    """A second of moving pictures, and beeps every 0.4 s of the sound's own time."""
    picture = ("-itsoffset", str(video_at), "-f", "lavfi", "-i", "testsrc=s=32x32:r=25:d=1")
    beeps = ("-itsoffset", str(sound_at), "-f", "lavfi", "-i", f"{BEEP}:d={seconds}")
    ffmpeg(*picture, *beeps, *(("-c:a", codec) if codec else ()), *options, path)
    return path


def resounding(path: Path, driving: Path, *, frames: Sequence[np.ndarray] = FRAMES) -> Path:
    """Write other frames with the sound of a driving video."""
    with open_video(driving) as reader, VideoWriter(path, fps=RATE, sound=reader.sound) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def codec_of(path: Path) -> str | None:
    with av.open(str(path)) as container:
        return next((stream.codec.canonical_name for stream in container.streams.audio), None)


def beeps(path: Path) -> list[float]:
    """When beeps begin, in seconds after the first frame is shown."""
    with av.open(str(path)) as container:
        start = next(container.decode(video=0)).time or 0
    times = []
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            for part in av.AudioResampler("fltp", "mono", frame.sample_rate).resample(frame):
                loud = np.flatnonzero(np.abs(part.to_ndarray()[0]) > 0.1)
                times.append((frame.time or 0) - start + loud / frame.sample_rate)
    loud_at = np.concatenate([[-1], *times])
    return loud_at[1:][np.diff(loud_at) > 0.1].tolist()


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


@pytest.mark.parametrize(
    ("driving", "codec", "result", "expected"),
    [
        ("clip.mp4", "aac", "result.mp4", "copied"),
        ("clip.mp4", "aac", "result.mov", "copied"),
        ("clip.mp4", "aac", "result.mkv", "copied"),
        ("clip.webm", "libopus", "result.webm", "copied"),
        ("clip.webm", "libvorbis", "result.webm", "copied"),
        ("clip.avi", "libmp3lame", "result.mp4", "copied"),
        ("clip.mov", "pcm_s16le", "result.mov", "copied"),
        ("clip.mp4", "aac", "result.webm", "opus"),
        ("clip.webm", "libopus", "result.mp4", "aac"),
        ("clip.webm", "libvorbis", "result.mp4", "aac"),
        ("clip.mov", "pcm_s16le", "result.mp4", "aac"),
        ("clip.mkv", "flac", "result.mov", "aac"),
        ("clip.ts", "mp2", "result.webm", "opus"),
    ],
)
def test_sound_is_copied_where_it_can_be(
    tmp_path: Path, driving: str, codec: str, result: str, expected: str
) -> None:
    source = clip(tmp_path / driving, codec=codec)
    path = resounding(tmp_path / result, source)
    if expected == "copied":
        assert codec_of(path) == codec_of(source)
        kept = packets(path)
        assert set(kept) <= set(packets(source))
        assert len(kept) >= len(packets(source)) - 2
    else:
        assert codec_of(path) == expected
    assert beeps(path) == pytest.approx(beeps(source), abs=0.015)
    assert len(beeps(path)) == 2


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ({"sound_at": 0.3}, [0.5, 0.9]),
        ({"seconds": 0.5}, [0.2]),
        ({"seconds": 2}, [0.2, 0.6]),
        ({"video_at": 0.32}, [0.28]),
    ],
    ids=["late", "short", "long", "begun before the pictures"],
)
def test_sound_stays_with_its_pictures(
    tmp_path: Path, case: dict[str, Any], expected: list[float], suffix: str
) -> None:
    path = resounding(tmp_path / f"result{suffix}", clip(tmp_path / "clip.mp4", **case))
    found = [beep for beep in beeps(path) if beep < 0.99]
    assert found == pytest.approx(expected, abs=0.015)
    with av.open(str(path)) as container:
        assert container.duration / av.time_base == pytest.approx(1, abs=0.03)
    assert len(list(open_video(path))) == len(FRAMES)


def test_sound_ends_with_the_frames(tmp_path: Path) -> None:
    path = resounding(tmp_path / "result.mp4", clip(tmp_path / "clip.mp4"), frames=FRAMES[:10])
    with av.open(str(path)) as container:
        streams = container.streams
        ends = [
            stream.duration * stream.time_base for stream in (streams.video[0], streams.audio[0])
        ]
    assert ends == pytest.approx([0.4, 0.4], abs=0.001)


def test_gaps_in_the_sound_stay_where_they_are(tmp_path: Path) -> None:
    gap = ("-af", "aselect='not(between(t,0.25,0.55))'")  # The beep at 0.6 keeps its time.
    source = clip(tmp_path / "clip.mkv", *gap, codec="flac")
    assert beeps(resounding(tmp_path / "result.mp4", source)) == pytest.approx([0.2, 0.6], abs=0.01)


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_any_number_of_channels_is_taken(tmp_path: Path, channels: int) -> None:
    source = clip(tmp_path / "clip.mkv", "-ac", str(channels), codec="flac")
    path = resounding(tmp_path / "result.mp4", source)
    with av.open(str(path)) as container:
        assert container.streams.audio[0].codec_context.layout.nb_channels == min(channels, 2)
    assert len(beeps(path)) == 2


def test_no_sound_is_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = clip(tmp_path / "clip.mp4", "-an")
    with open_video(source) as reader:
        assert reader.sound is None
    assert codec_of(resounding(tmp_path / "result.mp4", source)) is None
    assert codec_of(resounding(tmp_path / "result.gif", clip(tmp_path / "loud.mp4"))) is None
    assert caplog.messages == []


def with_noise(path: Path, *, share: float) -> Path:
    """Replace what some of the sound packets hold, so that they cannot be decoded."""
    noise = np.random.default_rng(0)
    data = path.read_bytes()
    for packet in packets(path)[int(len(packets(path)) * (1 - share)) :]:
        if len(packet) > 8:
            data = data.replace(packet, b"\xff" * 2 + noise.bytes(len(packet) - 2))
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("gone", [False, True])
def test_sound_that_cannot_be_decoded_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, gone: bool
) -> None:
    source = with_noise(clip(tmp_path / "clip.mkv", codec="flac"), share=1)
    with open_video(source) as reader:
        sound = reader.sound
    if gone:
        source.unlink()
    path = tmp_path / "result.mp4"
    with VideoWriter(path, fps=RATE, sound=sound) as writer:
        for frame in FRAMES:
            writer.write(frame)
    assert codec_of(path) is None
    assert len(list(open_video(path))) == len(FRAMES)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert str(source) in caplog.messages[0]
    assert "\n" not in caplog.messages[0]


@pytest.mark.parametrize("result", ["result.mp4", "result.webm"])
def test_a_damaged_header_of_the_sound_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, result: str
) -> None:
    source = clip(tmp_path / "clip.webm", codec="libopus")
    data, channels = source.read_bytes(), b"OpusHead\x01"
    assert data.count(channels + b"\x01") == 1
    source.write_bytes(data.replace(channels + b"\x01", channels + b"\x00"))
    with av.open(str(source)) as container:
        assert container.streams.audio
        assert container.streams.best("audio") is None
    path = resounding(tmp_path / result, source)
    assert codec_of(path) is None
    assert len(list(open_video(path))) == len(FRAMES)
    assert len(caplog.messages) == 1
    assert str(source) in caplog.messages[0]


def test_damage_in_the_sound_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = with_noise(clip(tmp_path / "clip.mkv", codec="flac"), share=0.5)
    path = resounding(tmp_path / "result.mp4", source)
    assert beeps(path)[0] == pytest.approx(0.2, abs=0.01)
    assert len(caplog.messages) == 1
    assert str(source) in caplog.messages[0]
