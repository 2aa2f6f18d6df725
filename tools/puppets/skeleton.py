"""The skeleton: its joints and parts, the angles that pose it, and where these put every part."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tools.puppets.figure import Body

Array = NDArray[np.floating]

LEFT, RIGHT = 0, 1
SIDES = ("left", "right")

JOINT_NAMES = (
    "head_top",
    "neck",
    *(f"{s}_{j}" for j in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle") for s in SIDES),
)
_LIMBS = ("upper_arm", "forearm", "hand", "thigh", "shin", "shoe")
PART_NAMES = (
    "back_hair",
    "neck",
    "hips",
    "torso",
    "head",
    *(f"{side}_{limb}" for limb in _LIMBS for side in SIDES),
)
ANGLE_NAMES = (
    "lean",
    "tilt",
    "head",
    *(f"{s}_{j}" for j in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle") for s in SIDES),
)
LIMITS = np.deg2rad(
    [(-30, 30), (-15, 15), (-26, 26)]
    + [(-25, 178)] * 2
    + [(-140, 140)] * 2
    + [(-45, 45)] * 2
    + [(-25, 82)] * 2
    + [(-125, 12)] * 2
    + [(-40, 40)] * 2
)
"""The least and the greatest of every angle, (15, 2) in radians."""


@dataclass(frozen=True)
class Motion:
    """What a body does in T frames, and where in the picture, without saying whose body it is.

    angles (T, 15): radians, in the order of ANGLE_NAMES. `lean`, `tilt` and `head` turn the torso,
        the hips and the head clockwise (the head on top of the torso). A limb angle is counted from
        the limb above it, outwards positive: an arm that hangs is 0, one raised sideways is pi / 2.
    lengths (T, 8): upper arm, forearm, thigh, shin, each left and right, as a share of the true
        length: less than 1 where the limb points towards the viewer.
    turn (T,): width of the trunk as a share of its width from the front.
    ground (T, 2): the point of the ground under the figure, in [-1, 1] with y down.
    lift (T,): how far the feet are above it, in standing heights.
    height (T,): the standing height in the units of the picture, whose side is 2.
    """

    angles: Array
    lengths: Array
    turn: Array
    ground: Array
    lift: Array
    height: Array


class Posed(NamedTuple):
    """Where a body is: joints (T, 14, 2) and the map (T, 17, 2, 3) from each part's own plane."""

    joints: Array
    affines: Array


def depth_order(near: str, *, tucked: bool) -> tuple[str, ...]:
    """The parts from back to front, for a body whose `near` side is towards the viewer.

    `tucked` says that the shirt goes into the trousers or the skirt, and not over them.
    """
    far = "right" if near == "left" else "left"
    arm, leg = ("upper_arm", "hand", "forearm"), ("thigh", "shin", "shoe")
    return (
        "back_hair",
        *(f"{far}_{part}" for part in arm),
        *(f"{far}_{part}" for part in leg),
        *(f"{near}_{part}" for part in leg),
        "neck",
        *(("torso", "hips") if tucked else ("hips", "torso")),
        "head",
        *(f"{near}_{part}" for part in arm),
    )


def pose(body: Body, motion: Motion, *, skirt: bool = False) -> Posed:
    """Put the body into every pose of the motion; its feet, not its hips, stand on the ground.

    A skirt widens as the legs part.
    """
    lean, tilt, head = motion.angles[:, 0], motion.angles[:, 1], motion.angles[:, 2]
    centre = np.zeros((len(lean), 2))
    one = np.ones_like(lean)
    frames: dict[str, Array] = {}
    joints: dict[str, Array] = {}
    spread = np.sin(np.clip(motion.angles[:, 9:11], 0, None)).mean(axis=1) if skirt else 0 * lean
    frames["hips"] = _frame(centre, tilt, motion.turn * (1 + 0.65 * spread), 1 - 0.2 * spread)
    frames["torso"] = _frame(centre, lean, motion.turn, one)
    joints["neck"] = _at(frames["torso"], 0, -body.torso)
    frames["neck"] = _frame(joints["neck"], lean + 0.5 * head, one, one)
    frames["head"] = _frame(joints["neck"], lean + head, 0.6 + 0.4 * motion.turn, one)
    frames["back_hair"] = _frame(joints["neck"], lean + 0.8 * head, 0.6 + 0.4 * motion.turn, one)
    joints["head_top"] = _at(frames["head"], 0, -body.neck - 0.94 * body.head)
    for side in (LEFT, RIGHT):
        _pose_arm(body, motion, side, frames, joints)
        _pose_leg(body, motion, side, frames, joints)
    origin = _stand(body, frames) - np.stack([0 * lean, motion.lift], axis=-1)
    scale = motion.height[:, None, None]
    points = np.stack([joints[name] for name in JOINT_NAMES], axis=1)
    maps = np.stack([frames[name] for name in PART_NAMES], axis=1)
    maps[..., 2] += origin[:, None]
    maps = maps * scale[..., None]
    maps[..., 2] += motion.ground[:, None]
    return Posed((points + origin[:, None]) * scale + motion.ground[:, None], maps)


