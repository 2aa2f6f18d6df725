"""Uploads to the page: what its probe is given by strangers."""

from __future__ import annotations

from random import Random

from tools.fuzzing.families.pictures import spoil_picture
from tools.fuzzing.families.videos import spoil_video
from tools.fuzzing.place import Place
from tools.fuzzing.run import Run


def uploads(rng: Random, place: Place) -> Run:
    kind = rng.choice(["picture", "video", "video"])
    spoil = rng.choice(
        [spoil_picture if kind == "picture" else spoil_video] * 5 + [spoil_picture, spoil_video]
    )
    fault, name = spoil(rng, place)
    return Run("upload", [kind, name], f"{kind}: {fault}")
