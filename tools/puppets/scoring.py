"""Scores on puppets, computed from arrays, and the goals that they are held to."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.metrics import Measured, RocArea, end_point_error
from engine.scoring import VideoScore, total_means
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


class PictureScore(NamedTuple):
    """How far frames are from the truth, over all frames of all videos.

    copy_l1: the L1 of a still picture, the mark that any motion has to beat.
    temporal: None where no video has a second frame.
    """

    num_frames: int
    l1: float
    copy_l1: float
    psnr: float
    ssim: float
    temporal: float | None


class MotionSeen(NamedTuple):
    """What was predicted of a driving frame's motion from the source, and what is true.

    flow, true_flow (H, W, 2): the point of the source that each pixel shows, in [-1, 1].
    occlusion_map (H, W): in [0, 1], 0 where the source cannot show it; None without.
    visible (H, W): where the source does show it.
    figure (H, W): where the driving frame shows the figure, not the background.
    """

    flow: Array
    occlusion_map: Array | None
    true_flow: Array
    visible: NDArray[np.bool_]
    figure: NDArray[np.bool_]


class MotionScore(NamedTuple):
    """How true the flow and the occlusion map are, over all pixels of all frames.

    epe: end-point error of the flow in pixels, on the pixels that the source shows.
    still_epe: that of no motion at all, the mark that any flow has to beat.
    figure_epe, figure_still_epe: likewise, on the figure alone.
    occlusion_auc: area under the ROC curve of 1 - occlusion_map against what is truly hidden; None
        without such a map.
    """

    num_frames: int
    epe: float
    still_epe: float
    figure_epe: float
    figure_still_epe: float
    occlusion_auc: float | None


class Scores(NamedTuple):
    """All that is measured; `transfer` by its sense, empty where there was nothing to transfer.

    motion: None for networks that predict no flow.
    """

    reconstruction: PictureScore
    transfer: Mapping[str, PictureScore]
    keypoints: KeypointScore
    motion: MotionScore | None = None


class Goal(NamedTuple):
    """A figure and the bound that it should keep: from above if `at_most`, else from below."""

    name: str
    value: float
    bound: float
    at_most: bool

    @property
    def met(self) -> bool:
        return self.value <= self.bound if self.at_most else self.value >= self.bound


def picture_score(videos: Sequence[VideoScore]) -> PictureScore:
    """The means over all frames of videos that engine.scoring.PixelMetrics has measured."""
    means = total_means(videos)
    known = {kind: means[kind] or 0.0 for kind in ("l1", "copy_l1", "psnr", "ssim")}
    num_frames = sum(video.num_frames for video in videos)
    return PictureScore(num_frames=num_frames, **known, temporal=means["temporal"])


def score_motion(frames: Iterable[MotionSeen]) -> MotionScore:
    """Measure predicted motion, a frame at a time."""
    errors: dict[str, list[Measured]] = {
        name: [] for name in ("epe", "still_epe", "figure_epe", "figure_still_epe")
    }
    area, num_frames = RocArea(), 0
    for frame in frames:
        num_frames += 1
        still = _identity_flow(frame.visible.shape)
        shown_figure = frame.visible & frame.figure
        for name, flow, where in (
            ("epe", frame.flow, frame.visible),
            ("still_epe", still, frame.visible),
            ("figure_epe", frame.flow, shown_figure),
            ("figure_still_epe", still, shown_figure),
        ):
            errors[name].append(end_point_error(flow, frame.true_flow, where))
        if frame.occlusion_map is not None:
            area.add(1 - frame.occlusion_map, ~frame.visible)
    means = {name: _mean(measured) for name, measured in errors.items()}
    return MotionScore(num_frames=num_frames, **means, occlusion_auc=area.value())


def ratio(score: PictureScore) -> float:
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


def _identity_flow(size: tuple[int, ...]) -> Array:
    """The flow (H, W, 2) of a picture that stays as it is."""
    lines = [np.linspace(-1, 1, length) for length in reversed(size)]
    return np.stack(np.meshgrid(*lines), axis=-1)


def _mean(parts: Sequence[Measured]) -> float:
    """The mean over all pixels, 0 of none."""
    count = sum(part.weight for part in parts)
    return sum(part.value * part.weight for part in parts) / max(count, 1)


def _flat(points: Array) -> Array:
    return points.reshape(len(points), -1).astype(np.float64)


def _share(part: int, whole: int) -> float:
    """Part of a whole, 0 of nothing."""
    return float(part / max(whole, 1))
