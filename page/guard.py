"""What no request gets past: gradio's ways to fetch from elsewhere, and a full disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from page.limits import MEGA, Limits
from page.visits import files_below

# The page loads nothing from elsewhere, and a browser holds it to that.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "frame-ancestors 'none'; base-uri 'self'"
)
_UPLOADS_AT_ONCE = 30  # files of the largest size that may lie there


class Guard:
    """An ASGI middleware.

    Args:
        app: what it stands before.
        folder: where uploads are put.
        limits: of them; together they may take 30 times as much as one.
    """

    def __init__(self, app: Any, *, folder: Path, limits: Limits) -> None:
        self._app = app
        self._folder = folder
        self._room = _UPLOADS_AT_ONCE * limits.megabytes * MEGA
        self._most = limits.megabytes * MEGA

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await _answer(send, *refusal)
            return

        async def send_with_policy(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message.get("headers", []),
                    (b"content-security-policy", _POLICY.encode()),
                    (b"referrer-policy", b"no-referrer"),
                ]
            await send(message)

        await self._app(scope, receive, send_with_policy)

    def _refusal(self, scope: Any) -> tuple[int, str] | None:
        """Status and sentence for a request that is not let through."""
        path = scope["path"]
        if "://" in path or "/proxy=" in path:
            return 403, "This page fetches nothing from elsewhere."
        if path.rstrip("/").endswith("/upload") and scope["method"] == "POST":
            taken = sum(facts.st_size for _, facts in files_below(self._folder))
            if taken + self._most > self._room:
                return 413, "The page holds too many files now; try again in some minutes."
        return None


async def _answer(send: Any, status: int, sentence: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": sentence.encode()})
