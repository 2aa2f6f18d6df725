"""Random changes of one clip, the same for all its frames.

A clip is a list of uint8 RGB frames (H, W, 3) of one size, and stays one: uint8 is what the decoder
gives, flips and crops are exact in it, and every other step rounds once. No step writes into its
input, and all chance comes from the generator that is handed in.

Equal colours stay equal, in whichever frames they stand: the network rebuilds one frame from
another, and could not foresee a change that only one of them went through.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as tvf

from engine.video import resize_frame

Clip = list[np.ndarray]
Augmentation = Callable[[Clip, np.random.Generator], Clip]


@dataclass(frozen=True)
class TimeFlip:
    """Plays every second clip backwards: a pair swaps its source and its driving frame."""

    def __call__(self, clip: Clip, rng: np.random.Generator) -> Clip:
        return clip[::-1] if rng.random() < 0.5 else clip[:]


@dataclass(frozen=True)
class HorizontalFlip:
    """Mirrors every second clip, left to right."""

    def __call__(self, clip: Clip, rng: np.random.Generator) -> Clip:
        if rng.random() >= 0.5:
            return clip[:]
        return [np.ascontiguousarray(frame[:, ::-1]) for frame in clip]


@dataclass(frozen=True)
class Resize:
    """Scales height and width by one ratio, uniform in `ratio`."""

    ratio: tuple[float, float]

    def __call__(self, clip: Clip, rng: np.random.Generator) -> Clip:
        height, width = clip[0].shape[:2]
        ratio = rng.uniform(*self.ratio)
        size = (max(1, round(height * ratio)), max(1, round(width * ratio)))
        return [resize_frame(frame, size) for frame in clip]


@dataclass(frozen=True)
class Crop:
    """Cuts out a window of `size`, (height, width) in pixels, at a random place.

    Where the frame is smaller than the window, it stands at a random place inside the window
    instead, and its edge pixels are repeated over the rest.
    """

    size: tuple[int, int]

    def __call__(self, clip: Clip, rng: np.random.Generator) -> Clip:
        height, width = clip[0].shape[:2]
        top = _random_offset(height - self.size[0], rng)
        left = _random_offset(width - self.size[1], rng)
        return [_window(frame, top=top, left=left, size=self.size) for frame in clip]


@dataclass(frozen=True)
class Rotation:
    """Turns the clip about its centre, counter-clockwise by an angle uniform in `degrees`.

    Edge pixels are repeated over the corners that come into view.
    """

    degrees: tuple[float, float]

    def __call__(self, clip: Clip, rng: np.random.Generator) -> Clip:
        degrees = rng.uniform(*self.degrees)
        height, width = clip[0].shape[:2]
        # Torchvision fills the corners with a constant; a margin keeps that out of the frame.
        reach = math.hypot(height, width) / 2
        top, left = math.ceil(reach - height / 2) + 1, math.ceil(reach - width / 2) + 1
        size = (height + 2 * top, width + 2 * left)
        padded = [_window(frame, top=-top, left=-left, size=size) for frame in clip]
        turned = tvf.rotate(
            torch.from_numpy(np.stack(padded)).permute(0, 3, 1, 2),
            degrees,
            interpolation=InterpolationMode.BILINEAR,
        ).permute(0, 2, 3, 1)
        inner = turned[:, top : top + height, left : left + width]
        return list(inner.contiguous().numpy())


@dataclass(frozen=True)
class ColorJitter:
    """Changes brightness, contrast, saturation and hue, in a random order, one draw of each a clip.

    The first three are scaled by a factor uniform in [max(0, 1 - strength), 1 + strength]; hue, a
    fraction of the colour circle in [0, 0.5], moves by an amount uniform in [-hue, hue].
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def __call__(self, clip: Clip, rng: np.random.Generator) -> Clip:
        steps = self._draw(rng)
        if not steps:
            return clip[:]
        # One tall image: contrast pulls towards the mean of the clip, not of each frame.
        image = torch.from_numpy(np.concatenate(clip)).permute(2, 0, 1)  # (3, T * H, W)
        image = image.to(torch.float32, memory_format=torch.contiguous_format).div_(255)
        for adjust, amount in steps:
            image = adjust(image, amount)
        image = image.mul(255).round_().to(torch.uint8)
        return list(image.permute(1, 2, 0).contiguous().numpy().reshape(-1, *clip[0].shape))

    def _draw(
        self, rng: np.random.Generator
    ) -> list[tuple[Callable[[Tensor, float], Tensor], float]]:
        """What to do, in which order, and how much of it."""
        factors = [
            (tvf.adjust_brightness, self.brightness),
            (tvf.adjust_contrast, self.contrast),
            (tvf.adjust_saturation, self.saturation),
        ]
        steps = [
            (adjust, rng.uniform(max(0.0, 1 - strength), 1 + strength))
            for adjust, strength in factors
            if strength > 0
        ]
        if self.hue > 0:
            steps.append((tvf.adjust_hue, rng.uniform(-self.hue, self.hue)))
        return [steps[i] for i in rng.permutation(len(steps))]


@dataclass(frozen=True)
class Compose:
    """One step after the other; the draws of all come from one generator, in order."""

    steps: tuple[Augmentation, ...]

    def __call__(self, clip: Clip, rng: np.random.Generator) -> Clip:
        for step in self.steps:
            clip = step(clip, rng)
        return clip


def build_augmentation(
    *,
    horizontal_flip: bool = False,
    time_flip: bool = False,
    resize_ratio: tuple[float, float] | None = None,
    crop_size: tuple[int, int] | None = None,
    rotation_degrees: tuple[float, float] | None = None,
    jitter: ColorJitter | None = None,
) -> Compose:
    """Chain the steps that are asked for, in the order: flips, resize, crop, rotation, jitter.

    A clip leaves at `crop_size`, (height, width), or without a crop at its own size; so a resize
    needs a crop behind it, or every clip comes out at another size.
    """
    steps: list[Augmentation] = []
    if time_flip:
        steps.append(TimeFlip())
    if horizontal_flip:
        steps.append(HorizontalFlip())
    if resize_ratio is not None:
        steps.append(Resize(resize_ratio))
    if crop_size is not None:
        steps.append(Crop(crop_size))
    if rotation_degrees is not None:
        steps.append(Rotation(rotation_degrees))
    if jitter is not None:
        steps.append(jitter)
    return Compose(tuple(steps))


def _random_offset(slack: int, rng: np.random.Generator) -> int:
    """Where a window starts along a side that is `slack` pixels longer, or if negative shorter."""
    return int(rng.integers(min(0, slack), max(0, slack), endpoint=True))


def _window(frame: np.ndarray, *, top: int, left: int, size: tuple[int, int]) -> np.ndarray:
    """The window of a frame at (top, left); where it reaches over an edge, that is repeated."""
    rows = np.arange(top, top + size[0]).clip(0, frame.shape[0] - 1)
    columns = np.arange(left, left + size[1]).clip(0, frame.shape[1] - 1)
    return frame[rows][:, columns]
