"""The report: one page that needs nothing else, and that a browser shows."""

import base64
import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import Finished, frames_of_a_square, run_here, write_folder
from PIL import Image
from puppet_sets import SIZE, make_set, write_tiny_checkpoint

import evaluate
from engine.charts import Line, frames_chart, videos_chart
from engine.colouring import colour_wheel, error_picture, flow_picture
from engine.errors import UserError
from engine.result_folders import short_names
from engine.scoring import Series, VideoScore
from engine.strips import Shown, make_strip, worst_median_best

NAMES = ("calm", "rough", "wild")


def disturbed(frames: list[np.ndarray], strength: float) -> list[np.ndarray]:
    noise = np.random.default_rng(0).normal(0, strength, (len(frames), *frames[0].shape))
    return list(np.clip(frames + noise, 0, 255).astype(np.uint8))


@pytest.fixture
def truths(tmp_path: Path) -> Path:
    for number, name in enumerate(NAMES):
        write_folder(tmp_path / "truths" / name, frames_of_a_square(number, count=8, size=SIZE))
    return tmp_path / "truths"


def results(tmp_path: Path, run: str, *, strength: float) -> Path:
    """Each video noisier than the one before it."""
    folder = tmp_path / run / "png"
    for number, name in enumerate(NAMES):
        frames = frames_of_a_square(number, count=8, size=SIZE)
        write_folder(folder / name, disturbed(frames, strength * (number + 1)))
    return folder


def run_on(*arguments: object) -> Finished:
    return run_here(evaluate.main, *arguments, "--device", "cpu", "--lpips", "none")


def pictures_in(page: str) -> list[np.ndarray]:
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    return [np.array(Image.open(io.BytesIO(base64.b64decode(text)))) for text in found]


def assert_self_contained(page: str) -> None:
    assert not re.findall(r"<script|<link|@import|url\(|https?://(?!download)", page)
    assert page.count("<img") == len(pictures_in(page)) > 0


def test_a_page_of_one_run(tmp_path: Path, truths: Path) -> None:
    page_file = tmp_path / "pages" / "out.html"
    folder = results(tmp_path, "run", strength=10)
    checkpoint = write_tiny_checkpoint(tmp_path / "tiny.pth.tar")
    done = run_on(folder, truths, "--report", page_file, "--checkpoint", checkpoint)
    assert done.output().splitlines()[-1] == f"{page_file}: the report"
    page = page_file.read_text()
    assert_self_contained(page)
    headings = re.findall(r"<h3>((?:Worst|Median|Best): \w+)</h3>", page)
    assert headings == ["Worst: wild", "Median: rough", "Best: calm"]
    for row in ("source", "driving", "prediction", "error", "keypoints", "flow", "occlusion"):
        assert page.count(f'<span class="title">{row}</span>') == 3
    digest = subprocess.run(["sha256sum", checkpoint], capture_output=True, text=True, check=True)
    assert digest.stdout.split()[0] in page
    assert "num_kp: 3" in page
    assert torch.__version__ in page
    assert page.count("<svg") == 2 * 4  # L1, PSNR, SSIM, temporal


def test_pages_of_several_runs_stand_side_by_side(tmp_path: Path, truths: Path) -> None:
    better = results(tmp_path, "better", strength=4)
    worse = results(tmp_path, "worse", strength=12)
    page_file, report = tmp_path / "both.html", tmp_path / "both.json"
    done = run_on(truths, "--compare", worse, better, "--report", page_file, "--json", report)
    lines = done.output().splitlines()
    assert lines[0] == f"worse: {worse}"
    assert f"better: {better}" in lines
    first, second = json.loads(report.read_text())["runs"]
    assert first["l1"] > 2 * second["l1"]
    page = page_file.read_text()
    assert_self_contained(page)
    assert "<h1>worse and better</h1>" in page
    for row in ("driving", "worse: prediction", "better: prediction", "better: error"):
        assert page.count(f'<span class="title">{row}</span>') == 3
    mark = page[page.index("<h3>copy L1</h3>") :]
    assert re.findall(r'"value( best)?"', mark)[:2] == ["", ""]
    tile = page[page.index("<h3>SSIM</h3>") :]
    assert re.findall(r'"value( best)?"', tile)[:2] == ["", " best"]


