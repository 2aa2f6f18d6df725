"""The processes that torchrun started: their ranks, what they agree on, and sums across them.

Everything here works with one process, too, where it does nothing.
"""

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import Sampler

from engine.errors import UserError
from sync_batchnorm.process_group import rank, whole_batch, world_size

T = TypeVar("T")

__all__ = [
    "RankShare",
    "agree",
    "agree_on_each",
    "gather_items",
    "gradients_shared",
    "is_first",
    "own_items",
    "processes",
    "rank",
    "total",
    "whole_batch",
    "world_size",
    "wrap",
]


# In what gloo and NCCL say when they find themselves alone.
_SIGNS_OF_A_LOST_PEER = (
    "Connection closed by peer",
    "Connection reset by peer",
    "Broken pipe",
    "remote process exited",
    "NCCL communicator was aborted",
)


@contextmanager
def processes(device: torch.device) -> Iterator[torch.device]:
    """Join the process group of torchrun, if it started this one; yields this process's device.

    Raises:
        UserError: there are more processes than GPUs; or, later on, another process has ended.
    """
    if os.environ.get("WORLD_SIZE", "1") in ("", "1"):
        yield device
        return
    if not {"RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys():
        raise UserError(
            "WORLD_SIZE: set without torchrun's other variables; unset it or use torchrun"
        )
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        if device.index >= torch.cuda.device_count():
            raise UserError(
                f"--nproc_per_node: process {device.index} has no GPU of its own, of "
                f"{torch.cuda.device_count()} here; start no more processes than there are GPUs"
            )
        torch.cuda.set_device(device)
    # The first process validates while the others wait.
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=timedelta(hours=3))
    try:
        yield device
    except RuntimeError as error:
        if not any(sign in str(error) for sign in _SIGNS_OF_A_LOST_PEER):
            raise
        raise UserError(
            f"process {dist.get_rank()}: another process has ended; see its own message"
        ) from error
    finally:
        dist.destroy_process_group()


def is_first() -> bool:
    """Whether this process is the one that writes files."""
    return rank() == 0


def total(value: Tensor) -> Tensor:
    """The sum of a tensor over the processes, which must all ask for it."""
    if world_size() == 1:
        return value
    value = value.clone()
    dist.all_reduce(value)
    return value


def own_items(items: Sequence[T]) -> Sequence[T]:
    """This process's share of a list that is the same in all."""
    return items[rank() :: world_size()]


def gather_items(own: Sequence[T]) -> list[T]:
    """The list of which each process has its `own_items`, in order; all must ask."""
    if world_size() == 1:
        return list(own)
    shares: list[Sequence[T]] = [[]] * world_size()
    dist.all_gather_object(shares, own)
    number = sum(len(share) for share in shares)
    return [shares[i % len(shares)][i // len(shares)] for i in range(number)]


def agree(flag: bool, device: torch.device) -> bool:
    """Whether any process says yes; all must ask."""
    return agree_on_each([flag], device)[0]


def agree_on_each(flags: Sequence[bool], device: torch.device) -> list[bool]:
    """Of each flag, whether any process says yes; all must ask."""
    if world_size() == 1:
        return list(flags)
    votes = total(torch.tensor([float(flag) for flag in flags], device=device))
    return [vote > 0 for vote in votes.tolist()]


def wrap(model: nn.Module) -> nn.Module:
    """Average the gradients of a model's trainable parameters over the processes."""
    if world_size() == 1:
        return model
    with warnings.catch_warnings():
        # Of a new name for this argument, which older versions of torch do not know.
        warnings.simplefilter("ignore", FutureWarning)
        # Each process computes the same batch statistics: there are no buffers to send around.
        return DistributedDataParallel(model, broadcast_buffers=False)


@contextmanager
def gradients_shared(model: nn.Module, *, now: bool) -> Iterator[None]:
    """Within this block, a wrapped model averages its gradients, or `now` being false only adds."""
    if now or not isinstance(model, DistributedDataParallel):
        yield
        return
    with model.no_sync():
        yield


class RankShare(Sampler[int]):
    """This process's share of every batch of another sampler; an unfinished last batch is dropped.

    Args:
        sampler: the same in all processes.
        batch_size: of all processes together, a multiple of their number.
    """

    def __init__(self, sampler: Sampler[int], *, batch_size: int) -> None:
        self.sampler = sampler
        self.batch_size = batch_size
        self.share = batch_size // world_size()

    def __len__(self) -> int:
        return len(list(self.sampler)) // self.batch_size * self.share

    def __iter__(self) -> Iterator[int]:
        items = list(self.sampler)
        for start in range(0, len(items) - self.batch_size + 1, self.batch_size):
            first = start + rank() * self.share
            yield from items[first : first + self.share]
