"""What is written is the video that was meant, whole, or else nothing."""

import gc
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import COLOURS, NTSC, number_of, numbered, patch_error, patches, write
from PIL import Image, ImageSequence

from engine.errors import UserError
from engine.video import VideoWriter, open_video


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
@pytest.mark.parametrize("fps", [NTSC, Fraction(24000, 1001), Fraction(10)])
def test_frames_and_exact_rates_survive(tmp_path: Path, suffix: str, fps: Fraction) -> None:
    reader = open_video(write(tmp_path / f"clip{suffix}", numbered(12), fps=fps))
    assert reader.fps == fps
    assert [number_of(frame) for frame in reader] == list(range(12))


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_colours_survive(tmp_path: Path, suffix: str) -> None:
    frame = next(iter(open_video(write(tmp_path / f"clip{suffix}", [patches()] * 3))))
    assert patch_error(frame) <= 4


def test_levels_are_not_shifted(tmp_path: Path) -> None:
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8)[None, :, None], (32, 256, 3)).copy()
    frame = next(iter(open_video(write(tmp_path / "ramp.mp4", [ramp]))))
    assert abs((frame.astype(float) - ramp).mean()) < 0.3


def test_odd_sizes_gain_a_copy_of_the_last_row_and_column(tmp_path: Path) -> None:
    frame = np.pad(patches(), ((0, 1), (0, 3), (0, 0)), mode="edge")  # (33, 195, 3)
    reader = open_video(write(tmp_path / "odd.mp4", [frame]))
    assert (reader.height, reader.width) == (34, 196)
    shown = next(iter(reader)).astype(int)
    assert patch_error(shown) <= 4
    assert np.abs(shown[33, 8:24] - COLOURS[0]).max() <= 6
    assert np.abs(shown[:, 195] - COLOURS[-1]).max() <= 6


@pytest.mark.parametrize(("fps", "count"), [(NTSC, 61), (Fraction(12), 25), (Fraction(60), 60)])
def test_gifs_last_as_long_as_their_frames(tmp_path: Path, fps: Fraction, count: int) -> None:
    path = write(tmp_path / "clip.gif", numbered(count, size=(7, 9)), fps=fps)
    with Image.open(path) as image:
        assert image.size == (9, 7)
        delays = [frame.info["duration"] for frame in ImageSequence.Iterator(image)]
    assert sum(delays) / 1000 == pytest.approx(count / fps, abs=0.021)
    assert min(delays) >= 20  # Shorter ones are not honoured by players.


def test_gifs_keep_colours_and_still_areas(tmp_path: Path) -> None:
    frames = [patches() for _ in range(3)]
    frames[1][:8, :8] = 255 - frames[1][:8, :8]
    shown = list(open_video(write(tmp_path / "clip.gif", frames)))
    assert all(patch_error(frame) <= 4 for frame in shown)
    np.testing.assert_array_equal(shown[0][8:], shown[1][8:])


@pytest.fixture
def earlier(tmp_path: Path) -> Iterator[Path]:
    """A file that must survive a failure, with nothing left beside it."""
    path = tmp_path / "clip.mp4"
    path.write_text("earlier result")
    yield path
    assert path.read_text() == "earlier result"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_the_earlier_file(earlier: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), VideoWriter(earlier, fps=NTSC) as writer:
        while len(list(earlier.parent.iterdir())) == 1:  # Until the file has been begun.
            writer.write(patches())
        raise error


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Let writing fail as it does on a full disk."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".gif"])
def test_a_full_disk_leaves_nothing(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (10, 32, 48, 3), np.uint8)
    size = write(tmp_path / f"whole{suffix}", list(noise)).stat().st_size
    folder = tmp_path / "full"
    for room in (0, size // 2, size - 1):  # At the start, on the way, and when all seems done.
        with (
            files_no_larger_than(room),
            pytest.raises(UserError, match=r"clip\..*cannot be written \("),
        ):
            write(folder / f"clip{suffix}", list(noise))
        assert list(folder.iterdir()) == []


def test_an_exception_leaves_nothing_open(tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        with pytest.raises(RuntimeError), VideoWriter(tmp_path / "clip.mp4", fps=NTSC) as writer:
            writer.write(patches())
            raise RuntimeError
        del writer
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


def test_no_frames_is_an_error(earlier: Path) -> None:
    with pytest.raises(UserError, match=r"clip\.mp4.*no frames"), VideoWriter(earlier, fps=NTSC):
        pass


def test_a_missing_encoder_is_named(earlier: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(av, "codecs_available", av.codecs_available - {"libx264"})
    with pytest.raises(UserError, match="libx264"):
        VideoWriter(earlier, fps=NTSC)


def test_terminating_the_program_leaves_the_earlier_file(earlier: Path) -> None:
    program = (
        "import sys, time, numpy as np; from fractions import Fraction; from pathlib import Path\n"
        "from engine.video_writer import VideoWriter\n"
        "with VideoWriter(Path(sys.argv[1]), fps=Fraction(25)) as writer:\n"
        "    while True:\n"
        "        writer.write(np.zeros((8, 8, 3), np.uint8))\n"
        "        print(flush=True)\n"
    )
    root = Path(__file__).parents[1]
    process = subprocess.Popen(
        [sys.executable, "-c", program, earlier],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=root,
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + signal.SIGTERM
    assert errors == ""


def test_folders_are_made(tmp_path: Path) -> None:
    path = write(tmp_path / "new" / "folder" / "clip.mp4", [patches()])
    assert [file.name for file in path.parent.iterdir()] == ["clip.mp4"]


def test_impossible_places_are_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.mp4").mkdir()
    for name in ("clip.wmv", "clip", "file/clip.mp4", "folder.mp4"):
        with pytest.raises(UserError, match=name):
            VideoWriter(tmp_path / name, fps=NTSC)


def test_a_folder_without_permission_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(UserError, match=r"clip\.mp4.*Permission denied"):
        VideoWriter(tmp_path / "clip.mp4", fps=NTSC)


def test_frames_of_another_size_or_type_are_refused(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "clip.mp4", fps=NTSC, size=(32, 192)) as writer:
        for frame in (patches()[:16], patches()[..., :1], patches().astype(float)):
            with pytest.raises(ValueError, match=r"\(32, 192, 3\)"):
                writer.write(frame)
        writer.write(patches())
