"""Videos of every kind: what is one, and opening it. Callers find all names of the job here."""

from __future__ import annotations

import os
from pathlib import Path

from engine.compressed_video import CompressedReader, GifReader
from engine.image import IMAGE_SUFFIXES, read_image, resize_frame, to_frame, to_tensor
from engine.video_reader import (
    FolderReader,
    Sound,
    StackReader,
    UnreadableVideo,
    VideoReader,
    image_files,
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


def is_video(path: Path) -> bool:
    """Tell whether open_video understands this: a file by its name, a folder by its files.

    Videos, GIFs, images and folders that hold images are understood; hidden ones, and folders that
    may not be read, are passed over.
    """
    if path.name.startswith("."):
        return False
    if path.is_dir():
        return os.access(path, os.R_OK | os.X_OK) and next(image_files(path), None) is not None
    return path.suffix.lower() in VIDEO_SUFFIXES | IMAGE_SUFFIXES


def bare_name(name: str) -> str:
    """A video's name without the ending of a file, which a folder of frames may have as well."""
    suffix = Path(name).suffix
    return name.removesuffix(suffix) if suffix.lower() in VIDEO_SUFFIXES | IMAGE_SUFFIXES else name


def open_video(path: Path, *, frame_width: int | None = None) -> VideoReader:
    """Open a video file, a GIF, a folder of frames, or an image of frames side by side.

    Args:
        path: what to read. A file with an unknown suffix is tried as a video.
        frame_width: how many pixels wide one frame of an image is; None if the image is a single
            frame. Other kinds do not use it.

    Raises UnreadableVideo if nothing is there, or no video can be read from it.
    """
    if path.is_dir():
        return FolderReader(path)
    if not path.is_file():
        raise UnreadableVideo(f"{path}: no such video; check the path")
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return StackReader(path, frame_width=frame_width)
    return GifReader(path) if suffix == ".gif" else CompressedReader(path)
