"""A checkpoint -> networks that animate: what the commands and the web page start with."""

from collections.abc import Sequence
from pathlib import Path

import torch

from config.schema import Config
from engine.animator import DEFAULT_BATCH_SIZE, Animator
from engine.build import choose_config, load_inference_networks
from engine.checkpoint import read_torch_file
from engine.description import describe
from engine.device import set_precision
from engine.precision import choose_precision


def load_animator(
    checkpoint: Path,
    *,
    config: Path | None,
    overrides: Sequence[str] = (),
    device: torch.device,
    batch_size: int = DEFAULT_BATCH_SIZE,
    precision: str = "auto",
    compile: bool = False,
) -> tuple[Animator, Config]:
    """The networks of a checkpoint, ready to animate, and their config.

    Args:
        checkpoint: trained networks.
        config: a YAML file; None for the config that the checkpoint carries.
        overrides: `a.b.c=value` each, on top of it.
        device, batch_size, compile: as Animator's.
        precision: one of PRECISIONS.

    Raises:
        UserError: one of them cannot be read, they do not fit each other, or the device lacks what
            is asked of it.
    """
    dtype = choose_precision(precision, device)
    set_precision(precision)
    state = read_torch_file(checkpoint)
    chosen = choose_config(config, overrides, checkpoint=checkpoint, state=state)
    networks = load_inference_networks(checkpoint, state, chosen.model_params)
    shape = chosen.dataset_params.frame_shape
    root_dir = chosen.dataset_params.root_dir
    animator = Animator(
        **networks._asdict(),
        device=device,
        batch_size=batch_size,
        precision=dtype,
        compile=compile,
        description=describe(checkpoint, state, root_dir=root_dir, frame_size=shape[:2]),
    )
    return animator, chosen
