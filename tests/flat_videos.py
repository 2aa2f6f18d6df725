"""Tiny videos of flat frames, which tell their number and the clip they are of."""

from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from engine.video import VideoWriter

SIZE = 16
FRAME_SHAPE = (SIZE, SIZE, 3)
NUM_FRAMES = 6


def make_frames(clip: int = 0, num_frames: int = NUM_FRAMES) -> list[np.ndarray]:
    """Flat frames: red is 40 * the frame's number, green 10 * the clip's, blue 0."""
    colours = [(40 * t, 10 * clip, 0) for t in range(num_frames)]
    return [np.full((SIZE, SIZE, 3), colour, dtype=np.uint8) for colour in colours]


def write_stack(path: Path, frames: list[np.ndarray], mode: str = "RGB") -> Path:
    Image.fromarray(np.concatenate(frames, axis=1)).convert(mode).save(path)
    return path


def write_folder(path: Path, frames: list[np.ndarray]) -> Path:
    path.mkdir()
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(path / f"{index:04d}.png")
    return path


def write_gif(path: Path, frames: list[np.ndarray]) -> Path:
    images = [Image.fromarray(frame) for frame in frames]
    images[0].save(path, save_all=True, append_images=images[1:], duration=100)
    return path


def write_mp4(path: Path, frames: list[np.ndarray]) -> Path:
    with VideoWriter(path, fps=Fraction(10)) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def frame_number(image: Tensor) -> int:
    return round(float(image[0].mean()) * 255 / 40)


def clip_number(image: Tensor) -> int:
    return round(float(image[1].mean()) * 255 / 10)
