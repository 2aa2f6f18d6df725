"""The terms of the losses by hand, and the features in which frames are compared."""

import math
from collections.abc import Sequence

import pytest
import torch
from tiny_networks import narrow_vgg
from torch import Tensor, nn
from torch.testing import assert_close
from torchvision.models import vgg19

from modules import perceptual
from modules.losses import (
    equivariance_jacobian,
    equivariance_value,
    feature_distance,
    lsgan_discriminator,
    lsgan_generator,
    separation,
)
from modules.perceptual import ImagePyramid, VGG19Features


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def test_feature_distance_by_hand() -> None:
    generated = [torch.tensor([1.0, 2.0]), torch.tensor([[0.0], [1.0], [5.0]])]
    real = [torch.tensor([2.0, -1.0]), torch.tensor([[0.0], [0.0], [3.0]])]
    # Means of 1 and 3, and of 0, 1 and 2.
    assert_close(feature_distance(generated, real, (10, 0.5)), torch.tensor(20.5))


@pytest.mark.parametrize(("weights", "expected"), [((1, 0, 2), 7), ((1,), 1), ((0, 0, 0), 0)])
def test_layers_without_weight_do_not_count(weights: Sequence[float], expected: float) -> None:
    layers = [torch.ones(2), torch.full((2,), torch.nan), torch.full((2,), 3.0)]
    zeros = [torch.zeros(2)] * 3
    distance = feature_distance(layers, zeros, weights)
    assert_close(distance, torch.tensor(float(expected)))


def test_half_precision_is_summed_in_float32() -> None:
    a, b = torch.ones(1, 1, 1000, 3).bfloat16(), torch.zeros(1, 1, 1000, 3).bfloat16()
    b[..., 0] = 1 - 2**-7
    distance = feature_distance([a.requires_grad_()], [b], [1.0])
    assert distance.dtype == torch.float32
    assert distance.item() == pytest.approx((2 + 2**-7) / 3, rel=1e-6)
    distance.backward()
    assert a.grad is not None
    assert_close(a.grad, torch.full_like(a, 1 / 3000), rtol=2**-8, atol=0)


def test_the_gradient_of_a_distance_is_that_of_its_equation() -> None:
    torch.manual_seed(0)
    a, b = torch.randn(2, 1, 3, 4, 5, dtype=torch.float64).unbind()
    b[0, 0] = a[0, 0]
    a.requires_grad_(), b.requires_grad_()
    found = torch.autograd.grad(3 * feature_distance([a], [b], [0.5]), (a, b))
    expected = torch.autograd.grad(1.5 * (a - b).abs().mean(), (a, b))
    assert_close(found, expected)


def test_a_large_map_is_summed_to_its_end() -> None:
    distance = feature_distance([torch.ones(1, 8, 2048, 2048)], [torch.zeros(1)], [1.0])
    assert distance.item() == pytest.approx(1, rel=1e-5)


def test_adversarial_terms_by_hand() -> None:
    fake = torch.tensor([0.0, 0.5, 1.0, 3.0]).view(1, 1, 2, 2)
    real = torch.tensor([1.0, 1.0, 0.5, -1.0]).view(1, 1, 2, 2)
    assert_close(lsgan_generator(fake), torch.tensor((1 + 0.25 + 0 + 4) / 4))
    of_real, of_fake = (0 + 0 + 0.25 + 4) / 4, (0 + 0.25 + 1 + 9) / 4
    assert_close(lsgan_discriminator(fake, real), torch.tensor(of_real + of_fake))


def test_equivariance_of_points_by_hand() -> None:
    points = torch.tensor([[[0.1, 0.2], [0.3, -0.4]]])
    warped_back = torch.tensor([[[0.1, 0.0], [0.5, 0.0]]])
    assert_close(equivariance_value(points, warped_back), torch.tensor((0 + 0.2 + 0.2 + 0.4) / 4))


def test_equivariance_of_jacobians_by_hand() -> None:
    jacobian = torch.tensor([[[[0.0, -2.0], [1.0, 0.0]]]])
    # J^-1 = [[0, 1], [-1/2, 0]] takes the other to [[3, 4], [-1/2, -1]].
    warped_back = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    expected = (abs(1 - 3) + 4 + 0.5 + abs(1 + 1)) / 4
    assert_close(equivariance_jacobian(jacobian, warped_back), torch.tensor(expected))
    assert_close(equivariance_jacobian(jacobian, jacobian), torch.tensor(0.0))


