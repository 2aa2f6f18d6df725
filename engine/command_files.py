"""All files and folders that a command reads and writes, and that it loses none of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from engine.errors import UserError
from engine.image import IMAGE_SUFFIXES
from engine.output import check_file, check_frames, is_frame_name
from engine.paths import Place, place_of
from engine.video import VIDEO_SUFFIXES

Kind = Literal["result", "json", "page", "new", "frames", "folder", "cache"]

_BEGINNINGS = {"json": ("{", "["), "page": ("<!doctype html", "<html")}
"""What a report begins with that an earlier run has written."""


@dataclass(frozen=True)
class Inputs:
    """What a command reads, and what its config and checkpoint name, read or not.

    Attributes:
        files: single files, and folders of frames; None stands for one that was not named.
        folders: of videos; all that is, or would be, listed as a video in them counts.
        unread: folders of videos that the command does not read: what is in them stays, and more
            may come. Where a link in them leads is not looked into: a dataset may have millions of
            frames.
    """

    files: Sequence[Path | None] = ()
    folders: Sequence[Path] = ()
    unread: Sequence[Path] = ()

    def __add__(self, other: Inputs) -> Inputs:
        return Inputs(
            [*self.files, *other.files],
            [*self.folders, *other.folders],
            [*self.unread, *other.unread],
        )


class Output(NamedTuple):
    """What a command writes.

    Attributes:
        flag: the argument that it comes from.
        path: the file or folder.
        kind: `result`, a file that may replace an earlier one; `json` or `page`, a report, which
            replaces reports alone; `new`, a file that replaces nothing; `frames`, a FrameFolder;
            `folder`, one that is new or begun by the same command; `cache`, a folder of JSON files.
        remedy: the argument to change; empty for `flag`.
    """

    flag: str
    path: Path
    kind: Kind = "result"
    remedy: str = ""

    def refused(self, lost: Path, problem: str) -> UserError:
        return UserError(f"{lost}: {problem}; choose another {self.remedy or self.flag}")


def json_report(path: Path | None) -> list[Output]:
    """The report that `--json` names, if any."""
    return [] if path is None else [Output("--json", path, "json")]


def check_files(inputs: Inputs, outputs: Sequence[Output]) -> None:
    """See that no output replaces an input, another output or what somebody else has made.

    Called once, when all of them are known and nothing is written. Afterwards the reports can be
    written: their folders are made.

    Args:
        inputs: what is read.
        outputs: what will be written.

    Raises:
        UserError: one would, or a report cannot be written.
    """
    guard = _Guard(inputs)
    for output in outputs:
        guard.check(output)
    for output in outputs:
        if output.kind in ("json", "page", "new"):
            check_file(output.path)


@dataclass
class _Guard:
    """What must not be replaced, by its place; outputs are added as they are checked.

    Attributes:
        taken: files and folders that are read or will be written.
        listed: folders whose images and videos are read.
        datasets: those among them in which folders of frames are read, too.
        unread: those that this command does not read, and may add to.
        frames: folders of frames that will be written.
        caches: folders of scores that will be written.
    """

    inputs: Inputs
    taken: dict[Place, Path] = field(default_factory=dict)
    listed: dict[Place, Path] = field(default_factory=dict)
    datasets: dict[Place, Path] = field(default_factory=dict)
    unread: set[Place] = field(default_factory=set)
    frames: dict[Place, Path] = field(default_factory=dict)
    caches: dict[Place, Path] = field(default_factory=dict)
    _links_followed: bool = False

    def __post_init__(self) -> None:
        for path in self.inputs.files:
            if path is not None:
                self.taken[place_of(path)] = path
                if path.is_dir():
                    self.listed[place_of(path)] = path
        for folder in [*self.inputs.folders, *self.inputs.unread]:
            place = place_of(folder)
            self.taken[place] = self.listed[place] = self.datasets[place] = folder

        self.unread = {place_of(folder) for folder in self.inputs.unread}
        self.unread -= {place_of(folder) for folder in self.inputs.folders}
        self.unread -= {place_of(path) for path in self.inputs.files if path is not None}

    def check(self, output: Output) -> None:
        place, path = place_of(output.path), output.path
        if _real(path).exists():
            self.follow_links()
        if output.kind == "cache":
            self.caches[place] = path
            return
        if place in self.taken:
            raise output.refused(self.taken[place], f"{output.flag} would write over it")
        if output.kind == "frames":
            self.check_frames(output)
            self.frames[place] = path
        elif output.kind != "folder":
            self.check_file(output)
        self.taken[place] = path

    def check_frames(self, output: Output) -> None:
        """A folder of frames must neither be among videos nor hold an input of such a name."""
        if _real(output.path).exists() and not output.path.is_dir():
            raise output.refused(output.path, "is a file, where frames need a folder")
        parent = place_of(output.path.parent)
        folder = None if parent in self.unread else self.datasets.get(parent)
        if folder is not None:
            raise output.refused(
                output.path, f"{output.flag} would put it among the videos of {folder}"
            )
        place = place_of(output.path)
        for path in self.taken.values():
            for real in {path, _real(path)}:
                if is_frame_name(real.name) and place_of(real.parent) == place:
                    raise output.refused(path, f"{output.flag} would write over it")
        check_frames(output.path)

    def check_file(self, output: Output) -> None:
        path = output.path
        if path.is_symlink() and not path.exists():
            raise output.refused(path, "is a link that leads nowhere")
        if _real(path).exists() and not path.is_dir():
            _check_replaceable(output)
        # An existing link is replaced where it lies; what it leads to may be listed elsewhere.
        for real in {path, _real(path)}:
            inside, above = place_of(real.parent), place_of(real.parent.parent)
            if inside in self.frames and is_frame_name(real.name):
                raise output.refused(path, f"{output.flag} would be one of the frames there")
            if inside in self.caches and real.suffix.lower() == ".json":
                raise output.refused(path, f"{output.flag} would be one of the scores kept there")
            self.check_listed(output, inside, above, suffix=real.suffix.lower())

    def check_listed(self, output: Output, inside: Place, above: Place, *, suffix: str) -> None:
        """A file in a folder that is listed must be none that is listed there."""
        places = (
            [inside] if suffix in VIDEO_SUFFIXES | IMAGE_SUFFIXES and inside in self.listed else []
        )
        if suffix in IMAGE_SUFFIXES and above in self.datasets:
            places.append(above)
        for place in places:
            if _real(output.path).exists():
                raise output.refused(output.path, f"{output.flag} would write over it")
            if place not in self.unread:
                what = f"put it among what {self.listed[place]} holds"
                raise output.refused(output.path, f"{output.flag} would {what}")

    def follow_links(self) -> None:
        """Take in what lies elsewhere, and is read through a link in a folder that is read."""
        if not self._links_followed:
            self._links_followed = True
            frames = [path for path in self.inputs.files if path is not None and path.is_dir()]
            linked = [link for folder in frames for link in _links(folder, deep=False)]
            linked += [link for folder in self.inputs.folders for link in _links(folder, deep=True)]
            for path in linked:
                self.taken.setdefault(place_of(path), path)
                if path.is_dir():
                    self.listed.setdefault(place_of(path), path)


def _links(folder: Path, *, deep: bool) -> Iterator[Path]:
    """The symbolic links, and files of several names, in a folder and, if `deep`, in those in it.

    Folders that may not be read are passed over.
    """
    if not folder.is_dir() or not os.access(folder, os.R_OK | os.X_OK):
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            path, is_link = Path(entry.path), entry.is_symlink()
            # A loop of links is no folder; only for the path is that no error.
            is_folder = path.is_dir() if is_link else entry.is_dir()
            if is_link or (not is_folder and entry.stat().st_nlink > 1):
                yield path
            if deep and is_folder:
                yield from _links(path, deep=False)


def _real(path: Path) -> Path:
    """The path without links, and without `folder/..`, also where that folder is yet to be made."""
    return Path(os.path.realpath(path))


def _check_replaceable(output: Output) -> None:
    """See that the file that is there may be replaced.

    Raises:
        UserError: it is somebody's own, as far as can be told.
    """
    path, kind = _real(output.path), output.kind
    if not path.is_file():
        raise output.refused(path, f"is no file that {output.flag} can replace")
    if kind == "new":
        raise output.refused(path, f"is there already, and {output.flag} replaces no file")
    if kind in _BEGINNINGS and path.stat().st_size:
        with path.open("rb") as file:
            start = file.read(64).decode("utf-8", "replace").lstrip().lower()
        if not start.startswith(_BEGINNINGS[kind]):
            raise output.refused(path, f"{output.flag} would write over it, and it is no report")
