"""What a person is told of a training run while it goes: curves, warnings and pictures."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from config.schema import Config
from engine import distributed
from engine.board import AT_A_GLANCE
from engine.guard import keypoint_state, keypoint_warnings
from engine.measures import peak_memory
from engine.training import StepResult, Trainer
from frames_dataset import FramePair
from logger import Logger

EARLY_LOOK_SECONDS = 60
_log = logging.getLogger(__name__)


@dataclass
class Progress:
    """How far a run has come: whole epochs, steps into the next one, steps in all.

    Skipped steps, whose losses or gradients were not finite, count as steps, too.

    Attributes:
        sampling: settings by which the epoch's steps take their items.
        epoch_record: of the steps into the next epoch, the state of an EpochRecord.
    """

    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0
    best_l1: float = float("inf")
    skipped_steps: int = 0
    skipped_in_a_row: int = 0
    sampling: dict[str, int] = field(default_factory=dict)
    epoch_record: dict[str, object] = field(default_factory=dict)


class Telling:
    """Tells how a run goes, by way of its logger.

    Args:
        logger: None in all processes but the first.
    """

    def __init__(self, config: Config, trainer: Trainer, logger: Logger | None) -> None:
        self._batch_size = config.train_params.batch_size
        self._trainer, self._logger = trainer, logger
        self._started: float | None = time.monotonic()
        self._worries: set[str] = set()

    def curves(
        self, progress: Progress, signs: Mapping[str, float], times: Mapping[str, float]
    ) -> str:
        """Add a point to each curve, and warn of bad signs; returns what the bar is to show.

        Args:
            signs: means of what `signs_of` gives.
            times: seconds of a step, by what they were spent on.
        """
        terms = {name: value for name, value in signs.items() if name.startswith("loss/")}
        total = sum(terms.values())
        if self._logger is not None:
            rates = self._trainer.current_learning_rates()
            self._logger.scalars(
                progress.step,
                {
                    **signs,
                    **({f"{AT_A_GLANCE}/loss": total} if terms else {}),
                    **{f"optimizer/lr_{name}": rate for name, rate in rates.items()},
                    **{f"speed/{name}": value for name, value in times.items()},
                    "speed/images_per_second": self._batch_size / times["seconds_per_step"],
                    "speed/peak_memory_gib": peak_memory(self._trainer.device) / 2**30,
                    "skipped/steps": progress.skipped_steps,
                },
            )
        if terms:
            self._warn_of_keypoints(progress.step, signs)
        return f"loss {total:.4f}" if terms else ""

    def _warn_of_keypoints(self, step: int, signs: Mapping[str, float]) -> None:
        """Each worry once, until it has passed."""
        spread, at_edge = signs["keypoints/spread"], signs["keypoints/at_edge"]
        worries = keypoint_warnings(step, spread, at_edge)
        for name in worries.keys() - self._worries:
            self.warn(step, name, worries[name])
        self._worries = set(worries)

    def warn(self, step: int, name: str, text: str) -> None:
        """Say that something is wrong, in whichever process it was found."""
        if self._logger is not None:
            self._logger.warning(step, name, text)
        elif name in ("workers_lost", "no_data"):  # all else is found in all processes
            _log.warning("process %d: %s", distributed.rank(), text)

    def is_time_for_a_look(self) -> bool:
        """Whether a person has waited for a minute, not for an epoch; once."""
        is_time = (
            self._started is not None and time.monotonic() - self._started >= EARLY_LOOK_SECONDS
        )
        if is_time:
            self._started = None
        return is_time

    def picture(self, epoch: int, step: int, pair: FramePair, result: StepResult) -> None:
        """Show what a step saw and made."""
        if self._logger is None:
            return
        rows = slice(len(result.pictures.generated.prediction))
        grid = self._logger.visualizer.training_grid(
            pair.source[rows], pair.driving[rows], result.pictures
        )
        self._logger.picture(epoch, step, grid)


def signs_of(result: StepResult) -> dict[str, Tensor]:
    """What shows how a step went, under the names of its curves; scalars."""
    signs = {f"loss/{name}": value for name, value in result.losses.items()}
    norms = result.gradient_norms.items()
    signs |= {f"optimizer/gradient_norm_{name}": value for name, value in norms}
    keypoints = keypoint_state(result.pictures.kp_driving.value)
    return signs | {f"keypoints/{name}": value for name, value in keypoints._asdict().items()}
