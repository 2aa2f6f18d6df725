"""evaluate.py scores a folder of results against a folder of truths."""

import json
import os
from pathlib import Path

import clips
import numpy as np
import pytest
import tifffile
import torch
from commands import (
    Finished,
    frames_of_a_square,
    run_here,
    run_process,
    write_folder,
    write_stack,
)
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

import evaluate
from engine import result_folders
from engine.errors import UserError
from engine.scoring import PixelMetrics, Series, VideoScore, score_video, total_means

QUIET = ("--device", "cpu", "--lpips", "none")
COUNTS = {"a": 4, "b": 6, "c": 5}


def degraded(frames: list[np.ndarray], seed: int) -> list[np.ndarray]:
    noise = np.random.default_rng(seed).normal(0, 12, (len(frames), *frames[0].shape))
    return list(np.clip(frames + noise, 0, 255).astype(np.uint8))


@pytest.fixture
def truths() -> dict[str, list[np.ndarray]]:
    names = enumerate(COUNTS.items())
    return {name: frames_of_a_square(number, count=count) for number, (name, count) in names}


@pytest.fixture
def results(truths: dict[str, list[np.ndarray]]) -> dict[str, list[np.ndarray]]:
    return {name: degraded(frames, seed) for seed, (name, frames) in enumerate(truths.items())}


@pytest.fixture
def folders(
    tmp_path: Path, truths: dict[str, list[np.ndarray]], results: dict[str, list[np.ndarray]]
) -> tuple[Path, Path]:
    """Results and truths without loss, a folder of frames or an image of frames each."""
    for side, videos in (("results", results), ("truths", truths)):
        write_folder(tmp_path / side / "a", videos["a"])
        write_stack(tmp_path / side / "b.png", videos["b"])
    write_stack(tmp_path / "results" / "c.png", results["c"])
    write_folder(tmp_path / "truths" / "c", truths["c"])
    return tmp_path / "results", tmp_path / "truths"


def run_on(folders: tuple[Path, Path], *flags: object) -> Finished:
    return run_here(evaluate.main, *folders, "--device", "cpu", "--lpips", "none", *flags)


def report_of(folders: tuple[Path, Path], *flags: object) -> dict:
    report = folders[0].parent / "scores.json"
    run_on(folders, "--json", report, *flags).output()
    return json.loads(report.read_text())


