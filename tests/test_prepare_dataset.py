"""A person's own videos become what training reads fastest."""

import errno
import itertools
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import clips
import pytest
from commands import NUM_FRAMES, files_below, frames_of_a_square, run_here, write_dataset
from commands import write_folder as folder_of_frames
from PIL import Image

from engine.errors import UserError
from engine.video import open_video
from frames_dataset import list_videos
from tools import prepare_dataset
from tools.dataset.processes import in_processes


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Of mixed sizes, some of no use."""
    root = tmp_path / "videos"
    root.mkdir()
    clips.write(root / "ann#1.mp4", frames_of_a_square(0, size=48))
    clips.write(root / "ann#2.mp4", [frame[:32] for frame in frames_of_a_square(1, size=64)])
    folder_of_frames(root / "bob#1", frames_of_a_square(2))
    folder_of_frames(root / "still", frames_of_a_square(3, count=1))
    (root / "broken.mp4").write_bytes((root / "ann#1.mp4").read_bytes()[:300])
    return root


def prepare(videos: Path, out: Path, *flags: object) -> str:
    arguments = ("--videos", videos, "--out", out, "--size", 32, "--workers", 1, *flags)
    return run_here(prepare_dataset.main, *arguments).output()


def test_videos_become_folders_of_square_frames(videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert "3 videos made, 0 were there, 2 skipped" in prepare(videos, out)
    made = list_videos(out)
    assert [video.name for video in made] == ["ann#1", "ann#2", "bob#1"]
    for video in made:
        with open_video(video, frame_size=(32, 32)) as reader:
            assert (reader.height, reader.width, reader.num_frames) == (32, 32, 12)
    # Cut, not stretched: the square at hand is still as large as it was.
    with open_video(out / "bob#1", frame_size=(32, 32)) as reader:
        difference = reader.frames([3])[0].astype(int) - frames_of_a_square(2)[3]
    assert abs(difference).mean() < 4
    skipped = (out / "skipped.txt").read_text().splitlines()
    assert [line.split(": ")[0] for line in skipped] == [
        str(videos / "broken.mp4"),
        str(videos / "still"),
    ]


def test_a_second_run_makes_only_what_is_missing(videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(videos, out)
    before = (out / "ann#1" / "000000.jpg").stat().st_mtime_ns
    (out / "bob#1").rename(tmp_path / "gone")
    assert "1 video made, 2 were there, 2 skipped" in prepare(videos, out)
    assert (out / "ann#1" / "000000.jpg").stat().st_mtime_ns == before
    assert (out / "bob#1").is_dir()
    assert not list(out.glob(".partial-*"))


def test_a_full_disk_is_one_line_and_leaves_no_half_video(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    out = tmp_path / "out"
    with monkeypatch.context() as full:
        full.setattr(Image.Image, "save", fill)
        done = run_here(prepare_dataset.main, "--videos", videos, "--out", out, "--workers", 1)
    assert "cannot be written (No space left on device); make room" in done.error()
    assert not [path for path in out.rglob("*") if path.suffix == ".jpg" or "partial" in path.name]
    assert "3 videos made, 0 were there" in prepare(videos, out)


def test_sides_are_kept_and_two_of_a_name_refused(videos: Path, tmp_path: Path) -> None:
    root = write_dataset(tmp_path / "data")
    prepare(root, tmp_path / "out")
    assert len(list_videos(tmp_path / "out" / "train")) == 4
    assert len(list_videos(tmp_path / "out" / "test")) == 2
    folder_of_frames(videos / "ann#1", frames_of_a_square(2))
    arguments = ("--videos", videos, "--out", tmp_path / "other")
    assert "rename one" in run_here(prepare_dataset.main, *arguments).error()


def test_a_run_that_was_killed_goes_on_to_the_same_files(videos: Path, tmp_path: Path) -> None:
    """Killed in the midst of a video, when another one is done."""
    prepare(videos, tmp_path / "whole")
    out = tmp_path / "killed"
    fork = multiprocessing.get_context("fork")
    killed = fork.Process(target=prepare_until_killed, args=(videos, out))
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    assert [folder.name for folder in list_videos(out)] == ["ann#1"]
    assert len(list(out.rglob("000001.jpg"))) == 2  # of the other one, hidden, a part
    assert "2 videos made, 1 were there, 2 skipped" in prepare(videos, out)
    assert files_below(out) == files_below(tmp_path / "whole")


def prepare_until_killed(videos: Path, out: Path) -> None:
    saved = itertools.count(1)
    save = Image.Image.save

    def kill_at_last(*arguments: Any, **options: Any) -> None:
        if next(saved) > NUM_FRAMES + 5:
            os.kill(os.getpid(), signal.SIGKILL)
        save(*arguments, **options)

    with patch.object(Image.Image, "save", kill_at_last):
        prepare(videos, out)


def test_other_settings_are_not_mixed_in(videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(videos, out)
    before = files_below(out)
    for flags, told in ((("--size", 64), "size 32, not 64"), (("--crop", "0,0,9,9"), "crop None")):
        arguments = ("--videos", videos, "--out", out, "--size", 32, *flags)
        assert told in run_here(prepare_dataset.main, *arguments).error()
    assert files_below(out) == before


@pytest.mark.parametrize("name", ["skipped.txt", ".partial/mine.jpg", "ann#1/000000.jpg"])
def test_a_folder_that_it_did_not_begin_is_left_alone(
    name: str, videos: Path, tmp_path: Path
) -> None:
    """Not even one that has its names, as what versions without a record made has."""
    out = tmp_path / "out"
    (out / name).parent.mkdir(parents=True)
    (out / name).write_bytes(b"a person's own\r\n")
    before = files_below(tmp_path)
    done = run_here(prepare_dataset.main, "--videos", videos, "--out", out, "--workers", 1)
    assert done.error() == (
        f"--out {out}: is not empty and was not begun by this command; name a new folder"
    )
    assert files_below(tmp_path) == before


def test_an_empty_folder_will_do(videos: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert "3 videos made, 0 were there" in prepare(videos, tmp_path / "out")


def test_videos_are_not_prepared_where_they_are(videos: Path) -> None:
    before = files_below(videos)
    arguments = ("--videos", videos, "--out", videos)
    assert "choose another --out" in run_here(prepare_dataset.main, *arguments).error()
    assert files_below(videos) == before


def test_videos_that_lie_deeper_are_told_of(videos: Path, tmp_path: Path) -> None:
    (videos / "more").mkdir()
    (videos / "broken.mp4").rename(videos / "more" / "deep.mp4")
    (videos / "Thumbs.db").touch()
    assert "1 skipped, with videos passed over: 1" in prepare(videos, tmp_path / "out")
    *_, last = (tmp_path / "out" / "skipped.txt").read_text().splitlines()
    assert last.startswith(f"{videos / 'more'}: not looked into")


def double(number: int) -> int:
    return 2 * number


def end_at_three(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def refuse_three(number: int) -> int:
    if number == 3:
        raise UserError("three: is refused")
    return number


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_jobs_and_errors_as_they_are(workers: int) -> None:
    def results(work: Callable[[int], int]) -> list[int]:
        return list(in_processes(work, range(6), workers=workers, what="numbers"))

    assert results(double) == [0, 2, 4, 6, 8, 10]
    with pytest.raises(UserError, match="three: is refused"):
        results(refuse_three)


def test_a_process_that_is_killed_is_one_line() -> None:
    with pytest.raises(UserError, match=r"numbers: a process was killed.*lower --workers 2"):
        list(in_processes(end_at_three, range(6), workers=2, what="numbers"))


@pytest.mark.parametrize("content", ["", "{", "[1]", "[" * 100_000, "null"])
def test_damaged_settings_are_named(videos: Path, tmp_path: Path, content: str) -> None:
    out = tmp_path / "out"
    prepare(videos, out)
    (out / ".prepared.json").write_text(content)
    arguments = ("--videos", videos, "--out", out, "--size", 32, "--workers", 1)
    error = run_here(prepare_dataset.main, *arguments).error()
    assert error.startswith(f"{out / '.prepared.json'}: damaged; ")


def test_no_key_of_a_config_is_named(tmp_path: Path) -> None:
    arguments = ("--videos", tmp_path / "none", "--out", tmp_path / "out")
    error = run_here(prepare_dataset.main, *arguments).error()
    assert error == f"{tmp_path / 'none'}: no such folder; name the folder of videos by --videos"
