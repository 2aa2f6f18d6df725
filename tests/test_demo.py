"""The first command: without arguments, the picture of demo/ moves, by the checkpoint of demo/."""

from pathlib import Path

from commands import ROOT, run_process
from demo_result import movement, read_frames

from engine.checkpoint import read_torch_file

DEMO = ROOT / "demo"
LARGEST = 16 * 2**20  # bytes that the checkpoint may take in the repository


def test_the_demo_moves(tmp_path: Path) -> None:
    output = run_process("animate", cwd=tmp_path).output()
    assert "result.mp4" in output and "result.png" in output
    assert (tmp_path / "result.png").is_file()
    found = movement(tmp_path / "result.mp4")
    assert found.as_it_should, found
    assert found.num_frames == len(read_frames(DEMO / "driving.mp4"))


def test_the_checkpoint_is_small_and_tells_no_tales() -> None:
    path = DEMO / "checkpoint.pth.tar"
    assert path.stat().st_size <= LARGEST
    state = read_torch_file(path)
    assert not Path(state["config"]["dataset_params"]["root_dir"]).is_absolute()
