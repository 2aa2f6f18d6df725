"""Score networks on a set of puppets: pictures, transfer, keypoints, flow and occlusion."""

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from engine.animator import Animator
from engine.device import place
from engine.errors import UserError
from engine.evaluation import rebuild
from engine.inspection import inspect
from engine.scoring import PixelMetrics, VideoScore, score_video
from engine.video import read_image, to_tensor
from modules.keypoints import MotionTransfer
from tools.puppets.reading import PuppetSet
from tools.puppets.scoring import (
    Array,
    KeypointScore,
    MotionScore,
    MotionSeen,
    Observed,
    PictureScore,
    Scores,
    picture_score,
    score_keypoints,
    score_motion,
)
from tools.puppets.truth import backward_flow

MAX_TRAIN_FRAMES = 3000
BATCH = 16
SENSES = ("relative", "absolute")


class Evaluated(NamedTuple):
    """All scores, and those of each rebuilt test video."""

    scores: Scores
    rebuilt: list[VideoScore]


def evaluate_puppets(animator: Animator, puppets: PuppetSet, options: MotionTransfer) -> Evaluated:
    """Measure everything whose truth is known; `options` say how motion is carried over."""
    keypoints = keypoints_of(animator, puppets)
    rebuilt = reconstruction_of(animator, puppets)
    transfer = {
        sense: transfer_of(animator, puppets, options, sense)
        for sense in (SENSES if puppets.triples else ())
    }
    motion = motion_of(animator, puppets)
    return Evaluated(Scores(picture_score(rebuilt), transfer, keypoints, motion), rebuilt)


def reconstruction_of(animator: Animator, puppets: PuppetSet) -> list[VideoScore]:
    """The score of each test video, rebuilt from its first frame."""
    scores = []
    for path in progress(puppets.test, "reconstruction"):
        with puppets.open(path) as clip:
            pairs = ((rebuilt.prediction, rebuilt.truth) for rebuilt in rebuild(animator, clip))
            scores.append(score_video(clip.name, pairs, [PixelMetrics]))
    return scores


def transfer_of(
    animator: Animator, puppets: PuppetSet, options: MotionTransfer, sense: str
) -> PictureScore:
    """The mean score of the triples against their true answers; to copy is to show the source."""
    options = options._replace(relative=sense == "relative")
    scores = []
    for triple in progress(puppets.triples, f"{sense} transfer"):
        picture = to_tensor(read_image(triple / "source.png"))
        with (
            puppets.open_part(triple, "driving") as driving,
            puppets.open_part(triple, sense) as answer,
        ):
            moved = animator.animate(animator.encode(picture), driving, options)
            metrics = [partial(PixelMetrics, still=picture)]
            scores.append(score_video(triple.name, zip(moved, answer, strict=True), metrics))
    return picture_score(scores)


def motion_of(animator: Animator, puppets: PuppetSet) -> MotionScore | None:
    """Flow and occlusion from the first frame of each test video to each other frame.

    None for networks without dense motion.
    """
    if animator.generator.dense_motion_network is None:
        return None
    return score_motion(
        frame
        for path in progress(puppets.test, "flow and occlusion")
        for frame in seen_motion(animator, puppets, path)
    )


def seen_motion(animator: Animator, puppets: PuppetSet, path: Path) -> Iterator[MotionSeen]:
    """The predicted and the true motion of each frame of a test video but the first."""
    with puppets.open(path) as clip:
        truth = puppets.truth(clip)
        source = animator.encode(clip.frame(0))
        for start, frames in batches(islice(clip, 1, None)):
            found = inspect(animator, source, frames)
            assert found.flow is not None
            for index, flow in enumerate(found.flow):
                driving = 1 + start + index
                true_flow, visible = backward_flow(truth, source=0, driving=driving)
                occlusion_map = None
                if found.occlusion_map is not None:
                    occlusion_map = found.occlusion_map[index]
                figure = truth.part_index[driving] > 0
                yield MotionSeen(flow, occlusion_map, true_flow, visible, figure)


def batches(frames: Iterable[Tensor]) -> Iterator[tuple[int, Tensor]]:
    """Frames (C, H, W) by the batch (B, C, H, W), and which number the first of each has."""
    remaining, start = iter(frames), 0
    while batch := list(islice(remaining, BATCH)):
        yield start, torch.stack(batch)
        start += len(batch)


def keypoints_of(animator: Animator, puppets: PuppetSet) -> KeypointScore:
    """Fit the joints to the keypoints on training videos, and score them on the test videos."""
    every = math.ceil(len(puppets.train) * puppets.plan.frames / MAX_TRAIN_FRAMES)
    train = observe(animator, puppets, puppets.train, every=every)
    return score_keypoints(train, observe(animator, puppets, puppets.test, every=1))


def observe(
    animator: Animator, puppets: PuppetSet, videos: Sequence[Path], *, every: int
) -> Observed:
    """The keypoints and the truth of every nth frame, counted through all videos."""
    parts = []
    start = 0
    for path in progress(videos, "keypoints"):
        with puppets.open(path) as clip:
            truth = puppets.truth(clip)
            frames = list(islice(clip, start, None, every))
        chosen = slice(start, None, every)
        start = (start - len(truth.joints)) % every
        if frames:
            part = Observed(
                keypoints=detect(animator, frames),
                joints=truth.joints[chosen],
                visible=truth.visible[chosen],
                figure_height=truth.figure_height[chosen],
            )
            parts.append(part)
    return Observed(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


@torch.inference_mode()
def detect(animator: Animator, frames: Sequence[Tensor]) -> Array:
    """The keypoints (F, K, 2) of frames (C, H, W).

    Raises:
        UserError: they are not finite.
    """
    batches = torch.stack(list(frames)).split(BATCH)  # (B, C, H, W) each
    found = [animator.kp_detector(place(batch, animator.device)).value.cpu() for batch in batches]
    keypoints = torch.cat(found)  # (F, K, 2)
    if not keypoints.isfinite().all():
        raise UserError("the keypoints are not finite numbers; take a checkpoint from before that")
    return keypoints.numpy()


def progress(videos: Sequence[Path], what: str) -> Iterable[Path]:
    return tqdm(videos, desc=what, unit="video", disable=None)
