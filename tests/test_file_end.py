"""A video that was cut short is used as far as it goes, and a warning says so."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from clips import encode, ffmpeg, numbered, write

from engine.file_end import missing_end
from engine.video import open_video

COUNT = 40
X264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "10")
OPTIONS: dict[str, Sequence[str]] = {
    ".ts": X264,
    ".m2ts": X264,
    ".ogv": ("-c:v", "libtheora", "-q:v", "8", "-page_duration", "100000"),
    ".wmv": ("-c:v", "wmv2", "-q:v", "2"),
    ".mpg": ("-c:v", "mpeg1video", "-q:v", "2", "-g", "9"),
    ".flv": ("-c:v", "flv", "-q:v", "2"),
    ".avi": ("-c:v", "mpeg4", "-q:v", "2"),
    ".fragments.mp4": (*X264, "-g", "9", "-movflags", "frag_keyframe+empty_moov"),
}


def clip(folder: Path, suffix: str, *, count: int = COUNT) -> Path:
    """A video of any kind."""
    path, frames = folder / f"clip{suffix}", numbered(count)
    return encode(path, frames, *OPTIONS[suffix]) if suffix in OPTIONS else write(path, frames)


@pytest.mark.parametrize(
    ("suffix", "reason"),
    [
        *((suffix, "of its {:,} bytes are there") for suffix in (".mkv", ".webm", ".wmv")),
        (".gif", "it has no end mark"),
        (".ogv", "its last page is incomplete"),
        *((suffix, "its last packet is incomplete") for suffix in (".ts", ".m2ts", ".mpg")),
    ],
)
def test_what_is_left_of_a_file_cut_short_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, suffix: str, reason: str
) -> None:
    """Once, however often it is read, and with the numbers; nothing is said of the whole file."""
    path = clip(tmp_path, suffix)
    with open_video(path) as reader:
        assert len(list(reader)) == COUNT
    assert caplog.messages == []
    length = path.stat().st_size
    kept = 0.9 if suffix == ".ogv" else 0.67  # most of that file is tables of codes
    path.write_bytes(path.read_bytes()[: int(kept * length)])
    with open_video(path) as reader:
        left = len(list(reader))
        assert len(list(reader)) == left
    assert 10 < left < COUNT
    message, *others = caplog.messages
    assert message.startswith(f"{path}: the file is cut short, ")
    assert all("frames are damaged" in other for other in others)  # the last one may be
    assert message.endswith(f"{reason.format(length)}; {left} frames are left")


@pytest.mark.parametrize("suffix", [".webm", ".gif", ".mp4", *OPTIONS])
def test_scraps_of_a_file_have_no_end(tmp_path: Path, suffix: str) -> None:
    """Wherever it is cut, and nothing stumbles; without its header it is of no known kind.

    Of streams of packets, that some scraps end between two cannot be told.
    """
    path = clip(tmp_path, suffix, count=2)
    assert missing_end(path) is None
    whole = path.read_bytes()
    unknown = 0
    for length in range(0, len(whole), len(whole) // 60):
        path.write_bytes(whole[:length])
        unknown += missing_end(path) is None and length >= 620
    packets = {".ts": len(whole) // 188, ".m2ts": len(whole) // 192, ".mpg": len(whole) // 2048}
    boxes = {".mp4": 4, ".fragments.mp4": 8}
    assert unknown <= {**packets, **boxes}.get(suffix, 0)
    assert unknown < 15


@pytest.mark.parametrize("padding", [b"\0", b"\0" * 9])
def test_padding_in_a_gif_is_passed_over(tmp_path: Path, padding: bytes) -> None:
    """Behind the mark that ends it, and between its blocks; with the mark gone it is told."""
    whole = clip(tmp_path, ".gif", count=2).read_bytes()
    assert whole[-1:] == b";"
    path = tmp_path / "padded.gif"
    for content in (whole + padding, whole[:-1] + padding + b";"):
        path.write_bytes(content)
        assert missing_end(path) is None
    path.write_bytes(whole[:-1] + padding)
    assert missing_end(path) == "it has no end mark"


def test_sound_that_ends_last_ends_the_file(tmp_path: Path) -> None:
    """The last page of an Ogg file is that of whichever stream goes on longest."""
    path = tmp_path / "sound.ogv"
    tone = ["-f", "lavfi", "-i", "sine=d=2"]
    picture = ["-f", "lavfi", "-i", "testsrc=s=32x32:d=1"]
    ffmpeg(*picture, *tone, "-c:v", "libtheora", "-c:a", "libvorbis", path)
    assert missing_end(path) is None


def test_a_recording_without_a_length_lacks_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As a browser writes it, or whoever streams."""
    path = encode(tmp_path / "clip.webm", numbered(5), "-c:v", "libvpx", "-live", "1")
    assert len(list(open_video(path))) == 5
    assert caplog.messages == []


def test_large_files_of_several_chunks_are_whole(tmp_path: Path) -> None:
    """An AVI of more than a gigabyte is several chunks; here, of a few bytes."""
    path = tmp_path / "large.avi"
    chunk = b"RIFF" + (5).to_bytes(4, "little") + b"AVIX.\0"
    path.write_bytes(3 * chunk)
    assert missing_end(path) is None
    path.write_bytes(3 * chunk[:] + chunk[:-3])
    assert missing_end(path) == f"{4 * len(chunk) - 3} of its {4 * len(chunk)} bytes are there"
    path.write_bytes(b"RIFF\0\0\0\0AVI " + bytes(99))  # never finished: its length is not known
    assert missing_end(path) is None
