"""How fast several runtimes animate with the same networks on the CPU, side by side."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from engine.animator import Animator
from engine.export_formats import FORMATS, import_package, load_onnx, write_onnx
from engine.export_graphs import Graphs
from modules.keypoints import MotionTransfer
from tools.bench.machine import best_time

BACKENDS = ("torch", "onnxruntime", "openvino")
CPU = torch.device("cpu")

_ROUNDS = 3  # the clock of a busy machine wanders: each has its turn, and again, and again


class Backend(NamedTuple):
    """A runtime that is ready to make frames.

    Attributes:
        step: makes a batch of them.
        precision: of its convolutions.
        version: of the package.
    """

    step: Callable[[], object]
    precision: torch.dtype
    version: str


def check_backends(names: Sequence[str]) -> None:
    """Raise UserError if one is not installed, or what writes its files is not."""
    for name in names:
        import_package(name)
        if name != "torch":
            FORMATS["onnx"].check_installed()


def measure_backends(
    names: Sequence[str], animator: Animator, graphs: Graphs, *, seconds: float
) -> dict[str, tuple[Backend, float]]:
    """Time batches of driving frames, each backend for `seconds`: milliseconds per frame.

    Args:
        names: of BACKENDS.
        animator: how torch does it, on the CPU; batch size and precision are those of all, but that
            onnxruntime computes in float32 alone.
        graphs: of the same networks.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "step.onnx"
        if set(names) != {"torch"}:
            write_onnx(graphs.step, path, {})
        backends = {name: _open(name, animator, graphs, path) for name in names}
    times = {name: float("inf") for name in names}
    for _ in range(_ROUNDS):
        for name, backend in backends.items():
            time = best_time(backend.step, CPU, seconds=seconds / _ROUNDS)
            times[name] = min(times[name], 1000 * time / animator.batch_size)
    return {name: (backend, times[name]) for name, backend in backends.items()}


def _open(name: str, animator: Animator, graphs: Graphs, path: Path) -> Backend:
    inputs = _inputs(graphs, animator.batch_size)
    if name == "torch":
        return _torch(animator, inputs)
    values = [inputs[port.name] for port in graphs.step.inputs]
    if name == "onnxruntime":
        runtime = load_onnx(path)
        return Backend(lambda: runtime(values), torch.float32, version(name))
    return _openvino(path, [value.numpy() for value in values], animator.precision)


def _torch(animator: Animator, inputs: dict[str, Tensor]) -> Backend:
    source, frames = animator.encode(inputs["source_image"][0]), inputs["driving"].unbind()

    def step() -> object:
        return list(animator.animate(source, frames, MotionTransfer()))

    return Backend(step, animator.precision, version("torch"))


def _openvino(path: Path, inputs: list[np.ndarray], precision: torch.dtype) -> Backend:
    openvino = import_package("openvino")
    names = {torch.float32: "f32", torch.bfloat16: "bf16"}
    settings = {"INFERENCE_PRECISION_HINT": names[precision], "PERFORMANCE_HINT": "LATENCY"}
    model = openvino.Core().compile_model(path, "CPU", settings)
    return Backend(lambda: model(inputs), precision, version("openvino"))


@torch.inference_mode()
def _inputs(graphs: Graphs, batch_size: int) -> dict[str, Tensor]:
    """Noise and what is found in it, by the names of step's inputs."""
    picture = graphs.encode_source.inputs[0].single().example()
    encoded = graphs.encode_source.network(picture)
    inputs = {"source_image": picture, "driving": picture.expand(batch_size, -1, -1, -1)}
    inputs["scale"] = torch.ones(())
    for port, value in zip(graphs.encode_source.outputs, encoded, strict=True):
        inputs[port.name] = inputs[port.name.replace("source", "reference")] = value
    return inputs
