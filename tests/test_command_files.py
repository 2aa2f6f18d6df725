"""No command loses a file that it reads: each output is tried against each input."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import clips
import imageio.v3 as iio
import numpy as np
import pytest
import torch
from commands import (
    GOLDEN_SIZE,
    files_below,
    frames_of_a_square,
    golden_checkpoint,
    golden_tree,
    run_here,
    write_config,
    write_folder,
)
from puppet_sets import PLAN, SIZE, make_set

import animate
import evaluate
import reconstruction
from engine import paths
from engine.command_files import Inputs, Output, check_files
from engine.errors import UserError
from engine.output import FrameFolder
from engine.paths import place_of
from tools import (
    benchmark,
    check_data,
    export,
    make_gallery,
    prepare_dataset,
    score_puppets,
    shrink_checkpoint,
)

# ----- ways to spell a path


def as_it_is(path: Path, scratch: Path) -> Path:
    return path


def with_detour(path: Path, scratch: Path) -> Path:
    return path.parent / "nowhere" / ".." / path.name


def relative(path: Path, scratch: Path) -> Path:
    return Path(os.path.relpath(path))


def by_symlink(path: Path, scratch: Path) -> Path:
    link = _fresh(scratch, path)
    link.symlink_to(path)
    return link


def by_symlink_to_its_folder(path: Path, scratch: Path) -> Path:
    link = _fresh(scratch, path.parent)
    link.symlink_to(path.parent)
    return link / path.name


def by_hard_link(path: Path, scratch: Path) -> Path:
    if path.is_dir():
        return by_symlink(path, scratch)
    link = _fresh(scratch, path)
    os.link(path, link)
    return link


def _fresh(scratch: Path, path: Path) -> Path:
    folder = scratch / str(len(list(scratch.iterdir())))
    folder.mkdir()
    return folder / path.name


SPELLINGS: list[Callable[[Path, Path], Path]] = [
    as_it_is,
    with_detour,
    relative,
    by_symlink,
    by_symlink_to_its_folder,
    by_hard_link,
]


# ----- the one function


class Place(NamedTuple):
    """Files of every kind, of which nothing may be lost."""

    folder: Path
    scratch: Path
    inputs: Inputs

    def at(self, name: str) -> Path:
        return self.folder / name


READ = ["a.pth.tar", "a.yaml", "frames", "videos", "videos/f.mp4", "videos/e/0.png", "frames/1.png"]
ELSEWHERE = ["elsewhere/g.mp4", "elsewhere/2.png", "elsewhere/h", "elsewhere/h/00000000.png"]
"""What links in frames/ and videos/ lead to."""


@pytest.fixture
def small_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    folder, scratch = tmp_path / "place", tmp_path / "scratch"
    scratch.mkdir()
    for name in [*READ[:2], *READ[4:], "elsewhere/g.mp4", "elsewhere/2.png", ELSEWHERE[3]]:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"content": "of ' + name + '"}')
    (folder / "videos" / "g.mp4").symlink_to(folder / "elsewhere" / "g.mp4")
    (folder / "videos" / "h").symlink_to(folder / "elsewhere" / "h")
    (folder / "frames" / "2.png").symlink_to(folder / "elsewhere" / "2.png")
    monkeypatch.chdir(folder)
    files = [folder / "a.pth.tar", folder / "a.yaml", None, folder / "frames"]
    return Place(folder, scratch, Inputs(files, [folder / "videos"]))


@pytest.mark.parametrize("spelling", SPELLINGS, ids=lambda it: it.__name__)
@pytest.mark.parametrize("name", [*READ, *ELSEWHERE])
@pytest.mark.parametrize("kind", ["result", "json", "page", "new", "frames"])
def test_no_output_replaces_an_input(
    small_place: Place, kind: str, name: str, spelling: Callable[[Path, Path], Path]
) -> None:
    path = spelling(small_place.at(name), small_place.scratch)
    before = files_below(small_place.folder)
    with pytest.raises(UserError) as caught:
        check_files(small_place.inputs, [Output("--out", path, kind)])  # type: ignore[arg-type]
    assert str(caught.value).endswith("; choose another --out")
    assert files_below(small_place.folder) == before


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("videos/new.mp4", "result"),
        ("videos/new.png", "result"),
        ("videos/e/1.png", "result"),
        ("videos/new/1.png", "result"),
        ("frames/3.png", "result"),
        ("frames/3.gif", "result"),
        ("videos/new", "frames"),
    ],
)
def test_nothing_is_added_to_what_is_read(small_place: Place, name: str, kind: str) -> None:
    output = Output("--out", small_place.at(name), kind, remedy="--log_dir")  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"would put it among .*; choose another --log_dir"):
        check_files(small_place.inputs, [output])


def test_more_may_come_to_a_dataset_that_is_not_read(small_place: Place) -> None:
    """But what is there stays."""
    inputs = Inputs(unread=[small_place.at("videos")])
    check_files(inputs, [Output("--out", small_place.at("videos/new.mp4"))])
    check_files(inputs, [Output("--out", small_place.at("videos/new"), "frames")])
    for name in ("videos/f.mp4", "videos/e/0.png", "videos/g.mp4"):
        with pytest.raises(UserError, match="--out would write over it"):
            check_files(inputs, [Output("--out", small_place.at(name))])


def test_outputs_beside_what_is_read_are_made(small_place: Place) -> None:
    """Also a second time."""
    outputs = [
        Output("--a", small_place.at("videos/scores.json"), "json"),
        Output("--b", small_place.at("results/f.mp4")),
        Output("--c", small_place.at("results/png/f"), "frames"),
        Output("--d", small_place.at("report.html"), "page"),
        Output("--e", small_place.at("videos/.scores"), "cache"),
        Output("--f", small_place.at("frames/deeper/x.mp4")),
        Output("--g", small_place.at("frames/deeper/x.png")),
    ]
    check_files(small_place.inputs, outputs)
    with FrameFolder(small_place.at("results/png/f")) as folder:
        folder.write(np.zeros((4, 4, 3), np.uint8))
    small_place.at("results/f.mp4").touch()
    small_place.at("videos/scores.json").write_text('{"l1": 0.1}')
    small_place.at("report.html").write_text("<!DOCTYPE html>\n<p>")
    check_files(small_place.inputs, outputs)


def test_no_output_replaces_another(small_place: Place) -> None:
    folder, video = small_place.at("out"), small_place.at("out/00000003.mp4")
    frames = Output("--save_frames", folder, "frames")
    cases = [
        [Output("--result", video), Output("--json", folder / ".." / "out" / video.name, "json")],
        [frames, Output("--result", folder / "00000003.png")],
        [Output("--result", folder / "00000003.png"), frames],
        [Output("--cache", folder, "cache"), Output("--json", folder / "a.json", "json")],
    ]
    for outputs in cases:
        with pytest.raises(UserError, match=rf"{outputs[1].flag} would .*; choose another --"):
            check_files(small_place.inputs, outputs)


@pytest.mark.parametrize(
    ("kind", "content"),
    [("json", "a letter"), ("page", "{}"), ("json", "\0"), ("new", ""), ("new", "{}")],
)
def test_a_report_replaces_reports_alone(small_place: Place, kind: str, content: str) -> None:
    path = small_place.at("mine.txt")
    path.write_text(content)
    with pytest.raises(UserError, match=r"mine\.txt: .*; choose another --out"):
        check_files(small_place.inputs, [Output("--out", path, kind)])  # type: ignore[arg-type]


def test_what_is_no_file_is_not_replaced(small_place: Place) -> None:
    os.mkfifo(small_place.at("pipe"))
    for kind in ("result", "json"):
        with pytest.raises(UserError, match="pipe: is no file that --out can replace"):
            check_files(small_place.inputs, [Output("--out", small_place.at("pipe"), kind)])


def test_a_loop_of_links_is_no_crash(small_place: Place) -> None:
    loop = small_place.at("loop.mp4")
    loop.symlink_to(loop)
    (small_place.folder / "videos" / "loop.mp4").symlink_to(loop)
    (small_place.folder / "videos" / "round").symlink_to(small_place.folder / "videos")
    small_place.at("old.mp4").touch()
    check_files(small_place.inputs, [Output("--out", small_place.at("old.mp4"))])
    with pytest.raises(UserError, match=r"loop\.mp4: is a link that leads nowhere; choose another"):
        check_files(small_place.inputs, [Output("--out", loop, "json")])


def test_where_the_file_system_ignores_case(
    small_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second of two outputs that differ in case alone would replace the first."""
    outputs = [
        Output("--a", small_place.at("new/X.mp4")),
        Output("--b", small_place.at("New/x.mp4")),
    ]
    check_files(small_place.inputs, outputs)
    monkeypatch.setattr(paths, "ignores_case", lambda folder: True)
    with pytest.raises(UserError, match="--b would write over it"):
        check_files(small_place.inputs, outputs)


