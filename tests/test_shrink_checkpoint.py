"""The small checkpoint loads like the whole one and animates alike."""

import re
from pathlib import Path

import pytest
import torch
from commands import run_here, run_process
from golden_files import FOLDER, load_golden

from engine.checkpoint import load_weights, read_torch_file
from tools import shrink_checkpoint

WHOLE = FOLDER / "small-jacobian.pth.tar"


@torch.no_grad()
def test_it_animates_like_the_whole(tmp_path: Path) -> None:
    small = tmp_path / "small.pth.tar"
    files = ["--checkpoint", WHOLE, "--out", small]
    run_process("tools/shrink_checkpoint", *files, cwd=tmp_path).output()
    assert small.stat().st_size < 0.8 * WHOLE.stat().st_size

    golden = load_golden("small-jacobian")
    generator, detector = golden.networks.generator, golden.networks.kp_detector
    state = read_torch_file(small)
    load_weights(small, state, {"generator": generator, "kp_detector": detector})
    source, driving = golden.tensor("source"), golden.tensor("driving")
    prediction = generator(source, detector(source), detector(driving)).prediction
    assert prediction.dtype == torch.float32
    assert (prediction - golden.tensor("eval/prediction")).abs().mean() < 0.01
    # What it leaves in full.
    variances = [t for key, t in state["generator"].items() if key.endswith("running_var")]
    assert {tensor.dtype for tensor in variances} == {torch.float32}


@pytest.mark.parametrize(
    "network",
    [3, None, [], {"a": 3}, {"a": torch.zeros(2).to_sparse()}, {"a": torch.zeros(2) + 1j}],
)
def test_networks_that_are_none_are_refused(tmp_path: Path, network: object) -> None:
    torch.save({"generator": network, "kp_detector": {}}, tmp_path / "odd.pth.tar")
    arguments = ["--checkpoint", tmp_path / "odd.pth.tar", "--out", tmp_path / "small.pth.tar"]
    message = run_here(shrink_checkpoint.main, *arguments).error()
    assert re.search("odd.pth.tar: generator(.a)?: .*; get a ", message)
    assert not (tmp_path / "small.pth.tar").exists()


def test_a_file_without_networks_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 1}, tmp_path / "odd.pth.tar")
    arguments = ["--checkpoint", tmp_path / "odd.pth.tar", "--out", tmp_path / "small.pth.tar"]
    assert "holds no generator" in run_here(shrink_checkpoint.main, *arguments).error()
    assert not (tmp_path / "small.pth.tar").exists()
