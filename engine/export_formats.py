"""The files that an exported graph may become, and the runtimes that run them."""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import torch
from torch import Tensor
from torch.export import Dim

from engine.device import place
from engine.errors import UserError
from engine.export_graphs import Graph

ONNX_OPSET = 20  # has the GridSample that torch's exporter writes

Runtime = Callable[[Sequence[Tensor]], list[Tensor]]
"""Runs a graph: inputs in order -> outputs in order."""


class Format(NamedTuple):
    """A kind of file.

    Attributes:
        suffix: of its name.
        needs: packages that writing and running it takes, beside torch.
        write: a graph to a file, with texts by name to be kept in it.
        load: the runtime of such a file.
    """

    suffix: str
    needs: tuple[str, ...]
    write: Callable[[Graph, Path, Mapping[str, str]], None]
    load: Callable[[Path], Runtime]

    def check_installed(self) -> None:
        """Raise UserError if a package is missing."""
        for name in self.needs:
            import_package(name)


def import_package(name: str) -> ModuleType:
    """A package that not everybody has.

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(
            f"{name}: not installed, or broken ({error}); pip install -r requirements-export.txt"
        ) from error


def write_onnx(graph: Graph, path: Path, texts: Mapping[str, str]) -> None:
    """Through torch.export, with an operator set that knows how to sample images."""
    for name in ("torch.onnx", "onnxscript", "onnx_ir"):  # they tell of every node
        logging.getLogger(name).setLevel(logging.ERROR)
    program = torch.onnx.export(
        graph.network,
        _examples(graph),
        input_names=[port.name for port in graph.inputs],
        output_names=[port.name for port in graph.outputs],
        opset_version=ONNX_OPSET,
        dynamic_shapes=_dynamic_shapes(graph),
        verbose=False,
    )
    assert program is not None
    program.model.metadata_props.update(texts)
    program.save(path)


def load_onnx(path: Path) -> Runtime:
    """Run by onnxruntime, on the CPU."""
    onnxruntime = import_package("onnxruntime")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [port.name for port in session.get_inputs()]

    def run(inputs: Sequence[Tensor]) -> list[Tensor]:
        arrays = [tensor.numpy() for tensor in inputs]
        outputs = session.run(None, dict(zip(names, arrays, strict=True)))
        return [torch.from_numpy(array) for array in outputs]

    return run


def write_torchscript(graph: Graph, path: Path, texts: Mapping[str, str]) -> None:
    """Traced. torch calls TorchScript deprecated, but C++ programs of any age read it."""
    network = place(graph.network, torch.device("cpu"))
    with torch.no_grad(), warnings.catch_warnings():
        # That it is deprecated, and that sizes become constants, which here they are.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(network, _examples(graph), check_trace=False)
        torch.jit.save(traced, path, _extra_files=dict(texts))


def load_torchscript(path: Path) -> Runtime:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated
        return _of_module(torch.jit.load(path, map_location="cpu"))


def write_torch_export(graph: Graph, path: Path, texts: Mapping[str, str]) -> None:
    """An ExportedProgram, which torch.compile and AOTInductor take."""
    network = place(graph.network, torch.device("cpu"))
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of weights whose layout is not torch's default
        program = torch.export.export(
            network, _examples(graph), dynamic_shapes=_dynamic_shapes(graph)
        )
        torch.export.save(program, path, extra_files=dict(texts))


def load_torch_export(path: Path) -> Runtime:
    return _of_module(torch.export.load(path).module())


def _of_module(module: Callable[..., Tensor | tuple[Tensor, ...]]) -> Runtime:
    @torch.no_grad()
    def run(inputs: Sequence[Tensor]) -> list[Tensor]:
        outputs = module(*inputs)
        return [outputs] if isinstance(outputs, Tensor) else list(outputs)

    return run


def _examples(graph: Graph) -> tuple[Tensor, ...]:
    return tuple(port.example() for port in graph.inputs)


def _dynamic_shapes(graph: Graph) -> tuple[dict[int, Dim], ...]:
    batch = Dim("batch")
    return tuple({0: batch} if port.is_batch else {} for port in graph.inputs)


FORMATS = {
    "onnx": Format(".onnx", ("onnx", "onnxscript", "onnxruntime"), write_onnx, load_onnx),
    "torchscript": Format(".pt", (), write_torchscript, load_torchscript),
    "torch-export": Format(".pt2", (), write_torch_export, load_torch_export),
}
