"""Score results against the truth, whatever made them.

    python evaluate.py RESULTS TRUTHS
    python evaluate.py log/RUN/reconstruction/png data/puppets/test --json scores.json
    python evaluate.py RESULTS TRUTHS --keypoints body --feature_files mine.npz theirs.npz

RESULTS and TRUTHS are folders of videos that share their names: video files, folders of frames,
images of frames side by side, in any mixture. L1, PSNR, SSIM and temporal error are measured;
LPIPS, where its weights are in place; AKD and MKR, AED, where a detector is named. A missing, extra
or shorter video ends the command, which names it, unless --partial asks for the score of the rest.
What was scored once is not scored again. docs/evaluation.md defines every number.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from engine.command_line import OneLineErrors, run
from engine.device import choose_device
from engine.errors import UserError
from engine.evaluator import (
    FEATURE_DETECTORS,
    KEYPOINT_DETECTORS,
    Evaluator,
    Files,
    Wanted,
    build_evaluator,
)
from engine.matching import Matched, Shape, frames_of, match_videos
from engine.output import check_file, write_json
from engine.pretrained import LPIPS_NETWORKS, weights_folder
from engine.score_cache import ScoreCache
from engine.scoring import VideoScore, as_dict, score_video, table

CACHE_NAME = ".scores"
T = TypeVar("T")


class Parser(OneLineErrors, argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line."""


def parse_arguments() -> argparse.Namespace:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, metavar="RESULTS", help="folder of what was made")
    parser.add_argument("truths", type=Path, metavar="TRUTHS", help="folder of what it should be")
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
    shape = Shape(parse_size(args.size), positive("--frame_width", args.frame_width))
    if args.json is not None:
        check_file(args.json)
    matched = match_videos(args.results, args.truths, shape)
    check_match(matched, partial=args.partial)
    evaluator = build_evaluator(wanted_of(args), choose_device(args.device))

    scores = score_pairs(matched, shape, evaluator, args.cache or args.results / CACHE_NAME)

    if args.json is not None:
        about = {"results": str(args.results), "truths": str(args.truths), "size": args.size}
        left_out = {"skipped": evaluator.skipped, "unmatched": matched.problems}
        write_json(args.json, about | left_out | as_dict(scores))
    print(table(scores))
    for name, reason in evaluator.skipped.items():
        print(f"{name}: skipped; {reason}")
    for problem in matched.problems:
        print(f"not scored as a whole: {problem}")


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


def check_match(matched: Matched, *, partial: bool) -> None:
    """Go on only with what matches in full, or is asked for as it is.

    Raises:
        UserError: something does not match, or nothing does.
    """
    problems = "; ".join(matched.problems)
    if matched.problems and not partial:
        raise UserError(f"{problems}; mend that, or score the rest with --partial")
    if not matched.pairs:
        raise UserError(f"{problems}; nothing is left to score")


def score_pairs(
    matched: Matched, shape: Shape, evaluator: Evaluator, cache_folder: Path
) -> list[VideoScore]:
    """Score each pair, or take what an earlier run has found."""
    cache = ScoreCache(cache_folder, {**evaluator.settings, "shape": shape})
    num_frames = sum(pair.num_frames for pair in matched.pairs)
    scores = []
    with tqdm(total=num_frames, unit="frame", disable=None) as bar:
        for pair in matched.pairs:
            score = cache.find(pair)
            if score is None:
                frames = ticking(bar, frames_of(pair, shape))
                score = score_video(pair.name, frames, evaluator.metrics)
                cache.store(pair, score)
            else:
                bar.update(pair.num_frames)
            scores.append(score)
    return scores


def ticking(bar: tqdm, frames: Iterator[T]) -> Iterator[T]:
    """The same frames, counted as they pass."""
    for frame in frames:
        yield frame
        bar.update()


if __name__ == "__main__":
    run(main)
