"""Every hand-written function's gradient is that of its values, by finite differences in float64.

Of these functions, `RandomWarp.points` alone is differentiated twice: by the equivariance loss of
the jacobians.
"""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from tiny_networks import K as POINTS
from tiny_networks import tiny_detector, tiny_generator, tiny_motion_network
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck

from modules import (
    convolution,
    dense_motion,
    equivariance,
    geometry,
    keypoint_detector,
    keypoints,
    losses,
    upsampling,
    winograd,
)
from modules.keypoints import Keypoints, MotionTransfer
from modules.util import AntiAliasInterpolation2d, SpectralNormConv2d
from sync_batchnorm import SyncBatchNorm2d, moments
from sync_batchnorm.process_group import gather_rows

B, C, K, H, W = 2, 2, 2, 3, 4


def draw(*shape: int, spread: float = 1.0, around: float = 0.0) -> Tensor:
    """Random numbers of which a gradient is wanted."""
    numbers = around + spread * torch.randn(shape, dtype=torch.float64)
    return numbers.requires_grad_()


def matrices(*shape: int) -> Tensor:
    """Matrices (..., 2, 2) that are not far from the identity, and so can be inverted."""
    noise = 0.2 * torch.randn(*shape, 2, 2, dtype=torch.float64)
    return (torch.eye(2, dtype=torch.float64) + noise).requires_grad_()


def points(*shape: int) -> Tensor:
    """Points (..., 2) inside the image."""
    return (1.6 * torch.rand(*shape, 2, dtype=torch.float64) - 0.8).requires_grad_()


def heatmap() -> Tensor:
    return draw(B, K, H, W)


def random_warp() -> equivariance.RandomWarp:
    torch.manual_seed(1)
    theta = torch.eye(2, 3, dtype=torch.float64) + 0.1 * torch.randn(B, 2, 3, dtype=torch.float64)
    return equivariance.RandomWarp(theta, 0.1 * torch.randn(B, 1, 9, dtype=torch.float64), 3)


def warped_points(theta: Tensor, control: Tensor, at: Tensor) -> Tensor:
    return equivariance.RandomWarp(theta, control, 3).points(at)


def warped_frame(theta: Tensor, control: Tensor, image: Tensor) -> Tensor:
    return equivariance.RandomWarp(theta, control, 3).frame(image)


def transfer(*parts: Tensor) -> tuple[Tensor, Tensor | None]:
    source, driving, reference = (Keypoints(*parts[i : i + 2]) for i in (0, 2, 4))
    return keypoints.transfer_motion(source, driving, reference, MotionTransfer())


def motions(*parts: Tensor) -> Tensor:
    return dense_motion.sparse_motions(Keypoints(*parts[:2]), Keypoints(*parts[2:]), (H, W))


