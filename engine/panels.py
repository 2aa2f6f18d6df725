"""What a person sees of each step: the result, and if wanted the whole picture, and its source."""

from __future__ import annotations

import math

import numpy as np

from engine.animator import Step
from engine.drawing import draw_points, spectrum
from engine.framing import Box, PasteBack
from engine.image import resize_frame, to_frame
from engine.scene import Scene
from modules.keypoints import Keypoints

_POINT_SIZE = 4
_SMALLEST_SIDE = 192


class Panels:
    """Makes of each step the pictures that stand side by side in the result video.

    Args:
        scene: what is animated.
        paste_back: whether the result is shown in the whole picture, or as the networks made it.
        source: keypoints of the source, to show source and driving frame with their keypoints to
            the left of the result, frames of less than 192 pixels enlarged a whole number of
            times; None to show the result alone.
    """

    def __init__(
        self,
        scene: Scene,
        *,
        paste_back: bool,
        source: Keypoints | None,
    ) -> None:
        self._paste = PasteBack(scene.picture, scene.box) if paste_back else None
        self._source: np.ndarray | None = None
        if source is not None and paste_back:
            self._source = _drawn(scene.picture, source, scene.box, scene.clip.size)
        elif source is not None:
            self._source = _drawn_on_frame(scene.source(), source)

    def __call__(self, step: Step, result: np.ndarray) -> list[np.ndarray]:
        """The panels of a step whose prediction is `result`, uint8 (H, W, 3), all of one size."""
        result = result if self._paste is None else self._paste(result)
        if self._source is None:
            return [result]
        result = result if self._paste is not None else _enlarged(result)
        driving = _drawn_on_frame(to_frame(step.driving), step.keypoints)
        return [self._source, fit(driving, (result.shape[0], result.shape[1])), result]


def _drawn_on_frame(frame: np.ndarray, keypoints: Keypoints) -> np.ndarray:
    shown = _enlarged(frame)
    whole = Box(0, 0, shown.shape[1], shown.shape[0])
    return _drawn(shown, keypoints, whole, (frame.shape[0], frame.shape[1]))


def _enlarged(frame: np.ndarray) -> np.ndarray:
    height, width = frame.shape[:2]
    times = math.ceil(_SMALLEST_SIDE / min(height, width))
    return resize_frame(frame, (times * height, times * width))


def _drawn(
    picture: np.ndarray, keypoints: Keypoints, box: Box, frame_size: tuple[int, int]
) -> np.ndarray:
    """A picture with the keypoints of the frame (h, w) that shows the part `box` of it."""
    points = keypoints.value[0].float().cpu().numpy()  # (K, 2)
    frame = np.array(frame_size[::-1])
    # Points are relative to the centres of a frame's first and last pixels.
    pixels = (points + 1) / 2 * (frame - 1)
    centres = np.array(box[:2]) + (pixels + 0.5) * np.array(box[2:]) / frame - 0.5
    return draw_points(picture, centres, spectrum(len(points)), size=_POINT_SIZE)


def fit(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Show a whole frame, as large as it goes, in the middle of a white picture (H, W)."""
    if frame.shape[:2] == size:
        return frame
    scale = min(size[0] / frame.shape[0], size[1] / frame.shape[1])
    height, width = (max(1, round(scale * side)) for side in frame.shape[:2])
    whole = np.full((*size, 3), 255, np.uint8)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    whole[top : top + height, left : left + width] = resize_frame(frame, (height, width))
    return whole
