"""Read a dataset before a long training does.

    python tools/check_data.py --config config/vox-256.yaml --set dataset_params.root_dir=data/mine
    python tools/check_data.py --config config/vox-256.yaml --quick

decodes every frame of every video, in several processes, and prints for the training and the test
videos: how many are of use, of which kinds, sizes, lengths and ids, and how long the reading of an
epoch will take; then what is on both sides, what is passed over, and each video that cannot be
used, with the reason. The exit code is 1 where there is one. --quick decodes six frames of each,
and so finds what is cut short or no video, but not what is damaged in between.
"""

import argparse
import math
import os
import sys
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Literal

# A script's path begins with its own folder; the packages lie one above.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from config.schema import Config, load_config
from engine.build_files import config_inputs
from engine.command_files import Inputs, check_files, json_report
from engine.command_line import Parser, run, to_path
from engine.errors import UserError
from engine.listing import by_id
from engine.output import write_json
from engine.words import counted
from frames_dataset import split_videos
from tools.bench.loading import measure_loading
from tools.dataset.examining import Finding, examine
from tools.dataset.processes import in_processes
from tools.dataset.remarks import complaints, remarks
from tools.dataset.table import aligned, table


def parse_arguments() -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.add_argument("--config", type=to_path, required=True)
    parser.add_overrides()
    parser.add_argument("--quick", action="store_true", help="decode six frames of each video")
    parser.add_argument(
        "--workers", type=int, default=_cores(), help="processes; default: one a core"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=5.0,
        help="how long to time the reading of each kind of video; default: 5",
    )
    parser.add_argument("--json", type=to_path, metavar="FILE", help="write what was found there")
    args = parser.parse_args()
    if args.workers < 1:
        raise UserError(f"--workers {args.workers}: must be at least 1; raise it")
    if not 0 <= args.seconds < math.inf:
        raise UserError(
            f"--seconds {args.seconds:g}: must be 0 or more, and finite; choose such a time"
        )
    return args


def main() -> None:
    args = parse_arguments()
    config = load_config(args.config, args.set)
    params = config.dataset_params
    root = Path(params.root_dir)
    check_files(Inputs([args.config]) + config_inputs(config), json_report(args.json))
    sides, notes = {"train": videos_of(config, "train")}, []
    try:
        sides["test"] = videos_of(config, "test")
    except UserError as error:
        notes.append(f"no test videos: {error}")

    look = partial(examine, frame_size=params.frame_shape[:2], quick=args.quick)
    found = {
        side: list(in_processes(look, videos, workers=args.workers, what=side))
        for side, videos in sides.items()
    }
    print(table(root, found), end="\n\n")
    print("\n".join(reading(config, found["train"], seconds=args.seconds)), end="\n\n")
    notes += remarks(found, params)
    for note in notes:
        print(note, end="\n\n")
    print("\n".join(complaints(found, root)) or f"{root}: every video can be read")
    if args.json is not None:
        write_json(args.json, report(found, notes))
    if any(finding.reason for side in found.values() for finding in side):
        sys.exit(1)


def videos_of(config: Config, side: Literal["train", "test"]) -> list[Path]:
    params = config.dataset_params
    return split_videos(Path(params.root_dir), side, id_sampling=params.id_sampling)


def reading(config: Config, found: Sequence[Finding], *, seconds: float) -> Iterator[str]:
    """How fast training pairs are read, and how long that takes for an epoch."""
    usable = [finding.video for finding in found if finding.state == "of use"]
    if not usable:
        return
    rates = measure_loading(config, usable, seconds=seconds)
    yield aligned("pairs a second, by one worker", [""])
    for kind, rate in rates.items():
        yield aligned(f"  {kind}", [f"{rate.pairs_per_second:,.1f}"])
    training = config.train_params
    videos = [finding.video for finding in found]
    items = len(by_id(videos) if config.dataset_params.id_sampling else videos)
    steps = items * training.num_repeats // training.batch_size
    per_pair = sum(rate.num_videos / rate.pairs_per_second for rate in rates.values()) / len(usable)
    at_once = max(1, min(training.num_workers, _cores()))
    step = training.batch_size * per_pair / at_once
    yield (
        f"an epoch: {counted(steps, 'step')} of {counted(training.batch_size, 'pair')}, which "
        f"{counted(training.num_workers, 'worker')} on {counted(_cores(), 'core')} read in "
        f"{timedelta(seconds=round(steps * step))}, a step in {step:.2g} seconds"
    )


def report(found: dict[str, list[Finding]], notes: Sequence[str]) -> dict[str, object]:
    """What was found, for other programs."""
    return {
        "notes": notes,
        **{
            side: [
                {
                    "video": str(one.video),
                    "state": one.state,
                    "height": one.size[0],
                    "width": one.size[1],
                    "frames": one.num_frames,
                    "reason": one.reason,
                    "flaws": one.flaws,
                }
                for one in findings
            ]
            for side, findings in found.items()
        },
    }


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    run(main)
