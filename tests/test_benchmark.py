"""tools/benchmark.py counts the work that is done, and its numbers fit each other."""

import json
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from commands import (
    golden_tree,
    run_here,
    thin_vgg_in_place,
    tiny_tree,
    write_config,
    write_dataset,
)
from torch import Tensor, nn

from config.schema import load_config
from engine.build import build_inference_networks
from engine.build_training import build_trainer
from engine.training import Trainer
from modules.util import AntiAliasInterpolation2d, UpBlock2d
from tools import benchmark
from tools.bench.backends import BACKENDS
from tools.bench.machine import best_time, matrix_rate
from tools.bench.training import PlainStep

CPU = torch.device("cpu")
PARTS = ("decode", "detector", "dense_motion", "generator", "networks", "encode")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path / "small.yaml", golden_tree("small-jacobian", tmp_path))


def report_of(config: Path, *flags: object) -> dict[str, Any]:
    path = config.with_suffix(".json")
    few = ("--batch_size", 2, "--seconds", 0.01, "--device", "cpu", "--json", path)
    run_here(benchmark.main, "--config", config, *few, *flags).output()
    return json.loads(path.read_text())


def multiplications(config: Path) -> int:
    """Of all convolutions that one driving frame takes, as the shapes of each layer tell.

    Blocks that upsample compute theirs on the small map; here it counts as on the large one.
    """
    total = 0

    def count(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        nonlocal total
        weight = layer.conv.weight if isinstance(layer, UpBlock2d) else layer.weight
        assert isinstance(weight, Tensor)
        total += output[0, 0].numel() * weight.numel()

    loaded = load_config(config, [])
    networks = build_inference_networks(loaded.model_params)
    for network in networks:
        network.eval()
        up_blocks = {layer for layer in network.modules() if isinstance(layer, UpBlock2d)}
        within = {block.conv for block in up_blocks}
        for layer in set(network.modules()) - within:
            if isinstance(layer, nn.Conv2d | UpBlock2d | AntiAliasInterpolation2d):
                layer.register_forward_hook(count)
    image = torch.rand(1, 3, *loaded.dataset_params.frame_shape[:2])
    keypoints = networks.kp_detector(image)
    networks.generator(image, keypoints, keypoints)
    return total


def test_work_is_counted_and_the_report_adds_up(config: Path) -> None:
    report = report_of(config, "--precision", "fp32", "--plain")
    work, plain_work = report["work_gflop_per_frame"], report["plain_work_gflop_per_frame"]
    assert plain_work == pytest.approx(2 * multiplications(config) / 1e9, rel=0.01)
    assert 0.5 * plain_work < work < 0.9 * plain_work

    assert all(report[f"{part}_ms"] > 0 for part in PARTS)
    share = work / report["networks_ms"] / report["matrix_product_gflop_per_s"] * 1000
    assert report["share_of_matrix_product_rate"] == pytest.approx(share, rel=0.05)
    times_faster = report["plain_ms"] / report["networks_ms"]
    assert report["times_faster_than_plain"] == pytest.approx(times_faster, rel=0.02)
    assert report["precision"] == "float32" and not report["compiled"]
    assert report["peak_memory_mib"] > 50 and report["frames_per_second"] > 0


def test_the_size_of_the_frames_can_be_chosen(config: Path) -> None:
    report = report_of(config, "--size", 128)
    assert report["size"] == "128 x 128"
    assert "plain_ms" not in report


def test_training_steps_are_timed_beside_plain_ones(config: Path) -> None:
    with thin_vgg_in_place():
        report = report_of(config, "--train", "--plain", "--precision", "fp32")
    assert report["precision"] == "fp32"
    assert report["images_per_second"] == pytest.approx(2 / report["seconds_per_step"], rel=0.05)
    times_faster = report["plain_seconds_per_step"] / report["seconds_per_step"]
    assert report["times_faster_than_plain"] == pytest.approx(times_faster, rel=0.05)


def test_the_plain_step_has_the_losses_of_ours(config: Path) -> None:
    """Or it would be no measure: what is left out is work, not a term."""
    loaded = load_config(config, ["train_params.perceptual_weights=random"])
    frames = torch.rand(2, 2, *(loaded.dataset_params.frame_shape[i] for i in (2, 0, 1)))
    losses = []
    for make in (lambda: build_trainer(loaded, device=CPU), lambda: PlainStep(loaded, CPU)):
        with thin_vgg_in_place():
            torch.manual_seed(0)
            step = make()
        model = step._generator_model if isinstance(step, Trainer) else step.generator_model
        torch.manual_seed(1)
        terms = model(*frames).losses
        losses.append({name: term.mean().item() for name, term in terms.items()})
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


def test_reading_is_timed_for_each_kind_of_video(tmp_path: Path) -> None:
    config = write_config(tmp_path / "own.yaml", tiny_tree(write_dataset(tmp_path / "data")))
    report = report_of(config, "--data")
    kinds = (".gif", ".mp4", ".png, frames side by side", "frame folders")
    for kind in kinds:
        assert report[f"{kind}: videos"] == 1
        assert report[f"{kind}: pairs_per_second"] > 0
        assert report[f"{kind}: cpu_ms_per_pair"] > 0


def test_runtimes_are_timed_side_by_side(tmp_path: Path) -> None:
    present = [name for name in BACKENDS if find_spec(name) is not None]
    if find_spec("onnxscript") is None:
        present = ["torch"]
    config = write_config(tmp_path / "own.yaml", tiny_tree(tmp_path))
    report = report_of(config, "--precision", "fp32", "--backend", *present)
    for name in present:
        assert report[f"{name}_ms"] > 0
        assert report[f"{name}_precision"] == "float32"
        assert report[f"{name}_version"] == version(name)


def test_a_backend_that_is_missing_or_a_flag_beside_it_is_named(config: Path) -> None:
    for name, flags in (
        ("openvino", ()),
        ("--plain", ("--plain",)),
        ("cuda", ("--device", "cuda")),
    ):
        given = ("--config", config, "--backend", "torch", "openvino", *flags)
        with patch.dict(sys.modules, {"openvino": None}):
            assert name in run_here(benchmark.main, *given).error()


@pytest.mark.parametrize("flags", [("--batch_size", 0), ("--size", 33), ("--seconds", -1)])
def test_what_cannot_be_measured_is_refused(config: Path, flags: tuple[str, object]) -> None:
    message = run_here(benchmark.main, "--config", config, *flags).error()
    assert str(flags[1]) in message


def test_the_rate_is_that_of_the_machine() -> None:
    """A product of half the precision or not: never more than its own time allows."""
    left = torch.rand(2048, 2048)
    seconds = best_time(lambda: left @ left, CPU, seconds=0.2)
    rate = matrix_rate(CPU, torch.float32, seconds=0.3)
    assert rate > 0.5 * 2 * 2048**3 / seconds / 1e9
