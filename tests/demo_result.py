"""How much the demo's video moves: its columns are source, driving video and result.

python tests/demo_result.py result.mp4
"""

import sys
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

LEAST_CHANGE = 2.0
MOST_NOISE = 1.5


class Movement(NamedTuple):
    """Mean differences from the first frame, of 255 levels, where they are largest.

    `still` is that of the picture that stands still, which only compression changes.
    """

    result: float
    still: float
    num_frames: int

    @property
    def as_it_should(self) -> bool:
        return self.result > LEAST_CHANGE and self.still < MOST_NOISE


def movement(video: Path) -> Movement:
    frames = read_frames(video).astype(np.float32)
    source, _, result = np.split(frames, 3, axis=2)
    return Movement(_largest_change(result), _largest_change(source), num_frames=len(frames))


def _largest_change(column: np.ndarray) -> float:
    return float(np.abs(column - column[0]).mean(axis=(1, 2, 3)).max())


def read_frames(video: Path) -> np.ndarray:
    """(T, H, W, 3), uint8."""
    with av.open(video) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


if __name__ == "__main__":
    found = movement(Path(sys.argv[1]))
    print(f"{sys.argv[1]}: {found}")
    if not found.as_it_should:
        sys.exit(f"error: {sys.argv[1]}: the result does not move, or the source does")
