"""What all commands share: errors in one line, and how a run ends."""

import _thread
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from engine.errors import UserError


class OneLineErrors:
    """Mixed into an ArgumentParser, turns its usage message into a UserError."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see --help")


def run(main: Callable[[], None]) -> NoReturn:
    """Run a command and leave: 0 when done, 2 with one line for a user's error, 130 on Ctrl-C."""
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
