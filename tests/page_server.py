"""The page's command in a process of its own, for tests that use it as others do."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from commands import ROOT

SECONDS = 120  # for what takes some on an idle machine


class Server:
    """The command, running.

    Args:
        folder: for its temporary files.
        limits: as --max_NAME takes them.
    """

    def __init__(self, folder: Path, **limits: int) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder = folder
        flags = [part for name, limit in limits.items() for part in (f"--max_{name}", str(limit))]
        command = [sys.executable, str(ROOT / "app.py"), "--port", str(self.port), *flags]
        self.process = subprocess.Popen(
            [*command, "--device", "cpu"],
            env={**os.environ, "TMPDIR": str(folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().split(": ")[0]

    def files(self, pattern: str = "*") -> list[Path]:
        """What people have brought, and what was made of it."""
        found = self.folder.glob("first-order-page-*/uploads/visits/*/*")
        return [path for path in found if path.match(pattern)]

    def peak_memory(self) -> int:
        """In MiB, since it started."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) // 1024

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.stderr is not None
        assert self.process.wait(SECONDS) == 0, self.process.stderr.read()
