"""What a person may choose of an animation, and what it says of it."""

from __future__ import annotations

from typing import Any

import gradio as gr

from engine.animation import AnimationOptions
from modules.keypoints import MotionTransfer
from page.fields import crop_field, read_crop
from page.results import Choices

RELATIVE, ABSOLUTE = "relative", "absolute"


class ChoicesPanel:
    """Its components.

    Args:
        motion: what is chosen before anybody chooses.
    """

    def __init__(self, motion: MotionTransfer) -> None:
        self._motion = motion
        self._crops()
        self._choices()
        self.motion.change(
            self._offer,
            self.motion,
            [self.best_frame, self.adapt_scale],
            queue=False,
            show_progress="hidden",
            api_visibility="private",
        )

    def _crops(self) -> None:
        with gr.Accordion("Crop", open=False, elem_id="crops") as self.crops:
            gr.HTML(
                '<p class="hint">The networks see what is in the box: let it show the same part of '
                "both, a face or a whole figure. Drag it, or its corner.</p>"
            )
            with gr.Row():
                with gr.Column(min_width=200):
                    self.crop_source = crop_field("crop-source")
                with gr.Column(min_width=200):
                    self.crop_driving = crop_field("crop-driving")

    def _choices(self) -> None:
        with gr.Accordion("Choices", open=True):
            self.motion = gr.Radio(
                [
                    ("Keep the picture's pose, take over how the video changes", RELATIVE),
                    ("Take over the video's poses as they are", ABSOLUTE),
                ],
                value=RELATIVE if self._motion.relative else ABSOLUTE,
                label="Motion",
                info="The first suits most pictures; the second needs two figures of one build, "
                "in one place.",
            )
            with gr.Row(elem_classes="switches"):
                self.best_frame = gr.Checkbox(
                    label="Start from the best frame",
                    info="Looks for the frame whose pose is most like the picture's, and counts "
                    "changes from there.",
                )
                self.adapt_scale = gr.Checkbox(
                    value=self._motion.adapt_scale,
                    label="Adapt the scale",
                    info="Makes movements as large as the figure in the picture is, compared with "
                    "the video's.",
                )
                self.smooth = gr.Checkbox(
                    label="Smooth", info="Steadies movements that tremble; fast ones stay fast."
                )
                self.sound = gr.Checkbox(
                    value=True, label="Sound", info="Keeps the sound of the driving video."
                )
                self.paste_back = gr.Checkbox(
                    label="Paste back",
                    info="Shows the result in the whole picture, with a soft edge, not the box "
                    "alone.",
                )

    @property
    def chosen(self) -> list[Any]:
        """The components that `read` is given the values of."""
        crops = [self.crop_source, self.crop_driving]
        switches = [self.best_frame, self.adapt_scale, self.smooth, self.sound, self.paste_back]
        return [*crops, self.motion, *switches]

    def read(
        self,
        crop_source: object,
        crop_driving: object,
        motion: str,
        best_frame: bool,
        adapt_scale: bool,
        smooth: bool,
        sound: bool,
        paste_back: bool,
    ) -> Choices:
        """What the components say, in the order of `chosen`."""
        relative = motion == RELATIVE
        options = AnimationOptions(
            motion=self._motion._replace(relative=relative, adapt_scale=bool(adapt_scale)),
            best_frame="auto" if best_frame and relative else None,
            smooth=bool(smooth),
            sound=bool(sound),
            paste_back=bool(paste_back),
        )
        return Choices(options, read_crop(crop_source), read_crop(crop_driving))

    def _offer(self, motion: str) -> list[Any]:
        """Absolute motion starts from no frame and has no scale."""
        relative = motion == RELATIVE
        return [gr.update(interactive=relative), gr.update(interactive=relative)]
