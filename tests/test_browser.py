"""The page in a real browser, as a person uses it. Run: make test-app.

Screenshots go into the folder that the environment variable SCREENSHOTS names, if it does.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import clips
import hostile
import numpy as np
import pytest
from commands import ROOT, frames_of_a_square
from page_server import SECONDS, Server
from PIL import Image

from engine.image import read_image
from engine.video import open_video

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
HEIC = ROOT / "tests" / "pictures" / "iphone.heic"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
FILES = {field: f"#{field} input[type=file]" for field in ("picture", "driving")}
FILES["gif"] = "input[type=file][accept*=gif]"
# What was checked is shown from the folder of the visit.
TAKEN = {"picture": "#picture img[src*=visits]", "driving": "#driving video[src*=visits]"}
TOAST = "[data-testid=toast-body]"
LIMITS = {"megabytes": 3, "seconds": 20, "running": 2, "waiting": 3}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server(tmp_path_factory.mktemp("server"), **LIMITS)
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
    wait_until(lambda: bool(set(server.files(".animated*")) - before))
    page.click("#cancel")
    wait_until(lambda: set(server.files(".animated*")) <= before, seconds=60)
    assert set(server.files("*animated*")) <= before
    assert_stays_cancelled(page)
    assert page.is_disabled("#download")
    shot(page, "cancelled")
    bring(page, driving=short_clip(tmp_path / "short.mp4"))
    page.click("#go")
    page.wait_for_selector("text=8 frames")


def assert_stays_cancelled(page: Any) -> None:
    """See what the page shows once everything that follows a click on Cancel has come."""
    page.wait_for_selector("#status:has-text('Cancelled.')")
    page.wait_for_selector("#cancel[disabled]")
    time.sleep(4)
    assert page.inner_text("#status").strip() == "Cancelled."
    assert page.locator(".complaint:visible").count() == page.locator(TOAST).count() == 0
    assert "Error" not in page.inner_text("#result")
    assert page.is_enabled("#go") and page.is_disabled("#cancel")


def test_after_a_cancel_the_earlier_result_plays_and_can_be_downloaded(
    visit: Callable[..., Any], tmp_path: Path
) -> None:
    page = visit()
    bring(page, DEMO / "source.png", short_clip(tmp_path / "short.mp4"))
    page.click("#go")
    page.wait_for_selector("text=8 frames")
    bring(page, driving=DEMO / "driving.mp4")
    page.click("#go")
    page.wait_for_selector("text=At work")
    time.sleep(1)
    page.click("#cancel")
    assert_stays_cancelled(page)
    assert page.evaluate("!document.querySelector('#result video').error")
    with page.expect_download() as download:
        page.click("#download")
    download.value.save_as(tmp_path / "animated.mp4")
    with open_video(tmp_path / "animated.mp4") as result:
        assert result.num_frames == 8


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


def test_the_crop_opens_by_itself_where_something_is_cut(
    visit: Callable[..., Any], tmp_path: Path
) -> None:
    page = visit()
    bring(page, DEMO / "source.png", DEMO / "driving.mp4")
    time.sleep(1)
    assert not page.locator("#crop-source .box").is_visible(), "nothing is cut"
    bring(page, hostile.picture(tmp_path / "portrait.png", size=(400, 225)))
    page.wait_for_selector("#crop-source .box")
    page.wait_for_selector("text=portrait.png is taken. The networks see the part in its box")
    page = visit()
    wide = [np.zeros((96, 160, 3), np.uint8) for _ in range(8)]
    bring(page, driving=clips.write(tmp_path / "wide.mp4", wide))
    page.wait_for_selector("#crop-driving .box")


def test_on_a_phone_the_page_goes_to_the_result(visit: Callable[..., Any], tmp_path: Path) -> None:
    page = visit(width=390, height=600)
    bring(page, DEMO / "source.png", short_clip(tmp_path / "short.mp4"))
    page.click("#go")
    page.evaluate("window.scrollTo(0, 0)")
    page.wait_for_selector("#result video")
    time.sleep(2)
    place = page.locator("#result").bounding_box()
    assert place["y"] + 1 >= 0 and place["y"] + place["height"] <= 601
    shot(page, "phone-result")


def test_the_crop_that_is_drawn_is_what_the_networks_see(
    visit: Callable[..., Any], tmp_path: Path
) -> None:
    page = visit()
    bring(page, hostile.picture(tmp_path / "wide.png", size=(200, 400)))
    page.wait_for_selector("#crop-source .box")
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
        ("driving", hostile.long_video(tmp_path / "long.mp4"), "lasts 10,801 seconds"),
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


DROP = """([selector, name, size]) => {
    const files = new DataTransfer();
    files.items.add(new File([new Uint8Array(size)], name));
    const place = document.querySelector(selector);
    for (const kind of ["dragenter", "dragover", "drop"])
        place.dispatchEvent(new DragEvent(kind, {
            bubbles: true, cancelable: true, dataTransfer: files }));
}"""


@pytest.mark.parametrize("way", ["chosen", "dropped"])
@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        (
            ("picture", "heavy.png", 4_000_000),
            "heavy.png: 4.0 MB, more than 3 MB; save it smaller.",
        ),
        (
            ("driving", "heavy.mp4", 3_100_000),
            "heavy.mp4: 3.1 MB, more than 3 MB; save it smaller.",
        ),
        (("picture", "x.pdf", 9), "x.pdf: not the name of a picture; choose a file of up to 3 MB"),
        (("driving", "x.pdf", 9), "x.pdf: not the name of a video; choose a file of up to 3 MB"),
    ],
)
def test_a_file_that_cannot_be_taken_is_a_sentence_that_stays(
    visit: Callable[..., Any], tmp_path: Path, way: str, file: tuple[str, str, int], sentence: str
) -> None:
    field, name, size = file
    page = visit(width=390, height=844)
    if way == "chosen":
        (tmp_path / name).write_bytes(bytes(size))
        page.set_input_files(FILES[field], str(tmp_path / name))
    else:
        page.evaluate(DROP, [f"#{field} button", name, size])
    time.sleep(3)
    assert complaint(page).startswith(sentence)
    assert page.locator(TOAST).count() == 0
    place = page.locator(".complaint:visible").bounding_box()
    assert place["y"] >= 0 and place["y"] + place["height"] <= 844, "it is out of sight"
    shot(page, f"refused-{way}-{field}-{name}")
    bring(page, DEMO / "source.png")
    assert page.locator(".complaint:visible").count() == 0


def test_a_heavy_gif_is_a_sentence(visit: Callable[..., Any], tmp_path: Path) -> None:
    page = visit()
    (tmp_path / "heavy.gif").write_bytes(bytes(4_000_000))
    page.set_input_files(FILES["gif"], str(tmp_path / "heavy.gif"))
    page.wait_for_selector(".complaint:has-text('heavy.gif: 4.0 MB, more than 3 MB')")


def test_a_file_that_is_dropped_beside_the_fields_leaves_the_page(
    visit: Callable[..., Any],
) -> None:
    page = visit()
    stopped = page.evaluate(
        """() => {
        const files = new DataTransfer();
        files.items.add(new File(["x"], "x.png"));
        const drop = new DragEvent("drop", {
            bubbles: true, cancelable: true, dataTransfer: files });
        return !document.querySelector("header").dispatchEvent(drop);
    }"""
    )
    assert stopped, "the browser would open the file"


def test_a_picture_that_is_dropped_replaces_the_one_that_is_there(
    visit: Callable[..., Any], server: Server
) -> None:
    page = visit()
    bring(page, DEMO / "source.png")
    former = page.get_attribute(TAKEN["picture"], "src")
    data = base64.b64encode((DEMO / "source.png").read_bytes()).decode()
    page.evaluate(
        """(data) => {
        const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
        const files = new DataTransfer();
        files.items.add(new File([bytes], "other.png", { type: "image/png" }));
        document.querySelector("#picture img").dispatchEvent(new DragEvent("drop", {
            bubbles: true, cancelable: true, dataTransfer: files }));
    }""",
        data,
    )
    wait_until(
        lambda: page.evaluate(
            "former => { const now = document.querySelector('#picture img[src*=visits]')?.src;"
            " return !!now && now !== former; }",
            former,
        )
    )


@pytest.mark.parametrize("suffix", [".webp", ".bmp", ".tiff", ".avif", ".heic", ".jfif", ".gif"])
def test_pictures_of_all_kinds_are_shown(
    visit: Callable[..., Any], tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"picture{suffix}"
    if suffix == ".heic":
        pytest.importorskip("pillow_heif")
        shutil.copy(HEIC, path)
    else:
        image = Image.open(hostile.picture(tmp_path / "picture.png", size=(64, 64)))
        image.save(path, {".jfif": "JPEG"}.get(suffix))
    page = visit()
    bring(page, path)
    time.sleep(1)
    assert page.evaluate(f"document.querySelector('{TAKEN['picture']}').naturalWidth") > 0
    assert page.locator(".complaint:visible").count() == page.locator(TOAST).count() == 0


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("y444.mp4", ("-pix_fmt", "yuv444p")),
        ("ten.mp4", ("-pix_fmt", "yuv420p10le")),
        ("clip.mkv", ("-pix_fmt", "yuv420p")),
        ("clip.avi", ("-c:v", "mpeg4")),
        ("clip.ts", ("-pix_fmt", "yuv420p")),
    ],
)
def test_what_not_all_browsers_play_is_shown_as_a_copy_that_plays(
    visit: Callable[..., Any], tmp_path: Path, name: str, options: tuple[str, ...]
) -> None:
    page = visit()
    clip = clips.encode(tmp_path / name, clips.numbered(8), *options)
    bring(page, driving=clip)
    page.wait_for_selector(f"text={name} is taken. Not all browsers play it")
    assert "played-" in page.get_attribute(TAKEN["driving"], "src")
    wait_until(lambda: page.evaluate("document.querySelector('#driving video').duration > 0"))
    assert page.locator(".complaint:visible").count() == page.locator(TOAST).count() == 0


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


def test_a_file_that_comes_while_the_line_is_full_is_not_taken_in_silence(
    visit: Callable[..., Any], tmp_path: Path
) -> None:
    page, *others = [visit() for _ in range(LIMITS["running"] + LIMITS["waiting"] + 1)]
    for other in others:
        bring(other, DEMO / "source.png", DEMO / "driving.mp4")
    for other in others:
        other.click("#go")
    page.set_input_files(FILES["picture"], str(DEMO / "source.png"))
    page.wait_for_selector("#status .complaint")
    assert complaint(page).startswith("3 requests wait already")
    for other in others:
        other.click("#cancel")
    for other in others:
        assert_stays_cancelled(other)


def test_the_page_says_what_its_networks_are(visit: Callable[..., Any]) -> None:
    text = visit().inner_text(".networks")
    assert "demo: 64 x 64 pixels, trained on puppets (drawn figures)" in text
    assert "for faces see README.md" in text


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
def test_what_the_networks_see_follows_the_slider(
    visit: Callable[..., Any], tmp_path: Path, width: int
) -> None:
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
    first = save(page, "#save-seen", tmp_path)
    page.locator("#frame input[type=range]").fill("0")
    page.wait_for_selector("text=Frame 0 of the driving video.")
    wait_until(lambda: page.locator("#seen img").nth(1).get_attribute("src") != before)
    time.sleep(1)
    sheet = save(page, "#save-seen", tmp_path)
    assert sheet.shape == first.shape and (sheet != first).any()
    assert min(sheet.shape[:2]) > 3 * 192, "not all pictures are on it"


def save(page: Any, button: str, folder: Path) -> np.ndarray:
    """The picture that a button saves."""
    with page.expect_download() as download:
        page.click(button)
    assert download.value.suggested_filename.endswith(".png")
    download.value.save_as(folder / "saved.png")
    return read_image(folder / "saved.png")


@pytest.mark.parametrize("width", [1280, 390])
def test_the_picture_follows_a_keypoint_that_is_dragged(
    visit: Callable[..., Any], tmp_path: Path, width: int
) -> None:
    page = visit(width=width)
    bring(page, DEMO / "source.png")
    page.get_by_role("tab", name="Edit").click()
    page.wait_for_selector("#edit .dot")
    still = page.get_attribute("#edit img", "src")
    unmoved = save(page, "#save-edited", tmp_path)
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
    moved = save(page, "#save-edited", tmp_path)
    assert moved.shape == unmoved.shape == (64, 64, 3) and (moved != unmoved).any()
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
