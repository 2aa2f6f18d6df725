"""The gate of an export: what a runtime makes of its graphs against what PyTorch does."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from engine.errors import UserError
from engine.export_formats import Runtime
from engine.export_graphs import Graph, Graphs
from modules.generator import OcclusionAwareGenerator, Source
from modules.keypoint_detector import KPDetector
from modules.keypoints import MotionTransfer, movement_scale, transfer_motion

LIMIT = 1e-3
BATCH_SIZES = (1, 2, 3)
_MOTIONS = {
    "relative": MotionTransfer(),
    "relative, scaled": MotionTransfer(adapt_scale=True),
    "absolute": MotionTransfer(relative=False),
}


class Sample(NamedTuple):
    """What is run: a picture (1, C, H, W) and driving frames (max(BATCH_SIZES), C, H, W)."""

    name: str
    picture: Tensor
    driving: Tensor


class Check(NamedTuple):
    """One output of one run.

    Attributes:
        graph, output: by name.
        sample: the input, by name.
        motion: how it was carried over; None where it was not.
        batch_size: of the run.
        difference: the largest from PyTorch's numbers; where these reach beyond 1, as a share of
            the largest.
    """

    graph: str
    output: str
    sample: str
    motion: str | None
    batch_size: int
    difference: float


class Gate:
    """Compares graphs, each run by its runtime, with the trained networks, nothing of them folded.

    PyTorch runs these in float64. In float32 its own rounding would count as the runtime's error:
    on white noise, a generator that copies pixels turns it into almost a thousandth.

    Args:
        graphs: what was exported.
        runtimes: of each of them.
        kp_detector, generator: what they are from, in eval mode.
    """

    def __init__(
        self,
        graphs: Graphs,
        runtimes: Sequence[Runtime],
        *,
        kp_detector: KPDetector,
        generator: OcclusionAwareGenerator,
    ) -> None:
        self._graphs = graphs
        self._encode, self._step = runtimes
        self._kp_detector = copy.deepcopy(kp_detector).double()
        self._generator = copy.deepcopy(generator).double()

    def check(self, samples: Sequence[Sample]) -> list[Check]:
        """Run all samples at several batch sizes, motion carried over in every way.

        Raises:
            UserError: something is further off than LIMIT.
        """
        checks: list[Check] = []
        with torch.no_grad():
            for sample in samples:
                checks += self._encodings(sample)
                checks += self._predictions(sample)
        worst = max(checks, key=lambda check: check.difference)
        if worst.difference > LIMIT:
            motion = f", {worst.motion} motion" if worst.motion else ""
            raise UserError(
                f"{worst.graph}: {worst.output} is {worst.difference:.2g} off PyTorch's, more than "
                f"{LIMIT} ({worst.sample} input, batch size {worst.batch_size}{motion}), and "
                "nothing was written; try another --format"
            )
        return checks

    def _encodings(self, sample: Sample) -> Iterator[Check]:
        graph, driving = self._graphs.encode_source, sample.driving
        exact = driving.double()
        expected = (self._generator.encode(exact), *self._kp_detector(exact))
        for size in BATCH_SIZES:
            found = self._encode([driving[:size]])
            for port, value, truth in zip(graph.outputs, found, expected, strict=False):
                assert truth is not None
                difference = difference_of(value, truth[:size])
                yield Check(graph.name, port.name, sample.name, None, size, difference)

    def _predictions(self, sample: Sample) -> Iterator[Check]:
        """Of the step, given what the runtime itself has encoded."""
        graph, (name, picture, driving) = self._graphs.step, sample
        source = named(self._graphs.encode_source, self._encode([picture]))
        first = named(self._graphs.encode_source, self._encode([driving[:1]]))
        exact = picture.double()
        kp_source, kp_driving = self._kp_detector(exact), self._kp_detector(driving.double())
        encoded = Source(exact, self._generator.encode(exact), kp_source).expand(len(driving))
        for motion, options in _MOTIONS.items():
            scale = movement_scale(kp_source, kp_driving.at(0)) if options.adapt_scale else 1.0
            values = {
                "source_image": picture,
                "scale": torch.tensor(scale),
                **source,
                **as_reference(first if options.relative else source),
            }
            keypoints = transfer_motion(kp_source, kp_driving, kp_driving.at(0), options)
            truth = self._generator.decode(encoded, keypoints).prediction
            for size in BATCH_SIZES:
                values["driving"] = driving[:size]
                (found,) = self._step([values[port.name] for port in graph.inputs])
                difference = difference_of(found, truth[:size])
                yield Check(graph.name, "prediction", name, motion, size, difference)


def named(graph: Graph, outputs: Sequence[Tensor]) -> dict[str, Tensor]:
    """The outputs of a graph by their names."""
    return {port.name: value for port, value in zip(graph.outputs, outputs, strict=True)}


def as_reference(encoded: dict[str, Tensor]) -> dict[str, Tensor]:
    """What encode_source found of an image, under the names that step has for its reference."""
    return {name.replace("source", "reference"): value for name, value in encoded.items()}


def difference_of(found: Tensor, expected: Tensor) -> float:
    """The largest difference, as Check has it; infinite if shapes differ or it is no number."""
    if found.shape != expected.shape:
        return math.inf
    difference = (found - expected).abs().max().item() / max(1.0, expected.abs().max().item())
    return difference if math.isfinite(difference) else math.inf
