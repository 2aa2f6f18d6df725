"""One animation from its files to its file: what the command and a web page both call."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

from torch import Tensor

from engine.animation_output import AnimationOutput
from engine.animator import Animator, Smoothing, Step, Tracked
from engine.best_frame import BestFrame, find_best_frame
from engine.clip import Clip
from engine.errors import UserError
from engine.image import to_frame, to_tensor
from engine.panels import Panels
from engine.pipeline import ahead, behind
from engine.scene import Scene
from engine.smoothing import OneEuro
from engine.timing import PartTimes
from modules.generator import Source
from modules.keypoints import MotionTransfer

_AHEAD = 2  # batches that are decoded before they are needed
_BEHIND = 2  # batches that wait for the encoder

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class AnimationOptions:
    """How a picture is animated.

    Attributes:
        motion: how the driving video's motion is carried over.
        best_frame: the driving frame whose pose is most like the source's, which relative motion
            starts from: its number, or auto to find it.
        smooth: whether the driving keypoints are smoothed over time.
        paste_back: whether the video shows the result in the whole source picture.
        side_by_side: whether it shows source and driving frames, with keypoints, beside it; then a
            picture of some frames is written, too.
        sound: whether the driving video's sound is kept.
    """

    motion: MotionTransfer = field(default_factory=MotionTransfer)
    best_frame: int | Literal["auto"] | None = None
    smooth: bool = False
    paste_back: bool = False
    side_by_side: bool = False
    sound: bool = True


class Animation(NamedTuple):
    """What came of it.

    Attributes:
        video: the file that was written.
        picture: of some frames; None if there is none.
        num_frames: how many.
        fps: their exact rate.
        size: (H, W) of the video.
        best_frame: the driving frame that motion started from; None if it was the first.
        seconds: wall time of the whole, and of its parts, which overlap.
    """

    video: Path
    picture: Path | None
    num_frames: int
    fps: Fraction
    size: tuple[int, int]
    best_frame: int | None
    seconds: dict[str, float]


def animate_scene(
    animator: Animator,
    scene: Scene,
    options: AnimationOptions,
    *,
    result_video: Path,
    save_frames: Path | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> Animation:
    """Animate a picture and write the video, in memory that does not depend on its length.

    Decoding, the networks and encoding overlap. Nothing is left behind, and what was there stays,
    unless the whole is done.

    Args:
        result_video: named by its kind: .mp4, .mov, .webm, .gif, ...
        save_frames: a folder for the networks' frames without loss.
        progress: called with the stage (`best frame` or `animate`), how many frames are done, and
            how many there are. What it raises ends the animation: that is how to cancel one.

    Raises:
        UserError: something cannot be read, or written.
    """
    clip, times = scene.clip, PartTimes()
    check_best_frame(clip, options)
    output = AnimationOutput(
        result_video,
        fps=clip.fps,
        times=clip.times,
        sound=clip.sound if options.sound else None,
        frames=save_frames,
        picture=options.side_by_side,
        num_frames=clip.num_frames,
    )
    with times.part("total"), output:
        source = animator.encode(to_tensor(scene.source()))
        run = _Run(animator, clip, options, progress=progress, times=times)
        best = run.find_reference(source)
        panels = Panels(
            scene,
            paste_back=options.paste_back,
            source=source.keypoints if options.side_by_side else None,
        )

        def write(step: Step) -> None:
            with times.part("encode"):
                result = to_frame(step.prediction)
                output.write(result, panels(step, result))

        with behind(write, _BEHIND * animator.batch_size) as hand_on:
            for step in run.steps(source, best):
                hand_on(step)
    return Animation(
        video=result_video,
        picture=output.picture,
        num_frames=output.num_frames,
        fps=clip.fps,
        size=output.size,
        best_frame=None if best is None else best.number,
        seconds=_seconds_by_part(times.seconds),
    )


def check_best_frame(clip: Clip, options: AnimationOptions) -> None:
    """See that the clip has the frame to start from, and that there is a use for it.

    Raises:
        UserError: it has not, or there is none.
    """
    number = options.best_frame
    if number is None:
        return
    if not options.motion.relative:
        raise UserError(
            f"--best_frame {number}: absolute motion starts from no frame; leave it out"
        )
    if number != "auto":
        clip.check_number(number)


class _Run:
    """A clip on its way through the networks: once, and before that to find where to start."""

    def __init__(
        self,
        animator: Animator,
        clip: Clip,
        options: AnimationOptions,
        *,
        progress: Progress,
        times: PartTimes,
    ) -> None:
        self._animator = animator
        self._clip = clip
        self._options = options
        self._progress = progress
        self._times = times
        self._smoothing: Smoothing | None = None
        if options.smooth:
            self._smoothing = Smoothing(clip.moments(), OneEuro.at_rate(clip.fps))

    def find_reference(self, source: Source) -> BestFrame | None:
        """The frame that relative motion starts from; None for the first.

        Given its keypoints, no frame depends on another, but for the filter: that runs forward
        through the whole video here as it will then, so that the chosen frame, as filtered, is what
        the source's pose stands for, and in that frame the source does not move at all.
        """
        number = self._options.best_frame
        if number is None:
            return None
        with self._times.part("best_frame"):
            if number == "auto":
                return find_best_frame(source.keypoints, self._tracked(self._clip.num_frames))
            if self._smoothing is None:
                return BestFrame(number, self._animator.detect(self._clip.frame(number)))
            (last,) = deque(self._tracked(number + 1), maxlen=1)
            return BestFrame(number, last.keypoints.at(len(last.frames) - 1))

    def _tracked(self, end: int) -> Iterator[Tracked]:
        done = 0
        with self._decoded(end) as frames:
            for tracked in self._animator.track(frames, smoothing=self._smoothing):
                done += len(tracked.frames)
                self._progress("best frame", done, end)
                yield tracked

    def steps(self, source: Source, reference: BestFrame | None) -> Iterator[Step]:
        """What becomes of the source in each frame."""
        total = self._clip.num_frames
        with self._decoded(total) as frames:
            steps = self._animator.steps(
                source,
                self._times.timed("waiting", frames),
                self._options.motion,
                reference=None if reference is None else reference.keypoints,
                smoothing=self._smoothing,
            )
            for done, step in enumerate(self._times.timed("networks and waiting", steps), start=1):
                yield step
                self._progress("animate", done, total)

    @contextmanager
    def _decoded(self, end: int) -> Iterator[Iterator[Tensor]]:
        """The frames up to `end`, decoded ahead."""
        frames = self._times.timed("decode", islice(self._clip, end))
        with closing(ahead(frames, _AHEAD * self._animator.batch_size)) as ready:
            yield ready


def _seconds_by_part(times: Mapping[str, float]) -> dict[str, float]:
    """Wall time of the whole and of its parts; decoding and encoding overlap with the networks."""
    networks = times.get("networks and waiting", 0.0) - times.get("waiting", 0.0)
    parts = ("total", "best_frame", "decode", "encode")
    found = {name: times[name] for name in parts if name in times} | {"networks": networks}
    return {name: round(seconds, 3) for name, seconds in found.items()}


def report(
    animation: Animation, scene: Scene, animator: Animator, options: AnimationOptions
) -> dict[str, object]:
    """All about an animation, for a JSON file: sizes are [H, W], crops [x, y, width, height]."""
    reader = scene.clip.reader
    return {
        "result_video": str(animation.video),
        "frames": animation.num_frames,
        "frames_per_second": str(animation.fps),
        "sizes": {
            "source": scene.picture.shape[:2],
            "driving": (reader.height, reader.width),
            "network": scene.clip.size,
            "result": animation.size,
        },
        "crop": {"source": scene.box, "driving": scene.clip.box},
        "seconds": animation.seconds,
        "animated_per_second": round(animation.num_frames / animation.seconds["total"], 2),
        "device": str(animator.device),
        "precision": str(animator.precision).removeprefix("torch."),
        "compile": animator.compiled,
        "batch_size": animator.batch_size,
        "options": {**asdict(options), "motion": options.motion._asdict()},
        "best_frame": animation.best_frame,
    }
