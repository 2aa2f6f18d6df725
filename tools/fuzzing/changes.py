"""Changing what a checkpoint holds: tensors of all kinds, and values that are no such thing."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from random import Random
from typing import Any

import torch
from torch import Tensor

_NAN, _INF = float("nan"), float("inf")
_WEIRD: list[Callable[[Random], Any]] = [
    lambda rng: None,
    lambda rng: rng.choice([True, False]),
    lambda rng: rng.choice([-1, 0, 1, 7, -(2**63), 2**63, 2**64, 10**18]),
    lambda rng: 10 ** rng.choice([100, 5000]),
    lambda rng: rng.choice([_NAN, _INF, -_INF, -1.5, 0.5, 1e300]),
    lambda rng: rng.choice(["", "x", "one", "x" * 5000, "9" * 5000, "\n\n", "\x1b[31m", "é漢"]),
    lambda rng: rng.choice([b"", b"bytes"]),
    lambda rng: rng.choice([[], [None], [1, "a"], [[[]]]]),
    lambda rng: rng.choice([(), (1,), (1, 2, 3)]),
    lambda rng: rng.choice([{}, {"a": 1}, {1: 2}, {None: None}, {(1, 2): 3}]),
    lambda rng: rng.choice([set(), {1}]),
    lambda rng: rng.choice([1j, complex(_NAN, 0)]),
    lambda rng: _weird_tensor(rng, torch.zeros(rng.choice([(), (0,), (1,), (3,), (2, 2)]))),
    lambda rng: _weird_tensor(rng, torch.rand(4, 3)),
    lambda rng: rng.choice([torch.float16, torch.device("cpu"), torch.Size([1])]),
]


def _weird_tensor(rng: Random, like: Tensor) -> Tensor:
    """A tensor with something wrong, of the shape of another where that can be."""
    return spoilt_tensor(rng, rng.randrange(len(TENSORS)), like)


def spoilt_tensor(rng: Random, way: int, like: Tensor) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that quantised tensors will go away
        return TENSORS[way](rng, like.detach().clone())


def _one_filled(rng: Random, tensor: Tensor, value: float) -> Tensor:
    if tensor.is_floating_point() and tensor.numel():
        tensor = tensor.contiguous()
        tensor.view(-1)[rng.randrange(tensor.numel())] = value
    return tensor


TENSORS: list[Callable[[Random, Tensor], Tensor]] = [
    lambda rng, it: _one_filled(rng, it, _NAN),
    lambda rng, it: _one_filled(rng, it, _INF),
    lambda rng, it: torch.full_like(it, _NAN) if it.is_floating_point() else it,
    lambda rng, it: it.double() * 1e300,
    lambda rng, it: it.to(rng.choice([torch.float16, torch.bfloat16, torch.float64])),
    lambda rng, it: it.to(rng.choice([torch.int8, torch.uint8, torch.int64, torch.bool])),
    lambda rng, it: it.to(torch.complex64),
    lambda rng, it: it.to_sparse() if it.ndim and it.numel() else it,
    lambda rng, it: torch.empty(it.shape, device="meta"),
    lambda rng, it: torch.quantize_per_tensor(it.float(), 0.1, 0, torch.quint8),
    lambda rng, it: it.to(torch.float8_e4m3fn),
    lambda rng, it: it.unsqueeze(0),
    lambda rng, it: it.reshape(-1),
    lambda rng, it: it[:0] if it.ndim else it,
    lambda rng, it: torch.zeros(1).expand(10**9),
    lambda rng, it: torch.zeros(()).expand(it.shape),
    lambda rng, it: it.transpose(0, -1) if it.ndim > 1 else it,
    lambda rng, it: torch.nn.Parameter(it.float()),
]


def nodes_of(tree: Any, depth: int = 0) -> list[tuple[Any, Any]]:
    """Every (container, key) in nested dicts and lists."""
    keys = (
        list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else []
    )
    found = [(tree, key) for key in keys]
    for key in keys:
        found += nodes_of(tree[key], depth + 1)
    return found


def change(rng: Random, container: Any, key: Any) -> str:
    old = container[key]
    kind = rng.choice(["weird", "weird", "weird", "removed", "tensor", "renamed"])
    if kind == "removed":
        del container[key]
        return f"{key}: removed"
    if kind == "renamed" and isinstance(container, dict):
        container[rng.choice([f"{key}x", 3, None, f"module.{key}", ""])] = container.pop(key)
        return f"{key}: renamed"
    if kind == "tensor" and isinstance(old, Tensor):
        container[key] = _weird_tensor(rng, old)
    else:
        container[key] = rng.choice(_WEIRD)(rng)
    return f"{key}: {_described(container[key])}"


def _described(value: Any) -> str:
    """A value in some words; those of an integer of 5,000 digits Python refuses."""
    if isinstance(value, int) and value.bit_length() > 200:
        return f"int of {value.bit_length()} bits"
    return f"{type(value).__name__} {str(value)[:60]}"
