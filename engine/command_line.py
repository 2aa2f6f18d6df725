"""What all commands share: how arguments are read, errors in one line, and how a run ends."""

import _thread
import argparse
import io
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from engine.errors import UserError


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are UserErrors, and whose help shows a module's docstring."""

    def __init__(self, description: str | None) -> None:
        super().__init__(
            description=description, formatter_class=argparse.RawDescriptionHelpFormatter
        )

    def add_overrides(self) -> None:
        """Add `--set`, whose K=V entries are of one list, given together or one at a time."""
        self.add_argument(
            "--set",
            action="extend",
            nargs="+",
            default=[],
            metavar="K=V",
            help="override config keys",
        )

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see --help")


def to_path(text: str) -> Path:
    """The type of an argument that names a file or folder: `~` stands for a home folder.

    Raises:
        ArgumentTypeError: the home is that of a user who is not there.
    """
    expanded = os.path.expanduser(text)  # noqa: PTH111 - Path drops the `./` of `./~name`.
    if expanded.startswith("~") and not Path(expanded).exists():
        name = text.split("/")[0]
        raise argparse.ArgumentTypeError(
            f"{text}: there is no user {name[1:]}; write ./{name} for a file or folder of that name"
        )
    return Path(expanded)


def run(main: Callable[[], None]) -> NoReturn:
    """Run a command and leave: 0 when done, 2 with one line for a user's error, 130 on Ctrl-C."""
    print_what_the_terminal_lacks()
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.INFO)
    try:
        with no_interrupt_lost():
            main()
    except UserError as error:
        sys.exit(_report(str(error)))
    except OSError as error:
        if error.filename is None:
            raise
        sys.exit(_report(f"{error.filename}: {error.strerror}; check the path and your rights"))
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)


def print_what_the_terminal_lacks() -> None:
    """Let characters that the output's encoding lacks be printed as escapes such as \\u65e5."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def no_interrupt_lost() -> Iterator[None]:
    """Raise a Ctrl-C again, a moment later, where it reaches Python when that cannot raise.

    In what a weak reference or `__del__` calls, exceptions are merely printed.
    """

    def again(unraisable: "sys.UnraisableHookArgs") -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            moment = threading.Timer(0.1, _interrupt, [threading.get_ident()])
            moment.daemon = True
            moment.start()
        else:
            usual(unraisable)

    usual, sys.unraisablehook = sys.unraisablehook, again
    try:
        yield
    finally:
        sys.unraisablehook = usual


def _interrupt(thread: int) -> None:
    if hasattr(signal, "pthread_kill"):  # It wakes the thread from whatever it waits for.
        signal.pthread_kill(thread, signal.SIGINT)
    else:
        _thread.interrupt_main()


def _report(message: str) -> int:
    # In one piece: print() writes in several, between which another process may write its own.
    sys.stderr.write(f"error: {' '.join(message.split())}\n")
    return 2
