"""Small maps and large kernels convolve as all others do."""

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from modules import convolution as module
from modules.convolution import as_matrix_product, convolve

IN, OUT = 5, 4


def gradients(out: Tensor, inputs: list[Tensor]) -> tuple[Tensor, ...]:
    direction = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view(out.shape)
    return torch.autograd.grad(out, inputs, direction)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (4, 4)])
@pytest.mark.parametrize("kernel_size", [1, 3, 7])
def test_a_matrix_product_convolves(
    kernel_size: int, size: tuple[int, int], layout: torch.memory_format
) -> None:
    torch.manual_seed(0)
    direct = nn.Conv2d(IN, OUT, kernel_size, padding=kernel_size // 2).double()
    x = torch.randn(2, IN, *size, dtype=torch.float64).contiguous(memory_format=layout)
    inputs = [x.requires_grad_(), *direct.parameters()]
    found = as_matrix_product(x, direct.weight, direct.bias)
    assert_close(found, direct(x), check_stride=False)
    for one, other in zip(gradients(found, inputs), gradients(direct(x), inputs), strict=True):
        assert_close(one, other, check_stride=False)


@pytest.mark.parametrize(
    ("pixels", "weights", "as_product"), [(8, 180, 1), (7, 180, 0), (8, 181, 0)]
)
def test_it_is_chosen_for_few_pixels_and_many_weights(
    pixels: int, weights: int, as_product: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two maps of 2 x 2 pixels and 5 * 4 * 9 weights are just that."""
    monkeypatch.setattr(module, "_FEW_PIXELS", pixels)
    monkeypatch.setattr(module, "_LARGE_KERNEL", weights)
    calls = []

    def counted(*args: Tensor) -> Tensor:
        calls.append(args)
        return as_matrix_product(*args)

    monkeypatch.setattr(module, "as_matrix_product", counted)
    direct, x = nn.Conv2d(IN, OUT, 3, padding=1), torch.randn(2, IN, 2, 2)
    assert_close(convolve(x, direct), direct(x), check_stride=False)
    assert len(calls) == as_product
