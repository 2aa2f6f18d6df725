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
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from config.schema import Config, dump_config, to_dict
from engine import distributed
from engine.animator import Animator
from engine.build import choose_config
from engine.build_data import build_dataset, list_test_videos
from engine.build_training import RANDOM_VGG_SEED, build_trainer
from engine.checkpoint import best_path, random_state, read_torch_file, restore_random_state
from engine.command_line import OneLineErrors, run
from engine.device import announce, choose_device
from engine.errors import UserError
from engine.guard import check_skipped, keypoint_state, keypoint_warnings
from engine.interrupt import StopRequest
from engine.loading import EpochLoader
from engine.measures import RunningMeans, Stopwatch, peak_memory, with_total
from engine.output import make_new_folder
from engine.training import StepResult, Trainer
from engine.validation import TestScore, score_videos
from frames_dataset import DatasetRepeater, FramePair
from logger import Logger, Visualizer

STEPS_BETWEEN_SCALARS = 10
EARLY_LOOK_SECONDS = 60
_LARGEST_SEED = 2**31 - 1
_log = logging.getLogger(__name__)


@dataclass
class Progress:
    """How far a run has come: whole epochs, steps into the next one, steps in all.

    Skipped steps, whose losses or gradients were not finite, count as steps, too.
    """

    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0
    best_l1: float = float("inf")
    skipped_steps: int = 0
    skipped_in_a_row: int = 0


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
    logger = Logger(
        folder,
        visualizer=visualizer,
        keep_checkpoints=config.train_params.keep_checkpoints,
        resume_step=progress.step,
    )
    with logger:
        logger.config(dump_config(config))
        logger.settings(asdict(config.train_params))
        announce(device, asked=args.device)
        if config.train_params.perceptual_weights == "random":
            _log.warning(
                "perceptual loss: VGG19 with random weights (seed %d); for better pictures set "
                "train_params.perceptual_weights to imagenet",
                RANDOM_VGG_SEED,
            )
        print(f"training in {folder}; watch it with: tensorboard --logdir {folder}", flush=True)
        start = args.checkpoint
        Run(
            config, trainer, dataset, test_videos, logger, progress, seed=seed, checkpoint=start
        ).train()


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
    if "format" not in state:
        progress.epoch += 1  # theirs is the number of the last epoch done, counted from 0
    best = best_path(path.parent)
    if best.exists():  # of later epochs, if this checkpoint is not the run's last
        progress.best_l1 = min(progress.best_l1, read_torch_file(best).get("best_l1", math.inf))
    return progress


