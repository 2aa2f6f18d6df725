"""Score results against the truth, whatever made them.

    python evaluate.py RESULTS TRUTHS
    python evaluate.py log/RUN/reconstruction/png data/puppets/test --checkpoint F --report a.html
    python evaluate.py TRUTHS --compare RESULTS RESULTS --report both.html
    python evaluate.py --ground_truth --checkpoint FILE --data data/puppets --report puppets.html

RESULTS and TRUTHS are folders of videos that share their names: video files, folders of frames,
images of frames side by side, in any mixture. L1, PSNR, SSIM and temporal error are measured;
LPIPS, where its weights are in place; AKD and MKR, AED, where a detector is named. A missing, extra
or shorter video ends the command, which names it, unless --partial asks for the score of the rest.
What was scored once is not scored again. --ground_truth scores a checkpoint on puppets, whose true
motion is known. A report is one page with pictures and plots; a checkpoint adds what its networks
see. docs/evaluation.md defines every number.
"""

import argparse
from collections.abc import Sequence

from engine.build_files import config_inputs
from engine.command_files import Inputs, Output, check_files, json_report
from engine.command_line import Parser, run, to_path
from engine.device import choose_device
from engine.errors import UserError
from engine.evaluator import (
    FEATURE_DETECTORS,
    KEYPOINT_DETECTORS,
    Files,
    Wanted,
    build_evaluator,
    files_of,
)
from engine.matching import Shape
from engine.memory import enough_memory
from engine.pretrained import LPIPS_NETWORKS, weights_folder
from engine.report import MOST_RUNS
from engine.words import counted
from evaluation_run import (
    CACHE_NAME,
    Loaded,
    Outputs,
    load_networks,
    on_puppets,
    puppets_folder,
    score_folders,
    tell_of_folders,
)
from tools.puppets.reading import set_inputs

_OF_FOLDERS = (
    *("size", "frame_width", "partial", "weights", "cache"),
    *("keypoints", "keypoint_files", "features", "feature_files"),
)
"""What says how folders are scored, and nothing about puppets."""

_LARGEST_SIDE = 4096
"""Pixels, of --size: frames of that size, squared, take gigabytes."""


def parse_arguments() -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.add_argument(
        "folders",
        type=to_path,
        nargs="*",
        metavar="RESULTS TRUTHS",
        help="what was made, and should be",
    )
    parser.add_argument(
        "--compare",
        type=to_path,
        nargs="+",
        metavar="RESULTS",
        help="score several folders of results side by side; name TRUTHS alone before it",
    )
    parser.add_argument("--ground_truth", action="store_true", help="score a checkpoint on puppets")
    parser.add_argument(
        "--checkpoint",
        type=to_path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="trained networks: to be scored on puppets, or what made each RESULTS, for the report",
    )
    parser.add_argument(
        "--config", type=to_path, help="YAML file; default: what the checkpoint holds"
    )
    parser.add_overrides()
    parser.add_argument(
        "--data", type=to_path, help="set of puppets; default: the config's root_dir"
    )
    parser.add_argument(
        "--report", type=to_path, metavar="FILE", help="write a page to look at: .html"
    )
    parser.add_argument(
        "--size", metavar="HxW", help="resize both to this; default: compare them as they are"
    )
    parser.add_argument(
        "--frame_width",
        type=int,
        metavar="N",
        help="of a frame in images of frames side by side; default: frames are square",
    )
    parser.add_argument(
        "--partial", action="store_true", help="score what matches, and name the rest"
    )
    parser.add_argument(
        "--lpips",
        choices=(*LPIPS_NETWORKS, "none"),
        default="vgg",
        help="the network it looks with",
    )
    keypoints = parser.add_mutually_exclusive_group()
    keypoints.add_argument("--keypoints", choices=KEYPOINT_DETECTORS, help="for AKD and MKR")
    keypoints.add_argument(
        "--keypoint_files",
        type=to_path,
        nargs=2,
        metavar="FILE",
        help="for AKD and MKR: those found in the results and in the truths, .npz or .csv",
    )
    features = parser.add_mutually_exclusive_group()
    features.add_argument("--features", choices=FEATURE_DETECTORS, help="for AED")
    features.add_argument(
        "--feature_files", type=to_path, nargs=2, metavar="FILE", help="for AED, likewise"
    )
    parser.add_argument(
        "--weights",
        type=to_path,
        metavar="DIR",
        help="where the networks' weights lie; default: torchvision's folder",
    )
    parser.add_argument(
        "--cache",
        type=to_path,
        metavar="DIR",
        help=f"where scores are kept between runs; default: RESULTS/{CACHE_NAME}",
    )
    parser.add_argument("--json", type=to_path, metavar="FILE", help="write every number there")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    return parser.parse_args()


