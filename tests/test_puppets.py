"""Puppets and their motions: how they look is a matter of taste, how they move is not."""

from dataclasses import fields, replace

import numpy as np
import pytest

from tools.puppets.figure import Identity, draw_identity
from tools.puppets.motion import draw_motion, relative_motion
from tools.puppets.render import render
from tools.puppets.skeleton import (
    ANGLE_NAMES,
    JOINT_NAMES,
    LIMITS,
    PART_NAMES,
    Motion,
    depth_order,
    pose,
)
from tools.puppets.transfer import draw_triple


def _identity(seed: int) -> Identity:
    return draw_identity(np.random.default_rng(seed))


def _at_ease(frames: int = 1) -> Motion:
    """Standing upright in the middle of the frame, arms a little away from the body."""
    angles = np.zeros((frames, len(ANGLE_NAMES)))
    angles[:, [ANGLE_NAMES.index(f"{side}_shoulder") for side in ("left", "right")]] = 0.35
    return Motion(
        angles=angles,
        lengths=np.ones((frames, 8)),
        turn=np.ones(frames),
        ground=np.tile([0.0, 0.7], (frames, 1)),
        lift=np.zeros(frames),
        height=np.full(frames, 1.4),
    )


def _bend(motion: Motion, **degrees: float) -> Motion:
    angles = motion.angles.copy()
    for name, angle in degrees.items():
        angles[:, ANGLE_NAMES.index(name)] = np.deg2rad(angle)
    return replace(motion, angles=angles)


def test_a_hand_behind_the_back_is_hidden_and_one_in_front_is_not() -> None:
    identity = replace(_identity(0), near="left")
    motion = _bend(_at_ease(), left_shoulder=25, left_elbow=-95, right_shoulder=25, right_elbow=-95)
    visible = dict(zip(JOINT_NAMES, render(identity, motion, 128).truth.visible[0], strict=True))
    assert visible["left_wrist"]
    assert not visible["right_wrist"]


def test_depth_order_puts_the_near_arm_before_the_body_and_the_far_one_behind() -> None:
    order = depth_order("left", tucked=False)
    assert order.index("right_forearm") < order.index("torso") < order.index("left_forearm")
    assert sorted(order) == sorted(PART_NAMES)


def test_the_figure_stays_inside_the_frame_and_fills_it() -> None:
    for seed in range(12):
        rng = np.random.default_rng(seed)
        identity, motion = draw_identity(rng), draw_motion(rng, 50)
        index = render(identity, motion, 64).truth.part_index
        assert not index[:, [0, -1]].any()
        assert not index[:, :, [0, -1]].any()
        assert 0.5 < motion.height.min() / 2 <= motion.height.max() / 2 < 0.85


def test_motion_is_smooth_but_not_still() -> None:
    for seed in range(40):
        motion = draw_motion(np.random.default_rng(seed), 50)
        joints = pose(_identity(0).body, motion).joints / motion.height[:, None, None]
        speed = np.linalg.norm(np.diff(joints, axis=0), axis=-1)
        change = np.linalg.norm(np.diff(joints, 2, axis=0), axis=-1)
        assert speed.max() < 0.16
        assert change.max() < 0.07
        assert np.ptp(joints, axis=0).max() > 0.1
        assert np.all((motion.angles >= LIMITS[:, 0]) & (motion.angles <= LIMITS[:, 1]))


def test_standing_feet_stay_on_the_ground() -> None:
    squat = _bend(_at_ease(), left_hip=45, right_hip=45, left_knee=-80, right_knee=-80)
    body = _identity(1).body
    upright, low = pose(body, _at_ease()).joints[0], pose(body, squat).joints[0]
    neck, ankles = (
        JOINT_NAMES.index("neck"),
        [JOINT_NAMES.index(f"{s}_ankle") for s in ("left", "right")],
    )
    assert low[neck, 1] > upright[neck, 1] + 0.1
    np.testing.assert_allclose(low[ankles, 1], upright[ankles, 1], atol=0.05)
    np.testing.assert_allclose(low[ankles, 0].mean(), 0, atol=1e-9)


