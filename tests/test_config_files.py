"""Every YAML file of config/: published settings; no key unexplained, unread or misspelt."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.parsing import key_paths
from config.schema import (
    Config,
    ConfigError,
    ModelParams,
    TrainParams,
    load_config,
    parse_config,
    parse_section,
    to_dict,
)

ROOT = Path(__file__).resolve().parent.parent
FILES = {path.stem: path for path in sorted((ROOT / "config").glob("*.yaml"))}
GOLDEN = sorted((ROOT / "tests" / "golden").glob("*.yaml"))

FLIP = "dataset_params.augmentation_params.flip_param"
JITTER = "dataset_params.augmentation_params.jitter_param"
DETECTOR = "model_params.kp_detector_params"
GENERATOR = "model_params.generator_params"
DENSE = "model_params.generator_params.dense_motion_params"
DISCRIMINATOR = "model_params.discriminator_params"
LOSSES = "train_params.loss_weights"
NORMALIZATION = "animate_params.normalization_params"

SHARED: dict[str, Any] = {
    "dataset_params.frame_shape": [256, 256, 3],
    **{f"{FLIP}.{key}": True for key in ("horizontal_flip", "time_flip")},
    "model_params.common_params.num_kp": 10,
    "model_params.common_params.num_channels": 3,
    "model_params.common_params.estimate_jacobian": True,
    f"{DETECTOR}.temperature": 0.1,
    f"{DETECTOR}.block_expansion": 32,
    f"{DETECTOR}.max_features": 1024,
    f"{DETECTOR}.scale_factor": 0.25,
    f"{DETECTOR}.num_blocks": 5,
    f"{GENERATOR}.block_expansion": 64,
    f"{GENERATOR}.max_features": 512,
    f"{GENERATOR}.num_down_blocks": 2,
    f"{GENERATOR}.num_bottleneck_blocks": 6,
    f"{GENERATOR}.estimate_occlusion_map": True,
    f"{DENSE}.block_expansion": 64,
    f"{DENSE}.max_features": 1024,
    f"{DENSE}.num_blocks": 5,
    f"{DENSE}.scale_factor": 0.25,
    f"{DISCRIMINATOR}.scales": [1],
    f"{DISCRIMINATOR}.block_expansion": 32,
    f"{DISCRIMINATOR}.max_features": 512,
    f"{DISCRIMINATOR}.num_blocks": 4,
    "train_params.lr_generator": 2e-4,
    "train_params.lr_discriminator": 2e-4,
    "train_params.scales": [1, 0.5, 0.25, 0.125],
    "train_params.transform_params.sigma_affine": 0.05,
    "train_params.transform_params.sigma_tps": 0.005,
    "train_params.transform_params.points_tps": 5,
    f"{LOSSES}.discriminator_gan": 1,
    f"{LOSSES}.feature_matching": [10, 10, 10, 10],
    f"{LOSSES}.perceptual": [10, 10, 10, 10, 10],
    f"{LOSSES}.equivariance_value": 10,
    f"{LOSSES}.equivariance_jacobian": 10,
    "reconstruction_params.num_videos": 1000,
    "reconstruction_params.format": ".mp4",
    "animate_params.num_pairs": 50,
    "animate_params.format": ".mp4",
    f"{NORMALIZATION}.adapt_movement_scale": False,
    f"{NORMALIZATION}.use_relative_movement": True,
    f"{NORMALIZATION}.use_relative_jacobian": True,
    "visualizer_params.kp_size": 5,
    "visualizer_params.draw_border": True,
    "visualizer_params.colormap": "gist_rainbow",
}

NAMES = ["bair", "fashion", "mgif", "nemo", "taichi", "taichi-adv", "vox", "vox-adv"]
DIFFERENT: dict[str, str] = {  # key: one entry per name of NAMES; `-` is an absent key
    "dataset_params.root_dir": "data/bair data/fashion-png data/moving-gif data/nemo-png "
    "data/taichi-png data/taichi-png data/vox-png data/vox-png",
    "dataset_params.id_sampling": "false false false false true true true true",
    "dataset_params.pairs_list": "- - - - data/taichi256.csv data/taichi256.csv "
    "data/vox256.csv data/vox256.csv",
    f"{JITTER}.brightness": "0.1 - - - 0.1 0.1 0.1 0.1",
    f"{JITTER}.contrast": "0.1 - - - 0.1 0.1 0.1 0.1",
    f"{JITTER}.saturation": "0.1 - - - 0.1 0.1 0.1 0.1",
    f"{JITTER}.hue": "0.1 0.1 0.5 - 0.1 0.1 0.1 0.1",
    "dataset_params.augmentation_params.crop_param.size": "- - [256,256] - - - - -",
    "dataset_params.augmentation_params.resize_param.ratio": "- - [0.9,1.1] - - - - -",
    f"{DETECTOR}.single_jacobian_map": "- - true - - - - -",
    f"{DISCRIMINATOR}.sn": "true - true true - - true -",
    f"{DISCRIMINATOR}.use_kp": "- - - - - true - true",
    "train_params.num_epochs": "20 100 100 100 100 150 100 150",
    "train_params.num_repeats": "1 50 25 8 150 150 75 75",
    "train_params.epoch_milestones": "[12,18] [60,90] [60,90] [60,90] [60,90] [] [60,90] []",
    "train_params.lr_kp_detector": "2.0e-4 2.0e-4 2.0e-4 2.0e-4 2.0e-4 0 2.0e-4 2.0e-4",
    "train_params.batch_size": "36 27 36 36 30 27 40 36",
    "train_params.checkpoint_freq": "10 50 100 50 50 50 50 50",
    f"{LOSSES}.generator_gan": "1 1 1 1 0 1 0 1",
}


def leaves(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def value_at(node: Any, path: str) -> Any:
    for name in path.split("."):
        node = getattr(node, name)
    return node


def as_lists(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.parametrize("column", range(len(NAMES)), ids=NAMES)
def test_published_settings_are_kept_to_the_key(column: int) -> None:
    path = FILES[f"{NAMES[column]}-256"]
    cells = {key: row.split()[column] for key, row in DIFFERENT.items()}
    expected = SHARED | {key: yaml.safe_load(cell) for key, cell in cells.items() if cell != "-"}
    assert dict(leaves(yaml.safe_load(path.read_text()))) == expected
    config = load_config(path)
    assert {key: as_lists(value_at(config, key)) for key in expected} == expected


def test_the_small_config() -> None:
    config = load_config(FILES["actions-64"])
    assert config.dataset_params.frame_shape == (64, 64, 3)
    assert config.model_params.kp_detector_params.scale_factor == 1
    assert config.model_params.generator_params.num_down_blocks == 1
    assert config.model_params.discriminator_params.sn
    training = config.train_params
    assert training.scales == (1, 0.5)
    assert training.perceptual_weights == "random"
    assert (training.num_epochs, training.num_repeats, training.batch_size) == (60, 8, 8)
    assert training.loss_weights.feature_matching == (10, 10, 10)
    assert config.reconstruction_params.max_frames == 40


def test_resolution_follows_from_the_size_of_the_frames() -> None:
    """As published at 256 pixels; at another size, motion is still found on 64."""
    published = load_config(FILES["vox-256"])
    for size, scale, coarsest in ((256, 1 / 4, 1 / 8), (512, 1 / 8, 1 / 16), (64, 1, 1 / 2)):
        overrides = [f"dataset_params.frame_shape=[{size}, {size}, 3]"]
        config = load_config(FILES["vox-512"], overrides)
        dense = config.model_params.generator_params.dense_motion_params
        assert dense is not None
        assert config.model_params.kp_detector_params.scale_factor == scale
        assert dense.scale_factor == scale
        assert config.train_params.scales[-1] == coarsest
        if size == 256:
            assert config.model_params == published.model_params
            assert config.train_params.scales == published.train_params.scales


@pytest.mark.parametrize("shape", ["[512]", "big", "[0, 0, 3]", "null"])
def test_a_resolution_that_cannot_be_derived_is_refused(shape: str) -> None:
    tree = yaml.safe_load(FILES["vox-512"].read_text())
    tree["dataset_params"]["frame_shape"] = yaml.safe_load(shape)
    with pytest.raises(ConfigError, match="frame_shape"):
        parse_config(tree, "a.yaml")


@pytest.mark.parametrize("name", FILES)
def test_each_file_opens_with_the_command_that_runs_it(name: str) -> None:
    text = FILES[name].read_text()
    assert text.startswith(f"# python train.py --config config/{name}.yaml")
    assert ("--init_from" in text) == ("-adv-" in name or name == "vox-512")


@pytest.mark.parametrize("name", FILES)
def test_misspelling_any_key_is_refused_by_name(name: str) -> None:
    tree = yaml.safe_load(FILES[name].read_text())
    for path in tree_paths(tree):
        *parents, key = path.split(".")
        for wrong in (key[:-1], key[0] + key, key.upper()):
            broken = deepcopy(tree)
            section = broken
            for parent in parents:
                section = section[parent]
            section[wrong] = section.pop(key)
            wrong_path = ".".join([*parents, wrong])
            with pytest.raises(ConfigError) as caught:
                parse_config(broken, "a.yaml")
            assert str(caught.value).startswith(f"a.yaml: {wrong_path}: unknown key; ")


def tree_paths(tree: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in tree.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from tree_paths(value, f"{prefix}{key}.")


def test_taichi_explains_every_key() -> None:
    text = FILES["taichi-256"].read_text()
    given = set(tree_paths(yaml.safe_load(text)))
    resolved = dict(leaves(to_dict(load_config(FILES["taichi-256"]))))
    for path in set(key_paths(Config)) - given:
        name = path.rpartition(".")[2]
        example = re.search(rf"^ *# +{name}:(.*)$", text, re.MULTILINE)
        assert example, f"{path} is neither set nor shown in a comment"
        if path in resolved and example[1].strip():
            assert yaml.safe_load(example[1]) == resolved[path], f"{path}: not the default"


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_sections_are_understood(path: Path) -> None:
    tree = yaml.safe_load(path.read_text())
    model = parse_section(ModelParams, tree["model_params"], str(path))
    assert model.common_params.num_kp == tree["model_params"]["common_params"]["num_kp"]
    parse_section(TrainParams, tree["train_params"], str(path))
    whole = {"dataset_params": {"root_dir": "data", "frame_shape": [64, 64, 3]}, **tree}
    parse_config(whole, str(path))


def test_every_key_is_read() -> None:
    """A key that no code reads is a promise that the file does not keep.

    A key is read where the code says `.key`, or unfolds its section with `asdict(... .section)`:
    what takes such a section as keywords refuses those that it does not know.
    """
    sources = [*ROOT.glob("*.py"), *ROOT.glob("engine/**/*.py"), *ROOT.glob("tools/**/*.py")]
    nodes = [node for path in sources for node in ast.walk(ast.parse(path.read_text()))]
    read = {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    }
    unfolded = {
        node.args[0].attr
        for node in nodes
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "asdict"
        and isinstance(node.args[0], ast.Attribute)
    }
    paths = list(key_paths(Config))
    sections = {path.rpartition(".")[0] for path in paths}
    unread = [
        path
        for path in paths
        if path not in sections
        and path.split(".")[-1] not in read
        and path.split(".")[-2] not in unfolded
    ]
    assert not unread, f"no code reads {', '.join(unread)}"
