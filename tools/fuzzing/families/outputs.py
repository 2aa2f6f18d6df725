"""Outputs onto inputs, onto one another, and onto places that cannot be written."""

from __future__ import annotations

import os
from random import Random
from typing import NamedTuple

from tools.fuzzing import place as runs
from tools.fuzzing.place import RUN, Place
from tools.fuzzing.run import Run

# fmt: off
_BAD = (
    "/dev/full", "/dev/null", "/proc/x", "/nowhere/x", "data", ".", "", "/", "notes.txt/x",
    "loop/x", "results", "x" * 300, "results/" + "y" * 252, "a/" * 2000 + "x", "\udcff.mp4",
    "é漢字.mp4", "a b/c d.mp4", "-x.mp4", "results/result", "results/result.xyz",
    "results/result.MP4", "results/.mp4", "results/result.avi", "~/x.mp4",
)
# fmt: on
_NAMES = ("results/日本.mp4", "results/\udcff.mp4", "results/é.gif")
_ENCODINGS = ("utf-8", "utf-8", "utf-8", "cp1252", "ascii")
_FOLDERS = ("save_frames", "log_dir", "cache", "out_folder")


class Job(NamedTuple):
    """A command that writes.

    Attributes:
        run: where nothing is wrong.
        flags: that name an output.
        reads: what must not be lost to it.
    """

    run: Run
    flags: tuple[str, ...]
    reads: tuple[str, ...]


def outputs(rng: Random, place: Place) -> Run:
    place.path("loop").symlink_to("loop")
    job = rng.choice(_jobs())
    flag = rng.choice(job.flags)
    fault = "a bad place"
    run = job.run
    if rng.random() < 0.6:
        fault, target = _an_input(rng, place, rng.choice(job.reads), run)
    elif rng.random() < 0.2 and len(job.flags) > 1:
        fault, target = "of another output", "results/twice.mp4"
        run.arguments += [f"--{rng.choice([it for it in job.flags if it != flag])}", target]
    else:
        target = rng.choice(_NAMES if flag == "result_video" and rng.random() < 0.3 else _BAD)
        # What was there, under the name of an output of its kind, is an earlier one.
        run.writes.add(os.path.normpath(target))
    if flag in _FOLDERS and rng.random() < 0.5:
        target = target.rpartition("/")[0] or target
    run.arguments += [f"--{flag.removesuffix('_folder')}", target]
    run.encoding = rng.choice(_ENCODINGS)
    run.fault = f"--{flag} {target[:60]!r} ({fault}), {run.encoding}"
    return run


def _an_input(rng: Random, place: Place, name: str, run: Run) -> tuple[str, str]:
    """(an input, a path that leads to it): itself, by a detour, or by a link."""
    way = rng.choice(["itself", "itself", "detour", "absolute", "link", "hard link", "folder link"])
    path = place.path(name)
    alias = f"alias{path.suffix}"
    if way == "detour":
        return name, f"data/../{name}"
    if way == "absolute":
        return name, str(path)
    if way == "link":
        place.path(alias).symlink_to(name)
        return name, alias
    if way == "hard link":
        place.path(alias).hardlink_to(path)
        run.writes.add(alias)  # The input keeps its content, under its other name.
        return name, alias
    if way == "folder link":
        place.path("elsewhere").symlink_to(name.rpartition("/")[0] or ".")
        return name, f"elsewhere/{path.name}"
    return name, name


_OF_TESTS = ("data/test/f.mp4", "data/test/e/000.png")
_OF_TRAINING = ("data/train/b.mp4", "data/train/a/001.png")
_OF_ONE = (RUN, "config.yaml", "source.png")
# Somebody's own pictures, under such names as the commands give their frames.
_SHOTS = ("shots/00000000.png", "shots/00000003.png")
_FOUND = ("keypoints-results.npz", "keypoints-truths.npz", "features-results.csv")


def _jobs() -> list[Job]:
    of_one = ("result_video", "json", "save_frames")
    pairs_list = ["dataset_params.pairs_list=pairs.csv"]
    found: dict[str, object] = {
        "keypoint_files": _FOUND[:2],
        "feature_files": ["features-results.csv", "features-truths.csv"],
    }
    with_config: dict[str, object] = {"config": "config.yaml"}
    without = runs.reconstruct(lpips="none", **with_config)
    return [
        Job(runs.animate(**with_config), of_one, (*_OF_ONE, "driving.mp4", *_SHOTS)),
        Job(runs.animate(driving_video="frames"), of_one, (RUN, "source.png", "frames/000.png")),
        Job(runs.animate(driving_video="shots"), of_one, (RUN, "source.png", *_SHOTS)),
        Job(runs.animate(side_by_side=True), of_one[:1], (RUN, "source.png", "driving.mp4")),
        *2 * [Job(runs.pairs(set=pairs_list, **with_config), ("json", "log_dir"),
                  (RUN, "config.yaml", "pairs.csv", *_OF_TESTS))],
        *2 * [Job(without, ("json", "log_dir"), (RUN, "config.yaml", *_OF_TESTS))],
        Job(runs.evaluate(**found), ("json", "report", "cache"),
            (*_FOUND, "results/made/e/000.png", *_OF_TESTS)),
        Job(runs.check_data(), ("json",), ("config.yaml", *_OF_TRAINING, *_OF_TESTS)),
        *2 * [Job(runs.shrink(), ("out",), (RUN, "run/best.pth.tar", "source.png", "notes.txt"))],
        Job(runs.prepare(), ("out_folder",), (*_OF_TRAINING, *_OF_TESTS, "notes.txt")),
        Job(runs.train(), ("log_dir",), ("config.yaml", *_OF_TRAINING)),
    ]  # fmt: skip
