"""Tiny videos whose frames are known."""

import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from engine.video_writer import VideoWriter

NTSC = Fraction(30000, 1001)
COLOURS = [(200, 30, 30), (30, 200, 30), (30, 30, 200), (128, 128, 128), (240, 230, 20), (8, 8, 8)]


def write(path: Path, frames: Sequence[np.ndarray], *, fps: Fraction = NTSC) -> Path:
    with VideoWriter(path, fps=fps) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def ffmpeg(*arguments: str | Path, stdin: bytes = b"") -> None:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", *map(str, arguments)]
    subprocess.run(command, input=stdin, check=True)


def encode(path: Path, frames: Sequence[np.ndarray], *options: str) -> Path:
    """Encode with ffmpeg directly, for what VideoWriter does not make."""
    height, width = frames[0].shape[:2]
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", "30000/1001"]
    ffmpeg(*source, "-i", "pipe:0", *options, path, stdin=b"".join(f.tobytes() for f in frames))
    return path


def numbered(count: int, *, size: tuple[int, int] = (32, 48)) -> list[np.ndarray]:
    """Frames that tell their number by their grey level, 4 * number + 20, under some noise."""
    noise = np.random.default_rng(0).integers(-8, 9, (count, *size, 3))
    levels = 4 * np.arange(count)[:, None, None, None] + 20
    return list((levels + noise).clip(0, 255).astype(np.uint8))


def number_of(frame: np.ndarray) -> int:
    return round((float(frame.mean()) - 20) / 4)


def patches() -> np.ndarray:
    """One row of squares in COLOURS, (32, 192, 3)."""
    row = np.repeat(np.array(COLOURS, np.uint8), 32, axis=0)
    return np.repeat(row[None], 32, axis=0)


def patch_error(frame: np.ndarray) -> int:
    """Largest deviation from patches() away from the borders, where chroma is blurred."""
    squares = frame[:32, :192].reshape(32, 6, 32, 3)[8:24, :, 8:24]
    return int(np.abs(squares.astype(int) - np.array(COLOURS)[:, None]).max())