def test_a_place_is_one_however_it_is_spelt(small_place: Place) -> None:
    path = small_place.at("a.yaml")
    places = {place_of(spelling(path, small_place.scratch)) for spelling in SPELLINGS}
    assert len(places) == 1
    assert place_of(small_place.at("b.yaml")) != place_of(small_place.at("c.yaml"))
    assert place_of(small_place.at("b.yaml")) == place_of(small_place.at("e/../b.yaml"))


# ----- folders of frames


def grey(level: int) -> np.ndarray:
    return np.full((8, 8, 3), level, np.uint8)


def write_frames(folder: Path, *levels: int) -> None:
    with FrameFolder(folder) as frames:
        for level in levels:
            frames.write(grey(level))


def test_frames_of_an_earlier_run_are_replaced(tmp_path: Path) -> None:
    write_frames(tmp_path, 1, 2, 3)
    (tmp_path / "mine.png").write_bytes(b"mine")
    write_frames(tmp_path, 7, 8)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "00000000.png",
        "00000001.png",
        "mine.png",
    ]
    assert iio.imread(tmp_path / "00000001.png").max() == 8
    write_frames(Path(shutil.copytree(tmp_path, tmp_path / "copy")), 9)


@pytest.mark.parametrize(
    "way", ["unmarked", "added", "changed", "one bit", "cut off", "link", "empty", "folder"]
)
def test_frames_of_somebody_else_stay(tmp_path: Path, way: str) -> None:
    folder = tmp_path / "frames"
    write_frames(folder, 1, 2)
    if way == "unmarked":
        iio.imwrite(folder / "00000001.png", grey(2))
    elif way == "added":
        (folder / "00000040.png").write_bytes(b"mine")
    elif way == "changed":
        (folder / "00000001.png").write_bytes(b"mine")
    elif way == "one bit":
        content = bytearray((folder / "00000001.png").read_bytes())
        content[50] ^= 1
        (folder / "00000001.png").write_bytes(content)
    elif way == "cut off":
        (folder / "00000001.png").write_bytes((folder / "00000001.png").read_bytes()[:-9])
    elif way == "empty":
        (folder / "00000001.png").write_bytes(b"")
    elif way == "folder":
        (folder / "00000007.png").mkdir()
    else:
        (folder / "00000001.png").rename(tmp_path / "1.png")
        (folder / "00000001.png").symlink_to(tmp_path / "1.png")
    before = files_below(tmp_path)
    with pytest.raises(UserError, match=r"frames/0000000?\d+\.png: .*; name a new folder, or move"):
        FrameFolder(folder)
    assert files_below(tmp_path) == before


