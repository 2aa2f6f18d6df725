"""What all tabs of the page have in common."""

from __future__ import annotations

import gradio as gr

from page.studio import Studio
from page.visits import Visit, Visits

# For what takes less than a second, the line of its own that it waits in.
STEP = {"concurrency_id": "step", "concurrency_limit": 2, "api_visibility": "private"}


class Tab:
    """What does the work, and for whom.

    Args:
        studio: does it.
        visits: of everybody.
    """

    def __init__(self, studio: Studio, visits: Visits) -> None:
        self._studio = studio
        self._visits = visits

    def _visit(self, request: gr.Request) -> Visit:
        """Of whoever asks.

        Raises:
            UserError: that is no page.
        """
        return self._visits.of(request.session_hash, address=request.client.host)
