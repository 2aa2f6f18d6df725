"""Command lines: unknown flags, values of wrong types and ranges, flags that exclude others."""

from __future__ import annotations

from random import Random

from tools.fuzzing import place as runs
from tools.fuzzing.place import RUN, Place
from tools.fuzzing.run import Run

# fmt: off
_NUMBERS = (
    "0", "-1", "1", "2", "1.5", "nan", "inf", "1e3", "", " ", "x", "٣", "²", "9" * 18, "9" * 5000,
    "0x10", "1_0",
)
_NAMES = (
    "auto", "cpu", "cuda", "cuda:7", "mps", "tpu", "", "CPU", "fp32", "bf16", "fp16", "fp8",
    "none", "vgg", "alex",
)
_BOXES = (
    "0,0,16,16", "0,0,0,0", "0,0,99,99", "-1,0,8,8", "1,2,3", "a,b,c,d", "", ",,,", "1e3,0,8,8",
    "nan,0,1,1", ",".join(["9" * 5000] * 4), "0,0,1,1", "31,31,1,1", "0 0 16 16", "٣,0,8,8",
)
# fmt: on

_FLAGS: dict[str, dict[str, tuple[str | None, ...]]] = {
    "animate": {
        "batch_size": _NUMBERS,
        "best_frame": (*_NUMBERS, "auto", "AUTO", "5", "6"),
        "device": _NAMES,
        "precision": _NAMES,
        "smooth": (None,), "paste_back": (None,), "relative": (None,), "absolute": (None,),
        "adapt_scale": (None,), "audio": (None,), "no_audio": (None,), "side_by_side": (None,),
        "pairs": (None,), "log_dir": ("results", ""),
        "source_image": ("", "nowhere.png", "data", "driving.mp4", ".", "\udcff.png", "x" * 300),
        "driving_video": (
            "", "nowhere.mp4", "source.png", ".", "data", "http://127.0.0.1:9/a.mp4", "pipe:0", "-",
        ),
        "checkpoint": ("", "nowhere.pth.tar", "run", ".", "source.png"),
        "set": ("", "=", "x", "train_params.batch_size=3"),
    },
    "reconstruct": {
        "device": _NAMES, "precision": _NAMES, "lpips": _NAMES,
        "weights": ("nowhere", "", "source.png", "."), "log_dir": ("", "notes.txt"),
        "checkpoint": ("", "nowhere.pth.tar", "run", ".", "source.png"),
    },
    "train": {
        "seed": _NUMBERS, "device": _NAMES, "device_ids": (*_NUMBERS, "0,1", "0,,1", "cpu"),
        "dry_run": (None,), "checkpoint": ("nowhere", RUN),
        "init_from": ("nowhere", RUN, "source.png"),
        "log_dir": ("", "notes.txt", "notes.txt/x"),
        "config": ("", ".", "nowhere.yaml", "source.png"),
    },
    "check_data": {
        "workers": ("0", "-1", "1", "x", "1.5", "9" * 5000),
        "seconds": ("0", "-1", "nan", "-inf", "x", "", "1e-9"),
        "json": ("results/x.json", ""), "quick": (None,),
    },
    "prepare": {
        "size": ("0", "-1", "1", "32", "x", "9" * 5000, "1.5"), "workers": ("0", "-1", "1", "x"),
        "crop": _BOXES, "videos": ("", "nowhere", "source.png", "driving.mp4", "."),
        "out": ("", "data", "notes.txt"),
    },
    "shrink": {"checkpoint": ("", "nowhere", "source.png", "."), "out": ("", "data", "/nowhere/x")},
    "evaluate": {
        "size": (*_NUMBERS, "16x16", "16X8"),
        "frame_width": _NUMBERS, "lpips": _NAMES, "device": _NAMES,
        "keypoints": ("body", "face", "x"), "features": ("face", "x"), "partial": (None,),
        "weights": ("nowhere", "", "notes.txt"), "cache": ("", "notes.txt", "results"),
        "report": ("results/x.html", "results/x.txt", ""), "ground_truth": (None,),
    },
}  # fmt: skip
_TOOLS: dict[str, dict[str, tuple[str, ...]]] = {
    "benchmark": {
        "batch_size": ("0", "-1", "x"), "seconds": ("-1", "nan", "x", "-inf"),
        "size": ("0", "-1", "x", "7"),
        "backend": ("x", "openvino"), "config": ("nowhere.yaml", ".", ""),
        "json": ("data", "/nowhere/x"),
    },
    "make_puppets": {
        "size": ("0", "63", "x"), "train": ("-1", "x", "1.5"), "test": ("-1", "x"),
        "transfer": ("-1", "x"),
        "frames": ("0", "1", "-1", "x"), "seed": ("-1", "x", "9" * 5000), "format": ("avi", ""),
        "out": ("notes.txt", "data"),
    },
    "make_gallery": {
        "columns": ("0", "-1", "x"), "every": ("0", "-1", "x"), "enlarge": ("0", "-1", "x"),
        "out": ("results/x.mp4", "x", "data"), "data": ("nowhere", "data", "notes.txt"),
    },
    "score_puppets": {
        "data": ("nowhere", "data", "notes.txt", ""), "checkpoint": ("nowhere", "source.png"),
    },
    "export": {
        "format": ("x", ""), "checkpoint": ("nowhere", "source.png", "."),
        "out": ("data", "notes.txt", "source.png"),
    },
    "app": {
        "port": ("0", "-1", "65536", "x", "9" * 5000), "max_megabytes": ("0", "-1", "x"),
        "max_running": ("0", "-5"),
        "max_seconds": ("0", "-1"), "checkpoint": ("nowhere.pth.tar",), "max_minutes": ("0", "1.5"),
    },
}  # fmt: skip
_COMMANDS = {
    "animate": runs.animate,
    "reconstruct": lambda **other: runs.reconstruct(**{"lpips": "none", **other}),
    "train": runs.train,
    "check_data": runs.check_data,
    "prepare": runs.prepare,
    "shrink": runs.shrink,
    "evaluate": runs.evaluate,
}
_REQUIRED = {
    "benchmark": {"config": "config.yaml", "seconds": "0"},
    "make_puppets": {"train": "1", "test": "0", "frames": "2", "out": "puppets"},
    "make_gallery": {"checkpoint": RUN, "data": "data", "out": "gallery.webp"},
    "score_puppets": {"checkpoint": RUN, "data": "data"},
    "export": {"checkpoint": RUN, "out": "exported"},
    "app": {"checkpoint": RUN},
}


