"""A set of puppets on disk, read back."""

import json
from dataclasses import dataclass
from pathlib import Path

from engine.clip import Clip, open_clip
from engine.command_files import Inputs
from engine.errors import UserError
from engine.words import counted
from frames_dataset import list_videos
from tools.puppets.dataset import MANIFEST, Plan
from tools.puppets.truth import Truth, load_truth

_ENDINGS = {"mp4": ".mp4", "png": ".png", "frames": ""}
_REMEDY = "make one with tools/make_puppets.py, and name it with --data"


@dataclass(frozen=True)
class PuppetSet:
    """The videos of a set, and the folders of its triples of source, driving video and answers."""

    folder: Path
    plan: Plan
    train: list[Path]
    test: list[Path]
    triples: list[Path]

    def open(self, path: Path) -> Clip:
        """A video of the set. Raises UserError if it cannot be read."""
        return open_clip(path, frame_shape=(self.plan.size, self.plan.size, 3))

    def open_part(self, triple: Path, role: str) -> Clip:
        """The video `driving`, `absolute` or `relative` of a triple. Raises UserError as above."""
        return self.open(triple / f"{role}{_ENDINGS[self.plan.format]}")

    def truth(self, clip: Clip) -> Truth:
        """The truth about a training or test video. Raises UserError if it does not fit."""
        path = self.folder / "ground_truth" / f"{clip.name}.npz"
        try:
            truth = load_truth(path)
        except Exception as error:  # damaged bytes make numpy and zipfile raise all kinds of them
            raise UserError(f"{path}: missing or damaged; make the set again") from error
        if len(truth.joints) != clip.num_frames:
            raise UserError(
                f"{path}: tells of {counted(len(truth.joints), 'frame')}, but {clip.reader.path} "
                f"has {clip.num_frames}; make the set again"
            )
        return truth


def set_inputs(folder: Path) -> Inputs:
    """All that is read of a set of puppets, whether or not it is there."""
    truths = sorted((folder / "ground_truth").glob("*.npz"))
    triples = sorted((folder / "transfer").glob("*"))
    return Inputs(
        [folder / MANIFEST, *truths, *(file for triple in triples for file in triple.glob("*"))],
        [folder / "train", folder / "test", *triples],
    )


def open_set(folder: Path, *, frame_shape: tuple[int, int, int]) -> PuppetSet:
    """Find everything in a set of puppets of the size (H, W, C).

    Raises:
        UserError: the folder is no such set, or its frames are of another size.
    """
    needed = (MANIFEST, "train", "test", "ground_truth")
    missing = [name for name in needed if not (folder / name).exists()]
    if missing:
        raise UserError(f"{folder}: no set of puppets, it lacks {', '.join(missing)}; {_REMEDY}")
    try:
        plan = Plan(**json.loads((folder / MANIFEST).read_text()))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{folder / MANIFEST}: unreadable; {_REMEDY}") from error
    if frame_shape[:2] != (plan.size, plan.size):
        height, width = frame_shape[:2]
        raise UserError(
            f"{folder}: has frames of {plan.size}x{plan.size} pixels, and the config asks for "
            f"{height}x{width}; make a set with --size {width}, and name it with --data"
        )
    return PuppetSet(
        folder,
        plan,
        train=list_videos(folder / "train"),
        test=list_videos(folder / "test"),
        triples=sorted(source.parent for source in folder.glob("transfer/*/source.png")),
    )
