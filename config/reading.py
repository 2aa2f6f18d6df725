"""YAML text -> a tree of plain values, with `a.b.c=value` overrides laid over it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from config.parsing import Place, check_value, section_of, types_of
from config.renaming import new_path
from engine.errors import named, shown

_LARGEST_FILE = 2**20  # bytes; a config has some thousands
_MOST_REFERENCES = 100
_MOST_KEYS = 1000
_LONGEST_REASON = 200  # characters of what PyYAML says


class _Loader(yaml.SafeLoader):
    """PyYAML's, which believes less.

    It refuses a key that stands twice in a section, of which PyYAML keeps the last one and says
    nothing; a value that is not of the type that its tag names, at which PyYAML raises what it
    pleases; and references that multiply, of which a few lines become gigabytes.
    """

    def __init__(self, stream: str | bytes) -> None:
        super().__init__(stream)
        self._references = 0

    def compose_node(self, parent: Any, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            self._references += 1
            if self._references > _MOST_REFERENCES:
                raise yaml.MarkedYAMLError(
                    problem=f"more than {_MOST_REFERENCES} references (*name)",
                    problem_mark=self.peek_event().start_mark,
                    note="write out what they stand for",
                )
        return super().compose_node(parent, index)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        if len(node.value) > _MOST_KEYS:
            raise yaml.MarkedYAMLError(
                problem=f"a section of more than {_MOST_KEYS} keys",
                problem_mark=node.start_mark,
                note="write out what its merge keys (<<) stand for",
            )

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (yaml.YAMLError, RecursionError):
            raise
        except Exception as error:  # AttributeError, IndexError, KeyError, ValueError and others
            kind = node.tag.rpartition(":")[2]
            raise yaml.MarkedYAMLError(
                problem=f"{shown(node.value)} is not of the type {named(kind)}",
                problem_mark=node.start_mark,
                note="write another value, or quote it",
            ) from error

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {named(key.value)} is there twice",
                    problem_mark=key.start_mark,
                    note="keep one of them",
                )
            seen.add(key.value)
        return node


class _Dumper(yaml.SafeDumper):
    """Writes lists on one line, as the files of this folder do."""

    def represent_list(self, data: Any) -> yaml.SequenceNode:
        return self.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=True)


_Dumper.add_representer(list, _Dumper.represent_list)


def read_file(path: Path) -> object:
    """The tree in a YAML file. Raises ConfigError where there is no file, no YAML, or nothing."""
    place = Place(str(path), None)
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST_FILE + 1)
    except FileNotFoundError as error:
        near = get_close_matches(path.name, [file.name for file in path.parent.glob("*.yaml")], n=1)
        remedy = f"did you mean {path.parent / near[0]}?" if near else "check the path"
        raise place.error(f"no such file; {remedy}") from error
    except OSError as error:
        if os.path.isdir(path):  # noqa: PTH112 - of names that are too long, Path.is_dir() raises
            raise place.error("this is a folder; name one of the YAML files in it") from error
        raise place.error(f"cannot be read ({error.strerror}); check the path") from error
    if len(text) > _LARGEST_FILE:
        raise place.error(f"longer than {_LARGEST_FILE:,} bytes; name a YAML file of settings")
    tree = read_text(text, place)
    if tree is None:
        raise place.error("the file is empty; begin with a copy of config/taichi-256.yaml")
    return tree


def read_text(text: str | bytes, place: Place) -> object:
    """The tree in a YAML text. Raises ConfigError, which names `place` and the line."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        reason = ", ".join(part for part in (error.context, error.problem) if part)
        reason = reason[:_LONGEST_REASON]
        raise place.error(f"{line}{reason}; {error.note or 'correct the YAML there'}") from error
    except RecursionError as error:
        raise place.error("nested too deeply for settings; correct the file") from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # The latter of "\U99999999".
        raise place.error(
            f"not readable as YAML ({str(error)[:_LONGEST_REASON]}); correct the file"
        ) from error


def write_text(tree: Mapping[str, object]) -> str:
    """A tree as YAML text, its keys in the order of the tree."""
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)


def with_overrides(tree: object, overrides: Sequence[str], root: Any, where: str) -> object:
    """A copy of `tree` with each `a.b.c=value` set, in turn; the values are read as YAML.

    root: the dataclass of the whole tree. A path that it lacks, or a value that it does not take,
        is refused here, where the error can say that it came from `--set`. Raises ConfigError.
    """
    place = Place(f"{where}, --set", root)
    for override in overrides:
        path, equals, text = override.partition("=")
        if not equals or not path.strip():
            raise place.error(
                f"{shown(override)} is not KEY=VALUE; write it as train_params.batch_size=8"
            )
        names = new_path(path.strip().split("."))
        hint = _type_at(names, place)
        here = place._replace(path=".".join(names))
        value = read_text(text, here)
        check_value(value, hint, here)
        tree = _replaced(tree, names, value, place)
    return tree


def _type_at(names: Sequence[str], place: Place) -> Any:
    hint: Any = place.root
    for name in names:
        section = section_of(hint)
        if section is None:
            example = (
                f"{place.path}=[...]" if "[" in name or name.isdigit() else f"{place.path}=..."
            )
            raise place.error(f"there is no {name} inside; set the whole value, as in {example}")
        hints = types_of(section)
        if name not in hints:
            raise place.unknown(name, section)
        hint, place = hints[name], place.key(name)
    return hint


def _replaced(tree: object, names: Sequence[str], value: object, place: Place) -> object:
    # A new mapping at every level: sections may be shared (YAML aliases), and belong to the caller.
    if not names:
        return value
    section = {} if tree is None else tree
    if not isinstance(section, Mapping):
        raise place.error(f"{shown(tree)} is not a section; make it one, or set it as a whole")
    name, *rest = names
    return {**section, name: _replaced(section.get(name), rest, value, place.key(name))}
