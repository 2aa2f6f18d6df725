"""A run in a process of its own, forked from one that has imported everything."""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from engine import command_line
from tools.fuzzing.commands import COMMANDS
from tools.fuzzing.judging import SECONDS
from tools.fuzzing.run import Ending, Run

_MOST_DATA = 6 * 2**30  # bytes, beyond which the system refuses: the machine has to survive
_MOST_PRINTED = 2**20  # characters


def execute(run: Run, folder: Path, scratch: Path) -> Ending:
    """Run a command in a folder, to its end or the limit of time.

    Args:
        scratch: an existing folder outside `folder`, for what it prints and its temporary files.
    """
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        _become(run, folder, scratch)
    code, peak = _wait(child, until=start + SECONDS * _share_of_others())
    seconds = time.monotonic() - start
    stdout, stderr = (
        (scratch / name).read_text(encoding=run.encoding, errors="replace")[:_MOST_PRINTED]
        for name in ("stdout", "stderr")
    )
    return Ending(code, stdout, stderr, seconds, peak)


def _share_of_others() -> float:
    """How many times longer everything takes, since other programs are at work as well."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def _wait(child: int, *, until: float) -> tuple[int | None, int]:
    """The exit code of a process, None if it had to be killed, and its peak of memory in bytes."""
    pause = 0.001
    timely = True
    while True:
        pid, status, usage = os.wait4(child, os.WNOHANG)
        if pid:
            break
        if time.monotonic() > until:
            timely = False
            _kill_group(child)
            _, status, usage = os.wait4(child, 0)
            break
        time.sleep(pause)
        pause = min(2 * pause, 0.02)
    _kill_group(child)  # what it started and left behind
    unit = 1 if sys.platform == "darwin" else 1024
    return (os.waitstatus_to_exitcode(status) if timely else None), usage.ru_maxrss * unit


def _kill_group(leader: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _become(run: Run, folder: Path, scratch: Path) -> NoReturn:
    """Turn this process into one that runs the command, as a shell would have started it."""
    code = 1
    try:
        os.setsid()
        os.chdir(folder)
        _redirect(scratch, run.encoding)
        _bound()
        _set_environment(scratch)
        sys.argv = [run.command, *run.arguments]
        gc.freeze()
        code = exit_code_of(COMMANDS[run.command])
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


def exit_code_of(main: Callable[[], None]) -> int:
    """Run a command to its end, as Python would, and return the exit code."""
    try:
        command_line.run(main)
    except SystemExit as left:
        if left.code is None or isinstance(left.code, int):
            return left.code or 0
        print(left.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    return 1


def _redirect(scratch: Path, encoding: str) -> None:
    for number, name, errors in ((1, "stdout", "strict"), (2, "stderr", "backslashreplace")):
        file = os.open(scratch / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
        os.close(file)
        stream = open(number, "w", encoding=encoding, errors=errors, closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)


def _bound() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (_MOST_DATA, _MOST_DATA))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _set_environment(scratch: Path) -> None:
    """Let nothing be read from or written to the person's own folders, or fetched."""
    temporary = scratch / "tmp"
    temporary.mkdir(exist_ok=True)
    tempfile.tempdir = None
    os.environ |= {
        "TMPDIR": str(temporary),
        "HOME": str(scratch),
        "TORCH_HOME": str(scratch / "torch"),
        **dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9"),
    }
