"""The blocks that networks are built of: shapes, blurs and normalised weights."""

import copy
import warnings

import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn
from torch.testing import assert_close

from modules.util import (
    AntiAliasInterpolation2d,
    DownBlock2d,
    Hourglass,
    ResBlock2d,
    SameBlock2d,
    SpectralNormConv2d,
    UpBlock2d,
)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


# The stride of each scale, and the standard deviation of its blur in pixels.
BLURS = {0.5: (2, 0.5), 1 / 3: (3, 1.0), 0.25: (4, 1.5)}


@pytest.mark.parametrize("scale", BLURS)
def test_shrinking_is_a_gaussian_blur_and_a_stride(scale: float) -> None:
    stride, sigma = BLURS[scale]
    image = torch.rand(2, 3, 17, 24)
    sigmas = (0, 0, sigma, sigma)
    blurred = gaussian_filter(image.numpy(), sigmas, mode="constant", truncate=4)
    expected = torch.from_numpy(blurred)[:, :, ::stride, ::stride]
    assert_close(AntiAliasInterpolation2d(3, scale)(image), expected)


@pytest.mark.parametrize("scale", BLURS)
def test_shrinking_keeps_the_inside_of_a_constant_image(scale: float) -> None:
    image = torch.full((1, 2, 48, 36), 0.7)
    small = AntiAliasInterpolation2d(2, scale)(image)
    margin = 2  # pixels; the blur mixes the black outside into them
    inside = small[:, :, margin:-margin, margin:-margin]
    assert_close(inside, torch.full_like(inside, 0.7))


@pytest.mark.parametrize(
    ("scale", "expected"),
    [(1, (13, 24)), (0.5, (7, 12)), (0.25, (4, 6)), (1 / 3, (5, 8)), (0.125, (2, 3))],
)
def test_sizes_of_a_shrunken_image(scale: float, expected: tuple[int, int]) -> None:
    small = AntiAliasInterpolation2d(2, scale)(torch.rand(1, 2, 13, 24))
    assert small.shape == (1, 2, *expected)


def test_scale_1_is_the_identity() -> None:
    image = torch.rand(1, 2, 5, 6)
    assert torch.equal(AntiAliasInterpolation2d(2, 1)(image), image)


def test_channels_are_blurred_apart() -> None:
    image = torch.zeros(1, 3, 8, 8)
    image[:, 1] = torch.rand(8, 8)
    small = AntiAliasInterpolation2d(3, 0.5)(image)
    assert [bool(channel.any()) for channel in small[0]] == [False, True, False]


@pytest.mark.parametrize("scale", [1, *BLURS])
def test_the_blur_is_kept_but_not_trained(scale: float) -> None:
    blur = AntiAliasInterpolation2d(3, scale)
    assert list(blur.state_dict()) == ["weight"]
    assert not list(blur.parameters())
    assert_close(blur.weight.sum(dim=(1, 2, 3)), torch.ones(3))


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (SameBlock2d(3, 5), (5, 8, 12)),
        (SameBlock2d(3, 5, kernel_size=7), (5, 8, 12)),
        (DownBlock2d(3, 5), (5, 4, 6)),
        (UpBlock2d(3, 5), (5, 16, 24)),
        (ResBlock2d(3), (3, 8, 12)),
    ],
)
def test_sizes_of_blocks(block: nn.Module, expected: tuple[int, ...]) -> None:
    assert block(torch.rand(2, 3, 8, 12)).shape == (2, *expected)


def test_down_and_up_are_the_same_block_before_a_mean_and_after_a_repetition() -> None:
    same, down, up = (kind(3, 4).eval() for kind in (SameBlock2d, DownBlock2d, UpBlock2d))
    for block in (down, up):
        block.load_state_dict(same.state_dict())
    image = torch.rand(2, 3, 6, 4)
    means = same(image).unflatten(3, (2, 2)).unflatten(2, (3, 2)).mean(dim=(3, 5))
    assert_close(down(image), means)
    repeated = image.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    assert_close(up(image), same(repeated))


def test_a_residual_block_adds_to_its_input() -> None:
    block = ResBlock2d(4)
    image = torch.randn(2, 4, 5, 5)
    before = image.clone()
    assert not torch.equal(block(image), image)
    assert torch.equal(image, before)  # the input itself stays

    for parameter in block.conv2.parameters():
        nn.init.zeros_(parameter)
    assert torch.equal(block(image), image)


@torch.no_grad()
def test_a_residual_block_activates_before_it_convolves() -> None:
    block = ResBlock2d(4).eval()
    for conv in (block.conv1, block.conv2):
        conv.get_parameter("bias").zero_()
    image = torch.rand(1, 4, 5, 5)
    assert torch.equal(block(-image), -image)  # a negative one does not get past the first ReLU
    assert not torch.equal(block(image), image)


@pytest.mark.parametrize("num_blocks", [1, 3])
def test_an_hourglass_ends_with_its_input(num_blocks: int) -> None:
    hourglass = Hourglass(3, block_expansion=4, max_features=10, num_blocks=num_blocks)
    image = torch.rand(2, 3, 16, 24)
    out = hourglass(image)
    assert hourglass.out_features == 4 + 3
    assert out.shape == (2, hourglass.out_features, 16, 24)
    assert torch.equal(out[:, -3:], image)


def test_an_hourglass_doubles_its_width_up_to_the_largest() -> None:
    hourglass = Hourglass(3, block_expansion=4, max_features=10, num_blocks=3)
    outputs = hourglass.encoder(torch.rand(2, 3, 16, 24))
    assert [tuple(out.shape[1:]) for out in outputs] == [
        (3, 16, 24),
        (8, 8, 12),
        (10, 4, 6),
        (10, 2, 3),
    ]


