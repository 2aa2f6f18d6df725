"""What the page does for a visit, in terms of the engine; nothing here knows the web.

Nothing is computed here, either: reading, networks and writing are the engine's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import torch
from PIL import Image

from engine.animation import Animation, Progress, animate_scene
from engine.animator import Animator
from engine.clip import open_cut_clip
from engine.errors import UserError
from engine.film import Film, look, make_film
from engine.framing import Box, choose_box
from engine.image import read_image, resize_frame, to_frame, to_tensor
from engine.scene import Scene, open_scene
from modules.keypoints import Keypoints
from page.limits import Limits
from page.previews import browsers_play, preview_of, reduced, write_playable
from page.results import Choices, Preview, Seen, Subject
from page.uploads import Kind, check_upload
from page.visits import Visit, place_copy

LARGEST_SIDE = 2048  # pixels of a picture; networks see no more than some hundred of them
LOOKED_AT = 48  # frames of a video that can be looked into

NO_PICTURE = "no picture yet; choose one in the tab Animate"
NO_DRIVING = "no driving video yet; choose one in the tab Animate"

T = TypeVar("T")


class Cancelled(Exception):  # noqa: N818 - a person's wish, no error.
    """The person pressed Cancel, or is gone."""


class Studio:
    """Serves any number of visits, several at a time."""

    def __init__(
        self, animator: Animator, *, frame_shape: tuple[int, int, int], limits: Limits
    ) -> None:
        self.animator = animator
        self.frame_shape = frame_shape
        self.limits = limits

    # ----- what people bring

    def take_picture(self, visit: Visit, upload: Path) -> Preview:
        """Check a picture and keep it, not larger than 2,048 pixels.

        Raises:
            UserError: it is none, or too large; then the upload is deleted.
        """

        def take() -> Preview:
            picture = reduced(read_image(upload), LARGEST_SIDE)
            path = visit.new("picture", ".png")
            Image.fromarray(picture).save(path, compress_level=1)
            visit.keep("picture", path)
            return preview_of(picture, self.frame_shape, name=upload, played=path)

        return self._taken(visit, upload, "picture", take)

    def take_driving(self, visit: Visit, upload: Path) -> Preview:
        """Check a driving video and keep it, and a copy to be played if browsers do not play it.

        Raises:
            UserError: it is none, or too large; then the upload is deleted.
        """

        def take() -> Preview:
            with open_cut_clip(upload, frame_shape=self.frame_shape, chosen=None) as clip:
                first = next(iter(clip.reader))
                path = played = visit.new("driving", upload.suffix.lower())
                if not browsers_play(upload):
                    played = visit.new("played", ".mp4")
                    write_playable(clip.reader, played)
                    visit.keep("played", played)
            place_copy(upload, path)
            visit.keep("driving", path)
            return preview_of(first, self.frame_shape, name=upload, played=played)

        return self._taken(visit, upload, "video", take)

    def drop(self, visit: Visit, role: Literal["picture", "driving"]) -> None:
        """Forget what was brought."""
        visit.drop(role)
        if role == "driving":
            visit.drop("played")

    def _taken(self, visit: Visit, upload: Path, kind: Kind, take: Callable[[], T]) -> T:
        with self._working(visit):
            try:
                check_upload(upload, kind, self.limits)
                return take()
            except UserError as error:
                upload.unlink(missing_ok=True)
                raise UserError(str(error).replace(str(upload), upload.name)) from error

    # ----- animating

    def animate(self, visit: Visit, choices: Choices, progress: Progress) -> Animation:
        """Animate the visit's picture by its driving video.

        An earlier result stays until there is a new one.

        Raises:
            UserError: something is missing, or does not go together.
            Cancelled: the person wanted it to end.
        """
        result, cancelled = visit.new("animated", ".mp4"), visit.cancelled
        with self._working(visit), self._scene(visit, choices) as scene:
            animation = animate_scene(
                self.animator,
                scene,
                choices.options,
                result_video=result,
                progress=_until(lambda: cancelled.is_set() or visit.closed, progress),
            )
            visit.keep("result", result)
            return animation

    def save_picture(self, visit: Visit, role: str, picture: np.ndarray) -> Path:
        """Write a picture, uint8 (H, W, 3), without loss, in place of the last one for this use."""
        with self._working(visit):
            path = visit.new(role, ".png")
            Image.fromarray(picture).save(path, compress_level=1)
            return visit.keep(role, path)

    # ----- looking inside

    def film(self, visit: Visit, choices: Choices, progress: Progress) -> Film:
        """The frames of the driving video that can be looked into; read once for each choice.

        Raises:
            UserError, Cancelled: as `animate`.
        """
        with self._working(visit):
            return self._film(visit, choices, progress)

    def see(self, visit: Visit, choices: Choices, index: int) -> Seen:
        """What the networks see in frame `index` of the film."""
        with self._working(visit):
            subject = self._subject(visit, choices.crop_source)
            film = self._film(visit, choices, lambda stage, done, total: None)
            index = min(max(index, 0), len(film.numbers) - 1)
            return Seen(
                number=film.numbers[index],
                driving=film.frames[index],
                driving_keypoints=_points(film.driving, index),
                source=subject.frame,
                source_keypoints=_points(subject.source.keypoints, 0),
                look=look(self.animator, subject.source, film, index),
            )

    def _film(self, visit: Visit, choices: Choices, progress: Progress) -> Film:
        def make() -> Film:
            with self._scene(visit, choices) as scene:
                return make_film(
                    self.animator,
                    self._subject(visit, choices.crop_source).source,
                    scene.clip,
                    choices.options,
                    count=LOOKED_AT,
                    progress=_until(lambda: visit.closed, progress),
                )

        files = (visit.files.get("picture"), visit.files.get("driving"))
        return visit.remember("film").get((files, choices), make)

    # ----- editing

    def handles(self, visit: Visit, crop: Box | None) -> tuple[np.ndarray, np.ndarray]:
        """The picture as the networks see it, and its keypoints (K, 2), to be dragged."""
        with self._working(visit):
            subject = self._subject(visit, crop)
            return subject.frame, _points(subject.source.keypoints, 0)

    def move(self, visit: Visit, crop: Box | None, points: Sequence[Sequence[float]]) -> np.ndarray:
        """The picture, uint8 (h, w, 3), after its keypoints were dragged to (K, 2) in [-1, 1].

        Raises:
            UserError: these are no such points.
        """
        with self._working(visit):
            source = self._subject(visit, crop).source
            try:
                value = torch.tensor(points, dtype=torch.float32)[None].clamp(-1, 1)  # (1, K, 2)
            except (TypeError, ValueError) as error:
                raise UserError("no keypoints; load the page again") from error
            if value.shape != source.keypoints.value.shape or not value.isfinite().all():
                raise UserError("not the keypoints of this picture; put them back")
            return to_frame(self.animator.move(source, source.keypoints._replace(value=value)))

    # ----- what all of it needs

    def _subject(self, visit: Visit, crop: Box | None) -> Subject:
        """The picture of a visit, encoded once."""
        path = visit.need("picture", NO_PICTURE)

        def encode() -> Subject:
            picture = read_image(path)
            size = (picture.shape[0], picture.shape[1])
            box = choose_box(size, self.frame_shape[:2], chosen=crop, name=path)
            frame = resize_frame(box.cut(picture), self.frame_shape[:2])
            return Subject(frame, self.animator.encode(to_tensor(frame)))

        return visit.remember("subject").get((path, crop), encode)

    def _scene(self, visit: Visit, choices: Choices) -> AbstractContextManager[Scene]:
        return open_scene(
            visit.need("picture", NO_PICTURE),
            visit.need("driving", NO_DRIVING),
            frame_shape=self.frame_shape,
            crop_source=choices.crop_source,
            crop_driving=choices.crop_driving,
        )

    @contextmanager
    def _working(self, visit: Visit) -> Iterator[None]:
        """At work for a visit, whose folder is nobody's business."""
        with visit.at_work():
            try:
                yield
            except UserError as error:
                raise UserError(str(error).replace(f"{visit.folder}{os.sep}", "")) from error


def _until(unwanted: Callable[[], bool], progress: Progress) -> Progress:
    """A progress that ends what calls it once it is no longer wanted."""

    def show(stage: str, done: int, total: int) -> None:
        if unwanted():
            raise Cancelled
        progress(stage, done, total)

    return show


def _points(keypoints: Keypoints, index: int) -> np.ndarray:
    return keypoints.value[index].float().cpu().numpy()