class Run:
    """The loop over epochs, with what it reads from and, in the first process, writes to.

    Args:
        logger: None in all other processes.
        checkpoint: what the run goes on from.
    """

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
        checkpoint: Path | None = None,
    ) -> None:
        self.config, self.trainer, self.dataset = config, trainer, dataset
        self.test_videos, self.logger, self.progress = test_videos, logger, progress
        self.seed = seed
        self._started = self._saved_at = time.monotonic()
        self._last_good = checkpoint
        self._worries: set[str] = set()
        params = config.train_params
        self.loader = EpochLoader(
            dataset,
            batch_size=params.batch_size,
            num_workers=params.num_workers,
            seed=seed,
            pin_memory=trainer.device.type == "cuda",
            warn=self.lost_workers,
        )

    def train(self) -> None:
        """Go on to the last epoch, or until asked to stop."""
        with StopRequest() as stop, self.loader:
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
        progress, first_step = self.progress, self.progress.step_in_epoch
        self.dataset.set_epoch(progress.epoch)
        losses, signs, times = RunningMeans(), RunningMeans(), Stopwatch()
        skipped_before, skipped_clips, result = progress.skipped_steps, 0, None
        bar = tqdm(
            self.loader.batches(progress.epoch, first_step=first_step),
            desc=f"epoch {progress.epoch + 1}",
            total=self.loader.num_steps(progress.epoch, first_step=first_step),
            unit="step",
            disable=None if distributed.is_first() else True,
        )
        for pair in bar:
            times.data_arrived()
            result = self.step(pair)
            times.step_done()
            skipped_clips += int(pair.skipped.sum())
            if result.offender is None:
                losses.add(result.losses)
                signs.add(signs_of(result))
            if progress.step % STEPS_BETWEEN_SCALARS == 0:
                bar.set_postfix_str(self.log_scalars(signs.means(), times.lap()))
                signs = RunningMeans()
            self.look_early(pair, result)
            if distributed.agree(stop.received, self.trainer.device):
                stop.received = True
                break
            self.save_if_due()
        if result is not None and not stop.received:
            self.draw(progress.epoch + 1, pair, result)
        counts = {"skipped_clips": skipped_clips}
        counts["skipped_steps"] = progress.skipped_steps - skipped_before
        return {**with_total(losses.means()), **times.means(), **counts}

    def step(self, pair: FramePair) -> StepResult:
        """Step on a batch, and count it."""
        progress, params = self.progress, self.config.train_params
        try:
            result = self.trainer.step(pair.source, pair.driving)
        except torch.OutOfMemoryError as error:
            raise UserError(
                f"the GPU's memory is too small for train_params.batch_size={params.batch_size} "
                f"in train_params.accumulation={params.accumulation} parts; raise accumulation, "
                "which changes only batch statistics, set train_params.precision=bf16, or lower "
                "batch_size"
            ) from error
        progress.step, progress.step_in_epoch = progress.step + 1, progress.step_in_epoch + 1
        if result.offender is None:
            progress.skipped_in_a_row = 0
        else:
            progress.skipped_steps, progress.skipped_in_a_row = (
                progress.skipped_steps + 1,
                progress.skipped_in_a_row + 1,
            )
            self.warn("step_skipped", f"{result.offender}: not finite; the step is skipped")
            check_skipped(progress.skipped_in_a_row, result.offender, self._last_good)
        return result

    def log_scalars(self, signs: Mapping[str, float], times: Mapping[str, float]) -> str:
        """Add a point to each curve, and warn of bad signs; returns what the bar is to show."""
        terms = {name: value for name, value in signs.items() if name.startswith("loss/")}
        total = sum(terms.values())
        if self.logger is not None:
            rates = self.trainer.current_learning_rates()
            self.logger.scalars(
                self.progress.step,
                {
                    **signs,
                    **({"loss/total": total} if terms else {}),
                    **{f"lr/{name}": rate for name, rate in rates.items()},
                    **{f"time/{name}": value for name, value in times.items()},
                    "time/images_per_second": self.config.train_params.batch_size
                    / times["seconds_per_step"],
                    "memory/peak_gib": peak_memory(self.trainer.device) / 2**30,
                    "data/skipped_steps": self.progress.skipped_steps,
                },
            )
        if terms:
            spread, at_edge = signs["keypoints/spread"], signs["keypoints/at_edge"]
            worries = keypoint_warnings(self.progress.step, spread, at_edge)
            for name in worries.keys() - self._worries:
                self.warn(name, worries[name])
            self._worries = set(worries)
        return f"loss {total:.4f}" if terms else ""

    def warn(self, name: str, text: str) -> None:
        if self.logger is not None:
            self.logger.warning(self.progress.step, name, text)

    def lost_workers(self, text: str) -> None:
        """Say so, in whichever process it was."""
        if self.logger is None:
            _log.warning("process %d: %s", distributed.rank(), text)
        self.warn("workers_lost", text)

    def look_early(self, pair: FramePair, result: StepResult) -> None:
        """Draw a first picture when a person has waited for a minute, not for an epoch."""
        waited = time.monotonic() - self._started
        if self.progress.epoch == 0 and self._started and waited >= EARLY_LOOK_SECONDS:
            self._started = 0.0
            self.draw(0, pair, result)

    def draw(self, epoch: int, pair: FramePair, result: StepResult) -> None:
        if self.logger is None:
            return
        rows = slice(len(result.pictures.generated.prediction))
        grid = self.logger.visualizer.training_grid(
            pair.source[rows], pair.driving[rows], result.pictures
        )
        self.logger.picture(epoch, self.progress.step, grid)

    def finish_epoch(self, means: dict[str, float], stop: StopRequest) -> None:
        """Validate, write the epoch's line, and save, each where it is due."""
        if self.logger is None:
            return
        params, progress = self.config.train_params, self.progress
        is_last, is_best = progress.epoch == params.num_epochs, False
        if params.validation_freq and (is_last or progress.epoch % params.validation_freq == 0):
            score = self.validate(stop)
            is_best = score.l1 < progress.best_l1
            if is_best:
                progress.best_l1 = score.l1
            means |= {"test_l1": score.l1, "test_psnr": score.psnr}
            self.logger.scalars(progress.step, score.curves())
            self.logger.film(progress.step, score.film)
        self.logger.scalars(progress.step, {"data/skipped_clips": means["skipped_clips"]})
        tqdm.write(self.logger.epoch(progress.epoch, progress.step, means))
        if is_last or is_best or progress.epoch % params.checkpoint_freq == 0:
            self.save(best=is_best)

    def validate(self, stop: StopRequest) -> TestScore:
        """The score of the test videos, by the weights that animating would take."""
        animator = Animator(**self.trainer.animating._asdict(), device=self.trainer.device)
        return score_videos(
            animator,
            self.test_videos,
            frame_shape=self.config.dataset_params.frame_shape,
            max_frames=self.config.reconstruction_params.max_frames,
            stopped=lambda: stop.received,
        )

    def save(self, *, best: bool = False) -> Path | None:
        """Write a checkpoint: of so many epochs, or of a place within one."""
        if self.logger is None:
            return None
        state = {
            **asdict(self.progress),
            **self.trainer.state_dict(),
            "config": to_dict(self.config),
            "seed": self.seed,
            "random_state": random_state(),
        }
        if self.progress.step_in_epoch:
            path = self.logger.checkpoint_within_epoch(state)
        else:
            path = self.logger.checkpoint(self.progress.epoch, state, best=best)
        self._saved_at = time.monotonic()
        if not self.progress.skipped_in_a_row:
            self._last_good = path
        return path

    def save_if_due(self) -> None:
        """Save in the midst of an epoch if the last time was long ago."""
        seconds = 60 * self.config.train_params.checkpoint_minutes
        is_well = not self.progress.skipped_in_a_row
        if seconds and is_well and time.monotonic() - self._saved_at >= seconds:
            self.save()


def signs_of(result: StepResult) -> dict[str, Tensor]:
    """What shows how a step went, under the names of its curves; scalars."""
    signs = {f"loss/{name}": value for name, value in result.losses.items()}
    norms = result.gradient_norms.items()
    signs |= {f"gradient_norm/{name}": value for name, value in norms}
    keypoints = keypoint_state(result.pictures.kp_driving.value)
    return signs | {f"keypoints/{name}": value for name, value in keypoints._asdict().items()}


if __name__ == "__main__":
    run(main)
