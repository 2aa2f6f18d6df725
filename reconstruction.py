"""Rebuild the test videos from their first frames, and score how close they come.

    python reconstruction.py --checkpoint log/RUN/best.pth.tar
    python reconstruction.py --config config/vox-256.yaml --checkpoint vox.pth.tar --json l1.json
    torchrun --nproc_per_node 4 reconstruction.py --checkpoint log/RUN/best.pth.tar

For each test video it writes NAME.mp4, true and rebuilt frames side by side, and the rebuilt frames
without loss as png/NAME/00000000.png onwards, into a folder `reconstruction` beside the checkpoint
or in --log_dir; processes of torchrun share the videos out. What it scores are these frames:
evaluate.py finds the same numbers in the folder `reconstruction/png`. docs/evaluation.md defines
them.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from config.schema import Config
from engine import distributed
from engine.animator import DEFAULT_BATCH_SIZE, Animator
from engine.build_animator import load_animator
from engine.build_files import config_inputs
from engine.clip import Clip, open_clip
from engine.command_files import Inputs, Output, check_files, json_report
from engine.command_line import Parser, run, to_path
from engine.device import announce, choose_device
from engine.errors import UserError
from engine.evaluation import rebuild
from engine.evaluator import Evaluator, Wanted, build_evaluator, files_of
from engine.memory import enough_memory
from engine.output import FrameFolder, check_folder, write_json
from engine.precision import PRECISIONS
from engine.pretrained import LPIPS_NETWORKS, weights_folder
from engine.score_words import as_dict, table
from engine.scoring import VideoScore, check_finite, score_video, total_means
from engine.video import to_frame, to_tensor
from engine.video_writer import VideoWriter
from engine.words import counted
from frames_dataset import split_videos


def parse_arguments() -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.add_argument(
        "--config", type=to_path, help="YAML file; default: what the checkpoint holds"
    )
    parser.add_argument("--checkpoint", type=to_path, required=True, help="trained networks")
    parser.add_argument("--log_dir", type=to_path, help="default: the checkpoint's folder")
    parser.add_argument("--json", type=to_path, help="write the scores there")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="fp32", help="auto: the device's fastest"
    )
    parser.add_argument(
        "--lpips", choices=(*LPIPS_NETWORKS, "none"), default="vgg", help="what LPIPS looks with"
    )
    parser.add_argument(
        "--weights",
        type=to_path,
        metavar="DIR",
        help="where its weights lie; default: torchvision's folder",
    )
    parser.add_overrides()
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    with (
        distributed.processes(choose_device(args.device)) as device,
        enough_memory(
            f"{DEFAULT_BATCH_SIZE} frames at a time in --precision {args.precision}",
            "try bf16 or fp16, --lpips none, or another --device",
        ),
    ):
        reconstruct(args, device)


def reconstruct(args: argparse.Namespace, device: torch.device) -> None:
    """Rebuild and score this process's share of the videos; the first one reports on all."""
    animator, config = load_animator(
        args.checkpoint,
        config=args.config,
        overrides=args.set,
        device=device,
        precision=args.precision,
    )

    params = config.dataset_params
    videos = split_videos(Path(params.root_dir), "test", id_sampling=params.id_sampling)
    videos = videos[: config.reconstruction_params.num_videos]
    names = check_videos(videos, config)
    folder = (args.log_dir or args.checkpoint.parent) / "reconstruction"
    wanted = wanted_of(args)
    inputs = Inputs([args.checkpoint, args.config, *videos, *files_of(wanted)])
    results = results_of(names, folder, config)
    check_files(inputs + config_inputs(config), [*results, *json_report(args.json)])
    check_folder(folder)
    evaluator = build_evaluator(wanted, device)
    first = distributed.is_first()
    if first:
        announce(device, asked=args.device)

    start = time.monotonic()
    own_scores = []
    for path in tqdm(distributed.own_items(videos), unit="video", disable=None if first else True):
        with open_clip(path, frame_shape=params.frame_shape) as clip:
            own_scores.append(rebuild_clip(animator, clip, folder, config, evaluator))
    scores = distributed.gather_items(own_scores)
    if not first:
        return
    if args.json is not None:
        report = {
            "checkpoint": str(args.checkpoint),
            "seconds": round(time.monotonic() - start, 3),
            "skipped": evaluator.skipped,
            **as_dict(scores),
        }
        write_json(args.json, report)
    print_scores(scores, folder, evaluator)


def wanted_of(args: argparse.Namespace) -> Wanted:
    """What to measure, as the flags say."""
    lpips = None if args.lpips == "none" else args.lpips
    return Wanted(args.weights or weights_folder(), lpips)


def results_of(names: Sequence[str], folder: Path, config: Config) -> Iterator[Output]:
    """What is written of the videos of these names."""
    for name in names:
        video = folder / f"{name}{config.reconstruction_params.format}"
        yield Output("a result in --log_dir", video, remedy="--log_dir")
        frames = folder / "png" / name
        yield Output("a result in --log_dir", frames, "frames", remedy="--log_dir")


def check_videos(videos: Sequence[Path], config: Config) -> list[str]:
    """The names of the videos, all of which can be opened, before the first is rebuilt.

    Raises:
        UserError: one cannot, or two would be written to the same file.
    """
    named: dict[str, Path] = {}
    for path in videos:
        with open_clip(path, frame_shape=config.dataset_params.frame_shape) as clip:
            other = named.setdefault(clip.name, path)
        if other != path:
            raise UserError(f"{path}: its results would replace those of {other}; rename one")
    return list(named)


def rebuild_clip(
    animator: Animator, clip: Clip, folder: Path, config: Config, evaluator: Evaluator
) -> VideoScore:
    """Write one video and its frames as they are rebuilt, and score what is written."""
    params = config.reconstruction_params
    frames = islice(clip, params.max_frames)
    with ExitStack() as stack:
        video = stack.enter_context(
            VideoWriter(folder / f"{clip.name}{params.format}", fps=clip.fps)
        )
        lossless = stack.enter_context(FrameFolder(folder / "png" / clip.name))

        def written() -> Iterator[tuple[Tensor, Tensor]]:
            for number, rebuilt in enumerate(rebuild(animator, frames)):
                check_finite(rebuilt.prediction, f"{clip.name}: rebuilt frame {number}")
                prediction = to_frame(rebuilt.prediction)
                video.write(np.concatenate([to_frame(rebuilt.truth), prediction], axis=1))
                lossless.write(prediction)
                yield to_tensor(prediction), rebuilt.truth

        return score_video(clip.name, written(), evaluator.metrics)


def print_scores(scores: Sequence[VideoScore], folder: Path, evaluator: Evaluator) -> None:
    means = total_means(scores)
    frames = sum(score.num_frames for score in scores)
    print(f"{folder}: {counted(len(scores), 'video')}, {counted(frames, 'frame')}")
    print(table(scores))
    for name, reason in evaluator.skipped.items():
        print(f"{name}: skipped; {reason}")
    print(f"L1 {means['l1']:.4f}; copying each video's first frame: {means['copy_l1']:.4f}")


if __name__ == "__main__":
    run(main)
