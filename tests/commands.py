"""Whole commands on tiny datasets: in a process of their own, or in this one, which saves time."""

import copy
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import clips
import imageio.v3 as iio
import numpy as np
import pytest
import torch
import yaml
from golden_files import FOLDER
from torch import nn
from torchvision.models.vgg import make_layers

from engine import build_training, command_line

ROOT = FOLDER.parent.parent
SIZE = 32  # pixels, of the tiny datasets
GOLDEN_SIZE = 64
NUM_FRAMES = 12
_VGG19_LAYERS = [2, 2, 4, 4, 4]  # convolutions between poolings

Tree = dict[str, Any]


class Finished(NamedTuple):
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    def error(self) -> str:
        """The message of a command that stopped as it should for a user's mistake."""
        assert self.code == 2, self
        (line,) = self.stderr.splitlines()
        assert line.startswith("error: ")
        return line.removeprefix("error: ")

    def output(self) -> str:
        """What a command that did its work printed."""
        assert self.code == 0, self
        return self.stdout


def run_process(
    name: str, *arguments: object, cwd: Path, environment: Mapping[str, str] | None = None
) -> Finished:
    """Run `python NAME.py ARGUMENTS` as a person would."""
    command = [sys.executable, str(ROOT / f"{name}.py"), *map(str, arguments)]
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **(environment or {})}, capture_output=True, text=True
    )
    return Finished(done.returncode, done.stdout, done.stderr)


def torchrun(
    processes: int,
    script: str,
    *arguments: object,
    cwd: Path,
    environment: Mapping[str, str] | None = None,
) -> Finished:
    """Run a command in several processes."""
    running = start_torchrun(processes, script, *arguments, cwd=cwd, environment=environment)
    stdout, stderr = running.communicate()
    return Finished(running.returncode, stdout, stderr)


def start_torchrun(
    processes: int,
    script: str,
    *arguments: object,
    cwd: Path,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[str]:
    """Start a command in several processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc_per_node={processes}"]
    command += [f"--master_port={port}", str(ROOT / script), *map(str, arguments)]
    return subprocess.Popen(
        command,
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_here(main: Callable[[], None], *arguments: object) -> Finished:
    """Run a command's `main` in this process, to the exit code that its process would have."""
    stdout, stderr = StringIO(), StringIO()
    with (
        patch.object(sys, "argv", [main.__module__, *map(str, arguments)]),
        redirect_stdout(stdout),
        redirect_stderr(stderr),
        pytest.raises(SystemExit) as left,
    ):
        command_line.run(main)
    assert isinstance(left.value.code, int)
    return Finished(left.value.code, stdout.getvalue(), stderr.getvalue())


def thin_vgg_in_place() -> Any:
    """A context in which `random` stands for a thin VGG19: the real one is slow to make."""
    # Copies, since a trainer may move what it is given to another type.
    return patch.object(build_training, "_random_vgg19", lambda: copy.deepcopy(_thin_vgg19()))


@cache
def _thin_vgg19() -> nn.Sequential:
    layers = [layer for count in _VGG19_LAYERS for layer in [*(count * [8]), "M"]]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make_layers(layers)


def frames_of_a_square(
    number: int, *, count: int = NUM_FRAMES, size: int = SIZE
) -> list[np.ndarray]:
    """A coloured square that moves over grey, uint8 (size, size, 3); each number has its own."""
    rng = np.random.default_rng(number)
    side, colour = size // 3, rng.integers(0, 256, 3)
    start, end = rng.uniform(0, size - side, (2, 2))
    frames = []
    for share in np.linspace(0, 1, count):
        frame = np.full((size, size, 3), 40 + 20 * number, np.uint8)
        y, x = (start + share * (end - start)).astype(int)
        frame[y : y + side, x : x + side] = colour
        frames.append(frame)
    return frames


def write_folder(path: Path, frames: list[np.ndarray]) -> Path:
    """Write frames as a folder of PNG files."""
    path.mkdir(parents=True)
    for index, frame in enumerate(frames):
        iio.imwrite(path / f"{index:03d}.png", frame)
    return path


def write_stack(path: Path, frames: list[np.ndarray]) -> Path:
    """Write frames side by side into one image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    iio.imwrite(path, np.concatenate(frames, axis=1))
    return path


def write_dataset(root: Path, *, size: int = SIZE) -> Path:
    """Four training and two test videos, of all kinds."""
    squares = [frames_of_a_square(number, size=size) for number in range(6)]
    write_folder(root / "train" / "a", squares[0])
    clips.write(root / "train" / "b.mp4", squares[1])
    write_stack(root / "train" / "c.png", squares[2])
    clips.write(root / "train" / "d.gif", squares[3])
    write_folder(root / "test" / "e", squares[4])
    clips.write(root / "test" / "f.mp4", squares[5])
    return root


TINY: Tree = yaml.safe_load(f"""
dataset_params:
  frame_shape: [{SIZE}, {SIZE}, 3]
model_params:
  common_params: {{num_kp: 3, num_channels: 3, estimate_jacobian: true}}
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
  num_epochs: 2
  num_repeats: 2
  batch_size: 2
  scales: [1]
  checkpoint_freq: 1
  keep_checkpoints: 2
  validate_freq: 1
  num_workers: 0
  perceptual_weights: random
  loss_weights: {{perceptual: [1, 1, 1, 1, 1], feature_matching: [1, 1]}}
""")


def tiny_tree(root_dir: Path) -> Tree:
    """A configuration of tiny networks, four steps an epoch, as a tree to be changed at will."""
    tree = copy.deepcopy(TINY)
    tree["dataset_params"]["root_dir"] = str(root_dir)
    return tree


def golden_tree(name: str, root_dir: Path) -> Tree:
    """The configuration of a golden file, with a dataset of 64x64 pixels."""
    tree = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    size = [GOLDEN_SIZE, GOLDEN_SIZE, 3]
    return {**tree, "dataset_params": {"root_dir": str(root_dir), "frame_shape": size}}


def write_config(path: Path, tree: Tree) -> Path:
    path.write_text(yaml.safe_dump(tree))
    return path


def golden_checkpoint(name: str) -> Path:
    return FOLDER / f"{name}.pth.tar"


def files_below(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, by its path in it."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
