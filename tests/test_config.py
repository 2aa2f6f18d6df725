"""The reader of configurations: what it accepts, and how it names each mistake on one line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.schema import (
    AugmentationParams,
    Config,
    ConfigError,
    JitterParam,
    ModelParams,
    TrainParams,
    dump_config,
    load_config,
    parse_config,
    parse_section,
    to_dict,
)
from engine.errors import UserError

HOURGLASS = {"block_expansion": 4, "max_features": 16, "num_blocks": 2, "scale_factor": 0.5}
REQUIRED: dict[str, Any] = {
    "dataset_params": {"root_dir": "data/own", "frame_shape": [64, 64, 3]},
    "model_params": {
        "common_params": {"num_kp": 4, "num_channels": 3, "estimate_jacobian": True},
        "kp_detector_params": {"temperature": 0.1, **HOURGLASS},
        "generator_params": {
            "block_expansion": 4,
            "max_features": 16,
            "num_down_blocks": 1,
            "num_bottleneck_blocks": 1,
            "dense_motion_params": HOURGLASS,
        },
        "discriminator_params": {"block_expansion": 4, "max_features": 16, "num_blocks": 4},
    },
    "train_params": {"scales": [1, 0.5, 0.25]},
}
AUGMENTATION = "dataset_params.augmentation_params"
DETECTOR = "model_params.kp_detector_params"
GENERATOR = "model_params.generator_params"
DISCRIMINATOR = "model_params.discriminator_params"
LOSSES = "train_params.loss_weights"


def parsed(*overrides: str) -> Config:
    return parse_config(REQUIRED, "own.yaml", overrides)


def with_key(path: str, value: object, tree: Mapping[str, Any] = REQUIRED) -> dict[str, Any]:
    name, _, rest = path.partition(".")
    return {**tree, name: with_key(rest, value, tree.get(name, {})) if rest else value}


def without_key(path: str, tree: Mapping[str, Any] = REQUIRED) -> dict[str, Any]:
    name, _, rest = path.partition(".")
    others = {key: value for key, value in tree.items() if key != name}
    return {**others, name: without_key(rest, tree[name])} if rest else others


def refusal(tree: object, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_config(tree, "own.yaml", overrides)
    return one_line(caught.value)


def file_refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    message = one_line(caught.value)
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def one_line(error: ConfigError) -> str:
    assert isinstance(error, UserError)
    assert "\n" not in str(error)
    return str(error)


def test_only_the_required_keys_are_needed() -> None:
    config = parsed()
    assert config.dataset_params.augmentation_params == AugmentationParams()
    assert config.dataset_params.pairs_list is None
    assert config.train_params == TrainParams(scales=(1.0, 0.5, 0.25))
    assert config.model_params.kp_detector_params.pad == 0
    assert config.model_params.discriminator_params.kp_variance == 0.01
    assert config.train_params.perceptual_weights == "imagenet"
    assert config.reconstruction_params.max_frames is None


def test_defaults_of_training_are_the_commonest_published_values() -> None:
    training = TrainParams()
    assert (training.num_epochs, training.num_repeats, training.epoch_milestones) == (100, 1, ())
    assert (training.lr_generator, training.lr_discriminator) == (2e-4, 2e-4)
    assert (training.batch_size, training.checkpoint_freq) == (36, 50)
    assert training.loss_weights.generator_gan == 0
    assert (training.keep_checkpoints, training.num_workers, training.validate_freq) == (3, 4, 0)


def test_a_section_of_comments_only_is_an_empty_section() -> None:
    config = parse_config(with_key(AUGMENTATION, None), "own.yaml")
    assert config.dataset_params.augmentation_params == AugmentationParams()


def test_values_keep_their_types() -> None:
    tree = with_key(f"{AUGMENTATION}.jitter_param", {"hue": 0, "contrast": "1e-1"})
    jitter = parse_config(tree, "own.yaml").dataset_params.augmentation_params.jitter_param
    assert jitter == JitterParam(contrast=0.1)
    assert isinstance(jitter.hue, float)
    config = parsed("train_params.lr_generator=2e-4", "train_params.num_epochs=1e2")
    assert config.train_params.lr_generator == pytest.approx(2e-4)
    assert config.train_params.num_epochs == 100
    assert isinstance(config.train_params.num_epochs, int)
    assert config.dataset_params.frame_shape == (64, 64, 3)


def test_configurations_survive_writing_and_reading() -> None:
    config = parsed(
        f"{AUGMENTATION}={{rotation_param: {{degrees: [-5, 5]}}, crop_param: {{size: [64, 64]}}}}",
        "train_params.epoch_milestones=[3, 5]",
        "train_params.lr_generator=1e-7",
        "dataset_params.root_dir='123'",
    )
    assert parse_config(to_dict(config), "copy") == config
    text = dump_config(config)
    assert parse_config(yaml.safe_load(text), "copy") == config
    assert list(yaml.safe_load(text)) == list(to_dict(config))
    assert "epoch_milestones: [3, 5]" in text


def test_plain_types_only() -> None:
    def kinds(value: object) -> set[type]:
        if isinstance(value, dict):
            return {dict}.union(*(kinds(entry) for entry in value.values()))
        return {list}.union(*map(kinds, value)) if isinstance(value, list) else {type(value)}

    assert kinds(to_dict(parsed())) <= {dict, list, str, int, float, bool, type(None)}


@pytest.mark.parametrize(
    ("path", "remedy"),
    [
        ("model_params.generator_params.max_featurs", "did you mean max_features?"),
        ("train_param", "did you mean train_params?"),
        ("train_params.num_kp", "did you mean model_params.common_params.num_kp?"),
        ("batch_sise", "did you mean train_params.batch_size?"),
        ("visualizer_params.zzzz", "use one of kp_size, draw_border, colormap"),
    ],
)
def test_an_unknown_key_is_refused_with_the_likely_one(path: str, remedy: str) -> None:
    tree = with_key(path, 1)
    assert refusal(tree) == f"own.yaml: {path}: unknown key; {remedy}"
    assert refusal(REQUIRED, f"{path}=1") == f"own.yaml, --set: {path}: unknown key; {remedy}"


def test_a_key_that_is_no_text_is_unknown() -> None:
    tree: dict[Any, Any] = {**REQUIRED}
    tree[7] = 1
    assert refusal(tree).startswith("own.yaml: 7: unknown key; use one of data")


@pytest.mark.parametrize(
    ("path", "remedy"),
    [
        ("model_params", "a section with the keys common_params, kp_detector_params"),
        ("model_params.common_params.num_kp", "a whole number from 1"),
        (f"{DETECTOR}.temperature", "a number from 0.0001 to 10,000"),
        ("dataset_params.root_dir", "text"),
        ("dataset_params.frame_shape", "a list of 3 entries"),
    ],
)
def test_a_missing_required_key_is_named(path: str, remedy: str) -> None:
    message = refusal(without_key(path))
    assert message.startswith(f"own.yaml: {path}: missing; add this key with {remedy}")


@pytest.mark.parametrize(
    ("path", "value", "remedy"),
    [
        ("train_params", 5, "a section with the keys num_epochs"),
        ("train_params.batch_size", True, "a whole number from 1"),
        ("train_params.batch_size", 2.5, "a whole number from 1"),
        ("train_params.batch_size", "many", "a whole number from 1"),
        ("train_params.batch_size", 0, "a whole number from 1"),
        ("train_params.batch_size", None, "a whole number from 1"),
        ("train_params.lr_generator", float("nan"), "a number from 0 to 1,000,000"),
        ("train_params.lr_generator", float("inf"), "a number from 0 to 1,000,000"),
        ("train_params.lr_generator", "nan", "a number from 0 to 1,000,000"),
        pytest.param(
            "train_params.lr_generator", 10**400, "a number from 0 to 1,000,000", id="huge"
        ),
        ("train_params.lr_generator", False, "a number from 0 to 1,000,000"),
        ("train_params.lr_generator", -1e-4, "a number from 0 to 1,000,000"),
        ("train_params.scales", 1, "a list"),
        ("train_params.perceptual_weights", "", "text"),
        ("train_params.transform_params.points_tps", 1, "a whole number from 2 to 64"),
        (f"{LOSSES}.equivariance_value", -1, "a number from 0 to 1,000,000"),
        ("dataset_params.frame_shape", [64, 64], "a list of 3 entries"),
        ("dataset_params.root_dir", 123, "text, in quotes"),
        ("dataset_params.id_sampling", "yes please", "true or false"),
        ("dataset_params.id_sampling", 1, "true or false"),
        (f"{AUGMENTATION}.jitter_param.hue", 0.6, "a number from 0 to 0.5"),
        (f"{AUGMENTATION}.jitter_param.contrast", -0.1, "a number from 0 to 100"),
        (f"{AUGMENTATION}.resize_param.ratio", [0.9], "a list of 2 entries"),
        (f"{DETECTOR}.scale_factor", 0, "a number from 0.001 to 1"),
        (f"{DETECTOR}.scale_factor", 2, "a number from 0.001 to 1"),
        (f"{DETECTOR}.temperature", 0, "a number from 0.0001 to 10,000"),
        ("reconstruction_params.format", ".avi", "one of .mp4, .mov, .mkv, .webm, .gif"),
        ("reconstruction_params.max_frames", 0, "a whole number from 1 to 1,000,000,000, or null"),
    ],
)
def test_a_wrong_value_is_refused(path: str, value: Any, remedy: str) -> None:
    message = refusal(with_key(path, value))
    assert message.startswith(f"own.yaml: {path}: ")
    assert f" is not allowed here; write {remedy}" in message
    if isinstance(value, str | int) and not isinstance(value, bool):
        assert repr(value)[:50] in message


def test_a_wrong_entry_of_a_list_is_counted() -> None:
    message = refusal(with_key("train_params.scales", [1, 1.5]))
    assert message.startswith("own.yaml: train_params.scales[1]: 1.5 is not allowed here")


def test_the_model_can_be_read_alone() -> None:
    model = parse_section(ModelParams, REQUIRED["model_params"], "part")
    assert model == parsed().model_params
    with pytest.raises(ConfigError, match=r"^part: common_params: missing"):
        parse_section(ModelParams, {}, "part")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "the file is empty; begin with a copy of config/taichi-256.yaml"),
        ("# nothing\n", "the file is empty"),
        ("just words\n", "'just words' is not allowed here; write a section with the keys dataset"),
        ("- 1\n", "[1] is not allowed here; write a section"),
        ("a: 1\nb: [1, 2\nc: 3\n", "line 3: while parsing a flow sequence, expected"),
        (
            "train_params:\n  lr: 1\n  lr: 2\n",
            "line 3: the key lr is there twice; keep one of them",
        ),
        ("? [a]\n: 1\n", "line 1: while constructing a mapping, found unhashable key"),
        ("a: 1\n---\nb: 2\n", "line 2: expected a single document"),
        ("a: 2001-99-99\n", "line 1: '2001-99-99' is not of the type timestamp; write another"),
        ("a: \x07\n", "not readable as YAML"),
        ("a: " + "[" * 1000, "nested too deeply for settings; correct the file"),
        ("a: !!python/name:os.system\n", "line 1: could not determine a constructor"),
    ],
)
def test_a_file_that_is_no_configuration(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    assert file_refusal(path).startswith(complaint)


def test_a_path_that_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "vox-256.yaml").write_text("")
    path = tmp_path / "vox-265.yaml"
    assert file_refusal(path) == f"no such file; did you mean {tmp_path / 'vox-256.yaml'}?"
    assert file_refusal(tmp_path / "none" / "b.yaml") == "no such file; check the path"
    assert file_refusal(tmp_path) == "this is a folder; name one of the YAML files in it"
    beyond = tmp_path / "vox-256.yaml" / "b.yaml"
    assert file_refusal(beyond) == "cannot be read (Not a directory); check the path"


PATHS = (
    "dataset_params.root_dir",
    "dataset_params.pairs_list",
    "train_params.perceptual_weights",
)


@pytest.mark.parametrize("key", PATHS)
def test_a_tilde_in_a_path_is_the_home_folder(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the file, in what a checkpoint carries, and in an override."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for config in (
        parse_config(with_key(key, "~/some/where"), "own.yaml"),
        parsed(f"{key}=~/some/where"),
    ):
        section, name = key.split(".")
        assert Path(getattr(getattr(config, section), name)) == tmp_path / "some" / "where"
    assert "is not allowed here" in refusal(with_key(key, "some\0where"))
    assert refusal(with_key(key, 3)).startswith(f"own.yaml: {key}: 3 is not allowed here; write")


def test_no_other_text_is_taken_for_a_path() -> None:
    assert parsed().train_params.perceptual_weights == "imagenet"
    assert parsed("visualizer_params.colormap=jet").visualizer_params.colormap == "jet"
