"""How well a training's networks rebuild the test videos."""

import logging
import math
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor

from engine.animator import Animator
from engine.clip import open_clip
from engine.evaluation import Rebuilt, rebuild
from engine.image import to_frame
from engine.metrics import l1, psnr
from engine.video import UnreadableVideo
from engine.waiting import LONG_WAIT_SECONDS, read_in_thread, with_notice

_FILM_FRAMES = 40
_log = logging.getLogger(__name__)


class TestScore(NamedTuple):
    """Means over the test videos, each counting the same; NaN where none could be scored.

    Attributes:
        l1, psnr: of the rebuilt frames.
        copy_l1: of the first frame shown throughout, the mark that any motion has to beat.
        film: frames of the first video: what there is to see, (H, W, 3), uint8, by its title.
    """

    l1: float
    psnr: float
    copy_l1: float
    film: list[dict[str, np.ndarray]]

    def curves(self) -> dict[str, float]:
        """What to show, under the names of its curves."""
        return {
            "test_l1": self.l1,
            "test_l1_vs_copy": self.l1 / self.copy_l1 if self.copy_l1 else math.nan,
            "test_psnr": self.psnr,
        }


_UNSCORED = TestScore(math.nan, math.nan, math.nan, [])


def score_videos(
    animator: Animator,
    videos: Sequence[Path],
    *,
    frame_shape: tuple[int, int, int],
    max_frames: int | None,
    stopped: Callable[[], bool],
) -> TestScore:
    """Rebuild videos from their first frames, and score them; NaN if that is cut short.

    Args:
        animator: has the networks.
        videos: one that cannot be read is passed over with a warning.
        frame_shape: (H, W, C) to which frames are resized.
        max_frames: of each video; None is all.
        stopped: whether to give up, asked with each frame.
    """
    scores: list[list[float]] = []
    film: list[dict[str, np.ndarray]] = []
    for path in videos:
        if stopped():
            return _UNSCORED
        try:
            with closing(_read(path, frame_shape, max_frames, stopped)) as frames:
                numbers, shown = _score(rebuild(animator, frames))
        except UnreadableVideo as error:
            _log.warning("skipping a test video: %s", error)
            continue
        if stopped():
            return _UNSCORED
        scores.append(np.mean(numbers, axis=0).tolist())
        film = film or shown
    if not scores:
        return _UNSCORED
    mean_l1, mean_psnr, copy_l1 = np.mean(scores, axis=0).tolist()
    return TestScore(mean_l1, mean_psnr, copy_l1, film)


def _read(
    path: Path,
    frame_shape: tuple[int, int, int],
    max_frames: int | None,
    stopped: Callable[[], bool],
) -> Generator[Tensor, None, None]:
    """The frames of a video, (C, H, W), until it is to stop, even where the disk hangs."""

    def read() -> Iterator[Tensor]:
        with open_clip(path, frame_shape=frame_shape) as clip:
            yield from islice(clip, max_frames)

    def notice() -> None:
        _log.warning(
            "%s: no frame for %.0f seconds; see whether its disk answers, or press Ctrl-C to save "
            "and stop",
            path,
            LONG_WAIT_SECONDS,
        )

    with closing(read_in_thread(read)) as frames:
        for frame in with_notice(frames, notice):
            if stopped():
                return
            if frame is not None:
                yield frame


def _score(video: Iterable[Rebuilt]) -> tuple[list[list[float]], list[dict[str, np.ndarray]]]:
    """The numbers of TestScore for each frame of a video, and its film."""
    numbers: list[list[float]] = []
    film: list[dict[str, np.ndarray]] = []
    for frame in video:
        prediction, truth = frame.prediction, frame.truth
        numbers.append([l1(prediction, truth), psnr(prediction, truth), l1(frame.first, truth)])
        if len(film) < _FILM_FRAMES:
            seen = {"first frame": frame.first, "true": truth, "rebuilt": prediction}
            film.append({title: to_frame(image) for title, image in seen.items()})
    return numbers, film
