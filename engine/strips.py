"""Some frames of a video, and what was made of them, as rows of pictures."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from engine.animator import Animator
from engine.colouring import error_picture, flow_picture, map_picture
from engine.drawing import draw_points, spectrum
from engine.image import resize_frame, to_frame, to_tensor
from engine.inspection import Inspected, inspect
from engine.scoring import VideoScore

COLUMNS = 6
_POINT_SIZE = 5  # of a keypoint, in pixels of a picture of 256
_SMALLEST_CANVAS = 192  # pixels; points on smaller frames would hide them

Rows = Mapping[str, np.ndarray]
"""Pictures, uint8 (H, W, 3), by the title of the row that they belong to"""

Look = Callable[[int, Tensor, Tensor], Rows]
"""What else there is to see: (number of the frame, source, driving frame), (C, H, W) each"""


class Shown(NamedTuple):
    """One run's side of a strip: its name, its pairs of result and truth, what its networks see."""

    name: str
    pairs: Iterable[tuple[Tensor, Tensor]]
    look: Look | None


class Strip(NamedTuple):
    """Frames of one video.

    Attributes:
        heading: why it is shown.
        video: its name.
        numbers: of the frames, a column each.
        source: the picture that was moved, uint8 (H, W, 3).
        rows: for each title a picture for each column.
    """

    heading: str
    video: str
    numbers: list[int]
    source: np.ndarray
    rows: dict[str, list[np.ndarray]]


def worst_median_best(scores: Sequence[VideoScore]) -> list[tuple[str, VideoScore]]:
    """By L1, under those headings; of fewer than three videos, those that there are."""
    ordered = sorted(scores, key=lambda score: score.means()["l1"] or 0.0, reverse=True)
    places = {"Worst": 0, "Median": len(ordered) // 2, "Best": len(ordered) - 1}
    chosen = {place: (heading, ordered[place]) for heading, place in places.items() if ordered}
    return [chosen[place] for place in sorted(chosen)]


def make_strip(heading: str, score: VideoScore, sides: Sequence[Shown]) -> Strip:
    """Evenly spread frames of a video, of one run or of several, as far as all of them go.

    Rows of the same kind stand together, a run below the other.
    """
    numbers = sorted(set(np.linspace(0, score.num_frames - 1, COLUMNS).round().astype(int)))
    rows: dict[str, dict[str, list[np.ndarray]]] = {"driving": {}}  # by title, then by run
    source = None
    for index, side in enumerate(sides):
        for number, first, (result, truth) in _at(numbers, side.pairs):
            source = to_frame(first)
            pictures = {"prediction": to_frame(result), "error": error_picture(result, truth)}
            if side.look is not None:
                pictures |= side.look(number, first, truth)
            for title, picture in pictures.items():
                rows.setdefault(title, {}).setdefault(f"{side.name}: {title}", []).append(picture)
            if not index:
                rows["driving"].setdefault("driving", []).append(to_frame(truth))
    assert source is not None
    named = {name: pictures for runs in rows.values() for name, pictures in runs.items()}
    if len(sides) == 1:
        named = {name.removeprefix(f"{sides[0].name}: "): named[name] for name in named}
    return Strip(heading, score.name, [int(number) for number in numbers], source, named)


def _at(
    numbers: Sequence[int], pairs: Iterable[tuple[Tensor, Tensor]]
) -> Iterator[tuple[int, Tensor, tuple[Tensor, Tensor]]]:
    """The pairs of these numbers, each with the first truth."""
    first = None
    for number, pair in enumerate(pairs):
        first = pair[1] if first is None else first
        if number in numbers:
            yield number, first, pair


def network_look(animator: Animator, size: tuple[int, int]) -> Look:
    """Keypoints, flow and occlusion map that networks for frames of (H, W) find."""

    def look(number: int, source: Tensor, driving: Tensor) -> Rows:
        source, driving = (
            to_tensor(resize_frame(to_frame(frame), size)) for frame in (source, driving)
        )
        found = inspect(animator, animator.encode(source), driving.unsqueeze(0))
        return inspected_rows(found, driving)

    return look


def inspected_rows(found: Inspected, driving: Tensor) -> Rows:
    """What was found in one driving frame, as pictures."""
    rows = {"keypoints": keypoints_picture(to_frame(driving), found.keypoints[0])}
    if found.flow is not None:
        rows["flow"] = flow_picture(found.flow[0])
    if found.occlusion_map is not None:
        rows["occlusion"] = map_picture(found.occlusion_map[0])
    return rows


def keypoints_picture(frame: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    """A frame, enlarged by a whole factor if it is small, with keypoints (K, 2) in [-1, 1]."""
    height, width = frame.shape[:2]
    factor = -(-_SMALLEST_CANVAS // min(height, width))
    canvas = frame.repeat(factor, axis=0).repeat(factor, axis=1)
    pixels = (keypoints + 1) / 2 * (np.array([width, height]) - 1)
    centres = factor * pixels + (factor - 1) / 2
    return draw_points(canvas, centres, spectrum(len(keypoints)), size=_POINT_SIZE)
