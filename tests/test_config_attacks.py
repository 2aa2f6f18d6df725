"""A configuration may hold anything: whatever it is, it ends in one short line, and soon."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
import torch
import yaml
from commands import ROOT

from config.parsing import Range, key_paths, types_of
from config.schema import Config, ConfigError, load_config, parse_config

VOX = ROOT / "config" / "vox-256.yaml"
TREE = yaml.safe_load(VOX.read_text())
LONGEST = 500  # characters of a message


def refusal(path: Path, content: str | bytes) -> str:
    """The message, behind the path, that a file of this content gets."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as error:
        load_config(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert len(message) < LONGEST + len(str(path))
    return message.removeprefix(f"{path}: ")


MULTIPLYING = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 13))
MERGING = "".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 10))
DIGITS = "9" * 5000


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('train_params:\n  batch_size: !!int "+"\n', "line 2: '+' is not of the type int; write"),
        ("a: !!int abc\n", "line 1: 'abc' is not of the type int; write another value, or quote"),
        ("a: !!int ''\n", "line 1: '' is not of the type int"),
        ("a: !!bool abc\n", "line 1: 'abc' is not of the type bool"),
        ("a: !!float x\n", "line 1: 'x' is not of the type float"),
        ("a: !!timestamp soon\n", "line 1: 'soon' is not of the type timestamp"),
        ("a: !!binary '€'\n", "line 1: "),
        (f"a: {DIGITS}\n", "line 1: '99999"),
        (f"a: 0x{'f' * 5000}\n", "a: unknown key"),
        (f"dataset_params: 0x{'f' * 5000}\n", "dataset_params: a huge number is not allowed here"),
        (f"train_params: {{batch_size: '{DIGITS}'}}\n", "dataset_params: missing"),
        (f"? {DIGITS}\n: 1\n", "line 1: '99999"),
        ("dataset_params: !!set {a, b}\n", "dataset_params: {'a', 'b'} is not allowed here"),
        ("dataset_params: !!binary aGk=\n", "dataset_params: b'hi' is not allowed here"),
        ("dataset_params: 2001-01-01\n", "dataset_params: a date is not allowed here"),
        ("dataset_params: !!omap [a: 1]\n", "dataset_params: [('a', 1)] is not allowed here"),
        ("dataset_params: &a [*a]\n", "dataset_params: [[[[...]]]] is not allowed here"),
        ("null: 1\n", "null: unknown key"),
        ("2001-01-01: 1\n", "a date: unknown key"),
        ("? [a, b]\n: 1\n", "line 1: while constructing a mapping, found unhashable key"),
        ("a: *nobody\n", "line 1: found undefined alias 'nobody'"),
        (f"a0: &a0 [lol]\n{MULTIPLYING}", "line 13: more than 100 references (*name); write out"),
        ("train_params:\n  <<: 5\n", "line 2: while constructing a mapping, expected a mapping"),
        ("a: " + "[" * 5000, "nested too deeply for settings"),
        ("a: " + "{b: " * 5000, "nested too deeply for settings"),
        ("train_params: {num_epochs: 1, num_epochs: 2}\n", "line 1: the key num_epochs is there"),
        ("a: b\0c\n", "not readable as YAML"),
        ("# " + "x" * 2**20, "longer than 1,048,576 bytes; name a YAML file of settings"),
        (VOX.read_text().encode("utf-16-le"), "not readable as YAML"),
        (b"a: \xff\xfe\n", "not readable as YAML"),
        ('dataset_params: {root_dir: "a\\0b"}\n', "dataset_params.root_dir: 'a\\x00b' is not"),
        ('dataset_params: {root_dir: "\\ud800"}\n', "dataset_params.root_dir: '\\ud800' is not"),
    ],
)
def test_strange_yaml_is_one_short_line(tmp_path: Path, text: str | bytes, complaint: str) -> None:
    message = refusal(tmp_path / "a.yaml", text)
    assert message.startswith(complaint)
    assert "; " in message, "a remedy follows"


def test_yaml_in_utf_16_with_a_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(VOX.read_text().encode("utf-16"))
    assert load_config(path) == load_config(VOX)


def test_merge_keys_that_multiply_end_soon(tmp_path: Path) -> None:
    """Earlier versions of PyYAML copy what is merged, 9 to the power of 9 times here."""
    message = refusal(tmp_path / "a.yaml", f"a0: &a0 {{x: 1}}\n{MERGING}")
    assert "a section of more than 1000 keys" in message or message.startswith("a0: unknown key")


def test_references_and_merge_keys_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    text = VOX.read_text().replace("lr_generator: 2.0e-4", "lr_generator: &rate 3.0e-4")
    text = text.replace("lr_discriminator: 2.0e-4", "lr_discriminator: *rate")
    merged = text.replace("visualizer_params:", "visualizer_params:\n  <<: {kp_size: 7}", 1)
    path.write_text(merged.replace("  kp_size: 5\n", ""))
    config = load_config(path)
    assert config.visualizer_params.kp_size == 7
    assert config.train_params.lr_generator == config.train_params.lr_discriminator == 3e-4


# ----- numbers


