"""Components of the page: uploads, a crop to be drawn, points to be dragged, sentences."""

from __future__ import annotations

import base64
import io
import logging
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from engine.drawing import spectrum
from engine.errors import UserError
from engine.framing import Box
from page.results import Preview

_HERE = Path(__file__).parent
_JPEG_QUALITY = 92

_log = logging.getLogger(__name__)


def picture_field(label: str) -> gr.Image:
    """A picture, dropped or chosen; its value is the path of the upload."""
    field = gr.Image(
        label=label,
        type="filepath",
        sources=["upload"],
        height=300,
        elem_id="picture",
        buttons=[],
    )
    return _only_uploads(field)


def video_field(label: str) -> gr.Video:
    """A video, dropped or chosen; its value is the path of the upload."""
    field = gr.Video(label=label, sources=["upload"], height=300, elem_id="driving", buttons=[])
    return _only_uploads(field)


def gif_button(label: str) -> gr.UploadButton:
    """A button for what the field for videos does not let through; as its value."""
    return _only_uploads(
        gr.UploadButton(label, file_types=[".gif"], file_count="single", size="sm", elem_id="gif")
    )


def _only_uploads(field: Any) -> Any:
    """Let a field for files give the path of an upload as it is, and take no address.

    Gradio itself would decode pictures, and would fetch what a request names by its address. (Its
    own way to change a component, a class of it, writes files beside the source.)
    """
    copy = field.async_move_resource_to_block_cache

    async def keep(path: object) -> str | None:
        if "://" in str(path):
            raise gr.Error("Only files are taken, no addresses.", print_exception=False)
        return await copy(path)

    field.preprocess = lambda upload: Path(upload.path) if upload and upload.path else None
    field.async_move_resource_to_block_cache = keep
    return field


def refused_files() -> gr.HTML:
    """What page.js did not let through, {role, name, size}; nothing of it is seen."""
    return gr.HTML(
        value=None,
        html_template="",
        js_on_load=(_HERE / "refused.js").read_text(),
        elem_id="refused",
        elem_classes="unseen",
    )


# ----- drawn by page/*.js


def crop_field(elem_id: str) -> gr.HTML:
    """A picture on which a box is drawn; its value as crop_value's."""
    return gr.HTML(
        value=None,
        html_template="",
        js_on_load=_script("crop.js"),
        elem_id=elem_id,
        elem_classes="crop",
    )


def crop_value(preview: Preview) -> dict[str, object]:
    """What crop.js draws: a picture, the size (H, W) of what it shows, and the box in pixels."""
    return {
        "image": data_url(preview.frame),
        "width": preview.size[1],
        "height": preview.size[0],
        "box": list(preview.box),
    }


def read_crop(value: object) -> Box | None:
    """The box that was drawn; None where nothing was.

    Raises:
        UserError: it is none.
    """
    if not value:
        return None
    try:
        return Box(*(round(float(side)) for side in value["box"]))  # type: ignore[index]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError("the crop is no box; choose the picture again") from error


def points_field(elem_id: str) -> gr.HTML:
    """A picture with points that can be dragged; its value as points_value's."""
    return gr.HTML(
        value=None,
        html_template="",
        js_on_load=_script("points.js"),
        elem_id=elem_id,
        elem_classes="points",
    )


def points_value(frame: np.ndarray, points: np.ndarray) -> dict[str, object]:
    """What points.js draws: a picture, points (K, 2) in [-1, 1], a colour for each."""
    colours = [f"rgb({red},{green},{blue})" for red, green, blue in spectrum(len(points))]
    return {
        "image": data_url(frame),
        "width": frame.shape[1],
        "height": frame.shape[0],
        "points": points.round(4).tolist(),
        "colours": colours,
    }


def _script(name: str) -> str:
    """What draws a component, after what all of those have in common."""
    return "".join((_HERE / part).read_text() for part in ("pointer.js", name))


def data_url(frame: np.ndarray) -> str:
    """A picture, uint8 (H, W, 3), as text that a page shows."""
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def save_button(label: str, elem_id: str) -> gr.DownloadButton:
    """A button that saves what a tab shows, unseen until it shows something."""
    return gr.DownloadButton(label, elem_id=elem_id, elem_classes="save", visible=False)


# ----- sentences


def status_field(elem_id: str) -> gr.HTML:
    """Where a note or a complaint is shown; a complaint is brought into sight."""
    return gr.HTML(elem_id=elem_id, js_on_load=(_HERE / "status.js").read_text())


def note(sentence: str) -> str:
    """Something that a person may like to know."""
    return f'<p class="note" role="status">{escape(sentence)}</p>' if sentence else ""


def complaint(error: Exception) -> str:
    """Something that a person has to know. What was no mistake of theirs goes into the log."""
    if not isinstance(error, UserError):
        _log.error("the page: unexpected", exc_info=error)
        error = UserError("something went wrong on this computer; see its log")
    sentence = str(error)
    if ":" not in sentence.split(" ")[0]:  # names of files stay as they are
        sentence = sentence[:1].upper() + sentence[1:]
    return f'<p class="complaint" role="alert">{escape(sentence)}.</p>'
