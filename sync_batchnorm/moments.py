"""Mean and variance of a batch that lies in shares: measured share by share, then merged.

Second moments are taken around the mean, never as E[x^2] - E[x]^2: where the mean is a thousand
times the standard deviation, that difference keeps hardly a digit of the variance in float32.
"""

from typing import NamedTuple

import torch
from torch import Tensor

BATCH_AND_SPACE = (0, 2, 3)


class Share(NamedTuple):
    """One replica's share of the batch, in float32 (float64 if the input is).

    Attributes:
        centred: (B, C, H, W), the values minus `mean`.
        mean: (1, C, 1, 1), over this share alone; 0 for an empty share.
        row: (2C + 1,), what the other replicas have to know of it: C means, C sums of squares
            around the mean, and the count of values per channel. Its size is that of any share's.
    """

    centred: Tensor
    mean: Tensor
    row: Tensor


class Moments(NamedTuple):
    """Mean and sum of squares around it, each (C,), over `total` values per channel, ()."""

    mean: Tensor
    squares: Tensor
    total: Tensor


def measure(activations: Tensor) -> Share:
    """Take the moments of (B, C, H, W) activations, at least in float32."""
    values = activations.to(torch.promote_types(activations.dtype, torch.float32))
    count = values[:, 0].numel()
    mean = values.sum(BATCH_AND_SPACE, keepdim=True) / max(count, 1)
    centred = values - mean
    squares = centred.square().sum(BATCH_AND_SPACE)
    return Share(centred, mean, torch.cat([mean.flatten(), squares, squares.new_full((1,), count)]))


def merge(rows: Tensor) -> Moments:
    """Merge the rows of R shares, (R, 2C + 1), into the moments of the whole batch.

    The parallel variance of Chan, Golub and LeVeque (1979), for R parts: the squares within the
    shares, plus those of the shares' means around the common mean. A share weighs as much as it
    counts, so unequal ones give the moments of the whole batch, too.
    """
    channels = rows.shape[1] // 2
    means, squares, counts = rows.split([channels, channels, 1], dim=1)
    total = counts.sum()
    mean = (means * (counts / total)).sum(0)
    between = (counts * (means - mean).square()).sum(0)
    return Moments(mean, squares.sum(0) + between, total)


def normalise(
    share: Share, whole: Moments, *, eps: float, weight: Tensor | None, bias: Tensor | None
) -> Tensor:
    """Normalise a share by the moments of the whole batch: (B, C, H, W), in the share's precision.

    It starts from the values minus the share's own mean, which autograd keeps anyway for the
    variance: no second copy of the activations waits for the backward pass, and a large mean costs
    no digits here either.
    """
    scale = (whole.squares / whole.total + eps).rsqrt()
    if weight is not None:
        scale = scale * weight
    shift = (share.mean.flatten() - whole.mean) * scale
    if bias is not None:
        shift = shift + bias
    return torch.addcmul(shift.view(1, -1, 1, 1), share.centred, scale.view(1, -1, 1, 1))