def flags(rng: Random, place: Place) -> Run:
    """Some flags with values from the table, or none that a command has."""
    if rng.random() < 0.2:
        return _of_a_tool(rng)
    command = rng.choice([*2 * ["animate"], *_COMMANDS])
    table = _FLAGS[command]
    chosen = rng.sample(list(table), min(len(table), rng.choice([1, 1, 1, 2, 3])))
    given = {name: rng.choice(table[name]) for name in chosen}
    run = _COMMANDS[command](**{name: True if it is None else it for name, it in given.items()})
    fault = ", ".join(f"--{name} {str(value or '')[:30]!r}" for name, value in given.items())
    if rng.random() < 0.15:
        extra = rng.choice(
            [
                ["--nonsense"],
                ["stray"],
                ["--"],
                ["--device"],
                ["-h9"],
                ["--set"],
                ["--crop", "source"],
                ["--crop", "x", "0,0,8,8"],
                ["--nonsense=" + "9" * 5000],
                ["x" * 5000],
                ["�"],
                ["--n\nx"],
            ]
        )
        run.arguments += extra
        fault += f", {extra[0][:20]!r}"
    if command == "animate" and rng.random() < 0.25:
        side = rng.choice(["source", "driving"])
        box = rng.choice(_BOXES)
        run.arguments += ["--crop", side, box]
        fault += f", --crop {side} {box[:20]}"
    run.fault = fault
    return run


def _of_a_tool(rng: Random) -> Run:
    command = rng.choice(list(_TOOLS))
    flag = rng.choice(list(_TOOLS[command]))
    value = rng.choice(_TOOLS[command][flag])
    given = {**_REQUIRED[command], flag: value}
    arguments = [part for name, it in given.items() for part in (f"--{name}", it)]
    return Run(command, arguments, f"--{flag} {value[:30]!r}")
