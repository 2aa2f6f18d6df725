"""The tab that animates: a picture, a driving video, the choices that matter, the result."""

from __future__ import annotations

from collections.abc import Sequence
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
    video_field,
)
from page.limits import counted
from page.studio import Cancelled, Studio
from page.tab import Tab
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
        self.status = gr.HTML(elem_id="status")

    # ----- events

    def _listen(self) -> None:
        checks = {"concurrency_id": "check", "concurrency_limit": 2, "api_visibility": "private"}
        taken = [self.picture, self.panel.crop_source, self.status]
        self.picture.upload(self._take_picture, self.picture, taken, **checks)
        self.picture.clear(
            self._drop_picture, None, [self.panel.crop_source, self.status], **checks
        )
        self.picture_examples.click(self._example_picture, self.picture_examples, taken, **checks)
        taken = [self.driving, self.panel.crop_driving, self.status]
        self.driving.upload(self._take_driving, self.driving, taken, **checks)
        self.gif.upload(self._take_driving, self.gif, taken, **checks)
        self.driving.clear(
            self._drop_driving, None, [self.panel.crop_driving, self.status], **checks
        )
        self.video_examples.click(self._example_driving, self.video_examples, taken, **checks)
        self._listen_to_buttons()

    def _listen_to_buttons(self) -> None:
        buttons = [self.go, self.cancel, self.download, self.status]
        running = self.go.click(
            self._begin, None, buttons, queue=False, api_visibility="private"
        ).then(
            self._animate,
            self.panel.chosen,
            [self.result, *buttons],
            show_progress="full",
            show_progress_on=self.result,
            concurrency_id="animate",
            concurrency_limit=self._studio.limits.running,
            api_visibility="private",
        )
        running.failure(self._refused, None, buttons, queue=False, api_visibility="private")
        self.cancel.click(
            self._cancel, None, buttons, cancels=[running], queue=False, api_visibility="private"
        )

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
                return [None, None, ""]
            preview = take(visit, upload)
            said = ""
            if preview.played != visit.files[role]:
                said = (
                    f"{upload.name} is taken. Not all browsers play it; a copy shows how it begins."
                )
            return [preview.played, crop_value(preview), note(said)]
        except Exception as error:
            return [None, None, complaint(error)]

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
            animation = self._studio.animate(visit, self.panel.read(*chosen), show)
        except Cancelled:
            return [None, *self._buttons(note("Cancelled."))]
        except Exception as error:
            return [None, *self._buttons(complaint(error))]
        seconds = animation.seconds["total"]
        said = f"{counted(animation.num_frames, 'frame')} in {seconds:.1f} seconds."
        if animation.best_frame is not None:
            said += f" Started from frame {animation.best_frame}."
        return [animation.video, *self._buttons(note(said), result=animation.video)]

    def _refused(self) -> list[Any]:
        """The line of those who wait was full."""
        waiting = counted(self._studio.limits.waiting, "request")
        return self._buttons(complaint(UserError(f"{waiting} wait already; try again in a minute")))

    def _cancel(self, request: gr.Request) -> list[Any]:
        self._visit(request).cancelled.set()
        return self._buttons(note("Cancelled."))

    @staticmethod
    def _buttons(status: str, *, running: bool = False, result: Path | None = None) -> list[Any]:
        """Updates for the buttons Animate, Cancel and Download, and for the status."""
        return [
            gr.update(interactive=not running),
            gr.update(interactive=running),
            gr.update(value=result, interactive=result is not None),
            status,
        ]


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
