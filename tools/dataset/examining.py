"""What is the matter with each video of a dataset."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal, NamedTuple

from engine.video import UnreadableVideo, VideoReader, open_video
from engine.video_reader import image_files, natural_key

_GLANCES = 6  # frames of a video that a quick look reads, its ends among them
_HEAD = 2**16  # bytes at each end of a file that tell it from others of its length

State = Literal["of use", "broken midway", "of one frame", "unreadable"]


class Finding(NamedTuple):
    """What one video is.

    Attributes:
        size: (H, W) of its frames; (0, 0) where it cannot be opened.
        num_frames: as many as it promises.
        state: whether all of it is of use, or what is the matter.
        reason: the words for that; empty for what is of use.
        flaws: what is wrong with frames that can be read nevertheless.
        digest: equal for copies of one file or folder, and hardly for anything else.
    """

    video: Path
    size: tuple[int, int] = (0, 0)
    num_frames: int = 0
    state: State = "of use"
    reason: str = ""
    flaws: tuple[str, ...] = ()
    digest: str = ""


def examine(video: Path, *, frame_size: tuple[int, int], quick: bool) -> Finding:
    """Open a video and decode all of its frames, or for a quick look some."""
    try:
        with open_video(video, frame_size=frame_size) as reader:
            found = Finding(
                video, (reader.height, reader.width), reader.num_frames, digest=digest_of(video)
            )
            if reader.num_frames < 2:
                reason = f"{video}: has one frame, a training pair takes two; remove it"
                return found._replace(state="of one frame", reason=reason)
            try:
                return found._replace(flaws=tuple(_look(reader, quick=quick)))
            except UnreadableVideo as error:
                return found._replace(state="broken midway", reason=str(error))
    except UnreadableVideo as error:
        return Finding(video, state="unreadable", reason=str(error))
    except OSError as error:
        return Finding(video, state="unreadable", reason=f"{video}: {error.strerror}")


def _look(reader: VideoReader, *, quick: bool) -> list[str]:
    """Decode frames; what is wrong with them though they can be read."""
    if not quick:
        return reader.flaws()
    steps = range(_GLANCES)
    reader.frames([step * (reader.num_frames - 1) // (_GLANCES - 1) for step in steps])
    return []


def digest_of(video: Path) -> str:
    """Tell copies by the length and the ends of a file; in a folder by all lengths, and its first.

    Raises OSError if a file may not be read.
    """
    files = sorted(image_files(video), key=natural_key) if video.is_dir() else [video]
    digest = hashlib.sha256(str([file.stat().st_size for file in files]).encode())
    with files[0].open("rb") as file:
        digest.update(file.read(_HEAD))
        file.seek(max(0, files[0].stat().st_size - _HEAD))
        digest.update(file.read(_HEAD))
    return digest.hexdigest()
