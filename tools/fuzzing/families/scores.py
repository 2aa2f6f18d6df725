"""What evaluate.py reads: results, weights and cached scores."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from random import Random
from typing import Any

import torch

from tools.fuzzing import place as runs
from tools.fuzzing.damage import damage_file, replace_by_something_else
from tools.fuzzing.place import Place
from tools.fuzzing.processes import execute
from tools.fuzzing.run import Run

# fmt: off
_JSON = (
    "", "{}", "[]", "null", "3", '"text"', "[" * 100_000, '{"a":' * 50_000, "{" * 10, "NaN",
    "9" * 5000, '{"key": 1e999}', "\ufeff{}", "\0", "{'a': 1}", '{"series": {}}', '"\\ud800"',
    "Infinity",
)
_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1e300, "x", "", [], {}, [[]], [1], {"a": 1}, [None], "9" * 5000,
)
# fmt: on


def scores(rng: Random, place: Place) -> Run:
    spoil = rng.choice([*2 * [_cache], _weights, *2 * [_results]])
    return spoil(rng, place)


# ----- the cache


def _cache(rng: Random, place: Place) -> Run:
    """Spoil cached scores, of which the first run is made here."""
    scratch = place.folder.with_name(f"{place.folder.name}-cache")
    scratch.mkdir(exist_ok=True)
    execute(runs.evaluate(json=None), place.folder, scratch)
    shutil.rmtree(scratch)
    cached = sorted(path for path in place.path("cache").rglob("*") if path.is_file())
    path = rng.choice(cached)
    what = rng.choice(
        ["bytes", "bytes", "whole", "whole", "value", "value", "value", "special", "foreign"]
    )
    if what == "bytes":
        what = damage_file(rng, path)
    elif what == "special":
        what = replace_by_something_else(rng, path)
    elif what == "foreign":
        path.write_text("somebody's own notes\n")
    else:
        text = path.read_text()
        if what == "value":
            content = json.loads(text)
            key = rng.choice(list(content))
            section = content
            if isinstance(content[key], dict) and rng.random() < 0.8:
                section = content[key]
                key = rng.choice(list(section))
            section[key] = rng.choice(_VALUES)
            what = f"{key}: {str(section[key])[:40]}"
            path.write_text(json.dumps(content, indent=2) + "\n")
        else:
            # Behind the lines by which the command tells its own.
            mark, comma, _ = text.partition(",")
            tail = rng.choice(_JSON)
            path.write_text(rng.choice([tail, f'{mark}{comma} "key": {tail}', mark + comma + tail]))
            what = f"holds {tail[:30]!r}"
    run = runs.evaluate()
    run.fault = f"cache: {path.name}: {what}"
    return run


# ----- weights


def _weights(rng: Random, place: Place) -> Run:
    """Files in the places of LPIPS's and the body detector's weights."""
    folder = place.path("weights")
    folder.mkdir()
    names = ["alexnet-owt-7be5be79.pth", "lpips_alex.pth", "vgg16-397923af.pth", "lpips_vgg.pth"]
    names.append("keypointrcnn_resnet50_fpn_coco-fc266e95.pth")
    faults = []
    for name in rng.sample(names, rng.choice([2, 4, 5])):
        content: Any = rng.choice(
            [
                {},
                {"features.0.weight": torch.zeros(64, 3, 11, 11)},
                {"features.0.weight": "text"},
                {3: 4},
                {"lin0.model.1.weight": torch.full((1, 64, 1, 1), float("nan"))},
                {"lin0.model.1.weight": torch.zeros(1, 64, 1, 1), "lin1.model.1.weight": 3},
                [],
                None,
                torch.zeros(3),
                {"state_dict": {}},
            ]
        )
        torch.save(content, folder / name)
        what = str(content)[:30]
        if rng.random() < 0.3:
            what = damage_file(rng, folder / name)
        elif rng.random() < 0.15:
            what = replace_by_something_else(rng, folder / name)
        faults.append(f"{name}: {what}")
    detectors = rng.choice([None, None, "body", "face"])
    run = runs.evaluate(weights="weights", lpips=rng.choice(["alex", "vgg"]), keypoints=detectors)
    run.fault = "; ".join(faults)
    return run


# ----- results


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _results(rng: Random, place: Place) -> Run:
    """Results that are missing, damaged, of other lengths and sizes, or named otherwise."""
    made = place.path("results/made")
    kind = rng.choice(
        ["damaged", "video", "missing", "extra", "shorter", "renamed", "empty", "size", "flags"]
    )
    folders, other = ["results/made", "data/test"], dict[str, object]()
    if kind == "damaged":
        kind = damage_file(rng, made / "e" / rng.choice(_names(made / "e")))
    elif kind == "video":
        shutil.rmtree(made / "e")
        name = rng.choice(place.videos())
        path = place.take(name, f"results/made/e{Path(name).suffix}")
        kind = f"{name} as a result"
        if rng.random() < 0.4:
            kind = damage_file(rng, path)
    elif kind == "missing":
        shutil.rmtree(made / "e")
    elif kind == "extra":
        shutil.copytree(
            made / "e", made / rng.choice(["g", "é漢", "x" * 200, "a b", "e.mp4", "-x", "\n"])
        )
    elif kind == "shorter":
        for name in _names(made / "e")[rng.choice([0, 1, 5]) :]:
            (made / "e" / name).unlink()
    elif kind == "renamed":
        (made / "e").rename(made / rng.choice(["e.mp4", "E", "e.png", ".e", "e "]))
    elif kind == "empty":
        folders = rng.choice(
            [
                ["nowhere", "data/test"],
                ["results/made", "nowhere"],
                ["log", "data/test"],
                ["source.png"] * 2,
                ["results/made"] * 2,
                ["data/test"] * 2,
                [".", "."],
                ["/dev/null", "data/test"],
                ["results/made"],
                ["results/made", "driving.mp4"],
                ["results/made", "data/test", "data/test"],
                ["", ""],
            ]
        )
        kind = f"folders {folders}"
    elif kind == "size":
        other["size"] = rng.choice(
            ["16", "16x8", "0", "1", "x", "16x", "5000", "9" * 5000, "-1", "16x16x16", "٣", ""]
        )
        kind = f"--size {str(other['size'])[:20]}"
    else:
        other |= rng.choice(
            [
                {"compare": ["results/made", "results/made"]},
                {"compare": ["results/made"] * 20},
                {"ground_truth": True},
                {"ground_truth": True, "checkpoint": runs.RUN, "data": "data"},
                {"checkpoint": [runs.RUN, runs.RUN]},
                {"frame_width": rng.choice([0, -1, 7, 10**18])},
                {"keypoints": "body", "weights": "nowhere"},
                {"features": "face"},
                {"report": "results/page.html", "checkpoint": runs.RUN},
                {"data": "data"},
                {"set": ["a=b"]},
                {"config": "config.yaml"},
            ]
        )
        kind = str(other)
    if rng.random() < 0.3:
        other["partial"] = True
    run = runs.evaluate(*folders, **other)
    run.fault = kind
    return run
