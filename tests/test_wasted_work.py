"""A training step computes nothing twice, nothing for terms of weight 0, no graph without need."""

from collections import Counter
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from commands import SIZE, thin_vgg_in_place, tiny_tree
from torch import Tensor, nn

from config import schema
from config.schema import parse_config
from engine import build_training
from engine.build_training import build_trainer
from engine.training import Trainer
from modules.model import GeneratorFullModel

CPU = torch.device("cpu")
ALL = {"generator_gan": 1, "perceptual": [1, 1, 1, 1, 1], "feature_matching": [1, 1]}


def trainer(*, judged: tuple[float, ...] = (1, 0.5), **weights: object) -> Trainer:
    """Tiny networks whose frames are compared at two scales, with all terms but as told."""
    tree = tiny_tree(Path())
    tree["train_params"] |= {"scales": [1, 0.5], "loss_weights": ALL | weights}
    tree["model_params"]["discriminator_params"]["scales"] = list(judged)
    # Some of these weights teach nothing, which a config is refused for.
    with thin_vgg_in_place(), patch.object(schema, "broken_rules", lambda config: iter(())):
        return build_trainer(parse_config(tree, "tiny"), device=CPU)


def parts(training: Trainer) -> dict[str, nn.Module]:
    """What is to be called as often as needed, by name."""
    model = training._generator_model
    assert isinstance(model, GeneratorFullModel)
    named: dict[str, nn.Module] = {"detector": training.networks.kp_detector}
    for name, modules in (("level", model.pyramid.downs), ("vgg", model.vgg.stages)):
        named |= {f"{name} {index}": module for index, module in enumerate(modules, 1)}
    for scale, disc in training.networks.discriminator.discs.items():
        inner = disc.get_submodule("down_blocks").children()
        named |= {f"{scale}: block {i}": block for i, block in enumerate(inner, 1)}
    return named


def graphs_of_a_step(training: Trainer) -> dict[str, list[bool]]:
    """Of each call of each part in a step: whether its output has a graph."""
    found: dict[str, list[bool]] = {}

    def look(name: str) -> Any:
        def note(module: nn.Module, inputs: object, output: Tensor | tuple[Tensor, ...]) -> None:
            first = output if isinstance(output, Tensor) else output[0]
            found.setdefault(name, []).append(first.requires_grad)

        return note

    for name, part in parts(training).items():
        part.register_forward_hook(look(name))
    training.step(*torch.rand(2, 2, 3, SIZE, SIZE))
    return found


def calls_of_a_step(training: Trainer) -> Counter[str]:
    graphs = graphs_of_a_step(training)
    return Counter({name: len(calls) for name, calls in graphs.items()})


def blocks(first: int, second: int, scales: tuple[str, ...] = ("1", "0-5")) -> dict[str, int]:
    """Calls of the discriminators' two blocks."""
    return {
        f"{scale}: block {i}": calls
        for scale in scales
        for i, calls in ((1, first), (2, second))
        if calls
    }


DETECTOR = {"detector": 3}  # source, driving, warped
PYRAMID = {"level 1": 2, "level 2": 2}  # real, generated
VGG = {f"vgg {stage}": 4 for stage in range(1, 6)}  # of both at two scales


def test_everything_is_computed_once_for_all_terms() -> None:
    """The discriminator sees real and generated frames in both halves of the step."""
    assert calls_of_a_step(trainer()) == DETECTOR | PYRAMID | VGG | blocks(4, 4)


@pytest.mark.parametrize(
    ("off", "left"),
    [
        ({"perceptual": [1, 0, 1, 0, 0]}, {f"vgg {i}": 4 for i in (1, 2, 3)} | blocks(4, 4)),
        ({"perceptual": [0, 0]}, blocks(4, 4)),
        ({"feature_matching": [0, 0]}, VGG | blocks(3, 3)),
        ({"feature_matching": [1, 0]}, VGG | blocks(4, 3)),
        ({"feature_matching": [0, 1]}, VGG | blocks(4, 4)),
        ({"discriminator_gan": 0}, VGG | blocks(2, 2)),
        ({"discriminator_gan": 0, "feature_matching": []}, VGG | blocks(1, 1)),
        ({"generator_gan": 0}, VGG),
    ],
)
def test_nothing_is_computed_for_weights_of_0(off: dict[str, Any], left: dict[str, int]) -> None:
    assert calls_of_a_step(trainer(**off)) == DETECTOR | PYRAMID | left


def test_without_equivariance_no_frame_is_warped_and_no_warp_drawn() -> None:
    training = trainer(equivariance_value=0, equivariance_jacobian=0)
    torch.manual_seed(0)
    torch.rand(2, 2, 3, SIZE, SIZE)  # the frames
    expected = torch.get_rng_state()
    torch.manual_seed(0)
    assert calls_of_a_step(training)["detector"] == 2
    assert torch.equal(torch.get_rng_state(), expected)


@pytest.mark.parametrize("separation", [0, 1])
def test_keypoints_are_kept_apart_where_that_has_a_weight(separation: float) -> None:
    with patch("modules.model.separation", wraps=lambda points: points.mean()) as computed:
        trainer(separation=separation).step(*torch.rand(2, 2, 3, SIZE, SIZE))
    assert computed.call_count == separation


def test_only_levels_that_are_looked_at_are_built() -> None:
    """Without the perceptual loss those of the discriminator, without that one none."""
    alone = calls_of_a_step(trainer(judged=(0.5,), perceptual=[]))
    assert alone == DETECTOR | {"level 1": 2} | blocks(4, 4, ("0-5",))
    assert calls_of_a_step(trainer(perceptual=[], generator_gan=0)) == DETECTOR


def test_a_vgg_that_nothing_is_compared_in_is_not_even_read() -> None:
    with patch.object(build_training, "_vgg19_of_file", side_effect=AssertionError):
        vgg = build_training.build_vgg("imagenet", depth=0)
    assert vgg(torch.rand(1, 3, 16, 16)) == []


def test_graphs_are_kept_of_what_is_generated_and_of_what_is_trained() -> None:
    graphs = graphs_of_a_step(trainer())
    assert graphs["vgg 5"] == 2 * [False, True]  # real, generated
    # In the generator's step of the generated frame alone; in the discriminator's of both.
    for scale in ("1", "0-5"):
        assert graphs[f"{scale}: block 2"] == [True, False, True, True]
    assert graphs["level 2"] == [False, True]


@pytest.mark.parametrize("weight", [0, 1])
def test_a_discriminator_without_weight_judges_but_stays_as_it_is(weight: float) -> None:
    training = trainer(discriminator_gan=weight)
    before = [value.clone() for value in training.networks.discriminator.parameters()]
    result = training.step(*torch.rand(2, 2, 3, SIZE, SIZE))
    training.end_epoch()
    assert {"generator_gan", "feature_matching"} <= result.losses.keys()
    assert ("discriminator_gan" in result.losses) == bool(weight)
    assert ("discriminator" in result.gradient_norms) == bool(weight)
    after = training.networks.discriminator.parameters()
    same = [torch.equal(one, other) for one, other in zip(before, after, strict=True)]
    assert all(same) == (not weight)