def number_keys() -> Iterator[tuple[str, Any]]:
    """The path of every key that takes a number or a list of them, and its Range."""
    for path in key_paths(Config):
        hint: Any = Config
        for name in path.split("."):
            inner = get_args(hint)[0] if type(None) in get_args(hint) else hint
            hint = types_of(inner)[name]
        options = [hint, *get_args(hint)]
        ranges = [get_args(it)[1] for it in options if isinstance(_last(it), Range)]
        if ranges:
            yield path, ranges[0]


def _last(hint: Any) -> Any:
    return get_args(hint)[-1] if get_origin(hint) is not None else None


NUMBERS = dict(number_keys())


def with_value(path: str, value: object) -> dict[str, Any]:
    """The tree of vox-256 with another value, and all sections on the way to it."""
    tree = copy.deepcopy(TREE)
    section = tree
    *parents, name = path.split(".")
    for parent in parents:
        section = section.setdefault(parent, {})
    section[name] = value
    return tree


def test_all_number_keys_are_found() -> None:
    assert len(NUMBERS) > 50
    assert {"dataset_params.frame_shape", "train_params.grad_clip"} <= NUMBERS.keys()


@pytest.mark.parametrize("path", NUMBERS)
def test_numbers_beyond_their_bounds_are_refused(path: str) -> None:
    bounds = NUMBERS[path]
    assert bounds.high < 2**63
    huge = [10**18, 10**5000, 1e308, float("inf"), float("nan"), DIGITS, bounds.high * 1.01 + 1]
    low = [-(10**18), -1e308, float("-inf"), bounds.low - 1]
    for number in [*huge, *low]:
        for value in (number, [number], [number] * 2, [number] * 3):
            with pytest.raises(ConfigError) as error:
                parse_config(with_value(path, value), "a.yaml")
            message = str(error.value)
            assert message.startswith(f"a.yaml: {path}")
            assert len(message) < LONGEST


@pytest.mark.parametrize("side", [10**18, 10**400, -1, 0, 8193, 2.5, float("nan"), None, "x"])
@pytest.mark.parametrize("name", ["vox-256", "vox-512"])
def test_sides_of_frames_are_refused_by_name(name: str, side: object) -> None:
    tree = yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text())
    tree["dataset_params"]["frame_shape"] = [side, side, 3]
    with pytest.raises(ConfigError, match=r"^a\.yaml: dataset_params\.frame_shape\[0\]: "):
        parse_config(tree, "a.yaml")


def test_a_list_of_thousands_is_refused_in_short() -> None:
    for key in ("train_params.scales", "train_params.epoch_milestones"):
        with pytest.raises(ConfigError, match=f"{key}: a list of 5000 entries; write at most 100"):
            parse_config(with_value(key, [1] * 5000), "a.yaml")


# ----- what a checkpoint may carry in place of a tree


def deep_list() -> object:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    return deep


ODD = {
    "tensor": lambda: torch.ones(1000),
    "deep": deep_list,
    "bytes": lambda: bytes(5000),
    "text": lambda: "x" * 5000,
    "complex": lambda: 1j,
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize(
    "path", ["", "dataset_params", "dataset_params.frame_shape", "train_params.scales"]
)
def test_odd_values_are_refused_in_short(path: str, kind: str) -> None:
    value: Any = ODD[kind]()
    tree = with_value(path, value) if path else value
    with pytest.raises(ConfigError) as error:
        parse_config(tree, "x.pth.tar: config")
    assert len(str(error.value)) < LONGEST
    with pytest.raises(ConfigError, match="unknown key"):
        parse_config({**TREE, "x" * 5000: value}, "x.pth.tar: config")


# ----- other methods

MRAA = """
model_params:
  num_regions: 5
  num_channels: 3
  estimate_affine: true
  bg_predictor_params: {block_expansion: 4, max_features: 32, num_blocks: 4, bg_type: affine}
  region_predictor_params: {temperature: 0.1, block_expansion: 4, max_features: 32, num_blocks: 3}
  generator_params:
    block_expansion: 4
    pixelwise_flow_predictor_params: {block_expansion: 4, max_features: 32, num_blocks: 3}
train_avd_params: {lr: 0.001}
"""
TPSMM = """
dataset_params: {root_dir: ../vox, frame_shape: null}
model_params:
  common_params: {num_tps: 10, num_channels: 3, bg: true, multi_mask: true}
  generator_params: {block_expansion: 64, max_features: 512, num_down_blocks: 3}
  dense_motion_params: {block_expansion: 64, max_features: 1024, num_blocks: 5}
"""


@pytest.mark.parametrize(("name", "text"), [("MRAA", MRAA), ("TPSMM", TPSMM)])
def test_configurations_of_other_methods_are_told(tmp_path: Path, name: str, text: str) -> None:
    message = refusal(tmp_path / "a.yaml", text)
    assert message.startswith(f"a configuration of {name}, which is not supported here yet; ")


def test_a_stray_key_of_another_method_is_an_unknown_key() -> None:
    with pytest.raises(ConfigError, match=r"model_params\.num_regions: unknown key"):
        parse_config(with_value("model_params.num_regions", 10), "a.yaml")
