"""Training pairs: two frames of one video, drawn alike with any number of workers."""

from __future__ import annotations

import gc
import logging
import pickle
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from flat_videos import (
    FRAME_SHAPE,
    NUM_FRAMES,
    SIZE,
    clip_number,
    frame_number,
    make_frames,
    write_folder,
    write_gif,
    write_mp4,
    write_stack,
)
from PIL import Image
from torch.utils.data import DataLoader

import frames_dataset
from engine.errors import UserError
from engine.video import UnreadableVideo
from frames_dataset import DatasetRepeater, FramePair, PairedDataset, TrainingPairs


def make_dataset(
    videos: list[Path],
    *,
    id_sampling: bool = False,
    frame_shape: tuple[int, int, int] = FRAME_SHAPE,
    augmentation: frames_dataset.Augmentation | None = None,
    seed: int = 0,
) -> TrainingPairs:
    return TrainingPairs(
        videos,
        frame_shape=frame_shape,
        id_sampling=id_sampling,
        augmentation=augmentation,
        seed=seed,
    )


@pytest.fixture
def stacks(tmp_path: Path) -> list[Path]:
    """Three stacks, 00.png to 02.png, whose frames tell which they are."""
    return [write_stack(tmp_path / f"{clip:02d}.png", make_frames(clip)) for clip in range(3)]


def numbers(pair: FramePair) -> tuple[int, int, int]:
    """Which clip, which source frame, which driving frame."""
    assert clip_number(pair.source) == clip_number(pair.driving)
    return clip_number(pair.source), frame_number(pair.source), frame_number(pair.driving)


def epoch_of(dataset: TrainingPairs | DatasetRepeater) -> list[tuple[int, int, int]]:
    return [numbers(dataset[index]) for index in range(len(dataset))]


def write_rgba(path: Path, frames: list[np.ndarray]) -> Path:
    return write_stack(path.with_suffix(".png"), frames, mode="RGBA")


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("clip.mp4", write_mp4),
        ("clip.gif", write_gif),
        ("clip", write_folder),
        ("clip.png", write_stack),
        ("rgba.png", write_rgba),
    ],
)
def test_every_format_gives_two_different_frames(
    tmp_path: Path, name: str, write: Callable[[Path, list[np.ndarray]], Path]
) -> None:
    dataset = DatasetRepeater(make_dataset([write(tmp_path / name, make_frames())]), 40)
    seen = set()
    for pair in (dataset[index] for index in range(40)):
        for image in (pair.source, pair.driving):
            assert image.shape == (3, SIZE, SIZE)
            assert image.dtype == torch.float32
            assert image.min() >= 0 and image.max() <= 1
            assert abs(image[0].mean() * 255 - 40 * frame_number(image)) < 6
            assert image[2].max() * 255 < 8
        seen.add((frame_number(pair.source), frame_number(pair.driving)))
        assert pair.skipped == 0
    assert all(source != driving for source, driving in seen)
    assert {frame for pair in seen for frame in pair} == set(range(NUM_FRAMES))
    assert any(source > driving for source, driving in seen)
    assert any(source < driving for source, driving in seen)


def test_a_greyscale_stack_comes_as_three_equal_channels(tmp_path: Path) -> None:
    dataset = make_dataset([write_stack(tmp_path / "a.png", make_frames(), mode="L")])
    source = dataset[0].source
    assert source.shape == (3, SIZE, SIZE)
    assert torch.equal(source[0], source[1]) and torch.equal(source[0], source[2])


