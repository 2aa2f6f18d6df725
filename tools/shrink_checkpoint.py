"""Cut a checkpoint down to what animating takes, its weights in half precision.

    python tools/shrink_checkpoint.py --checkpoint log/RUN/best.pth.tar --out A.pth.tar

The result loads wherever the whole checkpoint does, but training cannot go on from it. Vectors
(biases, batch statistics) stay in float32: half precision has no room for small variances, and they
weigh nothing.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

# A script's path begins with its own folder; the packages lie one above.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engine.checkpoint import network_weights, read_torch_file, with_averages, write_checkpoint
from engine.command_files import Inputs, Output, check_files
from engine.command_line import Parser, run, to_path
from engine.description import DESCRIPTION
from engine.errors import UserError
from engine.weights import DAMAGED, is_larger_than_its_memory

NETWORKS = ("generator", "kp_detector")
KEPT = ("config", DESCRIPTION, "epoch", "step")


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--checkpoint", type=to_path, required=True, help="what train.py wrote")
    parser.add_argument("--out", type=to_path, required=True, help="the file to write")
    args = parser.parse_args()
    check_files(Inputs([args.checkpoint]), [Output("--out", args.out, "new")])
    state = with_averages(args.checkpoint, read_torch_file(args.checkpoint))
    write_checkpoint(args.out, shrunk(state, args.checkpoint))
    print(f"{args.out}: {args.out.stat().st_size / 2**20:.1f} MiB")


def shrunk(state: Mapping, path: Path) -> dict[str, object]:
    """The part of a checkpoint's content that animating takes.

    Raises:
        UserError: it lacks a network, or holds one that cannot be computed with.
    """
    small: dict[str, object] = {name: state[name] for name in KEPT if name in state}
    for name in NETWORKS:
        weights = network_weights(path, state, name)
        for key, tensor in weights.items():
            if is_larger_than_its_memory(tensor):
                raise UserError(f"{path}: {name}.{key}: larger than what the file holds; {DAMAGED}")
        small[name] = {key: halved(tensor) for key, tensor in weights.items()}
    return small


def is_plain(weight: object) -> bool:
    """Tell whether this is a tensor of numbers that can be converted, with all of them there."""
    if not isinstance(weight, Tensor) or weight.layout != torch.strided:
        return False
    return not (weight.is_meta or weight.is_quantized or weight.is_complex())


def halved(tensor: Tensor) -> Tensor:
    """Matrices and kernels in half precision, everything else as it is."""
    # A copy of its own, or the file would hold the storage of which it may be a view.
    return tensor.to(torch.float16 if tensor.ndim > 1 else tensor.dtype, copy=True)


if __name__ == "__main__":
    run(main)
