"""Overrides from the command line, and the rules that tie one configuration key to another."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from config.parsing import key_paths
from config.renaming import RENAMED
from config.schema import Config, ConfigError, load_config, parse_config

VOX = Path(__file__).resolve().parent.parent / "config" / "vox-256.yaml"
VOX_TREE = yaml.safe_load(VOX.read_text())
AUGMENTATION = "dataset_params.augmentation_params"
DETECTOR = "model_params.kp_detector_params"
GENERATOR = "model_params.generator_params"
DISCRIMINATOR = "model_params.discriminator_params"
COMMON = "model_params.common_params"
LOSSES = "train_params.loss_weights"


def vox(*overrides: str) -> Config:
    return parse_config(VOX_TREE, "vox.yaml", overrides)


def refusal(*overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        vox(*overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_overrides_change_one_key_each_and_the_last_wins() -> None:
    changed = load_config(VOX, ["train_params.batch_size=8", "train_params.batch_size=4"])
    assert changed.train_params.batch_size == 4
    assert changed.train_params.num_repeats == 75
    assert changed.model_params == load_config(VOX).model_params


def test_overrides_are_read_as_yaml() -> None:
    config = vox(
        "train_params.scales=[1, 0.5]",
        "train_params.lr_generator=1e-4",
        "dataset_params.id_sampling=false",
        "dataset_params.pairs_list=null",
        "dataset_params.root_dir=data/a=b",
    )
    assert config.train_params.scales == (1, 0.5)
    assert config.train_params.lr_generator == 1e-4
    assert not config.dataset_params.id_sampling
    assert config.dataset_params.pairs_list is None
    assert config.dataset_params.root_dir == "data/a=b"


def test_overrides_add_what_the_file_leaves_out() -> None:
    config = vox(f"{AUGMENTATION}.rotation_param.degrees=[-5, 5]", f"{DETECTOR}.pad=3")
    rotation = config.dataset_params.augmentation_params.rotation_param
    assert rotation is not None
    assert rotation.degrees == (-5, 5)
    assert config.model_params.kp_detector_params.pad == 3


def test_overrides_leave_the_tree_of_the_caller_alone() -> None:
    before = deepcopy(VOX_TREE)
    vox("train_params.loss_weights.perceptual=[1]", "visualizer_params.kp_size=2")
    assert before == VOX_TREE


def test_overrides_change_one_of_two_sections_that_share_an_alias() -> None:
    tree = deepcopy(VOX_TREE)
    tree["model_params"]["generator_params"]["dense_motion_params"] = shared = {
        "block_expansion": 64,
        "max_features": 1024,
        "num_blocks": 5,
        "scale_factor": 0.25,
    }
    tree["model_params"]["kp_detector_params"] = shared
    model = parse_config(
        tree, "vox.yaml", [f"{DETECTOR}.temperature=0.1", f"{DETECTOR}.block_expansion=32"]
    ).model_params
    assert model.kp_detector_params.block_expansion == 32
    assert model.generator_params.dense_motion_params is not None
    assert model.generator_params.dense_motion_params.block_expansion == 64


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        (
            "train_params.batch_sise=8",
            "train_params.batch_sise: unknown key; did you mean batch_size?",
        ),
        ("train_params.batch_size", "'train_params.batch_size' is not KEY=VALUE; write it as"),
        ("=8", "'=8' is not KEY=VALUE"),
        ("train_params.batch_size=x", "train_params.batch_size: 'x' is not allowed here; write a"),
        ("train_params.batch_size=", "train_params.batch_size: null is not allowed here"),
        ("train_params.batch_size=[1", "train_params.batch_size: line 1: "),
        ("train_params.scales.0=1", "train_params.scales: there is no 0 inside; set the whole"),
        ("train_params.batch_size.x=1", "train_params.batch_size: there is no x inside"),
        ("train_params..batch_size=1", "train_params.: unknown key"),
    ],
)
def test_a_wrong_override_is_refused(override: str, complaint: str) -> None:
    assert refusal(override).startswith(f"vox.yaml, --set: {complaint}")


def test_an_override_inside_what_is_no_section_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^a.yaml, --set: train_params: 5 is not a section; "):
        parse_config({**VOX_TREE, "train_params": 5}, "a.yaml", ["train_params.batch_size=8"])


RULES = [
    (
        ["dataset_params.frame_shape=[256, 256, 1]"],
        "dataset_params.frame_shape: [256, 256, 1] ends",
    ),
    (
        ["dataset_params.frame_shape=[256, 250, 3]"],
        f"{DETECTOR}.num_blocks: 5 halvings after scale_factor 1/4 need frames in multiples of 128 "
        "pixels, not 256 x 250",
    ),
    (["dataset_params.frame_shape=[192, 256, 3]"], f"{DETECTOR}.num_blocks: 5 halvings"),
    (
        [f"{GENERATOR}.dense_motion_params.num_blocks=7"],
        f"{GENERATOR}.dense_motion_params.num_blocks: 7 halvings",
    ),
    ([f"{GENERATOR}.num_down_blocks=9"], f"{GENERATOR}.num_down_blocks: 9 halvings need"),
    (
        [f"{DETECTOR}.scale_factor=0.015625", f"{DETECTOR}.num_blocks=2"],
        f"{DETECTOR}.scale_factor: 0.015625 leaves heatmaps of 0 pixels",
    ),
    (
        [
            f"{DETECTOR}.single_jacobian_map=true",
            f"{COMMON}.estimate_jacobian=false",
            f"{LOSSES}.equivariance_jacobian=0",
        ],
        f"{DETECTOR}.single_jacobian_map: true needs {COMMON}.estimate_jacobian: true",
    ),
    (
        [f"{COMMON}.num_kp=1", f"{LOSSES}.separation=2"],
        f"{LOSSES}.separation: 2 needs two keypoints",
    ),
    (
        [f"{COMMON}.estimate_jacobian=false"],
        f"{LOSSES}.equivariance_jacobian: 10 needs {COMMON}.estimate_jacobian: true",
    ),
    (
        [f"{GENERATOR}.dense_motion_params=null"],
        f"{GENERATOR}.estimate_occlusion_map: true needs dense_motion_params",
    ),
    (
        [f"{GENERATOR}.copy_visible=true", f"{GENERATOR}.estimate_occlusion_map=false"],
        f"{GENERATOR}.copy_visible: true needs {GENERATOR}.estimate_occlusion_map: true",
    ),
    (
        [f"{LOSSES}.generator_gan=1", f"{DISCRIMINATOR}.scales=[1, 0.3]"],
        f"{DISCRIMINATOR}.scales: 0.3 is not one of train_params.scales",
    ),
    ([f"{LOSSES}.generator_gan=1", f"{DISCRIMINATOR}.scales=[]"], f"{DISCRIMINATOR}.scales: []"),
    (
        [f"{LOSSES}.generator_gan=1", f"{DISCRIMINATOR}.scales=[0.125]"],
        f"{DISCRIMINATOR}.num_blocks: 4 is too deep for the 32 pixels at scale 0.125",
    ),
    (
        [f"{LOSSES}.generator_gan=1", f"{LOSSES}.feature_matching=[10, 10]"],
        f"{LOSSES}.feature_matching: [10.0, 10.0] needs one entry for each of the 4 blocks",
    ),
    ([f"{LOSSES}.perceptual=[1, 1, 1, 1, 1, 1]"], f"{LOSSES}.perceptual: [1.0, 1.0, 1.0, 1.0, 1.0"),
    (["train_params.scales=[]"], "train_params.scales: [] leaves nothing to compare"),
    (
        ["train_params.scales=[1, 0.05]"],
        "train_params.scales: 0.05 of 256 pixels is less than the 16",
    ),
    (
        ["train_params.epoch_milestones=[60, 60]"],
        "train_params.epoch_milestones: [60, 60] does not",
    ),
    (
        ["train_params.epoch_milestones=[90, 60]"],
        "train_params.epoch_milestones: [90, 60] does not",
    ),
    (
        [f"{AUGMENTATION}.crop_param.size=[128, 256]"],
        f"{AUGMENTATION}.crop_param.size: [128, 256] is not the height and width",
    ),
    (
        [f"{AUGMENTATION}.resize_param.ratio=[0.9, 1.1]"],
        f"{AUGMENTATION}.resize_param.ratio: [0.9, 1.1] changes the frame size; add crop_param",
    ),
    (
        [
            f"{AUGMENTATION}.resize_param.ratio=[1.1, 0.9]",
            f"{AUGMENTATION}.crop_param.size=[256, 256]",
        ],
        f"{AUGMENTATION}.resize_param.ratio: [1.1, 0.9] falls",
    ),
    (
        [f"{AUGMENTATION}.rotation_param.degrees=[5, -5]"],
        f"{AUGMENTATION}.rotation_param.degrees: [5.0, -5.0] falls",
    ),
]


@pytest.mark.parametrize(("overrides", "complaint"), RULES)
def test_keys_that_contradict_each_other_are_refused(overrides: list[str], complaint: str) -> None:
    message = refusal(*overrides)
    assert message.startswith(f"vox.yaml: {complaint}")
    assert "; " in message, "a remedy follows"


@pytest.mark.parametrize(
    "overrides",
    [
        [f"{COMMON}.estimate_jacobian=false", f"{LOSSES}.equivariance_jacobian=0"],
        [f"{GENERATOR}.dense_motion_params=null", f"{GENERATOR}.estimate_occlusion_map=false"],
        [f"{LOSSES}.feature_matching=[10]"],
        [f"{LOSSES}.generator_gan=1", f"{LOSSES}.feature_matching=[]"],
        [f"{LOSSES}.generator_gan=1", f"{LOSSES}.feature_matching=[0, 0]"],
        [f"{LOSSES}.generator_gan=1", f"{DISCRIMINATOR}.scales=[1, 0.5]"],
        [f"{DISCRIMINATOR}.scales=[0.3]"],
        [f"{LOSSES}.perceptual=[1, 1]"],
        [f"{LOSSES}.perceptual=[]", f"{LOSSES}.generator_gan=1", "train_params.scales=[1, 0.01]"],
        ["train_params.scales=[1, 0.0625]"],
        ["dataset_params.frame_shape=[256, 384, 3]"],
        [
            f"{AUGMENTATION}.resize_param.ratio=[1, 1]",
            f"{AUGMENTATION}.crop_param.size=[256, 256]",
        ],
    ],
)
def test_unusual_but_consistent_settings_are_accepted(overrides: list[str]) -> None:
    vox(*overrides)


def test_frames_other_than_rgb_are_refused() -> None:
    channels = "model_params.common_params.num_channels=1"
    message = refusal(channels, "dataset_params.frame_shape=[256, 256, 1]")
    assert "num_channels: 1, but frames are read as RGB" in message


def test_losses_that_teach_nothing_are_refused() -> None:
    message = refusal("train_params.loss_weights.perceptual=[]")
    assert "loss_weights: neither perceptual nor generator_gan has a weight" in message


def test_a_scale_named_twice_is_refused() -> None:
    message = refusal("model_params.discriminator_params.scales=[1, 1.0]")
    assert "discriminator_params.scales: 1, 1 names a scale twice" in message


def test_keys_that_were_renamed_are_read_by_both_names() -> None:
    training = {**VOX_TREE["train_params"], "validation_freq": 7}
    old = {**VOX_TREE, "train_params": training}
    kept = deepcopy(old)
    for config in (
        parse_config(old, "old.yaml"),
        vox("train_params.validation_freq=7"),
        parse_config(
            VOX_TREE | {"train_params": training | {"validation_freq": 1}},
            "old.yaml",
            ["train_params.validate_freq=7"],
        ),
    ):
        assert config == vox("train_params.validate_freq=7")
    assert old == kept
    training["validate_freq"] = 7
    with pytest.raises(ConfigError) as caught:
        parse_config(old, "old.yaml")
    assert str(caught.value) == (
        "old.yaml: train_params.validation_freq: is validate_freq today, which is there, too; "
        "keep validate_freq alone"
    )


def test_renamed_keys_have_a_new_name_in_the_schema_and_an_old_one_outside_it() -> None:
    paths = set(key_paths(Config))
    for path, name in RENAMED.items():
        assert path not in paths
        assert f"{path.rpartition('.')[0]}.{name}" in paths
