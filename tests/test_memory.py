"""Peak memory of whole commands does not depend on the length of the video. Run: make slow."""

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from commands import ROOT, SIZE, frames_of_a_square, tiny_tree

from config.schema import parse_config
from engine.build import build_networks
from engine.video_writer import VideoWriter

pytestmark = pytest.mark.slow


def write_checkpoint(folder: Path) -> Path:
    """Tiny networks of random weights, with their configuration."""
    tree = tiny_tree(folder)
    torch.manual_seed(0)
    networks = build_networks(parse_config(tree, "tiny").model_params)
    state = {name: network.state_dict() for name, network in networks._asdict().items()}
    torch.save({**state, "config": tree}, folder / "tiny.pth.tar")
    return folder / "tiny.pth.tar"


def write_video(path: Path, num_frames: int) -> Path:
    frames = frames_of_a_square(0, count=50, size=2 * SIZE)
    with VideoWriter(path, fps=Fraction(25)) as video:
        for index in range(num_frames):
            video.write(frames[index % len(frames)])
    return path


def peak_memory(folder: Path, num_frames: int, *flags: str) -> int:
    """Of `animate.py` on so many frames, in KiB."""
    driving = write_video(folder / f"{num_frames}.mp4", num_frames)
    command = [sys.executable, str(ROOT / "animate.py"), *flags]
    command += ["--checkpoint", str(folder / "tiny.pth.tar"), "--precision", "fp32"]
    command += ["--source_image", str(folder / "picture.png"), "--driving_video", str(driving)]
    command += ["--result_video", str(folder / "result.mp4"), "--device", "cpu"]
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has another unit elsewhere")
@pytest.mark.parametrize(
    "flags", [(), ("--best_frame", "auto", "--smooth", "--side_by_side", "--paste_back")]
)
def test_two_thousand_frames_take_the_memory_of_two_hundred(
    tmp_path: Path, flags: tuple[str, ...]
) -> None:
    write_checkpoint(tmp_path)
    iio.imwrite(tmp_path / "picture.png", np.full((SIZE, 2 * SIZE, 3), 90, np.uint8))
    short, long = (peak_memory(tmp_path, count, *flags) for count in (200, 2000))
    print(f"{short / 1024:.0f} MiB for 200 frames, {long / 1024:.0f} MiB for 2,000")
    assert long < 1.05 * short
