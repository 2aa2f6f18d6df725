"""An Animator moves clips as the networks do frame by frame, in order and in bounded memory."""

from collections.abc import Iterable, Iterator
from itertools import zip_longest

import pytest
import torch
from by_hand import ABSOLUTE, RELATIVE, SCALED, animated, assert_same
from golden_files import NAMES, Golden, load_golden
from torch import Tensor

from engine.animator import Animator
from engine.evaluation import rebuild
from modules.keypoints import MotionTransfer

NUM_FRAMES = 10  # no multiple of the batch sizes below
EXACT = 2e-5
JACOBIAN, ZERO_ORDER = "small-jacobian", "small-zero-order"


def animator_of(golden: Golden, *, batch_size: int = 4) -> Animator:
    return Animator(
        kp_detector=golden.networks.kp_detector,
        generator=golden.networks.generator,
        device=torch.device("cpu"),
        batch_size=batch_size,
    )


def driving_clip(golden: Golden, *, count: int = NUM_FRAMES, seed: int = 0) -> list[Tensor]:
    """Frames between the golden driving frames, all different, in no order: (C, H, W) each."""
    start, end = golden.tensor("driving_initial")[seed], golden.tensor("driving")[seed]
    shares = torch.rand(count, generator=torch.Generator().manual_seed(seed)).tolist()
    return [start.lerp(end, share) for share in shares]


@pytest.fixture(params=NAMES)
def golden(request: pytest.FixtureRequest) -> Golden:
    return load_golden(request.param)


@pytest.mark.parametrize("batch_size", [1, 3, 4, 8])
@pytest.mark.parametrize("options", [ABSOLUTE, RELATIVE, SCALED])
def test_every_batch_size_gives_each_frame_its_own_prediction(
    batch_size: int, options: MotionTransfer
) -> None:
    golden = load_golden(JACOBIAN)
    picture, driving = golden.tensor("source")[0], driving_clip(golden)
    animator = animator_of(golden, batch_size=batch_size)
    found = list(animator.animate(animator.encode(picture), driving, options))
    assert_same(
        torch.stack(found),
        animated(golden.networks, picture, driving, options),
        tolerance=EXACT,
    )
    assert all(frame.device.type == "cpu" and frame.is_contiguous() for frame in found)


def test_encoding_once_equals_the_whole_pass(golden: Golden) -> None:
    """And the golden numbers with it."""
    picture = golden.tensor("source")[0]
    driving = [golden.tensor("driving_initial")[0], golden.tensor("driving")[0]]
    animator = animator_of(golden)
    source = animator.encode(picture)
    cases = {
        "prediction": ABSOLUTE,
        "prediction_relative_adapt0": RELATIVE,
        "prediction_relative_adapt1": SCALED,
    }
    for key, options in cases.items():
        _, found = animator.animate(source, driving, options)
        assert_same(found, golden.tensor(f"eval/{key}")[0], tolerance=1e-4)


def test_the_reference_is_the_frame_that_is_named() -> None:
    golden = load_golden(JACOBIAN)
    picture, driving = golden.tensor("source")[0], driving_clip(golden)
    animator = animator_of(golden, batch_size=3)
    first = animated(golden.networks, picture, driving, SCALED)
    for number in (1, 7):
        found = animator.animate(
            animator.encode(picture), driving, SCALED, reference=animator.detect(driving[number])
        )
        expected = animated(golden.networks, picture, driving, SCALED, reference=number)
        assert_same(torch.stack(list(found)), expected, tolerance=EXACT)
        assert (expected - first).abs().max() > 0.01


def test_clips_that_take_turns_do_not_disturb_each_other() -> None:
    golden = load_golden(JACOBIAN)
    animator = animator_of(golden, batch_size=3)
    clips = [driving_clip(golden, count=count, seed=seed) for seed, count in enumerate((10, 7))]
    pictures = list(golden.tensor("source"))
    running = [
        animator.animate(animator.encode(picture), clip, RELATIVE)
        for picture, clip in zip(pictures, clips, strict=True)
    ]
    found: list[list[Tensor]] = [[], []]
    for turn in zip_longest(*running):
        for frames, frame in zip(found, turn, strict=True):
            frames += [] if frame is None else [frame]
    for frames, picture, clip in zip(found, pictures, clips, strict=True):
        expected = animated(golden.networks, picture, clip, RELATIVE)
        assert_same(torch.stack(frames), expected, tolerance=EXACT)


class Watched:
    """Frames that count how many were asked for."""

    def __init__(self, frames: Iterable[Tensor]) -> None:
        self.frames = iter(frames)
        self.given = 0

    def __iter__(self) -> Iterator[Tensor]:
        return self

    def __next__(self) -> Tensor:
        frame = next(self.frames)
        self.given += 1
        return frame


@pytest.mark.parametrize("batch_size", [1, 3])
def test_frames_are_read_as_they_are_needed(batch_size: int) -> None:
    golden = load_golden(ZERO_ORDER)
    animator = animator_of(golden, batch_size=batch_size)
    source = animator.encode(golden.tensor("source")[0])
    for make in (
        lambda frames: animator.animate(source, frames, RELATIVE),
        animator.reconstruct,
        lambda frames: rebuild(animator, frames),
    ):
        frames = Watched(driving_clip(golden))
        predictions = make(frames)
        assert frames.given == 0
        for count, _ in enumerate(predictions):
            assert frames.given - count <= batch_size
        assert count + 1 == frames.given == NUM_FRAMES


def test_no_frames_give_no_predictions() -> None:
    golden = load_golden(ZERO_ORDER)
    animator = animator_of(golden)
    source = animator.encode(golden.tensor("source")[0])
    assert list(animator.animate(source, [], RELATIVE)) == []
    assert list(animator.reconstruct([])) == []
    assert list(rebuild(animator, iter([]))) == []


def test_a_video_is_rebuilt_from_its_first_frame(golden: Golden) -> None:
    video = driving_clip(golden)
    expected = animated(golden.networks, video[0], video, ABSOLUTE)
    found = torch.stack(list(animator_of(golden, batch_size=3).reconstruct(iter(video))))
    assert_same(found, expected, tolerance=EXACT)


def test_networks_are_left_without_gradients_and_in_eval_mode() -> None:
    golden = load_golden(ZERO_ORDER)
    for network in golden.networks:
        network.train()
    statistics = golden.networks.generator.state_dict()
    before = {key: value.clone() for key, value in statistics.items()}
    animator = animator_of(golden)
    video = driving_clip(golden, count=2)
    frames = list(animator.reconstruct(video))
    assert not any(frame.requires_grad for frame in frames)
    assert all(torch.equal(value, before[key]) for key, value in statistics.items())


# ----- rebuilding


def test_each_frame_is_rebuilt_beside_the_truth_and_the_first() -> None:
    golden = load_golden(ZERO_ORDER)
    video = driving_clip(golden)
    rebuilt = list(rebuild(animator_of(golden, batch_size=3), iter(video)))
    expected = animated(golden.networks, video[0], video, ABSOLUTE)
    for frame, truth, prediction in zip(rebuilt, video, expected, strict=True):
        assert torch.equal(frame.truth, truth)
        assert torch.equal(frame.first, video[0])
        assert_same(frame.prediction, prediction, tolerance=EXACT)
