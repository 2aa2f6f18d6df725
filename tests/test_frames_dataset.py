"""Videos on disk -> training pairs, test videos, animation pairs."""

from __future__ import annotations

import csv
import gc
import logging
import pickle
import random
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

import frames_dataset
from engine.clip import open_clip
from engine.errors import UserError
from engine.video import UnreadableVideo, VideoWriter
from frames_dataset import (
    AnimationPair,
    DatasetRepeater,
    FramePair,
    PairedDataset,
    TrainingPairs,
    list_videos,
    split_videos,
)

SIZE = 16
FRAME_SHAPE = (SIZE, SIZE, 3)
NUM_FRAMES = 6


def make_frames(clip: int = 0, num_frames: int = NUM_FRAMES) -> list[np.ndarray]:
    """Flat frames: red is 40 * the frame's number, green 10 * the clip's, blue 0."""
    colours = [(40 * t, 10 * clip, 0) for t in range(num_frames)]
    return [np.full((SIZE, SIZE, 3), colour, dtype=np.uint8) for colour in colours]


def write_stack(path: Path, frames: list[np.ndarray], mode: str = "RGB") -> Path:
    Image.fromarray(np.concatenate(frames, axis=1)).convert(mode).save(path)
    return path


def write_folder(path: Path, frames: list[np.ndarray]) -> Path:
    path.mkdir()
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(path / f"{index:04d}.png")
    return path


def write_gif(path: Path, frames: list[np.ndarray]) -> Path:
    images = [Image.fromarray(frame) for frame in frames]
    images[0].save(path, save_all=True, append_images=images[1:], duration=100)
    return path


def write_mp4(path: Path, frames: list[np.ndarray]) -> Path:
    with VideoWriter(path, fps=Fraction(10)) as writer:
        for frame in frames:
            writer.write(frame)
    return path


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


def frame_number(image: Tensor) -> int:
    return round(float(image[0].mean()) * 255 / 40)


def clip_number(image: Tensor) -> int:
    return round(float(image[1].mean()) * 255 / 10)


def numbers(pair: FramePair) -> tuple[int, int, int]:
    """Which clip, which source frame, which driving frame."""
    assert clip_number(pair.source) == clip_number(pair.driving)
    return clip_number(pair.source), frame_number(pair.source), frame_number(pair.driving)


def epoch_of(dataset: TrainingPairs | DatasetRepeater) -> list[tuple[int, int, int]]:
    return [numbers(dataset[index]) for index in range(len(dataset))]


# ----- which videos


def test_videos_are_listed_by_name_whatever_the_order_on_disk(tmp_path: Path) -> None:
    for name in ("c.png", "a.gif", "b.mp4", ".hidden.png", "notes.txt", "pairs.csv"):
        (tmp_path / name).touch()
    write_folder(tmp_path / "aa", make_frames())
    write_folder(tmp_path / ".cache", make_frames())
    assert [video.name for video in list_videos(tmp_path)] == ["a.gif", "aa", "b.mp4", "c.png"]


def test_a_missing_or_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere: no such folder.*root_dir"):
        list_videos(tmp_path / "nowhere")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError, match=r"holds no videos"):
        list_videos(tmp_path)


def test_train_and_test_folders_are_used_where_they_exist(tmp_path: Path) -> None:
    for side, name in (("train", "a.png"), ("test", "b.png")):
        (tmp_path / side).mkdir()
        (tmp_path / side / name).touch()
    assert split_videos(tmp_path, "train", id_sampling=False) == [tmp_path / "train" / "a.png"]
    assert split_videos(tmp_path, "test", id_sampling=False) == [tmp_path / "test" / "b.png"]


def test_one_folder_alone_serves_its_side_and_is_no_video_of_the_other(tmp_path: Path) -> None:
    write_folder(tmp_path / "train", make_frames())
    assert len(split_videos(tmp_path, "train", id_sampling=False)) == NUM_FRAMES
    with pytest.raises(UserError, match=r"test: no such folder beside train/"):
        split_videos(tmp_path, "test", id_sampling=False)


def names_of_split(root: Path, *, id_sampling: bool = False) -> tuple[list[str], list[str]]:
    train = split_videos(root, "train", id_sampling=id_sampling)
    test = split_videos(root, "test", id_sampling=id_sampling)
    return [video.name for video in train], [video.name for video in test]