def normalised(activations: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """A batch normalised in two unequal shares."""
    shares = [moments.measure(share) for share in activations.split([1, len(activations) - 1])]
    whole = moments.merge(torch.stack([share.row for share in shares]))
    one, other = (
        moments.normalise(share, whole, eps=1e-5, weight=weight, bias=bias) for share in shares
    )
    return one, other


@cache
def spectral_layer() -> SpectralNormConv2d:
    """With vectors that have settled: they are held fixed, as in eval mode."""
    layer = SpectralNormConv2d(C, 2, 3).double()
    for _ in range(50):
        layer(torch.zeros(1, C, 3, 3, dtype=torch.float64))
    return layer.eval()


def spectral(image: Tensor, weight: Tensor) -> Tensor:
    return torch.func.functional_call(spectral_layer(), {"weight_orig": weight}, image)


def frozen(image: Tensor) -> Tensor:
    """The convolutions of the perceptual loss, of which the weights have no gradient."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(3, C, 3, 3, generator=generator, dtype=torch.float64)
    bias = torch.randn(3, generator=generator, dtype=torch.float64)
    out: Tensor = winograd.FrozenConvolution(weight, bias, dtype=torch.float64)(image)
    return out


def upsampled(image: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The way of large maps, whatever the size."""
    four = upsampling.split_upsampled(weight)
    return upsampling.interleave(nn.functional.conv2d(image, four, bias.repeat(4), padding=1))


def distance(*features: Tensor) -> Tensor:
    return losses.feature_distance(features[:2], features[2:], (1.0, 10.0))


Inputs = Callable[[], Sequence[Tensor]]
FUNCTIONS: dict[str, tuple[Callable[..., Any], Inputs]] = {
    "warp zeros": (geometry.warp, lambda: (draw(B, C, H, W), points(B, 3, 2))),
    "warp border": (
        lambda image, at: geometry.warp(image, at, padding_mode="border"),
        lambda: (draw(B, C, H, W), points(B, 3, 2)),
    ),
    "warp reflection": (
        lambda image, at: geometry.warp(image, at, padding_mode="reflection"),
        lambda: (draw(B, C, H, W), points(B, 3, 2)),
    ),
    "resize_map": (lambda it: geometry.resize_map(it, (7, 9)), lambda: (draw(B, C, H, W),)),
    "resize_flow": (lambda it: geometry.resize_flow(it, (3, 4)), lambda: (draw(B, H, W, 2),)),
    "matrix_times_point": (geometry.matrix_times_point, lambda: (matrices(B, K), points(B, K))),
    "matrix_times_matrix": (geometry.matrix_times_matrix, lambda: (matrices(B, K), matrices(B, K))),
    "inverse_2x2": (geometry.inverse_2x2, lambda: (matrices(B, K),)),
    "inverse_2x2 mirrored": (
        geometry.inverse_2x2,
        lambda: (matrices(B, K).detach().flip(-1).requires_grad_(),),
    ),
    "gaussian_maps": (
        lambda value: keypoints.gaussian_maps(Keypoints(value, None), (H, W), 0.1),
        lambda: (points(B, K),),
    ),
    "transfer_motion": (transfer, lambda: 3 * (points(B, K), matrices(B, K))),
    "softmax_over_space": (keypoint_detector.softmax_over_space, lambda: (heatmap(),)),
    "mean_position": (keypoint_detector.mean_position, lambda: (heatmap(),)),
    "sparse_motions": (
        motions,
        lambda: (points(B, K), matrices(B, K), points(B, K), matrices(B, K)),
    ),
    "warp_by_each": (dense_motion.warp_by_each, lambda: (draw(B, C, H, W), points(B, K, 3, 2))),
    "RandomWarp.points": (
        warped_points,
        lambda: (draw(B, 2, 3), draw(B, 1, 9), points(B, K)),
    ),
    "RandomWarp.frame": (
        lambda theta, control, image: warped_frame(theta, control, image),
        lambda: (random_warp().theta.requires_grad_(), draw(B, 1, 9, spread=0.1), draw(B, C, H, W)),
    ),
    "bumps": (equivariance.bumps, lambda: (draw(B, K).detach().abs().add(0.1).requires_grad_(),)),
    "_MeanAbsolute": (losses._MeanAbsolute.apply, lambda: (draw(B, C, H, W),)),
    "mean_absolute_difference": (
        losses.mean_absolute_difference,
        lambda: (draw(B, C, H, W), draw(B, C, H, W)),
    ),
    "feature_distance": (distance, lambda: [draw(B, C, 3, 3) for _ in range(4)]),
    "equivariance_value": (losses.equivariance_value, lambda: (points(B, K), points(B, K))),
    "equivariance_jacobian": (
        losses.equivariance_jacobian,
        lambda: (matrices(B, K), matrices(B, K)),
    ),
    "separation": (losses.separation, lambda: (draw(B, K, 2, spread=0.1),)),
    "_Frozen": (frozen, lambda: (draw(B, C, H, W),)),
    "as_matrix_product": (
        convolution.as_matrix_product,
        lambda: (draw(B, C, 4, 3), draw(2, C, 3, 3), draw(2)),
    ),
    "upsample_and_convolve": (upsampled, lambda: (draw(B, C, 4, 3), draw(2, C, 3, 3), draw(2))),
    "AntiAliasInterpolation2d": (
        AntiAliasInterpolation2d(C, 0.5).double(),
        lambda: (draw(B, C, 6, 6),),
    ),
    "SpectralNormConv2d": (spectral, lambda: (draw(B, C, 4, 4), draw(2, C, 3, 3))),
    "moments": (normalised, lambda: (draw(3, C, 2, 2), draw(C), draw(C))),
}
"""What is differentiated, by name, and what draws its arguments."""


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_gradient_is_that_of_the_values(name: str) -> None:
    torch.manual_seed(0)
    function, inputs = FUNCTIONS[name]
    assert gradcheck(function, tuple(inputs()))


def test_the_warp_of_points_is_differentiated_twice() -> None:
    torch.manual_seed(0)
    warp = random_warp()
    at = points(B, K)
    assert gradgradcheck(warp.points, (at,))
    assert gradcheck(lambda it: warp.jacobian(it), (at,))


def test_whole_networks_in_their_keypoints_and_images() -> None:
    torch.manual_seed(0)
    detector, motion = tiny_detector().double(), tiny_motion_network()
    generator = tiny_generator(motion).double()

    def painted(image: Tensor, value: Tensor, jacobian: Tensor) -> Tensor:
        driving = Keypoints(value, jacobian)
        out: Tensor = generator(image, detector(image), driving).prediction
        return out

    image = torch.rand(1, 3, 16, 16, dtype=torch.float64)
    assert gradcheck(painted, (image, points(1, POINTS), matrices(1, POINTS)), fast_mode=True)


def test_a_batch_norm_without_replicas() -> None:
    torch.manual_seed(0)
    layer = SyncBatchNorm2d(C).double()
    assert gradcheck(layer, (draw(B, C, 3, 3),))


def test_rows_gathered_from_processes() -> None:
    """From one alone; what several make of it, tests/test_sync_batchnorm.py compares."""
    torch.manual_seed(0)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        assert gradcheck(gather_rows, (draw(4),))
    finally:
        dist.destroy_process_group()


def autograd_functions() -> set[str]:
    """The names of all that write a gradient of their own."""
    root = Path(__file__).parent.parent
    lines = [
        line
        for folder in ("modules", "sync_batchnorm", "engine")
        for path in (root / folder).rglob("*.py")
        for line in path.read_text().splitlines()
    ]
    return {
        line.removeprefix("class ").partition("(")[0]
        for line in lines
        if line.startswith("class ") and "autograd.Function" in line
    }


def test_none_is_left_out() -> None:
    assert autograd_functions() == {"_Frozen", "_MeanAbsolute", "_GatherRows"}
