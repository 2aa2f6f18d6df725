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
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from augmentation import ColorJitter, Compose, build_augmentation
from config.schema import AugmentationParams, Config, dump_config, to_dict
from engine import distributed
from engine.animator import Animator
from engine.build import choose_config
from engine.build_training import RANDOM_VGG_SEED, build_trainer
from engine.checkpoint import best_path, random_state, read_torch_file, restore_random_state
from engine.clip import open_clip
from engine.command_line import OneLineErrors, run
from engine.device import announce, choose_device
from engine.errors import UserError
from engine.evaluation import mean_score, rebuild, score
from engine.interrupt import StopRequest, ignore_interrupts
from engine.measures import RunningMeans, Stopwatch
from engine.output import make_new_folder
from engine.sampling import EpochSampler
from engine.training import Trainer
from engine.video import UnreadableVideo
from engine.warm_start import take_what_fits
from frames_dataset import DatasetRepeater, FramePair, TrainingPairs, split_videos
from logger import Logger, Visualizer

STEPS_BETWEEN_SCALARS = 10
_LARGEST_SEED = 2**31 - 1
_log = logging.getLogger(__name__)


@dataclass
class Progress:
    """How far a run has come: whole epochs, steps into the next one, steps in all."""

    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0
    best_l1: float = float("inf")