def test_the_split_depends_on_names_alone(tmp_path: Path) -> None:
    names = [f"{number:02d}.png" for number in range(20)]
    for folder, order in (("one", names), ("two", names[::-1])):
        (tmp_path / folder).mkdir()
        for name in order:
            (tmp_path / folder / name).touch()
    np.random.seed(1)  # noqa: NPY002
    train, test = names_of_split(tmp_path / "one")
    np.random.seed(2)  # noqa: NPY002
    assert names_of_split(tmp_path / "two") == (train, test)
    assert (len(train), len(test)) == (16, 4)
    assert sorted(train + test) == names
    assert train == sorted(train)
    assert test not in (names[:4], names[-4:])


def test_the_split_does_not_trust_the_order_of_the_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        (tmp_path / f"{number:02d}.png").touch()
    expected = names_of_split(tmp_path)
    files = sorted(tmp_path.iterdir(), key=lambda path: path.name[::-1])
    monkeypatch.setattr(Path, "iterdir", lambda self: iter(files))
    assert names_of_split(tmp_path) == expected


@pytest.mark.parametrize("count", [2, 3, 4, 7])
def test_both_sides_of_a_split_hold_something(tmp_path: Path, count: int) -> None:
    for number in range(count):
        (tmp_path / f"{number}.png").touch()
    train, test = names_of_split(tmp_path)
    assert train and test
    assert len(train) + len(test) == count


def test_one_video_cannot_be_split(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(UserError, match=r"holds one video.*needs two"):
        split_videos(tmp_path, "train", id_sampling=False)


def test_no_identity_stands_on_both_sides(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"id{number % 10}#{number}.mp4").touch()
    train, test = names_of_split(tmp_path, id_sampling=True)
    train_ids = {name.split("#")[0] for name in train}
    test_ids = {name.split("#")[0] for name in test}
    assert (len(train_ids), len(test_ids)) == (8, 2)
    assert not train_ids & test_ids
    assert len(train) + len(test) == 30


def test_one_identity_cannot_be_split(tmp_path: Path) -> None:
    for name in ("a#1.mp4", "a#2.mp4"):
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=r"holds one id"):
        split_videos(tmp_path, "test", id_sampling=True)


# ----- training pairs


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

    def refuse(path: Path, *, frame_width: int) -> None:
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

    def counted(path: Path, *, frame_width: int) -> object:
        opened.append(path)
        return original(path, frame_width=frame_width)

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


# ----- test videos


@pytest.mark.parametrize(
    ("file", "name", "write"),
    [
        ("id1#a.mp4", "id1#a", write_mp4),
        ("a.b.gif", "a.b", write_gif),
        ("v1.2", "v1.2", write_folder),
        ("v.mp4", "v", write_folder),
        ("stack.png", "stack", write_stack),
    ],
)
def test_a_clip_streams_its_frames_at_the_size_asked_for(
    tmp_path: Path, file: str, name: str, write: Callable[[Path, list[np.ndarray]], Path]
) -> None:
    path = write(tmp_path / file, make_frames())
    with open_clip(path, frame_shape=(8, SIZE, 3)) as clip:
        assert clip.name == name
        assert clip.fps > 0
        assert clip.num_frames == NUM_FRAMES
        for _ in range(2):
            images = list(clip)
            assert [frame_number(image) for image in images] == list(range(NUM_FRAMES))
        assert all(image.shape == (3, 8, SIZE) for image in images)
        assert all(image.dtype == torch.float32 for image in images)
        for index in (0, 4):
            assert torch.equal(clip.frame(index), images[index])
        for index in (-1, NUM_FRAMES):
            with pytest.raises(UserError, match=f"frame {index} is not among its 6 frames"):
                clip.frame(index)


