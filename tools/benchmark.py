"""Measure how fast pictures are animated here, and how far that is from what the machine can do.

    python tools/benchmark.py
    python tools/benchmark.py --config config/taichi-256.yaml --precision fp32 --plain --json B.json
    python tools/benchmark.py --train --batch_size 2 --plain
    python tools/benchmark.py --backend torch onnxruntime openvino --precision fp32
    python tools/benchmark.py --data --config config/vox-256.yaml --set dataset_params.root_dir=PATH

For networks of a config with random weights, it prints the work per driving frame, the time that
each part takes, frames per second from video file to video file, the peak memory, and the share of
the machine's own rate of matrix products, measured in the same run at the same precision. With
--train it times whole training steps instead, with --data how many training pairs one process reads
from each kind of video, and with --backend how long several runtimes take for a frame on the CPU.
"""

import argparse
import math
import sys
from dataclasses import replace
from pathlib import Path

import torch

# A script's path begins with its own folder; the packages lie one above.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from config.schema import Config, TrainingPrecision, load_config
from engine.animator import DEFAULT_BATCH_SIZE, Animator
from engine.build import build_inference_networks
from engine.build_files import config_inputs
from engine.command_files import Inputs, check_files, json_report
from engine.command_line import Parser, run, to_path
from engine.device import choose_device, set_precision
from engine.errors import UserError
from engine.export_graphs import build_graphs
from engine.measures import peak_memory
from engine.output import write_json
from engine.precision import PRECISIONS, choose_precision
from frames_dataset import split_videos
from tools.bench.animation import measure, measure_plain
from tools.bench.backends import BACKENDS, check_backends, measure_backends
from tools.bench.loading import measure_loading
from tools.bench.machine import matrix_rate, name_of
from tools.bench.training import measure_plain_training, measure_training

TRAINING_PRECISIONS: dict[torch.dtype, TrainingPrecision] = {
    torch.float32: "fp32",
    torch.bfloat16: "bf16",
    torch.float16: "fp16",
}
CONFIG = Path(__file__).parents[1] / "config" / "vox-256.yaml"