def by_skimage(result: list[np.ndarray], truth: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Each metric of each frame, from bytes; the temporal error from frame 1 on."""
    p, g = np.stack(result) / 255, np.stack(truth) / 255
    ssim = [
        structural_similarity(
            *frames,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=1,
            channel_axis=2,
        )
        for frames in zip(p, g, strict=True)
    ]
    psnr = [peak_signal_noise_ratio(b, a, data_range=1) for a, b in zip(p, g, strict=True)]
    return {
        "l1": np.abs(p - g).mean(axis=(1, 2, 3)),
        "copy_l1": np.abs(g - g[:1]).mean(axis=(1, 2, 3)),
        "psnr": np.array(psnr),
        "ssim": np.array(ssim),
        "temporal": np.abs(np.diff(p, axis=0) - np.diff(g, axis=0)).mean(axis=(1, 2, 3)),
    }


def test_every_number_is_that_of_scikit_image_and_numpy(
    folders: tuple[Path, Path],
    results: dict[str, list[np.ndarray]],
    truths: dict[str, list[np.ndarray]],
) -> None:
    """Per frame, per video and over all frames, each frame counting the same."""
    report = report_of(folders)
    expected = {name: by_skimage(results[name], truths[name]) for name in COUNTS}
    assert [video["name"] for video in report["videos"]] == list(COUNTS)
    assert report["num_frames"] == sum(COUNTS.values())
    for video in report["videos"]:
        for kind, values in expected[video["name"]].items():
            shown = video["frames"][kind]
            if kind == "temporal":
                assert shown.pop(0) is None
            np.testing.assert_allclose(shown, values, rtol=1e-3, atol=1e-5)
            assert video[kind] == pytest.approx(values.mean(), rel=1e-4)
    for kind in expected["a"]:
        every = np.concatenate([values[kind] for values in expected.values()])
        assert report[kind] == pytest.approx(every.mean(), rel=1e-4)
        assert report["definitions"][kind]


def test_the_command_itself(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """It names what it lacks for LPIPS, and what to put where."""
    nothing = tmp_path / "nothing"
    done = run_process("evaluate", *folders, "--weights", nothing, cwd=tmp_path)
    heads, *rows, skipped = done.output().splitlines()
    assert " ".join(heads.split()) == "video frames L1 copy L1 PSNR dB SSIM temporal"
    assert [row.split()[:2] for row in rows] == [
        *([name, str(count)] for name, count in COUNTS.items()),
        ["all", str(sum(COUNTS.values()))],
    ]
    assert skipped.startswith("lpips: skipped; put https://")
    assert f"at {nothing}/vgg16-397923af.pth, or name its folder with --weights" in skipped


def test_perfect_results_are_perfect(folders: tuple[Path, Path]) -> None:
    report = report_of((folders[1], folders[1]))
    assert (report["l1"], report["temporal"], report["psnr"]) == (0, 0, 100)
    assert report["ssim"] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("change", ["permuted", "late", "shifted", "swapped"])
def test_what_is_out_of_place_scores_worse(
    folders: tuple[Path, Path], results: dict[str, list[np.ndarray]], change: str
) -> None:
    before = report_of(folders)
    for file in (folders[0] / "a").iterdir():
        file.unlink()
    (folders[0] / "a").rmdir()
    frames = results["a"]
    if change == "permuted":
        frames = [frames[index] for index in (2, 0, 3, 1)]
    elif change == "late":
        frames = frames[-1:] + frames[:-1]
    elif change == "shifted":
        frames = [np.roll(frame, 5, axis=1) for frame in frames]
    else:
        frames = results["b"][: len(frames)]
    write_folder(folders[0] / "a", frames)
    after = report_of(folders)
    for kind in ("l1", "temporal") if change != "shifted" else ("l1",):
        assert after["videos"][0][kind] > before["videos"][0][kind]
    for kind in ("psnr", "ssim"):
        assert after["videos"][0][kind] < before["videos"][0][kind]
    assert after["videos"][1:] == before["videos"][1:]


def test_videos_of_any_kind_match_by_name(
    tmp_path: Path, truths: dict[str, list[np.ndarray]]
) -> None:
    """Compressed ones too, and a folder whose name has a dot."""
    clips.write(tmp_path / "results" / "a.mp4", truths["a"])
    clips.write(tmp_path / "truths" / "a.mkv", truths["a"])
    write_folder(tmp_path / "results" / "id#v1.2", truths["b"])
    write_stack(tmp_path / "truths" / "id#v1.2.png", truths["b"])
    report = report_of((tmp_path / "results", tmp_path / "truths"))
    assert [(video["name"], video["l1"]) for video in report["videos"]] == [
        ("a", 0),
        ("id#v1.2", 0),
    ]


# ----- what does not match


def test_missing_extra_shorter_and_longer_are_named_all_at_once(
    folders: tuple[Path, Path], truths: dict[str, list[np.ndarray]]
) -> None:
    (folders[0] / "b.png").unlink()
    write_stack(folders[0] / "more.png", truths["a"])
    (folders[0] / "a" / "003.png").unlink()
    write_folder(folders[0] / "d", truths["a"])
    write_folder(folders[1] / "d", truths["a"][:2])
    error = run_on(folders).error()
    assert error == (
        "a: shorter, 3 frames where the truth has 4; "
        f"b: missing in {folders[0]}; "
        "d: longer, 4 frames where the truth has 2; "
        f"more: extra, {folders[1]} has no such video; "
        "mend that, or score the rest with --partial"
    )
    done = run_on(folders, "--partial").output().splitlines()
    assert [line.split()[:2] for line in done[1:5]] == [
        *(["a", "3"], ["c", "5"], ["d", "2"]),
        ["all", "10"],
    ]
    assert len(done) == 9
    assert done[6] == f"not scored as a whole: b: missing in {folders[0]}"
    assert report_of(folders, "--partial")["unmatched"][1] == f"b: missing in {folders[0]}"


def test_nothing_left_to_score_is_an_error(
    tmp_path: Path, truths: dict[str, list[np.ndarray]]
) -> None:
    write_folder(tmp_path / "results" / "a", truths["a"])
    write_folder(tmp_path / "truths" / "b", truths["b"])
    error = run_on((tmp_path / "results", tmp_path / "truths"), "--partial").error()
    assert "nothing is left to score" in error


def test_frames_of_two_sizes_are_compared_only_at_a_size_that_is_named(
    tmp_path: Path, truths: dict[str, list[np.ndarray]]
) -> None:
    write_folder(tmp_path / "results" / "a", frames_of_a_square(0, count=4, size=64))
    write_folder(tmp_path / "truths" / "a", truths["a"])
    folders = (tmp_path / "results", tmp_path / "truths")
    assert "frames of 64x64 pixels, but those of" in run_on(folders).error()
    report = report_of(folders, "--size", "32x32")
    assert 0 < report["l1"] < 0.5
    assert report_of(folders, "--size", "16")["l1"] != report["l1"]


@pytest.mark.parametrize("size", ["0x4", "big", "4x4x4", "-3", ""])
def test_sizes_that_are_none(folders: tuple[Path, Path], size: str) -> None:
    assert (
        run_on(folders, f"--size={size}").error().startswith(f"--size {size}: ".replace("  ", " "))
    )


def test_frames_too_small_for_a_window_are_named(tmp_path: Path) -> None:
    for side in ("results", "truths"):
        write_folder(tmp_path / side / "tiny", frames_of_a_square(0, count=2, size=8))
    error = run_on((tmp_path / "results", tmp_path / "truths")).error()
    assert error.startswith("tiny: frames of 8x8 pixels, but SSIM looks at 11x11")


def test_frames_that_are_not_square_need_a_width(
    tmp_path: Path, truths: dict[str, list[np.ndarray]]
) -> None:
    wide = [np.pad(frame, ((0, 0), (3, 4), (0, 0))) for frame in truths["a"]]
    for side in ("results", "truths"):
        write_stack(tmp_path / side / "a.png", wide)
    folders = (tmp_path / "results", tmp_path / "truths")
    assert "say how wide a frame is with --frame_width" in run_on(folders).error()
    assert report_of(folders, "--frame_width", "39")["num_frames"] == 4


def test_frames_that_are_no_numbers_are_refused_by_name(
    folders: tuple[Path, Path], truths: dict[str, list[np.ndarray]]
) -> None:
    frame = folders[0] / "a" / "001.tif"
    (folders[0] / "a" / "001.png").unlink()
    tifffile.imwrite(frame, np.full((32, 32), np.nan, np.float32))
    assert str(frame) in run_on(folders).error()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("side", ["result", "truth"])
def test_tensors_that_are_no_numbers_are_refused_by_name(side: str, value: float) -> None:
    good = torch.zeros(3, 16, 16)
    bad = good.clone()
    bad[1, 2, 3] = value
    pair = (bad, good) if side == "result" else (good, bad)
    with pytest.raises(UserError, match=f"clip: frame 1 of the {side} holds NaN"):
        score_video("clip", [(good, good), pair], [PixelMetrics])


# ----- again


def test_a_second_run_scores_only_what_is_new(
    folders: tuple[Path, Path],
    results: dict[str, list[np.ndarray]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scored: list[str] = []
    real = result_folders.score_video

    def watched(name: str, *rest: object) -> VideoScore:
        scored.append(name)
        return real(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(result_folders, "score_video", watched)
    first = report_of(folders)
    assert scored == ["a", "b", "c"]
    assert report_of(folders) == first
    assert scored == ["a", "b", "c"]

    write_stack(folders[0] / "b.png", results["b"][::-1])
    second = report_of(folders)
    assert scored == ["a", "b", "c", "b"]
    assert second["videos"][1]["l1"] > first["videos"][1]["l1"]

    kept = folders[0] / ".scores" / "c.json"
    kept.write_text(kept.read_text()[:-9])
    assert report_of(folders) == second
    assert scored == ["a", "b", "c", "b", "c"]
    report_of(folders, "--size", "16")
    assert scored[5:] == ["a", "b", "c"]
    os.utime(folders[1] / "b.png", ns=(1, 1))  # of the same name and size, but another moment
    report_of(folders, "--size", "16")
    assert scored[8:] == ["b"]


def test_scores_are_kept_where_asked(folders: tuple[Path, Path], tmp_path: Path) -> None:
    run_on(folders, "--cache", tmp_path / "kept").output()
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == [
        f"{name}.json" for name in COUNTS
    ]
    assert not (folders[0] / ".scores").exists()


# ----- means


def test_means_weigh_what_was_measured() -> None:
    """AKD over two frames with one and three keypoints, in two videos; a frame without any."""
    left = VideoScore("left", 2, {"akd": Series((1.0, 2.0), (1, 3))})
    right = VideoScore("right", 2, {"akd": Series((5.0, 0.0), (4, 0))})
    nothing = VideoScore("none", 1, {"akd": Series((0.0,), (0,))})
    assert left.means() == {"akd": pytest.approx(7 / 4)}
    assert nothing.means() == {"akd": None}
    assert right.series["akd"].shown() == [5.0, None]
    assert total_means([left, right, nothing]) == {"akd": pytest.approx(27 / 8)}


# ----- names


@pytest.mark.parametrize(
    ("result", "truth"),
    [
        ("abc.mp4.png", "abc.mp4"),
        ("abc.mp4.mp4", "abc.mp4"),
        ("abc.png.png", "abc.png"),
        ("abc.mp4.png", "abc.png"),
        ("id1#v1.2.gif.png", "id1#v1.2.gif"),
        ("abc.mp4", "abc.mp4.png"),
    ],
)
def test_names_that_others_give_to_results(tmp_path: Path, result: str, truth: str) -> None:
    """Endings that are added to those of the truth."""
    frames = frames_of_a_square(0, count=3)
    for name, folder in ((result, "results"), (truth, "truths")):
        write_video(tmp_path / folder / name, frames)
    done = run_here(evaluate.main, tmp_path / "results", tmp_path / "truths", *QUIET)
    assert Path(truth).name.split(".")[0] in done.output()


def write_video(path: Path, frames: list[np.ndarray]) -> None:
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".png":
        write_stack(path, frames)
    else:
        clips.write(path, frames)


def test_a_name_that_is_the_truths_own_goes_before_one_that_adds_to_it(tmp_path: Path) -> None:
    results, truths = tmp_path / "results", tmp_path / "truths"
    frames = frames_of_a_square(0, count=3)
    write_video(truths / "a.mp4", frames)
    write_video(results / "a.png", frames)
    write_video(results / "a.mp4.png", frames)
    error = run_here(evaluate.main, results, truths, *QUIET).error()
    assert error.startswith(f"a.mp4: extra, {truths} has no such video")
    (results / "a.png").rename(results / "a.gif.png")
    error = run_here(evaluate.main, results, truths, *QUIET).error()
    assert "could be a, as could" in error
