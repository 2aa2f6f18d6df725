"""Train the networks on a folder of videos.

    python train.py --config config/taichi-256.yaml --device_ids 0,1
    torchrun --nproc_per_node 4 train.py --config config/taichi-256.yaml
    python train.py --config config/actions-64.yaml --set dataset_params.root_dir=data/actions
    python train.py --config config/vox-adv-256.yaml --init_from vox-cpk.pth.tar
    python train.py --checkpoint log/RUN/00000050-checkpoint.pth.tar
    tensorboard --logdir log

--checkpoint goes on where a run stopped (epoch, optimizers, learning rates, random draws), in that
run's own folder; --init_from takes the weights that fit, and lists what was taken. Ctrl-C saves
last-checkpoint and leaves. A batch is shared by all GPUs or processes: batch_size counts them
together.
"""

import argparse
import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from config.schema import Config, dump_config, to_dict
from engine import distributed
from engine.build import choose_config
from engine.build_data import build_dataset, list_test_videos
from engine.build_training import RANDOM_VGG_SEED, build_trainer
from engine.checkpoint import (
    best_path,
    epoch_path,
    newest_numbered,
    read_torch_file,
    restore_random_state,
)
from engine.command_line import Parser, run, to_path
from engine.device import announce, choose_device, keep_freed_memory
from engine.epoch_record import check_record
from engine.errors import UserError
from engine.memory import enough_memory
from engine.output import make_new_folder
from engine.sampling import check_sampling
from engine.saved_run import read_saved_run
from engine.training import Trainer
from engine.visualizer import Visualizer
from logger import Logger
from training_report import Progress
from training_run import Run

_LARGEST_SEED = 2**31 - 1
_WITHOUT_EFFECT = {"checkpoint_freq", "checkpoint_minutes", "compile", "keep_checkpoints"}
_WITHOUT_EFFECT |= {"num_workers", "validate_freq"}
_log = logging.getLogger(__name__)


def parse_arguments() -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.add_argument(
        "--config", type=to_path, help="YAML file; default: what the checkpoint holds"
    )
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--checkpoint", type=to_path, help="go on with this run")
    start.add_argument("--init_from", type=to_path, help="start from these weights")
    parser.add_argument("--log_dir", type=to_path, help="runs get a folder in it; default: log")
    parser.add_argument("--device_ids", type=_gpu_numbers, help="GPUs to train on, such as 0,1")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    parser.add_overrides()
    parser.add_argument(
        "--seed", type=_seed, help="of all random draws; default: the checkpoint's, else 0"
    )
    parser.add_argument("--dry_run", action="store_true", help="print the resolved config and stop")
    return parser.parse_args()


def _gpu_numbers(text: str) -> list[int]:
    numbers = text.split(",")
    if not all(number.strip().isdecimal() for number in numbers):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of GPU numbers, such as 0,1")
    return [int(number) for number in numbers]


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) > _LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"{text!r} is no integer from 0 to {_LARGEST_SEED}")
    return int(text)


def main() -> None:
    args = parse_arguments()
    path = args.checkpoint or args.init_from
    read = read_saved_run if args.checkpoint else read_torch_file
    state = read(path) if path else {}
    config = choose_config(args.config, args.set, checkpoint=path, state=state)
    if args.dry_run:
        print(dump_config(config), end="")
        return
    with distributed.processes(choose_device(args.device, args.device_ids)) as device:
        launch(args, config, state, device)


def launch(args: argparse.Namespace, config: Config, state: Mapping, device: torch.device) -> None:
    """Build what the command line asks for, and train."""
    check_sharing(args, config)
    resumed_seed = state.get("seed", 0) if args.checkpoint else 0
    seed = resumed_seed if args.seed is None else args.seed
    dataset, test_videos = build_dataset(config, seed=seed), list_test_videos(config)
    visualizer = Visualizer(**asdict(config.visualizer_params))

    torch.manual_seed(seed)
    if device.type == "cpu":
        keep_freed_memory()
    with enough_memory(
        "the networks and their optimizers",
        "lower block_expansion and max_features in model_params, end other programs that use the "
        "device, or name another with --device_ids",
    ):
        trainer = build_trainer(config, device=device, device_ids=args.device_ids or [])
        progress = Progress()
        if args.checkpoint:
            progress = resume(trainer, args.checkpoint, state)
        elif args.init_from:
            report(trainer.take_what_fits(args.init_from, state))
    if progress.epoch >= config.train_params.num_epochs:
        raise UserError(
            f"{args.checkpoint}: has all {config.train_params.num_epochs} epochs behind it; raise "
            "train_params.num_epochs to go on"
        )

    if not distributed.is_first():
        Run(config, trainer, dataset, test_videos, None, progress, seed=seed).train()
        return
    folder = run_folder(args, state)
    if not best_path(folder).exists():
        progress.best_l1 = math.inf
    logger = Logger(
        folder,
        visualizer=visualizer,
        keep_checkpoints=config.train_params.keep_checkpoints,
        resume_step=progress.step,
    )
    warn_of_later(folder, args.checkpoint, progress)
    with logger:
        logger.config(dump_config(config))
        logger.settings(settings_to_compare(config))
        announce(device, asked=args.device)
        if config.train_params.perceptual_weights == "random":
            _log.warning(
                "perceptual loss: VGG19 with random weights (seed %d); for better pictures set "
                "train_params.perceptual_weights to imagenet",
                RANDOM_VGG_SEED,
            )
        watching = f"tensorboard --logdir {folder.parent}"
        print(f"training in {folder}; watch it with: {watching}", flush=True)
        start = args.checkpoint
        Run(
            config, trainer, dataset, test_videos, logger, progress, seed=seed, checkpoint=start
        ).train()


