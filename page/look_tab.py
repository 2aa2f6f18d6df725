"""The tab that shows what the networks see: keypoints, motions, masks, occlusion, flow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from engine.colouring import flow_picture, map_picture
from engine.image import to_frame
from engine.strips import keypoints_picture
from page.choices import ChoicesPanel
from page.fields import complaint, note, save_button, status_field
from page.results import Seen
from page.sheet import Figure, Group, draw_sheet, groups_html, part_colours
from page.studio import Studio
from page.tab import STEP, Tab
from page.visits import Visits


class LookTab(Tab):
    """Its components, and what happens when they are used.

    Args:
        studio, visits: what does the work, and for whom.
        panel: what was chosen for the animation that is looked into.
        tab: this one.
    """

    def __init__(self, studio: Studio, visits: Visits, *, panel: ChoicesPanel, tab: gr.Tab) -> None:
        super().__init__(studio, visits)
        self._panel = panel
        gr.HTML(
            '<p class="hint">Frame by frame, how the picture of the first tab is moved by its '
            "video: where the keypoints are, what moves with each of them, which pixel comes from "
            "where, and what has to be painted in because the picture does not show it.</p>"
        )
        self.slider = gr.Slider(
            0, 1, value=0, step=1, label="Frame", visible=False, elem_id="frame"
        )
        self.status = status_field("look-status")
        self.seen = gr.HTML(elem_id="seen")
        self.save = save_button("Save these pictures", "save-seen")
        shown = [self.slider, self.status, self.seen, self.save]
        opened = tab.select(
            self._open,
            panel.chosen,
            shown,
            show_progress="full",
            show_progress_on=self.seen,
            concurrency_id="look",
            concurrency_limit=1,
            api_visibility="private",
        )
        changed = self.slider.change(
            self._look,
            [self.slider, *panel.chosen],
            [self.status, self.seen, self.save],
            show_progress="hidden",
            trigger_mode="always_last",
            **STEP,
        )
        self._tell_of_a_full_line(opened, changed)

    def _open(
        self,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - how gradio is told to show one.
        *chosen: Any,
    ) -> list[Any]:
        """The slider, the status, and what is seen in the middle of the video."""

        def show(stage: str, done: int, total: int) -> None:
            progress((done, total), desc="Reading the video", unit="frames")

        try:
            visit = self._visit(request)
            film = self._studio.film(visit, self._panel.read(*chosen), show)
        except Exception as error:
            return [gr.update(visible=False), *self._nothing(error)]
        last = len(film.numbers) - 1
        slider = gr.update(visible=last > 0, maximum=max(last, 1), value=last // 2)
        return [slider, *self._look(request, last // 2, *chosen)]

    def _look(self, request: gr.Request, index: int, *chosen: Any) -> list[Any]:
        """The status, what is seen in a frame, and the file of it."""
        try:
            visit = self._visit(request)
            seen = self._studio.see(visit, self._panel.read(*chosen), int(index))
            groups = seen_figures(seen)
            file = self._studio.save_picture(visit, "seen", draw_sheet(groups))
        except Exception as error:
            return self._nothing(error)
        said = note(f"Frame {seen.number} of the driving video.")
        return [said, groups_html(groups), gr.update(value=file, visible=True)]

    @staticmethod
    def _nothing(error: Exception) -> list[Any]:
        """What is shown in place of a frame."""
        return [complaint(error), "", gr.update(visible=False)]


def seen_figures(seen: Seen) -> list[Group]:
    """All pictures of a frame, titled, in two groups."""
    return [
        Group("The whole", list(_whole(seen))),
        Group("What moves with what, and its share", list(_parts(seen))),
    ]


def _whole(seen: Seen) -> Iterator[Figure]:
    look = seen.look
    yield Figure("picture", keypoints_picture(seen.source, seen.source_keypoints))
    yield Figure("driving frame", keypoints_picture(seen.driving, seen.driving_keypoints))
    yield Figure("result", to_frame(look.prediction))
    if look.inspected.flow is not None:
        title = "flow: hue says where to, depth how far"
        yield Figure(title, flow_picture(look.inspected.flow[0]))
    if look.parts is not None:
        yield Figure("the picture moved by the flow", to_frame(look.parts.moved))
    if look.inspected.occlusion_map is not None:
        title = "occlusion: what is black is painted in"
        yield Figure(title, map_picture(look.inspected.occlusion_map[0]))


def _parts(seen: Seen) -> Iterator[Figure]:
    parts = seen.look.parts
    if parts is None:
        return
    colours = part_colours(len(parts.masks))
    for number, (mask, picture) in enumerate(zip(parts.masks, parts.pictures, strict=True)):
        name = f"keypoint {number}" if number else "background, at rest"
        title = f"{name}: {mask.mean():.0%}"
        yield Figure(title, to_frame(mask * picture), colours[number])
