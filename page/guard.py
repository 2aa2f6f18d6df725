"""What no request gets past: foreign host names, fetching from elsewhere, and a full disk."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address
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
_ENVELOPE = 64 * 1024  # bytes that a request may have around its file
_MESSAGE = 8 * MEGA  # bytes of a request without a file; the boxes that are drawn hold pictures
_BLOCK = 4096  # bytes of disk that even the smallest file takes

Refusal = tuple[int, str]
"""A status of HTTP, and a sentence"""


@dataclass(eq=False)
class Request:
    """A request with a body, on its way.

    Attributes:
        most: bytes that it may have.
        is_upload: whether its body is written to the disk.
        arrived: bytes of it that have come.
        refusal: set once it is cut off.
    """

    most: int
    is_upload: bool
    arrived: int = 0
    refusal: Refusal | None = None


class Guard:
    """An ASGI middleware.

    Args:
        app: what it stands before.
        folder: where uploads are put.
        limits: of them; together they may take 30 times as much as one.
        host: the address or name that the server listens on. On a loopback address it answers to
            loopback names alone: a name of elsewhere that points here lets foreign pages in.
        broken_off: raised where an upload is cut off; the app deletes what it has written of one on
            this exception alone.
    """

    def __init__(
        self,
        app: Any,
        *,
        folder: Path,
        limits: Limits,
        host: str,
        broken_off: Callable[[str], Exception],
    ) -> None:
        self._app = app
        self._broken_off = broken_off
        self._folder = folder
        self._limits = limits
        self._room = _UPLOADS_AT_ONCE * limits.megabytes * MEGA
        self._only_loopback = is_loopback(host) or _resolves_to_loopback(host)
        self._host = host.lower()
        self._held = 0  # bytes on the disk when they were last counted
        self._coming: set[Request] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await _answer(scope, send, refusal)
        elif scope["type"] == "http":
            await self._pass(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _refusal(self, scope: Any) -> Refusal | None:
        """Why a request is not let through, as far as its head tells."""
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if self._only_loopback and not (hosts and all(map(self._is_ours, hosts))):
            return 421, "This page answers to localhost and 127.0.0.1 only; open it by one of these"
        path = scope["path"]
        if "://" in path or "/proxy=" in path:
            return 403, "This page fetches nothing from elsewhere"
        return None

    def _is_ours(self, host: str) -> bool:
        name = _without_port(host)
        return is_loopback(name) or name == self._host

    async def _pass(self, scope: Any, receive: Any, send: Any) -> None:
        """Let a request through, and cut it off where it holds more than there is room for."""
        headers = dict(scope["headers"])
        is_upload = b"multipart/" in headers.get(b"content-type", b"").lower()
        most = self._limits.megabytes * MEGA + _ENVELOPE if is_upload else _MESSAGE
        request = Request(most, is_upload)
        announced = headers.get(b"content-length", b"")
        started = complete = False

        async def receive_counted() -> Any:
            nonlocal complete
            message = await receive()
            if message["type"] == "http.request":
                request.arrived += len(message.get("body", b""))
                request.refusal = self._excess(request, request.arrived)
                complete = not message.get("more_body", False)
            gone = message["type"] == "http.disconnect" and is_upload and not complete
            if request.refusal is not None or gone:
                raise self._broken_off("the upload is cut off")
            return message

        async def send_with_policy(message: Any) -> None:
            nonlocal started
            if request.refusal is not None and not started:
                return
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [
                    *message.get("headers", []),
                    (b"content-security-policy", _POLICY.encode()),
                    (b"referrer-policy", b"no-referrer"),
                ]
            await send(message)

        with self._counted(request):
            if announced.isdigit():
                request.refusal = self._excess(request, int(announced))
            if request.refusal is None:
                try:
                    await self._app(scope, receive_counted, send_with_policy)
                except Exception:
                    if request.refusal is None:
                        raise
        if request.refusal is not None and not started:
            await _read_out(receive, most)
            await _answer(scope, send, request.refusal)

    def _excess(self, request: Request, size: int) -> Refusal | None:
        """Why a request is too large, with so many bytes."""
        if size > request.most:
            megabytes = self._limits.megabytes if request.is_upload else _MESSAGE // MEGA
            return 413, f"More than {megabytes} MB; choose a smaller file"
        if request.is_upload and self._taken(request, size) > self._room:
            self._held = self._on_disk()
            if self._taken(request, size) > self._room:
                return 413, "The page holds too many files now; try again in some minutes"
        return None

    def _taken(self, request: Request, size: int) -> int:
        """Bytes that all uploads take once the request has come so far, or somewhat more."""
        others = sum(other.arrived for other in self._coming if other is not request)
        return self._held + others + size

    @contextmanager
    def _counted(self, request: Request) -> Iterator[None]:
        """A block in which what arrives of an upload counts; after it, what it left on the disk."""
        if not request.is_upload:
            yield
            return
        self._held = self._on_disk()
        self._coming.add(request)
        try:
            yield
        finally:
            self._coming.discard(request)
            self._held = self._on_disk()

    def _on_disk(self) -> int:
        return sum(max(facts.st_size, _BLOCK) for _, facts in files_below(self._folder))


def is_loopback(name: str) -> bool:
    """Tell whether a name or an address says this computer, without asking anybody."""
    name = name.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    with suppress(ValueError):
        address = ip_address(name)
        return (getattr(address, "ipv4_mapped", None) or address).is_loopback
    return False


def _resolves_to_loopback(name: str) -> bool:
    try:
        found = socket.getaddrinfo(name, None)
    except (OSError, UnicodeError):
        return False
    return all(is_loopback(str(address[0])) for *_, address in found)


def _without_port(host: str) -> str:
    """The name in a Host header: of `[::1]:80`, `::1`."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


async def _read_out(receive: Any, most: int) -> None:
    """Read what is left of a request, so that its sender hears the answer; not without end."""
    message = {"more_body": True}
    while most > 0 and message.get("more_body"):
        message = await receive()
        most -= len(message.get("body", b""))


async def _answer(scope: Any, send: Any, refusal: Refusal) -> None:
    status, sentence = refusal
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": f"{sentence}.".encode()})
