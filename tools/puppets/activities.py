"""What puppets do: waving, dancing, jumping jacks and the like, as joint angles over time.

An activity draws its own details and returns a gesture for `time` (T,), in seconds.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tools.puppets.gesture import Gesture, beat, ease, pulse, sway
from tools.puppets.skeleton import LEFT, RIGHT

Array = NDArray[np.floating]
Rng = np.random.Generator


def idle(rng: Rng, time: Array) -> Gesture:
    """Standing at ease, weight from foot to foot."""
    g, hertz, phase = Gesture(len(time)), rng.uniform(0.3, 0.5), rng.uniform(0, 6)
    swing = beat(time, hertz, phase)
    sway(g, 7 * swing, 0.15 + 0.15 * beat(time, 2 * hertz, phase))
    g.shoulder[:] = np.stack([20 - 14 * swing, 20 + 14 * swing], axis=-1)
    g.elbow[:] = rng.uniform(10, 30) + np.stack([12 * swing, -12 * swing], axis=-1)
    g.head[:] = 9 * beat(time, hertz, phase + 0.8)
    return g


def wave(rng: Rng, time: Array) -> Gesture:
    """Greeting with one arm, the other at rest or on the hip."""
    g, side, hertz = Gesture(len(time)), int(rng.integers(2)), rng.uniform(0.7, 1.05)
    swing = beat(time, hertz, rng.uniform(0, 6))
    sway(g, 4 * beat(time, hertz / 3), 0.12 * pulse(time, hertz))
    g.shoulder[:, side] = rng.uniform(85, 120) + 10 * swing
    g.elbow[:, side] = 48 + 38 * swing
    g.wrist[:, side] = 18 * beat(time, hertz, -0.9)
    if rng.random() < 0.5:
        g.shoulder[:, 1 - side], g.elbow[:, 1 - side] = 46, -92
    g.head[:] = (-1, 1)[side] * 8 + 4 * beat(time, hertz / 2)
    return g


def jumping_jacks(rng: Rng, time: Array) -> Gesture:
    """Arms and legs out and in, with a hop."""
    g, hertz = Gesture(len(time)), rng.uniform(0.6, 0.85)
    phase = rng.uniform(0, 6)
    out = pulse(time, hertz, phase)[:, None]
    g.shoulder[:] = 14 + rng.uniform(120, 152) * out
    g.elbow[:] = 8 + 18 * np.sin(np.pi * out)
    g.hip[:] = 4 + rng.uniform(17, 26) * out
    g.ankle[:] = -4 * out
    g.knee[:] = -6 * np.sin(np.pi * out)
    g.lift[:] = 0.05 * np.sin(np.pi * out[:, 0])
    return g


def march(rng: Rng, time: Array) -> Gesture:
    """Walking on the spot, seen from the front: a knee lifts towards the viewer."""
    g, hertz, phase = Gesture(len(time)), rng.uniform(0.6, 1.0), rng.uniform(0, 6)
    step = np.stack([beat(time, hertz, phase), -beat(time, hertz, phase)], axis=-1)
    up = np.clip(step, 0, 1) ** 2
    g.thigh_length[:] = 1 - rng.uniform(0.3, 0.5) * up
    g.hip[:] = 4 + 16 * up
    g.knee[:] = -4 - 16 * up
    g.ankle[:] = 10 * up
    sway(g, 3 * step[:, LEFT])
    g.shoulder[:] = 20 + 16 * step[:, ::-1]
    g.elbow[:] = rng.choice([-1, 1]) * (48 + 34 * step[:, ::-1])
    g.head[:] = 4 * step[:, RIGHT]
    g.turn[:] = 0.94 + 0.06 * beat(time, hertz, phase + 1.5)
    return g


def groove(rng: Rng, time: Array) -> Gesture:
    """Dancing: knees bounce, hips sway, arms pump."""
    g, hertz, phase = Gesture(len(time)), rng.uniform(0.5, 0.8), rng.uniform(0, 6)
    swing = beat(time, hertz, phase)
    sway(g, rng.uniform(7, 12) * swing, 0.2 + 0.5 * pulse(time, 2 * hertz, 2 * phase))
    g.hip[:] += 5
    apart = rng.choice([0.0, np.pi])
    for side, shift in ((LEFT, 0.0), (RIGHT, apart)):
        g.shoulder[:, side] = rng.uniform(45, 70) + 34 * beat(time, hertz, phase + shift)
        g.elbow[:, side] = rng.uniform(40, 70) + 42 * beat(time, hertz, phase + shift - 0.8)
        g.wrist[:, side] = 20 * beat(time, hertz, phase + shift - 1.4)
    g.head[:] = 11 * beat(time, hertz, phase - 0.5)
    g.turn[:] = 0.9 + 0.1 * beat(time, hertz, phase + 0.7)
    return g


def disco(rng: Rng, time: Array) -> Gesture:
    """One arm from the sky to the opposite hip, the other on the waist."""
    g, side, hertz = Gesture(len(time)), int(rng.integers(2)), rng.uniform(0.5, 0.8)
    phase = rng.uniform(0, 6)
    up = pulse(time, hertz, phase)
    sway(g, (1, -1)[side] * (11 - 22 * up), 0.3)
    g.hip[:] += 5
    g.shoulder[:, side], g.elbow[:, side] = 18 + 122 * up, -38 + 44 * up
    g.shoulder[:, 1 - side], g.elbow[:, 1 - side] = 48 + 6 * up, -95
    g.head[:] = (-1, 1)[side] * 14 * (up - 0.4)
    g.turn[:] = 0.84 + 0.16 * up
    return g


def ripple(rng: Rng, time: Array) -> Gesture:
    """A wave that runs through the arms from one hand to the other."""
    g, hertz, phase = Gesture(len(time)), rng.uniform(0.6, 0.9), rng.uniform(0, 6)
    sway(g, 6 * beat(time, hertz, phase - 1.5), 0.25 + 0.2 * pulse(time, hertz))
    for side, delay, along in ((LEFT, 2.2, -1), (RIGHT, 0.0, 1)):
        g.shoulder[:, side] = 84 + 26 * beat(time, hertz, phase - delay - 0.4 * along)
        g.elbow[:, side] = 32 * beat(time, hertz, phase - delay - 1.1 * along)
        g.wrist[:, side] = 30 * beat(time, hertz, phase - delay - 1.8 * along)
    g.head[:] = 8 * beat(time, hertz, phase - 1.0)
    return g


def stretch(rng: Rng, time: Array) -> Gesture:
    """Both arms up, bending to one side and the other."""
    g, hertz, phase = Gesture(len(time)), rng.uniform(0.35, 0.55), rng.uniform(0, 6)
    bend = beat(time, hertz, phase)
    sway(g, -5 * bend, 0.1)
    g.lean[:] = 22 * bend
    g.head[:] = 8 * bend
    reach = rng.uniform(138, 158)
    g.shoulder[:] = np.stack([reach + 12 * bend, reach - 12 * bend], axis=-1)
    g.elbow[:] = 16 + np.stack([10 * bend, -10 * bend], axis=-1)
    g.hip[:] += 7
    return g


def squats(rng: Rng, time: Array) -> Gesture:
    """Down with the knees out, arms rising as the body sinks."""
    g, hertz = Gesture(len(time)), rng.uniform(0.5, 0.75)
    down = pulse(time, hertz, rng.uniform(0, 6))[:, None]
    deep = rng.uniform(0.75, 1)
    g.hip[:] = 10 + 40 * deep * down
    g.knee[:] = -10 - 52 * deep * down
    g.thigh_length[:] = 1 - 0.22 * deep * down
    g.shoulder[:] = 14 + rng.uniform(60, 84) * down
    g.elbow[:] = 10 - 6 * down
    return g


def kicks(rng: Rng, time: Array) -> Gesture:
    """Kicking sideways, left and right by turns, the arms out for balance."""
    g, hertz, phase = Gesture(len(time)), rng.uniform(0.5, 0.75), rng.uniform(0, 6)
    turn = beat(time, hertz, phase)
    for side, sign in ((LEFT, 1), (RIGHT, -1)):
        up = np.clip(sign * turn, 0, 1) ** 2
        g.hip[:, side] = 4 + 44 * up
        g.knee[:, side] = -4 - 24 * np.sin(np.pi * up)
        g.ankle[:, side] = 12 * up
    g.lean[:] = 10 * turn
    g.head[:] = -7 * turn
    g.shoulder[:] = 58 + np.stack([-22 * turn, 22 * turn], axis=-1)
    g.elbow[:] = 24 + np.stack([16 * turn, -16 * turn], axis=-1)
    return g


def twist(rng: Rng, time: Array) -> Gesture:
    """Twisting on bent knees, the forearms crossing in front of the body."""
    g, hertz, phase = Gesture(len(time)), rng.uniform(0.6, 0.9), rng.uniform(0, 6)
    swing = beat(time, hertz, phase)
    sway(g, 9 * swing, 0.45 + 0.25 * pulse(time, hertz / 2))
    g.hip[:] += 4
    g.shoulder[:] = 36 + np.stack([24 * swing, -24 * swing], axis=-1)
    g.elbow[:] = -62 + np.stack([44 * swing, -44 * swing], axis=-1)
    g.turn[:] = 0.86 + 0.14 * beat(time, hertz, phase + 1.57)
    g.head[:] = -9 * swing
    return g


# lean, head | shoulders | elbows | hips | knees, each pair (left, right)
_STANCES = np.array(
    [
        (0, 0, 88, 88, 4, 4, 8, 8, -4, -4),
        (0, 5, 48, 48, -96, -96, 9, 9, -4, -4),
        (-6, -8, 150, 60, 10, 20, 12, 18, -6, -22),
        (6, 8, 60, 150, 20, 10, 18, 12, -22, -6),
        (0, 0, 140, 140, 14, 14, 20, 20, -6, -6),
        (0, 6, 88, 88, 84, 84, 12, 12, -10, -10),
        (-9, 4, 86, 96, 8, -104, 44, 14, -50, -4),
        (9, -4, 96, 86, -104, 8, 14, 44, -4, -50),
        (0, -6, 30, 100, -60, 62, 8, 10, -4, -10),
        (0, 6, 100, 30, 62, -60, 10, 8, -10, -4),
        (4, -4, 26, 26, 24, 24, 26, 26, -46, -46),
        (0, 0, 62, 62, -118, -118, 10, 10, -12, -12),
    ],
    dtype=float,
)


def flow(rng: Rng, time: Array) -> Gesture:
    """From stance to stance without hurry, as in tai chi."""
    g, every = Gesture(len(time)), rng.uniform(0.9, 1.3)
    count = int(time[-1] / every) + 3
    picks = [int(rng.integers(len(_STANCES)))]
    while len(picks) < count:
        picks.append(int((picks[-1] + rng.integers(1, len(_STANCES))) % len(_STANCES)))
    at = time / every + rng.uniform(0, 0.6)
    index = np.clip(at.astype(int), 0, count - 2)
    stances = _STANCES[picks]
    share = ease(np.clip((at - index) * 1.1, 0, 1))[:, None]
    now = stances[index] + (stances[index + 1] - stances[index]) * share
    g.lean[:], g.head[:] = now[:, 0], now[:, 1]
    g.shoulder[:], g.elbow[:] = now[:, 2:4], now[:, 4:6]
    g.hip[:], g.knee[:] = now[:, 6:8], now[:, 8:10]
    return g


ACTIVITIES: tuple[Callable[[Rng, Array], Gesture], ...] = (
    idle,
    wave,
    jumping_jacks,
    march,
    groove,
    disco,
    ripple,
    stretch,
    squats,
    kicks,
    twist,
    flow,
    flow,
)
