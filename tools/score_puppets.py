"""Score a checkpoint on puppets, whose true motion is known.

    python tools/score_puppets.py --checkpoint log/RUN/best.pth.tar
    python tools/score_puppets.py --checkpoint puppets.pth.tar --data data/unseen --json scores.json

--data is a set that tools/make_puppets.py has made. On it are scored

reconstruction   the test videos, rebuilt from their first frames: the mean absolute error (L1), and
                 its ratio to that of showing the first frame throughout;
transfer         the source pictures of transfer/, moved by their driving videos, against the true
                 answers: likewise, in the relative sense (animate.py's default) and the absolute;
keypoints        the joints that a linear map, fitted on training videos, reads from the keypoints:
                 the share of the visible ones within a tenth of the figure's height of the truth;
motion           the flow back to the first frame, in pixels off the true one, and how well the
                 occlusion map tells what is hidden there.

The last lines say of each figure whether it meets its goal. `evaluate.py --ground_truth` does the
same, and draws a report.
"""

import argparse
import sys
from pathlib import Path

# A script's path begins with its own folder; the packages lie one above.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engine.build import build_motion_transfer
from engine.build_animator import load_animator
from engine.build_files import config_inputs
from engine.command_files import Inputs, check_files, json_report
from engine.command_line import Parser, run, to_path
from engine.device import choose_device
from engine.output import write_json
from tools.puppets.evaluation import evaluate_puppets
from tools.puppets.reading import open_set, set_inputs
from tools.puppets.words import as_dict, print_scores


def parse_arguments() -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.add_argument(
        "--config", type=to_path, help="YAML file; default: what the checkpoint holds"
    )
    parser.add_argument("--checkpoint", type=to_path, required=True, help="trained networks")
    parser.add_argument(
        "--data", type=to_path, help="set of puppets; default: the config's root_dir"
    )
    parser.add_argument("--json", type=to_path, metavar="FILE", help="write the scores there")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    parser.add_overrides()
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    animator, config = load_animator(
        args.checkpoint,
        config=args.config,
        overrides=args.set,
        device=choose_device(args.device),
        precision="fp32",
    )
    data = config.dataset_params
    puppets = open_set(args.data or Path(data.root_dir), frame_shape=data.frame_shape)
    inputs = Inputs([args.checkpoint, args.config]) + set_inputs(puppets.folder)
    check_files(inputs + config_inputs(config), json_report(args.json))

    scores = evaluate_puppets(animator, puppets, build_motion_transfer(config)).scores
    if args.json is not None:
        source = {"checkpoint": str(args.checkpoint), "data": str(puppets.folder)}
        write_json(args.json, source | as_dict(scores))
    print_scores(scores, puppets)


if __name__ == "__main__":
    run(main)
