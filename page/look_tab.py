"""The tab that shows what the networks see: keypoints, motions, masks, occlusion, flow."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

import gradio as gr
import numpy as np

from engine.colouring import flow_picture, map_picture
from engine.drawing import spectrum
from engine.image import to_frame
from engine.strips import keypoints_picture
from page.choices import ChoicesPanel
from page.fields import complaint, data_url, note
from page.results import Seen
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
        self.status = gr.HTML(elem_id="look-status")
        self.seen = gr.HTML(elem_id="seen")
        shown = [self.slider, self.status, self.seen]
        tab.select(
            self._open,
            panel.chosen,
            shown,
            show_progress="full",
            show_progress_on=self.seen,
            concurrency_id="look",
            concurrency_limit=1,
            api_visibility="private",
        )
        self.slider.change(
            self._look,
            [self.slider, *panel.chosen],
            [self.status, self.seen],
            show_progress="hidden",
            trigger_mode="always_last",
            **STEP,
        )

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
            return [gr.update(visible=False), complaint(error), ""]
        last = len(film.numbers) - 1
        slider = gr.update(visible=last > 0, maximum=max(last, 1), value=last // 2)
        return [slider, *self._look(request, last // 2, *chosen)]

    def _look(self, request: gr.Request, index: int, *chosen: Any) -> list[Any]:
        """The status, and what is seen in a frame."""
        try:
            visit = self._visit(request)
            seen = self._studio.see(visit, self._panel.read(*chosen), int(index))
        except Exception as error:
            return [complaint(error), ""]
        return [note(f"Frame {seen.number} of the driving video."), seen_html(seen)]


def seen_html(seen: Seen) -> str:
    """All pictures of a frame, titled, in two groups."""
    groups = [
        ("The whole", _whole(seen)),
        ("What moves with what, and its share", _parts(seen)),
    ]
    return "".join(
        f'<h3>{escape(title)}</h3><div class="figures">{"".join(figures)}</div>'
        for title, figures in ((title, list(figures)) for title, figures in groups)
        if figures
    )


def _whole(seen: Seen) -> Iterator[str]:
    look = seen.look
    yield _figure("picture", keypoints_picture(seen.source, seen.source_keypoints))
    yield _figure("driving frame", keypoints_picture(seen.driving, seen.driving_keypoints))
    yield _figure("result", to_frame(look.prediction))
    if look.inspected.flow is not None:
        title = "flow: hue says where to, depth how far"
        yield _figure(title, flow_picture(look.inspected.flow[0]))
    if look.parts is not None:
        yield _figure("the picture moved by the flow", to_frame(look.parts.moved))
    if look.inspected.occlusion_map is not None:
        title = "occlusion: what is black is painted in"
        yield _figure(title, map_picture(look.inspected.occlusion_map[0]))


def _parts(seen: Seen) -> Iterator[str]:
    parts = seen.look.parts
    if parts is None:
        return
    colours = [np.full(3, 128), *spectrum(len(parts.masks) - 1)]
    for number, (mask, picture) in enumerate(zip(parts.masks, parts.pictures, strict=True)):
        name = f"keypoint {number}" if number else "background, at rest"
        colour = "rgb({},{},{})".format(*colours[number])
        yield _figure(f"{name}: {mask.mean():.0%}", to_frame(mask * picture), colour=colour)


def _figure(title: str, picture: np.ndarray, *, colour: str | None = None) -> str:
    style = f' class="part" style="border-color:{colour}"' if colour else ""
    return (
        f'<figure><img src="{data_url(picture)}" alt="{escape(title)}"{style}>'
        f"<figcaption>{escape(title)}</figcaption></figure>"
    )