def test_a_page_about_puppets_shows_what_is_true(tmp_path: Path) -> None:
    puppets = make_set(tmp_path / "puppets")
    checkpoint = write_tiny_checkpoint(tmp_path / "run" / "tiny.pth.tar")
    page_file, report = tmp_path / "puppets.html", tmp_path / "scores.json"
    done = run_on(
        *("--ground_truth", "--checkpoint", checkpoint, "--data", puppets.folder),
        *("--report", page_file, "--json", report),
    )
    assert done.output().startswith("reconstruction of 2 videos: L1 ")
    page, scores = page_file.read_text(), json.loads(report.read_text())
    assert_self_contained(page)
    for row in ("flow", "true flow", "occlusion", "true occlusion"):
        assert page.count(f'<span class="title">{row}</span>') == 2
    assert f"{scores['motion']['figure_epe']:.2f} px" in page
    assert "<h1>run/tiny.pth.tar</h1>" in page
    transfer = scores["transfer"]["absolute"]["ssim"]
    assert f'<h3>absolute transfer SSIM</h3>\n<div class="value">{transfer:.4f}</div>' in page
    assert scores["rebuilt"]["l1"] == scores["reconstruction"]["l1"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{truths}"], "1 folder named: write evaluate.py RESULTS TRUTHS"),
        (["--compare", "{truths}"], "0 folders named: write evaluate.py TRUTHS --compare"),
        (["{truths}", "--compare", "{truths}", "{truths}"], "names a folder twice"),
        (["{truths}", "--compare", *["{truths}"] * 6], "at most 5"),
        (["--ground_truth"], "takes one --checkpoint"),
        (["{truths}", "{truths}", "--ground_truth", "--checkpoint", "x"], "no folders of results"),
        (["{truths}", "{truths}", "--checkpoint", "x", "y"], "2 files for 1 RESULTS"),
        (["{truths}", "{truths}", "--checkpoint", "x", "--report", "x"], "x: no such file"),
        (["{truths}", "{truths}", "--report", "{truths}/calm/000.png"], "would write over it"),
        (["{truths}", "{truths}", "--report", "x", "--json", "x"], "would write over it"),
        (["{truths}", "{truths}", "--json", "x", "--feature_files", "y", "x"], "would write over"),
        (["{truths}", "nowhere"], "nowhere: no such folder"),
    ],
)
def test_what_cannot_be_meant_is_refused(truths: Path, arguments: list[str], words: str) -> None:
    assert words in run_on(*(text.format(truths=truths) for text in arguments)).error()


# ----- in a browser


