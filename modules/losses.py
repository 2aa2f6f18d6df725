"""One small function for each term of the losses, unweighted but where layers have weights."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from modules.geometry import inverse_2x2, matrix_times_matrix

_PERSONAL_SPACE = 0.1  # around a keypoint, a twentieth of the frame


def feature_distance(
    generated: Sequence[Tensor], real: Sequence[Tensor], layer_weights: Sequence[float]
) -> Tensor:
    """sum_i w_i mean |a_i - b_i| over the layers of one network: perceptual, feature matching.

    Layers beyond the last weight do not count.
    """
    terms = [
        weight * mean_absolute_difference(a, b)
        for a, b, weight in zip(generated, real, layer_weights, strict=False)
        if weight != 0
    ]
    return torch.stack(terms).sum() if terms else generated[0].new_zeros(())


def mean_absolute_difference(a: Tensor, b: Tensor) -> Tensor:
    """mean |a - b|, summed in float32 or better; half precision has three digits."""
    mean: Tensor = _MeanAbsolute.apply(a - b)
    return mean


class _MeanAbsolute(torch.autograd.Function):
    """mean |x|, whose gradient is x's sign times one number.

    Torch's own mean spreads that number over a map as large as x, in float32, and rounds it: for
    the finest features of a perceptual loss that takes as long as a convolution.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.abs().mean(dtype=torch.promote_types(x.dtype, torch.float32))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return x.sign().mul_(gradient / x.numel())


def lsgan_generator(fake: Tensor) -> Tensor:
    """(1 - D(fake))^2, from a prediction map (B, 1, h, w)."""
    return (1 - fake.float()).square().mean()


def lsgan_discriminator(fake: Tensor, real: Tensor) -> Tensor:
    """(1 - D(real))^2 + D(fake)^2, from prediction maps (B, 1, h, w)."""
    return ((1 - real.float()).square() + fake.float().square()).mean()


def equivariance_value(points: Tensor, warped_back: Tensor) -> Tensor:
    """|p_X - W(p_X')|, both (B, K, 2); equation 11 of FOMM."""
    return (points - warped_back).abs().mean()


def equivariance_jacobian(jacobian: Tensor, warped_back: Tensor) -> Tensor:
    """|1 - J_X^-1 W' J_X'|, both (B, K, 2, 2); equation 12 of FOMM."""
    product = matrix_times_matrix(inverse_2x2(jacobian), warped_back)
    return (torch.eye(2, device=product.device) - product).abs().mean()


def separation(points: Tensor) -> Tensor:
    """mean over pairs of exp(-|p_i - p_j|^2 / 2 s^2), points (B, K, 2) with K > 1.

    1 where all keypoints are in one place, 0 where each is several s = 0.1 away from the others.
    A keypoint that moves nothing yet feels only the equivariance losses, which like the middle of
    the object best; this one keeps it looking (after arXiv 1804.04412).
    """
    num_kp = points.shape[1]
    first, second = torch.triu_indices(num_kp, num_kp, offset=1, device=points.device)
    squares = (points[:, first] - points[:, second]).square().sum(-1)             # (B, pairs)
    return torch.exp(squares / (-2 * _PERSONAL_SPACE**2)).mean()
