"""What the machine can do: its rate of matrix products, its clock, its memory."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from pathlib import Path

import torch

from engine.words import counted

GIGA = 1e9

# (rows, inner, columns); a library is at its best at different sizes on different machines.
_CPU_SIZES = ((1024, 1024, 1024), (2048, 2048, 2048), (4096, 2304, 256))
_GPU_SIZES = ((4096, 4096, 4096), (8192, 8192, 8192), (16384, 8192, 8192))


def best_time(function: Callable[[], object], device: torch.device, *, seconds: float) -> float:
    """The shortest run of a function, in seconds, after one that does not count.

    Args:
        device: waited for before and after each run.
        seconds: how long to go on; at least one run counts.
    """
    function()
    best = float("inf")
    end = time.perf_counter() + seconds
    while True:
        synchronize(device)
        start = time.perf_counter()
        function()
        synchronize(device)
        now = time.perf_counter()
        best = min(best, now - start)
        if now >= end:
            return best


@torch.inference_mode()
def matrix_rate(device: torch.device, dtype: torch.dtype, *, seconds: float) -> float:
    """GFLOP/s of the fastest of several matrix products, the measure of what a device can reach."""
    sizes = _CPU_SIZES if device.type == "cpu" else _GPU_SIZES
    rates = []
    for rows, inner, columns in sizes:
        left = torch.rand(rows, inner, device=device, dtype=dtype)
        right = torch.rand(inner, columns, device=device, dtype=dtype)
        time_taken = best_time(lambda: left @ right, device, seconds=seconds / len(sizes))  # noqa: B023
        rates.append(2 * rows * inner * columns / time_taken / GIGA)
    return max(rates)


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def name_of(device: torch.device) -> str:
    """The device in words, such as `NVIDIA H200` or `AMD EPYC, 2 threads`."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{_processor()}, {counted(torch.get_num_threads(), 'thread')}"


def _processor() -> str:
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text().splitlines() if cpus.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
