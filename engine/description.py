"""What networks are: their name, the size of their frames, what they were trained on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.errors import UserError

DESCRIPTION = "description"
"""A checkpoint's entry, a dict with the string `trained_on`; older checkpoints have none"""

_DEMO = Path(__file__).resolve().parents[1] / "demo"
_LONGEST = 80  # characters of a name; a checkpoint may come from anywhere

# What the data sets show that config/ names.
_DRAWN_FIGURES = "drawn figures"
_SUBJECTS = {
    "actions": "people who wave, jump and bend",
    "bair": "a robot's arm",
    "fashion-png": "people who model clothes",
    "moving-gif": "cartoon animals",
    "nemo-png": "faces that begin to smile",
    "puppets": _DRAWN_FIGURES,
    "taichi-png": "people doing tai chi",
    "vox-png": "faces of people who talk",
    "vox-512": "faces of people who talk",
}
_NAMES_OF_ANY_RUN = re.compile(r"checkpoint|best|last-checkpoint|\d+-checkpoint")
_ADVICE = 'for faces see README.md, "Animate", with a checkpoint of faces, such as vox-cpk'


@dataclass(frozen=True)
class Description:
    """What a person should know of networks before they use them.

    Attributes:
        name: of the run, or of the file.
        frame_size: (H, W) of what the networks see, in pixels.
        trained_on: the name of the data set, and what it shows, where that is known.
    """

    name: str
    frame_size: tuple[int, int]
    trained_on: str | None

    def __str__(self) -> str:
        height, width = self.frame_size
        data = f", trained on {self.trained_on}" if self.trained_on else ""
        return f"{self.name}: {width} x {height} pixels{data}"

    @property
    def advice(self) -> str | None:
        """What to take instead for what these networks were not trained on; None if unknown."""
        return _ADVICE if self.trained_on and _DRAWN_FIGURES in self.trained_on else None

    def advice_for(self, *files: Path) -> str | None:
        """What to say before these files are animated; None where the networks may well do.

        That is where networks trained on drawn figures meet files other than those of demo/.
        """
        if self.advice is None or all(_DEMO in file.resolve().parents for file in files):
            return None
        return f"{self}; {self.advice}"


def description_entry(root_dir: str) -> dict[str, str]:
    """What a checkpoint says under DESCRIPTION, given the folder of the data it is trained on."""
    return {"trained_on": Path(root_dir).name}


def describe(
    checkpoint: Path, state: Mapping[str, object], *, root_dir: str, frame_size: tuple[int, int]
) -> Description:
    """Describe the networks of a checkpoint.

    Args:
        checkpoint: the file.
        state: its content, in which older and published checkpoints have no entry DESCRIPTION.
        root_dir: the folder of the data, by the config; used where the checkpoint names none.
        frame_size: (H, W) in pixels.

    Raises:
        UserError: the entry is something else.
    """
    entry = state.get(DESCRIPTION, {})
    if not isinstance(entry, Mapping) or not isinstance(entry.get("trained_on", ""), str):
        raise UserError(
            f"{checkpoint}: {DESCRIPTION}: no dict with a string trained_on; get a whole copy"
        )
    trained_on = entry.get("trained_on") or _trained_on(state.get("config")) or Path(root_dir).name
    data = _short(trained_on)
    subject = _SUBJECTS.get(data)
    return Description(
        name=_short(_name_of(checkpoint)),
        frame_size=frame_size,
        trained_on=f"{data} ({subject})" if subject else data or None,
    )


def _trained_on(config: object) -> str | None:
    """The data set that a checkpoint's own config names, whatever was chosen for animating."""
    params = config.get("dataset_params") if isinstance(config, Mapping) else None
    root_dir = params.get("root_dir") if isinstance(params, Mapping) else None
    return Path(root_dir).name if isinstance(root_dir, str) else None


def _name_of(checkpoint: Path) -> str:
    """The file's name or, where all runs have such a file, its folder's."""
    name = checkpoint.name.removesuffix(".tar").removesuffix(".pth")
    return checkpoint.resolve().parent.name if _NAMES_OF_ANY_RUN.fullmatch(name) else name


def _short(name: str) -> str:
    """A name on one line, of bounded length."""
    line = " ".join(name.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."