class Parser(OneLineErrors, argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line."""


def parse_arguments() -> argparse.Namespace:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, help="YAML file; default: what the checkpoint holds")
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--checkpoint", type=Path, help="go on with this run")
    start.add_argument("--init_from", type=Path, help="start from these weights")
    parser.add_argument("--log_dir", type=Path, help="runs get a folder in it; default: log")
    parser.add_argument("--device_ids", type=_gpu_numbers, help="GPUs to train on, such as 0,1")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    parser.add_argument(
        "--set", action="extend", nargs="+", default=[], metavar="K=V", help="override config keys"
    )
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
    state = read_torch_file(path) if path else {}
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
    trainer = build_trainer(config, device=device, device_ids=args.device_ids or [])
    # From the same weights on, each process draws warps of its own.
    torch.manual_seed(seed + distributed.rank())
    progress = Progress()
    if args.checkpoint:
        progress = resume(trainer, args.checkpoint, state)
    elif args.init_from:
        report(take_what_fits(args.init_from, state, trainer.networks._asdict()))
    if progress.epoch >= config.train_params.num_epochs:
        raise UserError(
            f"{args.checkpoint}: has all {config.train_params.num_epochs} epochs behind it; raise "
            "train_params.num_epochs to go on"
        )

    if not distributed.is_first():
        Run(config, trainer, dataset, test_videos, None, progress, seed=seed).train()
        return
    folder = run_folder(args, state)
    logger = Logger(
        folder,
        visualizer=visualizer,
        keep_checkpoints=config.train_params.keep_checkpoints,
        resume_step=progress.step,
    )
    with logger:
        logger.config(dump_config(config))
        announce(device, asked=args.device)
        if config.train_params.perceptual_weights == "random":
            _log.warning(
                "perceptual loss: VGG19 with random weights (seed %d); for better pictures set "
                "train_params.perceptual_weights to imagenet",
                RANDOM_VGG_SEED,
            )
        print(f"training in {folder}; watch it with: tensorboard --logdir {folder}", flush=True)
        Run(config, trainer, dataset, test_videos, logger, progress, seed=seed).train()


def report(findings: Sequence[str]) -> None:
    """Say, once for all processes, what a run starts from."""
    for finding in findings if distributed.is_first() else ():
        _log.info("%s", finding)


def check_sharing(args: argparse.Namespace, config: Config) -> None:
    """See that a batch can be shared as asked.

    Raises:
        UserError: it cannot.
    """
    processes = distributed.world_size()
    if processes > 1 and args.device_ids:
        raise UserError("--device_ids: torchrun gives each process its own GPU; drop it")
    if config.train_params.batch_size % processes:
        raise UserError(
            f"train_params.batch_size: {config.train_params.batch_size} cannot be shared by "
            f"{processes} processes; make it a multiple"
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


def build_dataset(config: Config, *, seed: int) -> DatasetRepeater:
    """The training pairs of an epoch.

    Raises:
        UserError: there are no videos, or too few for a batch.
    """
    params = config.dataset_params
    pairs = TrainingPairs(
        split_videos(Path(params.root_dir), "train", id_sampling=params.id_sampling),
        frame_shape=params.frame_shape,
        id_sampling=params.id_sampling,
        augmentation=build_clip_augmentation(params.augmentation_params),
        seed=seed,
    )
    dataset = DatasetRepeater(pairs, config.train_params.num_repeats)
    if len(dataset) < config.train_params.batch_size:
        raise UserError(
            f"{params.root_dir}: {len(pairs)} videos x {dataset.num_repeats} repeats are less than "
            f"one batch of {config.train_params.batch_size}; raise train_params.num_repeats"
        )
    return dataset


def list_test_videos(config: Config) -> list[Path]:
    """The test videos that validation rebuilds; none where there is no validation.

    Raises:
        UserError: there is to be a validation, but no test video.
    """
    if not config.train_params.validation_freq:
        return []
    data = config.dataset_params
    videos = split_videos(Path(data.root_dir), "test", id_sampling=data.id_sampling)
    return videos[: config.reconstruction_params.num_videos]


def build_clip_augmentation(params: AugmentationParams) -> Compose:
    flip, jitter = params.flip_param, params.jitter_param
    return build_augmentation(
        horizontal_flip=flip is not None and flip.horizontal_flip,
        time_flip=flip is not None and flip.time_flip,
        resize_ratio=params.resize_param.ratio if params.resize_param else None,
        crop_size=params.crop_param.size if params.crop_param else None,
        rotation_degrees=params.rotation_param.degrees if params.rotation_param else None,
        jitter=ColorJitter(**asdict(jitter)) if jitter else None,
    )


def resume(trainer: Trainer, path: Path, state: Mapping) -> Progress:
    """Continue a run of ours to the letter, or a published checkpoint from its epoch on."""
    trainer.load_state_dict(path, state)
    if "random_state" in state and distributed.is_first():
        restore_random_state(state["random_state"])
    progress = Progress(**{name: state[name] for name in Progress.__annotations__ if name in state})
    if "format" not in state:
        progress.epoch += 1  # theirs is the number of the last epoch done, counted from 0
    best = best_path(path.parent)
    if best.exists():  # of later epochs, if this checkpoint is not the run's last
        progress.best_l1 = min(progress.best_l1, read_torch_file(best).get("best_l1", math.inf))
    return progress


class Run:
    """The loop over epochs, with what it reads from and, in the first process, writes to."""

    def __init__(
        self,
        config: Config,
        trainer: Trainer,
        dataset: DatasetRepeater,
        test_videos: Sequence[Path],
        logger: Logger | None,
        progress: Progress,
        *,
        seed: int,
    ) -> None:
        self.config, self.trainer, self.dataset = config, trainer, dataset
        self.test_videos, self.logger, self.progress = test_videos, logger, progress
        self.seed = seed
        self._saved_at = time.monotonic()
        params = config.train_params
        self.sampler = EpochSampler(len(dataset), seed=seed)
        self.loader: DataLoader[FramePair] = DataLoader(
            dataset,
            batch_size=params.batch_size // distributed.world_size(),
            sampler=distributed.RankShare(self.sampler, batch_size=params.batch_size),
            num_workers=params.num_workers,
            drop_last=True,
            pin_memory=trainer.device.type == "cuda",
            worker_init_fn=ignore_interrupts,
            persistent_workers=params.num_workers > 0,
            # Of its own, or each iteration would move the random state that a run resumes from.
            generator=torch.Generator(),
        )

    def train(self) -> None:
        """Go on to the last epoch, or until asked to stop."""
        with StopRequest() as stop:
            while self.progress.epoch < self.config.train_params.num_epochs:
                means = self.train_epoch(stop)
                if stop.received:
                    self.leave()
                    return
                self.progress.epoch, self.progress.step_in_epoch = self.progress.epoch + 1, 0
                self.trainer.end_epoch()
                self.finish_epoch(means, stop)
                if distributed.agree(stop.received, self.trainer.device):
                    self.leave()
                    return

    def leave(self) -> None:
        """Save where the run is, and say so."""
        path = self.save()
        if path is not None:
            print(f"stopped; --checkpoint {path} goes on from here")

    def train_epoch(self, stop: StopRequest) -> dict[str, float]:
        """One walk over the data, or the rest of one; the means of what it measured."""
        progress, batch_size = self.progress, self.config.train_params.batch_size
        self.sampler.set_epoch(progress.epoch, first_item=progress.step_in_epoch * batch_size)
        self.dataset.set_epoch(progress.epoch)
        losses, recent, times = RunningMeans(), RunningMeans(), Stopwatch()
        skipped, result = 0, None
        bar = tqdm(
            self.loader,
            desc=f"epoch {progress.epoch + 1}",
            unit="step",
            disable=None if distributed.is_first() else True,
        )
        for pair in bar:
            times.data_arrived()
            result = self.trainer.step(pair.source, pair.driving)
            times.step_done()
            progress.step, progress.step_in_epoch = progress.step + 1, progress.step_in_epoch + 1
            skipped += int(pair.skipped.sum())
            losses.add(result.losses)
            recent.add(result.losses)
            if progress.step % STEPS_BETWEEN_SCALARS == 0:
                means, recent = recent.means(), RunningMeans()
                bar.set_postfix_str(f"loss {means['total']:.4f}")
                self.log_scalars(means, times)
            if distributed.agree(stop.received, self.trainer.device):
                stop.received = True
                break
            self.save_if_due()
        if self.logger is not None and result is not None and not stop.received:
            grid = self.logger.visualizer.training_grid(pair.source, pair.driving, result.pictures)
            self.logger.picture(progress.epoch + 1, progress.step, grid)
        return {**losses.means(), **times.means(), "skipped_clips": skipped}

    def log_scalars(self, means: Mapping[str, float], times: Stopwatch) -> None:
        if self.logger is None:
            return
        rates = self.trainer.current_learning_rates()
        values = {f"loss/{name}": mean for name, mean in means.items()}
        values |= {f"lr/{name}": rate for name, rate in rates.items()}
        values |= {f"time/{name}": mean for name, mean in times.means().items()}
        self.logger.scalars(self.progress.step, values)

    def finish_epoch(self, means: dict[str, float], stop: StopRequest) -> None:
        """Validate, write the epoch's line, and save, each where it is due."""
        if self.logger is None:
            return
        params, progress = self.config.train_params, self.progress
        is_last, is_best = progress.epoch == params.num_epochs, False
        if params.validation_freq and (is_last or progress.epoch % params.validation_freq == 0):
            means["test_l1"] = self.validate(stop)
            is_best = means["test_l1"] < progress.best_l1
            if is_best:
                progress.best_l1 = means["test_l1"]
            self.logger.scalars(progress.step, {"test/l1": means["test_l1"]})
        self.logger.scalars(progress.step, {"data/skipped_clips": means["skipped_clips"]})
        tqdm.write(self.logger.epoch(progress.epoch, progress.step, means))
        if is_last or is_best or progress.epoch % params.checkpoint_freq == 0:
            self.save(best=is_best)

    def validate(self, stop: StopRequest) -> float:
        """The mean L1 of the test videos rebuilt from their first frames; NaN if that is cut short.

        And NaN if none can be read.
        """
        max_frames = self.config.reconstruction_params.max_frames
        frame_shape = self.config.dataset_params.frame_shape
        networks = self.trainer.networks
        animator = Animator(
            kp_detector=networks.kp_detector,
            generator=networks.generator,
            device=self.trainer.device,
        )
        scores = []
        for path in self.test_videos:
            if stop.received:
                break
            try:
                with open_clip(path, frame_shape=frame_shape) as clip:
                    scores.append(score(rebuild(animator, islice(clip, max_frames))))
            except UnreadableVideo as error:
                _log.warning("skipping a test video: %s", error)
        self.trainer.train_mode()
        return math.nan if stop.received or not scores else mean_score(scores).l1

    def save(self, *, best: bool = False) -> Path | None:
        if self.logger is None:
            return None
        state = {
            **asdict(self.progress),
            **self.trainer.state_dict(),
            "config": to_dict(self.config),
            "seed": self.seed,
            "random_state": random_state(),
        }
        self._saved_at = time.monotonic()
        if self.progress.step_in_epoch:
            return self.logger.checkpoint_within_epoch(state)
        return self.logger.checkpoint(self.progress.epoch, state, best=best)

    def save_if_due(self) -> None:
        """Save in the midst of an epoch if the last time was long ago."""
        seconds = 60 * self.config.train_params.checkpoint_minutes
        if seconds and time.monotonic() - self._saved_at >= seconds:
            self.save()


if __name__ == "__main__":
    run(main)
