"""Rows exchanged between the processes of torch.distributed, on any of its backends."""

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable


def world_size() -> int:
    """How many processes share this training; 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process, from 0 on, over all machines."""
    return dist.get_rank() if world_size() > 1 else 0


def whole_batch(share: int) -> tuple[int, slice]:
    """The size of a batch of which each process has `share` images, and which are this one's.

    Random numbers are drawn for the whole batch, by generators that are in the same state in all
    processes: so these draw what one process would, and one state is that of all.
    """
    return share * world_size(), slice(rank() * share, (rank() + 1) * share)


def gather_rows(row: Tensor) -> Tensor:
    """Gather a row (N,) of every process: (R, N), in the order of the ranks.

    Its gradient is that of the SUM of all processes' losses. DistributedDataParallel then divides
    the parameters' gradients by R, which makes it the gradient of the mean of those losses.

    The call is collective, and so is its backward: every process has to make both.
    """
    return _GatherRows.apply(row)


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, row: Tensor) -> Tensor:
        rows = [torch.empty_like(row) for _ in range(dist.get_world_size())]
        dist.all_gather(rows, row.contiguous())
        return torch.stack(rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> Tensor:
        grad = grad.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(grad)
        return grad[dist.get_rank()]
