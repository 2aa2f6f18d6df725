"""Steadier keypoints: the one-euro filter (Casiez, Roussel, Vogel; CHI 2012), causal.

What rests is smoothed much, for there jitter is seen; what moves fast is smoothed little, for there
delay is. A low-pass filter whose cut-off rises with the speed does that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import torch
from torch import Tensor

from modules.keypoints import Keypoints

_SHORTEST = 1e-4  # seconds between frames, should a video show two at once


_USUAL_RATE = 30  # frames per second


class OneEuro(NamedTuple):
    """How much to smooth; the defaults are for 30 frames per second.

    Attributes:
        cutoff: Hz, of what rests; lower is steadier.
        value_gain, jacobian_gain: Hz that a speed of 1 per second adds, for points (in half widths
            of the frame) and for entries of jacobians; higher is less delay.
        speed_cutoff: Hz, of the filter that the speed itself goes through.
    """

    cutoff: float = 1.0
    value_gain: float = 3.0
    jacobian_gain: float = 3.0
    speed_cutoff: float = 1.0

    @classmethod
    def at_rate(cls, fps: Fraction) -> OneEuro:
        """As steady from frame to frame, and as few frames late, at any rate.

        Detectors err in each frame anew. With the same cut-offs in Hz, a filter would have few
        frames to average over at 10 frames per second, and be two frames late at 60.
        """
        usual, share = cls(), float(fps / _USUAL_RATE)
        return usual._replace(cutoff=share * usual.cutoff, speed_cutoff=share * usual.speed_cutoff)


class Filtered(NamedTuple):
    """A quantity of each keypoint after filtering, and its speed per second, (K, ...) both."""

    value: Tensor
    speed: Tensor


class SmoothingState(NamedTuple):
    """What the filter remembers of the last frame.

    Attributes:
        time: when it was shown, in seconds.
        parts: its points and, if there are any, its jacobians.
    """

    time: float
    parts: tuple[Filtered, ...]


def smooth(
    keypoints: Keypoints,
    times: Sequence[float],
    settings: OneEuro,
    state: SmoothingState | None = None,
) -> tuple[Keypoints, SmoothingState | None]:
    """Filter the keypoints of successive frames.

    Args:
        keypoints: of B frames.
        times: when each is shown, in seconds, ascending.
        state: what was returned for the frames before; None for the first, which stays as it is.

    Returns:
        The keypoints of these frames, and the state for the next ones.
    """
    parts = [part for part in keypoints if part is not None]  # (B, K, 2), (B, K, 2, 2)
    found = []
    for index, time in enumerate(times):
        values = [part[index] for part in parts]
        state = _start(values, time) if state is None else _next(state, values, time, settings)
        found.append([part.value for part in state.parts])
    value, *jacobian = (torch.stack(part) for part in zip(*found, strict=True))
    return Keypoints(value, jacobian[0] if jacobian else None), state


def _start(values: Sequence[Tensor], time: float) -> SmoothingState:
    return SmoothingState(time, tuple(Filtered(value, torch.zeros_like(value)) for value in values))


def _next(
    state: SmoothingState, values: Sequence[Tensor], time: float, settings: OneEuro
) -> SmoothingState:
    seconds = max(time - state.time, _SHORTEST)
    gains = (settings.value_gain, settings.jacobian_gain)
    return SmoothingState(
        time,
        tuple(
            _filter(before, value, seconds, settings=settings, gain=gain)
            for before, value, gain in zip(state.parts, values, gains, strict=False)
        ),
    )


def _filter(
    before: Filtered, value: Tensor, seconds: float, *, settings: OneEuro, gain: float
) -> Filtered:
    """One step. Each keypoint has one cut-off for all its numbers: its path keeps its direction."""
    change = (value - before.value) / seconds  # (K, ...)
    speed = before.speed.lerp(change, _share(settings.speed_cutoff, seconds))
    size = speed.flatten(1).norm(dim=1).view(-1, *[1] * (value.dim() - 1))  # (K, 1, ...)
    delay = 1 / (2 * math.pi * (settings.cutoff + gain * size))  # (K, 1, ...)
    return Filtered(before.value.lerp(value, seconds / (seconds + delay)), speed)


def _share(cutoff: float, seconds: float) -> float:
    """The weight of the newest value in a low-pass filter of that cut-off."""
    return seconds / (seconds + 1 / (2 * math.pi * cutoff))
