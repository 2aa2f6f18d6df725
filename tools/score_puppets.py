"""Score a checkpoint on puppets, whose true motion is known.

    python tools/score_puppets.py --checkpoint log/RUN/best-checkpoint.pth.tar
    python tools/score_puppets.py --checkpoint puppets.pth.tar --data data/unseen --json scores.json

--data is a set that tools/make_puppets.py has made. On it are scored

reconstruction   the test videos, rebuilt from their first frames: the mean absolute error (L1), and
                 its ratio to that of showing the first frame throughout;
transfer         the source pictures of transfer/, moved by their driving videos, against the true
                 answers: likewise, in the relative sense (animate.py's default) and the absolute;
keypoints        the joints that a linear map, fitted on training videos, reads from the keypoints:
                 the share of the visible ones within a tenth of the figure's height of the truth.

The last lines say of each figure whether it meets its goal.
"""

import argparse
import math
import sys
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

# A script's path begins with its own folder; the packages lie one above.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from config.schema import Config
from engine.animator import Animator
from engine.build import build_inference_networks, build_motion_transfer, choose_config
from engine.checkpoint import load_weights, read_torch_file, with_averages
from engine.command_line import OneLineErrors, run
from engine.device import choose_device, place
from engine.errors import UserError
from engine.evaluation import L1Score, Rebuilt, mean_score, rebuild, score
from engine.output import check_folder, write_json
from engine.video import read_image, to_tensor
from tools.puppets.reading import PuppetSet, open_set
from tools.puppets.scoring import (
    Array,
    KeypointScore,
    Observed,
    Scores,
    judge,
    ratio,
    score_keypoints,
)

MAX_TRAIN_FRAMES = 3000
DETECTION_BATCH = 16
SENSES = ("relative", "absolute")
TRIPLES_REMEDY = "make a set that has some with tools/make_puppets.py --transfer 20 --out ANOTHER"


