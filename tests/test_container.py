"""Containers are opened in one place, which reads the file that it is given and no other."""

import ast
from pathlib import Path

import hostile
import pytest
from clips import encode, ffmpeg, number_of, numbered, write
from commands import ROOT
from test_imports import module_name, source_files

from engine.container import open_container
from engine.video import UnreadableVideo, VideoWriter, open_video

H264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p")
# What makes a file of each ending: containers, and streams without any.
KINDS = {
    ".3gp": ("-c:v", "mpeg4"),
    ".asf": ("-c:v", "msmpeg4"),
    ".avi": ("-c:v", "mpeg4"),
    ".flv": ("-c:v", "flv1"),
    ".gif": (),
    ".h264": H264,
    ".ivf": ("-c:v", "libvpx-vp9"),
    ".m2ts": H264,
    ".m4v": H264,
    ".mjpeg": ("-c:v", "mjpeg"),
    ".mkv": H264,
    ".mov": H264,
    ".mp4": H264,
    ".mpg": ("-c:v", "mpeg2video"),
    ".mxf": ("-c:v", "mpeg2video"),
    ".nut": ("-c:v", "ffv1"),
    ".ogv": ("-c:v", "libtheora"),
    ".ts": H264,
    ".webm": ("-c:v", "libvpx-vp9"),
    ".wmv": ("-c:v", "wmv2"),
    ".y4m": ("-pix_fmt", "yuv420p"),
}


@pytest.mark.parametrize("suffix", KINDS)
def test_videos_of_every_container_are_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"clip{suffix}"
    encode(path, numbered(6, size=(96, 128)), *KINDS[suffix])
    with open_video(path) as reader:
        assert [number_of(frame) for frame in reader] == pytest.approx(list(range(6)), abs=1)


@pytest.mark.parametrize(
    "suffix", [".aac", ".ac3", ".aiff", ".au", ".caf", ".flac", ".m4a", ".mp3", ".oga", ".wav"]
)
def test_sound_of_every_container_is_opened(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"sound{suffix}"
    ffmpeg("-f", "lavfi", "-i", "sine=d=0.2", path)
    with open_container(path) as container:
        assert next(container.decode(audio=0)).sample_rate
    with pytest.raises(UnreadableVideo, match="holds no video stream"):
        open_video(path.rename(tmp_path / "sound.mp4"))


def test_scripts_are_refused_as_what_they_are(tmp_path: Path) -> None:
    secret = write(tmp_path / "secret.mp4", numbered(4))
    expected = {".mp4": "list|playlist", ".mpd": "MPEG-DASH", ".sdp": "SDP"}
    for path in hostile.scripts(tmp_path, secret).values():
        with pytest.raises(UnreadableVideo, match="give the video itself") as refused:
            open_video(path)
        assert str(refused.value).startswith(f"{path}: ")
        assert refused.match(expected.get(path.suffix, "playlist"))


def test_numbered_files_are_not_gathered(tmp_path: Path) -> None:
    encode(tmp_path / "%d.dpx", numbered(3), "-c:v", "dpx")
    assert len(list(tmp_path.iterdir())) == 3
    (tmp_path / "%d.dpx").write_bytes(b"no picture")
    with pytest.raises(UnreadableVideo):
        open_video(tmp_path / "%d.dpx")


def test_text_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "notes.nfo").write_text("Some notes of mine\n" * 50)  # ANSI art, to FFmpeg.
    with pytest.raises(UnreadableVideo, match=r"save it as \.mp4"):
        open_video(tmp_path / "notes.nfo")


def test_sound_is_not_taken_from_a_script(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One that has been put into the place of the driving video, say."""
    driving = tmp_path / "clip.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=32x32:d=0.2", "-f", "lavfi", "-i", "sine=d=1", driving)
    with open_video(driving) as reader:
        sound, fps = reader.sound, reader.fps
    secret = driving.rename(tmp_path / "secret.mp4")
    driving.write_text(f"ffconcat version 1.0\nfile '{secret.name}'\n")
    with VideoWriter(tmp_path / "result.mp4", fps=fps, sound=sound) as writer:
        writer.write(numbered(1)[0])
    with open_video(tmp_path / "result.mp4") as reader:
        assert reader.sound is None
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("path", source_files(), ids=module_name)
def test_nothing_else_opens_containers(path: Path) -> None:
    calls = [
        ast.unparse(node)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "av.open"
    ]
    if path != ROOT / "engine" / "container.py":
        assert all("'w'" in call for call in calls)
