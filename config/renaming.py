"""Keys that were renamed: trees that hold their earlier names are read all the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from config.parsing import Place

# Path of each key as it was -> its name today, in the same section.
RENAMED = {"train_params.validation_freq": "validate_freq"}


def with_new_names(tree: object, where: str) -> object:
    """A copy of a tree of plain values with today's names of its keys.

    where: what the error names first. Raises ConfigError where a key has both of its names.
    """
    for path, name in RENAMED.items():
        tree = _renamed(tree, path.split("."), name, Place(where, None))
    return tree


def new_path(names: Sequence[str]) -> list[str]:
    """The path of a key, from the outermost section inwards, by today's names."""
    return [*names[:-1], RENAMED.get(".".join(names), names[-1])]


def _renamed(tree: Any, path: Sequence[str], name: str, place: Place) -> Any:
    old, *rest = path
    if not isinstance(tree, Mapping) or old not in tree:
        return tree
    if rest:
        return {**tree, old: _renamed(tree[old], rest, name, place.key(old))}
    if name in tree:
        raise place.key(old).error(f"is {name} today, which is there, too; keep {name} alone")
    return {name if key == old else key: value for key, value in tree.items()}
