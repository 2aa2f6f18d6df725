"""A folder of clips and their truth, resumable, and never seen half made."""

import json
import os
from collections.abc import Generator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import asdict, dataclass
from fractions import Fraction
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from engine.errors import UserError
from engine.interrupt import StopRequest, ignore_interrupts
from engine.output import check_folder, write_json
from engine.video_writer import VideoWriter
from tools.puppets.figure import draw_identity
from tools.puppets.motion import FPS, draw_motion
from tools.puppets.render import Clip, render
from tools.puppets.transfer import draw_triple
from tools.puppets.truth import save_truth

VERSION = 1
"""Counts up whenever the same arguments give other pictures."""
MANIFEST = "puppets.json"
SPLITS = ("train", "test", "transfer")


@dataclass(frozen=True)
class Plan:
    """Everything that the content of a set depends on."""

    size: int
    train: int
    test: int
    transfer: int
    frames: int
    seed: int
    format: Literal["mp4", "png", "frames"]
    travel: float = 1.0
    version: int = VERSION


def build(plan: Plan, out: Path, *, workers: int) -> bool:
    """Make the set in `out`; False if it was there already.

    The work goes on in a folder beside it, `<out>.partial`, which takes the name `out` when all is
    there. What an interrupted run has finished is not made again.

    Raises:
        UserError: `out` or the folder beside it holds something else, or cannot be written to.
        KeyboardInterrupt: Ctrl-C or SIGTERM; the same call goes on where this one stopped.
    """
    out = Path(os.path.realpath(out))
    partial = out.parent / f"{out.name}.partial"
    try:
        if _holds(out, plan):
            return False
        if not _holds(partial, plan):
            check_folder(partial)
            write_json(partial / MANIFEST, asdict(plan))
        _fill(plan, partial, workers)
        if out.exists():
            out.rmdir()
        partial.rename(out)
    except OSError as error:
        raise UserError(
            f"{error.filename or partial}: cannot be used ({error.strerror}); "
            "make it usable, and repeat the command, which goes on from here"
        ) from error
    except BrokenProcessPool as error:
        raise UserError(
            f"{partial}: a process was killed, for lack of memory perhaps; "
            "repeat the command, which goes on from here, with fewer --workers"
        ) from error
    return True


def _holds(folder: Path, plan: Plan) -> bool:
    """Whether the folder is a set of that plan; False if it is empty or not there.

    Raises:
        UserError: it is anything else.
    """
    other = "name another --out, or delete it"
    if not folder.is_dir():
        if folder.exists():
            raise UserError(f"{folder}: is a file; {other}")
        return False
    manifest = folder / MANIFEST
    if not manifest.exists():
        if any(folder.iterdir()):
            raise UserError(f"{folder}: holds something that is no set of puppets; {other}")
        return False
    try:
        made = {"travel": 1.0, **json.loads(manifest.read_text())}  # some are older than it
        differ = [name for name, value in asdict(plan).items() if made.get(name) != value]
    except (ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{manifest}: unreadable; {other}") from error
    if differ:
        name = differ[0]
        raise UserError(
            f"{folder}: was made with {name} {made.get(name)}, not {getattr(plan, name)}; {other}"
        )
    return True


def _fill(plan: Plan, folder: Path, workers: int) -> None:
    """Make what is missing, having cleared away what a killed run left half written."""
    for stray in list(folder.rglob(".*")):
        stray.unlink(missing_ok=True)
    names = [(split, i) for split in SPLITS for i in range(getattr(plan, split))]
    missing = [(split, i) for split, i in names if not _last_file(folder, split, i).exists()]
    with (
        StopRequest() as stop,
        tqdm(
            total=len(names), initial=len(names) - len(missing), unit="clip", desc=folder.stem
        ) as bar,
        closing(_make_all(plan, folder, missing, workers)) as finished,
    ):
        for _ in finished:
            bar.update()
            if stop.received:
                raise KeyboardInterrupt


def _make_all(
    plan: Plan, folder: Path, items: list[tuple[str, int]], workers: int
) -> Generator[None, None, None]:
    """Make the clips in any order; yields after each."""
    if workers == 1 or len(items) < 2:
        for split, index in items:
            make_clip(plan, folder, split, index)
            yield
        return
    pool = ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=ignore_interrupts, initargs=(0,)
    )
    try:
        futures = [pool.submit(make_clip, plan, folder, split, index) for split, index in items]
        for future in as_completed(futures):
            future.result()
            yield
    finally:
        pool.shutdown(cancel_futures=True)


def _name(split: str, index: int) -> str:
    return f"{split}-{index:05d}"


def _last_file(folder: Path, split: str, index: int) -> Path:
    """The file that is written after all others of its clip."""
    name = _name(split, index)
    if split == "transfer":
        return folder / split / name / "relative.npz"
    return folder / "ground_truth" / f"{name}.npz"


def make_clip(plan: Plan, folder: Path, split: str, index: int) -> None:
    """Write one clip, or triple of clips, which depends on the seed, the split and the index."""
    rng = np.random.default_rng([plan.seed, SPLITS.index(split), index])
    name, end = _name(split, index), _last_file(folder, split, index)
    end.parent.mkdir(parents=True, exist_ok=True)
    if split != "transfer":
        identity, motion = draw_identity(rng), draw_motion(rng, plan.frames, travel=plan.travel)
        clip = render(identity, motion, plan.size)
        _write_video(plan, folder / split / name, clip.frames)
        _write_truth(end, clip)
        return
    triple = draw_triple(rng, plan.frames, plan.size, travel=plan.travel)
    _write_picture(end.with_name("source.png"), triple.relative.frames[0])
    for role, clip in triple._asdict().items():
        _write_video(plan, end.with_name(role), clip.frames)
        _write_truth(end.with_name(f"{role}.npz"), clip)


def _write_video(plan: Plan, path: Path, frames: NDArray[np.uint8]) -> None:
    """Write frames (T, H, W, 3) as `path`, with the suffix that the plan's format asks for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if plan.format == "mp4":
        with VideoWriter(path.with_name(f"{path.name}.mp4"), fps=Fraction(FPS)) as video:
            for frame in frames:
                video.write(frame)
    elif plan.format == "frames":
        path.mkdir(exist_ok=True)
        for number, frame in enumerate(frames):
            _write_picture(path / f"{number:08d}.png", frame)
    else:
        _write_picture(path.with_name(f"{path.name}.png"), np.concatenate(list(frames), axis=1))


def _write_picture(path: Path, picture: NDArray[np.uint8]) -> None:
    content = BytesIO()
    Image.fromarray(picture).save(content, "png")
    _write(path, content.getvalue())


def _write_truth(path: Path, clip: Clip) -> None:
    content = BytesIO()
    save_truth(content, clip.truth)
    _write(path, content.getvalue())


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(f".{os.getpid()}.{path.name}")
    partial.write_bytes(content)
    partial.replace(path)
