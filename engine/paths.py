"""Where a path leads: what tells one file from all others, however it is spelt."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import NamedTuple


class Place(NamedTuple):
    """A place on disk; equal for all paths that lead there, through links and by any spelling.

    Attributes:
        device, inode: of the file or folder or, where there is none yet, of the nearest folder
            above it.
        below: the names from there on.
    """

    device: int
    inode: int | str
    below: tuple[str, ...] = ()


def place_of(path: Path) -> Place:
    """The place to which a path leads, whether or not anything is there."""
    real, below = Path(os.path.realpath(path)), list[str]()
    while True:
        try:
            state = real.stat()
        except OSError:
            if real == real.parent:  # a drive that is not there
                return Place(0, str(real), tuple(below))
            below.insert(0, real.name)
            real = real.parent
            continue
        if below and ignores_case(real):
            below = [unicodedata.normalize("NFC", name).casefold() for name in below]
        return Place(state.st_dev, state.st_ino or str(real), tuple(below))


def ignores_case(folder: Path) -> bool:
    """Tell whether the file system of a folder takes `A` and `a` for one name.

    Asked of the first folder upwards whose name has letters.
    """
    for place in (folder, *folder.parents):
        other = place.name.swapcase()
        if other != place.name:
            try:
                return place.samefile(place.with_name(other))
            except OSError:
                return False
    return False