def test_separation_counts_pairs_that_are_close() -> None:
    together = torch.zeros(1, 3, 2)
    assert_close(separation(together), torch.tensor(1.0))
    # One pair 0.1 apart, exp(-1 / 2); the third point far from both.
    pair = torch.tensor([[[0.0, 0.0], [0.06, 0.08], [0.9, 0.9]]])
    assert_close(separation(pair), torch.tensor(math.exp(-0.5) / 3))
    points = torch.tensor([[[0.0, 0.0], [0.05, 0.0]]], requires_grad=True)
    separation(points).backward()
    assert points.grad is not None  # going down drives them apart
    assert points.grad[0, 0, 0] > 0 > points.grad[0, 1, 0]


def test_a_pyramid_is_in_the_order_of_its_scales() -> None:
    image = torch.rand(2, 3, 16, 24)
    levels = ImagePyramid((0.25, 1, 0.5), 3)(image)
    assert [tuple(level.shape[2:]) for level in levels] == [(4, 6), (16, 24), (8, 12)]
    assert torch.equal(levels[1], image)


def test_vgg_is_cut_just_past_the_first_relu_after_each_pooling() -> None:
    with torch.device("meta"):
        vgg = VGG19Features(vgg19(weights=None).features)
        features = vgg(torch.empty(2, 3, 64, 48))
    assert [tuple(feature.shape) for feature in features] == [
        (2, 64, 64, 48),
        (2, 128, 32, 24),
        (2, 256, 16, 12),
        (2, 512, 8, 6),
        (2, 512, 4, 3),
    ]
    for i, stage in enumerate(vgg.stages):
        last = [type(layer) for layer in stage.children()][-3:]
        assert last == [nn.MaxPool2d, nn.Conv2d, nn.ReLU][-3 if i else -2 :]


def test_a_shallow_vgg_gives_the_first_features_of_the_whole_one() -> None:
    image = torch.rand(1, 3, 16, 16)
    torch.manual_seed(1)
    whole = narrow_vgg()(image)
    torch.manual_seed(1)
    first = narrow_vgg(depth=2)
    assert_close(first(image), whole[:2])
    assert len(list(first.parameters())) == 2 * 3  # conv1_1, conv1_2, conv2_1


@torch.no_grad()
def test_vgg_in_bfloat16_has_features_of_that_type() -> None:
    layers = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU())
    exact = VGG19Features(layers, depth=1)
    image = torch.rand(1, 3, 16, 16)
    expected = exact(image)[0]
    vgg = VGG19Features(layers, depth=1, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = vgg(image)[0]
    assert found.dtype == torch.bfloat16
    assert_close(found.float(), expected, atol=0.03, rtol=0.03)


def test_vgg_sees_images_in_the_statistics_of_imagenet() -> None:
    vgg = narrow_vgg()
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    conv = vgg.stages[0].get_submodule("0")
    weight, bias = conv.get_parameter("weight"), torch.tensor([0.1, -0.2, 0.3, 0.4])
    conv.get_parameter("bias").copy_(bias)
    whitened = torch.tensor([0.0, 1.0, -2.0])
    image = (mean + whitened * std).view(1, 3, 1, 1).expand(1, 3, 16, 16)
    inside = vgg(image)[0][0, :, 5, 5]
    assert_close(inside, (weight.sum(dim=(2, 3)) @ whitened + bias).relu())


def test_vgg_is_frozen_and_lets_gradients_through() -> None:
    vgg, image = narrow_vgg(), torch.rand(1, 3, 16, 16, requires_grad=True)
    assert not any(parameter.requires_grad for parameter in vgg.parameters())
    vgg(image)[-1].sum().backward()
    assert image.grad is not None and image.grad.any()


def test_vgg_s_features_and_their_gradients_are_the_same_by_winograd(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(perceptual, "_WIDE", 16)
    found: list[Tensor] = []
    expected: list[Tensor] = []
    for winograd, results in ((True, found), (False, expected)):
        torch.manual_seed(0)
        vgg = narrow_vgg(winograd=winograd)
        image = torch.rand(2, 3, 32, 32).requires_grad_()
        features = vgg(image)
        total = torch.stack([feature.sum() for feature in features]).sum()
        (gradient,) = torch.autograd.grad(total, image)
        results += [*map(Tensor.detach, features), gradient]
    assert len(found) == 6
    for one, other in zip(found, expected, strict=True):
        assert_close(one, other, rtol=1e-4, atol=1e-4 * float(other.abs().max()))
