"""Gestures: a motion in the making, and the rhythms that activities are built of."""

import numpy as np
from numpy.typing import NDArray

from tools.puppets.skeleton import LEFT, RIGHT

Array = NDArray[np.floating]


class Gesture:
    """Angles in DEGREES over the frames, and the rest of a motion that is no place.

    The array attributes are views of `angles` and `lengths`, laid out as in `skeleton.Motion`;
    the last axis of those that have two is (left, right).
    """

    def __init__(self, frames: int) -> None:
        self.angles: Array = np.zeros((frames, 15))
        self.lengths: Array = np.ones((frames, 8))
        self.lift: Array = np.zeros(frames)
        self.turn: Array = np.ones(frames)
        self.lean, self.tilt, self.head = (self.angles[:, i] for i in range(3))
        pairs = [self.angles[:, i : i + 2] for i in range(3, 15, 2)]
        self.shoulder, self.elbow, self.wrist, self.hip, self.knee, self.ankle = pairs
        self.forearm_length, self.thigh_length = self.lengths[:, 2:4], self.lengths[:, 4:6]
        self.hip[:], self.knee[:] = 5, -2
        self.shoulder[:], self.elbow[:] = 14, 10


def ease(t: Array) -> Array:
    """From 0 at 0 to 1 at 1 with no speed or acceleration at either end."""
    t = np.clip(t, 0, 1)
    return t**3 * (t * (6 * t - 15) + 10)


def beat(time: Array, hertz: float, phase: float = 0.0) -> Array:
    return np.sin(2 * np.pi * hertz * time + phase)


def pulse(time: Array, hertz: float, phase: float = 0.0) -> Array:
    """Between 0 and 1 and back, without haste."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * hertz * time + phase)


def sway(gesture: Gesture, amount: Array, bounce: Array | float = 0.0) -> None:
    """Shift the weight over standing feet; `bounce` in [0, 1] bends both knees."""
    gesture.hip[:, LEFT] += amount + 14 * bounce
    gesture.hip[:, RIGHT] += -amount + 14 * bounce
    gesture.knee[:] += np.reshape(-28 * np.asarray(bounce), (-1, 1))
    gesture.tilt[:] += 0.4 * amount
    gesture.lean[:] += -0.5 * amount
