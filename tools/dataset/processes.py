"""One job after the other in several processes, with a bar."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from tqdm import tqdm

from engine.errors import UserError
from engine.interrupt import ignore_interrupts

Job = TypeVar("Job")
Result = TypeVar("Result")


def in_processes(
    work: Callable[[Job], Result], jobs: Sequence[Job], *, workers: int, what: str
) -> Iterator[Result]:
    """The results of `work` in the order of the jobs, as they come; `what` heads the bar.

    Raises:
        UserError: a process was killed; jobs that were done stay done.
    """
    bar = tqdm(total=len(jobs), desc=what, unit="video", disable=None)
    workers = min(workers, len(jobs))
    with bar:
        if workers <= 1:
            for job in jobs:
                yield work(job)
                bar.update()
            return
        pool = ProcessPoolExecutor(workers, initializer=_begin)
        try:
            for result in pool.map(work, jobs):
                yield result
                bar.update()
        except BaseException as error:
            for process in multiprocessing.active_children():
                process.kill()  # They ignore SIGTERM, and would first finish what they are at.
            if isinstance(error, BrokenProcessPool):
                raise UserError(
                    f"{what}: a process was killed, most often for want of memory; "
                    f"lower --workers {workers}, and run this again"
                ) from error
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """In a process of the pool: leave Ctrl-C to the parent, and end as it ends, however it does."""
    ignore_interrupts(0)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
