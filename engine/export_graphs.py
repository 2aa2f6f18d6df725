"""The two graphs of an exported model, and their inputs and outputs by name, shape and range."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from engine.errors import UserError
from modules.exportable import FrameGenerator, SourceEncoder
from modules.folding import fold
from modules.generator import OcclusionAwareGenerator
from modules.keypoint_detector import KPDetector

BATCH: Literal["batch"] = "batch"
_EXAMPLE_BATCH = 2  # tracing would take a batch of 1 for a constant
_IMAGE_RANGE = (0.0, 1.0)
_POINT_RANGE = (-1.0, 1.0)


class Port(NamedTuple):
    """An input or an output, float32.

    Attributes:
        name: that it has in the graph.
        shape: BATCH where it may be any number.
        range: of its values; None for any.
        meaning: in words.
    """

    name: str
    shape: tuple[int | Literal["batch"], ...]
    range: tuple[float, float] | None
    meaning: str

    @property
    def is_batch(self) -> bool:
        return self.shape[:1] == (BATCH,)

    def single(self) -> Port:
        """The same for one image."""
        return self._replace(shape=(1, *self.shape[1:]))

    def example(self) -> Tensor:
        """Some value, of two images where it may be of any number."""
        return torch.rand([_EXAMPLE_BATCH if size == BATCH else size for size in self.shape])


class Graph(NamedTuple):
    """A network of tensors alone, and what goes in and comes out, in order."""

    name: str
    network: nn.Module
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    def ports(self) -> dict[str, list[dict[str, object]]]:
        """Its inputs and outputs as plain values."""
        return {
            "inputs": [port._asdict() for port in self.inputs],
            "outputs": [port._asdict() for port in self.outputs],
        }


class Graphs(NamedTuple):
    """What an exported model consists of."""

    encode_source: Graph
    step: Graph


def build_graphs(
    *,
    kp_detector: KPDetector,
    generator: OcclusionAwareGenerator,
    frame_shape: tuple[int, int, int],
) -> Graphs:
    """Graphs of folded copies of trained networks, in float32, for frames of (H, W, C).

    Raises:
        UserError: the generator has no motion.
    """
    if generator.dense_motion_network is None:
        raise UserError(
            "model_params.generator_params.dense_motion_params: missing, so that nothing would "
            "move; export networks that have a dense motion network"
        )
    folded = fold(kp_detector), fold(generator)
    encoder, stepper = SourceEncoder(*folded).eval(), FrameGenerator(*folded).eval()
    height, width, channels = frame_shape
    with torch.inference_mode():
        features, *keypoints = encoder(torch.zeros(1, channels, height, width))
    frames = (BATCH, channels, height, width)
    image = Port("source_image", frames, _IMAGE_RANGE, "the picture to move, RGB")
    encoded = (
        Port("source_features", (BATCH, *features.shape[1:]), None, "what is painted with"),
        *_keypoints("source", "of the picture", keypoints),
    )
    return Graphs(
        Graph("encode_source", encoder, (image,), encoded),
        Graph(
            "step",
            stepper,
            _step_inputs(frames, (image, *encoded), keypoints),
            (Port("prediction", frames, _IMAGE_RANGE, "the picture, moved, RGB"),),
        ),
    )


def _step_inputs(
    frames: tuple[int | Literal["batch"], ...],
    source: tuple[Port, ...],
    keypoints: list[Tensor],
) -> tuple[Port, ...]:
    """In the order of FrameGenerator.forward, jacobians last."""
    image, features, source_points, *source_jacobians = (port.single() for port in source)
    reference_points, *reference_jacobians = (
        port.single()
        for port in _keypoints("reference", "of the frame that motion starts from", keypoints)
    )
    return (
        Port("driving", frames, _IMAGE_RANGE, "driving frames, RGB"),
        image,
        features,
        source_points,
        reference_points,
        Port("scale", (), None, "how far the picture moves where the driving object moves by 1"),
        *source_jacobians,
        *reference_jacobians,
    )


def _keypoints(whose: str, meaning: str, keypoints: list[Tensor]) -> tuple[Port, ...]:
    """Those of an image, given what a detector finds in one: points and, perhaps, jacobians."""
    points, *jacobians = ((BATCH, *part.shape[1:]) for part in keypoints)
    return (
        Port(f"{whose}_points", points, _POINT_RANGE, f"keypoints (x, y) {meaning}"),
        *(
            Port(f"{whose}_jacobians", shape, None, f"the local motion around each, {meaning}")
            for shape in jacobians
        ),
    )
