"""A lock on a run's folder, so that two processes do not write into it at a time."""

import fcntl
import logging
import os
import socket
from pathlib import Path

from engine.errors import UserError
from engine.output import writing

_log = logging.getLogger(__name__)


class RunLock:
    """Holds a run's folder until it is closed, or until this process ends, be it by kill -9.

    Args:
        folder: of the run, is there.

    Raises:
        UserError: another process holds it, or the folder cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / ".lock"
        with writing(path):
            self._file = path.open("a+", encoding="utf-8")
        try:
            # Not flock, which data workers would inherit, and hold on to after their parent.
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            self._file.seek(0)
            holder = self._file.read() or "another process"
            self._file.close()
            raise UserError(
                f"{folder}: {holder} is training in it; wait for its end, stop it, or give "
                "--log_dir another folder"
            ) from error
        except OSError as error:
            _log.warning(
                "%s: its disk has no locks (%s); see that no other process trains in it",
                folder,
                error.strerror,
            )
        with writing(path):
            self._file.truncate(0)
            self._file.write(f"process {os.getpid()} on {socket.gethostname()}")
            self._file.flush()

    def close(self) -> None:
        self._file.close()