def test_frames_that_come_while_others_are_made_stay(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"00000000\.png"), FrameFolder(tmp_path) as folder:
        folder.write(grey(1))
        (tmp_path / "00000000.png").write_bytes(b"mine")
    assert (tmp_path / "00000000.png").read_bytes() == b"mine"


def test_a_run_that_is_killed_among_its_frames_leaves_a_folder_to_go_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_frames(tmp_path, 1, 2, 3)
    replace, calls = Path.replace, []

    def killed(self: Path, target: Path) -> Path:
        calls.append(target)
        if target.name == "00000001.png":
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_frames(tmp_path, 4, 5, 6)
    monkeypatch.undo()
    write_frames(tmp_path, 7)
    assert [it.name for it in sorted(tmp_path.glob("*.png"))] == ["00000000.png"]


# ----- whole commands


@pytest.fixture(scope="module")
def large_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """All that the commands read; the current folder."""
    folder = tmp_path_factory.mktemp("large") / "place"
    data = folder / "data"
    for side, numbers in {"train": (0, 1), "test": (2, 3)}.items():
        (data / side).mkdir(parents=True)
        clips.write(data / side / f"f{numbers[0]}.mp4", moving_square(numbers[0]))
        write_folder(data / side / f"e{numbers[1]}", moving_square(numbers[1]))
    clips.write(folder / "g.mp4", moving_square(4))
    (data / "test" / "g.mp4").symlink_to(folder / "g.mp4")
    make_set(folder / "puppets", PLAN)
    (folder / "pairs.csv").write_text("source,driving\nf2,e3\n")
    torch.save({"features.0.weight": torch.zeros(2)}, folder / "vgg.pth")
    tree = golden_tree("small-jacobian", data)
    tree["dataset_params"]["pairs_list"] = str(folder / "pairs.csv")
    tree["train_params"]["perceptual_weights"] = str(folder / "vgg.pth")
    write_config(folder / "a.yaml", tree)
    shutil.copy(golden_checkpoint("small-jacobian"), folder / "a.pth.tar")
    iio.imwrite(folder / "picture.png", moving_square(5)[0])
    write_folder(folder / "driving", moving_square(6))
    for name in ("results", "truths"):
        write_folder(folder / name / "a", moving_square(7))
        (folder / f"{name}.csv").write_text("video,frame,keypoint,x,y\na,0,0,1,1\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def moving_square(number: int) -> list[np.ndarray]:
    return frames_of_a_square(number, count=3, size=GOLDEN_SIZE)


class Command(NamedTuple):
    """A command line without its outputs, the flags of these, and what it reads."""

    main: Callable[[], None]
    arguments: str
    outputs: str
    inputs: str


ONE = "--checkpoint a.pth.tar --config a.yaml --device cpu"
DATA = "a.yaml pairs.csv vgg.pth data/test/f2.mp4 data/test/e3/000.png data/train/f0.mp4 g.mp4"
PUPPETS = "puppets/puppets.json puppets/test/test-00000.png puppets/train/train-00000.png"
COMMANDS = {
    "animate": Command(
        animate.main,
        f"{ONE} --source_image picture.png --driving_video driving",
        "--json --result_video --save_frames",
        "a.pth.tar a.yaml pairs.csv vgg.pth picture.png driving driving/000.png data/test/f2.mp4",
    ),
    "pairs": Command(animate.main, f"{ONE} --pairs --log_dir log", "--json", f"a.pth.tar {DATA}"),
    "reconstruction": Command(
        reconstruction.main, f"{ONE} --log_dir log --lpips none", "--json", f"a.pth.tar {DATA}"
    ),
    "evaluate": Command(
        evaluate.main,
        f"results truths {ONE} --lpips none --keypoint_files results.csv truths.csv",
        "--json --report",
        "a.pth.tar a.yaml pairs.csv results/a/000.png truths/a/001.png results.csv truths.csv",
    ),
    "evaluate puppets": Command(
        evaluate.main,
        f"--ground_truth {ONE} --data puppets",
        "--json --report",
        f"a.pth.tar a.yaml data/test/f2.mp4 {PUPPETS}",
    ),
    "check_data": Command(check_data.main, "--config a.yaml --quick", "--json", DATA),
    "benchmark": Command(benchmark.main, "--config a.yaml --data --seconds 0", "--json", DATA),
    "score_puppets": Command(
        score_puppets.main, f"{ONE} --data puppets", "--json", f"a.pth.tar a.yaml {PUPPETS}"
    ),
    "make_gallery": Command(
        make_gallery.main,
        "--checkpoint carries.pth.tar --data puppets --device cpu",
        "--out",
        "puppets/test/added.gif puppets/train/added.webp data/test/added.gif",
    ),
    "export": Command(
        export.main, "--checkpoint a.pth.tar --config a.yaml", "--out", "a.yaml data/test"
    ),
    "prepare_dataset": Command(
        prepare_dataset.main, "--videos data", "--out", "data data/test data/test/e3"
    ),
    "shrink_checkpoint": Command(
        shrink_checkpoint.main, "--checkpoint a.pth.tar", "--out", "a.pth.tar a.yaml"
    ),
}
_SPELLING = cycle(SPELLINGS)
TRIALS = [
    pytest.param(command, flag, name, next(_SPELLING), id=f"{title} {flag} {name}")
    for title, command in COMMANDS.items()
    for flag in command.outputs.split()
    for name in command.inputs.split()
]


@pytest.mark.parametrize(("command", "flag", "name", "spelling"), TRIALS)
def test_no_command_loses_what_it_reads(
    large_place: Path,
    tmp_path: Path,
    command: Command,
    flag: str,
    name: str,
    spelling: Callable[[Path, Path], Path],
) -> None:
    if "carries.pth.tar" in command.arguments:
        carry_config(large_place)
    path = large_place / name
    target = spelling(path, tmp_path) if path.exists() else path
    before = files_below(large_place)
    error = run_here(command.main, *command.arguments.split(), flag, target).error()
    assert flag in error
    assert files_below(large_place) == before


def carry_config(folder: Path) -> None:
    state = torch.load(folder / "a.pth.tar", weights_only=True)
    tree = golden_tree("small-jacobian", folder / "data")
    torch.save({**state, "config": tree}, folder / "carries.pth.tar")


@pytest.mark.parametrize("command", ["pairs", "reconstruction"])
def test_results_in_a_folder_replace_no_test_video(large_place: Path, command: str) -> None:
    """A dataset without train/ and test/ that lies where the results go."""
    name = {"pairs": "animation", "reconstruction": "reconstruction"}[command]
    folder = large_place / f"flat-{command}"
    shutil.copytree(large_place / "data" / "test", folder / name)
    before = files_below(folder)
    arguments = [*COMMANDS[command].arguments.split(), "--log_dir", folder]
    overrides = ["--set", f"dataset_params.root_dir={folder / name}", "dataset_params.pairs_list="]
    error = run_here(COMMANDS[command].main, *arguments, *overrides).error()
    assert "a result in --log_dir would" in error
    assert "choose another --log_dir" in error
    assert files_below(folder) == before


def test_results_are_replaced_by_those_of_the_next_run(large_place: Path, tmp_path: Path) -> None:
    """What one run writes stops no other."""
    log, report = tmp_path / "log", tmp_path / "a.json"
    for command in ("pairs", "reconstruction"):
        arguments = [*COMMANDS[command].arguments.split(), "--log_dir", log, "--json", report]
        for _ in range(2):
            run_here(COMMANDS[command].main, *arguments).output()
            assert json.loads(report.read_text())
    one = ["--result_video", tmp_path / "x.mp4", "--save_frames", tmp_path / "f", "--json", report]
    for _ in range(2):
        run_here(animate.main, *COMMANDS["animate"].arguments.split(), *one).output()


def test_the_puppets_are_of_the_networks_size() -> None:
    assert SIZE == GOLDEN_SIZE
