"""Trees of plain values -> frozen dataclasses, strictly. No key is named here.

Understood in a field's type: str, FilePath, bool, int, float, X | None, Literal, tuple[X, ...],
tuple[X, Y], another dataclass (a section of the file), and Annotated[number, Range].
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from difflib import get_close_matches
from functools import cache
from types import UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from engine.errors import UserError, named, shown

T = TypeVar("T")
_MOST_ENTRIES = 100  # of a list

FilePath = Annotated[str, "path"]
"""Text that may name a file or folder; a `~` that it begins with is read as the home folder."""


class ConfigError(UserError):
    """A mistake in a configuration, on one line: file, key path, offending value, remedy."""


@dataclass(frozen=True)
class Range:
    """The bounds of a number: from `low` (or, if `above`, anything larger) to `high`, inclusive."""

    low: float
    high: float
    above: bool = False

    def __contains__(self, number: float) -> bool:
        return self.low <= number <= self.high and not (self.above and number == self.low)

    def __str__(self) -> str:
        start = f"above {self.low:g} and up" if self.above else f"from {self.low:g}"
        return f"{start} to {self.high:{',.0f' if self.high >= 10_000 else 'g'}}"


class Place(NamedTuple):
    """Where the reader stands: in which file, under which key, in the tree of which dataclass."""

    where: str
    root: Any
    path: str = ""

    def key(self, name: object) -> Place:
        return self._replace(path=f"{self.path}.{named(name)}" if self.path else named(name))

    def error(self, problem: str) -> ConfigError:
        message = ": ".join(part for part in (self.where, self.path, problem) if part)
        return ConfigError(" ".join(message.split()))

    def refuse(self, value: object, hint: Any) -> ConfigError:
        return self.error(f"{shown(value)} is not allowed here; write {describe(hint)}")

    def unknown(self, name: object, section: Any) -> ConfigError:
        """The error for a key that `section` lacks: a misplaced key, a misspelt one, or neither."""
        siblings = [field.name for field in fields(section)]
        homes: dict[str, list[str]] = {}
        for path in key_paths(self.root):
            homes.setdefault(path.rpartition(".")[2], []).append(path)
        close = get_close_matches(named(name), siblings, n=1)
        close_elsewhere = get_close_matches(named(name), homes, n=1)
        if name in homes:
            remedy = f"did you mean {' or '.join(homes[str(name)])}?"
        elif close:
            remedy = f"did you mean {close[0]}?"
        elif close_elsewhere:
            remedy = f"did you mean {' or '.join(homes[close_elsewhere[0]])}?"
        else:
            remedy = f"use one of {', '.join(siblings)}"
        return self.key(name).error(f"unknown key; {remedy}")


def describe(hint: Any) -> str:
    """What a field of this type takes, in words that finish the sentence `write ...`."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated and hint != FilePath:
        return f"{describe(args[0])} {args[1]}"
    if origin in (Union, UnionType):
        return f"{describe(args[0])}, or null"
    if origin is Literal:
        return f"one of {', '.join(args)}"
    if origin is tuple:
        return "a list [...]" if args[-1] is ... else f"a list of {len(args)} entries"
    if is_dataclass(hint):
        return f"a section with the keys {', '.join(field.name for field in fields(hint))}"
    words = {bool: "true or false", int: "a whole number", float: "a number"}
    return words.get(hint, "text, in quotes if it looks like a number")


@cache
def types_of(section: Any) -> dict[str, Any]:
    """The type of each field of a dataclass, with its Range."""
    return get_type_hints(section, include_extras=True)


def key_paths(section: Any, prefix: str = "") -> Iterator[str]:
    """The dotted path of every key below a dataclass, sections included, in order."""
    for name, hint in types_of(section).items():
        yield f"{prefix}{name}"
        inner = section_of(hint)
        if inner is not None:
            yield from key_paths(inner, f"{prefix}{name}.")


def section_of(hint: Any) -> Any:
    """The dataclass behind `Section` or `Section | None`; None for the type of a plain value."""
    inner = get_args(hint)[0] if get_origin(hint) in (Union, UnionType) else hint
    return inner if is_dataclass(inner) else None


def parse_section(cls: type[T], tree: object, where: str) -> T:
    """A tree of plain values as the dataclass `cls`: types and ranges, but no rule across sections.

    where: what the errors name first, such as the file. Raises ConfigError.
    """
    section: T = _section(tree, cls, Place(where, cls))
    return section


def _section(tree: object, cls: Any, place: Place) -> Any:
    if tree is None:  # `augmentation_params:` with nothing, or only comments, below it
        tree = {}
    if not isinstance(tree, Mapping):
        raise place.refuse(tree, cls)
    hints = types_of(cls)
    for key in tree:
        if not isinstance(key, str) or key not in hints:
            raise place.unknown(key, cls)
    values = {}
    for field in fields(cls):
        here, hint = place.key(field.name), hints[field.name]
        if field.name in tree:
            values[field.name] = check_value(tree[field.name], hint, here)
        elif _is_required(field):
            raise here.error(f"missing; add this key with {describe(hint)}")
    return cls(**values)


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def check_value(value: object, hint: Any, place: Place) -> Any:
    """A plain value as the type `hint` asks for it. Raises ConfigError."""
    kind, bounds = hint, None
    if get_origin(kind) in (Union, UnionType):
        if value is None:
            return None
        kind = get_args(kind)[0]
    if get_origin(kind) is Annotated and kind != FilePath:
        kind, bounds = get_args(kind)
    if is_dataclass(kind):
        return _section(value, kind, place)
    if get_origin(kind) is tuple:
        return _entries(value, kind, place)
    if get_origin(kind) is Literal:
        converted = value if value in get_args(kind) else None
    else:
        converted = CONVERTERS[kind](value)
    if converted is None or (bounds is not None and converted not in bounds):
        raise place.refuse(value, hint)
    return converted


def _entries(value: object, hint: Any, place: Place) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise place.refuse(value, hint)
    if len(value) > _MOST_ENTRIES:
        raise place.error(f"a list of {len(value)} entries; write at most {_MOST_ENTRIES}")
    kinds = get_args(hint)
    if kinds[-1] is ...:
        kinds = kinds[:1] * len(value)
    if len(kinds) != len(value):
        raise place.refuse(value, hint)
    return tuple(
        check_value(entry, kind, place._replace(path=f"{place.path}[{index}]"))
        for index, (entry, kind) in enumerate(zip(value, kinds, strict=True))
    )


def _text(value: object) -> str | None:
    # Texts name files, whose names hold no NUL, and are written down in UTF-8.
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return value


def _path(value: object) -> str | None:
    text = _text(value)
    if text is None or "\0" in text:
        return None
    return os.path.expanduser(text)  # noqa: PTH111 - it stays text.


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _number(value: object) -> float | None:
    # Strings too: YAML 1.1 reads 2e-4, which has no point, as text.
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _integer(value: object) -> int | None:
    number = _number(value)
    if number is None or not number.is_integer():
        return None
    return value if isinstance(value, int) else int(number)


CONVERTERS: dict[Any, Callable[[object], Any]] = {
    str: _text,
    FilePath: _path,
    bool: _flag,
    int: _integer,
    float: _number,
}


def plain(value: Any) -> Any:
    """The reverse of `parse_section`: dataclasses -> dicts, tuples -> lists, the rest as it is."""
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    return [plain(entry) for entry in value] if isinstance(value, tuple) else value
