"""Torch files -> plain values, by torch's own unpickler, which calls nothing that a file names."""

import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch

from engine.errors import UserError, named

_DAMAGED = "truncated, damaged, or not a torch file; get a whole copy"
# What checkpoints name; a name that differs in a letter or two is one of these, damaged.
_USUAL_NAMES = (
    "collections.OrderedDict",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_tensor_v2",
    "torch.Size",
    "torch.device",
    *(f"torch.{kind}Storage" for kind in ("Float", "Double", "Half", "BFloat16", "Long", "Int")),
    *(f"torch.{kind}Storage" for kind in ("Short", "Char", "Byte", "Bool")),
)
_FORMATS = {"f2": "e", "f4": "f", "f8": "d", "b1": "?"} | {
    f"{sign}{size}": letter.upper() if sign == "u" else letter
    for sign in "iu"
    for size, letter in ((1, "b"), (2, "h"), (4, "i"), (8, "q"))
}


def unpickle(path: Path) -> object:
    """The content of a torch file, its tensors on the CPU; numpy's scalars become Python's.

    Raises:
        UserError: the file is damaged, or names code that loading it would run.
        OSError: it cannot be read.
    """
    with path.open("rb"):
        pass  # What fails from here on is the content's fault.
    try:
        _check_records(path)
        with warnings.catch_warnings(), torch.serialization.safe_globals(_number_names()):
            warnings.simplefilter("ignore")  # of what the errors below say
            return torch.load(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except Exception as error:  # damaged bytes make torch and pickle raise all kinds of them
        raise UserError(f"{path}: {_why_refused(error)}") from error


def _check_records(path: Path) -> None:
    """See that an archive unpacks to no more than the file holds: torch compresses nothing."""
    if not zipfile.is_zipfile(path):  # a torch file of the format before 1.6 is none
        return
    with zipfile.ZipFile(path) as archive:
        claimed = sum(record.file_size for record in archive.infolist())
    if claimed > path.stat().st_size:
        raise UserError(
            f"{path}: its records claim {claimed:,} bytes, more than the file has; get a copy that "
            "is neither damaged nor compressed"
        )


class _NumberType:
    """Stands for `numpy.dtype` while a file is read, so that no file reaches into numpy's own."""

    def __init__(self, code: str, *_: object) -> None:
        self._format = _FORMATS[code]
        self._order = "<"

    def __setstate__(self, state: tuple) -> None:
        self._order = ">" if state[1] == ">" else "<"

    def read(self, raw: bytes) -> float:
        """The number that `raw` spells."""
        (number,) = struct.unpack(self._order + self._format, raw)
        return number


def _number(kind: _NumberType, raw: bytes) -> float:
    """Stands for numpy's `scalar`."""
    return kind.read(raw)


def _number_names() -> list[Callable | tuple[Callable, str]]:
    """What takes the place of the names in a pickled numpy scalar, of numpy 1 and 2."""
    return [
        (_number, "numpy.core.multiarray.scalar"),
        (_number, "numpy._core.multiarray.scalar"),
        (_NumberType, "numpy.dtype"),
    ]


def _why_refused(error: Exception) -> str:
    found = re.search(r"GLOBAL (.*?)(?: was not | whose |$)", str(error), re.DOTALL)
    # What torch says of a class or a function that is not on its list.
    if isinstance(error, pickle.UnpicklingError) and found is not None:
        name = found[1]
        if all(part.isidentifier() for part in name.split(".")) and not _is_misread(name):
            return (
                f"refused, because loading it would run code that it names, {named(name)}; "
                "get a checkpoint of plain tensors"
            )
    return _DAMAGED


def _is_misread(name: str) -> bool:
    """Whether a byte or two of damage make such a name of one that checkpoints hold."""
    return any(
        len(name) == len(usual) and sum(a != b for a, b in zip(name, usual, strict=True)) <= 2
        for usual in _USUAL_NAMES
    )
