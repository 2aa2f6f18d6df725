"""A person's own videos: prepared for training, and checked before it."""

import errno
import os
from pathlib import Path

import clips
import pytest
from commands import frames_of_a_square, run_here, tiny_tree, write_config, write_dataset
from commands import write_folder as folder_of_frames
from PIL import Image

from engine.video import open_video
from frames_dataset import list_videos
from tools import check_data, prepare_dataset


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
        with open_video(video, frame_width=32) as reader:
            assert (reader.height, reader.width, reader.num_frames) == (32, 32, 12)
    # Cut, not stretched: the square at hand is still as large as it was.
    with open_video(out / "bob#1", frame_width=32) as reader:
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
    assert "1 videos made, 2 were there, 2 skipped" in prepare(videos, out)
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


def test_a_dataset_is_described_and_what_is_of_no_use_is_named(
    videos: Path, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    videos.rename(tmp_path / "data" / "train")
    folder_of_frames(tmp_path / "data" / "test" / "eve#1", frames_of_a_square(4))
    tree = tiny_tree(tmp_path / "data")
    tree["dataset_params"]["id_sampling"] = True
    config = write_config(tmp_path / "own.yaml", tree)
    done = run_here(check_data.main, "--config", config, "--seconds", 0.01)
    assert done.code == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith("train: 5 videos, 3 of use; 3 .mp4, 2 frame folders")
    assert "  width x height: 1 48 x 48, 1 64 x 32, 1 32 x 32" in lines
    not_of_use = [line for line in lines if "not of use" in line]
    assert ["broken.mp4" in line or "one frame" in line for line in not_of_use] == [True, True]
    # Two ids are left, twice each, in batches of two.
    assert any(line.startswith("  an epoch: 4 pairs in 2 steps;") for line in lines)
    assert any(line.startswith("test: 1 videos, 1 of use") for line in lines)
