"""Replicas of a module on the CPU, as DataParallel makes them on GPUs."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from sync_batchnorm import run_linked


def replicate_on_cpu(module: nn.Module, count: int) -> list[nn.Module]:
    """torch.nn.parallel.replicate without GPUs: like there, replica 0 has the module's buffers."""
    return [_replica(module, {}, is_first=index == 0) for index in range(count)]


def _replica(module: nn.Module, copies: dict[nn.Module, nn.Module], *, is_first: bool) -> nn.Module:
    if module not in copies:
        replica = copies[module] = cast(Any, module)._replicate_for_data_parallel()
        for name, child in module.named_children():
            setattr(replica, name, _replica(child, copies, is_first=is_first))
        for name, parameter in module._parameters.items():
            setattr(replica, name, None if parameter is None else parameter.view_as(parameter))
        for name, buffer in module.named_buffers(recurse=False):
            setattr(replica, name, buffer if is_first else buffer.clone())
    return copies[module]


class DataParallelOnCpu(nn.Module):
    """SyncDataParallel without GPUs: shares of a batch in replicas, each in a thread.

    Args:
        module: takes and returns tensors (B, ...), in named tuples and lists.
        shares: how many of the B images each replica gets.
    """

    def __init__(self, module: nn.Module, shares: Sequence[int]) -> None:
        super().__init__()
        self.module = module
        self.shares = list(shares)

    def forward(self, *inputs: Any) -> Any:
        ends = torch.tensor(self.shares).cumsum(0).tolist()
        parts = [slice(end - share, end) for share, end in zip(self.shares, ends, strict=True)]
        scattered = [tree_map(lambda x, part=part: _share(x, part), inputs) for part in parts]
        outputs = run_linked(replicate_on_cpu(self.module, len(parts)), scattered)
        return tree_map(_gather, *outputs)


def _share(value: Any, part: slice) -> Any:
    return value[part] if isinstance(value, Tensor) else value


def _gather(*values: Any) -> Any:
    return torch.cat(values) if isinstance(values[0], Tensor) else values[0]
