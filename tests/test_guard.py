"""What no request gets past, whatever the framework would do with it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from page import guard
from page.guard import Guard
from page.limits import MEGA, Limits


async def page(scope: Any, receive: Any, send: Any) -> None:
    """What stands behind the guard."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"let in"})


def answer(folder: Path, path: str, method: str = "GET") -> tuple[int, dict[bytes, bytes], bytes]:
    """Status, headers and body."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "path": path, "method": method}
    asyncio.run(Guard(page, folder=folder, limits=Limits(megabytes=1))(scope, None, send))
    start, body = sent
    return start["status"], dict(start["headers"]), body["body"]


@pytest.mark.parametrize(
    "path", ["/gradio_api/file=https://example.com/x", "/gradio_api/proxy=anything"]
)
def test_nothing_is_fetched_from_elsewhere(tmp_path: Path, path: str) -> None:
    status, _, body = answer(tmp_path, path)
    assert status == 403 and b"fetches nothing" in body


def test_the_page_may_load_nothing_from_elsewhere(tmp_path: Path) -> None:
    status, headers, body = answer(tmp_path, "/")
    assert status == 200 and body == b"let in"
    policy = headers[b"content-security-policy"].decode()
    assert "default-src 'self'" in policy and "http" not in policy and "*" not in policy


def test_uploads_end_where_the_disk_would_fill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "_UPLOADS_AT_ONCE", 2)
    (tmp_path / "there").write_bytes(bytes(MEGA))
    assert answer(tmp_path, "/gradio_api/upload", "POST")[0] == 200
    (tmp_path / "more").write_bytes(b"!")
    status, _, body = answer(tmp_path, "/gradio_api/upload", "POST")
    assert status == 413 and b"try again" in body
    assert answer(tmp_path, "/gradio_api/queue/join", "POST")[0] == 200
