"""Configurations: YAML files and --set, misspelt, of wrong types, of no sense."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from random import Random
from typing import Any

import yaml

from tools.fuzzing import place as runs
from tools.fuzzing.damage import damage_file, replace_by_something_else
from tools.fuzzing.place import RUN, Place
from tools.fuzzing.run import Run

# fmt: off
_VALUES = (
    "~", "true", "no", "''", "text", "'é漢字'", "😀", "'\\0'", '"\\0"', '"\\x1b[31m"', "'  '", "0",
    "1", "-1", "2", "3", "7", "1.5", "-0.0", "0x10", "0b2", "1_000", "1:30", "1:99:99", ".nan",
    ".inf", "-.inf", "1e999", "1e-999", "1e18", "1000000000000000000", "9" * 5000, "-" + "9" * 400,
    "0." + "1" * 5000, "x" * 5000, "'" + "word " * 1000 + "'", "[]", "{}", "[1]", "[1, 2]",
    "[0, 0, 0]", "[32, 32]", "[1, [2, [3]]]", "[~]", "{a: {b: c}}", "[32, 32, 4]", "[32, 32, 1]",
    "[1000000000000000000, 32, 3]", "[32.5, 32, 3]", "[a, b, c]", "[" * 50 + "]" * 50,
    "[" * 2000 + "]" * 2000, "[" * 3000, "{" * 500, "!!int '+'", "!!int ''", "!!int abc",
    "!!int '0x'", "!!int '1:a'", "!!bool abc", "!!bool ''", "!!float abc", "!!float ''",
    "!!float '.'", "!!null x", "!!timestamp x", "!!timestamp ''", "!!binary '!'", "!!binary abc",
    "!!set {a, b}", "!!omap [a: 1]", "!!omap 3", "!!pairs [a]", "!!set [a]", "!!map [a]",
    "!!seq {a: 1}", "!!str [a]", "!!str 3", "!unknown 3", "!<x> 3",
    "!!python/object/apply:os.system ['touch EXECUTED']", "!!python/name:os.system", "!!merge x",
    "2001-99-99", "2001-01-01", "2001-01-01 99:99:99", "2001-01-01t00:00:00+99:99", "*unknown",
    "&a [*a]", "&a {b: *a}", "{? [1]: 2}", "{1: 2}", "{~: 1}", "{<<: 3}", "{<<: [1]}", "- 1",
    "a: b", "%", "@x", "`x`", "'open", '"open', "\t1", "? x", "|", ">", "--- 1", "...",
    "{a: 1, a: 2}", "[,]", "{,}", "=", "<<", "'\\ud800'", '"\\ud800"', '"\\U99999999"', "~/x",
    "$HOME", ".mp4", ".MP4", "mp4", "fp16", "imagenet", "random", "data", "none", "auto",
    "driving.mp4", "nowhere", "notes.txt", "pairs.csv", "run", "/", "/dev/null", ".",
)
_DOCUMENTS = (
    "", " ", "\n", "~", "3", "text", "[]", "{}", "- a\n- b", "[1, 2", "{a: 1", "---",
    "--- a\n--- b", "a: 1\n--- \nb: 2", "%YAML 9.9\n---\na: 1", "%TAG ! x\n---\n!a b",
    "\ufeffa: 1", "\x00", "a\x00b", "a: b: c", "\ta: 1", "a:\n\t- 1", "? a\n? b", "<<: {a: 1}",
    "&a a: *a", "&x [*x, *x]", "!!set {a}", "!!python/object/apply:os.system ['touch EXECUTED']",
    "9" * 5000, "[" * 5000, "a: " * 500, "{" * 3000, "- " * 2000, "x" * 100_000, "#", "'", '"',
    "|", "&", "*", "!", "`", "@", "dataset_params",
    "a: &a [x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"{b}: &{b} [{','.join(9 * ['*' + a])}]\n" for a, b in pairwise("abcdefghi")),
)
# fmt: on
_OF_OTHERS = (
    "model_params:\n  region_predictor_params:\n    temperature: 0.1\n",
    "model_params:\n  common_params:\n    num_tps: 10\n    num_channels: 3\n",
    "dataset_params:\n  frame_shape: [256, 256, 3]\nmodel_params:\n  bg_predictor_params: {}\n",
    "model:\n  name: resnet\n  layers: 50\n",
    "version: '3'\nservices:\n  web: {image: x}\n",
)


def settings(rng: Random, place: Place) -> Run:
    if rng.random() < 0.2:
        return _override(rng, place)
    spoil = rng.choice([*4 * [_value], _key, _document, _text, _file])
    fault = spoil(rng, place)
    run = _reader(rng)
    run.fault = fault
    return run


def _reader(rng: Random, **other: object) -> Run:
    return rng.choice(
        [
            *3 * [lambda: runs.train(dry_run=True, **other)],
            *3 * [lambda: runs.animate(config="config.yaml", **other)],
            lambda: runs.reconstruct(config="config.yaml", lpips="none", **other),
            lambda: runs.pairs(config="config.yaml", **other),
            lambda: runs.check_data(**other),
            lambda: runs.start_from(dry_run=True, **other),
        ]
    )()


def _leaves(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if path:
        yield path
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _leaves(value, (*path, str(key)))


def _place_of(rng: Random, tree: dict[str, Any]) -> tuple[dict[str, Any], str, str]:
    """(section, key, path with dots) of anything in a tree."""
    path = rng.choice(list(_leaves(tree)))
    section = tree
    for name in path[:-1]:
        section = section[name]
    return section, path[-1], ".".join(path)


def _full_tree(place: Place) -> dict[str, Any]:
    """Every key that there is: the config as the checkpoint has it."""
    tree: dict[str, Any] = place.state()["config"]
    return tree


def _value(rng: Random, place: Place) -> str:
    tree = _full_tree(place)
    faults = []
    for number in range(rng.choice([1, 1, 1, 2])):
        section, key, path = _place_of(rng, tree)
        section[key] = f"HOLE{number}HOLE"
        faults.append((path, rng.choice(_VALUES)))
    text = yaml.safe_dump(tree, sort_keys=False, width=10_000)
    for number, (_, value) in enumerate(faults):
        text = text.replace(f"HOLE{number}HOLE", value)
    place.path("config.yaml").write_text(text)
    return "; ".join(f"{path}: {value[:40]}" for path, value in faults)


def _misspelt(rng: Random, key: str) -> str:
    at = rng.randrange(len(key) + 1)
    return rng.choice(
        [
            key[:at] + rng.choice("aäx_ .-") + key[at:],
            key[:at] + key[at + 1 :],
            key.upper(),
            f" {key}",
        ]
    )


def _key(rng: Random, place: Place) -> str:
    tree = _full_tree(place)
    section, key, path = _place_of(rng, tree)
    kind = rng.choice(["misspelt", "removed", "moved", "twice", "number"])
    if kind == "twice":
        text = yaml.safe_dump(tree, sort_keys=False)
        place.path("config.yaml").write_text(f"{text}{rng.choice(list(tree))}: {{}}\n")
        return "a section twice"
    value = section.pop(key)
    if kind == "misspelt":
        section[_misspelt(rng, key)] = value
    elif kind == "moved":
        tree[key if key not in tree else f"{key}_"] = value
    elif kind == "number":
        section[rng.choice([3, None, True, 1.5])] = value  # type: ignore[index]
    place.write_config(tree)
    return f"{path}: {kind}"


def _override(rng: Random, place: Place) -> Run:
    tree = _full_tree(place)
    overrides = []
    for _ in range(rng.choice([1, 1, 2])):
        _, key, path = _place_of(rng, tree)
        value = rng.choice(_VALUES).replace("\0", "")
        if rng.random() < 0.25:
            path = rng.choice(
                [
                    path.replace(key, _misspelt(rng, key)),
                    f"{path}.x",
                    f"{path}.0",
                    f".{path}",
                    f"{path}.",
                    "",
                    "=",
                    key,
                    f"{path}[0]",
                    path.replace(".", "/"),
                    path.upper(),
                    "a" * 3000,
                ]
            )
        overrides.append(
            rng.choice([f"{path}={value}"] * 6 + [path, f"{path}:{value}", f"{path} = {value}"])
        )
    run = _reader(rng, set=overrides)
    run.fault = "; ".join(text[:60] for text in overrides)
    return run


def _document(rng: Random, place: Place) -> str:
    text = rng.choice([*_DOCUMENTS, *_OF_OTHERS])
    place.path("config.yaml").write_text(text)
    return f"config.yaml: {text[:40]!r}"


def _text(rng: Random, place: Place) -> str:
    path = place.path("config.yaml")
    text = path.read_text()
    lines = text.splitlines()
    kind = rng.choice(
        ["bytes", "utf-16", "utf-8-sig", "latin", "tabs", "indent", "crlf", "swap", "comment"]
    )
    if kind == "bytes":
        return damage_file(rng, path)
    if kind in ("utf-16", "utf-8-sig"):
        path.write_text(text, encoding=kind)
    elif kind == "latin":
        path.write_bytes(text.replace("data", "d\xe4ta").encode("latin-1"))
    elif kind == "tabs":
        path.write_text(text.replace("  ", "\t"))
    elif kind == "indent":
        at = rng.randrange(len(lines))
        lines[at] = rng.choice([" ", "   "]) + lines[at]
        path.write_text("\n".join(lines))
    elif kind == "crlf":
        path.write_bytes(text.replace("\n", rng.choice(["\r\n", "\r", "\x85", "\u2028"])).encode())
    elif kind == "swap":
        one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
        lines[one], lines[other] = lines[other], lines[one]
        path.write_text("\n".join(lines))
    else:
        path.write_text(
            text.replace(":", rng.choice([" #:", ":#", "::", "="]), rng.choice([1, 99]))
        )
    return f"config.yaml: {kind}"


def _file(rng: Random, place: Place) -> str:
    path = place.path("config.yaml")
    if rng.random() < 0.5:
        return replace_by_something_else(rng, path, pipe=False)
    other = rng.choice([RUN, "source.png", "driving.mp4", "pairs.csv", "keypoints-truths.npz"])
    path.write_bytes(place.path(other).read_bytes())
    return f"config.yaml: is {other}"
