"""What no request gets past, whatever the framework would do with it."""

import asyncio
import secrets
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from page import guard
from page.guard import Guard
from page.limits import MEGA, Limits

HEADERS = {"host": "127.0.0.1:7860"}
UPLOAD = {"content-type": "multipart/form-data; boundary=x"}


class CutOff(Exception):  # noqa: N818 - what the page's own framework raises is named so, too.
    pass


class Answer(NamedTuple):
    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Page:
    """What stands behind the guard: it writes what it is sent into a file, as it comes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.written = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = self.folder / f"upload-{secrets.token_hex(4)}"
        try:
            with path.open("wb", buffering=0) as file:
                more = True
                while more:
                    message = await receive()
                    self.written += file.write(message.get("body", b""))
                    more = message.get("more_body", False)
        except CutOff:
            path.unlink()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"let in"})


def make_guard(folder: Path, host: str = "127.0.0.1") -> Guard:
    limits = Limits(megabytes=1)
    return Guard(Page(folder), folder=folder, limits=limits, host=host, broken_off=CutOff)


async def send_request(
    guard: Guard, path: str = "/", headers: Mapping[str, str] = HEADERS, parts: Iterable[bytes] = ()
) -> Answer:
    """The answer to a request whose body comes in parts."""
    sent: list[Any] = []
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages.append({"type": "http.request", "body": b"", "more_body": False})
    waiting = iter(messages)

    async def receive() -> Any:
        await asyncio.sleep(0)  # so that others, too, are heard
        return next(waiting, {"type": "http.disconnect"})

    async def send(message: Any) -> None:
        sent.append(message)

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "path": path, "method": "POST", "headers": raw}
    await guard(scope, receive, send)
    start, body = sent
    return Answer(start["status"], dict(start["headers"]), body["body"])


def answer(folder: Path, path: str) -> Answer:
    return asyncio.run(send_request(make_guard(folder), path))


def upload(guard: Guard, *parts: bytes, announced: int | None = None) -> Answer:
    headers = {**HEADERS, **UPLOAD}
    if announced is not None:
        headers["content-length"] = str(announced)
    return asyncio.run(send_request(guard, "/gradio_api/upload", headers, parts))


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


# ----- how much comes in


def test_a_request_ends_where_it_holds_more_than_one_file_may(tmp_path: Path) -> None:
    guard = make_guard(tmp_path)
    assert upload(guard, bytes(MEGA)).status == 200
    page = guard._app
    page.written = 0
    found = upload(guard, *[bytes(MEGA // 10)] * 200)
    assert found.status == 413 and b"More than 1 MB" in found.body
    assert page.written <= 1.1 * MEGA
    assert len(list(tmp_path.iterdir())) == 1, "what was written of it is still there"


def test_what_is_announced_as_too_large_is_not_read(tmp_path: Path) -> None:
    guard = make_guard(tmp_path)
    assert upload(guard, bytes(10), announced=2 * MEGA).status == 413
    assert guard._app.written == 0


def test_a_request_without_a_file_has_a_bound_too(tmp_path: Path) -> None:
    parts = [bytes(MEGA)] * 9
    found = asyncio.run(send_request(make_guard(tmp_path), "/run", HEADERS, parts))
    assert found.status == 413 and b"More than 8 MB" in found.body


def test_uploads_end_where_the_disk_would_fill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "_UPLOADS_AT_ONCE", 2)
    (tmp_path / "there").write_bytes(bytes(MEGA))
    at_the_door = make_guard(tmp_path)
    assert upload(at_the_door, bytes(MEGA // 2)).status == 200
    found = upload(at_the_door, *[bytes(MEGA // 10)] * 8)
    assert found.status == 413 and b"try again" in found.body
    assert asyncio.run(send_request(at_the_door, "/gradio_api/queue/join")).status == 200
    (tmp_path / "there").unlink()
    assert upload(at_the_door, bytes(MEGA // 2)).status == 200


def test_uploads_that_come_at_one_time_are_counted_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "_UPLOADS_AT_ONCE", 4)
    at_the_door = make_guard(tmp_path)

    async def send_all() -> list[Answer]:
        headers = {**HEADERS, **UPLOAD}
        parts = [bytes(MEGA // 20)] * 19
        return await asyncio.gather(
            *(send_request(at_the_door, "/upload", headers, parts) for _ in range(20))
        )

    statuses = [found.status for found in asyncio.run(send_all())]
    assert {200, 413} == set(statuses)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 4 * MEGA


def test_even_an_empty_file_takes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_UPLOADS_AT_ONCE", 1)
    for number in range(300):
        (tmp_path / str(number)).touch()
    assert upload(make_guard(tmp_path), b"!").status == 413


def test_an_upload_whose_sender_is_gone_leaves_nothing(tmp_path: Path) -> None:
    at_the_door = make_guard(tmp_path)
    sent: list[Any] = []

    async def receive() -> Any:
        if sent:
            return {"type": "http.disconnect"}
        sent.append(None)
        return {"type": "http.request", "body": bytes(1000), "more_body": True}

    async def send(message: Any) -> None:
        pass

    headers = [(b"host", b"localhost"), (b"content-type", b"multipart/form-data; boundary=x")]
    scope = {"type": "http", "path": "/upload", "method": "POST", "headers": headers}
    asyncio.run(at_the_door(scope, receive, send))
    assert at_the_door._app.written == 1000 and not list(tmp_path.iterdir())


# ----- by which name it is asked


def status(folder: Path, host: str, header: str) -> int:
    return asyncio.run(send_request(make_guard(folder, host), headers={"host": header})).status


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.2"])
def test_on_loopback_it_answers_to_loopback_names_alone(tmp_path: Path, host: str) -> None:
    ours = ["127.0.0.1", "127.0.0.1:7860", "localhost:80", "LOCALHOST", "[::1]:7860", "a.localhost"]
    for header in ours:
        assert status(tmp_path, host, header) == 200, header
    foreign = ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", "10.0.0.1", "0.0.0.0"]
    for header in [*foreign, "localhost.evil.example:7860", "[::2]", "", ":7860", "notlocalhost"]:
        assert status(tmp_path, host, header) == 421, header


def test_on_loopback_a_request_without_a_name_is_not_answered(tmp_path: Path) -> None:
    assert asyncio.run(send_request(make_guard(tmp_path), headers={})).status == 421


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "::"])
def test_where_others_are_let_in_they_may_use_any_name(tmp_path: Path, host: str) -> None:
    assert status(tmp_path, host, "studio.example:7860") == 200


def test_a_name_of_this_computer_that_was_given_is_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *rest: [(0, 0, 0, "", ("127.0.1.1", 0))])
    assert status(tmp_path, "mybox", "mybox:7860") == 200
    assert status(tmp_path, "mybox", "evil.example") == 421