def _frame(origin: Array, angle: Array, across: Array, along: Array) -> Array:
    """Maps (T, 2, 3) of a plane scaled by `across` and `along`, turned clockwise, and moved."""
    sine, cosine = np.sin(angle), np.cos(angle)
    x_axis = np.stack([cosine, sine], axis=-1) * np.reshape(across, (-1, 1))
    y_axis = np.stack([-sine, cosine], axis=-1) * np.reshape(along, (-1, 1))
    return np.stack([x_axis, y_axis, origin], axis=-1)


def _at(frame: Array, x: float, y: float) -> Array:
    """The image (T, 2) of a point of the plane."""
    return frame[..., 0] * x + frame[..., 1] * y + frame[..., 2]


def _pose_arm(
    body: Body, motion: Motion, side: int, frames: dict[str, Array], joints: dict[str, Array]
) -> None:
    name, outward = SIDES[side], (-1, 1)[side]
    lean, shoulder = motion.angles[:, 0], motion.angles[:, 3 + side]
    shrug = 0.025 * np.clip(np.sin(shoulder - 0.6), 0, None) ** 2
    top = _at(frames["torso"], outward * body.shoulder, 0.048 - body.torso)
    top = top + frames["torso"][..., 1] * -shrug[:, None]
    angle = -outward * lean + shoulder
    for joint, limb, length, share in (
        ("shoulder", "upper_arm", body.upper_arm, motion.lengths[:, side]),
        ("elbow", "forearm", body.forearm, motion.lengths[:, 2 + side]),
        ("wrist", "hand", body.hand, np.ones_like(lean)),
    ):
        if joint != "shoulder":
            angle = angle + motion.angles[:, ANGLE_NAMES.index(f"{name}_{joint}")]
        joints[f"{name}_{joint}"] = top
        frames[f"{name}_{limb}"] = _frame(
            top, -outward * angle, outward * np.ones_like(lean), share
        )
        top = _at(frames[f"{name}_{limb}"], 0, length)


def _pose_leg(
    body: Body, motion: Motion, side: int, frames: dict[str, Array], joints: dict[str, Array]
) -> None:
    name, outward = SIDES[side], (-1, 1)[side]
    hip, knee, ankle = (motion.angles[:, 9 + 2 * step + side] for step in range(3))
    one = np.ones_like(hip)
    tilt = motion.angles[:, 1]
    along = outward * body.hip * motion.turn
    top = np.stack([along * np.cos(tilt), along * np.sin(tilt)], axis=-1)
    foot = 0.3 * (hip + knee) + ankle
    for joint, limb, length, angle, share in (
        ("hip", "thigh", body.thigh, hip, motion.lengths[:, 4 + side]),
        ("knee", "shin", body.shin, hip + knee, motion.lengths[:, 6 + side]),
        ("ankle", "shoe", body.foot, foot, one),
    ):
        joints[f"{name}_{joint}"] = top
        frames[f"{name}_{limb}"] = _frame(top, -outward * angle, outward * one, share)
        top = _at(frames[f"{name}_{limb}"], 0, length)


def _stand(body: Body, frames: dict[str, Array]) -> Array:
    """Where (T, 2) the hips are when the lowest sole touches the ground, and the feet stay put."""
    soles = np.stack(
        [_at(frames[f"{side}_shoe"], x, body.foot) for side in SIDES for x in (-0.03, 0.07)], axis=1
    )
    # A soft maximum: the weight goes from foot to foot without a jerk.
    soft = 0.006
    lowest = soft * (np.log(np.exp(soles[..., 1] / soft).sum(axis=1)) - np.log(4))
    middle = np.mean([frames[f"{side}_shoe"][..., 0, 2] for side in SIDES], axis=0)
    return -np.stack([middle, lowest], axis=-1)
