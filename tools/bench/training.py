"""How long a training step takes, beside one of a plain implementation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from typing import NamedTuple

import torch
from torch import Tensor
from torch.optim import Adam

from config.schema import Config
from engine.build import build_networks
from engine.build_training import build_full_models, build_trainer
from engine.device import keep_freed_memory
from tools.bench.machine import best_time
from tools.bench.plain import blur_whole_frames, upsample_first


class StepTime(NamedTuple):
    """Seconds of the fastest training step measured.

    Attributes:
        wall: by the clock on the wall.
        processor: of all cores together; on a busy machine, the number to trust.
    """

    wall: float
    processor: float


def measure_training(config: Config, device: torch.device, *, seconds: float) -> StepTime:
    """Time whole steps, optimizers included, on random frames and random weights."""
    if device.type == "cpu":
        keep_freed_memory()  # as train.py does
    trainer = build_trainer(config, device=device)
    source, driving = _frames(config)
    return _fastest(lambda: trainer.step(source, driving), device, seconds=seconds)


def measure_plain_training(config: Config, device: torch.device, *, seconds: float) -> StepTime:
    """The same in float32 as a plain implementation does it; see PlainStep.

    In a process of its own, whose memory is managed as ever.
    """
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as processes:
        return processes.submit(_measure_plain, config, device, seconds).result()


def _measure_plain(config: Config, device: torch.device, seconds: float) -> StepTime:
    plain = PlainStep(config, device)
    source, driving = (frames.to(device) for frames in _frames(config))
    return _fastest(lambda: plain(source, driving), device, seconds=seconds)


def _fastest(step: Callable[[], object], device: torch.device, *, seconds: float) -> StepTime:
    processor = math.inf

    def watched() -> None:
        nonlocal processor
        started = time.process_time()
        step()
        processor = min(processor, time.process_time() - started)

    return StepTime(best_time(watched, device, seconds=seconds), processor)


def _frames(config: Config) -> Tensor:
    """Random source and driving frames, (2, B, C, H, W)."""
    height, width, channels = config.dataset_params.frame_shape
    return torch.rand(2, config.train_params.batch_size, channels, height, width)


class PlainStep:
    """A training step written straight down from the equations.

    Channels come first, all in float32; convolutions read upsampled maps; frames are blurred whole
    before pixels are left out; the pyramids are built for each of the two losses; the generator's
    step computes the discriminator's gradients, too, which nobody asks for.
    """

    def __init__(self, config: Config, device: torch.device) -> None:
        params = replace(config.train_params, precision="fp32", compile=False)
        config = replace(config, train_params=params)
        networks = build_networks(config.model_params)
        self.generator_model, self.discriminator_model = build_full_models(config, networks)
        for model in (self.generator_model, self.discriminator_model):
            upsample_first(model)
            blur_whole_frames(model)
            model.to(device)
        self.networks = networks
        self.optimizers = [Adam(net.parameters(), lr=2e-4, betas=(0.5, 0.999)) for net in networks]
        self.adversarial = params.loss_weights.generator_gan > 0

    def __call__(self, source: Tensor, driving: Tensor) -> None:
        generated = self.generator_model(source, driving)
        _total(generated.losses).backward()
        generator, discriminator, kp_detector = self.optimizers
        for optimizer in (generator, kp_detector):
            optimizer.step()
            optimizer.zero_grad()
        if not self.adversarial:
            return
        discriminator.zero_grad()
        pyramid, prediction = self.generator_model.pyramid, generated.generated.prediction
        frames = pyramid(driving), pyramid(prediction.detach())
        judged = self.generator_model.shown_to_discriminator(*frames, generated.kp_driving)
        _total(self.discriminator_model(judged)).backward()
        discriminator.step()
        discriminator.zero_grad()


def _total(losses: dict[str, Tensor]) -> Tensor:
    return torch.stack([term.mean() for term in losses.values()]).sum()
