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
from pathlib import Path
from typing import NamedTuple

from config.schema import Config, dump_config
from engine.animator import Animator
from engine.build import build_inference_networks, build_motion_transfer, choose_config
from engine.checkpoint import load_weights, read_torch_file, with_averages
from engine.command_line import OneLineErrors, run
from engine.device import announce, choose_device
from engine.errors import UserError
from engine.evaluator import (
    FEATURE_DETECTORS,
    KEYPOINT_DETECTORS,
    Evaluator,
    Files,
    Wanted,
    build_evaluator,
)
from engine.identity import checkpoint_facts, machine_facts
from engine.matching import Shape, match_videos
from engine.output import check_file, write_json
from engine.pretrained import LPIPS_NETWORKS, weights_folder
from engine.report import MOST_RUNS, write_report
from engine.result_folders import (
    Scored,
    check_match,
    notes_of,
    report_run,
    report_strips,
    run_as_dict,
    score_pairs,
    short_names,
)
from engine.score_words import as_dict, table
from engine.strips import Look, network_look
from engine.video import is_video
from tools.puppets.evaluation import evaluate_puppets
from tools.puppets.page import puppet_run, puppet_strips
from tools.puppets.reading import open_set
from tools.puppets.words import as_dict as puppets_as_dict
from tools.puppets.words import print_scores

CACHE_NAME = ".scores"


class Loaded(NamedTuple):
    """Networks ready to run, their config, and which checkpoint they are."""

    animator: Animator
    config: Config
    facts: dict[str, str]


