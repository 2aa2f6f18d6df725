"""Which videos a dataset has, and which of them are for training and which for testing."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from flat_videos import NUM_FRAMES, make_frames, write_folder

from engine.errors import UserError
from engine.listing import lost_videos, passed_over
from frames_dataset import list_videos, split_videos


def test_videos_are_listed_by_name_whatever_the_order_on_disk(tmp_path: Path) -> None:
    for name in ("c.png", "a.gif", "b.mp4", ".hidden.png", "notes.txt", "pairs.csv"):
        (tmp_path / name).touch()
    write_folder(tmp_path / "aa", make_frames())
    write_folder(tmp_path / ".cache", make_frames())
    assert [video.name for video in list_videos(tmp_path)] == ["a.gif", "aa", "b.mp4", "c.png"]


def test_a_missing_or_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere: no such folder.*root_dir"):
        list_videos(tmp_path / "nowhere")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError, match=r"holds no videos"):
        list_videos(tmp_path)


def test_a_folder_of_folders_of_videos_says_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "person").mkdir()
    (tmp_path / "person" / "a.mp4").touch()
    with pytest.raises(UserError, match=r"but folders that do, such as person; .*move videos up"):
        list_videos(tmp_path)


def test_what_is_not_read_is_known(tmp_path: Path) -> None:
    """Files that are no videos, folders that are none, and what lies beside train/ and test/."""
    for name in ("train/a.mp4", "train/a.txt", "test/deeper/b.mp4", "c.mp4", ".hidden"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    over = ["c.mp4", "empty", "test/deeper", "train/a.txt"]
    assert passed_over(tmp_path) == [tmp_path / name for name in over]
    assert lost_videos(tmp_path) == [tmp_path / "c.mp4", tmp_path / "test/deeper"]
    assert passed_over(tmp_path / "train") == [tmp_path / "train/a.txt"]
    assert lost_videos(tmp_path / "test" / "deeper") == []


def test_a_folder_that_may_not_be_read_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk has such: lost+found. Not by its mode, which does not stop the superuser."""
    closed = write_folder(tmp_path / "closed", make_frames())
    write_folder(tmp_path / "open", make_frames())
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != closed)
    assert list_videos(tmp_path) == [tmp_path / "open"]
    assert passed_over(tmp_path) == [closed]
    assert lost_videos(tmp_path) == []


def test_train_and_test_folders_are_used_where_they_exist(tmp_path: Path) -> None:
    for side, name in (("train", "a.png"), ("test", "b.png")):
        (tmp_path / side).mkdir()
        (tmp_path / side / name).touch()
    assert split_videos(tmp_path, "train", id_sampling=False) == [tmp_path / "train" / "a.png"]
    assert split_videos(tmp_path, "test", id_sampling=False) == [tmp_path / "test" / "b.png"]


def test_one_folder_alone_serves_its_side_and_is_no_video_of_the_other(tmp_path: Path) -> None:
    write_folder(tmp_path / "train", make_frames())
    assert len(split_videos(tmp_path, "train", id_sampling=False)) == NUM_FRAMES
    with pytest.raises(UserError, match=r"test: no such folder beside train/"):
        split_videos(tmp_path, "test", id_sampling=False)


def names_of_split(root: Path, *, id_sampling: bool = False) -> tuple[list[str], list[str]]:
    train = split_videos(root, "train", id_sampling=id_sampling)
    test = split_videos(root, "test", id_sampling=id_sampling)
    return [video.name for video in train], [video.name for video in test]


def test_the_split_depends_on_names_alone(tmp_path: Path) -> None:
    names = [f"{number:02d}.png" for number in range(20)]
    for folder, order in (("one", names), ("two", names[::-1])):
        (tmp_path / folder).mkdir()
        for name in order:
            (tmp_path / folder / name).touch()
    np.random.seed(1)  # noqa: NPY002
    train, test = names_of_split(tmp_path / "one")
    np.random.seed(2)  # noqa: NPY002
    assert names_of_split(tmp_path / "two") == (train, test)
    assert (len(train), len(test)) == (16, 4)
    assert sorted(train + test) == names
    assert train == sorted(train)
    assert test not in (names[:4], names[-4:])


def test_the_split_does_not_trust_the_order_of_the_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        (tmp_path / f"{number:02d}.png").touch()
    expected = names_of_split(tmp_path)
    files = sorted(tmp_path.iterdir(), key=lambda path: path.name[::-1])
    monkeypatch.setattr(Path, "iterdir", lambda self: iter(files))
    assert names_of_split(tmp_path) == expected


@pytest.mark.parametrize("count", [2, 3, 4, 7])
def test_both_sides_of_a_split_hold_something(tmp_path: Path, count: int) -> None:
    for number in range(count):
        (tmp_path / f"{number}.png").touch()
    train, test = names_of_split(tmp_path)
    assert train and test
    assert len(train) + len(test) == count


def test_one_video_cannot_be_split(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(UserError, match=r"holds one video.*needs two"):
        split_videos(tmp_path, "train", id_sampling=False)


def test_no_identity_stands_on_both_sides(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"id{number % 10}#{number}.mp4").touch()
    train, test = names_of_split(tmp_path, id_sampling=True)
    train_ids = {name.split("#")[0] for name in train}
    test_ids = {name.split("#")[0] for name in test}
    assert (len(train_ids), len(test_ids)) == (8, 2)
    assert not train_ids & test_ids
    assert len(train) + len(test) == 30


def test_one_identity_cannot_be_split(tmp_path: Path) -> None:
    for name in ("a#1.mp4", "a#2.mp4"):
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=r"holds one id"):
        split_videos(tmp_path, "test", id_sampling=True)
