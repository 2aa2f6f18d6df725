"""Which test video is to move which."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import pytest

from engine.errors import UserError
from frames_dataset import AnimationPair, PairedDataset


def paths(*names: str) -> list[Path]:
    return [Path("test") / name for name in names]


def write_csv(path: Path, header: list[str], *rows: Sequence[object]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def pairs_of(dataset: PairedDataset) -> list[AnimationPair]:
    return [dataset[index] for index in range(len(dataset))]


def test_random_pairs_are_different_pairs_of_different_videos() -> None:
    videos = paths("a.mp4", "b.mp4", "c.mp4", "d.mp4")
    pairs = pairs_of(PairedDataset(videos, num_pairs=7, pairs_list=None, seed=0))
    assert len(pairs) == len(set(pairs)) == 7
    assert all(pair.source != pair.driving and pair.frame == 0 for pair in pairs)
    again = PairedDataset(videos[::-1], num_pairs=7, pairs_list=None, seed=0)
    assert pairs_of(again) == pairs
    other = PairedDataset(videos, num_pairs=7, pairs_list=None, seed=1)
    assert pairs_of(other) != pairs


def test_there_are_at_most_all_possible_random_pairs() -> None:
    videos = paths("a.mp4", "b.mp4", "c.mp4")
    pairs = pairs_of(PairedDataset(videos, num_pairs=50, pairs_list=None, seed=0))
    assert {(pair.source, pair.driving) for pair in pairs} == {
        (source, driving) for source in videos for driving in videos if source != driving
    }
    assert len(pairs) == 6


def test_a_single_video_drives_itself() -> None:
    (video,) = paths("a.mp4")
    dataset = PairedDataset([video], num_pairs=50, pairs_list=None, seed=0)
    assert pairs_of(dataset) == [AnimationPair(video, video, 0)]


def test_listed_pairs_come_in_order_with_names_with_or_without_endings(tmp_path: Path) -> None:
    a, b, folder = videos = paths("id1#a.mp4", "id2#b.mp4", "v1.2")
    pairs_list = write_csv(
        tmp_path / "pairs.csv",
        ["", "distance", "source", "driving", "frame"],
        [0, 0.5, "id2#b.mp4", "id1#a.mp4", 17],
        [1, 0.5, "id2#b", "missing.mp4", 3],
        [2, 0.5, "id1#a", "v1.2.mp4", ""],
        [3, 0.5, "v1.3", "id1#a.mp4", 0],
        [4, 0.5, "v1.2", "id2#b.gif", 2],
    )
    expected = [AnimationPair(b, a, 17), AnimationPair(a, folder, 0), AnimationPair(folder, b, 2)]
    for num_pairs, count in ((50, 3), (2, 2), (1, 1)):
        dataset = PairedDataset(videos, num_pairs=num_pairs, pairs_list=pairs_list, seed=0)
        assert pairs_of(dataset) == expected[:count]


def test_a_full_name_in_a_list_goes_before_one_without_its_ending(tmp_path: Path) -> None:
    gif, mp4 = paths("a.gif", "a.mp4")
    rows = [["a.gif", "a.mp4"], ["a.mp4", "a.gif"]]
    pairs_list = write_csv(tmp_path / "pairs.csv", ["source", "driving"], *rows)
    dataset = PairedDataset([gif, mp4], num_pairs=5, pairs_list=pairs_list, seed=0)
    assert pairs_of(dataset) == [AnimationPair(gif, mp4, 0), AnimationPair(mp4, gif, 0)]


def test_the_frame_column_may_be_absent(tmp_path: Path) -> None:
    a, b = paths("a.mp4", "b.mp4")
    pairs_list = write_csv(tmp_path / "pairs.csv", ["source", "driving"], ["a", "b"], ["a"])
    dataset = PairedDataset([a, b], num_pairs=5, pairs_list=pairs_list, seed=0)
    assert pairs_of(dataset) == [AnimationPair(a, b, 0)]


def test_a_list_that_is_no_use_is_named(tmp_path: Path) -> None:
    videos = paths("a.mp4", "b.mp4")

    def read(pairs_list: Path) -> PairedDataset:
        return PairedDataset(videos, num_pairs=5, pairs_list=pairs_list, seed=0)

    with pytest.raises(UserError, match=r"nowhere\.csv: .*pairs_list"):
        read(tmp_path / "nowhere.csv")
    with pytest.raises(UserError, match=r"no\.csv: no column driving"):
        read(write_csv(tmp_path / "no.csv", ["distance", "source"], [1, "a"]))
    with pytest.raises(UserError, match=r"other\.csv: no row names two of the 2 test videos"):
        read(write_csv(tmp_path / "other.csv", ["source", "driving"], ["c", "d"]))
    with pytest.raises(UserError, match=r"odd\.csv:3: frame '-1'"):
        header = ["source", "driving", "frame"]
        read(write_csv(tmp_path / "odd.csv", header, ["a", "b", 1], ["a", "b", -1]))
    with pytest.raises(UserError, match=r"endless\.csv:2: frame '9+\.\.\.9+' is no frame number"):
        read(write_csv(tmp_path / "endless.csv", header, ["a", "b", "9" * 5000]))
    with pytest.raises(UserError, match=r"twice\.csv: two columns source; rename or remove one"):
        read(write_csv(tmp_path / "twice.csv", ["source", "source", "driving"], ["a", "b", "a"]))
    for content in (b"", b"\xef\xbb\xbf", b"\n\n"):
        (tmp_path / "empty.csv").write_bytes(content)
        with pytest.raises(UserError, match=r"empty\.csv: no column driving or source; name them"):
            read(tmp_path / "empty.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x81source")
    with pytest.raises(UserError, match=r"binary\.csv: not a readable CSV"):
        read(tmp_path / "binary.csv")


def test_a_file_too_large_for_a_list_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    with path.open("wb") as file:
        file.truncate(2**32)
    with pytest.raises(UserError, match=r"pairs.csv: more than 64 MiB"):
        PairedDataset([Path("a.mp4")], num_pairs=1, pairs_list=path, seed=0)
