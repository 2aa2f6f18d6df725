"""torch.compile, where the machine can."""

import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")

_log = logging.getLogger(__name__)


def can_compile(device: torch.device) -> bool:
    """Whether torch.compile works here; a line says so if not.

    It takes a C++ compiler (CPU) or Triton (GPU), which may be missing.
    """
    try:
        torch.compile(_trial)(torch.zeros(8, device=device))
    except (RuntimeError, ImportError, OSError) as error:
        reason = str(error).strip().partition("\n")[0]
        _log.warning("--compile: this machine cannot (%s); running without", reason)
        return False
    return True


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function for the sizes that it is first called with."""
    from torch._inductor import config

    # Weights that never change can be laid out for the convolutions once and for all.
    config.freezing = True
    return torch.compile(function, dynamic=False)


def _trial(x: Tensor) -> Tensor:
    return x.cos() + 1
