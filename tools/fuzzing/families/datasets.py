"""Datasets: videos of all kinds and damages among good ones, empty sides, odd names and links."""

from __future__ import annotations

import shutil
from random import Random

from tools.fuzzing import place as runs
from tools.fuzzing.damage import damage_file, replace_by_something_else
from tools.fuzzing.families.pictures import spoil_picture
from tools.fuzzing.families.videos import spoil_video
from tools.fuzzing.place import Place
from tools.fuzzing.run import Run


def datasets(rng: Random, place: Place) -> Run:
    fault = rng.choice([_add, _add, _add, _damage, _structure, _links])(rng, place)
    overrides = rng.choice(
        [[]] * 5
        + [["dataset_params.id_sampling=true"], ["dataset_params.root_dir=nowhere"]]
        + [["dataset_params.root_dir=notes.txt"], ["dataset_params.root_dir=data/train"]]
    )
    given: dict[str, object] = {"set": overrides} if overrides else {}
    run = rng.choice(
        [
            *2 * [lambda: runs.check_data(**given, quick=rng.random() < 0.5)],
            lambda: runs.prepare(),
            lambda: runs.prepare(crop=rng.choice(["0,0,16,16", "8,8,90,90", "0,0,1,1"])),
            lambda: runs.train(**given),
            lambda: runs.reconstruct(lpips="none", **given),
            lambda: runs.pairs(**given),
        ]
    )()
    run.fault = f"{fault}; {overrides}"
    return run


def _add(rng: Random, place: Place) -> str:
    """One more video, with something wrong."""
    spoil = rng.choice([spoil_video, spoil_video, spoil_picture])
    fault, name = spoil(rng, place)
    path = place.path(name)
    side = rng.choice(["train", "train", "test"])
    if path.exists() or path.is_symlink():
        stem = rng.choice(["x", "x", "id#1", "é漢", "a b", "#", "e", "a", "x" * 200])
        path.rename(place.path("data") / side / f"{stem}{path.suffix}")
    return f"{side}: {fault}"


def _damage(rng: Random, place: Place) -> str:
    paths = sorted(path for path in place.path("data").rglob("*") if path.is_file())
    path = rng.choice(paths)
    return damage_file(rng, path) if rng.random() < 0.7 else replace_by_something_else(rng, path)


def _structure(rng: Random, place: Place) -> str:
    data = place.path("data")
    kind = rng.choice(
        [
            "no train",
            "no test",
            "empty train",
            "empty test",
            "flat",
            "nothing",
            "file",
            "same",
            "nested",
            "one",
        ]
    )
    if kind in ("no train", "no test"):
        shutil.rmtree(data / kind[3:])
    elif kind in ("empty train", "empty test"):
        shutil.rmtree(data / kind[6:])
        (data / kind[6:]).mkdir()
    elif kind == "flat":
        for path in sorted((data / "train").iterdir()):
            path.rename(data / path.name)
        shutil.rmtree(data / "train")
        shutil.rmtree(data / "test")
    elif kind == "nothing":
        shutil.rmtree(data)
    elif kind == "file":
        shutil.rmtree(data / "test")
        (data / "test").write_text("no folder")
    elif kind == "same":
        shutil.copy(data / "train" / "b.mp4", data / "test" / "b.mp4")
    elif kind == "nested":
        (data / "train" / "deeper").mkdir()
        (data / "train" / "b.mp4").rename(data / "train" / "deeper" / "b.mp4")
    else:
        shutil.rmtree(data / "train" / "a")
    return f"data: {kind}"


def _links(rng: Random, place: Place) -> str:
    data = place.path("data")
    target = rng.choice(
        [".", "..", "loop", "/", "nowhere", "../test", "a", "b.mp4", "/dev/zero", "/proc/self"]
    )
    name = rng.choice(["loop", "loop.mp4", "loop.png"])
    folder = rng.choice([data, data / "train", data / "test", data / "train" / "a"])
    (folder / name).symlink_to(target)
    return f"{folder.name}/{name}: link to {target}"
