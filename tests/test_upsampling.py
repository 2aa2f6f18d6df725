"""Upsampling and a convolution in one are the two of them one after the other."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from modules import upsampling
from modules.upsampling import upsample_and_convolve


@pytest.mark.parametrize("worth_it", [0, 10**9])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [(1, 1), (3, 6)])
def test_it_is_upsampling_and_then_a_convolution(
    size: tuple[int, int],
    layout: torch.memory_format,
    worth_it: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(upsampling, "_WORTH_A_SPLIT", worth_it)
    torch.manual_seed(0)
    x = torch.randn(2, 5, *size, dtype=torch.float64).contiguous(memory_format=layout)
    convolution = nn.Conv2d(5, 4, 3, padding=1).double()
    inputs = [x.requires_grad_(), *convolution.parameters()]
    found = upsample_and_convolve(x, convolution)
    expected = convolution(F.interpolate(x, scale_factor=2))
    assert_close(found, expected, check_stride=size != (1, 1))
    direction = torch.randn_like(expected)
    for one, other in zip(
        torch.autograd.grad(found, inputs, direction),
        torch.autograd.grad(expected, inputs, direction),
        strict=True,
    ):
        assert_close(one, other)
