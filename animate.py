"""Move a still picture with a driving video.

    python animate.py --checkpoint vox.pth.tar --config config/vox-256.yaml \\
        --source_image face.jpg --driving_video talk.mp4 --result_video moved.mp4
    python animate.py --checkpoint log/RUN/best-checkpoint.pth.tar --pairs

The first moves one picture; by default the picture keeps its own pose and takes the change of the
driving video's (--relative). The second animates pairs of the dataset's test videos: those of
pairs_list, or drawn at random with a fixed seed. Without arguments it animates the files in demo/.
"""

import argparse
import time
from collections.abc import Sequence
from itertools import tee
from pathlib import Path

from torch import Tensor
from tqdm import tqdm

from config.schema import Config
from engine.animation_output import AnimationOutput
from engine.animator import DEFAULT_BATCH_SIZE, Animator
from engine.build import build_inference_networks, build_motion_transfer, choose_config
from engine.checkpoint import load_weights, read_torch_file
from engine.clip import Clip, open_clip
from engine.command_line import OneLineErrors, run
from engine.device import announce, choose_device, set_precision
from engine.errors import UserError
from engine.output import check_file, write_json
from engine.precision import PRECISIONS, choose_precision
from engine.video import read_image, resize_frame, to_frame, to_tensor
from frames_dataset import AnimationPair, PairedDataset, split_videos
from modules.keypoints import Keypoints, MotionTransfer

DEMO = Path(__file__).parent / "demo"
PAIRS_SEED = 0