class Parser(OneLineErrors, argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line."""


def parse_arguments() -> argparse.Namespace:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, help="YAML file; default: what the checkpoint holds")
    parser.add_argument("--checkpoint", type=Path, required=True, help="trained networks")
    parser.add_argument("--data", type=Path, help="set of puppets; default: the config's root_dir")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the scores there")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    parser.add_argument(
        "--set", action="append", default=[], metavar="K=V", help="override a key of the config"
    )
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    state = read_torch_file(args.checkpoint)
    config = choose_config(args.config, args.set, checkpoint=args.checkpoint, state=state)
    data = config.dataset_params
    puppets = open_set(args.data or Path(data.root_dir), frame_shape=data.frame_shape)
    if args.json is not None:
        check_folder(args.json.parent)
    networks = build_inference_networks(config.model_params)
    load_weights(args.checkpoint, with_averages(state), networks._asdict())
    animator = Animator(**networks._asdict(), device=choose_device(args.device))

    scores = Scores(
        keypoints=keypoints_of(animator, puppets),
        reconstruction=reconstruction_of(animator, puppets),
        transfer={
            sense: transfer_of(animator, puppets, config, sense)
            for sense in (SENSES if puppets.triples else ())
        },
    )
    if args.json is not None:
        source = {"checkpoint": str(args.checkpoint), "data": str(puppets.folder)}
        write_json(args.json, source | as_dict(scores))
    print_scores(scores, puppets)


# ----- the scores


def reconstruction_of(animator: Animator, puppets: PuppetSet) -> L1Score:
    """The mean score of the test videos, each rebuilt from its first frame."""
    scores = []
    for path in progress(puppets.test, "reconstruction"):
        with puppets.open(path) as clip:
            scores.append(score(rebuild(animator, clip)))
    return mean_score(scores)


def transfer_of(animator: Animator, puppets: PuppetSet, config: Config, sense: str) -> L1Score:
    """The mean score of the triples against their true answers; to copy is to show the source."""
    options = build_motion_transfer(config)._replace(relative=sense == "relative")
    scores = []
    for triple in progress(puppets.triples, f"{sense} transfer"):
        picture = to_tensor(read_image(triple / "source.png"))
        with (
            puppets.open_part(triple, "driving") as driving,
            puppets.open_part(triple, sense) as answer,
        ):
            moved = animator.animate(animator.encode(picture), driving, options)
            frames = zip(answer, moved, strict=True)
            scores.append(score(Rebuilt(truth, guess, picture) for truth, guess in frames))
    return mean_score(scores)


def keypoints_of(animator: Animator, puppets: PuppetSet) -> KeypointScore:
    """Fit the joints to the keypoints on training videos, and score them on the test videos."""
    every = math.ceil(len(puppets.train) * puppets.plan.frames / MAX_TRAIN_FRAMES)
    train = observe(animator, puppets, puppets.train, every=every)
    return score_keypoints(train, observe(animator, puppets, puppets.test, every=1))


def observe(
    animator: Animator, puppets: PuppetSet, videos: Sequence[Path], *, every: int
) -> Observed:
    """The keypoints and the truth of every nth frame, counted through all videos."""
    parts = []
    start = 0
    for path in progress(videos, "keypoints"):
        with puppets.open(path) as clip:
            truth = puppets.truth(clip)
            frames = list(islice(clip, start, None, every))
        chosen = slice(start, None, every)
        start = (start - len(truth.joints)) % every
        if frames:
            part = Observed(
                keypoints=detect(animator, frames),
                joints=truth.joints[chosen],
                visible=truth.visible[chosen],
                figure_height=truth.figure_height[chosen],
            )
            parts.append(part)
    return Observed(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


@torch.inference_mode()
def detect(animator: Animator, frames: Sequence[Tensor]) -> Array:
    """The keypoints (F, K, 2) of frames (C, H, W).

    Raises:
        UserError: they are not finite.
    """
    batches = torch.stack(list(frames)).split(DETECTION_BATCH)  # (B, C, H, W) each
    found = [animator.kp_detector(place(batch, animator.device)).value.cpu() for batch in batches]
    keypoints = torch.cat(found)  # (F, K, 2)
    if not keypoints.isfinite().all():
        raise UserError("the keypoints are not finite numbers; take a checkpoint from before that")
    return keypoints.numpy()


# ----- in words


def progress(videos: Sequence[Path], what: str) -> Iterable[Path]:
    return tqdm(videos, desc=what, unit="video", disable=None)


def as_dict(scores: Scores) -> dict[str, object]:
    """All figures, for a JSON file; `transfer` is None where there was nothing to transfer."""
    keypoints = scores.keypoints
    transfer = {sense: with_ratio(result) for sense, result in scores.transfer.items()}
    return {
        "reconstruction": with_ratio(scores.reconstruction),
        "transfer": transfer or None,
        "keypoints": keypoints._asdict()
        | {"joints": [joint._asdict() for joint in keypoints.joints]},
        "goals": [{**goal._asdict(), "met": goal.met} for goal in judge(scores)],
    }


def with_ratio(result: L1Score) -> dict[str, float]:
    return {**result._asdict(), "ratio": ratio(result)}


def print_scores(scores: Scores, puppets: PuppetSet) -> None:
    print(f"reconstruction of {len(puppets.test)} videos: {in_words(scores.reconstruction)}")
    for sense, result in scores.transfer.items():
        print(f"{sense} transfer of {len(puppets.triples)} motions: {in_words(result)}")
    if not scores.transfer:
        print(f"transfer: skipped, {puppets.folder} has no triples; {TRIPLES_REMEDY}")
    found = scores.keypoints
    print(
        f"keypoints: {found.share:.1%} of {found.visible} visible joints found in "
        f"{found.test_frames} frames; by the mean pose of {found.train_frames} training frames: "
        f"{found.constant_share:.1%}"
    )
    for joint in found.joints:
        print(f"  {joint.name:<14} {joint.share:6.1%} of {joint.visible}")
    for goal in judge(scores):
        bound = f"at {'most' if goal.at_most else 'least'} {goal.bound:g}"
        print(f"goal {goal.name}: {goal.value:.4f}, {bound}: {'met' if goal.met else 'not met'}")


def in_words(result: L1Score) -> str:
    return f"L1 {result.l1:.4f}; copying: {result.copy_l1:.4f}; ratio {ratio(result):.3f}"


if __name__ == "__main__":
    run(main)
