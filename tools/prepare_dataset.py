"""Make any folder of videos into what training reads fastest.

    python tools/prepare_dataset.py --videos downloads --out data/mine
    python tools/prepare_dataset.py --videos downloads --out data/mine --crop 100,0,720,720

Each video becomes a folder of JPEG frames, cut to the square in its middle (or in the middle of
--crop) and resized: several times faster to draw two frames from than a compressed video. The
subfolders train/ and test/ stay, names stay, and so `id#rest` does. What cannot be used is passed
over, and named with the reason in skipped.txt. An interrupted run, killed or out of room, goes on
when the same command is given again, to the same files as one that was not: a folder is there as a
whole or not at all. Any other folder with something in it is refused, and left as it is.
"""

import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from PIL import Image

# A script's path begins with its own folder; the packages lie one above.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engine.build_files import folders_of_videos
from engine.clip import open_cut_clip
from engine.command_files import Inputs, Output, check_files
from engine.command_line import Parser, run, to_path
from engine.errors import UserError
from engine.framing import Box, read_box
from engine.image import to_frame
from engine.listing import lost_videos
from engine.output import check_folder, write_json, write_whole
from engine.video import bare_name
from engine.words import counted
from frames_dataset import list_videos
from tools.dataset.processes import in_processes

QUALITY = 95  # of the JPEG files; at less, blocks show in what the networks learn
PARTIAL = ".partial"  # the folder beside the results in which they are made
SETTINGS = ".prepared.json"


class Job(NamedTuple):
    """A video, and the folder of frames that it is to become."""

    video: Path
    folder: Path


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--videos", type=to_path, required=True, help="the folder of videos")
    parser.add_argument(
        "--out", type=to_path, required=True, help="the dataset; new, or begun before"
    )
    parser.add_argument("--size", type=int, default=256, help="pixels a side; default: 256")
    parser.add_argument("--crop", metavar="X,Y,W,H", help="the part of each frame that counts")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="processes; default: one a core"
    )
    args = parser.parse_args()
    for name in ("size", "workers"):
        if getattr(args, name) < 1:
            raise UserError(f"--{name} {getattr(args, name)}: must be at least 1; raise it")
    crop = None if args.crop is None else read_box(args.crop)
    all_jobs = list(jobs(args.videos, args.out))
    check_out(args.videos, args.out, all_jobs)
    waiting = [job for job in all_jobs if not job.folder.exists()]
    settings = {"size": args.size, "crop": crop, "quality": QUALITY}
    check_settings(args.out, settings, in_use=len(waiting) < len(all_jobs))
    work = partial(prepare, size=args.size, crop=crop)
    try:
        results = list(in_processes(work, waiting, workers=args.workers, what="prepared"))
    finally:
        for folder in {job.folder.parent for job in all_jobs}:
            shutil.rmtree(folder / PARTIAL, ignore_errors=True)
    skipped = [reason for reason in results if reason]
    lost = [f"{entry}: not looked into; give it to --videos" for entry in lost_videos(args.videos)]
    report = args.out / "skipped.txt"
    text = "".join(f"{line}\n" for line in skipped + lost)
    content = text.encode("utf-8", "backslashreplace")
    write_whole(report, lambda partial: partial.write_bytes(content))
    print(
        f"{args.out}: {counted(len(waiting) - len(skipped), 'video')} made, "
        f"{len(all_jobs) - len(waiting)} were there, {len(skipped)} skipped"
        + (f", with videos passed over: {len(lost)}" if lost else "")
        + (f" (see {report})" if text else "")
    )


def jobs(videos: Path, out: Path) -> Iterator[Job]:
    """What is to be made of what.

    Raises:
        UserError: there are no videos, or two of them would become one folder.
    """
    sides = [side for side in ("train", "test") if (videos / side).is_dir()] or [""]
    taken: dict[Path, Path] = {}
    for side in sides:
        for video in list_videos(videos / side, named_by="--videos"):
            folder = out / side / bare_name(video.name)
            if folder in taken:
                raise UserError(
                    f"{video}: would become {folder}, as {taken[folder]} does; rename one"
                )
            taken[folder] = video
            yield Job(video, folder)


def check_out(videos: Path, out: Path, all_jobs: Sequence[Job]) -> None:
    """See that no folder to be filled is one that is read.

    Raises:
        UserError: one is.
    """
    filled = [out, *sorted({job.folder.parent for job in all_jobs} - {out})]
    inputs = Inputs([job.video for job in all_jobs], folders_of_videos(videos))
    check_files(inputs, [Output("--out", folder, "folder") for folder in filled])


def check_settings(out: Path, settings: dict[str, object], *, in_use: bool) -> None:
    """Note down by what settings videos are made; where some are there, see that they are the same.

    Raises:
        UserError: they are not, or it is a person's own folder, or nothing can be written there.
    """
    path, wanted = out / SETTINGS, json.loads(json.dumps(settings))
    if out.is_dir() and any(out.iterdir()) and not path.exists():
        raise UserError(
            f"--out {out}: is not empty and was not begun by this command; name a new folder"
        )
    check_folder(out)
    made = read_settings(path) if in_use else {}
    for name, value in made.items():
        if value != wanted.get(name):
            raise UserError(
                f"{out}: was made with {name} {value}, not {wanted.get(name)}; name another folder"
            )
    write_json(path, wanted)


def read_settings(path: Path) -> dict[str, object]:
    """The settings that check_settings has noted down.

    Raises:
        UserError: the file is damaged.
    """
    try:
        made = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        made = None
    if not isinstance(made, dict):
        raise UserError(f"{path}: damaged; delete the whole folder, or name another --out")
    return made


def prepare(job: Job, *, size: int, crop: Box | None) -> str:
    """Write a video's folder of frames; returns why it was skipped, or nothing.

    Raises:
        UserError: the folder cannot be written, for want of room most likely.
    """
    partial = job.folder.parent / PARTIAL / job.folder.name
    try:
        shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed
        partial.mkdir(parents=True)
        try:
            reason = write_frames(job.video, partial, size=size, crop=crop)
            if not reason:
                partial.rename(job.folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise UserError(
            f"{job.folder}: cannot be written ({error.strerror}); make room, and run this again: "
            "what is done stays"
        ) from error
    return reason


def write_frames(video: Path, folder: Path, *, size: int, crop: Box | None) -> str:
    """Write the frames of a video; returns why that is of no use, or nothing."""
    try:
        with open_cut_clip(video, frame_shape=(size, size, 3), chosen=crop) as clip:
            if clip.num_frames < 2:
                return f"{video}: has one frame, a training pair takes two"
            for index, frame in enumerate(clip):
                Image.fromarray(to_frame(frame)).save(folder / f"{index:06d}.jpg", quality=QUALITY)
    except UserError as error:
        return str(error)
    return ""


if __name__ == "__main__":
    run(main)
