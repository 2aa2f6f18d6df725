"""The tab that animates: a picture, a driving video, the choices that matter, the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import gradio as gr

from engine.errors import UserError
from modules.keypoints import MotionTransfer
from page.choices import ChoicesPanel
from page.fields import (
    complaint,
    crop_value,
    gif_button,
    note,
    picture_field,
    refused_files,
    status_field,
    video_field,
)
from page.limits import counted
from page.results import Preview
from page.studio import Cancelled, Studio
from page.tab import Tab
from page.uploads import Kind, check_name_and_size
from page.visits import Visits

_STAGES = {"best frame": "Looking for the best frame", "animate": "Animating"}


class AnimateTab(Tab):
    """Its components, and what happens when they are used.

    Args:
        studio, visits: what does the work, and for whom.
        motion: what is chosen before anybody chooses.
        pictures, videos: examples.
    """

    def __init__(
        self,
        studio: Studio,
        visits: Visits,
        *,
        motion: MotionTransfer,
        pictures: Sequence[Path],
        videos: Sequence[Path],
    ) -> None:
        super().__init__(studio, visits)
        self._pictures, self._videos = pictures, videos
        with gr.Row(equal_height=False):
            self._inputs()
            with gr.Column(min_width=280):
                self._outcome()
        self.panel = ChoicesPanel(motion)
        self._listen()

    # ----- components

    def _inputs(self) -> None:
        with gr.Column(min_width=240):
            self.picture = picture_field("Picture")
            self.picture_examples = _examples("image", self._pictures)
        with gr.Column(min_width=240):
            self.driving = video_field("Driving video")
            self.video_examples = _examples("video", self._videos)
            self.gif = gif_button("or a GIF")

    def _outcome(self) -> None:
        self.result = gr.Video(
            label="Result",
            interactive=False,
            autoplay=True,
            loop=True,
            height=300,
            elem_id="result",
            buttons=[],
        )
        with gr.Row():
            self.go = gr.Button("Animate", variant="primary", elem_id="go", min_width=120)
            self.cancel = gr.Button(
                "Cancel", variant="stop", elem_id="cancel", min_width=120, interactive=False
            )
        self.download = gr.DownloadButton("Download", elem_id="download", interactive=False)
        self.status = status_field("status")
        self.refused = refused_files()

    # ----- events

    def _listen(self) -> None:
        checks = {"concurrency_id": "check", "concurrency_limit": 2, "api_visibility": "private"}
        now = {"queue": False, "api_visibility": "private"}
        panel, examples = self.panel, self.picture_examples
        taken = [self.picture, panel.crop_source, panel.crops, self.status]
        events = [
            self.picture.upload(self._take_picture, self.picture, taken, **checks),
            examples.click(self._example_picture, examples, taken, **checks),
        ]
        self.picture.clear(self._drop_picture, None, taken[1:], **now)
        examples = self.video_examples
        taken = [self.driving, panel.crop_driving, panel.crops, self.status]
        events += [
            self.driving.upload(self._take_driving, self.driving, taken, **checks),
            self.gif.upload(self._take_driving, self.gif, taken, **checks),
            examples.click(self._example_driving, examples, taken, **checks),
        ]
        self.driving.clear(self._drop_driving, None, taken[1:], **now)
        self.refused.input(
            self._refuse_file, self.refused, self.status, show_progress="hidden", **now
        )
        self._tell_of_a_full_line(*events)
        self._listen_to_buttons()

    def _listen_to_buttons(self) -> None:
        buttons = [self.go, self.cancel, self.download, self.status]
        now = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        running = self.go.click(self._begin, None, buttons, **now).then(
            self._animate,
            self.panel.chosen,
            [self.result, *buttons],
            show_progress="full",
            show_progress_on=self.result,
            concurrency_id="animate",
            concurrency_limit=self._studio.limits.running,
            api_visibility="private",
        )
        # The result is among the outputs to take from it the "Error" that gradio has put there.
        running.failure(self._give_up, None, [self.result, *buttons], **now)
        for event in (self.go.click, running.success):
            event(None, js="() => window.showResult()", api_visibility="private")
        self.cancel.click(self._cancel, None, buttons, cancels=[running], **now)

    def _take_picture(self, upload: Path | None, request: gr.Request) -> list[Any]:
        return self._take("picture", upload, request)

    def _take_driving(self, upload: Path | None, request: gr.Request) -> list[Any]:
        return self._take("driving", upload, request)

    def _example_picture(self, index: int, request: gr.Request) -> list[Any]:
        return self._take("picture", self._visits.copy(self._pictures[index]), request)

    def _example_driving(self, index: int, request: gr.Request) -> list[Any]:
        return self._take("driving", self._visits.copy(self._videos[index]), request)

    def _take(
        self, role: Literal["picture", "driving"], upload: Path | None, request: gr.Request
    ) -> list[Any]:
        """What the field, its crop and the status show once a file was chosen."""
        take = self._studio.take_picture if role == "picture" else self._studio.take_driving
        try:
            visit = self._visit(request)
            self._studio.drop(visit, role)
            if upload is None:
                return [None, None, gr.skip(), ""]
            preview = take(visit, upload)
        except Exception as error:
            return [None, None, gr.skip(), complaint(error)]
        is_copy = role == "driving" and preview.played != visit.files[role]
        said = note(_said_of(upload.name, preview, is_copy=is_copy))
        crops = gr.update(open=True) if preview.is_cut else gr.skip()
        return [preview.played, crop_value(preview), crops, said]

    def _refuse_file(self, file: object) -> str:
        """What is said of a file that page.js did not let through."""
        try:
            if not isinstance(file, Mapping):
                raise UserError("no file; load the page again")
            kind: Kind = "picture" if file.get("role") == "picture" else "video"
            name, size = str(file.get("name"))[:200], int(file.get("size", 0))
            check_name_and_size(name, size, kind, self._studio.limits)
        except Exception as error:
            return complaint(error)
        return ""

    def _drop_picture(self, request: gr.Request) -> list[Any]:
        return self._take("picture", None, request)[1:]

    def _drop_driving(self, request: gr.Request) -> list[Any]:
        return self._take("driving", None, request)[1:]

    def _begin(self, request: gr.Request) -> list[Any]:
        """What the buttons and the status show as soon as the button is pressed."""
        self._visit(request).begin()
        return self._buttons(note("At work. Cancel stops it."), running=True)

    def _animate(
        self,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - how gradio is told to show one.
        *chosen: Any,
    ) -> list[Any]:
        """The result, and what the buttons and the status show then."""

        def show(stage: str, done: int, total: int) -> None:
            progress((done, total), desc=_STAGES[stage], unit="frames")

        try:
            visit = self._visit(request)
            visit.started.set()
            animation = self._studio.animate(visit, self.panel.read(*chosen), show)
        except Cancelled:
            return [gr.skip(), *self._buttons(note("Cancelled."))]
        except Exception as error:
            return [gr.skip(), *self._buttons(complaint(error))]
        seconds = animation.seconds["total"]
        said = f"{counted(animation.num_frames, 'frame')} in {seconds:.1f} seconds."
        if animation.best_frame is not None:
            said += f" Started from frame {animation.best_frame}."
        return [animation.video, *self._buttons(note(said), result=animation.video)]

    def _give_up(self, request: gr.Request) -> list[Any]:
        """What is shown where nothing comes of it; gradio does not tell a full line from Cancel."""
        visit = self._visit(request)
        if visit.cancelled.is_set():
            said = note("Cancelled.")
        elif visit.started.is_set():
            said = complaint(UserError("the animation was broken off; try again"))
        else:
            said = self._line_is_full()
        return [gr.skip(), *self._buttons(said)]

    def _cancel(self, request: gr.Request) -> list[Any]:
        self._visit(request).cancelled.set()
        return self._buttons(note("Cancelled."))

    @staticmethod
    def _buttons(status: str, *, running: bool = False, result: Path | None = None) -> list[Any]:
        """Updates for the buttons Animate, Cancel and Download, and for the status.

        Without a new result, the one that is shown can still be downloaded.
        """
        return [
            gr.update(interactive=not running),
            gr.update(interactive=running),
            gr.skip() if result is None else gr.update(value=result, interactive=True),
            status,
        ]


def _said_of(name: str, preview: Preview, *, is_copy: bool) -> str:
    """What a person should know of a file that was taken."""
    said = []
    if is_copy:
        said.append("Not all browsers play it; a copy shows how it begins.")
    if preview.is_cut:
        said.append("The networks see the part in its box, under Crop: drag it to what matters.")
    return " ".join([f"{name} is taken.", *said]) if said else ""


def _examples(kind: str, files: Sequence[Path]) -> gr.Dataset:
    """Small pictures of files, to be chosen from."""
    return gr.Dataset(
        label="or one of these",
        components=[kind],
        samples=[[str(file)] for file in files],
        type="index",
        visible=bool(files),
        elem_id=f"{kind}-examples",
    )
