"""What networks say of themselves, and when a person is told that others would do better."""

import shutil
from pathlib import Path

import pytest
import torch
from commands import ROOT, run_here

import animate
from engine.checkpoint import read_torch_file
from engine.description import DESCRIPTION, Description, describe, description_entry
from engine.errors import UserError
from tools import shrink_checkpoint

DEMO = ROOT / "demo"


def described(path: str, state: dict, root_dir: str = "data/of-the-config") -> Description:
    return describe(Path(path), state, root_dir=root_dir, frame_size=(64, 96))


def test_a_checkpoint_says_what_it_is() -> None:
    state = {DESCRIPTION: description_entry("/mnt/videos/friends")}
    assert str(described("x.pth.tar", state)) == "x: 96 x 64 pixels, trained on friends"


def test_one_without_a_description_is_described_by_its_name_and_its_config() -> None:
    state = {"config": {"dataset_params": {"root_dir": "data/vox-png"}}}
    shown = "trained on vox-png (faces of people who talk)"
    assert str(described("log/best-vox.pth.tar", state)) == f"best-vox: 96 x 64 pixels, {shown}"
    published = described("vox-cpk.pth.tar", {}, root_dir="data/vox-png")
    assert str(published) == f"vox-cpk: 96 x 64 pixels, {shown}"
    assert str(described("x.pth.tar", {}, root_dir=".")) == "x: 96 x 64 pixels"


@pytest.mark.parametrize("name", ["best", "last-checkpoint", "00000012-checkpoint", "checkpoint"])
def test_a_file_named_like_that_of_any_run_has_its_folders_name(name: str) -> None:
    assert described(f"log/vox-256-monday/{name}.pth.tar", {}).name == "vox-256-monday"


def test_what_animating_sets_is_not_what_they_were_trained_on() -> None:
    state = {"config": {"dataset_params": {"root_dir": "data/trained"}}}
    assert described("x.pth.tar", state, root_dir="data/mine").trained_on == "trained"


@pytest.mark.parametrize("entry", ["words", 3, None, {"trained_on": 3}, {"trained_on": ["a"]}, [1]])
def test_a_description_that_is_none_is_a_sentence(entry: object) -> None:
    with pytest.raises(UserError, match=r"x\.pth\.tar: description: no dict with a string"):
        described("x.pth.tar", {DESCRIPTION: entry})


def test_a_long_description_is_cut_to_a_line() -> None:
    line = str(described("x.pth.tar", {DESCRIPTION: {"trained_on": "a\nb " * 10**5}}))
    assert len(line) < 200 and "\n" not in line


@pytest.mark.parametrize("config", [3, {}, {"dataset_params": 3}, {"dataset_params": {}}])
def test_a_config_that_says_nothing_is_passed_over(config: object) -> None:
    assert described("x.pth.tar", {"config": config}).trained_on == "of-the-config"


def test_the_demo_is_named_and_shrinking_keeps_the_description(tmp_path: Path) -> None:
    state = read_torch_file(DEMO / "checkpoint.pth.tar")
    found = describe(DEMO / "checkpoint.pth.tar", state, root_dir="", frame_size=(64, 64))
    assert str(found) == "demo: 64 x 64 pixels, trained on puppets (drawn figures)"
    entry = description_entry("data/mine")
    torch.save({**state, DESCRIPTION: entry}, tmp_path / "whole.pth.tar")
    files = ["--checkpoint", tmp_path / "whole.pth.tar", "--out", tmp_path / "small.pth.tar"]
    run_here(shrink_checkpoint.main, *files).output()
    assert read_torch_file(tmp_path / "small.pth.tar")[DESCRIPTION] == entry


def test_the_demo_with_the_files_of_other_people_says_what_to_take(tmp_path: Path) -> None:
    shutil.copy(DEMO / "source.png", tmp_path / "portrait.png")
    for source, told in ((tmp_path / "portrait.png", True), (DEMO / "source.png", False)):
        files = {
            "checkpoint": DEMO / "checkpoint.pth.tar",
            "source_image": source,
            "driving_video": DEMO / "driving.mp4",
            "result_video": tmp_path / "moved.mp4",
        }
        arguments = [part for name, path in files.items() for part in (f"--{name}", path)]
        output = run_here(animate.main, *arguments, "--device", "cpu").output()
        assert ("drawn figures); for faces see README.md" in output) == told


def test_networks_of_other_data_advise_nothing() -> None:
    faces = described("vox-cpk.pth.tar", {}, root_dir="data/vox-png")
    assert faces.advice is None and faces.advice_for(Path("portrait.png")) is None
