"""Make a dataset of moving puppets that comes with the truth about every pixel.

    python tools/make_puppets.py
    python tools/make_puppets.py --size 128 --train 1000 --test 50 --transfer 50 --frames 64

writes, under --out (data/puppets if not said otherwise):

    train/NAME.mp4, test/NAME.mp4     one puppet each in front of its own background, 25 frames/s
    ground_truth/NAME.npz             its joints, its parts, and all that the exact flow needs
    transfer/NAME/                    source.png, driving.mp4, and the true answers absolute.mp4
                                      and relative.mp4, each with its .npz
    puppets.json                      the arguments; it is there when all the rest is

--format png writes each clip as one image of frames side by side, --format frames as a folder of
images; both are lossless. A clip depends on the seed, its split and its number: more clips, or more
workers, change none of the others. An interrupted run goes on when the same command is given again.

`absolute` is the puppet of source.png in exactly the poses of the driving puppet. `relative` starts
as source.png, and from there on every joint angle, the size and the place change as the driving
puppet's do since its own first frame.
"""

import argparse
import os
import sys
from pathlib import Path

# A script's path begins with its own folder; the packages lie one above.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engine.command_line import Parser, run, to_path
from engine.errors import UserError
from tools.puppets.dataset import Plan, build

SIZES = (64, 128, 256)


def parse_arguments() -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.add_argument("--size", type=int, choices=SIZES, default=64, help="pixels a side")
    parser.add_argument("--train", type=int, default=200, help="number of training clips")
    parser.add_argument("--test", type=int, default=20, help="number of test clips")
    parser.add_argument("--transfer", type=int, default=0, help="number of transfer triples")
    parser.add_argument("--frames", type=int, default=64, help="frames in a clip, at least 2")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other puppets")
    parser.add_argument(
        "--travel", type=float, default=1.0, help="how far they walk: 0 dances on the spot"
    )
    parser.add_argument("--format", choices=("mp4", "png", "frames"), default="mp4")
    parser.add_argument("--out", type=to_path, default=Path("data/puppets"), help="a new folder")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="processes; default: one a core"
    )
    return parser.parse_args()


def main() -> None:
    options = parse_arguments()
    if not 0 <= options.travel <= 1:
        raise UserError(f"--travel {options.travel:g}: must be from 0 to 1; choose such a share")
    least = {"train": 0, "test": 0, "transfer": 0, "frames": 2, "seed": 0, "workers": 1}
    for name, bound in least.items():
        if getattr(options, name) < bound:
            raise UserError(
                f"--{name} {getattr(options, name)}: must be at least {bound}; raise it"
            )
    if not options.train + options.test + options.transfer:
        raise UserError("nothing to make: --train, --test and --transfer are all 0; ask for one")
    workers, out = options.workers, options.out
    del options.workers, options.out
    try:
        made = build(Plan(**vars(options)), out, workers=workers)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        raise
    print(f"{out}: {'complete' if made else 'already complete'}")


if __name__ == "__main__":
    run(main)
