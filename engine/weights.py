"""A network's tensors as a checkpoint holds them: by their plain names, and fit to compute with."""

from collections.abc import Mapping

import torch
from torch import Tensor

from engine.errors import UserError, named

DAMAGED = "the file is damaged; get a whole copy, or an earlier checkpoint of the run"
# What torch.compile, DataParallel and DistributedDataParallel put into the names of what they wrap.
_WRAPPERS = frozenset({"module", "_orig_mod"})


def plain_name(key: str) -> str:
    """The name of a tensor without those of the wrappers around networks and their parts."""
    return ".".join(part for part in key.split(".") if part not in _WRAPPERS)


def plain_weights(where: str, found: object, *, below: str = "") -> dict[str, Tensor]:
    """The tensors of a state dict by their plain names, of whatever shapes.

    Args:
        where: what the errors name first, such as `x.pth.tar: generator`.
        below: those alone whose names begin so are taken, by the rest of their names.

    Raises:
        UserError: it is no state dict, or holds something that networks cannot compute with.
    """
    if not isinstance(found, Mapping):
        raise UserError(f"{where}: of type {type(found).__name__}, not a state dict; {DAMAGED}")
    weights: dict[str, Tensor] = {}
    for key, value in found.items():
        whole = plain_name(key) if isinstance(key, str) else named(key)
        if not whole.startswith(below):
            continue
        name = whole.removeprefix(below)
        if name in weights:
            raise UserError(f"{where}.{named(whole)}: there twice, by two names; {DAMAGED}")
        weights[name] = checked(f"{where}.{named(whole)}", value)
    return weights


def checked(where: str, value: object) -> Tensor:
    """A value that is a dense tensor of finite numbers, also in float32.

    Raises:
        UserError: it is something else, or a negative variance.
    """
    if not isinstance(value, Tensor):
        raise UserError(f"{where}: of type {type(value).__name__}, not a tensor; {DAMAGED}")
    kinds = {
        "quantised": value.is_quantized,
        "nested": value.is_nested,
        "sparse": value.layout != torch.strided,
        "complex": value.is_complex(),
        "meta": value.device.type == "meta",
    }
    for kind, is_so in kinds.items():
        if is_so:
            raise UserError(
                f"{where}: a {kind} tensor; get a checkpoint of dense float tensors, as train.py "
                "writes them"
            )
    numbers = _memory(value) if is_larger_than_its_memory(value) else value
    if not numbers.float().isfinite().all():
        raise UserError(
            f"{where}: holds NaN or infinite values; take an earlier checkpoint of the run, or get "
            "a whole copy"
        )
    if where.endswith("running_var") and (numbers < 0).any():
        raise UserError(f"{where}: holds a negative variance; {DAMAGED}")
    return value


def is_larger_than_its_memory(value: Tensor) -> bool:
    """Whether a tensor shows some of its memory several times: a copy may be of any size."""
    return value.numel() * value.element_size() > value.untyped_storage().nbytes()


def _memory(value: Tensor) -> Tensor:
    """All the numbers that a tensor is a view of, each once."""
    return torch.empty(0, dtype=value.dtype).set_(value.untyped_storage())
