"""Folded networks infer what the trained ones do."""

import pytest
import torch
import torch.nn.functional as F
from tiny_networks import (
    lively,
    random_keypoints,
    tiny_detector,
    tiny_generator,
    tiny_motion_network,
)
from torch import Tensor, nn
from torch.testing import assert_close

from modules.folding import fold
from modules.util import DownBlock2d, ResBlock2d, SameBlock2d, UpBlock2d


def assert_same(found: object, expected: object) -> None:
    assert_close(found, expected, atol=1e-5, rtol=1e-5)


def trained(network: nn.Module) -> nn.Module:
    """Give a network norms that do something, of both signs, as training would."""
    lively(network)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None and layer.running_var is not None
            nn.init.normal_(layer.weight)
            nn.init.normal_(layer.bias)
            nn.init.normal_(layer.running_mean)
            nn.init.uniform_(layer.running_var, 0.2, 2)
    return network.eval()


@pytest.mark.parametrize("size", [(1, 1), (2, 6), (8, 8), (5, 7)])
@pytest.mark.parametrize(
    "block",
    [
        SameBlock2d(3, 5, kernel_size=7),
        SameBlock2d(6, 4),
        UpBlock2d(6, 4),
        ResBlock2d(6),
        DownBlock2d(6, 4),
    ],
    ids=lambda block: type(block).__name__,
)
@torch.no_grad()
def test_a_folded_block_is_the_block_up_to_its_borders(
    block: nn.Module, size: tuple[int, int]
) -> None:
    if isinstance(block, DownBlock2d):
        size = (2 * size[0], 2 * size[1])
    block = trained(block)
    channels = next(block.parameters()).shape[1]
    x = torch.randn(2, channels, *size)
    assert_same(fold(block)(x), block(x))


@torch.no_grad()
def test_folded_networks_are_the_networks() -> None:
    detector, generator = tiny_detector(), trained(tiny_generator(tiny_motion_network()))
    image, kp_driving = torch.rand(2, 3, 32, 32), random_keypoints()
    for own, folded in zip(detector(image), fold(detector)(image), strict=True):
        assert_same(folded, own)
    kp_source = detector(image)
    expected = generator(image, kp_source, kp_driving)
    found = fold(generator)(image, kp_source, kp_driving)
    assert_same(found.prediction, expected.prediction)
    assert_same(found.motion, expected.motion)


@torch.no_grad()
def test_the_original_stays_as_it_is_and_shares_nothing_with_the_copy() -> None:
    generator = tiny_generator(tiny_motion_network()).train()
    before = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    folded = fold(generator, dtype=torch.bfloat16)
    assert generator.training and not folded.training
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())
    for tensor in folded.state_dict().values():
        tensor.fill_(7)
    for name, tensor in generator.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert all(parameter.requires_grad for parameter in generator.parameters())


@torch.no_grad()
def test_feature_maps_are_in_half_precision_and_coordinates_are_not() -> None:
    detector = fold(tiny_detector(), dtype=torch.bfloat16)
    generator = fold(tiny_generator(tiny_motion_network()), dtype=torch.bfloat16)
    image = torch.rand(2, 3, 32, 32)
    assert generator.encode(image).dtype == torch.bfloat16
    generated = generator(image, detector(image), random_keypoints())
    floats = [*detector(image), generated.prediction, *generated.motion]
    assert all(tensor.dtype == torch.float32 for tensor in floats)


@torch.no_grad()
def test_upsampling_takes_no_more_than_the_work_of_the_small_map() -> None:
    calls: list[int] = []
    original = F.conv2d

    def counting(x: Tensor, weight: Tensor, bias: Tensor, *, padding: int) -> Tensor:
        out = original(x, weight, bias, padding=padding)
        calls.append(out.shape[2] * out.shape[3] * weight.numel())
        return out

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(F, "conv2d", counting)
        fold(trained(UpBlock2d(6, 4)))(torch.randn(1, 6, 32, 32))
    assert sum(calls) <= 1.07 * 4 / 9 * (64 * 64 * 6 * 4 * 9)