def test_travel_scales_the_way_over_the_ground_and_nothing_else() -> None:
    near, half, far = (
        draw_motion(np.random.default_rng(5), 30, travel=travel) for travel in (0, 0.5, 1)
    )
    for name in ("angles", "lengths", "turn"):
        np.testing.assert_array_equal(getattr(near, name), getattr(far, name))
    ways = [np.ptp(motion.ground / motion.height[:1, None], axis=0) for motion in (near, half, far)]
    np.testing.assert_allclose(ways[0], 0, atol=1e-12)
    np.testing.assert_allclose(near.height, near.height[0])
    assert 0.02 < ways[1][0] < ways[2][0]


def test_one_motion_gives_the_same_angles_on_every_body() -> None:
    motion = draw_motion(np.random.default_rng(3), 20)
    bones = [("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle")]
    directions, lengths = [], []
    for seed in (0, 1):
        joints = pose(_identity(seed).body, motion).joints
        bone = np.stack(
            [
                joints[:, JOINT_NAMES.index(f"{side}_{end}")]
                - joints[:, JOINT_NAMES.index(f"{side}_{start}")]
                for start, end in bones
                for side in ("left", "right")
            ],
            axis=1,
        )
        directions.append(np.arctan2(bone[..., 1], bone[..., 0]))
        lengths.append(np.linalg.norm(bone, axis=-1))
    np.testing.assert_allclose(directions[0], directions[1], atol=1e-9)
    assert np.abs(lengths[0] - lengths[1]).max() > 0.005


def test_an_angle_is_counted_outwards_from_hanging_down() -> None:
    raised = _bend(_at_ease(), left_shoulder=90, right_shoulder=180 * 0.5)
    joints = pose(_identity(0).body, raised).joints[0]
    for side, outward in (("left", -1), ("right", 1)):
        arm = (
            joints[JOINT_NAMES.index(f"{side}_elbow")]
            - joints[JOINT_NAMES.index(f"{side}_shoulder")]
        )
        np.testing.assert_allclose(arm / np.linalg.norm(arm), [outward, 0], atol=1e-9)


def test_relative_motion_starts_at_its_own_start() -> None:
    start = _bend(_at_ease(), left_shoulder=40, lean=10)
    driving = draw_motion(np.random.default_rng(0), 10)
    moved = relative_motion(start, driving)
    for field in fields(Motion):
        np.testing.assert_allclose(getattr(moved, field.name)[0], getattr(start, field.name)[0])


def test_relative_motion_adds_the_change_of_angles_and_scales_the_way() -> None:
    driving = _bend(_at_ease(2), left_shoulder=20)
    driving.angles[1, ANGLE_NAMES.index("left_shoulder")] += np.deg2rad(30)
    driving.ground[1] += (0.14, 0.0)
    driving.height[1] *= 1.05
    start = replace(_bend(_at_ease(), left_shoulder=50), height=np.array([0.7]))
    moved = relative_motion(start, driving)
    assert np.rad2deg(moved.angles[1, ANGLE_NAMES.index("left_shoulder")]) == pytest.approx(80)
    np.testing.assert_allclose(moved.ground[1], start.ground[0] + (0.07, 0.0))
    np.testing.assert_allclose(moved.height, [0.7, 0.735])


def test_a_motion_relative_to_its_own_start_is_itself() -> None:
    motion = draw_motion(np.random.default_rng(2), 10)
    for field in fields(Motion):
        moved = getattr(relative_motion(motion, motion), field.name)
        np.testing.assert_allclose(moved, getattr(motion, field.name), atol=1e-12)


def test_a_triple_holds_the_answers_for_one_puppet() -> None:
    triple = draw_triple(np.random.default_rng(1), 12, 64)
    np.testing.assert_array_equal(
        triple.absolute.truth.figure_height, triple.driving.truth.figure_height
    )
    background = (triple.absolute.truth.part_index[0] == 0) & (
        triple.relative.truth.part_index[0] == 0
    )
    same = triple.absolute.frames[0][background] == triple.relative.frames[0][background]
    assert same.mean() > 0.95
    ratio = triple.relative.truth.figure_height / triple.driving.truth.figure_height
    np.testing.assert_allclose(ratio, ratio[0])
