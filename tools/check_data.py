"""Read a dataset before a long training does.

    python tools/check_data.py --config config/vox-256.yaml --set dataset_params.root_dir=data/mine

prints, for the training and the test videos: how many there are of each kind, their sizes, lengths
and ids, which cannot be used and why, how fast they are read, and how long an epoch will take to
read. The exit code is 1 where something cannot be used.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tqdm import tqdm

# A script's path begins with its own folder; the packages lie one above.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from config.schema import Config, load_config
from engine.command_line import OneLineErrors, run
from engine.video import UnreadableVideo, bare_name, open_video
from frames_dataset import split_videos
from tools.bench.loading import kind_of, measure_loading


class Parser(OneLineErrors, argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line."""


class Finding(NamedTuple):
    """What one video is: its size, (H, W), its length, and what is wrong with it, if anything."""

    video: Path
    size: tuple[int, int]
    num_frames: int
    problem: str


def main() -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument(
        "--set", action="extend", nargs="+", default=[], metavar="K=V", help="override config keys"
    )
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="how long to time the reading; default: 5"
    )
    args = parser.parse_args()
    config = load_config(args.config, args.set)
    params = config.dataset_params
    bad = 0
    for side in ("train", "test"):
        videos = split_videos(Path(params.root_dir), side, id_sampling=params.id_sampling)
        bar = tqdm(videos, desc=side, unit="video", disable=None)
        findings = [examine(video, frame_width=params.frame_shape[1]) for video in bar]
        usable = [finding for finding in findings if not finding.problem]
        bad += len(findings) - len(usable)
        print("\n".join(summary(side, findings)))
        if side == "train" and usable:
            print("\n".join(epoch(config, usable, seconds=args.seconds)))
    if bad:
        sys.exit(1)


def examine(video: Path, *, frame_width: int) -> Finding:
    """Open a video, and read its first and its last frame."""
    try:
        with open_video(video, frame_width=frame_width) as reader:
            size, length = (reader.height, reader.width), reader.num_frames
            reader.frames(sorted({0, length - 1}))
    except UnreadableVideo as error:
        return Finding(video, (0, 0), 0, str(error))
    problem = f"{video}: has one frame, a training pair takes two" if length < 2 else ""
    return Finding(video, size, length, problem)


def summary(side: str, findings: Sequence[Finding]) -> list[str]:
    """What a person wants to know of one side of a dataset, line by line."""
    usable = [finding for finding in findings if not finding.problem]
    kinds = Counter(kind_of(finding.video) for finding in findings)
    ids = Counter(bare_name(finding.video.name).split("#")[0] for finding in findings)
    lines = [f"{side}: {len(findings)} videos, {len(usable)} of use; {_counts(kinds)}"]
    if usable:
        lengths = [finding.num_frames for finding in usable]
        sizes = Counter(f"{w} x {h}" for (h, w) in (finding.size for finding in usable))
        lines += [
            f"  frames: {min(lengths)} to {max(lengths)}, half have {median(lengths):g} or more",
            f"  width x height: {_counts(sizes)}",
            f"  ids (the name up to '#'): {len(ids)}, with up to {max(ids.values())} videos",
        ]
    return [*lines, *(f"  not of use: {f.problem}" for f in findings if f.problem)]


def epoch(config: Config, usable: Sequence[Finding], *, seconds: float) -> list[str]:
    """How long the reading of an epoch will take."""
    training = config.train_params
    groups = {bare_name(finding.video.name).split("#")[0] for finding in usable}
    items = len(groups) if config.dataset_params.id_sampling else len(usable)
    pairs = items * training.num_repeats
    rates = measure_loading(config, [finding.video for finding in usable], seconds=seconds)
    per_pair = sum(rate.num_videos / rate.pairs_per_second for rate in rates.values())
    workers = max(1, training.num_workers)
    minutes = pairs * per_pair / len(usable) / workers / 60
    return [
        *(f"  {kind}: {r.pairs_per_second:.1f} pairs/s a worker" for kind, r in rates.items()),
        f"  an epoch: {pairs} pairs in {pairs // training.batch_size} steps; to read them takes "
        f"{minutes:.1f} minutes with {workers} workers",
    ]


def _counts(counter: Counter[str], most: int = 5) -> str:
    shown = [f"{count} {name}" for name, count in counter.most_common(most)]
    return ", ".join(shown) + (", ..." if len(counter) > most else "")


if __name__ == "__main__":
    run(main)
