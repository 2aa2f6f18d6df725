"""reconstruction.py rebuilds each test video from its first frame, and scores the result."""

import json
from pathlib import Path

import clips
import numpy as np
import pytest
import torch
from by_hand import ABSOLUTE, animated, as_tensor, assert_same, saved_frames
from commands import (
    GOLDEN_SIZE,
    files_below,
    frames_of_a_square,
    golden_checkpoint,
    golden_tree,
    run_here,
    run_process,
    torchrun,
    write_config,
    write_folder,
)
from golden_files import NAMES, load_golden

import evaluate
import reconstruction
from engine import distributed
from engine.video import open_video

COUNTS = {"a": 3, "b": 6, "c": 5}  # frames of each test video


@pytest.fixture
def videos(tmp_path: Path) -> dict[str, list[np.ndarray]]:
    """The frames of a dataset's three test videos, two folders and a file, as they decode."""
    found = {}
    for number, (name, count) in enumerate(COUNTS.items()):
        frames = frames_of_a_square(number, count=count, size=GOLDEN_SIZE)
        path = tmp_path / "data" / "test" / name
        if name == "b":
            path = clips.write(path.with_suffix(".mp4"), frames)
        else:
            write_folder(path, frames)
        with open_video(path) as video:
            found[name] = list(video)
    return found


def arguments(tmp_path: Path, *flags: object, name: str = NAMES[0]) -> list[object]:
    config = write_config(tmp_path / "golden.yaml", golden_tree(name, tmp_path / "data"))
    log_dir = ["--log_dir", tmp_path / "log"]
    return ["--config", config, "--checkpoint", golden_checkpoint(name), *log_dir, *flags]


def rebuild(tmp_path: Path, *flags: object, name: str = NAMES[0]) -> Path:
    """Run the command and return the folder of its results."""
    device = ["--device", "cpu"]
    done = run_here(reconstruction.main, *arguments(tmp_path, *flags, *device, name=name))
    folder = tmp_path / "log" / "reconstruction"
    assert done.output().startswith(f"{folder}: ")
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_frames_videos_and_report(
    tmp_path: Path, videos: dict[str, list[np.ndarray]], name: str
) -> None:
    report = tmp_path / "reports" / "l1.json"
    folder = rebuild(tmp_path, "--json", report, name=name)
    networks = load_golden(name).networks
    rows = []
    for video, images in videos.items():
        truth = torch.stack([as_tensor(image) for image in images])
        expected = animated(networks, truth[0], list(truth), ABSOLUTE)
        written = saved_frames(folder / "png" / video)
        assert_same(written, expected)

        with open_video(folder / f"{video}.mp4") as result:
            assert (result.height, result.width) == (GOLDEN_SIZE, 2 * GOLDEN_SIZE)
            assert result.fps == (clips.NTSC if video == "b" else 25)
            shown = torch.stack([as_tensor(frame) for frame in result])
        beside = torch.cat([truth, expected], dim=3)
        assert shown.shape == beside.shape
        assert (shown - beside).abs().mean().item() < 0.05

        l1, copy_l1 = ((truth - other).abs().mean().item() for other in (written, truth[:1]))
        rows.append({"num_frames": len(images), "l1": l1, "copy_l1": copy_l1})

    content = json.loads(report.read_text())
    assert content["seconds"] > 0
    assert content["checkpoint"] == str(golden_checkpoint(name))
    assert [row["name"] for row in content["videos"]] == list(videos)
    for found, row in zip(content["videos"], rows, strict=True):
        assert {key: found[key] for key in row} == pytest.approx(row, rel=1e-4)
    assert content["num_frames"] == sum(COUNTS.values())
    for key in ("l1", "copy_l1"):
        mean = np.average([row[key] for row in rows], weights=list(COUNTS.values()))
        assert content[key] == pytest.approx(mean, rel=1e-4)


def test_evaluate_finds_the_same_numbers_in_the_frames_that_were_written(
    tmp_path: Path, videos: dict[str, list[np.ndarray]]
) -> None:
    report, again = tmp_path / "rebuilt.json", tmp_path / "evaluated.json"
    folder = rebuild(tmp_path, "--json", report)
    truths = tmp_path / "data" / "test"
    run_here(evaluate.main, folder / "png", truths, "--device", "cpu", "--json", again).output()
    rebuilt, evaluated = (json.loads(path.read_text()) for path in (report, again))
    for key in ("num_frames", "l1", "copy_l1", "psnr", "ssim", "temporal", "videos", "skipped"):
        assert rebuilt[key] == evaluated[key]


def test_networks_that_give_no_numbers_are_named(
    tmp_path: Path, videos: dict[str, list[np.ndarray]]
) -> None:
    """And nothing is written in their name."""
    state = torch.load(golden_checkpoint(NAMES[0]), weights_only=True)
    state["generator"]["first.conv.weight"][:] = 1e38  # Finite, but their sums are not.
    tree = golden_tree(NAMES[0], tmp_path / "data")
    torch.save({**state, "config": tree}, tmp_path / "x.pth.tar")
    done = run_here(reconstruction.main, "--checkpoint", tmp_path / "x.pth.tar")
    assert done.error().startswith("the networks predict NaN or infinite values")
    assert not (tmp_path / "reconstruction" / "a.mp4").exists()


