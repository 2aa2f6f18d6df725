"""A decoded frame of video -> uint8 RGB: its colour matrix, its range, its transparency."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np
from av.video.frame import VideoFrame
from PIL import Image

from engine.image import to_rgb
from engine.reformatting import reformat
from engine.tone_mapping import HLG, PQ, tone_map

# YCbCr matrices that FFmpeg's frames and its scaler number alike: BT.709, SMPTE 240M, BT.2020.
# Frames with any other tag, or with none, are read as BT.601, as ffmpeg does.
_TAGGED_MATRICES = frozenset({1, 7, 9})
_BT601 = 5
_FULL_RANGE = 2
# Bilinear, accurate rounding, full chroma interpolation: without the latter two every level comes
# out about 1 too dark. In numbers, since not every PyAV has names for them.
_CONVERSION = 0x2 | 0x40000 | 0x2000


def frame_to_rgb(frame: VideoFrame, *, transfer: int) -> np.ndarray:
    """Turn a frame into uint8 RGB (H, W, 3): high dynamic range tone-mapped, alpha over white.

    Args:
        transfer: FFmpeg's number of the stream's transfer function.
    """
    if transfer in (HLG, PQ):
        # In planes: FFmpeg 8 gets saturated colours wrong in rgb48.
        return tone_map(_converted(frame, "gbrp16le"), transfer)
    if any(component.is_alpha for component in frame.format.components):
        return to_rgb(Image.fromarray(_converted(frame, "rgba")))
    return _converted(frame, "rgb24")


def _converted(frame: VideoFrame, layout: str) -> np.ndarray:
    return reformat(
        frame,
        format=layout,
        interpolation=_CONVERSION,
        src_colorspace=frame.colorspace if frame.colorspace in _TAGGED_MATRICES else _BT601,
        src_color_range=frame.color_range,
        dst_colorspace=_BT601,
        dst_color_range=_FULL_RANGE,
    ).to_ndarray()


def display_matrix(frame: VideoFrame) -> np.ndarray:
    """Read how the picture is turned for display: (x, y) shown = (x, y) stored @ matrix, 2x2."""
    try:
        data = cast(Mapping[str, bytes], frame.side_data)["DISPLAYMATRIX"]
    except (KeyError, ValueError):  # ValueError: side data of a kind that PyAV has no name for.
        return np.eye(2)
    return np.frombuffer(data, np.int32).reshape(3, 3)[:2, :2]


def turned(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Apply the quarter turns and reflections of a display matrix to an (H, W, 3) image."""
    (xx, xy), (yx, yy) = matrix
    if abs(xy) > abs(xx):  # What is stored along x is shown along y.
        image, xx, yy = image.transpose(1, 0, 2), yx, xy
    return np.ascontiguousarray(image[:: -1 if yy < 0 else 1, :: -1 if xx < 0 else 1])
