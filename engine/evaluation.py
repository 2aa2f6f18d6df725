"""Rebuild videos from their first frame."""

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


def rebuild(animator: Animator, frames: Iterable[Tensor]) -> Iterator[Rebuilt]:
    """Rebuild each frame of a video from the first, in bounded memory."""
    truths, inputs = tee(frames)
    first = None
    for truth, prediction in zip(truths, animator.reconstruct(inputs), strict=True):
        first = truth if first is None else first
        yield Rebuilt(truth, prediction, first)
