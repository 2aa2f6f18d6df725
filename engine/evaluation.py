"""Rebuild videos from their first frame, and score them."""

from collections.abc import Iterable, Iterator
from itertools import tee
from typing import NamedTuple

from torch import Tensor

from engine.animator import Animator


class Rebuilt(NamedTuple):
    """A frame, what the networks made of it, and what standing still would have; (C, H, W) each."""

    truth: Tensor
    prediction: Tensor
    first: Tensor


class L1Score(NamedTuple):
    """Mean absolute differences over pixels and frames, for values in [0, 1].

    Attributes:
        num_frames: how many were compared.
        l1: of the rebuilt frames.
        copy_l1: of the first frame shown throughout, the mark that any motion has to beat.
    """

    num_frames: int
    l1: float
    copy_l1: float


def rebuild(animator: Animator, frames: Iterable[Tensor]) -> Iterator[Rebuilt]:
    """Rebuild each frame of a video from the first, in bounded memory."""
    truths, inputs = tee(frames)
    first = None
    for truth, prediction in zip(truths, animator.reconstruct(inputs), strict=True):
        first = truth if first is None else first
        yield Rebuilt(truth, prediction, first)


def score(video: Iterable[Rebuilt]) -> L1Score:
    """The L1 of a rebuilt video; all zeros for one without frames."""
    num_frames, total, copy_total = 0, 0.0, 0.0
    for frame in video:
        num_frames += 1
        total += (frame.prediction - frame.truth).abs().mean().item()
        copy_total += (frame.first - frame.truth).abs().mean().item()
    count = max(num_frames, 1)
    return L1Score(num_frames, total / count, copy_total / count)


def mean_score(scores: Iterable[L1Score]) -> L1Score:
    """The mean over all frames of all videos, as the papers have it."""
    videos = list(scores)
    num_frames = sum(video.num_frames for video in videos)
    count = max(num_frames, 1)
    return L1Score(
        num_frames,
        sum(video.num_frames * video.l1 for video in videos) / count,
        sum(video.num_frames * video.copy_l1 for video in videos) / count,
    )