def settings_to_compare(config: Config) -> dict[str, object]:
    """The training's and the networks' settings that may change what comes of a run, by name."""
    tree = to_dict(config)
    training = {key: it for key, it in tree["train_params"].items() if key not in _WITHOUT_EFFECT}
    return flattened({**training, "model_params": tree["model_params"]})


def flattened(tree: Mapping) -> dict[str, object]:
    """A tree's leaves, by their paths with dots."""
    leaves: dict[str, object] = {}
    for key, value in tree.items():
        inner = flattened(value) if isinstance(value, Mapping) else {"": value}
        leaves |= {f"{key}.{name}".removesuffix("."): leaf for name, leaf in inner.items()}
    return leaves


def report(findings: Sequence[str]) -> None:
    """Say, once for all processes, what a run starts from."""
    for finding in findings if distributed.is_first() else ():
        _log.info("%s", finding)


def warn_of_later(folder: Path, checkpoint: Path, progress: Progress) -> None:
    """Say that a run goes back, though that may be meant: the last stop may be long ago."""
    newest = newest_numbered(folder)
    if newest is not None and newest.name > epoch_path(folder, progress.epoch).name:
        _log.warning(
            "%s: has %d epochs behind it, %s more; give that to --checkpoint to go on from there",
            checkpoint,
            progress.epoch,
            newest.name,
        )


def check_sharing(args: argparse.Namespace, config: Config) -> None:
    """See that a batch can be shared as asked.

    Raises:
        UserError: it cannot.
    """
    processes = distributed.world_size()
    if processes > 1 and args.device_ids:
        raise UserError("--device_ids: torchrun gives each process its own GPU; drop it")
    batch_size, parts = config.train_params.batch_size, config.train_params.accumulation
    if batch_size % (processes * parts):
        in_parts = f" in {parts} parts each (train_params.accumulation)" if parts > 1 else ""
        raise UserError(
            f"train_params.batch_size: {batch_size} cannot be shared by {processes} processes"
            f"{in_parts}; make it a multiple of {processes * parts}"
        )


def run_folder(args: argparse.Namespace, state: Mapping) -> Path:
    """A new folder in --log_dir, or on resumption of a run of ours that run's folder."""
    if args.checkpoint and args.log_dir is None and "format" in state:
        own_folder: Path = args.checkpoint.parent
        if (own_folder / "config.yaml").exists() and (own_folder / "log.txt").exists():
            return own_folder
    origin = args.config or args.checkpoint or args.init_from
    name = f"{origin.name.split('.')[0]}-{time.strftime('%Y%m%d-%H%M%S')}"
    return make_new_folder((args.log_dir or Path("log")) / name)


def resume(trainer: Trainer, path: Path, state: Mapping) -> Progress:
    """Continue a run of ours to the letter, or a published checkpoint from its epoch on."""
    trainer.load_state_dict(path, state)
    if "random_state" in state:
        restore_random_state(state["random_state"], shared=distributed.world_size() > 1)
    progress = Progress(**{name: state[name] for name in Progress.__annotations__ if name in state})
    check_record(path, progress.epoch_record)
    check_sampling(path, progress.sampling)
    if "format" not in state:
        progress.epoch += 1  # theirs is the number of the last epoch done, counted from 0
    best = best_path(path.parent)
    if best.exists():  # of an epoch after the checkpoint's, where the run was killed or goes back
        progress.best_l1 = read_saved_run(best).get("best_l1", math.inf)
    return progress


if __name__ == "__main__":
    run(main)