def parse_arguments() -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.add_argument("--config", type=to_path, default=CONFIG, help="default: vox-256.yaml")
    parser.add_overrides()
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--train", action="store_true", help="time training steps")
    instead.add_argument("--data", action="store_true", help="time the reading of training pairs")
    instead.add_argument(
        "--backend", nargs="+", choices=BACKENDS, help="time these side by side, on the CPU"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    parser.add_argument("--precision", choices=PRECISIONS, default="auto")
    parser.add_argument("--compile", action="store_true", help="with torch.compile")
    parser.add_argument("--batch_size", type=int, default=DEFAULT_BATCH_SIZE, help="frames at once")
    parser.add_argument("--size", type=int, help="pixels, square; default: what the config says")
    parser.add_argument(
        "--plain",
        action="store_true",
        help="compare with a plain implementation: float32, no step of it saved",
    )
    parser.add_argument(
        "--seconds", type=float, default=3.0, help="how long to measure each part; default: 3"
    )
    parser.add_argument("--json", type=to_path, metavar="FILE", help="write a report there")
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    if args.batch_size < 1:
        raise UserError(f"--batch_size {args.batch_size}: must be at least 1; raise it")
    if not 0 <= args.seconds < math.inf:
        raise UserError(
            f"--seconds {args.seconds:g}: must be 0 or more, and finite; choose such a time"
        )
    check_backend_flags(args)
    device = choose_device("cpu" if args.backend else args.device)
    precision = choose_precision(args.precision, device)
    set_precision(args.precision)
    size = [] if args.size is None else [f"dataset_params.frame_shape=[{args.size},{args.size},3]"]
    config = load_config(args.config, [*args.set, *size])
    check_files(Inputs([args.config]) + config_inputs(config), json_report(args.json))
    if args.backend:
        report = benchmark_backends(args, config, precision)
    elif args.data:
        report = benchmark_data(args, config)
    elif args.train:
        report = benchmark_training(args, config, device, precision)
    else:
        report = benchmark(args, config, device, precision)
    for name, value in report.items():
        print(f"{name.replace('_', ' '):<32}{value}")
    if args.json is not None:
        write_json(args.json, report)


def check_backend_flags(args: argparse.Namespace) -> None:
    """See that all backends are installed, and that no flag beside them would be ignored.

    Raises:
        UserError: one is not, or one would.
    """
    if not args.backend:
        return
    if args.device not in ("auto", "cpu"):
        raise UserError(f"--device {args.device}: --backend compares on the CPU; leave it out")
    if args.plain:
        raise UserError("--plain: has no effect with --backend; leave one of them out")
    check_backends(args.backend)


def benchmark_backends(
    args: argparse.Namespace, config: Config, precision: torch.dtype
) -> dict[str, object]:
    """The time per frame of several runtimes: names with units -> values."""
    networks = build_inference_networks(config.model_params)
    animator = Animator(
        **networks._asdict(),
        device=torch.device("cpu"),
        batch_size=args.batch_size,
        precision=precision,
        compile=args.compile,
    )
    graphs = build_graphs(**networks._asdict(), frame_shape=config.dataset_params.frame_shape)
    report: dict[str, object] = {
        "device": name_of(animator.device),
        "config": str(args.config),
        "size": "{} x {}".format(*config.dataset_params.frame_shape),
        "compiled": animator.compiled,
        "batch_size": args.batch_size,
    }
    found = measure_backends(args.backend, animator, graphs, seconds=args.seconds)
    for name, (backend, milliseconds) in found.items():
        report |= {
            f"{name}_version": backend.version,
            f"{name}_precision": str(backend.precision).removeprefix("torch."),
            f"{name}_ms": round(milliseconds, 2),
        }
    return report


def benchmark_data(args: argparse.Namespace, config: Config) -> dict[str, object]:
    """How fast one process reads each kind of video: names with units -> values."""
    params = config.dataset_params
    videos = split_videos(Path(params.root_dir), "train", id_sampling=params.id_sampling)
    report: dict[str, object] = {
        "config": str(args.config),
        "size": "{} x {}".format(*params.frame_shape),
    }
    for kind, rate in measure_loading(config, videos, seconds=args.seconds).items():
        report |= {
            f"{kind}: videos": rate.num_videos,
            f"{kind}: pairs_per_second": round(rate.pairs_per_second, 1),
            f"{kind}: cpu_ms_per_pair": round(rate.cpu_ms_per_pair, 1),
        }
    return report


def benchmark_training(
    args: argparse.Namespace, config: Config, device: torch.device, precision: torch.dtype
) -> dict[str, object]:
    """The time of a training step: names with units -> values."""
    params = replace(
        config.train_params,
        batch_size=args.batch_size,
        precision=TRAINING_PRECISIONS[precision],
        compile=args.compile,
        perceptual_weights="random",
    )
    config = replace(config, train_params=params)
    step = measure_training(config, device, seconds=args.seconds)
    report: dict[str, object] = {
        "device": name_of(device),
        "config": str(args.config),
        "size": "{} x {}".format(*config.dataset_params.frame_shape),
        "precision": params.precision,
        "batch_size": args.batch_size,
        "seconds_per_step": round(step.wall, 3),
        "processor_seconds_per_step": round(step.processor, 3),
        "images_per_second": round(args.batch_size / step.wall, 2),
        "peak_memory_mib": round(peak_memory(device) / 2**20),
    }
    if args.plain:
        plain = measure_plain_training(config, device, seconds=args.seconds)
        report |= {
            "plain_seconds_per_step": round(plain.wall, 3),
            "plain_processor_seconds_per_step": round(plain.processor, 3),
            "times_faster_than_plain": round(plain.wall / step.wall, 2),
        }
    return report


def benchmark(
    args: argparse.Namespace, config: Config, device: torch.device, precision: torch.dtype
) -> dict[str, object]:
    """Measure what was asked for: names with units -> values."""
    networks = build_inference_networks(config.model_params)
    animator = Animator(
        **networks._asdict(),
        device=device,
        batch_size=args.batch_size,
        precision=precision,
        compile=args.compile,
    )
    rate = matrix_rate(device, precision, seconds=args.seconds)
    speed = measure(animator, config.dataset_params.frame_shape, seconds=args.seconds)
    # Of the Animator alone: a plain implementation has a peak of its own.
    memory = peak_memory(device)
    # The clock of a busy machine wanders, so its rate is measured before and after.
    rate = max(rate, matrix_rate(device, precision, seconds=args.seconds))
    milliseconds = speed.milliseconds
    report: dict[str, object] = {
        "device": name_of(device),
        "config": str(args.config),
        "size": "{} x {}".format(*config.dataset_params.frame_shape),
        "precision": str(precision).removeprefix("torch."),
        "compiled": animator.compiled,
        "batch_size": args.batch_size,
        "work_gflop_per_frame": round(speed.work, 4),
        "matrix_product_gflop_per_s": round(rate, 1),
        **{f"{part}_ms": round(value, 2) for part, value in milliseconds._asdict().items()},
        "share_of_matrix_product_rate": round(speed.work / milliseconds.networks / rate * 1000, 3),
        "frames_per_second": round(speed.end_to_end, 2),
        "first_batch_s": round(speed.first_batch, 2),
        "peak_memory_mib": round(memory / 2**20),
    }
    if args.plain:
        plain = measure_plain(
            networks, config.dataset_params.frame_shape, device, seconds=args.seconds
        )
        report |= {
            "plain_work_gflop_per_frame": round(plain.work, 4),
            "plain_ms": round(plain.milliseconds, 2),
            "times_faster_than_plain": round(plain.milliseconds / milliseconds.networks, 2),
        }
    return report


if __name__ == "__main__":
    run(main)
