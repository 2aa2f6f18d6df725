"""Videos of every kind: what is one, and opening it. Callers find all names of the job here."""

from __future__ import annotations

import os
import re
from pathlib import Path

from engine.animations import AnimationReader, GifReader
from engine.compressed_video import CompressedReader
from engine.errors import UserError
from engine.file_kind import file_kind
from engine.heif import heif_kind
from engine.image import (
    IMAGE_SUFFIXES,
    is_animated,
    open_picture,
    read_image,
    resize_frame,
    to_frame,
    to_tensor,
)
from engine.video_reader import (
    FolderReader,
    Sound,
    StackReader,
    UnreadableVideo,
    VideoReader,
    image_files,
    unreadable,
)
from engine.video_writer import VideoWriter

__all__ = [
    "Sound",
    "UnreadableVideo",
    "VideoReader",
    "VideoWriter",
    "bare_name",
    "is_video",
    "open_video",
    "read_image",
    "resize_frame",
    "to_frame",
    "to_tensor",
]

VIDEO_SUFFIXES = frozenset(
    {".3gp", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"}
    | {".mts", ".ogv", ".ts", ".webm", ".wmv"}
)

_ENDING = re.compile(r"\.[A-Za-z]\w*|\.3gp")  # unlike what follows the dot in `take1.5` or `a. b`


def is_video(path: Path) -> bool:
    """Tell whether open_video understands this: a file by its name, a folder by its files.

    Videos, GIFs, images and folders that hold images are understood; hidden ones, and folders that
    may not be read, are passed over. A file whose name has no ending is judged by its content.
    """
    if path.name.startswith("."):
        return False
    if path.is_dir():
        return os.access(path, os.R_OK | os.X_OK) and next(image_files(path), None) is not None
    if _ENDING.fullmatch(path.suffix):
        return path.suffix.lower() in VIDEO_SUFFIXES | IMAGE_SUFFIXES
    return path.is_file() and os.access(path, os.R_OK) and file_kind(path) != "unknown"


def bare_name(name: str) -> str:
    """A video's name without the ending of a file, which a folder of frames may have as well."""
    suffix = Path(name).suffix
    return name.removesuffix(suffix) if suffix.lower() in VIDEO_SUFFIXES | IMAGE_SUFFIXES else name


def open_video(path: Path, *, frame_size: tuple[int, int] | None = None) -> VideoReader:
    """Open a video file, an animated picture, a folder of frames, or an image of frames in a row.

    What a file holds is judged by its content, whatever its name.

    Args:
        path: what to read.
        frame_size: (H, W) of each frame of an image that holds several side by side; None to take
            an image for a single frame. Other kinds do not use it.

    Raises UnreadableVideo if nothing is there, or no video can be read from it.
    """
    if path.is_dir():
        return FolderReader(path)
    if not path.is_file():
        raise UnreadableVideo(f"{path}: no such video; check the path")
    try:
        kind = file_kind(path)
    except OSError as error:
        raise UnreadableVideo(
            f"{path}: cannot be read ({error.strerror}); check its permissions and the disk"
        ) from error
    if kind == "picture":
        with unreadable(), open_picture(path) as image:
            animated = is_animated(image)
        return AnimationReader(path) if animated else StackReader(path, frame_size=frame_size)
    if kind == "gif":
        return GifReader(path)
    return _open_compressed(path, known=kind == "video")


def _open_compressed(path: Path, *, known: bool) -> VideoReader:
    """Open what FFmpeg reads; `known` to be a video, or else perhaps a picture of a rare kind."""
    try:
        reader = CompressedReader(path)
    except UnreadableVideo as error:
        if known or not _is_picture(path):
            raise
        raise UnreadableVideo(f"{path}: a still picture; choose a video") from error
    if reader.num_frames == 1 and (not known or heif_kind(path)) and _is_picture(path):
        reader.is_still = True
    return reader


def _is_picture(path: Path) -> bool:
    try:
        with open_picture(path):
            return True
    except UserError:
        return False
