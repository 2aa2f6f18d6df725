"""A dataset is read before a long run, and what training would stumble over is named."""

import json
import shutil
from pathlib import Path
from typing import Any

import clips
import pytest
from commands import (
    Finished,
    frames_of_a_square,
    run_here,
    tiny_tree,
    write_config,
    write_folder,
)

from config.schema import load_config
from engine.build_data import build_dataset
from engine.video import open_video
from tools import check_data


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Of mixed sizes, some of no use."""
    root = tmp_path / "data"
    train = root / "train"
    train.mkdir(parents=True)
    clips.write(train / "ann#1.mp4", frames_of_a_square(0, size=48))
    clips.write(train / "ann#2.mp4", [frame[:32] for frame in frames_of_a_square(1, size=64)])
    write_folder(train / "bob#1", frames_of_a_square(2))
    write_folder(train / "still", frames_of_a_square(3, count=1))
    (train / "empty.mp4").touch()
    write_folder(root / "test" / "eve#1", frames_of_a_square(4))
    return root


def check(data: Path, *flags: object, **dataset_params: Any) -> Finished:
    config = config_of(data, **dataset_params)
    few = ("--seconds", 0.01, "--workers", 1)
    return run_here(check_data.main, "--config", config, *few, *flags)


def config_of(data: Path, **dataset_params: Any) -> Path:
    tree = tiny_tree(data)
    tree["dataset_params"] |= dataset_params
    return write_config(data.parent / "own.yaml", tree)


def cells(done: Finished) -> dict[str, list[str]]:
    """The lines of the table, by what they count."""
    lines = [line.rsplit(maxsplit=2) for line in done.stdout.splitlines()]
    return {line[0].strip(): line[1:] for line in lines if len(line) == 3}


def broken_video(path: Path) -> Path:
    """An H.264 video with zeros in its middle, whose ends can be read."""
    frames = clips.numbered(60, size=(64, 64))
    fast = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "10", "-movflags", "+faststart")
    content = bytearray(clips.encode(path, frames, *fast).read_bytes())
    middle, half = len(content) // 2, len(content) // 20
    content[middle - half : middle + half] = bytes(2 * half)
    path.write_bytes(content)
    return path


def test_a_dataset_is_counted_side_by_side(data: Path) -> None:
    done = check(data, id_sampling=True)
    assert done.code == 1
    table = cells(done)
    assert table["videos"] == ["5", "1"]
    assert table["of use"] == ["3", "1"]
    assert table["of one frame"] == table["unreadable"] == ["1", "0"]
    assert "broken midway" not in table
    assert table[".mp4"] == ["3", "0"]
    assert table["48 x 48"] == table["64 x 32"] == ["1", "0"]
    assert table["32 x 32"] == ["2", "1"]
    assert table["frames"] == ["37", "12"]
    assert table["of the longest"] == ["12", "12"]
    assert table["ids (the name up to '#')"] == ["4", "1"]
    assert table["with the most videos"] == ["2", "1"]
    assert "train/empty.mp4: not a readable video" in done.stdout
    assert "train/still: has one frame" in done.stdout
    assert "1 video of another aspect than frame_shape, 32 x 32" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("id_sampling", [True, False])
def test_the_epoch_foretold_is_that_of_training(data: Path, id_sampling: bool) -> None:
    pairs = len(build_dataset(load_config(config_of(data, id_sampling=id_sampling), []), seed=0))
    done = check(data, id_sampling=id_sampling)
    assert f"an epoch: {pairs // 2} steps of 2 pairs, " in done.stdout


def test_what_is_damaged_between_sound_ends_is_found(data: Path) -> None:
    train = data / "train"
    broken = broken_video(train / "broken.mp4")
    with open_video(broken) as reader:
        assert len(reader.frames([0, 59])) == 2
    odd = write_folder(train / "odd", frames_of_a_square(6))
    shutil.copy(train / "bob#1" / "000.png", odd / "0055.png")
    (odd / "005.png").write_bytes((odd / "005.png").read_bytes()[:60])
    done = check(data)
    assert done.code == 1
    assert cells(done)["broken midway"] == ["2", "0"]
    assert "train/broken.mp4: cannot be read from frame " in done.stdout
    assert "train/odd/005.png: not a readable image" in done.stdout


def test_a_quick_look_reads_few_frames(data: Path) -> None:
    write_folder(data / "train" / "sound", frames_of_a_square(6, count=60))
    damaged = write_folder(data / "train" / "damaged", frames_of_a_square(6, count=60))
    (damaged / "005.png").write_bytes(b"")
    assert cells(check(data, "--quick"))["of use"] == ["5", "1"]
    (damaged / "059.png").write_bytes(b"")
    assert cells(check(data, "--quick"))["broken midway"] == ["1", "0"]


def test_a_sound_dataset_ends_well_and_in_a_report(data: Path, tmp_path: Path) -> None:
    shutil.rmtree(data / "train" / "still")
    (data / "train" / "empty.mp4").unlink()
    done = check(data, "--json", tmp_path / "report.json", "--workers", 2)
    assert f"{data}: every video can be read" in done.output()
    report = json.loads((tmp_path / "report.json").read_text())
    assert [Path(one["video"]).name for one in report["train"]] == [
        "ann#1.mp4",
        "ann#2.mp4",
        "bob#1",
    ]
    assert report["train"][1] | {"video": ""} == {
        "video": "",
        "state": "of use",
        "height": 32,
        "width": 64,
        "frames": 12,
        "reason": "",
        "flaws": [],
    }


def test_what_is_on_both_sides_or_not_read_at_all_is_told(data: Path) -> None:
    shutil.copytree(data / "train" / "bob#1", data / "test" / "ann#3")
    write_folder(data / "test" / "deeper" / "deep", frames_of_a_square(5))
    (data / "test" / "empty").mkdir()
    (data / "Thumbs.db").touch()
    (data / ".DS_Store").touch()
    shutil.copy(data / "train" / "ann#1.mp4", data / "beside.mp4")
    told = check(data).stdout
    assert "1 id on both sides: ann" in told
    assert "1 video there more than once: train/bob#1 = test/ann#3" in told
    assert "passed over: beside.mp4, which lies beside train/ or test/" in told
    assert "passed over: test/deeper, which holds videos" in told
    assert "passed over: test/empty, which holds no images" in told
    assert "no videos by their names: 1 .db\n" in told
    assert "id_sampling=true" in told
    assert "id_sampling=true" not in check(data, id_sampling=True).stdout


def test_training_warns_of_videos_that_it_does_not_look_for(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = load_config(config_of(data), [])
    build_dataset(config, seed=0)
    assert caplog.messages == []
    write_folder(data / "train" / "deeper" / "deep", frames_of_a_square(5))
    build_dataset(config, seed=0)
    (message,) = caplog.messages
    assert str(data / "train" / "deeper") in message


def test_flaws_that_stop_nobody_are_told_and_are_no_error(tmp_path: Path) -> None:
    small = clips.encode(tmp_path / "a.ts", clips.numbered(6, size=(32, 32)))
    large = clips.encode(tmp_path / "b.ts", clips.numbered(6, size=(64, 64)))
    (tmp_path / "data").mkdir()
    grows = tmp_path / "data" / "grows.ts"
    grows.write_bytes(small.read_bytes() + large.read_bytes())
    write_folder(tmp_path / "data" / "sound", frames_of_a_square(6))
    done = check(tmp_path / "data")
    assert "grows.ts: its frames change size" in done.output()
    assert cells(done)["of use"] == ["1", "1"]


def test_a_dataset_without_a_test_side_is_read_nevertheless(data: Path) -> None:
    shutil.rmtree(data / "test")
    told = check(data).stdout
    assert f"no test videos: {data / 'test'}: no such folder" in told
    assert "train/empty.mp4: not a readable video" in told
