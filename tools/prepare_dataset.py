"""Make any folder of videos into what training reads fastest.

    python tools/prepare_dataset.py --videos downloads --out data/mine
    python tools/prepare_dataset.py --videos downloads --out data/mine --crop 100,0,720,720

Each video becomes a folder of JPEG frames, cut to the square in its middle (or in the middle of
--crop) and resized: several times faster to draw two frames from than a compressed video. The
subfolders train/ and test/ stay, names stay, and so `id#rest` does. What cannot be used is passed
over, and named with the reason in skipped.txt. An interrupted run goes on when the same command is
given again: a folder is there as a whole or not at all.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from tqdm import tqdm

# A script's path begins with its own folder; the packages lie one above.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engine.clip import open_cut_clip
from engine.command_line import OneLineErrors, run
from engine.errors import UserError
from engine.framing import Box, read_box
from engine.image import to_frame
from engine.video import bare_name
from frames_dataset import list_videos

QUALITY = 95  # of the JPEG files; at less, blocks show in what the networks learn


class Parser(OneLineErrors, argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line."""


class Job(NamedTuple):
    """A video, and the folder of frames that it is to become."""

    video: Path
    folder: Path


def main() -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, required=True, help="the folder of videos")
    parser.add_argument("--out", type=Path, required=True, help="the dataset; may be there in part")
    parser.add_argument("--size", type=int, default=256, help="pixels a side; default: 256")
    parser.add_argument("--crop", metavar="X,Y,W,H", help="the part of each frame that counts")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="processes; default: one a core"
    )
    args = parser.parse_args()
    for name in ("size", "workers"):
        if getattr(args, name) < 1:
            raise UserError(f"--{name} {getattr(args, name)}: must be 1 or more")
    crop = None if args.crop is None else read_box(args.crop)
    all_jobs = list(jobs(args.videos, args.out))
    waiting = [job for job in all_jobs if not job.folder.exists()]
    skipped = prepare_all(waiting, size=args.size, crop=crop, workers=args.workers)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "skipped.txt").write_text("".join(f"{reason}\n" for reason in skipped))
    print(
        f"{args.out}: {len(waiting) - len(skipped)} videos made, "
        f"{len(all_jobs) - len(waiting)} were there, {len(skipped)} skipped"
        + (f" (see {args.out / 'skipped.txt'})" if skipped else "")
    )


def jobs(videos: Path, out: Path) -> Iterator[Job]:
    """What is to be made of what.

    Raises:
        UserError: there are no videos, or two of them would become one folder.
    """
    sides = [side for side in ("train", "test") if (videos / side).is_dir()] or [""]
    taken: dict[Path, Path] = {}
    for side in sides:
        for video in list_videos(videos / side):
            folder = out / side / bare_name(video.name)
            if folder in taken:
                raise UserError(
                    f"{video}: would become {folder}, as {taken[folder]} does; rename one"
                )
            taken[folder] = video
            yield Job(video, folder)


def prepare_all(waiting: list[Job], *, size: int, crop: Box | None, workers: int) -> list[str]:
    """Do jobs in several processes; returns why some were skipped."""
    work = partial(prepare, size=size, crop=crop)
    if workers == 1:
        results = list(map(work, tqdm(waiting, unit="video", disable=None)))
    else:
        with ProcessPoolExecutor(workers) as pool:
            done = pool.map(work, waiting)
            results = list(tqdm(done, total=len(waiting), unit="video", disable=None))
    return [reason for reason in results if reason]


def prepare(job: Job, *, size: int, crop: Box | None) -> str:
    """Write a video's folder of frames; returns why it was skipped, or nothing.

    Raises:
        UserError: the folder cannot be written, for want of room most likely.
    """
    try:
        return _prepare(job, size=size, crop=crop)
    except OSError as error:
        raise UserError(
            f"{job.folder}: cannot be written ({error.strerror}); make room, and run this again: "
            "what is done stays"
        ) from error


def _prepare(job: Job, *, size: int, crop: Box | None) -> str:
    job.folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=job.folder.parent) as scratch:
        frames = Path(scratch) / "frames"
        frames.mkdir()
        try:
            with open_cut_clip(job.video, frame_shape=(size, size, 3), chosen=crop) as clip:
                if clip.num_frames < 2:
                    return f"{job.video}: has one frame, a training pair takes two"
                for index, frame in enumerate(clip):
                    picture = Image.fromarray(to_frame(frame))
                    picture.save(frames / f"{index:06d}.jpg", quality=QUALITY)
        except UserError as error:
            return str(error)
        frames.rename(job.folder)
    return ""


if __name__ == "__main__":
    run(main)
