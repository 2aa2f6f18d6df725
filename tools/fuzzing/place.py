"""The folder in which a run takes place: what the commands read, and results of earlier runs."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image

from tools.fuzzing.media import (
    SIZE,
    encode,
    moving_square,
    write_corpus,
    write_frames,
    write_stack,
)
from tools.fuzzing.processes import execute
from tools.fuzzing.run import Run

Tree = dict[str, Any]

CONFIG: Tree = yaml.safe_load(f"""
dataset_params:
  root_dir: data
  frame_shape: [{SIZE}, {SIZE}, 3]
  augmentation_params:
    flip_param: {{horizontal_flip: true, time_flip: true}}
    jitter_param: {{brightness: 0.1, contrast: 0.1, saturation: 0.1, hue: 0.1}}
model_params:
  common_params: {{num_kp: 2, num_channels: 3, estimate_jacobian: true}}
  kp_detector_params: {{temperature: 0.1, block_expansion: 4, max_features: 8, num_blocks: 2}}
  generator_params:
    block_expansion: 4
    max_features: 8
    num_down_blocks: 1
    num_bottleneck_blocks: 1
    estimate_occlusion_map: true
    dense_motion_params: {{block_expansion: 4, max_features: 8, num_blocks: 2, scale_factor: 0.5}}
  discriminator_params: {{block_expansion: 4, max_features: 8, num_blocks: 2, scales: [1]}}
train_params:
  num_epochs: 1
  num_repeats: 1
  batch_size: 2
  scales: [1]
  checkpoint_freq: 1
  keep_checkpoints: 2
  validate_freq: 1
  epoch_milestones: [1]
  num_workers: 0
  ema_decay: 0.9
  perceptual_weights: random
  loss_weights: {{perceptual: [0, 0, 0, 0, 0], feature_matching: [1, 1], generator_gan: 1}}
animate_params: {{num_pairs: 2}}
reconstruction_params: {{max_frames: 3}}
""")

RUN = "run/00000001-checkpoint.pth.tar"
BARE = "networks.pth.tar"


class Place:
    """A copy of the base, to be spoilt.

    All paths in it are relative to its folder, in which commands run.

    Args:
        folder: the copy.
        corpus: videos of every kind, only to be read.
    """

    def __init__(self, folder: Path, corpus: Path) -> None:
        self.folder = folder
        self.corpus = corpus
        self.tree = copy.deepcopy(CONFIG)

    def path(self, name: str) -> Path:
        return self.folder / name

    def take(self, name: str, to: str) -> Path:
        """Copy a file of the corpus into the place."""
        target = self.path(to)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.corpus / name, target)
        return target

    def videos(self) -> list[str]:
        """The names in the corpus."""
        return sorted(path.name for path in self.corpus.iterdir())

    def state(self, name: str = RUN) -> Tree:
        """The content of an undamaged checkpoint."""
        content: Tree = torch.load(self.path(name), map_location="cpu", weights_only=True)
        return content

    def write_config(self, tree: Mapping[str, Any]) -> None:
        self.path("config.yaml").write_text(yaml.safe_dump(dict(tree), sort_keys=False))


# ----- command lines in which nothing is wrong


def animate(**other: object) -> Run:
    """animate.py with the checkpoint's config; `other` replaces flags, None leaves one out."""
    flags = {
        "checkpoint": RUN,
        "source_image": "source.png",
        "driving_video": "driving.mp4",
        "result_video": "results/result.mp4",
    }
    return _run("animate", flags, other, writes={"results/result.mp4", "results/result.png"})


def pairs(**other: object) -> Run:
    flags = {"checkpoint": RUN, "pairs": True, "log_dir": "results"}
    return _run("animate", flags, other, writes={"results/animation"})


def reconstruct(**other: object) -> Run:
    flags = {"checkpoint": RUN, "log_dir": "results"}
    return _run("reconstruction", flags, other, writes={"results/reconstruction"})


def train(**other: object) -> Run:
    """train.py from the config on, into a new folder."""
    return _run("train", {"config": "config.yaml", "log_dir": "log"}, other)


def resume(**other: object) -> Run:
    """train.py for an epoch more of the run that is there."""
    flags = {"checkpoint": RUN, "set": ["train_params.num_epochs=2"]}
    return _run("train", flags, other, writes={"run"})


def start_from(**other: object) -> Run:
    return _run("train", {"config": "config.yaml", "init_from": RUN, "log_dir": "log"}, other)


def evaluate(*folders: str, **other: object) -> Run:
    flags: dict[str, object] = {"lpips": "none", "cache": "cache", "json": "results/scores.json"}
    run = _run("evaluate", flags, other, writes={"cache", "results/scores.json"})
    run.arguments[:0] = folders or ("results/made", "data/test")
    return run


