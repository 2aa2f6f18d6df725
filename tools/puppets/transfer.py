"""Motion transfer with a known answer: one puppet performing the motion of another."""

from dataclasses import fields, replace
from typing import NamedTuple

import numpy as np

from tools.puppets.figure import draw_identity
from tools.puppets.motion import draw_motion, relative_motion, settle
from tools.puppets.render import Clip, render
from tools.puppets.skeleton import LIMITS, Motion

START_OFF = np.deg2rad([5.0] * 3 + [15.0] * 6 + [8.0] * 6)
"""How far, at most, each angle of the source is from where the driving puppet starts."""


class Triple(NamedTuple):
    """A source picture, a driving video of somebody else, and both true answers.

    driving: puppet B.
    absolute: puppet A in the poses, sizes and places of B.
    relative: puppet A from its own pose, size and place, with the changes of B since B's frame 0
        (see `motion.relative_motion`). Its frame 0 is the source picture.

    A stands roughly as B starts (its arms within 15 degrees, its legs within 8, its trunk within
    5), at its own place and size, because relative transfer asks for that.
    """

    driving: Clip
    absolute: Clip
    relative: Clip


def draw_triple(rng: np.random.Generator, frames: int, size: int, *, travel: float = 1) -> Triple:
    """Two random puppets and a random motion of `frames` frames, `size` pixels square."""
    puppet, driver = draw_identity(rng), draw_identity(rng)
    motion = draw_motion(rng, frames, travel=travel)
    own = settle(rng, relative_motion(_draw_start(rng, motion), motion))
    return Triple(
        driving=render(driver, motion, size),
        absolute=render(puppet, motion, size),
        relative=render(puppet, own, size),
    )


def _draw_start(rng: np.random.Generator, motion: Motion) -> Motion:
    """One frame near frame 0 of the motion, in the middle of nowhere and of height 1."""
    first = Motion(**{field.name: getattr(motion, field.name)[:1] for field in fields(motion)})
    angles = first.angles + rng.uniform(-START_OFF, START_OFF, first.angles.shape)
    return replace(
        first,
        angles=np.clip(angles, LIMITS[:, 0], LIMITS[:, 1]),
        ground=np.zeros((1, 2)),
        height=np.ones(1),
    )