def test_frames_are_resized_before_the_augmentation(tmp_path: Path) -> None:
    shapes: list[tuple[tuple[int, ...], np.dtype]] = []

    def look(frames: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
        shapes.extend((frame.shape, frame.dtype) for frame in frames)
        return frames

    videos = [
        write_folder(tmp_path / "a", make_frames()),
        write_gif(tmp_path / "b.gif", make_frames()),
    ]
    dataset = make_dataset(videos, frame_shape=(8, 12, 3), augmentation=look)
    for index in range(2):
        assert dataset[index].source.shape == dataset[index].driving.shape == (3, 8, 12)
    assert set(shapes) == {((8, 12, 3), np.dtype(np.uint8))}


def test_the_augmentation_gets_both_frames_and_the_generator_of_the_item(
    stacks: list[Path],
) -> None:
    def swap_and_mark(frames: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
        source, driving = (frame.copy() for frame in frames)
        driving[..., 2] = rng.integers(100, 256)
        return [driving, source]

    plain, changed = make_dataset(stacks), make_dataset(stacks, augmentation=swap_and_mark)
    for index in range(3):
        assert numbers(plain[index])[1:] == numbers(changed[index])[:0:-1]
        assert changed[index].source[2].min() > changed[index].driving[2].max()
    assert torch.equal(changed[0].source, changed[0].source)
    assert changed[0].source[2, 0, 0] != changed[1].source[2, 0, 0]


def test_an_item_follows_from_seed_epoch_repeat_and_index(stacks: list[Path]) -> None:
    repeated = DatasetRepeater(make_dataset(stacks), 8)
    first = epoch_of(repeated)
    assert epoch_of(repeated) == first
    assert epoch_of(DatasetRepeater(make_dataset(stacks), 8)) == first
    assert epoch_of(DatasetRepeater(make_dataset(stacks, seed=1), 8)) != first
    repeated.set_epoch(1)
    assert epoch_of(repeated) != first
    repeated.set_epoch(0)
    assert epoch_of(repeated) == first


def test_every_pair_of_different_frames_is_equally_likely(stacks: list[Path]) -> None:
    seen = Counter(epoch_of(DatasetRepeater(make_dataset(stacks[:1]), 3000)))
    assert len(seen) == NUM_FRAMES * (NUM_FRAMES - 1)
    assert min(seen.values()) > 60
    assert max(seen.values()) < 140


def test_a_repeater_walks_over_all_videos_each_time_with_fresh_draws(stacks: list[Path]) -> None:
    repeated = DatasetRepeater(make_dataset(stacks), 30)
    assert len(repeated) == 90
    items = epoch_of(repeated)
    assert [clip for clip, *_ in items] == [0, 1, 2] * 30
    assert len(set(items[::3])) > 10
    with pytest.raises(IndexError):
        repeated[90]


def test_an_epoch_with_id_sampling_walks_over_ids(tmp_path: Path) -> None:
    names = ["a#x.png", "a#y.png", "b.png", "c#x.png"]
    videos = [write_stack(tmp_path / name, make_frames(i)) for i, name in enumerate(names)]
    dataset = make_dataset(videos, id_sampling=True)
    assert len(dataset) == 3
    drawn = []
    for epoch in range(40):
        dataset.set_epoch(epoch)
        drawn.append([clip for clip, *_ in epoch_of(dataset)])
    of_a, of_b, of_c = (set(column) for column in zip(*drawn, strict=True))
    assert (of_a, of_b, of_c) == ({0, 1}, {2}, {3})
    assert 8 < sum(clips[0] for clips in drawn) < 32
    assert len(make_dataset(videos, id_sampling=False)) == 4


def batches(dataset: TrainingPairs | DatasetRepeater, num_workers: int) -> list[FramePair]:
    return list(DataLoader(dataset, batch_size=4, num_workers=num_workers))


def noise(frames: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    return [rng.integers(0, 256, frame.shape, dtype=np.uint8) for frame in frames]


def test_batches_do_not_depend_on_the_number_of_workers(stacks: list[Path]) -> None:
    stacks[1].write_bytes(b"damaged")
    repeated = DatasetRepeater(make_dataset(stacks, augmentation=noise), 3)
    alone, shared = batches(repeated, 0), batches(repeated, 2)
    assert len(alone) == len(shared) == 3
    for one, other in zip(alone, shared, strict=True):
        assert isinstance(other, FramePair)
        assert other.source.shape[1:] == (3, SIZE, SIZE)
        assert torch.equal(one.source, other.source)
        assert torch.equal(one.driving, other.driving)
        assert torch.equal(torch.as_tensor(one.skipped), torch.as_tensor(other.skipped))


def test_set_epoch_reaches_workers_that_stay(stacks: list[Path]) -> None:
    repeated = DatasetRepeater(make_dataset(stacks, augmentation=noise), 2)
    loader = DataLoader(repeated, batch_size=6, num_workers=1, persistent_workers=True)
    seen = []
    for epoch in (0, 1, 0):
        repeated.set_epoch(epoch)
        (batch,) = loader
        assert torch.equal(batch.source[0], repeated[0].source)
        seen.append(batch.source)
    assert torch.equal(seen[0], seen[2])
    assert not torch.equal(seen[0], seen[1])


def test_a_worker_never_frees_what_its_parent_decoded(tmp_path: Path) -> None:
    def collect(frames: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
        gc.collect()
        return frames

    video = write_mp4(tmp_path / "a.mp4", make_frames())
    gc.disable()
    try:
        make_dataset([video])[0]
        loader = DataLoader(make_dataset([video], augmentation=collect), num_workers=1, timeout=20)
        assert len(list(loader)) == 1
    finally:
        gc.enable()


def test_a_dataset_can_be_sent_to_a_worker_that_is_spawned(stacks: list[Path]) -> None:
    dataset = make_dataset(stacks)
    copy = pickle.loads(pickle.dumps(dataset))
    assert epoch_of(copy) == epoch_of(dataset)


def test_what_cannot_be_used_is_skipped_counted_and_warned_of_once(
    stacks: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    stacks[1].write_bytes(b"damaged")
    one_frame = write_stack(stacks[0].with_name("short.png"), make_frames(5, num_frames=1))
    repeated = DatasetRepeater(make_dataset([*stacks, one_frame]), 20)
    with caplog.at_level(logging.WARNING):
        pairs = [repeated[index] for index in range(len(repeated))]
    assert all(clip_number(pair.source) in (0, 2) for pair in pairs)
    assert all(pair.skipped == 0 for pair in pairs[0::4] + pairs[2::4])
    assert {pair.skipped for pair in pairs[1::4]} == {1, 2}
    assert {clip_number(pair.source) for pair in pairs[1::4]} == {0, 2}
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 2
    assert any("01.png" in warning for warning in warnings)
    assert any("short.png: has one frame" in warning for warning in warnings)


def test_a_still_among_videos_is_skipped_and_named(
    stacks: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    """Of another height than a frame, it is none of frames side by side."""
    still = stacks[0].with_name("still.jpg")
    Image.new("RGB", (5 * SIZE, 3 * SIZE)).save(still)
    repeated = DatasetRepeater(make_dataset([still, stacks[1]]), 5)
    assert {clip for clip, *_ in epoch_of(repeated)} == {1}
    assert [f"{still}: a still picture" in text for text in caplog.messages] == [True]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_if_nothing_can_be_used_one_line_says_so(tmp_path: Path, num_workers: int) -> None:
    videos = [tmp_path / f"{number}.mp4" for number in range(3)]
    for video in videos:
        video.write_bytes(b"damaged")
    items = iter(DataLoader(make_dataset(videos), batch_size=3, num_workers=num_workers))
    with pytest.raises(UserError) as caught:
        next(items)
    assert next(items, None) is None  # else torch waits seconds for the worker to leave
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}: no training video can be used, 3 of 3 were tried")
    assert ".mp4: " in message.removeprefix(str(tmp_path))
    assert "\n" not in message


def test_tries_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []

    def refuse(path: Path, *, frame_size: tuple[int, int]) -> None:
        opened.append(path)
        raise UnreadableVideo(f"{path}: refused")

    monkeypatch.setattr(frames_dataset, "open_video", refuse)
    with pytest.raises(UserError, match=r"100 of 500 were tried"):
        make_dataset([tmp_path / f"{number}.mp4" for number in range(500)])[0]
    assert len(opened) == len(set(opened)) == 100


def test_a_stack_of_another_width_is_reported(stacks: list[Path]) -> None:
    with pytest.raises(UserError, match=r"frame_shape"):
        make_dataset(stacks, frame_shape=(SIZE, SIZE + 3, 3))[0]


def count_openings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    opened: list[Path] = []
    original = frames_dataset.open_video

    def counted(path: Path, *, frame_size: tuple[int, int]) -> object:
        opened.append(path)
        return original(path, frame_size=frame_size)

    monkeypatch.setattr(frames_dataset, "open_video", counted)
    return opened


def test_only_clips_without_random_access_are_remembered(
    stacks: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    gif = write_gif(stacks[0].with_name("a.gif"), make_frames(3))
    folder = write_folder(stacks[0].with_name("b.gif"), make_frames(4))
    videos = [*stacks, gif, folder]
    opened = count_openings(monkeypatch)
    items = epoch_of(DatasetRepeater(make_dataset(videos), 5))
    assert opened == [*videos, folder, folder, folder, folder]
    assert items[:5] == epoch_of(make_dataset(videos))


def test_the_memory_of_decoded_clips_is_bounded_and_drops_the_oldest(
    stacks: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    clip_bytes = NUM_FRAMES * SIZE * SIZE * 3
    monkeypatch.setattr(frames_dataset, "_CACHE_BYTES", 2 * clip_bytes)
    opened = count_openings(monkeypatch)
    dataset = make_dataset(stacks)
    for index in (0, 1, 0, 2, 0, 1):
        dataset[index]
    assert [int(path.stem) for path in opened] == [0, 1, 2, 1]

    opened.clear()
    long = write_stack(stacks[0].with_name("03.png"), make_frames(num_frames=3 * NUM_FRAMES))
    dataset = make_dataset([*stacks, long])
    for index in (0, 3, 3, 0):
        dataset[index]
    assert [int(path.stem) for path in opened] == [0, 3, 3]


def test_an_augmentation_that_writes_into_its_frames_spoils_no_later_item(
    stacks: list[Path],
) -> None:
    seen: list[int] = []

    def paint(frames: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
        seen.extend(int(frame[0, 0, 2]) for frame in frames)
        for frame in frames:
            frame[:] = 255
        return frames

    repeated = DatasetRepeater(make_dataset(stacks, augmentation=paint), 10)
    for index in range(len(repeated)):
        repeated[index]
    assert set(seen) == {0}


def test_no_global_random_state_is_read_or_changed(stacks: list[Path]) -> None:
    def states() -> tuple[str, str, list[int]]:
        numpy_state = str(np.random.get_state())  # noqa: NPY002
        return str(random.getstate()), numpy_state, torch.get_rng_state().tolist()

    before = states()
    first = epoch_of(make_dataset(stacks))
    PairedDataset(stacks, num_pairs=2, pairs_list=None, seed=0)
    assert states() == before
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch.initial_seed() + 1)
        assert epoch_of(make_dataset(stacks)) == first
