"""What evaluate.py refuses: one line that names the culprit, before anything is lost or scored."""

import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import Finished, files_below, frames_of_a_square, run_here, write_folder
from puppet_sets import SIZE, write_tiny_checkpoint
from torch import Tensor

import evaluate
from engine.errors import UserError
from engine.metrics import Measured
from engine.scoring import score_video


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Results and truths: the videos a and b."""
    for number, name in enumerate("ab"):
        frames = frames_of_a_square(number, count=3)
        write_folder(tmp_path / "truths" / name, frames)
        write_folder(tmp_path / "results" / name, frames[::-1])
    return tmp_path / "results", tmp_path / "truths"


def run_on(folders: tuple[Path, Path], *flags: object) -> Finished:
    return run_here(evaluate.main, *folders, "--device", "cpu", "--lpips", "none", *flags)


# ----- where scores are kept


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_cache_that_is_a_file_is_named(
    folders: tuple[Path, Path], tmp_path: Path, name: str
) -> None:
    (tmp_path / "file").write_text("mine")
    error = run_on(folders, "--cache", tmp_path / name).error()
    assert error.startswith(f"{tmp_path / name}: cannot be written to (")
    assert error.endswith("; name another folder with --cache")
    assert (tmp_path / "file").read_text() == "mine"


def test_results_that_only_can_be_read_need_a_cache_elsewhere(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(dir: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", read_only)
    error = run_on(folders).error()
    kept_in = folders[0] / ".scores"
    message = "cannot be written to (Permission denied); name another folder with --cache"
    assert error == f"{kept_in}: {message}"


@pytest.mark.parametrize("content", [b'{"mine": 1}', b"[1, 2]", b"{", b"\xff\xfe", b"\n", None])
def test_what_somebody_else_keeps_there_stays(
    folders: tuple[Path, Path], tmp_path: Path, content: bytes | None
) -> None:
    """A file of another content, or a folder; nothing is scored, not even the video before it."""
    cache = tmp_path / "notes"
    foreign = cache / "b.json"
    cache.mkdir()
    if content is None:
        (foreign / "inner").mkdir(parents=True)
    else:
        foreign.write_bytes(content)
    before = files_below(cache)
    error = run_on(folders, "--cache", cache).error()
    assert error == (
        f"{foreign}: no scores that evaluate.py wrote; move it, or name another folder with --cache"
    )
    assert files_below(cache) == before
    assert foreign.is_dir() == (content is None)


@pytest.mark.parametrize("share", [0, 0.5])
def test_scores_that_were_cut_off_are_computed_again(
    folders: tuple[Path, Path], tmp_path: Path, share: float
) -> None:
    cache = tmp_path / "kept"
    output = run_on(folders, "--cache", cache).output()
    kept = (cache / "a.json").read_text()
    (cache / "a.json").write_text(kept[: int(share * len(kept))])
    assert run_on(folders, "--cache", cache).output() == output
    assert (cache / "a.json").read_text() == kept


def damaged_scores() -> dict[str, Callable[[str], str]]:
    """What may become of a file of scores that begins as it should."""

    def changed(text: str, path: list[str], value: object) -> str:
        content = json.loads(text)
        inner = content
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        return json.dumps(content, indent=2)

    first_lines = '{\n  "written_by": "evaluate.py"'
    return {
        "nested": lambda text: f'{first_lines},\n  "about": {"[" * 100_000}',
        "endless number": lambda text: text.replace(
            '"num_frames": 3', f'"num_frames": {"9" * 5000}'
        ),
        "no number of frames": lambda text: changed(text, ["about", "num_frames"], "three"),
        "no series": lambda text: changed(text, ["about", "series"], []),
        "series of words": lambda text: changed(text, ["about", "series", "l1"], [["a"], ["b"]]),
        "a metric less": lambda text: changed(text, ["about", "series"], {}),
        "another number": lambda text: changed(
            text,
            [
                "about",
                "series",
                "l1",
            ],
            [[9.0], [1.0]],
        ),
        "about nothing": lambda text: changed(text, ["about"], None),
        "no checksum": lambda text: changed(text, ["checksum"], []),
    }


@pytest.mark.parametrize("damage", damaged_scores())
def test_damaged_scores_are_computed_again(
    folders: tuple[Path, Path], tmp_path: Path, damage: str
) -> None:
    cache = tmp_path / "kept"
    output = run_on(folders, "--cache", cache).output()
    kept = (cache / "a.json").read_text()
    spoilt = damaged_scores()[damage](kept)
    assert spoilt != kept
    (cache / "a.json").write_text(spoilt)
    assert run_on(folders, "--cache", cache).output() == output
    assert (cache / "a.json").read_text() == kept


# ----- flags


@pytest.mark.parametrize("size", ["4097", "16x99999999999999999999", "99999x16"])
def test_sizes_that_no_machine_bears(folders: tuple[Path, Path], size: str) -> None:
    assert run_on(folders, "--size", size).error() == (
        f"--size {size}: name at most 4096 pixels a side"
    )


def test_a_size_of_5000_digits_is_not_repeated(folders: tuple[Path, Path]) -> None:
    error = run_on(folders, "--size", "9" * 5000).error()
    assert error == f"--size {'9' * 40}...{'9' * 9}: name at most 4096 pixels a side"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--data", "x"], "--data: only with --ground_truth"),
        (["--config", "x"], "--config, --set: only with a --checkpoint"),
        (["--set", "x=1"], "--config, --set: only with a --checkpoint"),
    ],
)
def test_flags_that_would_do_nothing(
    folders: tuple[Path, Path], flags: list[str], words: str
) -> None:
    assert run_on(folders, *flags).error().startswith(words)


@pytest.mark.parametrize("flag", ["size", "frame_width", "cache", "weights", "partial", "features"])
def test_flags_that_would_do_nothing_on_puppets(flag: str) -> None:
    value = {"frame_width": ["4"], "partial": [], "features": ["face"]}.get(flag, ["x"])
    asked = ["--ground_truth", "--checkpoint", "x", f"--{flag}", *value]
    error = run_here(evaluate.main, *asked).error()
    assert error == f"--{flag}: only without --ground_truth; drop it"


def test_keypoints_of_one_run_are_not_those_of_another(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    results, truths = folders
    write_folder(tmp_path / "more" / "a", frames_of_a_square(0, count=3))
    for flag in ("--keypoint_files", "--feature_files"):
        compared = [truths, "--compare", results, tmp_path / "more", flag, "x.csv", "y.csv"]
        error = run_here(evaluate.main, *compared, "--lpips", "none").error()
        assert error.startswith("--keypoint_files, --feature_files: tell of one folder of results")


def test_a_report_does_not_replace_what_describes_the_puppets(tmp_path: Path) -> None:
    manifest = tmp_path / "puppets.json"
    manifest.write_text("{}")
    checkpoint = write_tiny_checkpoint(tmp_path / "tiny.pth.tar")
    asked = ["--ground_truth", "--checkpoint", checkpoint, "--data", tmp_path, "--json", manifest]
    error = run_here(evaluate.main, *asked).error()
    assert error == f"{manifest}: --json would write over it; choose another --json"


# ----- networks


def damaged(state: dict[str, object], change: str) -> object:
    """A checkpoint's content, spoilt."""
    generator = state["generator"]
    assert isinstance(generator, Mapping)
    if change == "of something else":
        return {"weights": torch.zeros(2)}
    if change == "without names":
        return {**state, "generator": dict(enumerate(generator.values()))}
    if change == "no average":
        return {**state, "average": 3}
    return {**state, "generator": {key: generator[key] * torch.nan for key in generator}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("cut off", "{checkpoint}: truncated, damaged, or not a torch file; get a whole copy"),
        ("of something else", "{checkpoint}: carries no config; name the YAML file with --config"),
        ("without names", "{checkpoint}: generator."),
        ("no average", "{checkpoint}: average: of type int, not state dicts; get a whole copy"),
        ("no numbers", "{checkpoint}: generator."),
    ],
)
def test_checkpoints_that_are_none(tmp_path: Path, change: str, words: str) -> None:
    """And no report is written."""
    for side in ("results", "truths"):
        write_folder(tmp_path / side / "a", frames_of_a_square(0, count=2, size=SIZE))
    checkpoint = write_tiny_checkpoint(tmp_path / "tiny.pth.tar")
    if change == "cut off":
        checkpoint.write_bytes(checkpoint.read_bytes()[:5000])
    else:
        torch.save(damaged(torch.load(checkpoint, weights_only=True), change), checkpoint)
    folders = tmp_path / "results", tmp_path / "truths"
    report = tmp_path / "a.html"
    error = run_on(folders, "--checkpoint", checkpoint, "--report", report).error()
    assert error.startswith(words.format(checkpoint=checkpoint))
    assert not report.exists()


def test_a_number_that_is_none_is_not_averaged() -> None:
    def measure(result: Tensor, truth: Tensor) -> dict[str, Measured]:
        return {"akd": Measured(float("inf"), 3.0)}

    grey = torch.zeros(3, 16, 16)
    with pytest.raises(UserError, match=r"^clip: akd of frame 0 is inf; mend"):
        score_video("clip", [(grey, grey)], [lambda name: measure])


def test_scores_say_who_wrote_them(folders: tuple[Path, Path]) -> None:
    run_on(folders).output()
    kept = json.loads((folders[0] / ".scores" / "a.json").read_text())
    assert kept["written_by"] == "evaluate.py"
    assert np.isfinite(kept["about"]["series"]["l1"][0]).all()
