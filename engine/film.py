"""Some frames of a driving video, and what the networks see in each of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from engine.animation import AnimationOptions, Progress
from engine.animator import Animator
from engine.best_frame import find_best_frame
from engine.clip import Clip
from engine.image import to_frame
from engine.inspection import Inspected, Parts, inspect_at, inspect_parts
from modules.generator import Source
from modules.keypoints import Keypoints, transfer_motion


class Film(NamedTuple):
    """T frames of a driving video and where the source's keypoints go in them.

    Attributes:
        numbers: of the frames in the video, ascending from 0.
        frames: uint8 (h, w, 3) each, as the networks see them.
        driving: the keypoints found in them, (T, K, ...).
        keypoints: those that the source takes, (T, K, ...).
    """

    numbers: list[int]
    frames: list[np.ndarray]
    driving: Keypoints
    keypoints: Keypoints


class Look(NamedTuple):
    """What the networks see in one frame of a film.

    Attributes:
        inspected: the motion of the source to there.
        parts: what it is made of; None for networks without motion.
        prediction: what they make of it, (C, H, W) in [0, 1].
    """

    inspected: Inspected
    parts: Parts | None
    prediction: Tensor


def make_film(
    animator: Animator,
    source: Source,
    clip: Clip,
    options: AnimationOptions,
    *,
    count: int,
    progress: Progress = lambda stage, done, total: None,
) -> Film:
    """Follow the keypoints through up to `count` frames, evenly spread, in one pass.

    Args:
        options: of an animation. There is no smoothing between frames that are far apart, and the
            best frame is the best of these.
        progress: as animate_scene's.
    """
    numbers = np.unique(np.linspace(0, clip.num_frames - 1, count).round().astype(int)).tolist()
    tracked = list(animator.track(_chosen(clip, numbers, progress)))
    driving = _joined([batch.keypoints for batch in tracked])
    reference = driving.at(0)
    if options.best_frame == "auto":
        best = find_best_frame(source.keypoints, tracked)
        reference = reference if best is None else best.keypoints
    moved = transfer_motion(source.keypoints, driving, reference, options.motion)
    frames = [to_frame(frame) for batch in tracked for frame in batch.frames]
    return Film(numbers, frames, driving, moved)


def look(animator: Animator, source: Source, film: Film, index: int) -> Look:
    """What the networks see in frame `index` of a film."""
    keypoints = film.keypoints.at(index)
    return Look(
        inspect_at(animator, source, keypoints),
        inspect_parts(animator, source, keypoints),
        animator.move(source, keypoints),
    )


def _chosen(clip: Clip, numbers: Sequence[int], progress: Progress) -> Iterator[Tensor]:
    for number, frame in enumerate(clip):
        progress("read", number + 1, clip.num_frames)
        if number in numbers:
            yield frame


def _joined(parts: Sequence[Keypoints]) -> Keypoints:
    value = torch.cat([part.value for part in parts])  # (T, K, 2)
    jacobians = [part.jacobian for part in parts if part.jacobian is not None]
    return Keypoints(value, torch.cat(jacobians) if jacobians else None)
