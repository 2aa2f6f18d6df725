"""The page in a real browser, as a person uses it. Run: make test-app.

Screenshots go into the folder that the environment variable SCREENSHOTS names, if it does.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import clips
import hostile
import pytest
from commands import ROOT, frames_of_a_square

pytest.importorskip("gradio", reason="the page needs gradio: make test-app")
playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: make test-app")
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="needs chromium or google-chrome on the path"),
]

DEMO = ROOT / "demo"
SECONDS = 120  # for what takes some on an idle machine
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
FILES = {field: f"#{field} input[type=file]" for field in ("picture", "driving")}
FILES["gif"] = "input[type=file][accept*=gif]"
# What was checked is shown from the folder of the visit.
TAKEN = {"picture": "#picture img[src*=visits]", "driving": "#driving video[src*=visits]"}
TOAST = "[data-testid=toast-body]"
LIMITS = {"megabytes": 3, "seconds": 20, "running": 2, "waiting": 3}


class Server:
    """The command, running."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder = folder
        limits = [part for name, limit in LIMITS.items() for part in (f"--max_{name}", str(limit))]
        command = [sys.executable, str(ROOT / "app.py"), "--port", str(self.port), *limits]
        self.process = subprocess.Popen(
            [*command, "--device", "cpu"],
            env={**os.environ, "TMPDIR": str(folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().split(": ")[0]

    def files(self, pattern: str = "*") -> list[Path]:
        """What people have brought, and what was made of it."""
        found = self.folder.glob("first-order-page-*/uploads/visits/*/*")
        return [path for path in found if path.match(pattern)]

    def peak_memory(self) -> int:
        """In MiB, since it started."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) // 1024

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.stderr is not None
        assert self.process.wait(SECONDS) == 0, self.process.stderr.read()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server(tmp_path_factory.mktemp("server"))
    try:
        yield started
        started.stop()
        assert not list(started.folder.iterdir()), "what people brought is still there"
    finally:
        started.process.kill()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as run:
        opened = run.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Any, server: Server) -> Iterator[Callable[..., Any]]:
    """Opens the page, once for each call, and sees that it asks nobody else for anything."""
    pages: list[Any] = []
    elsewhere: list[str] = []
    broken: list[str] = []

    def open_page(*, width: int = 1280, height: int = 900) -> Any:
        page = browser.new_context(viewport={"width": width, "height": height}).new_page()
        pages.append(page)
        page.set_default_timeout(1000 * SECONDS)
        page.on("request", lambda request: elsewhere.append(request.url))
        page.on("pageerror", lambda error: broken.append(str(error)))
        page.goto(server.address)
        page.wait_for_selector("#go")
        return page

    yield open_page
    for page in pages:
        page.context.close()
    ours = (server.address, "data:", "blob:")
    assert [url for url in elsewhere if not url.startswith(ours)] == []
    assert broken == []


def shot(page: Any, name: str) -> None:
    if "SCREENSHOTS" in os.environ:
        page.screenshot(path=str(Path(os.environ["SCREENSHOTS"]) / f"{name}.png"), full_page=True)


def bring(page: Any, picture: Path | None = None, driving: Path | None = None) -> None:
    """Upload files, and wait until they were taken."""
    for field, path in (("picture", picture), ("driving", driving)):
        if path is not None:
            clear(page, field)
    if picture is not None:
        page.set_input_files("#picture input[type=file]", str(picture))
        page.wait_for_selector(TAKEN["picture"])
    if driving is not None:
        page.set_input_files("#driving input[type=file]", str(driving))
        page.wait_for_selector(TAKEN["driving"])


def clear(page: Any, field: str) -> None:
    """Take out what was brought before: only an empty field takes a file."""
    button = page.locator(f"#{field}").get_by_role("button", name="Clear")
    if button.count():
        button.click()
    page.wait_for_selector(f"#{field} input[type=file]", state="attached")


def complaint(page: Any) -> str:
    return page.locator("[role=alert].complaint:visible").first.inner_text()


def wait_until(condition: Callable[[], bool], seconds: float = SECONDS) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)


def is_playing(page: Any) -> bool:
    return page.evaluate("document.querySelector('#result video')?.currentTime > 0.3")


def short_clip(path: Path, *, count: int = 8, size: int = 64) -> Path:
    return clips.write(path, frames_of_a_square(1, count=count, size=size))


# ----- animating


def test_a_picture_and_a_video_are_brought_animated_played_and_downloaded(
    visit: Callable[..., Any], server: Server, tmp_path: Path
) -> None:
    page = visit()
    shot(page, "empty")
    bring(page, DEMO / "source.png", DEMO / "driving.mp4")
    page.click("#go")
    page.wait_for_selector("#result .progress-level, #result .progress-text")
    shot(page, "running")
    page.wait_for_selector("#result video")
    wait_until(lambda: is_playing(page))
    assert "100 frames" in page.inner_text("#status")
    shot(page, "done")
    with page.expect_download() as download:
        page.click("#download")
    download.value.save_as(tmp_path / "animated.mp4")
    assert (tmp_path / "animated.mp4").read_bytes() == server.files("*.mp4")[0].read_bytes() or (
        (tmp_path / "animated.mp4").stat().st_size > 1000
    )


def test_examples_are_taken_with_a_click(visit: Callable[..., Any]) -> None:
    page = visit(width=390, height=844)
    page.click("#image-examples .gallery-item")
    page.wait_for_selector(TAKEN["picture"])
    page.click("#video-examples .gallery-item")
    page.wait_for_selector(TAKEN["driving"])
    page.get_by_role("button", name="Crop").click()
    shot(page, "phone")
    wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert not wide, "the page is wider than the screen"
    assert (DEMO / "source.png").is_file() and (DEMO / "driving.mp4").is_file()


def test_cancelling_ends_the_computation(
    visit: Callable[..., Any], server: Server, tmp_path: Path
) -> None:
    page = visit()
    bring(page, DEMO / "source.png", DEMO / "driving.mp4")
    before = set(server.files("*animated*"))
    page.click("#go")
    wait_until(lambda: set(server.files(".animated*")) > before)
    page.click("#cancel")
    page.wait_for_selector("text=Cancelled.")
    wait_until(lambda: set(server.files(".animated*")) <= before, seconds=20)
    assert set(server.files("*animated*")) <= before
    assert page.is_enabled("#go") and not page.is_enabled("#cancel")
    shot(page, "cancelled")
    bring(page, driving=short_clip(tmp_path / "short.mp4"))
    page.click("#go")
    page.wait_for_selector("text=8 frames")


def test_two_people_at_a_time_get_each_their_own(visit: Callable[..., Any], tmp_path: Path) -> None:
    pages = [visit(), visit()]
    for page, count in zip(pages, (30, 40), strict=True):
        clip = short_clip(tmp_path / f"{count}.mp4", count=count)
        bring(page, DEMO / "source.png", clip)
    for page in pages:
        page.click("#go")
    for page, count in zip(pages, (30, 40), strict=True):
        page.wait_for_selector("#result video")
        assert f"{count} frames" in page.inner_text("#status")


def test_the_crop_that_is_drawn_is_what_the_networks_see(
    visit: Callable[..., Any], tmp_path: Path
) -> None:
    page = visit()
    bring(page, hostile.picture(tmp_path / "wide.png", size=(200, 400)))
    page.get_by_role("button", name="Crop").click()
    box = page.locator("#crop-source .box")
    page.locator("#crop-driving").scroll_into_view_if_needed()
    page.mouse.wheel(0, 400)
    time.sleep(0.5)
    before = box.bounding_box()
    page.mouse.move(before["x"] + 20, before["y"] + 20)
    page.mouse.down()
    page.mouse.move(before["x"] - 300, before["y"] + 20, steps=5)
    page.mouse.up()
    canvas = page.locator("#crop-source .canvas").bounding_box()
    assert abs(box.bounding_box()["x"] - canvas["x"]) < 2
    corner = page.locator("#crop-source .corner").bounding_box()
    page.mouse.move(corner["x"] + 10, corner["y"] + 10)
    page.mouse.down()
    page.mouse.move(corner["x"] - 60, corner["y"] - 60, steps=5)
    page.mouse.up()
    after = box.bounding_box()
    assert after["width"] < before["width"] - 30
    assert abs(after["width"] - after["height"]) < 2
    shot(page, "crop")
    page.get_by_role("tab", name="Edit").click()
    page.wait_for_selector("#edit .dot")
    cropped = page.get_attribute("#edit img", "src")
    page.get_by_role("tab", name="Animate").click()
    box.press("ArrowRight")
    page.get_by_role("tab", name="Edit").click()
    wait_until(lambda: page.get_attribute("#edit img", "src") != cropped)


# ----- broken files and limits


def test_a_broken_file_is_a_sentence_and_the_next_one_is_taken(
    visit: Callable[..., Any], tmp_path: Path
) -> None:
    page = visit()
    page.set_input_files(
        "#driving input[type=file]", str(hostile.text_as_video(tmp_path / "text.mp4"))
    )
    page.wait_for_selector(".complaint")
    assert complaint(page).startswith("text.mp4: is not a readable video")
    assert page.locator(TOAST).count() == 0
    shot(page, "broken")
    bring(page, driving=short_clip(tmp_path / "short.mp4"))
    assert page.locator(".complaint:visible").count() == 0


def test_hostile_files_are_refused_within_seconds_in_little_memory(
    visit: Callable[..., Any], server: Server, tmp_path: Path
) -> None:
    page = visit()
    bring(page, DEMO / "source.png")
    before = server.peak_memory()
    for field, path, sentence in (
        ("gif", hostile.vast_gif(tmp_path / "bomb.gif"), "16,000 x 16,000 pixels"),
        ("driving", hostile.long_video(tmp_path / "long.mp4"), "lasts 10,800 seconds"),
        ("gif", hostile.many_frames_gif(tmp_path / "many.gif", frames=1900), "1,200 frames"),
        ("picture", hostile.vast_png(tmp_path / "vast.png"), "20,000 x 20,000 pixels"),
    ):
        if field == "picture":
            clear(page, "picture")
        started = time.monotonic()
        page.set_input_files(FILES[field], str(path))
        page.wait_for_selector(f".complaint:has-text('{sentence}')")
        assert time.monotonic() - started < 20
    assert server.peak_memory() < before + 100
    assert not [path for path in server.folder.rglob("*.gif") if path.is_file()]


def test_a_gif_moves_a_picture(visit: Callable[..., Any], tmp_path: Path) -> None:
    page = visit()
    bring(page, DEMO / "source.png")
    page.set_input_files(FILES["gif"], str(short_clip(tmp_path / "short.gif")))
    page.wait_for_selector("text=short.gif is taken")
    page.wait_for_selector(TAKEN["driving"])
    wait_until(lambda: page.evaluate("document.querySelector('#driving video').duration > 0"))
    shot(page, "gif")
    page.click("#go")
    page.wait_for_selector("text=8 frames")


def test_a_file_that_is_too_heavy_is_a_sentence(visit: Callable[..., Any], tmp_path: Path) -> None:
    page = visit()
    (tmp_path / "heavy.png").write_bytes(bytes(4_000_000))
    page.set_input_files("#picture input[type=file]", str(tmp_path / "heavy.png"))
    page.wait_for_selector("text=/exceeds|exceeded|maximum/i")
    shot(page, "heavy")


def test_nothing_brought_is_a_sentence(visit: Callable[..., Any]) -> None:
    page = visit()
    page.click("#go")
    page.wait_for_selector("#status .complaint")
    assert "no picture yet" in complaint(page).lower()
    for tab, where in (("Look inside", "#look-status"), ("Edit", "#edit-status")):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_selector(f"{where} .complaint")


def test_who_would_wait_in_too_long_a_line_is_told(
    visit: Callable[..., Any], tmp_path: Path
) -> None:
    pages = [visit() for _ in range(LIMITS["running"] + LIMITS["waiting"] + 1)]
    for page in pages:
        bring(page, DEMO / "source.png", DEMO / "driving.mp4")
    for page in pages:
        page.click("#go")
    pages[-1].wait_for_selector("#status .complaint")
    assert complaint(pages[-1]).startswith("3 requests wait already")
    assert pages[-1].is_enabled("#go")
    for page in pages[:-1]:
        page.click("#cancel")
    page.wait_for_selector("text=Cancelled.")


def test_the_page_states_its_limits(visit: Callable[..., Any]) -> None:
    text = visit().inner_text("body")
    assert "up to 3 MB" in text and "20 seconds" in text and "3 requests may wait" in text


def test_a_closed_page_leaves_no_files(visit: Callable[..., Any], server: Server) -> None:
    wait_until(lambda: not server.files())
    page = visit()
    bring(page, DEMO / "source.png", DEMO / "driving.mp4")
    page.click("#go")
    wait_until(lambda: bool(server.files(".animated*")))
    page.context.close()
    wait_until(lambda: not server.files())


# ----- the other tabs


@pytest.mark.parametrize("width", [1280, 390])
def test_what_the_networks_see_follows_the_slider(visit: Callable[..., Any], width: int) -> None:
    page = visit(width=width)
    bring(page, DEMO / "source.png", DEMO / "driving.mp4")
    page.get_by_role("tab", name="Look inside").click()
    page.wait_for_selector("#seen figure img")
    shot(page, f"look-{width}")
    titles = page.locator("#seen figcaption").all_inner_texts()
    assert {"picture", "driving frame", "result"} <= set(titles)
    for what in ("flow", "occlusion", "background", "keypoint 1:"):
        assert any(what in title for title in titles), titles
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    before = page.locator("#seen img").nth(1).get_attribute("src")
    page.locator("#frame input[type=range]").fill("0")
    page.wait_for_selector("text=Frame 0 of the driving video.")
    wait_until(lambda: page.locator("#seen img").nth(1).get_attribute("src") != before)


@pytest.mark.parametrize("width", [1280, 390])
def test_the_picture_follows_a_keypoint_that_is_dragged(
    visit: Callable[..., Any], width: int
) -> None:
    page = visit(width=width)
    bring(page, DEMO / "source.png")
    page.get_by_role("tab", name="Edit").click()
    page.wait_for_selector("#edit .dot")
    still = page.get_attribute("#edit img", "src")
    dot = page.locator("#edit .dot").first
    place = dot.bounding_box()
    x, y = place["x"] + place["width"] / 2, place["y"] + place["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 30, y + 40, steps=6)
    page.mouse.up()
    wait_until(lambda: page.get_attribute("#edit img", "src") != still)
    time.sleep(1)
    there = dot.bounding_box()
    assert abs(there["x"] - place["x"] - 30) < 3 and abs(there["y"] - place["y"] - 40) < 3
    shot(page, f"edit-{width}")
    page.click("#back")
    wait_until(lambda: page.get_attribute("#edit img", "src") == still)
    assert abs(dot.bounding_box()["x"] - place["x"]) < 2


# ----- what goes around the page


def test_a_busy_port_is_one_line(server: Server, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "app.py"), "--port", str(server.port)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("WARNING")]
    assert line.startswith(f"error: --port {server.port}: cannot be used on 127.0.0.1")


def test_the_server_fetches_nothing_from_elsewhere(
    visit: Callable[..., Any], server: Server
) -> None:
    page = visit()
    for path in ("gradio_api/file=http://127.0.0.1:9/x", "gradio_api/proxy=http://127.0.0.1:9/x"):
        answer = page.request.get(server.address + path)
        assert answer.status == 403
        assert "fetches nothing" in answer.text()
    assert (
        "default-src 'self'" in page.request.get(server.address).headers["content-security-policy"]
    )
