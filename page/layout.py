"""The page as a whole, and the server that it runs on."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.formparsers import MultiPartException
from starlette.middleware import Middleware

from engine.description import Description
from engine.errors import UserError
from modules.keypoints import MotionTransfer
from page.animate_tab import AnimateTab
from page.edit_tab import EditTab
from page.guard import Guard
from page.limits import MEGA, Limits
from page.look_tab import LookTab
from page.studio import Studio
from page.uploads import SUFFIXES
from page.visits import Visits

TITLE = "One still picture, one driving video: the picture moves"
_HERE = Path(__file__).parent


def build(
    studio: Studio,
    visits: Visits,
    *,
    motion: MotionTransfer,
    pictures: Sequence[Path],
    videos: Sequence[Path],
) -> gr.Blocks:
    """Lay out the page.

    Args:
        studio, visits: what does the work, and for whom.
        motion: what is chosen before anybody chooses.
        pictures, videos: examples to choose from.
    """
    gr.set_static_paths([*pictures, *videos])
    with gr.Blocks(title="First Order Motion Model", analytics_enabled=False) as page:
        gr.HTML(f'<header><h1>First Order Motion Model</h1><p class="lead">{TITLE}.</p></header>')
        if studio.animator.description is not None:
            gr.HTML(networks_html(studio.animator.description))
        with gr.Tab("Animate"):
            animate = AnimateTab(studio, visits, motion=motion, pictures=pictures, videos=videos)
        with gr.Tab("Look inside") as tab:
            LookTab(studio, visits, panel=animate.panel, tab=tab)
        with gr.Tab("Edit") as tab:
            EditTab(studio, visits, panel=animate.panel, tab=tab)
        gr.HTML(f'<p class="hint limits">{studio.limits.sentence()}</p>')

        def leave(request: gr.Request) -> None:
            visits.close(request.session_hash)

        page.unload(leave)
    return page.queue(max_size=studio.limits.waiting, api_open=False)


def networks_html(description: Description) -> str:
    """What the networks are, and what others to take where these will not do."""
    html = f"Networks: {escape(str(description))}"
    if description.advice is not None:
        html += f"; <strong>{escape(description.advice)}</strong>"
    return f'<p class="networks">{html}.</p>'


def serve(page: gr.Blocks, *, host: str, port: int, limits: Limits, folder: Path) -> str:
    """Start the server, in threads of its own, and return its address.

    Raises:
        UserError: the port is taken, or the host is none of this machine.
    """
    logging.getLogger("httpx").setLevel(logging.WARNING)
    settings: dict[str, Any] = {
        "quiet": True,
        "prevent_thread_lock": True,
        "share": False,
        "ssr_mode": False,
        "footer_links": [],
        "run_history": False,
        "enable_monitoring": False,
        "pwa": False,
        "mcp_server": False,
    }
    guard = Middleware(
        Guard, folder=folder, limits=limits, host=host, broken_off=MultiPartException
    )
    try:
        _, address, _ = page.launch(
            server_name=host,
            server_port=port,
            max_file_size=limits.megabytes * MEGA,
            theme=theme(),
            css_paths=[_HERE / "page.css"],
            js=_script(limits),
            app_kwargs={"middleware": [guard]},
            **settings,
        )
    except OSError as error:
        raise UserError(
            f"--port {port}: cannot be used on {host}; another program may listen there, "
            "choose another one"
        ) from error
    return address


def _script(limits: Limits) -> str:
    """What runs in the browser once the page is there."""
    endings = {"picture": SUFFIXES["picture"], "driving": SUFFIXES["video"]}
    offered = {"bytes": limits.megabytes * MEGA, "endings": endings}
    return f"() => {{\nconst offered = {json.dumps(offered)};\n{(_HERE / 'page.js').read_text()}}}"


def theme() -> gr.themes.Base:
    """Colours and the fonts that are there: none is fetched."""
    return gr.themes.Soft(
        primary_hue="indigo",
        neutral_hue="slate",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ).set(
        background_fill_primary="*neutral_50",  # Soft's own, which set would forget.
        body_text_color_subdued="*neutral_500",
        block_info_text_color="*neutral_500",
    )
