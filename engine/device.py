"""Which device a command runs on."""

import ctypes
import logging
import os
import sys
from collections.abc import Sequence
from typing import TypeVar

import torch

from engine.errors import UserError
from engine.words import counted

_log = logging.getLogger(__name__)

# Large pages for large tensors (torch on Linux): feature maps are new memory at every step, and to
# get it 4 KiB at a time costs an upsampling block on a CPU a fifth of its time. Read by torch once,
# with the first tensor.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

# Of glibc's malloc.h.
_TRIM_THRESHOLD = -1
_MMAP_MAX = -4


def choose_device(name: str, device_ids: Sequence[int] | None = None) -> torch.device:
    """Turn `--device` and `--device_ids` into a device.

    Args:
        name: auto (a CUDA GPU, else Apple's, else the CPU), cpu, cuda or mps.
        device_ids: CUDA GPUs by number; the first holds the networks.

    Raises:
        UserError: no such device on this machine.
    """
    if device_ids is not None:
        if name not in ("auto", "cuda"):
            raise UserError(f"--device_ids: names CUDA GPUs, but --device is {name}; drop either")
        _check_cuda(device_ids)
        return torch.device("cuda", device_ids[0])
    if name == "auto":
        return _best_device()
    if name == "cuda":
        _check_cuda([0])
    if name == "mps" and not torch.backends.mps.is_available():
        raise UserError("--device mps: this machine has no Apple GPU; try --device cpu")
    return torch.device(name)


def keep_freed_memory() -> None:
    """Let this process use freed memory again instead of returning it; for a training on a CPU.

    Each step asks for the same gigabytes. glibc gives large pieces back at once, and the system
    must clear them before it lends them again: a seventh of the time of a step of vox-256.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_MMAP_MAX, 0)
        libc.mallopt(_TRIM_THRESHOLD, -1)


T = TypeVar("T", bound=torch.Tensor | torch.nn.Module)


def place(thing: T, device: torch.device, *, training_in: torch.dtype | None = None) -> T:
    """Move images (B, C, H, W) or a network to a device, channels last where that is faster.

    A GPU's tensor cores compute in that layout. Apple's GPUs gain nothing, and some of their
    kernels take such memory for what it is not. On a CPU a training step of vox-256 in float32, two
    pairs on two AMD cores, took 6.1 s with everything channels last or in the default layout, and
    5.9 s with images alone channels last.

    A network trained in bfloat16 on a CPU keeps its layout. From images that are channels last its
    feature maps become so all the same, and its weights, which each step casts from float32, need
    not be shuffled on the way: that step took 3.0 s, with everything channels last 3.1 s, and with
    everything in the default layout 3.4 s.

    Args:
        thing: what to move.
        device: where to.
        training_in: of a network, the type in which gradients will be computed, if not its own.
    """
    if device.type == "mps" or (device.type == "cpu" and training_in == torch.bfloat16):
        return thing.to(device=device)  # type: ignore[return-value]
    return thing.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload, return-value]


def _best_device() -> torch.device:
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def announce(device: torch.device, *, asked: str) -> None:
    """Say, where the work is about to start, that it is on a CPU for want of a GPU.

    Args:
        device: what it runs on.
        asked: the `--device` that was given.
    """
    if device.type == "cpu" and asked == "auto":
        _log.warning(
            "no GPU found: running on the CPU with %s", counted(torch.get_num_threads(), "thread")
        )


def _check_cuda(device_ids: Sequence[int]) -> None:
    present = torch.cuda.device_count()
    for device_id in device_ids:
        if device_id < 0 or device_id >= present:
            remedy = f"choose one from 0 to {present - 1}" if present else "try --device cpu"
            raise UserError(
                f"GPU {device_id}: not there; this machine has {present} CUDA GPUs; {remedy}"
            )
    if len(set(device_ids)) < len(device_ids):
        raise UserError(
            f"--device_ids {','.join(map(str, device_ids))}: names a GPU twice; name each once"
        )


def set_precision(name: str) -> None:
    """Turn `--precision` into torch's settings.

    Args:
        name: auto leaves NVIDIA GPUs their faster rounding of convolutions (TF32); fp32 does not.
    """
    torch.backends.cudnn.allow_tf32 = name != "fp32"
