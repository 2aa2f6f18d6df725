"""Runs that are stopped at random steps, by whatever means, end as one that was not: bit for bit.

STOPS_SEED=N in the environment repeats the stops of a failure, which names its N.
"""

import os
import random
import re
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from commands import Tree, tiny_tree, write_config, write_dataset
from torch import Tensor
from training_runs import (
    EPOCHS,
    SEED,
    STEPS_AN_EPOCH,
    assert_same_end,
    interrupting,
    run_folder,
    training,
)

from engine import build_training
from engine.animator import Animator
from engine.checkpoint import read_torch_file
from engine.errors import UserError
from engine.metrics import psnr
from engine.training import Options, Trainer
from modules.generator import Source


def die() -> None:
    raise UserError("the power is gone")


MEANS = {
    "SIGTERM": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "SIGINT": lambda: os.kill(os.getpid(), signal.SIGINT),
    "an error": die,
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"))


def tree_of_all(dataset: Path) -> Tree:
    """A configuration in which all that keeps a state or draws at random takes part."""
    tree = tiny_tree(dataset)
    tree["dataset_params"]["augmentation_params"] = {
        "flip_param": {"horizontal_flip": True, "time_flip": True},
        "jitter_param": {"hue": 0.1, "brightness": 0.1},
    }
    model = tree["model_params"]
    model["generator_params"]["dense_motion_params"]["motion_dropout"] = 0.3
    model["discriminator_params"] |= {"sn": True, "use_kp": True}
    tree["train_params"]["loss_weights"] |= {"generator_gan": 1, "separation": 1}
    tree["train_params"] |= {
        "num_epochs": EPOCHS,
        "epoch_milestones": [1, 2],
        "keep_checkpoints": 1,
        "ema_decay": 0.9,
        "accumulation": 2,
        "grad_clip": 5,
        "checkpoint_minutes": 1e-9,  # after each step
    }
    tree["reconstruction_params"] = {"num_videos": 1, "max_frames": 4}
    return tree


def in_bf16(tree: Tree) -> AbstractContextManager[object]:
    tree["train_params"]["precision"] = "bf16"
    return nullcontext()


def scaled_from_workers(tree: Tree) -> AbstractContextManager[object]:
    """Scaled as in fp16, in which a CPU does not train; the scaler does its work there, too."""
    tree["train_params"]["num_workers"] = 1

    def scaling(**options: Any) -> Options:
        return Options(**options | {"scaled": True})

    return patch.object(build_training, "Options", scaling)


@pytest.mark.parametrize("way", [in_bf16, scaled_from_workers])
def test_stops_at_random_steps_change_nothing(
    dataset: Path, tmp_path: Path, way: Callable[[Tree], AbstractContextManager[object]]
) -> None:
    seed = int(os.environ.get("STOPS_SEED", random.SystemRandom().randrange(10**6)))
    draws = random.Random(seed)
    # Not an error in the first step, before which there is nothing to go on from.
    steps = sorted(draws.sample(range(2, EPOCHS * STEPS_AN_EPOCH + 1), len(MEANS)))
    kinds = list(MEANS)
    draws.shuffle(kinds)
    print(f"STOPS_SEED={seed}:", *zip(kinds, steps, strict=True))  # shown where the test fails
    tree = tree_of_all(dataset)
    with way(tree):
        start = ("--config", write_config(tmp_path / "run.yaml", tree), "--seed", SEED)
        training(*start, "--log_dir", tmp_path / "whole").output()
        go_on: tuple[object, ...] = (*start, "--log_dir", tmp_path / "stopped")
        done = 0
        for kind, step in zip(kinds, steps, strict=True):
            with patch.object(Trainer, "step", interrupting(step - done, MEANS[kind])):
                ended = training(*go_on)
            assert ended.code == (2 if kind == "an error" else 0), ended
            checkpoint = newest_checkpoint(run_folder(tmp_path / "stopped"))
            done = read_torch_file(checkpoint)["step"]
            assert done == (step - 1 if kind == "an error" else step)
            go_on = ("--checkpoint", checkpoint)
        training(*go_on).output()
    assert_same_end(run_folder(tmp_path / "stopped"), run_folder(tmp_path / "whole"))


def newest_checkpoint(folder: Path) -> Path:
    """That of the most steps; of two, the one that begins the next epoch."""

    def progress(path: Path) -> tuple[int, int]:
        content = read_torch_file(path)
        return content["step"], content["epoch"]

    return max(folder.glob("*-checkpoint.pth.tar"), key=progress)


def test_a_stop_in_validation_is_followed_by_the_whole_of_it(dataset: Path, tmp_path: Path) -> None:
    tree = tiny_tree(dataset)
    tree["train_params"]["num_epochs"] = 1
    start = ("--config", write_config(tmp_path / "run.yaml", tree), "--log_dir")
    training(*start, tmp_path / "whole").output()
    whole = run_folder(tmp_path / "whole")
    encode = Animator.encode

    def interrupted(animator: Animator, image: Tensor) -> Source:
        os.kill(os.getpid(), signal.SIGTERM)
        return encode(animator, image)

    with (
        patch.object(Animator, "encode", interrupted),
        patch("engine.validation.psnr", side_effect=psnr) as scored,
    ):
        training(*start, tmp_path / "stopped").output()
    assert scored.call_count <= 1  # however long the video is
    folder = run_folder(tmp_path / "stopped")
    assert (folder / "log.txt").read_text() == ""
    training("--checkpoint", newest_checkpoint(folder)).output()
    assert_same_end(folder, whole)
    scores = [re.findall(r"test_l1 .*", (run / "log.txt").read_text()) for run in (folder, whole)]
    assert scores[0] == scores[1] != []
    assert (folder / "best.pth.tar").is_file()
