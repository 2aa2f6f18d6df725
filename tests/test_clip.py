"""A test or driving video, frame by frame, as the networks see it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from flat_videos import (
    FRAME_SHAPE,
    NUM_FRAMES,
    SIZE,
    frame_number,
    make_frames,
    write_folder,
    write_gif,
    write_mp4,
    write_stack,
)

from engine.clip import open_clip
from engine.errors import UserError
from engine.video import UnreadableVideo


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
    height = SIZE if write is write_stack else 8
    with open_clip(path, frame_shape=(height, SIZE, 3)) as clip:
        assert clip.name == name
        assert clip.fps > 0
        assert clip.num_frames == NUM_FRAMES
        for _ in range(2):
            images = list(clip)
            assert [frame_number(image) for image in images] == list(range(NUM_FRAMES))
        assert all(image.shape == (3, height, SIZE) for image in images)
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