class Parser(OneLineErrors, argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line."""


def parse_arguments() -> argparse.Namespace:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "folders",
        type=Path,
        nargs="*",
        metavar="RESULTS TRUTHS",
        help="what was made, and should be",
    )
    parser.add_argument(
        "--compare",
        type=Path,
        nargs="+",
        metavar="RESULTS",
        help="score several folders of results side by side; name TRUTHS alone before it",
    )
    parser.add_argument("--ground_truth", action="store_true", help="score a checkpoint on puppets")
    parser.add_argument(
        "--checkpoint",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="trained networks: to be scored on puppets, or what made each RESULTS, for the report",
    )
    parser.add_argument("--config", type=Path, help="YAML file; default: what the checkpoint holds")
    parser.add_argument(
        "--set", action="extend", nargs="+", default=[], metavar="K=V", help="override config keys"
    )
    parser.add_argument("--data", type=Path, help="set of puppets; default: the config's root_dir")
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="write a page to look at: .html"
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
        type=Path,
        nargs=2,
        metavar="FILE",
        help="for AKD and MKR: those found in the results and in the truths, .npz or .csv",
    )
    features = parser.add_mutually_exclusive_group()
    features.add_argument("--features", choices=FEATURE_DETECTORS, help="for AED")
    features.add_argument(
        "--feature_files", type=Path, nargs=2, metavar="FILE", help="for AED, likewise"
    )
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="DIR",
        help="where the networks' weights lie; default: torchvision's folder",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help=f"where scores are kept between runs; default: RESULTS/{CACHE_NAME}",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number there")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    check_arguments(args)
    if args.ground_truth:
        on_puppets(args)
    else:
        on_folders(args)


def check_arguments(args: argparse.Namespace) -> None:
    """See that what was named is what the way of scoring takes, and that it can be written.

    Raises:
        UserError: it is not, or cannot.
    """
    runs, folders = len(args.compare or [1]), len(args.folders)
    if args.ground_truth and (folders or args.compare or len(args.checkpoint) != 1):
        raise UserError("--ground_truth: takes one --checkpoint, and no folders of results")
    if not args.ground_truth and folders != (1 if args.compare else 2):
        named = "TRUTHS --compare RESULTS RESULTS" if args.compare else "RESULTS TRUTHS"
        raise UserError(f"{folders} folders named: write evaluate.py {named}")
    if runs > MOST_RUNS:
        raise UserError(f"--compare: {runs} folders; a page shows at most {MOST_RUNS}")
    if not args.ground_truth and len(args.checkpoint) not in (0, runs):
        raise UserError(f"--checkpoint: {len(args.checkpoint)} files for {runs} RESULTS; name each")
    check_outputs(args)


def check_outputs(args: argparse.Namespace) -> None:
    """See that what is to be written can be, and replaces nothing that is read.

    Raises:
        UserError: it cannot, or would.
    """
    files = (args.keypoint_files or []) + (args.feature_files or [])
    taken = {path.resolve() for path in [*args.checkpoint, args.config, *files] if path is not None}
    folders = [folder.resolve() for folder in [*args.folders, *(args.compare or [])]]
    for flag, path in (("--json", args.json), ("--report", args.report)):
        if path is None:
            continue
        target = path.resolve()
        is_scored = is_video(target) and any(folder in target.parents for folder in folders)
        if target in taken or is_scored:
            raise UserError(f"{path}: {flag} would write over it; name another file")
        taken.add(target)
        check_file(path)


# ----- folders of results


def on_folders(args: argparse.Namespace) -> None:
    """Score what lies in folders, print and write it."""
    shape = Shape(parse_size(args.size), positive("--frame_width", args.frame_width))
    truths = args.folders[-1]
    results = args.compare or args.folders[:1]
    matches = [match_videos(folder, truths, shape) for folder in results]
    for matched in matches:
        check_match(matched, partial=args.partial)
    evaluator = build_evaluator(wanted_of(args), choose_device(args.device))
    networks = [load_networks(path, args) for path in args.checkpoint]

    runs = []
    for name, folder, matched in zip(short_names(results), results, matches, strict=True):
        cache = args.cache or folder / CACHE_NAME
        cache = cache / name if args.cache and args.compare else cache
        scores = score_pairs(matched, shape, evaluator, cache)
        runs.append(Scored(name, folder, truths, matched, scores))

    if args.json is not None:
        reports = [run_as_dict(it, evaluator) for it in runs]
        about = {"truths": str(truths), "size": args.size}
        write_json(args.json, about | ({"runs": reports} if args.compare else reports[0]))
    for it in runs:
        print_run(it, evaluator, named=len(runs) > 1)
    if args.report is not None:
        pages = [
            report_run(
                it,
                evaluator,
                facts=networks[index].facts if networks else {},
                config=dump_config(networks[index].config) if networks else None,
            )
            for index, it in enumerate(runs)
        ]
        write_report(args.report, pages, report_strips(runs, shape, looks_of(networks, runs)))
        print(f"{args.report}: the report")


def looks_of(networks: Sequence[Loaded], runs: Sequence[Scored]) -> list[Look | None]:
    """What each run's networks see in a frame, if they were named."""
    if not networks:
        return [None] * len(runs)
    return [
        network_look(loaded.animator, loaded.config.dataset_params.frame_shape[:2])
        for loaded in networks
    ]


def print_run(scored: Scored, evaluator: Evaluator, *, named: bool) -> None:
    if named:
        print(f"{scored.name}: {scored.folder}")
    print(table(scored.scores))
    for note in notes_of(scored, evaluator):
        print(note)


# ----- puppets


def on_puppets(args: argparse.Namespace) -> None:
    """Score a checkpoint where the truth is known, print and write it."""
    loaded = load_networks(args.checkpoint[0], args)
    data = loaded.config.dataset_params
    puppets = open_set(args.data or Path(data.root_dir), frame_shape=data.frame_shape)
    announce(loaded.animator.device, asked=args.device)
    options = build_motion_transfer(loaded.config)
    found = evaluate_puppets(loaded.animator, puppets, options)
    if args.json is not None:
        source = {"checkpoint": str(args.checkpoint[0]), "data": str(puppets.folder)}
        videos = {"rebuilt": as_dict(found.rebuilt)}
        write_json(args.json, source | puppets_as_dict(found.scores) | videos)
    print_scores(found.scores, puppets)
    if args.report is not None:
        facts = {"puppets": str(puppets.folder)} | loaded.facts
        facts |= machine_facts(loaded.animator.device)
        page = puppet_run(
            "/".join(args.checkpoint[0].resolve().parts[-2:]),
            found,
            facts=facts,
            config=dump_config(loaded.config),
        )
        write_report(args.report, [page], puppet_strips(found, loaded.animator, puppets))
        print(f"{args.report}: the report")


# ----- both


def load_networks(checkpoint: Path, args: argparse.Namespace) -> Loaded:
    """The networks of a checkpoint, on the device that was asked for."""
    state = read_torch_file(checkpoint)
    config = choose_config(args.config, args.set, checkpoint=checkpoint, state=state)
    networks = build_inference_networks(config.model_params)
    load_weights(checkpoint, with_averages(state), networks._asdict())
    animator = Animator(**networks._asdict(), device=choose_device(args.device))
    return Loaded(animator, config, checkpoint_facts(checkpoint, state))


def parse_size(text: str | None) -> tuple[int, int] | None:
    """HxW, or one number for both."""
    if text is None:
        return None
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and int(side) for side in sides):
        raise UserError(f"--size {text}: write height x width in pixels, such as 256x256")
    return int(sides[0]), int(sides[-1])


def positive(flag: str, value: int | None) -> int | None:
    if value is not None and value < 1:
        raise UserError(f"{flag} {value}: must be at least 1")
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
