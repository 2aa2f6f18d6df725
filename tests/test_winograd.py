"""Winograd's convolutions are convolutions."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.testing import assert_close

from modules import winograd as module
from modules.folding import fold
from modules.util import ResBlock2d
from modules.winograd import WinogradConvolution, winograd, winograd_kernels


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


def test_bfloat16_loses_at_most_a_hundredth() -> None:
    torch.manual_seed(0)
    x, weight, bias = torch.randn(2, 64, 16, 16), torch.randn(64, 64, 3, 3) / 24, torch.zeros(64)
    exact = F.conv2d(x, weight, bias, padding=1)
    found = WinogradConvolution(weight, bias, dtype=torch.bfloat16)(x)
    assert found.dtype == torch.bfloat16
    assert (found - exact).square().mean().sqrt() < 0.01 * exact.std()


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
