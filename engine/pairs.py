"""Pairs of a dataset's test videos, a frame of one moved by the other; processes share them out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from engine import distributed
from engine.animation import AnimationOptions, animate_scene, check_best_frame
from engine.animator import Animator
from engine.clip import open_clip
from engine.framing import Box
from engine.pair_lists import AnimationPair, PairedDataset
from engine.progress import Bar
from engine.scene import Scene
from engine.video import to_frame


def animate_pairs(
    animator: Animator,
    pairs: PairedDataset,
    options: AnimationOptions,
    *,
    folder: Path,
    suffix: str,
    frame_shape: tuple[int, int, int],
) -> None:
    """Animate this process's share of the pairs, and wait until all are done.

    Each gets a video in the folder, named by names_of and the suffix, and lossless frames below
    `png`.

    Args:
        frame_shape: (H, W, C) to which frames are resized, as in training.

    Raises:
        UserError: something cannot be read, or written.
    """
    names = names_of(every_pair(pairs))
    share = distributed.own_items(range(len(pairs)))
    hidden = None if distributed.is_first() else True
    for index in tqdm(share, unit="pair", disable=hidden):
        video = folder / f"{names[index]}{suffix}"
        _animate_pair(animator, pairs[index], options, video=video, frame_shape=frame_shape)
    distributed.total(torch.zeros((), device=animator.device))  # waits for the others


def _animate_pair(
    animator: Animator,
    pair: AnimationPair,
    options: AnimationOptions,
    *,
    video: Path,
    frame_shape: tuple[int, int, int],
) -> None:
    with (
        open_clip(pair.source, frame_shape=frame_shape) as source,
        open_clip(pair.driving, frame_shape=frame_shape) as driving,
        Bar() as bar,
    ):
        picture = to_frame(source.frame(pair.frame))
        whole = Box(0, 0, picture.shape[1], picture.shape[0])
        animate_scene(
            animator,
            Scene(picture, whole, driving),
            options,
            result_video=video,
            save_frames=frames_beside(video),
            progress=bar.show,
        )


def frames_beside(video: Path) -> Path:
    """The folder of lossless frames that belongs to a pair's video."""
    return video.parent / "png" / video.stem


def check_pairs(
    pairs: PairedDataset, options: AnimationOptions, *, frame_shape: tuple[int, int, int]
) -> None:
    """See that all videos can be opened and all frames are there, before the first is animated.

    Raises:
        UserError: one cannot, or is not.
    """
    for pair in every_pair(pairs):
        with (
            open_clip(pair.source, frame_shape=frame_shape) as source,
            open_clip(pair.driving, frame_shape=frame_shape) as driving,
        ):
            source.frame(pair.frame)
            check_best_frame(driving, options)


def every_pair(pairs: PairedDataset) -> list[AnimationPair]:
    return [pairs[index] for index in range(len(pairs))]


def names_of(pairs: Sequence[AnimationPair]) -> list[str]:
    """What to call the result of each pair, no two alike."""
    names: list[str] = []
    for pair in pairs:
        # A folder of frames has no suffix, only perhaps a dot in its name.
        videos = (pair.source, pair.driving)
        name = "-".join(video.name if video.is_dir() else video.stem for video in videos)
        name += f"-from-{pair.frame}" if pair.frame else ""
        again = sum(other == name or other.startswith(f"{name}--") for other in names)
        names.append(f"{name}--{again + 1}" if again else name)
    return names


def pairs_as_dicts(pairs: PairedDataset) -> list[dict[str, object]]:
    """What each pair is of, and its name, for a JSON file."""
    every = every_pair(pairs)
    return [
        {"source": str(p.source), "driving": str(p.driving), "frame": p.frame, "name": name}
        for p, name in zip(every, names_of(every), strict=True)
    ]
