"""Which number format the convolutions of inference run in."""

import torch

from engine.errors import UserError

PRECISIONS = ("auto", "fp32", "bf16", "fp16")


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """Turn `--precision` into the type of the weights and feature maps.

    Coordinates, softmaxes, jacobians and flows stay in float32 at any of them.

    Args:
        name: auto (half precision where the device computes in it, else fp32), fp32, bf16 or fp16.
        device: where the networks run.

    Raises:
        UserError: the device would take longer for it than for fp32, or cannot do it at all.
    """
    fast = _half_precision(device)
    if name == "auto":
        return fast or torch.float32
    if name == "bf16" and fast != torch.bfloat16:
        raise UserError(_refusal(name, device, other=fast))
    if name == "fp16" and (device.type == "cpu" or fast is None):
        raise UserError(_refusal(name, device, other=fast))
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[name]


def _half_precision(device: torch.device) -> torch.dtype | None:
    """The half precision that a device computes in; None if it would only emulate one."""
    if device.type == "cuda":
        major, _ = torch.cuda.get_device_capability(device)
        return torch.bfloat16 if major >= 8 else torch.float16 if major >= 7 else None
    if device.type == "mps":
        return torch.float16
    return torch.bfloat16 if _cpu_multiplies_bfloat16() else None


def _cpu_multiplies_bfloat16() -> bool:
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def _refusal(name: str, device: torch.device, *, other: torch.dtype | None) -> str:
    names = {torch.bfloat16: "bf16", torch.float16: "fp16", None: "fp32"}
    where = {"cpu": "this CPU", "mps": "an Apple GPU"}.get(device.type, "this GPU")
    return f"--precision {name}: {where} does not compute in it; try --precision {names[other]}"
