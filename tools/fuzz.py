"""Try thousands of faulty inputs on the commands, and see that each is met as promised.

    python tools/fuzz.py
    python tools/fuzz.py --runs 300 --seed 7 --families checkpoints videos
    python tools/fuzz.py --only checkpoints:17 --keep kept

Each run spoils what a command reads (checkpoint, YAML, picture, video, dataset, flags and so on) in
a way that is drawn from the seed, and calls the command in a process of its own. A fault has to end
in one line that says what, where and what to do, with exit code 2, or be worked around; never in a
traceback, a wait of more than 30 seconds, 2 GB of memory, a library's own warnings, or the loss of
a file. The exit code is 1 if a run broke a promise; --only repeats it. docs/promises.md has all.
"""

import argparse
import os
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

# A script's path begins with its own folder; the packages lie one above.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tqdm import tqdm

from engine.command_line import Parser, run, to_path
from engine.errors import UserError
from tools.fuzzing.families import FAMILIES, SHARES
from tools.fuzzing.pool import Result, Trial, run_all

RUNS = 3600


def parse_arguments() -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help=f"of all families; default: {RUNS}")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other faults")
    parser.add_argument(
        "--families", nargs="+", choices=FAMILIES, default=list(FAMILIES), help="default: all"
    )
    parser.add_argument("--only", metavar="FAMILY:NUMBER", help="repeat this run alone")
    parser.add_argument("--keep", type=to_path, metavar="DIR", help="keep what failing runs read")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="processes; default: one a core"
    )
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    for name in ("runs", "workers"):
        if getattr(args, name) < 1:
            raise UserError(f"--{name} {getattr(args, name)}: too few; write 1 or more")
    trials = trials_of(args)
    started, failed = time.monotonic(), Counter[str]()
    endings = Counter[str]()
    results = run_all(trials, workers=min(args.workers, len(trials)), keep=args.keep)
    for result in tqdm(results, total=len(trials), unit="run", disable=None):
        endings[str(result.ending.code)] += 1
        if args.only:
            print(f"{described(result)}\nexit code {result.ending.code}\n{result.ending.stderr}")
        for failure in result.failures:
            failed[failure.kind] += 1
            print(f"{described(result)}\n    {failure.kind}: {failure.detail}", flush=True)
    codes = ", ".join(f"{count} with {code}" for code, count in sorted(endings.items()))
    print(f"{len(trials)} runs in {time.monotonic() - started:.0f} s: exit codes: {codes}")
    if failed:
        kinds = ", ".join(f"{count} {kind}" for kind, count in failed.most_common())
        print(f"promises broken: {kinds}")
        sys.exit(1)
    print("every promise was kept")


def trials_of(args: argparse.Namespace) -> list[Trial]:
    """What to try: one run, or so many, shared out between the families."""
    if args.only:
        family, _, number = args.only.partition(":")
        if family not in FAMILIES or not number.isdecimal():
            raise UserError(f"--only {args.only}: write FAMILY:NUMBER, such as checkpoints:17")
        return [Trial(family, int(number), args.seed)]
    total = sum(SHARES[name] for name in args.families)
    counts = {name: -(-args.runs * SHARES[name] // total) for name in args.families}
    trials = [Trial(name, number, args.seed) for name in counts for number in range(counts[name])]
    Random(args.seed).shuffle(trials)  # Some families take longer: no worker should get them all.
    return trials


def described(result: Result) -> str:
    run = result.run
    line = " ".join([run.command, *run.arguments])
    return f"{result.trial.name} (seed {result.trial.seed}): {run.fault[:200]}\n    {line[:400]}"


if __name__ == "__main__":
    run(main)
