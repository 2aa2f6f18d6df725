"""Show what a checkpoint does with puppets, as one moving picture.

    python tools/make_gallery.py --checkpoint demo/checkpoint.pth.tar --data data/showcase

For each triple of a set that tools/make_puppets.py --transfer has made, a column: the driving
video above, the source picture in the middle, and below it the source as the driving video moves
it (relative motion, animate.py's default).
"""

import argparse
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

# A script's path begins with its own folder; the packages lie one above.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from config.schema import Config
from engine.animator import Animator
from engine.build import build_motion_transfer
from engine.build_animator import load_animator
from engine.build_files import config_inputs
from engine.command_files import Inputs, Output, check_files
from engine.command_line import Parser, run, to_path
from engine.device import choose_device
from engine.errors import UserError
from engine.output import check_file, write_whole
from engine.video import read_image, to_frame, to_tensor
from engine.words import counted
from tools.puppets.motion import FPS
from tools.puppets.reading import PuppetSet, open_set, set_inputs

FORMATS = {".webp": "WEBP", ".gif": "GIF"}
GAP = 2
"""White pixels between the pictures, before they are enlarged."""


def parse_arguments() -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.add_argument("--checkpoint", type=to_path, required=True, help="trained networks")
    parser.add_argument("--data", type=to_path, required=True, help="a set with transfer triples")
    parser.add_argument("--columns", type=int, default=6, help="how many triples at most")
    parser.add_argument("--every", type=int, default=2, help="show every nth frame")
    parser.add_argument("--enlarge", type=int, default=2, help="times the size of the frames")
    parser.add_argument("--out", type=to_path, default=Path("gallery.webp"), help=".webp or .gif")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    for name in ("columns", "every", "enlarge"):
        if getattr(args, name) < 1:
            raise UserError(f"--{name} {getattr(args, name)}: must be at least 1; raise it")
    if args.out.suffix.lower() not in FORMATS:
        raise UserError(f"--out {args.out}: cannot write such a file; use {', '.join(FORMATS)}")
    animator, config = load_animator(
        args.checkpoint, config=None, device=choose_device(args.device), precision="fp32"
    )
    puppets = open_set(args.data, frame_shape=config.dataset_params.frame_shape)
    if not puppets.triples:
        raise UserError(f"{args.data}: has no triples; make a set that has, with --transfer 6")

    inputs = Inputs([args.checkpoint]) + set_inputs(args.data) + config_inputs(config)
    check_files(inputs, [Output("--out", args.out)])
    check_file(args.out)

    shown = [column(animator, puppets, config, it) for it in puppets.triples[: args.columns]]
    pages = [
        enlarged(side_by_side(pictures, axis=1), args.enlarge)
        for pictures in islice(zip(*shown, strict=True), 0, None, args.every)
    ]
    milliseconds = 1000 * args.every // FPS
    write_whole(args.out, lambda path: write_pages(path, args.out, pages, milliseconds))
    print(f"{args.out}: {counted(len(pages), 'picture')} of {counted(len(shown), 'column')}")


def column(
    animator: Animator, puppets: PuppetSet, config: Config, triple: Path
) -> Iterator[np.ndarray]:
    """Driving frame, source and result on top of each other, uint8 (3 H + gaps, W, 3), in order."""
    picture = read_image(triple / "source.png")
    with (
        puppets.open_part(triple, "driving") as clip,
        puppets.open_part(triple, "driving") as again,
    ):
        source = animator.encode(to_tensor(picture))
        moved = animator.animate(source, again, build_motion_transfer(config))
        for driving, result in zip(clip, moved, strict=True):
            yield side_by_side((to_frame(driving), picture, to_frame(result)), axis=0)


def side_by_side(pictures: tuple[np.ndarray, ...], *, axis: int) -> np.ndarray:
    """Pictures of one size, joined along an axis with white gaps between them."""
    shape = list(pictures[0].shape)
    shape[axis] = GAP
    gap = np.full(shape, 255, np.uint8)
    parts = [part for picture in pictures for part in (gap, picture)][1:]
    return np.concatenate(parts, axis=axis)


def enlarged(page: np.ndarray, times: int) -> Image.Image:
    image = Image.fromarray(page)
    return image.resize((image.width * times, image.height * times), Image.Resampling.BICUBIC)


def write_pages(path: Path, named: Path, pages: list[Image.Image], milliseconds: int) -> None:
    pages[0].save(
        path,
        FORMATS[named.suffix.lower()],
        save_all=True,
        append_images=pages[1:],
        duration=milliseconds,
        loop=0,
        quality=80,
        method=6,
    )


if __name__ == "__main__":
    run(main)
