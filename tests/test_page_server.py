"""The page's server as others reach it: real requests to the running command."""

from __future__ import annotations

import http.client
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from page_server import Server

pytest.importorskip("gradio", reason="the page needs gradio: make test-app")
pytestmark = pytest.mark.browser

MEGABYTES = 1
MOST = 30 * MEGABYTES * 10**6  # bytes of all uploads together


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server(tmp_path_factory.mktemp("server"), megabytes=MEGABYTES)
    yield started
    started.process.kill()
    started.process.communicate()


def ask(server: Server, path: str = "/", *, host: str | None = None) -> tuple[int, str]:
    """Status and text of the answer to a request by a name."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", path, headers={} if host is None else {"Host": host})
    answer = connection.getresponse()
    found = answer.status, answer.read().decode()
    connection.close()
    return found


def upload(server: Server, *sizes: int, chunked: bool = False) -> tuple[int, str]:
    """Status and text of the answer to one request with files of these sizes."""
    head = '--x\r\nContent-Disposition: form-data; name="files"; filename="{}.png"\r\n\r\n'
    parts = (
        head.format(number).encode() + bytes([number % 256]) * size + b"\r\n"
        for number, size in enumerate(sizes)
    )
    body = [*parts, b"--x--\r\n"]
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    if not chunked:
        headers["Content-Length"] = str(sum(map(len, body)))
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    # Where not all of it is read, the answer may be there all the same.
    with suppress(BrokenPipeError, ConnectionResetError):
        connection.request(
            "POST", "/gradio_api/upload", iter(body), headers, encode_chunked=chunked
        )
    try:
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except (ConnectionError, http.client.HTTPException):
        return 0, "cut off"
    finally:
        connection.close()


def on_disk(server: Server) -> int:
    return sum(path.stat().st_size for path in server.folder.rglob("*") if path.is_file())


def test_it_answers_to_loopback_names_alone(server: Server) -> None:
    port = server.port
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}", "localhost"):
        assert ask(server, host=host)[0] == 200, host
    for host in (f"evil.example:{port}", "evil.example", f"127.0.0.1.evil.example:{port}", ""):
        for path in ("/", "/config", "/gradio_api/info"):
            status, text = ask(server, path, host=host)
            assert status == 421 and "answers to localhost" in text, (host, path)


def test_a_file_within_the_limit_is_taken_and_a_larger_one_is_not(server: Server) -> None:
    assert upload(server, 900_000)[0] == 200
    status, text = upload(server, 1_200_000)
    assert status == 413 and "More than 1 MB" in text


@pytest.mark.parametrize("chunked", [False, True])
def test_many_small_files_in_one_request_are_counted_together(
    server: Server, chunked: bool
) -> None:
    before = on_disk(server)
    status, _ = upload(server, *[900_000] * 200, chunked=chunked)
    assert status in (413, 0)
    assert on_disk(server) <= before + 1_100_000
    assert ask(server)[0] == 200


def test_all_uploads_together_have_a_bound(server: Server) -> None:
    statuses = [upload(server, 900_000 + number)[0] for number in range(40)]
    assert statuses[0] == 200 and statuses[-1] == 413
    assert on_disk(server) <= MOST
    assert ask(server)[0] == 200


def test_what_a_killed_server_held_is_swept_when_the_next_one_starts(tmp_path: Path) -> None:
    killed = Server(tmp_path, megabytes=MEGABYTES)
    assert upload(killed, 900_000)[0] == 200
    killed.process.send_signal(signal.SIGKILL)
    killed.process.communicate()
    assert on_disk(killed) >= 900_000
    started = Server(tmp_path, megabytes=MEGABYTES)
    try:
        assert ask(started)[0] == 200
        assert on_disk(started) < 100_000
        assert len(list(tmp_path.iterdir())) == 1
    finally:
        started.process.send_signal(signal.SIGTERM)
        started.process.communicate()
    assert not list(tmp_path.iterdir())
