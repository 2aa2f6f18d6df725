"""Winograd's convolutions are convolutions."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.testing import assert_close

from engine.build import build_inference_networks, choose_config
from engine.checkpoint import load_weights, read_torch_file
from modules import folding
from modules import winograd as module
from modules.folding import fold
from modules.util import ResBlock2d
from modules.winograd import FrozenConvolution, WinogradConvolution, winograd, winograd_kernels


def drawn(size: tuple[int, int], *, batch: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Feature maps of 5 channels, and weight and bias of a convolution to 7."""
    draw = torch.Generator().manual_seed(0)
    shapes = ((batch, 5, *size), (7, 5, 3, 3), (7,))
    x, weight, bias = (torch.randn(shape, generator=draw, dtype=torch.float64) for shape in shapes)
    return x, weight, bias


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (5, 7), (8, 6), (70, 3)])
@pytest.mark.parametrize("tiles_at_a_time", [1, 6, 512])
def test_it_is_a_convolution_of_any_size_in_pieces_of_any_size(
    size: tuple[int, int], tiles_at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TILES_AT_A_TIME", tiles_at_a_time)
    x, weight, bias = drawn(size)
    found = winograd(x, winograd_kernels(weight), bias)
    assert_close(found, F.conv2d(x, weight, bias, padding=1), atol=1e-12, rtol=1e-12)


def test_what_torch_compile_is_told_of_it_is_true() -> None:
    for size in ((8, 6), (5, 7)):
        x, weight, bias = drawn(size)
        torch.library.opcheck(winograd, (x, winograd_kernels(weight), bias))


def test_the_relu_is_applied_where_it_is_wanted() -> None:
    x, weight, bias = drawn((6, 4))
    plain = F.conv2d(x, weight, bias, padding=1)
    for relu in (False, True):
        convolution = WinogradConvolution(weight, bias, dtype=x.dtype, relu=relu)
        assert_close(convolution(x), plain.relu() if relu else plain)
    assert (plain < 0).any()


def test_frozen_it_hands_gradients_through_its_relu_to_its_input() -> None:
    x, weight, bias = drawn((6, 5))
    frozen = FrozenConvolution(weight, bias, dtype=x.dtype)
    x.requires_grad_()
    found, expected = frozen(x), F.conv2d(x, weight, bias, padding=1).relu()
    assert_close(found, expected)
    direction = torch.randn_like(expected)
    (gradient,) = torch.autograd.grad(found, x, direction)
    assert_close(gradient, torch.autograd.grad(expected, x, direction)[0])
    assert not list(frozen.parameters())


def test_bfloat16_loses_at_most_a_hundredth() -> None:
    torch.manual_seed(0)
    x, weight, bias = torch.randn(2, 64, 16, 16), torch.randn(64, 64, 3, 3) / 24, torch.zeros(64)
    exact = F.conv2d(x, weight, bias, padding=1)
    found = WinogradConvolution(weight, bias, dtype=torch.bfloat16)(x)
    assert found.dtype == torch.bfloat16
    assert (found - exact).square().mean().sqrt() < 0.01 * exact.std()


def test_a_gradient_is_refused_in_words() -> None:
    x, weight, bias = drawn((6, 4))
    convolution = WinogradConvolution(weight, bias, dtype=x.dtype)
    with pytest.raises(RuntimeError, match=r"no gradient: run them under torch.inference_mode"):
        convolution(x.requires_grad_())
    with torch.no_grad():
        assert_close(convolution(x), F.conv2d(x, weight, bias, padding=1))


@torch.no_grad()
def test_autocast_does_not_round_what_is_to_be_exact() -> None:
    x, weight, bias = (tensor.float() for tensor in drawn((6, 4)))
    kernels = winograd_kernels(weight)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = winograd(x, kernels, bias)
    assert_close(found, F.conv2d(x, weight, bias, padding=1), atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_trained_networks_make_the_same_frames_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(__file__).parents[1] / "demo" / "checkpoint.pth.tar"
    state = read_torch_file(path)
    config = choose_config(None, [], checkpoint=path, state=state)
    networks = build_inference_networks(config.model_params)
    load_weights(path, state, networks._asdict())
    image = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    image = F.interpolate(image, size=config.dataset_params.frame_shape[:2], mode="bilinear")
    keypoints = networks.kp_detector.eval()(image)
    exact = fold(networks.generator)(image, keypoints, keypoints).prediction
    monkeypatch.setattr(folding, "_WIDE", 1)
    for dtype, least_psnr in ((torch.float32, 100), (torch.bfloat16, 42)):
        generator = fold(networks.generator, dtype=dtype, winograd=True)
        assert any(isinstance(part, WinogradConvolution) for part in generator.modules())
        error = (generator(image, keypoints, keypoints).prediction - exact).square().mean()
        assert -10 * error.log10() >= least_psnr


@torch.no_grad()
@pytest.mark.parametrize(
    ("features", "asked", "used"), [(256, True, 2), (256, False, 0), (6, True, 0)]
)
def test_wide_residual_blocks_are_folded_to_it_where_asked(
    features: int, asked: bool, used: int
) -> None:
    block = ResBlock2d(features).eval()
    folded = fold(block, winograd=asked)
    assert sum(isinstance(part, WinogradConvolution) for part in folded.modules()) == used
    x = torch.randn(1, features, 6, 4)
    assert_close(folded(x), block(x), atol=1e-5, rtol=1e-5)
