"""Starting from the weights of another run: what is taken, and what is said of the rest."""

from pathlib import Path

import pytest
import torch
from commands import tiny_tree
from torch import Tensor

from config.schema import parse_config
from engine.build import Networks, build_networks
from engine.errors import UserError
from engine.warm_start import take_what_fits


def networks(seed: int, *, scale_factor: float = 1.0, num_kp: int = 3, width: int = 4) -> Networks:
    tree = tiny_tree(Path())
    tree["model_params"]["common_params"]["num_kp"] = num_kp
    tree["model_params"]["kp_detector_params"]["scale_factor"] = scale_factor
    generator = tree["model_params"]["generator_params"]
    generator["block_expansion"] = generator["dense_motion_params"]["block_expansion"] = width
    torch.manual_seed(seed)
    return build_networks(parse_config(tree, "tiny").model_params)


def state_of(networks: Networks) -> dict[str, dict[str, Tensor]]:
    return {
        name: {key: value.clone() for key, value in network.state_dict().items()}
        for name, network in networks._asdict().items()
    }


def test_weights_of_small_frames_start_a_run_on_large_ones() -> None:
    """Only the blur before the detector differs, and that follows from the config."""
    small, large = networks(1, scale_factor=0.5), networks(2, scale_factor=0.25)
    state = state_of(small)
    blur = large.kp_detector.get_buffer("down.weight").clone()
    lines = take_what_fits(Path("x"), state, large._asdict())
    not_taken = [line for line in lines if "not taken" in line]
    assert not_taken == [
        "kp_detector: not taken: down.weight ((3, 1, 5, 5) there, (3, 1, 13, 13) here)"
    ]
    assert torch.equal(large.kp_detector.get_buffer("down.weight"), blur)
    for name, network in state_of(large).items():
        for key, value in network.items():
            assert key == "down.weight" or torch.equal(value, state[name][key]), f"{name}.{key}"


def test_what_is_missing_or_left_over_is_listed() -> None:
    state, target = state_of(networks(1)), networks(2)
    before = state_of(target)["generator"]["final.bias"]
    state["generator"]["more"] = state["generator"].pop("final.bias")
    lines = take_what_fits(Path("x"), state, target._asdict())
    listed = "generator: not taken: final.bias (missing there), more (not in this network)"
    assert listed in lines
    assert torch.equal(target.generator.get_parameter("final.bias"), before)


def test_of_many_tensors_that_do_not_fit_a_few_are_listed() -> None:
    state, target = state_of(networks(1)), networks(2)
    state["kp_detector"] |= {f"more_{number}": torch.zeros(1) for number in range(74)}
    lines = take_what_fits(Path("x"), state, target._asdict())
    assert len(lines) == 4
    assert lines[-1] == (
        "kp_detector: not taken: more_0 (not in this network), more_1 (not in this network), "
        "more_2 (not in this network), and 71 more"
    )


def test_another_architecture_is_refused_and_nothing_is_taken() -> None:
    target = networks(2, width=6)
    before = state_of(target)["generator"]
    with pytest.raises(UserError, match=r"^x: generator: \d+ of \d+ tensors fit; .*there.*here"):
        take_what_fits(Path("x"), state_of(networks(1)), target._asdict())
    for key, value in target.generator.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_a_discriminator_may_be_missing_but_no_other() -> None:
    state = state_of(networks(1))
    del state["discriminator"]
    lines = take_what_fits(Path("x"), state, networks(2)._asdict())
    assert any(line.startswith("discriminator starts anew: ") for line in lines)
    del state["kp_detector"]
    with pytest.raises(UserError, match=r"^x: holds no kp_detector"):
        take_what_fits(Path("x"), state, networks(2)._asdict())
