"""What people who have the page open have brought, in files, and when those are deleted."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Generic, TypeVar

from engine.errors import UserError

UPLOAD_SECONDS = 90  # longer than any check takes
MOST_VISITS = 50
MOST_OF_ONE = 10  # visits from one address
_SWEEP_SECONDS = 15

T = TypeVar("T")


@dataclass
class Kept(Generic[T]):
    """Something worked out once, for as long as what it was worked out from stays the same."""

    _held: tuple[object, T] | None = None

    def get(self, key: object, make: Callable[[], T]) -> T:
        held = self._held
        if held is None or held[0] != key:
            self._held = None  # Two of them would take the memory of two.
            held = self._held = (key, make())
        return held[1]


@dataclass
class Visit:
    """One open page: its files, in a folder of its own, and what was worked out from them.

    Attributes:
        folder: with a name that nobody can guess.
        address: of the computer that it is open on.
        files: what is there, by what it is for.
        cancelled: set when the animation that was asked for last should stop; each gets a new one.
        started: set when its turn has come; each gets a new one.
        kept: results of earlier requests, by what they are for.
    """

    folder: Path
    address: str = ""
    files: dict[str, Path] = field(default_factory=dict)
    cancelled: Event = field(default_factory=Event)
    started: Event = field(default_factory=Event)
    kept: dict[str, Kept] = field(default_factory=dict)
    used: float = field(default_factory=time.monotonic)
    closed: bool = False
    _dropped: list[Path] = field(default_factory=list)
    _users: int = 0
    _count: int = 0
    _lock: Lock = field(default_factory=Lock)

    def begin(self) -> None:
        """An animation is asked for: what was cancelled before does not concern it."""
        self.cancelled, self.started = Event(), Event()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """A block for which the files stay, even if the page is closed in the meantime.

        Raises:
            UserError: it was closed before.
        """
        with self._lock:
            if self.closed:
                raise UserError("this page has been closed; load it again")
            self._users += 1
            self.used = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                self.used = time.monotonic()
                self._tidy_if_done()

    def close(self) -> None:
        """Let what is being computed stop, and delete the files as soon as nothing needs them."""
        with self._lock:
            self.closed = True
            self._tidy_if_done()

    def idle_since(self) -> float:
        """When it was last used; never, while something is being computed for it."""
        return float("inf") if self._users else self.used

    def new(self, role: str, suffix: str) -> Path:
        """A path for a new file."""
        self._count += 1
        return self.folder / f"{role}-{self._count}{suffix}"

    def keep(self, role: str, path: Path) -> Path:
        """Let a file take the place of the one that was there for the same use."""
        self.drop(role)
        self.files[role] = path
        return path

    def drop(self, role: str) -> None:
        """Delete the file for a use, if there is one, as soon as nothing is being computed."""
        with self._lock:
            former = self.files.pop(role, None)
            if former is not None:
                self._dropped.append(former)
            self._tidy_if_done()

    def need(self, role: str, remedy: str) -> Path:
        """The file for a use.

        Raises:
            UserError: there is none.
        """
        path = self.files.get(role)
        if path is None:
            raise UserError(remedy)
        return path

    def remember(self, role: str) -> Kept:
        """What is kept under this name."""
        return self.kept.setdefault(role, Kept())

    def _tidy_if_done(self) -> None:
        if self._users:
            return
        while self._dropped:
            self._dropped.pop().unlink(missing_ok=True)
        if self.closed:
            self.kept.clear()
            shutil.rmtree(self.folder, ignore_errors=True)


class Visits:
    """All open pages, in a folder into which uploads come, too. A context manager.

    Args:
        folder: uploads lie in folders of it until they are looked at, and for 90 seconds more: two
            people may bring the same file at the same time, and it then has the same place.
        minutes: for which a visit may go without use.
    """

    def __init__(self, folder: Path, *, minutes: float) -> None:
        self.folder = folder
        self._minutes = minutes
        self._home = folder / "visits"
        self._home.mkdir(parents=True)
        self._open: dict[str, Visit] = {}
        self._lock = Lock()
        self._stopped = Event()
        self._sweeper = Thread(target=self._keep_sweeping, name="sweeper", daemon=True)

    def of(self, session: str | None, *, address: str = "") -> Visit:
        """The visit of a browser's session, a new one if it has none.

        It takes the place of the one that was longest without use, of all or, where there are many
        from its own address, of these.

        Raises:
            UserError: it is no browser's.
        """
        if not session:
            raise UserError("no session; use the page")
        with self._lock:
            visit = self._open.get(session)
            if visit is None or visit.closed:
                self._make_room(address)
                folder = self._home / secrets.token_urlsafe(16)
                folder.mkdir()
                visit = self._open[session] = Visit(folder, address)
            return visit

    def close(self, session: str) -> None:
        """Forget a session and delete what it brought."""
        with self._lock:
            visit = self._open.pop(session, None)
        if visit is not None:
            visit.close()

    def copy(self, example: Path) -> Path:
        """A copy of a file that is not the visitor's own, to be taken like an upload."""
        folder = self.folder / secrets.token_urlsafe(16)
        folder.mkdir()
        place_copy(example, folder / example.name)
        return folder / example.name

    def sweep(self) -> None:
        """Delete uploads that were looked at, or never will be, and visits that nobody uses."""
        now = time.time()
        for path, facts in files_below(self.folder):
            if self._home not in path.parents and now - facts.st_ctime > UPLOAD_SECONDS:
                path.unlink(missing_ok=True)
        with self._lock:
            oldest = time.monotonic() - 60 * self._minutes
            idle = [name for name, visit in self._open.items() if visit.idle_since() < oldest]
        for name in idle:
            self.close(name)

    def _make_room(self, address: str) -> None:
        theirs = [name for name, visit in self._open.items() if visit.address == address]
        for names, most in ((theirs, MOST_OF_ONE), (list(self._open), MOST_VISITS)):
            if len(names) >= most:
                oldest = min(names, key=lambda name: self._open[name].idle_since())
                self._open.pop(oldest).close()
                return

    def _keep_sweeping(self) -> None:
        while not self._stopped.wait(_SWEEP_SECONDS):
            self.sweep()

    def __enter__(self) -> Visits:
        self._sweeper.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stopped.set()
        self._sweeper.join()
        for name in list(self._open):
            self.close(name)
        shutil.rmtree(self.folder, ignore_errors=True)


def files_below(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """All files in a folder, while others come and go."""
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            facts = path.lstat()
            if stat.S_ISREG(facts.st_mode):
                yield path, facts


def place_copy(upload: Path, path: Path) -> None:
    """Let a file lie at another path, too, of the same disk, without copying its content."""
    try:
        os.link(upload, path)
    except OSError:  # Not all file systems can.
        shutil.copyfile(upload, path)
