"""Scores on puppets, computed from arrays, and the goals that they are held to."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.evaluation import L1Score
from tools.puppets.skeleton import JOINT_NAMES

Array = NDArray[np.floating]

RECONSTRUCTION_GOAL = 0.35
TRANSFER_GOAL = 0.5
KEYPOINT_GOAL = 0.9

REACH = 0.1
"""How far from the truth, in figure heights, a joint may be and still count as found."""

# A variance of keypoints, whose unit is half the picture. What moves by less than its root, which
# is a thirtieth of a pixel at 64 pixels, says nothing; without it, rounding would be fitted.
_RIDGE = 1e-6


class Observed(NamedTuple):
    """What was detected, and what is true, in F frames; points and heights as in `truth.Truth`.

    keypoints (F, K, 2); joints (F, J, 2); visible (F, J); figure_height (F,).
    """

    keypoints: Array
    joints: Array
    visible: NDArray[np.bool_]
    figure_height: Array


class JointMap(NamedTuple):
    """joints = keypoints @ weights + offset: (F, 2K) to (F, 2J), weights (2K, 2J), offset (2J,)."""

    weights: Array
    offset: Array


class JointShare(NamedTuple):
    """How often a joint was visible, and the share of these times that it was found."""

    name: str
    visible: int
    share: float


class KeypointScore(NamedTuple):
    """How well keypoints tell where the joints are.

    share: of all visible joints in the test frames, those found from the keypoints.
    constant_share: those found by guessing the mean training pose throughout, the mark that any
        keypoints have to beat.
    joints: the share of each joint alone.
    """

    train_frames: int
    test_frames: int
    visible: int
    share: float
    constant_share: float
    joints: tuple[JointShare, ...]


class Scores(NamedTuple):
    """All that is measured; `transfer` by its sense, empty where there was nothing to transfer."""

    reconstruction: L1Score
    transfer: Mapping[str, L1Score]
    keypoints: KeypointScore


class Goal(NamedTuple):
    """A figure and the bound that it should keep: from above if `at_most`, else from below."""

    name: str
    value: float
    bound: float
    at_most: bool

    @property
    def met(self) -> bool:
        return self.value <= self.bound if self.at_most else self.value >= self.bound


def ratio(score: L1Score) -> float:
    """The error as a share of that of copying, which is infinite where copying makes none."""
    return score.l1 / score.copy_l1 if score.copy_l1 else float("inf")


def fit_joints(train: Observed) -> JointMap:
    """The linear map, with an offset, that gives the joints with the least squared error."""
    points, joints = _flat(train.keypoints), _flat(train.joints)  # (F, 2K), (F, 2J)
    middle, mean = points.mean(axis=0), joints.mean(axis=0)
    width = points.shape[1]
    ridge = np.sqrt(_RIDGE * len(points)) * np.eye(width)
    weights, *_ = np.linalg.lstsq(
        np.concatenate([points - middle, ridge]),
        np.concatenate([joints - mean, np.zeros((width, joints.shape[1]))]),
        rcond=None,
    )
    return JointMap(weights, mean - middle @ weights)


def predict_joints(fitted: JointMap, keypoints: Array) -> Array:
    """The joints (F, J, 2) that keypoints (F, K, 2) stand for."""
    return (_flat(keypoints) @ fitted.weights + fitted.offset).reshape(len(keypoints), -1, 2)


def found_joints(predicted: Array, test: Observed) -> NDArray[np.bool_]:
    """Whether each joint (F, J) is visible, and within reach of its prediction (F, J, 2)."""
    distance = np.linalg.norm(predicted - test.joints, axis=-1)  # (F, J)
    return test.visible & (distance <= REACH * test.figure_height[:, None])


def score_keypoints(train: Observed, test: Observed) -> KeypointScore:
    """Fit a map from keypoints to joints on some frames, and score it on others."""
    found = found_joints(predict_joints(fit_joints(train), test.keypoints), test)
    constant = found_joints(train.joints.mean(axis=0)[None], test)
    visible = test.visible.sum(axis=0)  # (J,)
    return KeypointScore(
        train_frames=len(train.joints),
        test_frames=len(test.joints),
        visible=int(visible.sum()),
        share=_share(found.sum(), visible.sum()),
        constant_share=_share(constant.sum(), visible.sum()),
        joints=tuple(
            JointShare(name, int(shown), _share(hits, shown))
            for name, hits, shown in zip(JOINT_NAMES, found.sum(axis=0), visible, strict=True)
        ),
    )


def judge(scores: Scores) -> list[Goal]:
    """Every figure that has a goal."""
    return [
        Goal("reconstruction", ratio(scores.reconstruction), RECONSTRUCTION_GOAL, at_most=True),
        *(
            Goal(f"{sense} transfer", ratio(score), TRANSFER_GOAL, at_most=True)
            for sense, score in scores.transfer.items()
        ),
        Goal("keypoints", scores.keypoints.share, KEYPOINT_GOAL, at_most=False),
    ]


def _flat(points: Array) -> Array:
    return points.reshape(len(points), -1).astype(np.float64)


def _share(part: int, whole: int) -> float:
    """Part of a whole, 0 of nothing."""
    return float(part / max(whole, 1))
