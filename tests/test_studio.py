"""What the page does for those who have it open, without the web."""

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import clips
import hostile
import imageio.v3 as iio
import numpy as np
import pytest
import torch
from commands import GOLDEN_SIZE, files_below, frames_of_a_square
from golden_files import load_golden
from PIL import Image

from engine.animation import AnimationOptions
from engine.animator import Animator
from engine.errors import UserError
from engine.framing import Box
from engine.image import read_image
from engine.video import VideoWriter, open_video
from modules.keypoints import MotionTransfer
from page import previews, uploads, visits
from page import studio as studio_module
from page.limits import Limits
from page.results import Choices
from page.studio import Cancelled, Studio
from page.visits import Visit, Visits

COUNT = 9
SHAPE = (GOLDEN_SIZE, GOLDEN_SIZE, 3)
DEFAULT = Choices(AnimationOptions())


@pytest.fixture(autouse=True)
def checked_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uploads are decoded by the tests of uploads; here that would only take time."""
    monkeypatch.setattr(uploads, "_probe", lambda *rest: "")


@pytest.fixture
def everybody(tmp_path: Path) -> Iterator[Visits]:
    with Visits(tmp_path / "page", minutes=60) as open_pages:
        yield open_pages


@pytest.fixture
def studio() -> Studio:
    networks = load_golden("small-jacobian").networks
    animator = Animator(
        kp_detector=networks.kp_detector,
        generator=networks.generator,
        device=torch.device("cpu"),
    )
    return Studio(animator, frame_shape=SHAPE, limits=Limits())


def upload(everybody: Visits, name: str) -> Path:
    """A file where uploads come in."""
    folder = everybody.folder / "0123456789"
    folder.mkdir(exist_ok=True)
    if name.endswith(".png"):
        return hostile.picture(folder / name)
    frames = frames_of_a_square(3, count=COUNT, size=GOLDEN_SIZE)
    return clips.write(folder / name, frames)


@pytest.fixture
def visit(everybody: Visits, studio: Studio) -> Visit:
    """Somebody who has brought a picture and a driving video."""
    someone = everybody.of("someone")
    studio.take_picture(someone, upload(everybody, "picture.png"))
    studio.take_driving(someone, upload(everybody, "driving.mp4"))
    return someone


def nothing(stage: str, done: int, total: int) -> None:
    pass


# ----- what people bring


def test_a_large_picture_is_kept_smaller(everybody: Visits, studio: Studio) -> None:
    visit = everybody.of("someone")
    path = hostile.picture(everybody.folder / "wide.png", size=(100, 3000))
    preview = studio.take_picture(visit, path)
    assert read_image(visit.files["picture"]).shape == (68, 2048, 3)
    assert preview.size == (68, 2048) and preview.box == Box(990, 0, 68, 68)
    assert max(preview.frame.shape) == previews.PREVIEW_SIDE


def test_a_refused_upload_is_deleted_and_named_without_its_folder(
    everybody: Visits, studio: Studio
) -> None:
    path = hostile.text_as_video(everybody.folder / "text.mp4")
    with pytest.raises(UserError) as refused:
        studio.take_driving(everybody.of("someone"), path)
    assert str(refused.value).startswith("text.mp4: not a readable video")
    assert str(everybody.folder) not in str(refused.value)
    assert not path.exists()


def test_a_new_picture_takes_the_place_of_the_former(
    everybody: Visits, studio: Studio, visit: Visit
) -> None:
    former = visit.files["picture"]
    studio.take_picture(visit, upload(everybody, "other.png"))
    assert visit.files["picture"] != former and not former.exists()


def test_what_browsers_play_is_shown_as_it_is(studio: Studio, everybody: Visits) -> None:
    visit = everybody.of("someone")
    preview = studio.take_driving(visit, upload(everybody, "driving.mp4"))
    assert preview.played == visit.files["driving"]


@pytest.mark.parametrize("name", ["driving.gif", "driving.mkv"])
def test_of_what_browsers_do_not_play_a_copy_shows_how_it_begins(
    studio: Studio, everybody: Visits, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previews, "PREVIEW_FRAMES", 4)
    monkeypatch.setattr(previews, "PREVIEW_SIDE", 32)
    visit = everybody.of("someone")
    played = studio.take_driving(visit, upload(everybody, name)).played
    with open_video(played) as copy, open_video(visit.files["driving"]) as driving:
        assert played.suffix == ".mp4" and copy.codec == "h264"
        assert (copy.num_frames, driving.num_frames) == (4, COUNT)
        assert (copy.height, copy.width) == (32, 32) and copy.fps == driving.fps
    studio.drop(visit, "driving")
    assert not list(visit.folder.iterdir())


@pytest.mark.parametrize("name", ["moving.webp", "moving.mp4"])
def test_an_animated_picture_drives_by_any_name(
    studio: Studio, everybody: Visits, name: str
) -> None:
    size = (GOLDEN_SIZE, GOLDEN_SIZE)
    first, *rest = [Image.new("RGB", size, (60 * n, 0, 0)) for n in range(4)]
    path = everybody.folder / name
    first.save(path, "webp", save_all=True, append_images=rest, duration=100)
    played = studio.take_driving(everybody.of("someone"), path).played
    with open_video(played) as copy:
        assert played.suffix == ".mp4" and copy.num_frames == 4


@pytest.mark.parametrize(
    ("name", "options", "is_shown"),
    [
        ("plain.mp4", ("-pix_fmt", "yuv420p"), True),
        ("plain.mov", ("-pix_fmt", "yuv420p"), True),
        ("plain.webm", ("-c:v", "libvpx-vp9", "-pix_fmt", "yuv420p"), True),
        ("full-range.mp4", ("-pix_fmt", "yuvj420p"), True),
        ("y444.mp4", ("-pix_fmt", "yuv444p"), False),
        ("y422.mp4", ("-pix_fmt", "yuv422p"), False),
        ("ten-bits.mp4", ("-pix_fmt", "yuv420p10le"), False),
        ("y444.webm", ("-c:v", "libvpx-vp9", "-pix_fmt", "yuv444p"), False),
    ],
)
def test_the_pixel_format_says_whether_all_browsers_play_it(
    tmp_path: Path, name: str, options: tuple[str, ...], is_shown: bool
) -> None:
    path = clips.encode(tmp_path / name, clips.numbered(4), *options)
    assert previews.browsers_play(path) == is_shown


def test_the_container_says_whether_all_browsers_play_it_not_the_ending(tmp_path: Path) -> None:
    path = clips.encode(tmp_path / "clip.mkv", clips.numbered(4))
    assert not previews.browsers_play(path.rename(tmp_path / "clip.mp4"))
    gif = clips.write(tmp_path / "clip.gif", clips.numbered(4))
    assert not previews.browsers_play(gif.rename(tmp_path / "gif.mp4"))


def test_a_codec_that_not_all_browsers_have_is_shown_as_a_copy(
    studio: Studio, everybody: Visits, tmp_path: Path
) -> None:
    path = clips.encode(everybody.folder / "old.mov", clips.numbered(4), "-c:v", "mpeg4")
    visit = everybody.of("someone")
    assert studio.take_driving(visit, path).played != visit.files["driving"]


# ----- animating


def test_the_picture_moves_and_what_was_computed_before_goes(studio: Studio, visit: Visit) -> None:
    first = studio.animate(visit, DEFAULT, nothing).video
    second = studio.animate(visit, DEFAULT, nothing)
    assert second.num_frames == COUNT and not first.exists()
    with open_video(second.video) as video:
        assert video.num_frames == COUNT
        assert (video.height, video.width) == (GOLDEN_SIZE, GOLDEN_SIZE)


def test_a_crop_that_was_drawn_is_used(studio: Studio, visit: Visit) -> None:
    whole = studio.handles(visit, None)[0]
    part = studio.handles(visit, Box(20, 10, 40, 40))[0]
    assert whole.shape == part.shape == SHAPE
    assert np.abs(whole.astype(int) - part.astype(int)).mean() > 1
    with pytest.raises(UserError, match=r"^picture-\d+\.png: .* does not lie within"):
        studio.handles(visit, Box(100, 10, 40, 40))


def test_cancelling_ends_the_computation_and_leaves_no_result(studio: Studio, visit: Visit) -> None:
    before = files_below(visit.folder)
    seen = []

    def cancel(stage: str, done: int, total: int) -> None:
        seen.append(done)
        if done == 3:
            visit.cancelled.set()

    with pytest.raises(Cancelled):
        studio.animate(visit, DEFAULT, cancel)
    assert seen == [1, 2, 3]
    assert files_below(visit.folder) == before
    visit.begin()
    assert studio.animate(visit, DEFAULT, nothing).num_frames == COUNT


def test_looking_inside_meanwhile_leaves_cancelling_as_it_was(studio: Studio, visit: Visit) -> None:
    def cancel(stage: str, done: int, total: int) -> None:
        assert done == 1
        studio.see(visit, DEFAULT, 2)
        visit.cancelled.set()

    with pytest.raises(Cancelled):
        studio.animate(visit, DEFAULT, cancel)


def test_a_driving_video_that_is_replaced_meanwhile_is_read_to_its_end(
    everybody: Visits, studio: Studio, visit: Visit
) -> None:
    former = visit.files["driving"]

    def replace(stage: str, done: int, total: int) -> None:
        if done == 1:
            studio.take_driving(visit, upload(everybody, "other.mp4"))
            assert former.exists()

    studio.animate(visit, DEFAULT, replace)
    assert not former.exists() and visit.files["driving"].exists()


def test_who_has_brought_nothing_is_told_what_to_bring(studio: Studio, everybody: Visits) -> None:
    visit = everybody.of("newcomer")
    with pytest.raises(UserError, match="no picture yet"):
        studio.animate(visit, DEFAULT, nothing)
    studio.take_picture(visit, upload(everybody, "picture.png"))
    with pytest.raises(UserError, match="no driving video yet"):
        studio.animate(visit, DEFAULT, nothing)


def test_two_visits_at_a_time_get_each_their_own(
    everybody: Visits, studio: Studio, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What goes into a film, not what comes out: x264's choices depend on how its threads run.
    written: dict[Path, list[np.ndarray]] = {}
    write = VideoWriter.write

    def tell(writer: VideoWriter, frame: np.ndarray) -> None:
        written.setdefault(writer.path, []).append(frame.copy())
        write(writer, frame)

    monkeypatch.setattr(VideoWriter, "write", tell)
    other = everybody.of("other")
    studio.take_picture(other, hostile.picture(everybody.folder / "p.png", size=(40, 40)))
    studio.take_driving(other, upload(everybody, "driving.mp4"))
    found: dict[str, Path] = {}

    def work(name: str, who: Visit) -> None:
        found[name] = studio.animate(who, DEFAULT, nothing).video

    threads = [threading.Thread(target=work, args=pair) for pair in (("a", visit), ("b", other))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    frames = {name: iio.imread(path, plugin="pyav") for name, path in found.items()}
    assert np.abs(frames["a"].astype(int) - frames["b"].astype(int)).mean() > 1
    alone = written[studio.animate(visit, DEFAULT, nothing).video]
    assert np.array_equal(written[found["a"]], alone)


# ----- looking inside, editing


def test_the_film_ends_in_what_the_animation_shows(studio: Studio, visit: Visit) -> None:
    absolute = Choices(AnimationOptions(motion=MotionTransfer(relative=False)))
    for choices in (DEFAULT, absolute):
        film = studio.film(visit, choices, nothing)
        assert film.numbers == list(range(COUNT)) and len(film.frames) == COUNT
        seen = studio.see(visit, choices, COUNT - 1)
        video = studio.animate(visit, choices, nothing).video
        last = iio.imread(video, plugin="pyav")[-1]
        shown = np.asarray(seen.look.prediction.permute(1, 2, 0) * 255)
        assert np.abs(last - shown).mean() < 12  # H.264's noise on noise
        assert seen.number == COUNT - 1


def test_only_so_many_frames_of_a_film_are_kept(
    studio: Studio, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studio_module, "LOOKED_AT", 3)
    assert studio.film(visit, DEFAULT, nothing).numbers == [0, 4, 8]


def test_the_shares_of_the_motions_are_one(studio: Studio, visit: Visit) -> None:
    seen = studio.see(visit, DEFAULT, 5)
    parts = seen.look.parts
    assert parts is not None
    assert torch.allclose(parts.masks.sum(0), torch.ones(SHAPE[:2]), atol=1e-5)
    assert parts.pictures.shape == (len(parts.masks), 3, *SHAPE[:2])
    assert seen.source_keypoints.shape == (len(parts.masks) - 1, 2)


def test_dragging_a_keypoint_moves_the_picture_and_putting_it_back_restores_it(
    studio: Studio, visit: Visit
) -> None:
    _, points = studio.handles(visit, None)
    still = studio.move(visit, None, points.tolist())
    dragged = points.copy()
    dragged[0] += 0.3
    moved = studio.move(visit, None, dragged.tolist())
    assert np.abs(moved.astype(int) - still.astype(int)).max() > 3
    assert np.array_equal(studio.move(visit, None, points.tolist()), still)


def test_the_picture_is_encoded_once_for_all_moves(
    studio: Studio, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, points = studio.handles(visit, None)
    monkeypatch.setattr(studio.animator, "encode", lambda image: pytest.fail("again"))
    studio.move(visit, None, points.tolist())


@pytest.mark.parametrize(
    "points", [[], [[0, 0]], "no points", None, [[float("nan"), 0]] * 10, [["a", "b"]] * 10]
)
def test_what_are_no_keypoints_is_a_sentence(studio: Studio, visit: Visit, points: object) -> None:
    with pytest.raises(UserError, match="keypoints"):
        studio.move(visit, None, points)  # type: ignore[arg-type]


# ----- when files are deleted


def test_closing_a_page_deletes_its_files(everybody: Visits, visit: Visit) -> None:
    everybody.close("someone")
    assert not visit.folder.exists()
    assert everybody.of("someone") is not visit


def test_closing_a_page_ends_its_animation_and_then_deletes_its_files(
    everybody: Visits, studio: Studio, visit: Visit
) -> None:
    there = []

    def close(stage: str, done: int, total: int) -> None:
        everybody.close("someone")
        there.append(visit.folder.exists())

    with pytest.raises(Cancelled):
        studio.animate(visit, DEFAULT, close)
    assert there == [True] and not visit.folder.exists()


def test_uploads_go_soon_and_visits_when_nobody_uses_them(
    everybody: Visits, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = upload(everybody, "forgotten.png")
    everybody.sweep()
    assert path.exists() and visit.folder.exists()
    monkeypatch.setattr(visits, "UPLOAD_SECONDS", -1)
    everybody.sweep()
    assert not path.exists() and visit.files["driving"].exists()
    visit.used = time.monotonic() - 61 * 60
    with visit.at_work():
        everybody.sweep()
        assert visit.folder.exists()
    visit.used = time.monotonic() - 61 * 60
    everybody.sweep()
    assert not visit.folder.exists()


def test_the_end_of_the_page_deletes_everything(tmp_path: Path) -> None:
    with Visits(tmp_path / "page", minutes=60) as everybody:
        everybody.of("someone")
        upload(everybody, "picture.png")
    assert not (tmp_path / "page").exists()


def test_there_is_room_for_so_many_visits_and_the_oldest_goes(
    everybody: Visits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visits, "MOST_VISITS", 2)
    first, second = everybody.of("first"), everybody.of("second")
    first.used -= 1
    everybody.of("third")
    assert first.closed and not second.closed


def test_one_address_takes_no_room_from_the_others(
    everybody: Visits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visits, "MOST_OF_ONE", 2)
    others = everybody.of("others", address="10.0.0.1")
    others.used -= 2
    first, second = (everybody.of(name, address="10.0.0.2") for name in ("first", "second"))
    first.used -= 1
    third = everybody.of("third", address="10.0.0.2")
    assert first.closed and not (others.closed or second.closed or third.closed)


def test_no_two_visits_have_a_folder_that_can_be_guessed(everybody: Visits) -> None:
    names = {everybody.of(str(number)).folder.name for number in range(5)}
    assert len(names) == 5 and all(re.fullmatch(r"[\w-]{22}", name) for name in names)


def test_an_example_is_copied_before_it_is_taken(everybody: Visits, tmp_path: Path) -> None:
    example = hostile.picture(tmp_path / "example.png")
    copy = everybody.copy(example)
    copy.unlink()
    assert copy.name == "example.png" and example.exists()


# ----- limits


def test_the_page_states_every_limit() -> None:
    sentence = Limits(7, 11, 13, 17, 1, 23, 29).sentence()
    for stated in ("7 MB", "11 seconds", "13 megapixels", "17 megapixels", "660 frames"):
        assert stated in sentence
    assert "1 animation at a time" in sentence and "23 requests" in sentence
    assert "29 minutes" in sentence


def test_a_limit_of_nothing_is_a_mistake() -> None:
    with pytest.raises(UserError, match="--max_seconds 0"):
        Limits(seconds=0)
