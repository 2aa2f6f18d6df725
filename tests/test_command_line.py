"""What all commands share: how a run ends."""

import os
import signal
import sys
import time
from unittest.mock import patch

from commands import run_here


class Passing:
    """Something in whose end Ctrl-C falls, where Python can raise nothing."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)


def test_ctrl_c_is_not_lost_where_nothing_can_be_raised() -> None:
    def main() -> None:
        passing = Passing()
        del passing
        time.sleep(10)
        raise AssertionError("it was lost")

    # Started in the background by a shell, a process ignores Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    begun = time.monotonic()
    try:
        done = run_here(main)
    finally:
        signal.signal(signal.SIGINT, before)
    assert done.code == 130
    assert done.stderr == ""
    assert time.monotonic() - begun < 5  # and is heard while something is waited for


def test_other_errors_there_are_told_as_ever() -> None:
    """And what tells them is in place again afterwards."""
    told = []

    class Failing:
        def __del__(self) -> None:
            raise ValueError("as it ends")

    def main() -> None:
        failing = Failing()
        del failing

    with patch.object(sys, "unraisablehook", lambda args: told.append(str(args.exc_value))):
        assert run_here(main).code == 0
        main()
    assert told == ["as it ends"] * 2
