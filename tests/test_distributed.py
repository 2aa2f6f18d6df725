"""Several processes under torchrun train as one would with the whole batch."""

from pathlib import Path

import pytest
import torch
import yaml
from commands import run_here, tiny_tree, torchrun, write_dataset

import train
from engine import distributed
from engine.checkpoint import read_torch_file
from engine.distributed import RankShare
from engine.sampling import EpochSampler


def test_two_processes_step_as_one(tmp_path: Path) -> None:
    tree = tiny_tree(write_dataset(tmp_path / "data"))
    # Without random warps, which each process draws for itself, the two runs do the same sums.
    tree["train_params"]["transform_params"] = {"sigma_affine": 0, "sigma_tps": 0}
    tree["train_params"] |= {"num_epochs": 1, "num_repeats": 1, "batch_size": 4}
    tree["train_params"]["loss_weights"] |= {"generator_gan": 1}
    tree["model_params"]["discriminator_params"]["sn"] = True
    config = tmp_path / "tiny.yaml"
    config.write_text(yaml.safe_dump(tree))

    states = []
    for processes in (1, 2):
        log_dir = tmp_path / f"log-{processes}"
        torchrun(
            processes, "train.py", "--config", config, "--log_dir", log_dir, cwd=tmp_path
        ).output()
        (folder,) = log_dir.iterdir()  # one run folder, although two processes ran
        assert len((folder / "log.txt").read_text().splitlines()) == 1
        states.append(read_torch_file(folder / "00000001-checkpoint.pth.tar"))
    one, two = states
    for name in ("generator", "kp_detector", "discriminator"):
        for key, value in one[name].items():
            if value.ndim == 4:
                # Adam's first step goes by the signs of gradients, of which few are in doubt.
                moved_otherwise = (value - two[name][key]).abs() > 1e-5
                assert moved_otherwise.float().mean() < 0.02, f"{name}.{key}"
            elif "running" in key or key.endswith("weight_u"):
                torch.testing.assert_close(two[name][key], value, rtol=1e-4, atol=1e-5)


def test_a_batch_that_cannot_be_shared_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tiny_tree(write_dataset(tmp_path / "data"))
    tree["train_params"]["batch_size"] = 3
    config = tmp_path / "tiny.yaml"
    config.write_text(yaml.safe_dump(tree))
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    message = run_here(train.main, "--config", config, "--device", "cpu").error()
    assert message.startswith("train_params.batch_size: 3 cannot be shared by 2 processes")


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_shares_make_up_each_batch(processes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sampler = EpochSampler(20, seed=0)
    sampler.set_epoch(1, first_item=1)
    whole = list(sampler)
    monkeypatch.setattr(distributed, "world_size", lambda: processes)
    shares = []
    for rank in range(processes):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        share = RankShare(sampler, batch_size=6)
        shares.append(list(share))
        assert len(share) == len(shares[-1]) == 18 // processes
    each = 6 // processes
    for batch in range(3):
        joined = [i for share in shares for i in share[batch * each : (batch + 1) * each]]
        assert joined == whole[batch * 6 : (batch + 1) * 6]
