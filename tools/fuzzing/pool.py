"""Many runs in several workers, each of which forks a process for each run."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import NamedTuple

import torch

from tools.fuzzing.families import FAMILIES
from tools.fuzzing.judging import judge, snapshot
from tools.fuzzing.place import Place, write_base
from tools.fuzzing.processes import execute
from tools.fuzzing.run import Ending, Failure, Run


class Trial(NamedTuple):
    """One of the runs: number `number` of a family, drawn with a seed."""

    family: str
    number: int
    seed: int

    @property
    def name(self) -> str:
        return f"{self.family}:{self.number}"


class Result(NamedTuple):
    """What became of a trial."""

    trial: Trial
    run: Run
    ending: Ending
    failures: list[Failure]


def run_all(trials: Sequence[Trial], *, workers: int, keep: Path | None = None) -> Iterator[Result]:
    """The results of trials, as they come.

    Args:
        workers: processes at a time.
        keep: where the places of failing runs are kept, by the trials' names; None: nowhere.
    """
    torch.set_num_threads(1)  # Threads do not survive a fork.
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        folder = Path(name)
        fork = multiprocessing.get_context("fork")
        base = fork.Process(target=_write_base, args=(folder,))
        base.start()
        base.join()
        if base.exitcode != 0:
            raise RuntimeError("the commands do not work even where nothing is wrong; see above")
        with fork.Pool(workers) as pool:
            work = partial(try_it, folder=folder, keep=keep)
            yield from pool.imap_unordered(work, trials, chunksize=4)


def _write_base(folder: Path) -> None:
    (folder / "scratch").mkdir()
    write_base(folder / "base", folder / "corpus", folder / "scratch")


def try_it(trial: Trial, *, folder: Path, keep: Path | None) -> Result:
    """Spoil a new place, run the command there, and see what became of it."""
    scratch = folder / f"scratch-{os.getpid()}"
    place = folder / f"place-{os.getpid()}"
    for path in (scratch, place):
        shutil.rmtree(path, ignore_errors=True)
    scratch.mkdir()
    shutil.copytree(folder / "base", place, symlinks=True)
    run = spoil(trial, Place(place, folder / "corpus"))
    before = snapshot(place)
    kept = None
    if keep is not None:
        kept = keep / trial.name.replace(":", "-")
        shutil.rmtree(kept, ignore_errors=True)
        copy_place(place, kept)
    ending = execute(run, place, scratch)
    failures = judge(run, ending, before, snapshot(place))
    if kept is not None and not failures:
        shutil.rmtree(kept)
    elif kept is not None:
        line = " ".join([run.command, *run.arguments])
        (kept / "COMMAND").write_text(f"{line}\n", errors="backslashreplace")
        (kept / "STDERR").write_text(ending.stderr, errors="backslashreplace")
    return Result(trial, run, ending, failures)


def spoil(trial: Trial, place: Place) -> Run:
    """Make the fault that a trial's numbers stand for.

    Raises:
        RuntimeError: it cannot be made, which is a mistake of the fuzzing itself.
    """
    # From a text: tuples of strings have other hashes in every process.
    rng = Random(f"{trial.seed} {trial.family} {trial.number}")
    try:
        return FAMILIES[trial.family](rng, place)
    except Exception as error:
        raise RuntimeError(f"{trial.name} (seed {trial.seed}) cannot be made") from error


def copy_place(place: Path, kept: Path) -> None:
    """Copy a place with its links; pipes cannot be copied, and large files are not."""

    def passed_over(folder: str, names: list[str]) -> list[str]:
        paths = [Path(folder) / name for name in names]
        return [
            it.name for it in paths if it.is_fifo() or (it.is_file() and it.stat().st_size > 2**28)
        ]

    shutil.copytree(place, kept, symlinks=True, ignore=passed_over)