def test_the_command_itself(tmp_path: Path, videos: dict[str, list[np.ndarray]]) -> None:
    """From a folder that is not the project's; stdout holds the scores."""
    report = tmp_path / "l1.json"
    flags = ["--json", report, "--weights", tmp_path]
    done = run_process("reconstruction", *arguments(tmp_path, *flags), cwd=tmp_path)
    content = json.loads(report.read_text())
    folder, heads, *rows, skipped, scores = done.output().splitlines()
    assert [row.split()[0] for row in rows] == [*videos, "all"]
    assert len({len(line) for line in (heads, *rows)}) == 1
    assert skipped.startswith("lpips: skipped; put ")
    assert folder == f"{tmp_path / 'log' / 'reconstruction'}: 3 videos, 14 frames"
    expected = f"L1 {content['l1']:.4f}; copying each video's first frame: {content['copy_l1']:.4f}"
    assert scores == expected


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_no_more_videos_than_asked_for(
    tmp_path: Path, videos: dict[str, list[np.ndarray]], count: int
) -> None:
    folder = rebuild(tmp_path, "--set", f"reconstruction_params.num_videos={count}")
    expected = sorted(videos)[:count]
    assert sorted(path.stem for path in folder.glob("*.mp4")) == expected
    assert sorted(path.name for path in (folder / "png").iterdir()) == expected


@pytest.mark.parametrize("count", [1, 4, 100])
def test_no_more_frames_than_asked_for(
    tmp_path: Path, videos: dict[str, list[np.ndarray]], count: int
) -> None:
    report = tmp_path / "l1.json"
    folder = rebuild(
        tmp_path, "--json", report, "--set", f"reconstruction_params.max_frames={count}"
    )
    for row in json.loads(report.read_text())["videos"]:
        assert row["num_frames"] == min(count, COUNTS[row["name"]])
        assert len(saved_frames(folder / "png" / row["name"])) == row["num_frames"]
        with open_video(folder / f"{row['name']}.mp4") as result:
            assert result.num_frames == row["num_frames"]


def test_results_lie_beside_the_checkpoint_in_the_format_asked_for(
    tmp_path: Path, videos: dict[str, list[np.ndarray]]
) -> None:
    """And a checkpoint that carries its configuration needs no other."""
    tree = golden_tree(NAMES[0], tmp_path / "data")
    tree["reconstruction_params"] = {"format": ".gif", "num_videos": 1}
    state = torch.load(golden_checkpoint(NAMES[0]), weights_only=True)
    (tmp_path / "run").mkdir()
    checkpoint = tmp_path / "run" / "x.pth.tar"
    torch.save({**state, "config": tree}, checkpoint)
    run_here(reconstruction.main, "--checkpoint", checkpoint).output()
    folder = tmp_path / "run" / "reconstruction"
    assert {path.name for path in folder.iterdir()} == {"a.gif", "png"}
    with open_video(folder / "a.gif") as result:
        assert (result.num_frames, result.width) == (COUNTS["a"], 2 * GOLDEN_SIZE)


def test_processes_share_videos_out(
    tmp_path: Path, videos: dict[str, list[np.ndarray]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each video is rebuilt by one of them, and the first alone reports."""
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.setattr(distributed, "gather_items", list)
    for rank, share in ((0, ["a", "c"]), (1, ["b"])):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        log_dir = tmp_path / f"log-{rank}"
        flags = ["--log_dir", log_dir, "--json", log_dir / "l1.json", "--device", "cpu"]
        output = run_here(reconstruction.main, *arguments(tmp_path), *flags).output()
        assert (output != "") == (log_dir / "l1.json").is_file() == (rank == 0)
        names = [path.stem for path in sorted((log_dir / "reconstruction").glob("*.mp4"))]
        assert names == share


@pytest.mark.slow
def test_two_processes_report_as_one_would(
    tmp_path: Path, videos: dict[str, list[np.ndarray]]
) -> None:
    alone, report = tmp_path / "alone.json", tmp_path / "two.json"
    flags = ["--json", report, "--device", "cpu", "--weights", tmp_path]
    done = torchrun(2, "reconstruction.py", *arguments(tmp_path, *flags), cwd=tmp_path)
    folder = tmp_path / "log" / "reconstruction"
    assert done.output().count(f"{folder}: 3 videos, 14 frames\n") == 1
    found = files_below(folder)
    rebuild(tmp_path, "--json", alone, "--weights", tmp_path)
    one, two = (json.loads(path.read_text()) for path in (alone, report))
    assert {**two, "seconds": 0} == {**one, "seconds": 0}
    assert found == files_below(folder)
