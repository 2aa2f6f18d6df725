"""Folders of frames and images of frames side by side: gaps, mixtures, odd names and links."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from random import Random

import numpy as np
from PIL import Image

from tools.fuzzing import place as runs
from tools.fuzzing.damage import damage_file, replace_by_something_else
from tools.fuzzing.families.pictures import write_picture
from tools.fuzzing.media import SIZE, moving_square, write_stack
from tools.fuzzing.place import Place
from tools.fuzzing.run import Run

Spoil = Callable[[Random, Place], str]


def folders(rng: Random, place: Place) -> Run:
    of_folder: list[Spoil] = [
        _damaged,
        _damaged,
        _special,
        _mixture,
        _empty,
        _names,
        _nested,
        _links,
        _files,
    ]
    if rng.random() < 0.35:
        fault, name = _stack(rng, place), "stack.png"
    else:
        fault, name = rng.choice(of_folder)(rng, place), "frames"
    test_video = place.path("data/test") / ("g.png" if name == "stack.png" else "g")
    reader = rng.choice(["animate"] * 3 + ["reconstruct", "check", "evaluate", "train"])
    run = runs.animate(driving_video=name)
    if reader == "evaluate":
        _move(place, name, place.path("results/made") / test_video.name)
        shutil.copytree(place.path("data/test/e"), place.path("data/test/g"))
        run = runs.evaluate()
    elif reader == "train":
        _move(place, name, place.path("data/train") / test_video.name)
        run = runs.train()
    elif reader != "animate":
        _move(place, name, test_video)
        run = runs.reconstruct(lpips="none") if reader == "reconstruct" else runs.check_data()
    run.fault = fault
    return run


def _move(place: Place, name: str, target: os.PathLike[str]) -> None:
    if place.path(name).exists() or place.path(name).is_symlink():
        place.path(name).rename(target)


def _frames(place: Place) -> list[str]:
    return sorted(path.name for path in place.path("frames").iterdir())


def _damaged(rng: Random, place: Place) -> str:
    return damage_file(rng, place.path("frames") / rng.choice(_frames(place)))


def _special(rng: Random, place: Place) -> str:
    return replace_by_something_else(rng, place.path("frames") / rng.choice(_frames(place)))


def _mixture(rng: Random, place: Place) -> str:
    suffix = rng.choice(["png", "jpg", "bmp", "gif", "webp", "tif"])
    size = rng.choice([(SIZE, SIZE), (1, 1), (SIZE, 10), (200, 300)])
    mode = rng.choice(["RGB", "L", "RGBA", "P", "1", "I;16", "F", "CMYK"])
    return "among the frames: " + write_picture(
        place.path(f"frames/0010.{suffix}"), size=size, mode=mode
    )


def _empty(rng: Random, place: Place) -> str:
    folder = place.path("frames")
    shutil.rmtree(folder)
    kind = rng.choice(["missing", "empty", "only text", "only hidden", "a file", "one frame"])
    if kind == "a file":
        folder.write_text("no folder")
    elif kind != "missing":
        folder.mkdir()
    if kind == "only text":
        (folder / "notes.txt").write_text("nothing to see")
    if kind in ("only hidden", "one frame"):
        name = ".0.png" if kind == "only hidden" else "0.png"
        Image.fromarray(moving_square(1)[0]).save(folder / name)
    return f"frames: {kind}"


def _names(rng: Random, place: Place) -> str:
    folder = place.path("frames")
    name = rng.choice(
        [
            "é漢字.png",
            "😀.png",
            "a b.png",
            "-x.png",
            "\n.png",
            "x" * 250 + ".png",
            "9" * 240 + ".png",
            "².png",
            "٣.png",
            "00000000000000000000.png",
            "1e5.png",
            "%d.png",
            "*.png",
            "\x1b[31m.png",
        ]
    )
    shutil.copy(folder / "000.png", folder / name)
    if rng.random() < 0.4:
        damage_file(rng, folder / name)
    return f"frames: a file named {name[:30]!r}"


def _nested(rng: Random, place: Place) -> str:
    folder = place.path("frames")
    inner = folder / rng.choice(["inner", "001.png", "000.jpg", "train", "test"])
    if inner.exists():
        inner.unlink()
    inner.mkdir()
    if rng.random() < 0.5:
        shutil.copy(folder / "000.png", inner / "000.png")
    return f"frames: a folder {inner.name} in it"


def _links(rng: Random, place: Place) -> str:
    folder = place.path("frames")
    target = rng.choice(
        [".", "..", "loop.png", "/", "../frames", "000.png", "../notes.txt", "/dev/zero"]
    )
    (folder / "loop.png").symlink_to(target)
    if rng.random() < 0.3:
        shutil.rmtree(folder)
        folder.symlink_to(rng.choice(["frames", ".", "/dev/null", "nowhere", "data/train/a"]))
    return f"frames: a link to {target}"


def _files(rng: Random, place: Place) -> str:
    name = rng.choice(place.videos())
    target = rng.choice([name, "002.png", "0005.jpg"])
    place.take(name, f"frames/{target}")
    return f"frames: {name} as {target}"


def _stack(rng: Random, place: Place) -> str:
    path = place.path("stack.png")
    kind = rng.choice(
        ["damaged", "damaged", "width", "height", "mode", "format", "single", "special", "long"]
    )
    if kind == "damaged":
        return damage_file(rng, path)
    if kind == "special":
        return replace_by_something_else(rng, path)
    if kind == "width":
        shape = (SIZE, rng.choice([1, 31, 33, 65, 127, 640]), 3)
    elif kind == "height":
        shape = (rng.choice([1, 16, 31, 33, 64, 720]), 4 * SIZE, 3)
    elif kind == "long":
        write_stack(path, moving_square(500))
        return "stack.png: 500 frames"
    elif kind == "mode":
        image = Image.fromarray(np.concatenate(moving_square(4), axis=1))
        image.convert(rng.choice(["L", "1", "P", "RGBA", "LA"])).save(path)
        return "stack.png: of another mode"
    else:
        shape = (SIZE, SIZE, 3)
    if kind == "format":
        Image.new("RGB", (4 * SIZE, SIZE)).save(path, rng.choice(["GIF", "TIFF", "WEBP", "BMP"]))
        return "stack.png: of another format"
    Image.fromarray(np.zeros(shape, np.uint8)).save(path)
    return f"stack.png: of shape {shape}"
