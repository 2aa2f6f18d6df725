"""A whole animation: the right frames, in order, from any frame on; or nothing at all."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from by_hand import LEVEL, RELATIVE, animated, as_tensor, assert_same, saved_frames
from commands import GOLDEN_SIZE, files_below, frames_of_a_square, write_folder
from golden_files import load_golden
from torch import Tensor

from engine.animation import AnimationOptions, animate_scene
from engine.animator import Animator, Smoothing
from engine.best_frame import normalized_layout
from engine.errors import UserError
from engine.framing import Box
from engine.scene import Scene, open_scene
from engine.smoothing import OneEuro
from engine.video import open_video

NAME = "small-jacobian"
COUNT = 10
SHAPE = (GOLDEN_SIZE, GOLDEN_SIZE, 3)


class Stopped(Exception):  # noqa: N818 - a person's wish, no error.
    """What a progress callback raises to cancel."""


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@pytest.fixture
def frames() -> list[np.ndarray]:
    return frames_of_a_square(3, count=COUNT, size=GOLDEN_SIZE)


@pytest.fixture
def scene(tmp_path: Path, frames: list[np.ndarray]) -> Iterator[Scene]:
    picture = frames_of_a_square(1, count=1, size=GOLDEN_SIZE)[0]
    iio.imwrite(tmp_path / "picture.png", picture)
    driving = write_folder(tmp_path / "driving", frames)
    with open_scene(tmp_path / "picture.png", driving, frame_shape=SHAPE) as opened:
        yield opened


def animator_of(batch_size: int = 4) -> Animator:
    networks = load_golden(NAME).networks
    return Animator(
        kp_detector=networks.kp_detector,
        generator=networks.generator,
        device=torch.device("cpu"),
        batch_size=batch_size,
    )


def expected(scene: Scene, frames: list[np.ndarray], *, reference: int = 0) -> Tensor:
    driving = [as_tensor(frame) for frame in frames]
    source = as_tensor(scene.source())
    return animated(load_golden(NAME).networks, source, driving, RELATIVE, reference=reference)


def saved(
    scene: Scene,
    folder: Path,
    options: AnimationOptions = AnimationOptions(),  # noqa: B008 - frozen
    *,
    batch_size: int = 4,
) -> Tensor:
    animate_scene(
        animator_of(batch_size),
        scene,
        options,
        result_video=folder / "result.mp4",
        save_frames=folder / "frames",
    )
    return saved_frames(folder / "frames")


@pytest.mark.parametrize("smooth", [False, True])
def test_every_batch_size_gives_the_same_frames_in_the_same_order(
    scene: Scene, frames: list[np.ndarray], tmp_path: Path, smooth: bool
) -> None:
    options = AnimationOptions(smooth=smooth)
    found = {size: saved(scene, tmp_path / f"{size}", options, batch_size=size) for size in (1, 3)}
    found |= {size: saved(scene, tmp_path / f"{size}", options, batch_size=size) for size in (4, 7)}
    for other in found.values():
        assert_same(other, found[1], tolerance=1.01 * LEVEL)
    close = (found[1] - expected(scene, frames)).abs().max() <= 1.01 * LEVEL
    assert close == (not smooth)


def test_smoothed_clips_that_take_turns_do_not_disturb_each_other(scene: Scene) -> None:
    animator = animator_of(3)
    source = animator.encode(as_tensor(scene.source()))
    clips = [list(scene.clip), list(scene.clip)[::-1]]
    smoothing = Smoothing(scene.clip.moments(), OneEuro())
    alone = [list(animator.steps(source, clip, RELATIVE, smoothing=smoothing)) for clip in clips]
    turns = zip(
        *(animator.steps(source, clip, RELATIVE, smoothing=smoothing) for clip in clips),
        strict=True,
    )
    for index, turn in enumerate(turns):
        for step, steps in zip(turn, alone, strict=True):
            assert torch.equal(step.prediction, steps[index].prediction)


def test_the_best_frame_is_found_by_the_keypoints_and_started_from(
    scene: Scene, frames: list[np.ndarray], tmp_path: Path
) -> None:
    detector = load_golden(NAME).networks.kp_detector
    with torch.no_grad():
        driving = detector(torch.stack([as_tensor(frame) for frame in frames])).value
        source = detector(as_tensor(scene.source())[None]).value[0]
    distances = [
        (normalized_layout(points) - normalized_layout(source)).norm(dim=1).mean().item()
        for points in driving
    ]
    best = int(np.argmin(distances))
    assert best != 0
    stages = []
    animation = animate_scene(
        animator_of(3),
        scene,
        AnimationOptions(best_frame="auto"),
        result_video=tmp_path / "result.mp4",
        save_frames=tmp_path / "frames",
        progress=lambda *progress: stages.append(progress),
    )
    assert animation.best_frame == best
    assert_same(saved_frames(tmp_path / "frames"), expected(scene, frames, reference=best))
    assert [done for stage, done, _ in stages if stage == "best frame"] == [3, 6, 9, 10]
    assert [done for stage, done, _ in stages if stage == "animate"] == list(range(1, COUNT + 1))
    assert all(total == COUNT for *_, total in stages)


def test_in_the_frame_started_from_the_source_rests_smoothed_or_not(
    scene: Scene, tmp_path: Path
) -> None:
    still = expected(scene, [scene.source()])[0]
    for smooth in (False, True):
        options = AnimationOptions(best_frame=6, smooth=smooth)
        found = saved(scene, tmp_path / f"{smooth}", options)
        assert_same(found[6], still, tolerance=2 * LEVEL)
        assert (found[5] - still).abs().max() > 4 * LEVEL


@pytest.mark.parametrize("stage", ["best frame", "animate"])
@pytest.mark.parametrize("error", [Stopped, KeyboardInterrupt])
def test_what_progress_raises_ends_it_and_leaves_nothing(
    scene: Scene, tmp_path: Path, stage: str, error: type[BaseException]
) -> None:
    folder = tmp_path / "results"
    (folder / "frames").mkdir(parents=True)
    (folder / "result.mp4").write_text("earlier")
    before = files_below(folder)

    def stop(now: str, done: int, total: int) -> None:
        if (now, done) == (stage, 4):
            raise error

    with pytest.raises(error):
        animate_scene(
            animator_of(2),
            scene,
            AnimationOptions(best_frame="auto", side_by_side=True),
            result_video=folder / "result.mp4",
            save_frames=folder / "frames",
            progress=stop,
        )
    assert files_below(folder) == before


def test_a_video_that_is_damaged_in_its_midst_leaves_nothing(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "driving" / "007.png").write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"007\.png"):
        animate_scene(
            animator_of(2), scene, AnimationOptions(), result_video=tmp_path / "out" / "r.mp4"
        )
    assert files_below(tmp_path / "out") == {}


def test_a_result_pasted_back_has_the_size_of_the_picture(
    scene: Scene, frames: list[np.ndarray], tmp_path: Path
) -> None:
    """And the lossless frames are the networks' own."""
    wide = np.full((90, 140, 3), 120, np.uint8)
    wide[10:74, 30:94] = scene.picture
    found = saved(
        scene._replace(picture=wide, box=Box(30, 10, 64, 64)),
        tmp_path,
        AnimationOptions(paste_back=True),
    )
    assert_same(found, expected(scene, frames))
    with open_video(tmp_path / "result.mp4") as video:
        assert (video.height, video.width) == (90, 140)
        shown = list(video)
    middle = np.stack([frame[30:54, 50:74] for frame in shown]) / 255
    truth = found[:, :, 20:44, 20:44].permute(0, 2, 3, 1).numpy()
    assert np.abs(middle - truth).mean() < 0.05
    assert np.abs(shown[5][:8].astype(int) - 120).max() < 6


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (33, 31)])
def test_pictures_of_any_size_move(scene: Scene, tmp_path: Path, size: tuple[int, int]) -> None:
    iio.imwrite(tmp_path / "odd.png", np.full((*size, 3), 77, np.uint8))
    one_frame = write_folder(tmp_path / "one", [np.full((*size, 3), 99, np.uint8)])
    with open_scene(tmp_path / "odd.png", one_frame, frame_shape=SHAPE) as odd:
        options = AnimationOptions(best_frame="auto", smooth=True, side_by_side=True)
        for paste_back in (False, True):
            animation = animate_scene(
                animator_of(),
                odd,
                replace(options, paste_back=paste_back),
                result_video=tmp_path / "odd.mp4",
            )
            height, width = size if paste_back else (192, 192)  # frames that small are enlarged
            even = (height + height % 2, 3 * width + width % 2)
            assert (animation.num_frames, animation.size) == (1, even)
            with open_video(tmp_path / "odd.mp4") as video:
                assert (video.height, video.width) == even