def test_a_browser_shows_the_page_in_colour(tmp_path: Path, truths: Path) -> None:
    """What it draws is wide, and full of the report: pictures, plots and ink."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium and no google-chrome on this machine")
    page, picture = tmp_path / "out.html", tmp_path / "out.png"
    folder = results(tmp_path, "run", strength=10)
    run_on(folder, truths, "--report", page).output()
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1200,2400"]
    command += [f"--screenshot={picture}", page.as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    shown = np.array(Image.open(picture).convert("RGB")).astype(int)
    assert shown.shape[:2] == (2400, 1200)
    colourful = (shown.max(axis=2) - shown.min(axis=2)) > 60
    assert colourful.mean() > 0.03
    rows_with_ink = (np.abs(shown - shown[0, 0]).max(axis=2) > 40).any(axis=1)
    assert rows_with_ink.mean() > 0.7


# ----- its parts


def scored(name: str, *values: float) -> VideoScore:
    return VideoScore(name, len(values), {"l1": Series(values, (1.0,) * len(values))})


def test_worst_median_and_best_are_by_l1() -> None:
    scores = [scored(name, value) for name, value in zip("abcde", (3, 5, 1, 4, 2), strict=True)]
    found = [(heading, score.name) for heading, score in worst_median_best(scores)]
    assert found == [("Worst", "b"), ("Median", "a"), ("Best", "c")]
    assert [score.name for _, score in worst_median_best(scores[:2])] == ["b", "a"]
    assert [score.name for _, score in worst_median_best(scores[:1])] == ["a"]
    assert worst_median_best([]) == []


def test_a_strip_spreads_over_the_video_and_remembers_its_source() -> None:
    frames = [torch.full((3, 16, 16), number / 20) for number in range(11)]
    pairs = [(1 - frame, frame) for frame in frames]
    strip = make_strip("Best", scored("a", *range(11)), [Shown("run", pairs, None)])
    assert strip.numbers == [0, 2, 4, 6, 8, 10]
    assert strip.source[0, 0].tolist() == [0, 0, 0]
    levels = [picture[0, 0, 0] / 255 for picture in strip.rows["driving"]]
    np.testing.assert_allclose(levels, [0, 0.1, 0.2, 0.3, 0.4, 0.5], atol=1 / 255)
    assert list(strip.rows) == ["driving", "prediction", "error"]


def test_rows_of_several_runs_stand_below_each_other() -> None:
    frames = [torch.full((3, 16, 16), number / 4) for number in range(3)]
    sides = [
        Shown(name, [(frame * share, frame) for frame in frames], None)
        for name, share in (("a", 1.0), ("b", 0.5))
    ]
    strip = make_strip("Best", scored("clip", 0, 0, 0), sides)
    assert list(strip.rows) == ["driving", "a: prediction", "b: prediction", "a: error", "b: error"]
    assert [rows[2][0, 0, 0] for rows in strip.rows.values()] == [128, 128, 64, 8, 244]


def test_errors_glow_and_motion_has_the_colour_of_its_direction() -> None:
    dark, light = torch.zeros(3, 4, 4), torch.full((3, 4, 4), 0.5)
    assert error_picture(dark, dark)[0, 0].tolist() == [8, 8, 24]
    assert error_picture(dark, light)[0, 0].tolist() == [252, 240, 170]
    x, y = np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 9))
    still = np.stack([x, y], axis=-1)
    assert (flow_picture(still) == 255).all()
    to_the_right = flow_picture(still - [0.25, 0])  # it came from the left
    assert to_the_right[4, 4].tolist() == [255, 0, 0]
    wheel = colour_wheel(33)
    assert wheel[16, 32].tolist() == [255, 0, 0]
    assert wheel[0, 0].tolist() == wheel[16, 16].tolist() == [255, 255, 255]


def test_charts_show_every_run_and_every_video() -> None:
    lines = [
        Line("one", [scored("a", 0.1, 0.2), scored("b", 0.3, 0.4)]),
        Line("two", [scored("a", 0.2, 0.1), scored("b", 0.3, 0.1)]),
    ]
    over_frames, over_videos = frames_chart("l1", lines), videos_chart("l1", lines)
    for index in range(2):
        assert over_frames.count(f'"line run-{index}"') == 1
        assert over_videos.count(f'"dot run-{index}"') == 2
    titles = re.findall(r"<title>([^<]+)</title>", over_videos)
    assert titles == ["one b: 0.3500", "one a: 0.1500", "two b: 0.2000", "two a: 0.1500"]


def test_names_tell_folders_apart(tmp_path: Path) -> None:
    left, right = tmp_path / "log" / "a" / "png", tmp_path / "log" / "b" / "png"
    assert short_names([left, right]) == ["a", "b"]
    assert short_names([left]) == ["log/a/png"]
    with pytest.raises(UserError, match="twice"):
        short_names([left, left])
