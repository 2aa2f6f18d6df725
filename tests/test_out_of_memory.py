"""Running out of memory, wherever that is: one line that says what to lower, and nothing lost."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from commands import ROOT, Finished, files_below, run_here, write_dataset
from torch import nn
from torch.optim import Optimizer
from training_runs import UNTESTED, config_of_a_run, last_checkpoint, run_folder, training

import animate
import evaluate
import reconstruction
from engine.checkpoint import read_torch_file
from engine.errors import UserError
from engine.memory import enough_memory
from frames_dataset import TrainingPairs
from modules.generator import OcclusionAwareGenerator

FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
CUDNN_9 = "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return config_of_a_run(write_dataset(tmp_path_factory.mktemp("data")))


@contextmanager
def full(
    owner: type, method: str, *, from_call: int = 1, animating: bool = False
) -> Iterator[None]:
    """Let a method run out of memory from one of its calls on; if `animating`, of such alone."""
    whole, count = getattr(owner, method), 0

    def filling(*arguments: Any, **options: Any) -> Any:
        nonlocal count
        count += torch.is_inference_mode_enabled() or not animating
        if count >= from_call:
            raise FULL
        return whole(*arguments, **options)

    with patch.object(owner, method, filling):
        yield


@pytest.mark.parametrize(
    ("error", "whose"),
    [
        (FULL, "the GPU's"),
        (RuntimeError("CUDA error: out of memory\nCompile with ..."), "the GPU's"),
        (RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"), "the GPU's"),
        (RuntimeError("CUDA driver error: out of memory"), "the GPU's"),
        (RuntimeError("Last error:\nCuda failure 2 'out of memory'"), "the GPU's"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling ..."), "the GPU's"),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), "the GPU's"),
        (RuntimeError("cuFFT error: CUFFT_ALLOC_FAILED"), "the GPU's"),
        (RuntimeError(f"{CUDNN_9}_DEVICE_ALLOCATION_FAILED"), "the GPU's"),
        (RuntimeError(f"{CUDNN_9}_HOST_ALLOCATION_FAILED"), "this machine's"),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to"), "this machine's"),
        (RuntimeError("std::bad_alloc"), "this machine's"),
        (MemoryError(), "this machine's"),
    ],
)
def test_each_kind_of_it_is_recognised(error: Exception, whose: str) -> None:
    with pytest.raises(UserError) as caught, enough_memory("--batch_size 4", "lower it"):
        raise error
    assert str(caught.value) == f"{whose} memory is too small for --batch_size 4; lower it"


def test_so_is_what_torch_says_of_a_cpu() -> None:
    with (
        pytest.raises(UserError, match="this machine's memory is too"),
        enough_memory("it", "lower it"),
    ):
        torch.empty(10**15)


@pytest.mark.parametrize(
    "text",
    [
        "shapes differ",
        "CUDA error: an illegal memory access was encountered",
        "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(...)`",
        CUDNN_9,
        "out of resource: shared memory, Required: 229392, Hardware limit: 101376",
        "NCCL error: Call to ibv_reg_mr failed with error Cannot allocate memory",
        "unsupported memory format option Preserve",
    ],
)
def test_other_errors_stay_what_they_are(text: str) -> None:
    error = RuntimeError(text)
    with pytest.raises(RuntimeError) as caught, enough_memory("it", "lower it"):
        raise error
    assert caught.value is error


def test_in_a_step_the_last_checkpoint_is_named(config: Path, tmp_path: Path) -> None:
    """Two parts of a batch in each of four steps, and then none."""
    with full(OcclusionAwareGenerator, "forward", from_call=9):
        done = training("--config", config, "--log_dir", tmp_path, *UNTESTED)
    good = run_folder(tmp_path) / "00000001-checkpoint.pth.tar"
    assert done.error() == (
        "the GPU's memory is too small for train_params.batch_size=2 in "
        "train_params.accumulation=2 parts; raise accumulation, which changes only batch "
        "statistics, set train_params.precision=bf16, or lower batch_size, and go on with "
        f"--checkpoint {good}"
    )
    training("--checkpoint", good, *UNTESTED).output()
    assert read_torch_file(last_checkpoint(good.parent))["step"] == 12


def test_in_validation_the_epoch_is_saved(config: Path, tmp_path: Path) -> None:
    rarely = ["--set", "train_params.checkpoint_freq=50"]
    with full(OcclusionAwareGenerator, "decode", animating=True):
        done = training("--config", config, "--log_dir", tmp_path, *rarely)
    assert done.error() == (
        "the GPU's memory is too small for validating 1 frames at a time; lower "
        "train_params.batch_size=2 or raise train_params.accumulation=2, which bound them, or do "
        "without by train_params.validate_freq=0"
    )
    (saved,) = re.findall(r"stopped; --checkpoint (\S+) goes on from here\n", done.stdout)
    assert read_torch_file(Path(saved))["step"] == 4
    training("--checkpoint", saved, "--set", "train_params.num_epochs=2", *UNTESTED).output()
    assert read_torch_file(last_checkpoint(run_folder(tmp_path)))["step"] == 8


NO_ROOM = "the GPU's memory is too small for the networks and their optimizers; lower "


def test_before_a_run_begins_nothing_is_written(config: Path, tmp_path: Path) -> None:
    with full(nn.Module, "to"):
        message = training("--config", config, "--log_dir", tmp_path / "log").error()
    assert message.startswith(f"{NO_ROOM}block_expansion and max_features in model_params")
    assert not list(tmp_path.iterdir())


def test_on_resumption_the_checkpoint_stays(config: Path, tmp_path: Path) -> None:
    one_epoch = ["--set", "train_params.num_epochs=1", *UNTESTED]
    training("--config", config, "--log_dir", tmp_path, *one_epoch).output()
    before = files_below(tmp_path)
    with full(Optimizer, "load_state_dict"):
        done = training("--checkpoint", last_checkpoint(run_folder(tmp_path)))
    assert done.error().startswith(NO_ROOM)
    assert files_below(tmp_path) == before


def test_in_the_readers_of_data_their_number_is_named(config: Path, tmp_path: Path) -> None:
    with full(TrainingPairs, "draw"):
        done = training("--config", config, "--log_dir", tmp_path)
    assert done.error() == "the GPU's memory is too small for train_params.num_workers=0; lower it"


CHECKPOINT = ("--checkpoint", ROOT / "demo" / "checkpoint.pth.tar", "--device", "cpu")


def animated(folder: Path) -> Finished:
    files = {"source_image": "source.png", "driving_video": "driving.mp4"}
    named = [it for flag, name in files.items() for it in (f"--{flag}", ROOT / "demo" / name)]
    return run_here(animate.main, *CHECKPOINT, *named, "--result_video", folder / "result.mp4")


def rebuilt(folder: Path) -> Finished:
    root = f"dataset_params.root_dir={write_dataset(folder / 'data')}"
    log_dir = folder / "reconstruction"
    return run_here(
        reconstruction.main, *CHECKPOINT, "--set", root, "--log_dir", log_dir, "--lpips", "none"
    )


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (animated, "the GPU's memory is too small for --batch_size 4; lower it, end other"),
        (rebuilt, "the GPU's memory is too small for 4 frames at a time in --precision fp32; try"),
    ],
)
def test_in_other_commands(
    command: Callable[[Path], Finished], message: str, tmp_path: Path
) -> None:
    with full(OcclusionAwareGenerator, "decode", from_call=2):
        assert command(tmp_path).error().startswith(message)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert all(path.is_relative_to(tmp_path / "data") for path in files)


def test_in_an_evaluation(tmp_path: Path) -> None:
    data = write_dataset(tmp_path)
    with full(nn.Module, "to"):
        done = run_here(evaluate.main, data / "test", data / "test", *CHECKPOINT)
    assert done.error().startswith(
        "the GPU's memory is too small for frames of this size and what looks at them; lower --size"
    )
