"""Move a still picture with a driving video.

    python animate.py --checkpoint vox.pth.tar --config config/vox-256.yaml \\
        --source_image face.jpg --driving_video talk.mp4 --result_video moved.mp4
    python animate.py --checkpoint log/RUN/best.pth.tar --pairs

    torchrun --nproc_per_node 4 animate.py --checkpoint vox.pth.tar --pairs

The first moves one picture; by default the picture keeps its own pose and takes the change of the
driving video's (--relative). The second animates pairs of the dataset's test videos: those of
pairs_list, or drawn at random with a fixed seed; the third shares them out between processes.
Without arguments it animates the files in demo/.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from animation_run import Files, PairFiles, animate_one, animate_test_videos
from config.schema import Config
from engine import distributed
from engine.animation import AnimationOptions
from engine.animator import DEFAULT_BATCH_SIZE
from engine.build import build_motion_transfer
from engine.build_animator import load_animator
from engine.command_line import Parser, run, to_path
from engine.device import choose_device
from engine.errors import UserError
from engine.framing import Box, read_box
from engine.memory import enough_memory
from engine.precision import PRECISIONS

DEMO = Path(__file__).parent / "demo"
DEFAULT_RESULT = Path("result.mp4")


def parse_arguments() -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.add_argument(
        "--config", type=to_path, help="YAML file; default: what the checkpoint holds"
    )
    parser.add_argument("--checkpoint", type=to_path, help="trained networks")
    parser.add_argument("--source_image", type=to_path, help="the picture to move")
    parser.add_argument(
        "--driving_video",
        type=to_path,
        help="the video to move it: a video file, a GIF, a folder of frames, an image of frames "
        "side by side",
    )
    parser.add_argument(
        "--result_video", type=to_path, help=".mp4, .mov, .mkv, .webm or .gif; default: result.mp4"
    )
    parser.add_argument("--pairs", action="store_true", help="animate pairs of test videos")
    parser.add_argument("--log_dir", type=to_path, help="--pairs: default: the checkpoint's folder")
    motion = parser.add_mutually_exclusive_group()
    motion.add_argument("--relative", action="store_true", help="take over the change of pose")
    motion.add_argument("--absolute", action="store_true", help="take over the pose itself")
    parser.add_argument(
        "--adapt_scale", action="store_true", help="scale movement by the sizes of the two objects"
    )
    parser.add_argument(
        "--best_frame",
        metavar="auto|N",
        help="the driving frame whose pose is most like the source's; auto finds it, by the "
        "keypoints; default: the first, 0",
    )
    parser.add_argument(
        "--smooth", action="store_true", help="steady the driving keypoints over time"
    )
    parser.add_argument(
        "--crop",
        nargs=2,
        action="append",
        default=[],
        metavar=("source|driving", "X,Y,W,H"),
        help="the part of the picture, or of the video, to take, in pixels; of it, as by default "
        "of the whole, the middle that has the aspect of the networks",
    )
    parser.add_argument(
        "--paste_back", action="store_true", help="show the result in the whole source picture"
    )
    audio = parser.add_mutually_exclusive_group()
    audio.add_argument("--audio", action="store_true", help="keep the driving sound (the default)")
    audio.add_argument("--no_audio", action="store_true", help="write a silent result")
    parser.add_argument("--batch_size", type=int, default=DEFAULT_BATCH_SIZE, help="frames at once")
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="auto", help="auto: the device's fastest"
    )
    parser.add_argument(
        "--compile", action="store_true", help="faster, after a minute of compiling"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    parser.add_argument("--save_frames", type=to_path, metavar="DIR", help="lossless frames, too")
    parser.add_argument(
        "--side_by_side",
        action="store_true",
        help="show source and driving, with keypoints, beside the result, and write a picture of "
        "some frames",
    )
    parser.add_argument("--json", type=to_path, metavar="FILE", help="write a report there")
    parser.add_overrides()
    return parser.parse_args()


def main() -> None:
    started = time.monotonic()
    args = parse_arguments()
    if args.batch_size < 1:
        raise UserError(f"--batch_size {args.batch_size}: must be at least 1; raise it")
    check_flags(args)
    set_default_files(args)
    with (
        distributed.processes(choose_device(args.device)) as device,
        enough_memory(
            f"--batch_size {args.batch_size}",
            "lower it, end other programs that use the device, or choose another --device",
        ),
    ):
        animator, config = load_animator(
            args.checkpoint,
            config=args.config,
            overrides=args.set,
            device=device,
            batch_size=args.batch_size,
            precision=args.precision,
            compile=args.compile,
        )
        options = animation_options(config, args)
        if args.pairs:
            folder = (args.log_dir or args.checkpoint.parent) / "animation"
            files = PairFiles(args.checkpoint, args.config, folder, args.json)
            animate_test_videos(animator, config, options, files=files, asked=args.device)
        else:
            animate_one(
                animator,
                options,
                Files(**{name: getattr(args, name) for name in Files._fields}),
                config=config,
                crops=read_crops(args.crop),
                asked=args.device,
                overrides=args.set,
                started=started,
            )


def check_flags(args: argparse.Namespace) -> None:
    """See that no flag would be ignored.

    Raises:
        UserError: one would.
    """
    of_one = ("source_image", "driving_video", "result_video", "save_frames", "crop", "paste_back")
    useless = of_one if args.pairs else ("log_dir",)
    for name in useless:
        if getattr(args, name):
            where = "with --pairs, whose results go into --log_dir" if args.pairs else "no --pairs"
            raise UserError(f"--{name}: has no effect {where}; leave it out")


def set_default_files(args: argparse.Namespace) -> None:
    """With no file named, all come from demo/; with some named, none but the result is guessed."""
    needed = ["checkpoint"] if args.pairs else ["checkpoint", "source_image", "driving_video"]
    if not args.pairs and not any(getattr(args, name) for name in needed):
        args.checkpoint = DEMO / "checkpoint.pth.tar"
        args.source_image = DEMO / "source.png"
        args.driving_video = DEMO / "driving.mp4"
        args.side_by_side = True
    for name in needed:
        if getattr(args, name) is None:
            raise UserError(f"--{name}: missing; name a file, or none at all for the demo")
    if args.result_video is None:
        args.result_video = DEFAULT_RESULT


def animation_options(config: Config, args: argparse.Namespace) -> AnimationOptions:
    """What the config says, unless the command line says otherwise."""
    motion = build_motion_transfer(config)
    if args.relative or args.absolute:
        motion = motion._replace(relative=args.relative)
    if args.adapt_scale and not motion.relative:
        raise UserError(
            "--adapt_scale: absolute motion is never scaled; leave it out or add --relative"
        )
    motion = motion._replace(adapt_scale=args.adapt_scale or motion.adapt_scale)
    return AnimationOptions(
        motion=motion,
        best_frame=read_best_frame(args.best_frame),
        smooth=args.smooth,
        paste_back=args.paste_back,
        side_by_side=args.side_by_side or args.pairs,
        sound=not args.no_audio,
    )


def read_best_frame(text: str | None) -> int | Literal["auto"] | None:
    if text is None or text == "auto":
        return text  # type: ignore[return-value]
    try:
        return int(text)
    except ValueError:
        raise UserError(f"--best_frame {text}: write auto or the number of a frame") from None


def read_crops(crops: Sequence[Sequence[str]]) -> dict[str, Box]:
    """--crop: by what is cut, the part that stays."""
    found: dict[str, Box] = {}
    for name, text in crops:
        if name not in ("source", "driving"):
            raise UserError(f"--crop {name}: write source or driving")
        if name in found:
            raise UserError(f"--crop {name}: given twice; name one part of it")
        found[name] = read_box(text)
    return found


if __name__ == "__main__":
    run(main)
