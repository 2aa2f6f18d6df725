"""Write a checkpoint's networks for other runtimes: no training code, and no Python, to animate.

    python tools/export.py --checkpoint demo/checkpoint.pth.tar --out exported --format onnx

Two graphs come of it: encode_source, run once for a picture, and step, run for each batch of
driving frames. Before they are kept, they are run on noise and on the files of demo/, and refused
if they are further than 0.001 from what PyTorch makes of these. docs/export.md tells how to use
them.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

# A script's path begins with its own folder; the packages lie one above.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from config.schema import to_dict
from engine.build import choose_config, load_inference_networks
from engine.build_files import config_inputs
from engine.checkpoint import read_torch_file
from engine.command_files import Inputs, Output, check_files
from engine.command_line import Parser, run, to_path
from engine.export_formats import FORMATS
from engine.exporting import export
from engine.identity import checkpoint_facts
from engine.image import to_tensor
from engine.parity import BATCH_SIZES, LIMIT, Check, Sample
from engine.scene import open_scene

DEMO = Path(__file__).resolve().parents[1] / "demo"


def parse_arguments() -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.add_argument("--checkpoint", type=to_path, required=True, help="trained networks")
    parser.add_argument(
        "--config", type=to_path, help="YAML file; default: what the checkpoint holds"
    )
    parser.add_argument("--out", type=to_path, required=True, metavar="DIR", help="a new folder")
    parser.add_argument("--format", choices=FORMATS, default="onnx", help="default: onnx")
    parser.add_overrides()
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    state = read_torch_file(args.checkpoint)
    config = choose_config(args.config, args.set, checkpoint=args.checkpoint, state=state)
    inputs = Inputs([args.checkpoint, args.config]) + config_inputs(config, dataset_is_read=False)
    check_files(inputs, [Output("--out", args.out, "folder")])
    networks = load_inference_networks(args.checkpoint, state, config.model_params)
    for network in networks:
        network.eval()
    frame_shape = config.dataset_params.frame_shape
    facts = checkpoint_facts(args.checkpoint, state) | {"checkpoint": args.checkpoint.name}
    checks = export(
        args.out,
        args.format,
        **networks._asdict(),
        frame_shape=frame_shape,
        samples=[random_sample(frame_shape), real_sample(frame_shape)],
        facts={**facts, "config": to_dict(config)},
    )
    print_checks(checks)
    size = sum(file.stat().st_size for file in args.out.iterdir()) / 2**20
    print(f"{args.out}: {args.format}, {size:.1f} MiB")


def random_sample(frame_shape: tuple[int, int, int]) -> Sample:
    """White noise, the same each time."""
    height, width, channels = frame_shape
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(1 + max(BATCH_SIZES), channels, height, width, generator=generator)
    return Sample("random", images[:1], images[1:])


def real_sample(frame_shape: tuple[int, int, int]) -> Sample:
    """The picture of demo/, and frames from the whole length of its video."""
    with open_scene(DEMO / "source.png", DEMO / "driving.mp4", frame_shape=frame_shape) as scene:
        numbers = np.linspace(0, scene.clip.num_frames - 1, max(BATCH_SIZES)).astype(int)
        frames = [scene.clip.frame(number) for number in numbers.tolist()]
        return Sample("real", to_tensor(scene.source()).unsqueeze(0), torch.stack(frames))


def print_checks(checks: list[Check]) -> None:
    """The largest difference of each output, over inputs, batch sizes and ways of motion."""
    largest: dict[tuple[str, str], float] = {}
    for check in checks:
        name = (check.graph, check.output)
        largest[name] = max(largest.get(name, 0.0), check.difference)
    for (graph, output), difference in largest.items():
        print(f"{graph + ': ' + output:<36}{difference:.1e} off PyTorch, of at most {LIMIT:g}")


if __name__ == "__main__":
    run(main)