def test_every_skip_of_an_hourglass_counts() -> None:
    hourglass = Hourglass(3, block_expansion=4, max_features=10, num_blocks=3).eval()
    skips = hourglass.encoder(torch.rand(1, 3, 16, 16))
    out = hourglass.decoder(skips)
    for i, skip in enumerate(skips):
        others = [*skips[:i], torch.rand_like(skip), *skips[i + 1 :]]
        assert not torch.equal(hourglass.decoder(others), out)


def effective_weight(conv: SpectralNormConv2d) -> Tensor:
    """The weight (out, in k k) that a layer in eval mode works with, seen in what it does."""
    _, channels, height, width = conv.weight_orig.shape
    entries = channels * height * width
    impulses = torch.eye(entries).view(entries, channels, height, width)
    return (conv(impulses) - conv(torch.zeros(1, channels, height, width))).flatten(1).t()


@torch.no_grad()
def trained(conv: SpectralNormConv2d, *, forwards: int) -> SpectralNormConv2d:
    for _ in range(forwards):
        conv(torch.zeros(1, conv.in_channels, 4, 4))
    return conv


@torch.no_grad()
def test_the_largest_singular_value_becomes_1() -> None:
    conv = trained(SpectralNormConv2d(3, 5, 3), forwards=100).eval()
    weight = effective_weight(conv)
    assert torch.linalg.svdvals(conv.weight_orig.flatten(1))[0] < 0.99
    assert_close(torch.linalg.svdvals(weight)[0], torch.tensor(1.0), atol=1e-4, rtol=0)
    # Nothing but the size changes.
    ratio = weight / conv.weight_orig.flatten(1)
    assert_close(ratio, ratio[0, 0].expand_as(ratio), atol=1e-3, rtol=1e-3)


def test_singular_vectors_move_in_training_alone() -> None:
    conv = SpectralNormConv2d(2, 3, 3)
    before = {key: value.clone() for key, value in conv.state_dict().items()}
    trained(conv.eval(), forwards=3)
    assert all(torch.equal(value, before[key]) for key, value in conv.state_dict().items())
    places = conv.weight_u.data_ptr(), conv.weight_v.data_ptr()
    trained(conv.train(), forwards=1)
    # In place: a copy of the layer may share them.
    assert (conv.weight_u.data_ptr(), conv.weight_v.data_ptr()) == places
    changed = {key for key, value in conv.state_dict().items() if not value.equal(before[key])}
    assert changed == {"weight_u", "weight_v"}


def test_a_state_dict_restores_the_layer() -> None:
    conv = trained(SpectralNormConv2d(2, 3, 3), forwards=2).eval()
    assert set(conv.state_dict()) == {"weight_orig", "weight_u", "weight_v", "bias"}
    other = SpectralNormConv2d(2, 3, 3).eval()
    image = torch.rand(1, 2, 5, 5)
    assert not torch.equal(other(image), conv(image))
    other.load_state_dict(conv.state_dict())
    assert torch.equal(other(image), conv(image))


def test_spectral_norm_finds_the_singular_value_in_float32_at_any_precision() -> None:
    torch.manual_seed(0)
    conv = SpectralNormConv2d(3, 5, 3)
    other = copy.deepcopy(conv)
    image = torch.rand(1, 3, 8, 8)
    expected = conv(image)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = other(image)
    assert found.dtype == torch.bfloat16
    assert torch.equal(other.weight_u, conv.weight_u)
    assert torch.equal(other.weight_v, conv.weight_v)
    torch.testing.assert_close(found.float(), expected, rtol=0.05, atol=0.02)


@pytest.mark.skipif(not hasattr(nn.utils, "spectral_norm"), reason="torch has removed it")
def test_spectral_norm_is_that_of_torch() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        theirs = nn.utils.spectral_norm(nn.Conv2d(2, 3, 3))
    ours = SpectralNormConv2d(2, 3, 3)
    ours.load_state_dict(theirs.state_dict())
    for training in (True, True, True, False):
        ours.train(training)
        theirs.train(training)
        image = torch.rand(2, 2, 5, 5)
        outputs = ours(image), theirs(image)
        assert_close(*outputs)
        for out in outputs:
            out.square().sum().backward()
    for name, parameter in theirs.named_parameters():
        assert_close(ours.get_parameter(name).grad, parameter.grad)
    assert_close(dict(ours.state_dict()), dict(theirs.state_dict()))


def test_two_forwards_before_a_backward_add_up() -> None:
    conv = SpectralNormConv2d(2, 3, 3)
    start = {key: value.clone() for key, value in conv.state_dict().items()}
    images = torch.rand(2, 1, 2, 5, 5)
    for image in images:
        conv(image).square().sum().backward()
    one_by_one = conv.weight_orig.grad

    conv.load_state_dict(start)
    conv.zero_grad()
    torch.stack([conv(image).square().sum() for image in images]).sum().backward()
    assert_close(conv.weight_orig.grad, one_by_one)


def test_the_gradient_does_not_point_along_the_weight() -> None:
    # Scaling the weight changes nothing, so neither can a step along it.
    conv = SpectralNormConv2d(2, 3, 3)
    conv(torch.rand(1, 2, 5, 5)).square().sum().backward()
    gradient, weight = conv.weight_orig.grad, conv.weight_orig.detach()
    assert gradient is not None and gradient.norm() > 0.01
    assert (gradient * weight).sum().abs() < 1e-4 * gradient.norm() * weight.norm()


def test_a_third_may_be_rounded() -> None:
    assert AntiAliasInterpolation2d(3, 0.33333334)(torch.rand(1, 3, 12, 12)).shape == (1, 3, 4, 4)
