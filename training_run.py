"""One training run: epochs of steps, and what is measured, shown, checked and saved on the way."""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from config.schema import Config, to_dict
from engine import distributed
from engine.agreed_batches import AgreedBatches
from engine.animator import DEFAULT_BATCH_SIZE, Animator
from engine.board import AT_A_GLANCE
from engine.checkpoint import random_state
from engine.description import DESCRIPTION, description_entry
from engine.epoch_record import EpochRecord
from engine.errors import UserError, WriteError
from engine.guard import check_skipped
from engine.interrupt import StopRequest
from engine.loading import EpochLoader
from engine.measures import RunningMeans
from engine.memory import enough_memory
from engine.sampling import describe_difference
from engine.training import StepResult, Trainer
from engine.validation import TestScore, score_videos
from frames_dataset import DatasetRepeater, FramePair
from logger import Logger
from training_report import Progress, Telling, signs_of

STEPS_BETWEEN_SCALARS = 10


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
        self.telling = Telling(config, trainer, logger)
        self._saved_at = time.monotonic()
        self._last_good = checkpoint
        self._stopping = False  # as all processes have agreed
        self._record = EpochRecord(trainer.device, progress.epoch_record)
        params = config.train_params
        self.loader = EpochLoader(
            dataset,
            batch_size=params.batch_size,
            num_workers=params.num_workers,
            seed=seed,
            pin_memory=trainer.device.type == "cuda",
            warn=self.warn,
        )

    def train(self) -> None:
        """Go on to the last epoch, or until asked to stop.

        Raises:
            UserError: something is wrong, such as a full disk; it names what to go on from.
        """
        try:
            self.go_on()
        except WriteError as error:
            raise UserError(f"{error}, and {self.way_on()}") from error

    def go_on(self) -> None:
        self.compare_sampling()
        with StopRequest() as stop, self.loader:
            while self.progress.epoch < self.config.train_params.num_epochs:
                means = self.train_epoch(stop)
                score = self.validate_if_due(stop)
                # Before the epoch counts as finished, so that a run that goes on validates then.
                if self._stopping or self.any_process(stop.received):
                    self.leave()
                    return
                self.finish_epoch(means, score)

    def leave(self) -> None:
        """Save where the run is; no process goes on before that is done."""
        self.save_and_say_so()
        self.any_process(False)

    def save_and_say_so(self) -> None:
        path = self.save(leaving=True)
        if path is not None:
            print(f"stopped; --checkpoint {path} goes on from here", flush=True)

    def any_process(self, flag: bool) -> bool:
        """Whether any process says yes; all must ask."""
        return distributed.agree(flag, self.trainer.device)

    def train_epoch(self, stop: StopRequest) -> dict[str, float]:
        """One walk over the data, or the rest of one; the means of what it measured."""
        progress, first_step = self.progress, self.progress.step_in_epoch
        self.dataset.set_epoch(progress.epoch)
        record = self._record = EpochRecord(self.trainer.device, progress.epoch_record)
        signs, result = RunningMeans(), None
        batches = AgreedBatches(
            self.loader.batches(progress.epoch, first_step=first_step),
            is_to_stop=lambda: stop.received,
            is_save_due=self.is_save_due,
            device=self.trainer.device,
        )
        bar = tqdm(
            batches,
            desc=f"epoch {progress.epoch + 1}",
            total=self.loader.num_steps(progress.epoch, first_step=first_step),
            unit="step",
            disable=None if distributed.is_first() else True,
        )
        for pair in bar:
            record.times.data_arrived()
            result = self.step(pair)
            record.times.step_done()
            record.add(result, skipped_clips=int(pair.skipped.sum()))
            if result.offender is None:
                signs.add(signs_of(result))
            if progress.step % STEPS_BETWEEN_SCALARS == 0:
                lap = record.times.lap()
                bar.set_postfix_str(self.telling.curves(progress, signs.means(), lap))
                signs = RunningMeans()
            if progress.epoch == 0 and self.telling.is_time_for_a_look():
                self.draw(0, pair, result)
            if batches.is_save_due and not progress.skipped_in_a_row:
                self.keep_record()
                self.save()
        self.keep_record()
        if batches.is_failed:
            self.end_failed(batches.error)
        self._stopping = batches.is_stopped
        if result is not None and not self._stopping:
            self.draw(progress.epoch + 1, pair, result)
        return record.means()

    def end_failed(self, error: UserError | None) -> NoReturn:
        """End the run, since a process can have no more data; what was learned before is saved.

        Raises:
            UserError: always.
        """
        if self.progress.step:
            self.leave()
        raise error or UserError(
            f"process {distributed.rank()}: another process has no more data; see its own message"
        )

    def keep_record(self) -> None:
        """Have the next checkpoint hold what the epoch's line needs; all processes must do so."""
        if self.progress.step_in_epoch:
            self.progress.epoch_record = self._record.state_dict()

    def compare_sampling(self) -> None:
        """Say where the rest of an epoch that was stopped takes its items otherwise."""
        progress = self.progress
        before = progress.sampling
        progress.sampling = {
            "batch_size": self.config.train_params.batch_size,
            "seed": self.seed,
            "num_repeats": self.dataset.num_repeats,
            "videos": len(self.dataset.dataset),
            "processes": distributed.world_size(),
        }
        difference = describe_difference(before, progress.sampling)
        if progress.step_in_epoch and difference:
            self.warn("epoch_changed", f"going on within epoch {progress.epoch + 1} {difference}")

    def step(self, pair: FramePair) -> StepResult:
        """Step on a batch, and count it."""
        progress = self.progress
        with self.memory_for_a_step():
            result = self.trainer.step(pair.source, pair.driving)
        progress.step, progress.step_in_epoch = progress.step + 1, progress.step_in_epoch + 1
        if result.offender is None:
            progress.skipped_in_a_row = 0
        else:
            progress.skipped_steps, progress.skipped_in_a_row = (
                progress.skipped_steps + 1,
                progress.skipped_in_a_row + 1,
            )
            self.warn("step_skipped", f"{result.offender}: not finite; the step is skipped")
            check_skipped(progress.skipped_in_a_row, result.offender, self.way_on())
        return result

    def memory_for_a_step(self) -> AbstractContextManager[None]:
        """A block that says in one line what to lower where a batch takes too much memory."""
        params = self.config.train_params
        return enough_memory(
            f"train_params.batch_size={params.batch_size} in "
            f"train_params.accumulation={params.accumulation} parts",
            "raise accumulation, which changes only batch statistics, set "
            f"train_params.precision=bf16, or lower batch_size, and {self.way_on()}",
        )

    def way_on(self) -> str:
        """How a person can go on after what ends this run."""
        if self.logger is None:
            return "go on with the newest checkpoint, which the first process knows"
        if self._last_good is None:
            return "begin again"
        return f"go on with --checkpoint {self._last_good}"

    def warn(self, name: str, text: str) -> None:
        self.telling.warn(self.progress.step, name, text)

    def draw(self, epoch: int, pair: FramePair, result: StepResult) -> None:
        with self.memory_for_a_step():
            self.telling.picture(epoch, self.progress.step, pair, result)

    def finish_epoch(self, means: dict[str, float], score: TestScore | None) -> None:
        """Go on to the next epoch; write this one's line, and save, where that is due."""
        params, progress = self.config.train_params, self.progress
        progress.epoch, progress.step_in_epoch = progress.epoch + 1, 0
        progress.epoch_record = {}
        self.trainer.end_epoch()
        if self.logger is None:
            return
        is_last, is_best = progress.epoch == params.num_epochs, False
        if score is not None:
            # Also where it is the same epoch's again, after a kill before its own checkpoint.
            is_best = score.l1 <= progress.best_l1
            if is_best:
                progress.best_l1 = score.l1
            scores = score.curves()
            means |= scores
            self.logger.scalars(
                progress.step, {f"{AT_A_GLANCE}/{name}": it for name, it in scores.items()}
            )
            self.logger.film(progress.step, score.film)
        self.logger.scalars(progress.step, {"skipped/clips": means["skipped_clips"]})
        tqdm.write(self.logger.epoch(progress.epoch, progress.step, means))
        # While steps are skipped, the last good checkpoint must not make room for another.
        is_well = not progress.skipped_in_a_row
        if is_last or (is_well and (is_best or progress.epoch % params.checkpoint_freq == 0)):
            self.save(best=is_best)
        if is_last:
            self.logger.remove_outdated_last(progress.step)

    def validate_if_due(self, stop: StopRequest) -> TestScore | None:
        """The test score after the epoch whose steps are done, in the process that writes files."""
        params, epoch = self.config.train_params, self.progress.epoch + 1
        freq, is_last = params.validate_freq, epoch == params.num_epochs
        is_due = freq and (is_last or epoch % freq == 0)
        if self.logger is None or self._stopping or not is_due:
            return None
        return self.validate(stop)

    def validate(self, stop: StopRequest) -> TestScore:
        """The score of the test videos, by the weights that animating would take.

        What was learned is saved if that fails.
        """
        params = self.config.train_params
        # No more at a time than in a step: what is lowered for steps is lowered here, too.
        at_a_time = params.batch_size // (params.accumulation * distributed.world_size())
        at_a_time = min(DEFAULT_BATCH_SIZE, at_a_time)
        remedy = (
            f"lower train_params.batch_size={params.batch_size} or raise "
            f"train_params.accumulation={params.accumulation}, which bound them, or do without "
            "by train_params.validate_freq=0"
        )
        try:
            with enough_memory(f"validating {at_a_time} frames at a time", remedy):
                networks = self.trainer.animating._asdict()
                return score_videos(
                    Animator(**networks, device=self.trainer.device, batch_size=at_a_time),
                    self.test_videos,
                    frame_shape=self.config.dataset_params.frame_shape,
                    max_frames=self.config.reconstruction_params.max_frames,
                    stopped=lambda: stop.received,
                )
        except Exception:
            self.save_and_say_so()
            raise

    def save(self, *, best: bool = False, leaving: bool = False) -> Path | None:
        """Write a checkpoint: of so many epochs, or within one and on leaving the last."""
        if self.logger is None:
            return None
        state = {
            **asdict(self.progress),
            **self.trainer.state_dict(),
            "config": to_dict(self.config),
            DESCRIPTION: description_entry(self.config.dataset_params.root_dir),
            "seed": self.seed,
            "random_state": random_state(),
        }
        if best:
            self.saved(self.logger.best_checkpoint(state))
        if self.progress.step_in_epoch or leaving:
            path = self.logger.last_checkpoint(state)
        else:
            path = self.logger.checkpoint(self.progress.epoch, state)
        self.saved(path)
        return path

    def saved(self, path: Path) -> None:
        self._saved_at = time.monotonic()
        if not self.progress.skipped_in_a_row:
            self._last_good = path

    def is_save_due(self) -> bool:
        """Whether this process is the one that saves, and did so long ago."""
        seconds = 60 * self.config.train_params.checkpoint_minutes
        is_long_ago = time.monotonic() - self._saved_at >= seconds
        return self.logger is not None and bool(seconds) and is_long_ago
