"""What the page takes and what it refuses: each refusal a sentence, in bounded time and memory."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import clips
import hostile
import pytest
from commands import ROOT
from PIL import Image, features

from engine.container import RefusedFormat
from engine.errors import UserError
from engine.heif import HEIF_SUFFIXES, missing_reader
from page import probe, uploads
from page.limits import Limits
from page.uploads import check_upload

LIMITS = Limits(megabytes=1, seconds=6, picture_megapixels=1, video_megapixels=1)
KNOWN = LIMITS.for_probe()
HEIC = Path(__file__).parent / "pictures" / "iphone.heic"


@pytest.fixture(autouse=True)
def pillow_keeps_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which the checks lift, in what is otherwise a process of their own."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)


def refusal(path: Path, kind: uploads.Kind) -> str:
    with pytest.raises(UserError) as refused:
        check_upload(path, kind, LIMITS)
    sentence = str(refused.value)
    assert sentence.startswith(f"{path.name}: ") and str(path) not in sentence
    return sentence


def test_good_files_are_welcome(tmp_path: Path) -> None:
    check_upload(hostile.picture(tmp_path / "picture.png"), "picture", LIMITS)
    check_upload(clips.write(tmp_path / "driving.mp4", clips.numbered(5)), "video", LIMITS)


def test_gifs_and_other_containers_are_welcome(tmp_path: Path) -> None:
    for suffix in (".gif", ".webm", ".mkv", ".mov"):
        clip = clips.write(tmp_path / f"driving{suffix}", clips.numbered(4))
        probe.check_video(clip, KNOWN)
    probe.check_video(clips.encode(tmp_path / "driving.avi", clips.numbered(4)), KNOWN)


def test_a_picture_of_every_ending_that_is_offered_is_welcome(tmp_path: Path) -> None:
    kinds = {".jfif": "JPEG"}
    opened = set()
    for suffix in uploads.SUFFIXES["picture"]:
        path = tmp_path / f"picture{suffix}"
        if suffix in HEIF_SUFFIXES:
            shutil.copy(HEIC, path)
        else:
            Image.new("RGB", (40, 30), "red").save(path, kinds.get(suffix))
        if missing_reader(path) is None:
            check_upload(path, "picture", Limits(megabytes=1))
            opened.add(suffix)
    assert opened >= {".bmp", ".gif", ".jfif", ".jpg", ".png", ".tif", ".tiff", ".webp"}


def test_a_picture_of_several_as_cameras_write_them_is_welcome(tmp_path: Path) -> None:
    first, second = (Image.new("RGB", (40, 30), colour) for colour in ("red", "blue"))
    first.save(tmp_path / "picture.jpg", "MPO", save_all=True, append_images=[second])
    check_upload(tmp_path / "picture.jpg", "picture", LIMITS)


@pytest.mark.parametrize("name", ["iphone.heic", "iphone.jpg"])
def test_without_pillow_heif_a_heic_picture_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    shutil.copy(HEIC, tmp_path / name)
    with pytest.raises(probe.Refused, match="is HEIC, which needs pillow-heif; run pip install"):
        probe.check_picture(tmp_path / name, KNOWN)


def test_with_pillow_heif_a_heic_picture_is_welcome() -> None:
    pytest.importorskip("pillow_heif")
    check_upload(HEIC, "picture", Limits())


def test_without_the_codec_an_avif_picture_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "picture.avif").write_bytes(b"\0\0\0\x18ftypmif1\0\0\0\0avifmiaf")
    monkeypatch.setattr(features, "get_supported", lambda: ["webp"])
    with pytest.raises(probe.Refused, match="is AVIF, which needs Pillow"):
        probe.check_picture(tmp_path / "picture.avif", KNOWN)


def animation(path: Path, *, frames: int = 3, duration: int = 100, format: str) -> Path:
    first, *rest = [Image.new("RGB", (40, 30), (60 * n % 256, 0, 0)) for n in range(frames)]
    first.save(path, format, save_all=True, append_images=rest, duration=duration)
    return path


@pytest.mark.parametrize("format", ["webp", "png", "avif"])
def test_an_animated_picture_is_a_driving_video_within_the_same_bounds(
    tmp_path: Path, format: str
) -> None:
    if format == "avif" and "avif" not in features.get_supported():
        pytest.skip("this Pillow writes no AVIF")
    probe.check_video(animation(tmp_path / f"a.{format}", format=format), KNOWN)
    with pytest.raises(probe.Refused, match="lasts 9 seconds, more than 6"):
        path = animation(tmp_path / f"long.{format}", duration=3000, format=format)
        probe.check_video(path, KNOWN)
    with pytest.raises(probe.Refused, match="more than 2 frames"):
        probe.check_video(tmp_path / f"a.{format}", {**KNOWN, "frames": 2})
    with pytest.raises(probe.Refused, match="40 x 30 pixels"):
        probe.check_video(tmp_path / f"a.{format}", {**KNOWN, "video_pixels": 1000})


def test_a_still_picture_is_no_driving_video(tmp_path: Path) -> None:
    hostile.picture(tmp_path / "still.png").rename(tmp_path / "still.mp4")
    assert "is a still picture; choose a video" in refusal(tmp_path / "still.mp4", "video")
    assert "is a still picture; choose a video" in refusal(
        hostile.picture(tmp_path / "still.png"), "video"
    )


def test_a_file_that_is_too_heavy_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "heavy.png").write_bytes(bytes(1_000_001))
    monkeypatch.setattr(uploads, "_probe", lambda *rest: pytest.fail("it was opened"))
    assert "more than 1" in refusal(tmp_path / "heavy.png", "picture")


@pytest.mark.parametrize("name", ["picture.svg", "picture.mp4", "picture", "picture.png.exe"])
def test_only_names_of_pictures_are_pictures(tmp_path: Path, name: str) -> None:
    hostile.picture(tmp_path / "picture.png").rename(tmp_path / name)
    assert ".png" in refusal(tmp_path / name, "picture")


def test_a_file_that_is_gone_is_asked_for_again(tmp_path: Path) -> None:
    assert "choose it again" in refusal(tmp_path / "gone.png", "picture")


def test_hostile_files_are_refused_within_seconds_and_in_little_memory(tmp_path: Path) -> None:
    """As the page does it: in a process of its own."""
    started = time.monotonic()
    assert "16,000 x 16,000" in refusal(hostile.vast_gif(tmp_path / "bomb.gif"), "video")
    assert "10,801 seconds" in refusal(hostile.long_video(tmp_path / "long.mp4"), "video")
    assert "not a readable video" in refusal(hostile.text_as_video(tmp_path / "text.mp4"), "video")
    assert "20,000 x 20,000" in refusal(hostile.vast_png(tmp_path / "vast.png"), "picture")
    assert time.monotonic() - started < 20


def test_frames_are_counted_where_no_header_tells_their_number(tmp_path: Path) -> None:
    with pytest.raises(probe.Refused, match="more than 360 frames"):
        probe.check_video(hostile.many_frames_gif(tmp_path / "many.gif", frames=400), KNOWN)


def test_frames_that_grow_are_refused_where_they_do(tmp_path: Path) -> None:
    path = hostile.growing_video(tmp_path / "growing.ts", side=1100)
    with pytest.raises(probe.Refused, match="1,100 x 1,100"):
        probe.check_video(path, KNOWN)


def test_a_playlist_is_not_followed(tmp_path: Path) -> None:
    secret = clips.write(tmp_path / "secret.mp4", clips.numbered(4))
    scripts = hostile.scripts(tmp_path, secret)
    for path in scripts.values():
        with pytest.raises(RefusedFormat, match="give the video itself"):
            probe.check_video(path, KNOWN)
    assert "an ffconcat list" in refusal(scripts["driving.mp4"], "video")


def test_a_picture_of_a_kind_that_is_not_asked_for_is_none(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n")
    assert "not a readable picture" in refusal(path, "picture")


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on memory is Linux's")
@pytest.mark.parametrize("bound", [True, False])
def test_memory_has_a_limit(bound: bool) -> None:
    # In a process of its own: it cannot be undone, and in this one memory may lie ready for use.
    code = f"""
import os
from page import probe
probe.MEMORY = 2**20
if {bound}:
    probe.bound_this_process()
try:
    bytearray(2**28)
except MemoryError:
    os._exit(3)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT)
    assert done.returncode == (3 if bound else 0)


def test_a_decoder_that_hangs_or_dies_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = hostile.picture(tmp_path / "picture.png")
    monkeypatch.setattr(uploads, "CHECK_SECONDS", 0.01)
    assert "takes more than" in refusal(path, "picture")
    monkeypatch.undo()
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert "not a readable picture" in refusal(path, "picture")
