"""Decode an upload once, apart from the page and within bounds: what survives it is no bomb.

    python -m page.probe picture|video FILE LIMITS

LIMITS is a JSON object of seconds, frames, picture_pixels and video_pixels. Prints what is wrong
with the file, nothing if nothing is. Runs in a process of its own, started for each file, which
therefore imports no torch.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import av
from av.stream import Disposition
from PIL import Image, ImageSequence

from engine.container import open_container
from engine.file_kind import file_kind
from engine.heif import missing_reader, register_heif

try:
    import resource
except ImportError:  # Windows: the page's own clock still ends what takes too long.
    resource = None  # type: ignore[assignment]

PICTURES = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "HEIF")
ANIMATED = ("WEBP", "PNG", "AVIF")
MEMORY = 2**30  # bytes of address space
CPU_SECONDS = 60
THREADS = 4  # each holds frames


class Refused(Exception):  # noqa: N818 - nothing went wrong here; the file is what is.
    """What is wrong with the file, and the remedy."""


def check_picture(path: Path, limits: Mapping[str, int]) -> None:
    """Decode a picture, having seen from its header that it is not too large.

    Raises:
        Refused: it is, or something has to be installed to read it.
    """
    with open_picture(path) as image:
        check_size(image.width, image.height, limits["picture_pixels"])
        image.load()


def check_animation(path: Path, limits: Mapping[str, int]) -> None:
    """Decode all frames of an animated picture, as check_video does those of a video.

    Raises:
        Refused: it does not move, or is too large or too long.
    """
    with open_picture(path) as image:
        check_size(image.width, image.height, limits["video_pixels"])
        if image.format not in ANIMATED or not getattr(image, "is_animated", False):
            raise Refused("is a still picture; choose a video")
        milliseconds = 0.0
        for number, frame in enumerate(ImageSequence.Iterator(image), start=1):
            check_number(number, limits["frames"])
            frame.load()
            milliseconds += frame.info.get("duration", 0)
            check_duration(milliseconds / 1000, limits["seconds"])


def open_picture(path: Path) -> Image.Image:
    """Open a picture of a kind that is taken.

    Raises:
        Refused: something has to be installed to read it.
    """
    lacking = missing_reader(path)
    if lacking is not None:
        raise Refused(f"is {lacking}")
    Image.MAX_IMAGE_PIXELS = None  # Our own limit comes first, and has a sentence.
    register_heif()
    Image.init()
    return Image.open(path, formats=[name for name in PICTURES if name in Image.OPEN])


def check_video(path: Path, limits: Mapping[str, int]) -> None:
    """Decode all frames of a video, having seen what its header says of their size and number.

    Raises:
        Refused: there are too many, or one is too large.
    """
    if file_kind(path) == "picture":
        check_animation(path, limits)
        return
    with open_container(path) as container:
        streams = [
            stream
            for stream in container.streams.video
            if not stream.disposition & Disposition.attached_pic
        ]
        if not streams:
            raise Refused("holds no moving picture; choose a video")
        stream = streams[0]
        check_size(stream.width, stream.height, limits["video_pixels"])
        if container.duration is not None:
            check_duration(container.duration / av.time_base, limits["seconds"])
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = THREADS
        number = 0
        for number, frame in enumerate(container.decode(stream), start=1):
            check_size(frame.width, frame.height, limits["video_pixels"])
            check_duration(frame.time or 0, limits["seconds"])  # Headers may be wrong about it.
            check_number(number, limits["frames"])
        if not number:
            raise Refused("holds no frame that can be decoded; save it again, as .mp4")


def check_size(width: int, height: int, most: int) -> None:
    if width * height > most:
        raise Refused(
            f"has {width:,} x {height:,} pixels, more than {most // 1_000_000} megapixels; "
            "save it smaller"
        )


def check_number(frames: int, most: int) -> None:
    if frames > most:
        raise Refused(f"has more than {most:,} frames; shorten it")


def check_duration(seconds: float, most: int) -> None:
    if seconds > most + 1:  # Few headers are right to the frame.
        raise Refused(f"lasts {seconds:,.0f} seconds, more than {most}; cut it shorter")


def bound_this_process() -> None:
    """Take from this process the right to more memory, time or files than a check needs."""
    if resource is None:
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    kind, name, limits = sys.argv[1:]
    path, check = Path(name), {"picture": check_picture, "video": check_video}[kind]
    bound_this_process()
    try:
        check(path, json.loads(limits))
    except Refused as refused:
        print(refused)
    except MemoryError:
        print("needs too much memory to be decoded; save it smaller")
    except Exception as error:  # Whatever a decoder may raise, it could not read the file.
        reason = getattr(error, "strerror", None) or f"{error}".replace(name, "the file")
        print(f"is not a readable {kind} ({' '.join(reason.split())}); choose another file")
    sys.stdout.flush()
    os._exit(0)  # Without waiting for a decoder's threads.


if __name__ == "__main__":
    main()
