"""Running out of memory, said in one line that names what to lower."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from engine.errors import UserError

# In what torch raises as a mere RuntimeError; the first that fits counts. "Cannot allocate memory"
# is not among them: limits on locked memory and on mappings say so, too, and no remedy lifts them.
_SIGNS = {
    "DefaultCPUAllocator: can't allocate memory": "this machine's",
    "not enough memory": "this machine's",  # the same on Windows; MKL
    "bad_alloc": "this machine's",  # C++'s own
    "HOST_ALLOCATION_FAILED": "this machine's",  # cuDNN 9
    "ALLOCATION_FAILED": "the GPU's",  # cuDNN 9, cuRAND
    "ALLOC_FAILED": "the GPU's",  # cuBLAS, cuDNN, cuFFT, cuSOLVER
    "out of memory": "the GPU's",  # the CUDA runtime and driver, NCCL, Apple's GPUs
}


@contextmanager
def enough_memory(purpose: str, remedy: str) -> Iterator[None]:
    """Within this block, to run out of memory is an error in one line.

    Args:
        purpose: what takes the memory, with the settings that say how much.
        remedy: which of them to lower.

    Raises:
        UserError: there is too little.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        whose = _whose_ran_out(error)
        if whose is None:
            raise
        raise UserError(f"{whose} memory is too small for {purpose}; {remedy}") from error


def _whose_ran_out(error: RuntimeError | MemoryError) -> str | None:
    """Of what there is too little memory; None if the error is another one."""
    if isinstance(error, torch.OutOfMemoryError):
        return "the GPU's"
    if isinstance(error, MemoryError):
        return "this machine's"
    return next((whose for sign, whose in _SIGNS.items() if sign in str(error)), None)
