"""torch.compile, where the machine can."""

import logging

import torch
from torch import Tensor

from modules.generator import OcclusionAwareGenerator
from modules.keypoint_detector import KPDetector

_log = logging.getLogger(__name__)


def can_compile(device: torch.device, *, asked: str) -> bool:
    """Whether torch.compile works here; a line says so if not.

    It takes a C++ compiler (CPU) or Triton (GPU), which may be missing.

    Args:
        device: where it is to run.
        asked: the flag or setting that asks for it.
    """
    try:
        torch.compile(_trial)(torch.zeros(8, device=device))
    except (RuntimeError, ImportError, OSError) as error:
        reason = str(error).strip().partition("\n")[0]
        _log.warning("%s: this machine cannot (%s); running without", asked, reason)
        return False
    return True


def compile_networks(kp_detector: KPDetector, generator: OcclusionAwareGenerator) -> None:
    """Compile, in place, what runs once for each batch, for the batch size of the first call.

    Detector, dense motion and painting are three pieces, so that each can be timed.
    """
    from torch._inductor import config

    # Weights that never change can be laid out for the convolutions once and for all.
    config.freezing = True
    kp_detector.compile(dynamic=False)
    if generator.dense_motion_network is not None:
        generator.dense_motion_network.compile(dynamic=False)
    generator.paint = torch.compile(generator.paint, dynamic=False)  # type: ignore[method-assign]


def _trial(x: Tensor) -> Tensor:
    return x.cos() + 1
