"""The gallery shows driving video, source and result, of every triple, in step."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands import Finished, run_here
from PIL import Image, ImageSequence
from puppet_sets import PLAN, SIZE, make_set, write_tiny_checkpoint

from engine.video import open_video
from tools import make_gallery
from tools.make_gallery import GAP
from tools.puppets.reading import PuppetSet


@pytest.fixture(scope="module")
def puppets(tmp_path_factory: pytest.TempPathFactory) -> PuppetSet:
    plan = replace(PLAN, train=1, test=1, transfer=2)
    return make_set(tmp_path_factory.mktemp("made") / "puppets", plan)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("run") / "tiny.pth.tar")


def gallery(puppets: PuppetSet, checkpoint: Path, out: Path, *more: object) -> Finished:
    arguments = ("--checkpoint", checkpoint, "--data", puppets.folder, "--out", out)
    return run_here(make_gallery.main, *arguments, *more)


def pages_of(path: Path) -> tuple[list[np.ndarray], list[int]]:
    """The pictures, uint8 (H, W, 3), and how many milliseconds each is shown."""
    with Image.open(path) as image:
        pages = [(np.array(page.convert("RGB")), page) for page in ImageSequence.Iterator(image)]
        return [page for page, _ in pages], [page.info["duration"] for _, page in pages]


def test_columns_are_triples_and_pages_are_frames(
    puppets: PuppetSet, checkpoint: Path, tmp_path: Path
) -> None:
    out = tmp_path / "gallery.webp"
    done = gallery(puppets, checkpoint, out, "--enlarge", 1, "--every", 2)
    assert done.output() == f"{out}: 2 pictures of 2 columns\n"
    pages, durations = pages_of(out)
    assert durations[0] == 80  # every second frame of 25 a second
    step = SIZE + GAP
    assert [page.shape for page in pages] == [(2 * step + SIZE, step + SIZE, 3)] * 2
    for column, triple in enumerate(puppets.triples):
        left = column * step
        with open_video(triple / "driving.png", frame_size=(SIZE, SIZE)) as video:
            driving = list(video)[::2]
        source = np.array(Image.open(triple / "source.png"))
        for page, frame in zip(pages, driving, strict=True):
            shown = page[:, left : left + SIZE].astype(int)
            # WebP is lossy.
            assert np.abs(shown[:SIZE] - frame).mean() < 8
            assert np.abs(shown[step : step + SIZE] - source).mean() < 8
            assert np.abs(shown[2 * step :] - source).mean() > 8  # random weights change it


def test_fewer_columns_and_larger_pictures_as_gif(
    puppets: PuppetSet, checkpoint: Path, tmp_path: Path
) -> None:
    out = tmp_path / "gallery.gif"
    gallery(puppets, checkpoint, out, "--columns", 1, "--enlarge", 3, "--every", 3).output()
    pages, _ = pages_of(out)
    assert [page.shape for page in pages] == [(3 * (3 * SIZE + 2 * GAP), 3 * SIZE, 3)] * 2


def test_bad_arguments_are_answered_in_one_line(
    puppets: PuppetSet, checkpoint: Path, tmp_path: Path
) -> None:
    out = tmp_path / "gallery.webp"
    for more, words in (
        (("--every", 0), "--every 0: must be at least 1"),
        (("--out", tmp_path / "a.mp4"), "a.mp4: cannot write such a file; use .webp, .gif"),
    ):
        assert words in gallery(puppets, checkpoint, out, *more).error()
    bare = make_set(tmp_path / "bare", replace(PLAN, train=1, test=1, transfer=0))
    assert "has no triples" in gallery(bare, checkpoint, out).error()
    assert not out.exists()
