"""What all commands share: errors in one line, and how a run ends."""

import logging
import sys
from collections.abc import Callable
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


def _report(message: str) -> int:
    print("error:", " ".join(message.split()), file=sys.stderr)
    return 2
