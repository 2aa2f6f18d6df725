"""How fast pictures are animated, part by part, and how fast a plain implementation would be."""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from engine.animator import Animator
from engine.build import InferenceNetworks
from engine.clip import Clip, open_clip
from engine.device import place
from engine.pipeline import ahead, behind
from engine.video import to_frame
from engine.video_writer import VideoWriter
from modules.generator import Source
from modules.keypoints import Keypoints, MotionTransfer, transfer_motion
from tools.bench.machine import GIGA, best_time
from tools.bench.plain import upsample_first

CPU = torch.device("cpu")

_FPS = Fraction(25)


class Milliseconds(NamedTuple):
    """What each part takes for one frame, run alone; `networks` are the three before it."""

    decode: float
    detector: float
    dense_motion: float
    generator: float
    networks: float
    encode: float


class Speed(NamedTuple):
    """The speed of an Animator.

    Attributes:
        work: GFLOP per driving frame in convolutions and matrix products. A convolution counts in
            full, whether or not a library or Winograd's algorithm saves some of it.
        milliseconds: per frame, by part.
        end_to_end: frames per second from a video file to a video file, the parts overlapping.
        first_batch: seconds until the first batch is done, compiling included.
    """

    work: float
    milliseconds: Milliseconds
    end_to_end: float
    first_batch: float


class Plain(NamedTuple):
    """Work (GFLOP) and milliseconds per driving frame of a plain implementation."""

    work: float
    milliseconds: float


def measure(animator: Animator, size: tuple[int, int, int], *, seconds: float) -> Speed:
    """Measure an Animator on frames of (H, W, C), each part for `seconds`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_noise(folder / "driving.mp4", size[:2], count=animator.batch_size)
        with open_clip(folder / "driving.mp4", frame_shape=size) as clip:
            picture = clip.frame(0)
            start = time.perf_counter()
            list(animator.animate(animator.encode(picture), clip, MotionTransfer()))
            first_batch = time.perf_counter() - start
            decode = _per_frame(lambda: list(clip), len(list(clip)), CPU, seconds)
            encode = _per_frame(lambda: _write([picture] * 8, folder / "out.mp4"), 8, CPU, seconds)
            pieces = _networks(animator, picture, seconds)
            milliseconds = Milliseconds._make([decode, *pieces, encode])
            batches = max(4, round(seconds * 1000 / milliseconds.networks / animator.batch_size))
            frames = islice(_again_and_again(clip), batches * animator.batch_size)
            end_to_end = _frames_per_second(animator, picture, frames, folder / "all.mp4")
    return Speed(_work(animator, picture), milliseconds, end_to_end, first_batch)


@torch.inference_mode()
def measure_plain(
    networks: InferenceNetworks,
    size: tuple[int, int, int],
    device: torch.device,
    *,
    seconds: float,
) -> Plain:
    """Run the networks as a plain implementation does, for comparison.

    In float32 and torch's default layout, batch norms as they are, one frame at a time, each time
    from the source image, which is also warped itself.
    """
    detector, generator = (
        copy.deepcopy(network).eval().to(device)
        for network in (networks.kp_detector, networks.generator)
    )
    upsample_first(detector)
    upsample_first(generator)
    source, frame = torch.rand(2, 1, size[2], *size[:2], device=device)
    kp_source = detector(source)

    def animate() -> object:
        keypoints = transfer_motion(kp_source, detector(frame), kp_source, MotionTransfer())
        generated = generator(source, kp_source, keypoints)
        return generated.prediction.cpu(), generated.deformed

    with FlopCounterMode(display=False) as counter:
        animate()
    milliseconds = _per_frame(animate, 1, device, seconds)
    return Plain(counter.get_total_flops() / GIGA, milliseconds)


@torch.inference_mode()
def _networks(animator: Animator, picture: Tensor, seconds: float) -> list[float]:
    """Milliseconds per frame: detector, dense motion, painting; and all three in one go."""
    detector, generator = animator.kp_detector, animator.generator
    batch, source, keypoints = _inputs(animator, picture)
    motion = generator.decode(source, keypoints).motion

    def move() -> object:
        network = generator.dense_motion_network
        return None if network is None else network(source.image, source.keypoints, keypoints)

    pieces = (
        lambda: detector(batch),
        move,
        lambda: generator.paint(source.features, motion),
        lambda: generator.decode(source, detector(batch)),
    )
    return [_per_frame(piece, len(batch), animator.device, seconds) for piece in pieces]


@torch.inference_mode()
def _work(animator: Animator, picture: Tensor) -> float:
    """GFLOP per driving frame, counted where convolutions and matrix products are called."""
    batch, source, _ = _inputs(animator, picture)
    counter = FlopCounterMode(
        display=False, custom_mapping={torch.ops.image_animation.winograd: _direct_work}
    )
    # Compiled code calls what it likes, so this runs what it was compiled from.
    with torch.compiler.set_stance("force_eager"), counter:
        animator.generator.decode(source, animator.kp_detector(batch))
    return counter.get_total_flops() / len(batch) / GIGA


def _direct_work(
    x: Sequence[int], kernels: Sequence[int], bias: Sequence[int], *, out_shape: Sequence[int]
) -> int:
    """FLOP of the 3x3 convolution that Winograd's algorithm computes, from the tensors' shapes."""
    _, channels, features = kernels
    return conv_flop_count(list(x), [features, channels, 3, 3], list(out_shape))


@torch.inference_mode()
def _inputs(animator: Animator, picture: Tensor) -> tuple[Tensor, Source, Keypoints]:
    """A batch of frames, and the source and keypoints to generate it from."""
    frames = torch.rand(animator.batch_size, *picture.shape)
    batch = place(frames, animator.device)
    source = animator.encode(picture).expand(len(batch))
    return batch, source, animator.kp_detector(batch)


def _per_frame(
    function: Callable[[], object], count: int, device: torch.device, seconds: float
) -> float:
    """Milliseconds per frame of a function that takes `count` frames at a time."""
    return 1000 * best_time(function, device, seconds=seconds) / count


def _frames_per_second(
    animator: Animator, picture: Tensor, frames: Iterable[Tensor], path: Path
) -> float:
    """From a video file to a video file, as animate.py goes: its parts overlap."""
    start = time.perf_counter()
    with closing(ahead(frames, 2 * animator.batch_size)) as driving:
        predictions = animator.animate(animator.encode(picture), driving, MotionTransfer())
        count = _write(predictions, path)
    return count / (time.perf_counter() - start)


def _write(frames: Iterable[Tensor], path: Path) -> int:
    """Write a video, in a thread of its own; returns how many frames it has."""
    count = 0
    with VideoWriter(path, fps=_FPS) as writer, behind(writer.write, 8) as hand_on:
        for frame in frames:
            hand_on(to_frame(frame))
            count += 1
    return count


def _write_noise(path: Path, size: tuple[int, int], *, count: int) -> None:
    """A video of coarse noise, no harder to decode than one of a camera."""
    coarse = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    _write(torch.nn.functional.interpolate(coarse, size=size, mode="bilinear"), path)


def _again_and_again(clip: Clip) -> Iterator[Tensor]:
    while True:
        yield from clip
