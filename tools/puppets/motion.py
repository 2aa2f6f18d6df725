"""Motions: smooth joint angles over time, drawn without knowing whose body will perform them."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tools.puppets.activities import ACTIVITIES
from tools.puppets.figure import Body
from tools.puppets.gesture import Gesture, ease
from tools.puppets.skeleton import JOINT_NAMES, LIMITS, Motion, pose

Array = NDArray[np.floating]

FPS = 25
HEIGHT = (1.26, 1.54)
"""The standing height in units of the picture, whose side is 2: 63 to 77 percent of the frame."""
MARGIN = 0.04
_FREE = 2 - 2 * MARGIN
_WIDEST = Body(
    head=0.23, neck=0.03, torso=0.29, thigh=0.21, shin=0.2, foot=0.05, upper_arm=0.17,
    forearm=0.155, hand=0.055, shoulder=0.123, hip=0.06, waist=0.1, girth=1.24,
)  # fmt: skip
"""Longer limbs than anyone has: what keeps this body inside the frame keeps everyone inside."""
_REACH = {"head_top": 0.13, "wrist": 0.075, "ankle": 0.085}
"""How far the parts around a joint stick out from it, in standing heights; 0.06 for the others."""


def draw_motion(rng: np.random.Generator, frames: int, *, travel: float = 1) -> Motion:
    """A random motion of at least 2 frames at 25 a second that keeps every body in the frame.

    `travel` multiplies the way over the ground and towards the viewer; 0 stays on the spot.
    """
    time = _drawn_time(rng, frames)
    gesture = _draw_gesture(rng, time)
    _fidget(rng, gesture, time)
    ground = travel * _draw_travel(rng, time)
    zoom = 1 + travel * rng.uniform(0.01, 0.06) * np.sin(
        2 * np.pi * rng.uniform(0.2, 0.4) * time + rng.uniform(0, 6)
    )
    angles = np.clip(np.deg2rad(gesture.angles), LIMITS[:, 0], LIMITS[:, 1])
    motion = Motion(
        angles=angles,
        lengths=gesture.lengths,
        turn=gesture.turn,
        ground=ground,
        lift=gesture.lift,
        height=zoom,
    )
    return place(rng, motion)


def place(rng: np.random.Generator, motion: Motion) -> Motion:
    """Give a motion a size and a place at which every body stays inside the frame.

    What comes in has a height of about 1 and its ground in standing heights; the travel over the
    ground is reduced where the frame is too narrow for it.
    """
    for _ in range(8):
        low, high = _extent(motion)
        if np.min(_FREE / (high - low)) >= HEIGHT[0]:
            break
        motion = replace(motion, ground=motion.ground * 0.7, lift=motion.lift * 0.7)
    return settle(rng, motion)


def settle(rng: np.random.Generator, motion: Motion) -> Motion:
    """Like `place`, but where the frame is too narrow the figure gets smaller, not its travel."""
    low, high = _extent(motion)
    height = min(rng.uniform(*HEIGHT), float(np.min(_FREE / (high - low))))
    share = np.array([rng.uniform(0.15, 0.85), rng.uniform(0.35, 0.85)])
    shift = -1 + MARGIN + (_FREE - height * (high - low)) * share - height * low
    return replace(motion, height=height * motion.height, ground=height * motion.ground + shift)


def relative_motion(start: Motion, driving: Motion) -> Motion:
    """Frame 0 of `start`, and from there on the changes of `driving` since its own frame 0.

    Angles, joint by joint, are added (and kept within the joints' limits); lengths, turn and height
    are multiplied; the way over the ground is measured in standing heights. If the driving motion
    starts as `start` does, the outcome is the driving motion; frame 0 is always that of `start`.
    """
    first = driving.height[0]
    way = (driving.ground - driving.ground[0]) / first
    angles = start.angles[0] + driving.angles - driving.angles[0]
    return Motion(
        angles=np.clip(angles, LIMITS[:, 0], LIMITS[:, 1]),
        lengths=np.clip(start.lengths[0] * driving.lengths / driving.lengths[0], 0.4, 1.2),
        turn=np.clip(start.turn[0] * driving.turn / driving.turn[0], 0.65, 1.1),
        ground=start.ground[0] + start.height[0] * way,
        lift=np.clip(start.lift[0] + driving.lift - driving.lift[0], 0, None),
        height=start.height[0] * driving.height / first,
    )


def _extent(motion: Motion) -> tuple[Array, Array]:
    """The least and the greatest coordinates (2,) that any part of the widest body reaches."""
    joints = pose(_WIDEST, motion).joints
    reach = [
        _REACH.get(name.removeprefix("left_").removeprefix("right_"), 0.06) for name in JOINT_NAMES
    ]
    room = np.array(reach)[None, :, None] * motion.height[:, None, None]
    return (joints - room).min(axis=(0, 1)), (joints + room).max(axis=(0, 1))


def _drawn_time(rng: np.random.Generator, frames: int) -> Array:
    """Seconds since the start, running a little faster and slower than a clock."""
    time = np.arange(frames) / FPS * rng.uniform(0.85, 1.15)
    pace, phase = rng.uniform(0.15, 0.35), rng.uniform(0, 6)
    return time + 0.12 * (np.sin(2 * np.pi * pace * time + phase) - np.sin(phase))


def _draw_gesture(rng: np.random.Generator, time: Array) -> Gesture:
    """One activity, or one that passes into another in the course of the clip."""
    first = ACTIVITIES[int(rng.integers(len(ACTIVITIES)))](rng, time)
    if rng.random() < 0.55:
        return first
    second = ACTIVITIES[int(rng.integers(len(ACTIVITIES)))](rng, time)
    change = rng.uniform(0.25, 0.6) * time[-1]
    share = ease(time - change)
    for name in ("angles", "lengths", "lift", "turn"):
        mine, other = getattr(first, name), getattr(second, name)
        mine += (other - mine) * share.reshape(-1, *[1] * (mine.ndim - 1))
    return first


def _fidget(rng: np.random.Generator, gesture: Gesture, time: Array) -> None:
    """The small movements that nobody can help making."""
    count = gesture.angles.shape[1]
    for speed, size in ((0.35, 2.2), (0.8, 0.8)):
        hertz = speed * rng.uniform(0.7, 1.4, count)
        phase = rng.uniform(0, 2 * np.pi, count)
        gesture.angles += size * np.sin(2 * np.pi * time[:, None] * hertz + phase)
    gesture.turn += 0.03 * np.sin(2 * np.pi * 0.4 * time + rng.uniform(0, 6)) - 0.03


def _draw_travel(rng: np.random.Generator, time: Array) -> Array:
    """A stroll over the ground (T, 2), in standing heights."""
    reach = np.array([rng.uniform(0.06, 0.3), rng.uniform(0.0, 0.03)])
    hertz, phase = rng.uniform(0.18, 0.42, 2), rng.uniform(0, 2 * np.pi, 2)
    return reach * np.sin(2 * np.pi * hertz * time[:, None] + phase)
