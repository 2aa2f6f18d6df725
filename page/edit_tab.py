"""The tab that edits: keypoints are dragged on the picture, and the picture follows."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import gradio as gr
import numpy as np

from engine.errors import UserError
from page.choices import ChoicesPanel
from page.fields import (
    complaint,
    points_field,
    points_value,
    read_crop,
    save_button,
    status_field,
)
from page.studio import Studio
from page.tab import STEP, Tab
from page.visits import Visits


class EditTab(Tab):
    """Its components, and what happens when they are used.

    Args:
        studio, visits: what does the work, and for whom.
        panel: what was chosen, the crop among it.
        tab: this one.
    """

    def __init__(self, studio: Studio, visits: Visits, *, panel: ChoicesPanel, tab: gr.Tab) -> None:
        super().__init__(studio, visits)
        gr.HTML(
            '<p class="hint">Drag a keypoint, and the picture of the first tab follows. Each moves '
            "what the networks have learned to move with it.</p>"
        )
        self.status = status_field("edit-status")
        self.points = points_field("edit")
        with gr.Row(elem_classes="below-points"):
            self.back = gr.Button("Put them back", elem_id="back", visible=False)
            self.save = save_button("Save the picture", "save-edited")
        shown = [self.points, self.back, self.save, self.status]
        opened = [
            event(self._open, panel.crop_source, shown, **STEP)
            for event in (tab.select, self.back.click)
        ]
        moved = self.points.input(
            self._move,
            [self.points, panel.crop_source],
            [self.points, self.save, self.status],
            show_progress="hidden",
            trigger_mode="multiple",
            **STEP,
        )
        self._tell_of_a_full_line(*opened, moved)

    def _open(self, crop: object, request: gr.Request) -> list[Any]:
        """The picture with its keypoints where they were found."""
        try:
            visit = self._visit(request)
            frame, points = self._studio.handles(visit, read_crop(crop))
            file = self._studio.save_picture(visit, "edited", frame)
        except Exception as error:
            return [None, gr.update(visible=False), gr.update(visible=False), complaint(error)]
        value = points_value(frame, points) | {"opened": secrets.token_hex(8)}
        return [value, gr.update(visible=True), gr.update(value=file, visible=True), ""]

    def _move(self, value: object, crop: object, request: gr.Request) -> list[Any]:
        """The picture as keypoints that were dragged move it."""
        try:
            if not isinstance(value, Mapping) or "points" not in value:
                raise UserError("no keypoints; load the page again")
            visit = self._visit(request)
            frame = self._studio.move(visit, read_crop(crop), value["points"])
            file = self._studio.save_picture(visit, "edited", frame)
        except Exception as error:
            return [gr.skip(), gr.skip(), complaint(error)]
        answer = {"opened": value.get("opened"), "answered": value.get("sent")}
        shown = points_value(frame, np.array(value["points"])) | answer
        return [shown, gr.update(value=file), ""]