def test_a_clip_decodes_no_frame_before_it_is_asked_for(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "clip", make_frames())
    (path / "0003.png").write_bytes(b"damaged")
    with open_clip(path, frame_shape=FRAME_SHAPE) as clip:
        images = iter(clip)
        assert [frame_number(next(images)) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(UnreadableVideo, match=r"0003\.png"):
            next(images)


# ----- animation pairs


def paths(*names: str) -> list[Path]:
    return [Path("test") / name for name in names]


def write_csv(path: Path, header: list[str], *rows: Sequence[object]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def pairs_of(dataset: PairedDataset) -> list[AnimationPair]:
    return [dataset[index] for index in range(len(dataset))]


def test_random_pairs_are_different_pairs_of_different_videos() -> None:
    videos = paths("a.mp4", "b.mp4", "c.mp4", "d.mp4")
    pairs = pairs_of(PairedDataset(videos, num_pairs=7, pairs_list=None, seed=0))
    assert len(pairs) == len(set(pairs)) == 7
    assert all(pair.source != pair.driving and pair.frame == 0 for pair in pairs)
    again = PairedDataset(videos[::-1], num_pairs=7, pairs_list=None, seed=0)
    assert pairs_of(again) == pairs
    other = PairedDataset(videos, num_pairs=7, pairs_list=None, seed=1)
    assert pairs_of(other) != pairs


def test_there_are_at_most_all_possible_random_pairs() -> None:
    videos = paths("a.mp4", "b.mp4", "c.mp4")
    pairs = pairs_of(PairedDataset(videos, num_pairs=50, pairs_list=None, seed=0))
    assert {(pair.source, pair.driving) for pair in pairs} == {
        (source, driving) for source in videos for driving in videos if source != driving
    }
    assert len(pairs) == 6


def test_a_single_video_drives_itself() -> None:
    (video,) = paths("a.mp4")
    dataset = PairedDataset([video], num_pairs=50, pairs_list=None, seed=0)
    assert pairs_of(dataset) == [AnimationPair(video, video, 0)]


def test_listed_pairs_come_in_order_with_names_with_or_without_endings(tmp_path: Path) -> None:
    a, b, folder = videos = paths("id1#a.mp4", "id2#b.mp4", "v1.2")
    pairs_list = write_csv(
        tmp_path / "pairs.csv",
        ["", "distance", "source", "driving", "frame"],
        [0, 0.5, "id2#b.mp4", "id1#a.mp4", 17],
        [1, 0.5, "id2#b", "missing.mp4", 3],
        [2, 0.5, "id1#a", "v1.2.mp4", ""],
        [3, 0.5, "v1.3", "id1#a.mp4", 0],
        [4, 0.5, "v1.2", "id2#b.gif", 2],
    )
    expected = [AnimationPair(b, a, 17), AnimationPair(a, folder, 0), AnimationPair(folder, b, 2)]
    for num_pairs, count in ((50, 3), (2, 2), (1, 1)):
        dataset = PairedDataset(videos, num_pairs=num_pairs, pairs_list=pairs_list, seed=0)
        assert pairs_of(dataset) == expected[:count]


def test_a_full_name_in_a_list_goes_before_one_without_its_ending(tmp_path: Path) -> None:
    gif, mp4 = paths("a.gif", "a.mp4")
    rows = [["a.gif", "a.mp4"], ["a.mp4", "a.gif"]]
    pairs_list = write_csv(tmp_path / "pairs.csv", ["source", "driving"], *rows)
    dataset = PairedDataset([gif, mp4], num_pairs=5, pairs_list=pairs_list, seed=0)
    assert pairs_of(dataset) == [AnimationPair(gif, mp4, 0), AnimationPair(mp4, gif, 0)]


def test_the_frame_column_may_be_absent(tmp_path: Path) -> None:
    a, b = paths("a.mp4", "b.mp4")
    pairs_list = write_csv(tmp_path / "pairs.csv", ["source", "driving"], ["a", "b"], ["a"])
    dataset = PairedDataset([a, b], num_pairs=5, pairs_list=pairs_list, seed=0)
    assert pairs_of(dataset) == [AnimationPair(a, b, 0)]


def test_a_list_that_is_no_use_is_named(tmp_path: Path) -> None:
    videos = paths("a.mp4", "b.mp4")

    def read(pairs_list: Path) -> PairedDataset:
        return PairedDataset(videos, num_pairs=5, pairs_list=pairs_list, seed=0)

    with pytest.raises(UserError, match=r"nowhere\.csv: .*pairs_list"):
        read(tmp_path / "nowhere.csv")
    with pytest.raises(UserError, match=r"no\.csv: no column driving"):
        read(write_csv(tmp_path / "no.csv", ["distance", "source"], [1, "a"]))
    with pytest.raises(UserError, match=r"other\.csv: no row names two of the 2 test videos"):
        read(write_csv(tmp_path / "other.csv", ["source", "driving"], ["c", "d"]))
    with pytest.raises(UserError, match=r"odd\.csv:3: frame '-1'"):
        header = ["source", "driving", "frame"]
        read(write_csv(tmp_path / "odd.csv", header, ["a", "b", 1], ["a", "b", -1]))
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x81source")
    with pytest.raises(UserError, match=r"binary\.csv: not a readable CSV"):
        read(tmp_path / "binary.csv")
