"""What all tabs of the page have in common."""

from __future__ import annotations

from typing import Any

import gradio as gr

from engine.errors import UserError
from page.fields import complaint
from page.limits import counted
from page.studio import Studio
from page.visits import Visit, Visits

# For what takes less than a second, the line of its own that it waits in.
STEP = {"concurrency_id": "step", "concurrency_limit": 2, "api_visibility": "private"}


class Tab:
    """What does the work, and for whom.

    Attributes:
        status: where a person is told something; each tab has one.

    Args:
        studio: does it.
        visits: of everybody.
    """

    status: gr.HTML

    def __init__(self, studio: Studio, visits: Visits) -> None:
        self._studio = studio
        self._visits = visits

    def _tell_of_a_full_line(self, *events: Any) -> None:
        """Say in the status that no more may wait, where events find that."""
        for event in events:
            event.failure(
                self._line_is_full, None, self.status, queue=False, api_visibility="private"
            )

    def _line_is_full(self) -> str:
        waiting = counted(self._studio.limits.waiting, "request")
        return complaint(UserError(f"{waiting} wait already; try again in a minute"))

    def _visit(self, request: gr.Request) -> Visit:
        """Of whoever asks.

        Raises:
            UserError: that is no page.
        """
        return self._visits.of(request.session_hash, address=request.client.host)