def check_data(**other: object) -> Run:
    flags = {"config": "config.yaml", "workers": 1, "seconds": 0, "quick": True}
    return _run("check_data", flags, other)


def prepare(**other: object) -> Run:
    flags = {"videos": "data", "out": "prepared", "size": SIZE, "workers": 1}
    return _run("prepare_dataset", flags, other)


def shrink(**other: object) -> Run:
    return _run("shrink_checkpoint", {"checkpoint": RUN, "out": "small.pth.tar"}, other)


def _run(
    command: str,
    flags: Mapping[str, object],
    other: Mapping[str, object],
    *,
    writes: set[str] | None = None,
) -> Run:
    arguments = []
    for name, value in {**flags, **other}.items():
        if value is None or value is False:
            continue
        values = [] if value is True else value if isinstance(value, list | tuple) else [value]
        arguments += [f"--{name}", *map(str, values)]
    return Run(command, arguments, "nothing", writes or set())


# ----- the base


def write_base(folder: Path, corpus: Path, scratch: Path) -> None:
    """Write what every place is a copy of.

    Raises:
        RuntimeError: the commands do not work even where nothing is wrong.
    """
    write_corpus(corpus)
    folder.mkdir()
    place = Place(folder, corpus)
    place.write_config(CONFIG)
    _write_dataset(folder / "data")
    Image.fromarray(moving_square(1, seed=7)[0]).save(folder / "source.png")
    place.take("aac.mp4", "driving.mp4")
    _expect_success(train(), folder, scratch)
    (run,) = (folder / "log").iterdir()
    run.rename(folder / "run")
    (folder / "log").rmdir()
    for events in (folder / "run").glob("events*"):
        events.unlink()
    content = place.state()
    torch.save({name: content[name] for name in ("generator", "kp_detector")}, folder / BARE)
    _write_results(place)
    _expect_success(animate(), folder, scratch)


def _write_dataset(root: Path) -> None:
    squares = [moving_square(seed=seed) for seed in range(4)]
    write_frames(root / "train" / "a", squares[0])
    encode(root / "train" / "b.mp4", squares[1])
    write_frames(root / "test" / "e", squares[2])
    encode(root / "test" / "f.mp4", squares[3])


def _write_results(place: Place) -> None:
    """What earlier runs, and the person, left."""
    results = place.path("results")
    for number, name in enumerate(("e", "f")):
        write_frames(results / "made" / name, moving_square(seed=2 + number))
    write_stack(place.path("stack.png"), moving_square(4, seed=5))
    write_frames(place.path("frames"), moving_square(4, seed=6))
    shots = write_frames(place.path("shots"), moving_square(4, size=(8, 8)))
    for path in shots.iterdir():
        path.rename(shots / f"{int(path.stem):08d}.png")
    for name in ("result.mp4", "result.png", "notes.txt"):
        (results / name).write_text(f"an earlier {name}")
    (results / "scores.json").write_text("{}\n")
    place.path("notes.txt").write_text("Not to be lost.\n")
    place.path("pairs.csv").write_text("source,driving,frame\ne,f,0\nf,e,1\n")
    for side, seed in (("results", 1), ("truths", 2)):
        _write_findings(place, side, np.random.default_rng(seed))


def _write_findings(place: Place, side: str, rng: np.random.Generator) -> None:
    points = {name: rng.uniform(0, SIZE, (6, 3, 2)).round(2) for name in ("e", "f")}
    features = {name: rng.normal(size=(6, 4)).round(3) for name in ("e", "f")}
    np.savez(place.path(f"keypoints-{side}.npz"), **points)
    np.savez(place.path(f"features-{side}.npz"), **features)
    lines = ["video,frame,keypoint,x,y"]
    lines += [
        f"{name},{frame},{number},{x},{y}"
        for name, array in points.items()
        for (frame, number), (x, y) in zip(np.ndindex(6, 3), array.reshape(-1, 2), strict=True)
    ]
    place.path(f"keypoints-{side}.csv").write_text("\n".join(lines) + "\n")
    lines = ["video,frame,a,b,c,d"]
    lines += [
        f"{name},{frame},{','.join(map(str, row))}"
        for name, array in features.items()
        for frame, row in enumerate(array)
    ]
    place.path(f"features-{side}.csv").write_text("\n".join(lines) + "\n")


def _expect_success(run: Run, folder: Path, scratch: Path) -> None:
    ending = execute(run, folder, scratch)
    if ending.code != 0:
        raise RuntimeError(f"{run.command} {' '.join(run.arguments)}: {ending.stderr}")