class Parser(OneLineErrors, argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line."""


def parse_arguments() -> argparse.Namespace:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, help="YAML file; default: what the checkpoint holds")
    parser.add_argument("--checkpoint", type=Path, help="trained networks")
    parser.add_argument("--source_image", type=Path, help="the picture to move")
    parser.add_argument(
        "--driving_video",
        type=Path,
        help="the video to move it: a video file, a GIF, a folder of frames, an image of frames "
        "side by side",
    )
    parser.add_argument(
        "--result_video",
        type=Path,
        default=Path("result.mp4"),
        help=".mp4, .mov, .mkv, .webm or .gif",
    )
    parser.add_argument("--pairs", action="store_true", help="animate pairs of test videos")
    parser.add_argument("--log_dir", type=Path, help="--pairs: default: the checkpoint's folder")
    motion = parser.add_mutually_exclusive_group()
    motion.add_argument("--relative", action="store_true", help="take over the change of pose")
    motion.add_argument("--absolute", action="store_true", help="take over the pose itself")
    parser.add_argument(
        "--adapt_scale", action="store_true", help="scale movement by the sizes of the two objects"
    )
    parser.add_argument(
        "--best_frame",
        type=int,
        metavar="N",
        help="the driving frame whose pose is most like the source's; default: the first, 0",
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
    parser.add_argument("--save_frames", type=Path, metavar="DIR", help="lossless frames, too")
    parser.add_argument(
        "--side_by_side",
        action="store_true",
        help="show source and driving beside the result, and write a picture of some frames",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write a report there")
    parser.add_argument(
        "--set", action="extend", nargs="+", default=[], metavar="K=V", help="override config keys"
    )
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    if args.batch_size < 1:
        raise UserError(f"--batch_size {args.batch_size}: must be at least 1")
    set_default_files(args)
    device = choose_device(args.device)
    precision = choose_precision(args.precision, device)
    set_precision(args.precision)

    state = read_torch_file(args.checkpoint)
    config = choose_config(args.config, args.set, checkpoint=args.checkpoint, state=state)
    networks = build_inference_networks(config.model_params)
    load_weights(args.checkpoint, state, networks._asdict())
    animator = Animator(
        **networks._asdict(),
        device=device,
        batch_size=args.batch_size,
        precision=precision,
        compile=args.compile,
    )

    if args.pairs:
        animate_pairs(animator, config, args)
    else:
        animate_one(animator, config, args)


def set_default_files(args: argparse.Namespace) -> None:
    """With no file named, all come from demo/; with some named, none is guessed."""
    needed = ["checkpoint"] if args.pairs else ["checkpoint", "source_image", "driving_video"]
    if not args.pairs and not any(getattr(args, name) for name in needed):
        args.checkpoint = DEMO / "checkpoint.pth.tar"
        args.source_image = DEMO / "source.png"
        args.driving_video = DEMO / "driving.mp4"
        args.side_by_side = True
    for name in needed:
        if getattr(args, name) is None:
            raise UserError(f"--{name}: missing; name a file, or none at all for the demo")


def motion_options(config: Config, args: argparse.Namespace) -> MotionTransfer:
    """What the config says, unless the command line says otherwise."""
    options = build_motion_transfer(config)
    if args.relative or args.absolute:
        options = options._replace(relative=args.relative)
    return options._replace(adapt_scale=args.adapt_scale or options.adapt_scale)


def animate_one(animator: Animator, config: Config, args: argparse.Namespace) -> None:
    """Move the picture by the video, and report."""
    check_results(args)
    frame_shape = config.dataset_params.frame_shape
    picture = to_tensor(resize_frame(read_image(args.source_image), frame_shape[:2]))
    options = motion_options(config, args)
    start = time.monotonic()
    with open_clip(args.driving_video, frame_shape=frame_shape) as clip:
        reference = None
        if args.best_frame is not None:
            reference = animator.detect(clip.frame(args.best_frame))
        announce(animator.device, asked=args.device)
        output = AnimationOutput(
            args.result_video,
            fps=clip.fps,
            times=clip.times,
            sound=None if args.no_audio else clip.sound,
            frames=args.save_frames,
            source=to_frame(picture) if args.side_by_side else None,
            num_frames=clip.num_frames,
        )
        animate_clip(animator, picture, clip, options, output=output, reference=reference)
    seconds = time.monotonic() - start
    if args.json is not None:
        report = {
            "result_video": str(args.result_video),
            "frames": output.num_frames,
            "frames_per_second": str(clip.fps),
            "size": list(frame_shape[:2]),
            "seconds": round(seconds, 3),
            "device": str(animator.device),
            **options._asdict(),
        }
        write_json(args.json, report)
    print(f"{args.result_video}: {output.num_frames} frames in {seconds:.1f} s")
    if output.picture is not None:
        print(f"{output.picture}: some of them, below the driving frames")


def check_results(args: argparse.Namespace) -> None:
    """See that the report can be written, and that no result replaces what it is made from.

    Raises:
        UserError: it cannot, or would.
    """
    results = {"--result_video": args.result_video, "--save_frames": args.save_frames}
    results["--json"] = args.json
    if args.side_by_side:
        results["--side_by_side"] = args.result_video.with_suffix(".png")
    inputs = (args.checkpoint, args.config, args.source_image, args.driving_video)
    given = {path.resolve(): path for path in inputs if path is not None}
    for flag, path in results.items():
        if path is not None and path.resolve() in given:
            remedy = "--result_video" if flag == "--side_by_side" else flag
            raise UserError(
                f"{given[path.resolve()]}: {flag} would write over it; choose another {remedy}"
            )
    if args.json is not None:
        check_file(args.json)


def animate_pairs(animator: Animator, config: Config, args: argparse.Namespace) -> None:
    """Animate pairs of the dataset's test videos."""
    params, data = config.animate_params, config.dataset_params
    folder = (args.log_dir or args.checkpoint.parent) / "animation"
    pairs = PairedDataset(
        split_videos(Path(data.root_dir), "test", id_sampling=data.id_sampling),
        num_pairs=params.num_pairs,
        pairs_list=None if data.pairs_list is None else Path(data.pairs_list),
        seed=PAIRS_SEED,
    )
    check_pairs(pairs, config)
    if args.json is not None:
        check_file(args.json)
    options = motion_options(config, args)
    names = names_of(every_pair(pairs))
    announce(animator.device, asked=args.device)
    for index in tqdm(range(len(pairs)), unit="pair", disable=None):
        pair, name = pairs[index], names[index]
        with (
            open_clip(pair.source, frame_shape=data.frame_shape) as source,
            open_clip(pair.driving, frame_shape=data.frame_shape) as driving,
        ):
            picture = source.frame(pair.frame)
            output = AnimationOutput(
                folder / f"{name}{params.format}",
                fps=driving.fps,
                times=driving.times,
                sound=None if args.no_audio else driving.sound,
                frames=folder / "png" / name,
                source=to_frame(picture),
                num_frames=driving.num_frames,
            )
            animate_clip(animator, picture, driving, options, output=output)
    if args.json is not None:
        report = [
            {"source": str(p.source), "driving": str(p.driving), "frame": p.frame, "name": name}
            for p, name in zip(every_pair(pairs), names, strict=True)
        ]
        write_json(args.json, {"folder": str(folder), **options._asdict(), "pairs": report})
    print(f"{folder}: {len(pairs)} videos of source, driving and result")


def every_pair(pairs: PairedDataset) -> list[AnimationPair]:
    return [pairs[index] for index in range(len(pairs))]


def names_of(pairs: Sequence[AnimationPair]) -> list[str]:
    """What to call the result of each pair, no two alike."""
    names: list[str] = []
    for pair in pairs:
        # A folder of frames has no suffix, only perhaps a dot in its name.
        videos = (pair.source, pair.driving)
        name = "-".join(video.name if video.is_dir() else video.stem for video in videos)
        name += f"-from-{pair.frame}" if pair.frame else ""
        again = sum(other == name or other.startswith(f"{name}--") for other in names)
        names.append(f"{name}--{again + 1}" if again else name)
    return names


def check_pairs(pairs: PairedDataset, config: Config) -> None:
    """See that all videos can be opened and all frames are there, before the first is animated.

    Raises:
        UserError: one cannot, or is not.
    """
    frame_shape = config.dataset_params.frame_shape
    for pair in every_pair(pairs):
        with (
            open_clip(pair.source, frame_shape=frame_shape) as source,
            open_clip(pair.driving, frame_shape=frame_shape),
        ):
            source.frame(pair.frame)


def animate_clip(
    animator: Animator,
    picture: Tensor,
    clip: Clip,
    options: MotionTransfer,
    *,
    output: AnimationOutput,
    reference: Keypoints | None = None,
) -> None:
    """Move a picture (C, H, W) by a clip, in bounded memory; `reference` as in Animator.animate."""
    with output:
        shown, driving = tee(clip)
        source = animator.encode(picture)
        predictions = animator.animate(source, driving, options, reference=reference)
        bar = tqdm(predictions, total=clip.num_frames, unit="frame", disable=None, leave=False)
        for driving_frame, prediction in zip(shown, bar, strict=True):
            output.write(to_frame(driving_frame), to_frame(prediction))


if __name__ == "__main__":
    run(main)