@enough_memory(
    "frames of this size and what looks at them",
    "lower --size, leave out --keypoints and --features, add --lpips none, or use --device cpu",
)
def main() -> None:
    args = parse_arguments()
    check_arguments(args)
    shape = Shape(parse_size(args.size), positive("--frame_width", args.frame_width))
    device = choose_device(args.device)
    wanted, outputs = wanted_of(args), Outputs(args.json, args.report)
    networks = [
        load_networks(path, config=args.config, overrides=args.set, device=device)
        for path in args.checkpoint
    ]
    check_files(inputs_of(args, wanted, networks), outputs_of(args))
    if args.ground_truth:
        on_puppets(networks[0], args.data, outputs, device_asked=args.device)
        return
    evaluator = build_evaluator(wanted, device)
    results = args.compare or args.folders[:1]
    runs = score_folders(
        results, args.folders[-1], shape, evaluator, partial=args.partial, cache=args.cache
    )
    tell_of_folders(runs, shape, evaluator, networks, outputs, compared=bool(args.compare))


def check_arguments(args: argparse.Namespace) -> None:
    """See that what was named is what the way of scoring takes.

    Raises:
        UserError: it is not.
    """
    runs, folders = len(args.compare or [1]), len(args.folders)
    if args.ground_truth and (folders or args.compare or len(args.checkpoint) != 1):
        raise UserError(
            "--ground_truth: takes one --checkpoint, and no folders of results; name just that one"
        )
    if not args.ground_truth and folders != (1 if args.compare else 2):
        named = "TRUTHS --compare RESULTS RESULTS" if args.compare else "RESULTS TRUTHS"
        raise UserError(f"{counted(folders, 'folder')} named: write evaluate.py {named}")
    if runs > MOST_RUNS:
        raise UserError(f"--compare: {runs} folders; a page shows at most {MOST_RUNS}; name fewer")
    if not args.ground_truth and len(args.checkpoint) not in (0, runs):
        raise UserError(
            f"--checkpoint: {counted(len(args.checkpoint), 'file')} for {runs} RESULTS; name each"
        )
    check_flags(args)


def check_flags(args: argparse.Namespace) -> None:
    """See that no flag is named that would do nothing.

    Raises:
        UserError: one is.
    """
    for name in _OF_FOLDERS if args.ground_truth else ("data",):
        if getattr(args, name):
            side = "without" if args.ground_truth else "with"
            raise UserError(f"--{name}: only {side} --ground_truth; drop it")
    if not args.checkpoint and (args.config or args.set):
        raise UserError("--config, --set: only with a --checkpoint; name it, or drop them")
    if args.compare and (args.keypoint_files or args.feature_files):
        raise UserError(
            "--keypoint_files, --feature_files: tell of one folder of results; without --compare, "
            "score each with its own"
        )


def inputs_of(args: argparse.Namespace, wanted: Wanted, networks: Sequence[Loaded]) -> Inputs:
    """What is read, and what the networks' configs name."""
    files = [*args.checkpoint, args.config, *files_of(wanted)]
    inputs = Inputs(files, [*args.folders, *(args.compare or [])])
    for loaded in networks:
        inputs += config_inputs(loaded.config, dataset_is_read=False)
    if args.ground_truth:
        inputs += set_inputs(puppets_folder(networks[0], args.data))
    return inputs


def outputs_of(args: argparse.Namespace) -> list[Output]:
    """What is written."""
    if args.ground_truth:
        caches = []
    elif args.cache is not None:
        caches = [args.cache]
    else:
        caches = [folder / CACHE_NAME for folder in args.compare or args.folders[:1]]
    outputs = [Output("--cache", folder, "cache") for folder in caches]
    if args.report is not None:
        outputs.append(Output("--report", args.report, "page"))
    return outputs + json_report(args.json)


def parse_size(text: str | None) -> tuple[int, int] | None:
    """HxW, or one number for both.

    Raises:
        UserError: it is no size, or one that no machine would bear.
    """
    if text is None:
        return None
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and side.strip("0") for side in sides):
        raise UserError(f"--size {text}: write height x width in pixels, such as 256x256")
    digits = len(str(_LARGEST_SIDE))
    if any(len(side) > digits or int(side) > _LARGEST_SIDE for side in sides):
        raise UserError(f"--size {text}: name at most {_LARGEST_SIDE} pixels a side")
    return int(sides[0]), int(sides[-1])


def positive(flag: str, value: int | None) -> int | None:
    if value is not None and value < 1:
        raise UserError(f"{flag} {value}: must be at least 1; raise it")
    return value


def wanted_of(args: argparse.Namespace) -> Wanted:
    """What to measure, as the flags say."""
    return Wanted(
        weights=args.weights or weights_folder(),
        lpips=None if args.lpips == "none" else args.lpips,
        keypoints=Files(*args.keypoint_files) if args.keypoint_files else args.keypoints,
        features=Files(*args.feature_files) if args.feature_files else args.features,
    )


if __name__ == "__main__":
    run(main)
