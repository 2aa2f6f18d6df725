"""Training runs: what they begin with, leave behind, and do about trouble on the way."""

import logging
import re
import textwrap
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pytest
import torch
import yaml
from commands import (
    ROOT,
    Tree,
    files_below,
    run_process,
    tiny_tree,
    write_config,
    write_dataset,
    write_folder,
)
from PIL import Image, ImageSequence
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from training_runs import (
    EPOCHS,
    SEED,
    STEPS_AN_EPOCH,
    UNTESTED,
    assert_same_state,
    config_of_a_run,
    curve,
    last_checkpoint,
    run_folder,
    run_through,
    train_tree,
    training,
)

import train
import training_report
import training_run
from config.schema import load_config
from engine import guard
from engine.build import Networks, build_networks
from engine.checkpoint import read_torch_file, with_averages
from engine.training import StepResult, Trainer

EQUIVARIANCE = ("equivariance_value", "equivariance_jacobian")
LAYOUT = {
    *Networks._fields,
    *(f"optimizer_{name}" for name in Networks._fields),
    *("format", "config", "description", "epoch", "step", "step_in_epoch", "best_l1", "seed"),
    *("schedulers", "random_state", "average", "skipped_steps", "skipped_in_a_row"),
    *("sampling", "epoch_record"),
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture
def tree(dataset: Path) -> Tree:
    return tiny_tree(dataset)


@pytest.fixture(scope="module")
def config(dataset: Path) -> Path:
    return config_of_a_run(dataset)


@pytest.fixture(scope="module")
def whole_run(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_through(config, tmp_path_factory.mktemp("whole"))


def initial_networks(config: Path, *, seed: int) -> Networks:
    torch.manual_seed(seed)
    return build_networks(load_config(config).model_params)


# ----- a run


def test_a_run_leaves_its_folder(whole_run: Path, config: Path) -> None:
    assert re.fullmatch(r"tiny-\d{8}-\d{6}", whole_run.name)
    assert load_config(whole_run / "config.yaml") == load_config(config)
    lines = (whole_run / "log.txt").read_text().splitlines()
    for epoch, line in enumerate(lines, start=1):
        values = dict(zip(line.split()[::2], line.split()[1::2], strict=True))
        assert values["epoch"] == str(epoch)
        assert values["step"] == str(epoch * STEPS_AN_EPOCH)
        assert values["skipped_clips"] == "0"
        assert float(values["total"]) > float(values["perceptual"]) > 0
        assert 0 < float(values["test_l1"]) < 1
    assert len(lines) == EPOCHS
    pictures = [path.name for path in sorted((whole_run / "train-vis").iterdir())]
    assert pictures == [f"{epoch:08d}-rec.png" for epoch in range(1, EPOCHS + 1)]


def test_the_last_checkpoints_and_the_best_stay(whole_run: Path) -> None:
    names = {path.name for path in whole_run.glob("*.pth.tar")}
    assert names == {"00000002-checkpoint.pth.tar", "00000003-checkpoint.pth.tar", "best.pth.tar"}
    errors = [
        float(line.split("test_l1")[1].split()[0])
        for line in (whole_run / "log.txt").read_text().splitlines()
    ]
    best = read_torch_file(whole_run / "best.pth.tar")
    assert best["epoch"] == 1 + errors.index(min(errors))
    assert best["best_l1"] == pytest.approx(min(errors), rel=1e-3)


def test_tensorboard_answers_whether_it_goes_well(whole_run: Path, config: Path) -> None:
    events = EventAccumulator(str(whole_run)).Reload()
    points = {
        name: {event.step: event.value for event in events.Scalars(name)}
        for name in events.Tags()["scalars"]
    }
    networks = ("generator", "kp_detector", "discriminator")
    by_step = {f"optimizer/lr_{name}" for name in networks}
    by_step |= {f"optimizer/gradient_norm_{name}" for name in networks[:2]}
    by_step |= {f"loss/{name}" for name in ("perceptual", *EQUIVARIANCE)} | {"at_a_glance/loss"}
    by_step |= {f"speed/{name}" for name in ("seconds_per_step", "seconds_waiting_for_data")}
    by_step |= {"speed/images_per_second", "speed/peak_memory_gib"}
    by_step |= {"keypoints/spread", "keypoints/at_edge", "skipped/steps"}
    tests = {f"at_a_glance/test_{name}" for name in ("l1", "l1_vs_copy", "psnr")}
    assert points.keys() == by_step | tests | {"skipped/clips"}
    assert all(list(points[name]) == [10] for name in by_step)
    assert all(list(points[name]) == [4, 8, 12] for name in tests)
    assert points["skipped/clips"] == {4: 0, 8: 0, 12: 0}

    assert points["optimizer/lr_generator"][10] == pytest.approx(2e-6)
    terms = [points[name][10] for name in points if name.startswith("loss/")]
    assert points["at_a_glance/loss"][10] == pytest.approx(sum(terms), rel=1e-5)
    seconds = points["speed/seconds_per_step"][10]
    assert seconds > points["speed/seconds_waiting_for_data"][10] > 0
    batch_size = load_config(config).train_params.batch_size
    assert points["speed/images_per_second"][10] == pytest.approx(batch_size / seconds, rel=1e-5)
    assert 0.01 < points["speed/peak_memory_gib"][10] < 100
    for name in ("optimizer/gradient_norm_generator", "keypoints/spread", "at_a_glance/test_l1"):
        assert min(points[name].values()) > 0


def test_tensorboard_shows_pictures_a_film_and_the_settings(whole_run: Path, config: Path) -> None:
    events = EventAccumulator(str(whole_run)).Reload()
    for name in ("at_a_glance/training_pairs", "keypoints/motions", "at_a_glance/test_video"):
        assert [picture.step for picture in events.Images(name)] == [4, 8, 12]
    last = events.Images("at_a_glance/test_video")[-1]
    with Image.open(BytesIO(last.encoded_image_string)) as film:
        assert film.format == "GIF" and len(list(ImageSequence.Iterator(film))) > 1
        assert film.width > 3 * film.height / 2  # first frame, true and rebuilt
    (text,) = events.Tensors("config/text_summary")
    shown = textwrap.dedent(text.tensor_proto.string_val[0].decode())
    assert shown == (whole_run / "config.yaml").read_text()
    (row,) = events.PluginTagToContent("hparams").values()
    settings = HParamsPluginData.FromString(row).session_start_info.hparams
    expected = load_config(config)
    assert settings["lr_generator"].number_value == expected.train_params.lr_generator
    weights = expected.train_params.loss_weights
    assert settings["loss_weights.equivariance_value"].number_value == weights.equivariance_value
    num_kp = expected.model_params.common_params.num_kp
    assert settings["model_params.common_params.num_kp"].number_value == num_kp
    assert "num_workers" not in settings


def test_checkpoints_have_the_published_layout_and_more(whole_run: Path, config: Path) -> None:
    content = torch.load(last_checkpoint(whole_run), weights_only=True)
    assert content.keys() == LAYOUT
    assert (content["epoch"], content["step"], content["step_in_epoch"]) == (3, 12, 0)
    networks = initial_networks(config, seed=SEED)
    for name, network in networks._asdict().items():
        assert content[name].keys() == network.state_dict().keys()
    for name in ("generator", "kp_detector"):
        adam = content[f"optimizer_{name}"]
        parameters = list(getattr(networks, name).parameters())
        assert [adam["state"][index]["exp_avg"].shape for index in range(len(parameters))] == [
            parameter.shape for parameter in parameters
        ]


def test_networks_learn(whole_run: Path, config: Path) -> None:
    content = read_torch_file(last_checkpoint(whole_run))
    networks = initial_networks(config, seed=SEED)
    for name in ("generator", "kp_detector"):
        for key, value in getattr(networks, name).named_parameters():
            assert not torch.equal(content[name][key], value), key
        for key, value in getattr(networks, name).named_buffers():
            if "running" in key:
                assert not torch.equal(content[name][key], value), key
    # Without an adversarial term the discriminator rests.
    assert_same_state(content["discriminator"], dict(networks.discriminator.state_dict()))


def test_each_epoch_draws_other_frames(config: Path, tmp_path: Path) -> None:
    step, seen = Trainer.step, []

    def recording(trainer: Trainer, *images: torch.Tensor) -> StepResult:
        seen.append(torch.stack(images))
        return step(trainer, *images)

    with patch.object(Trainer, "step", recording):
        training("--config", config, "--log_dir", tmp_path, *UNTESTED).output()
    pairs = torch.stack(seen).transpose(1, 2).flatten(0, 1)  # (pairs, source and driving, C, H, W)
    levels = pairs.view(EPOCHS, 2 * STEPS_AN_EPOCH, -1).mean(-1).sort().values
    assert len(levels.unique(dim=0)) == EPOCHS


def test_seeds_differ(config: Path, whole_run: Path, tmp_path: Path) -> None:
    one_epoch = ["--set", "train_params.num_epochs=1", *UNTESTED]
    training("--config", config, "--log_dir", tmp_path, *one_epoch)
    first = read_torch_file(last_checkpoint(run_folder(tmp_path)))
    assert first["seed"] == 0
    lines = [(run / "log.txt").read_text().split() for run in (run_folder(tmp_path), whole_run)]
    assert lines[0][5] != lines[1][5]  # the first epoch's total


def test_the_command_itself(config: Path, tmp_path: Path) -> None:
    """In a process of its own, with the real VGG19, from a folder that is not the project's."""
    done = run_process(
        "train",
        *("--config", config, "--set", "train_params.num_epochs=1"),
        *("--set", "train_params.num_workers=2", "--set", "train_params.num_repeats=1"),
        cwd=tmp_path,
    )
    assert re.fullmatch(r"training in .*\nepoch    1  step       2  total .*\n", done.output())
    assert "VGG19 with random weights" in done.stderr
    folder = run_folder(tmp_path / "log")
    assert done.stdout.endswith((folder / "log.txt").read_text())
    assert read_torch_file(last_checkpoint(folder))["step"] == 2


def test_dry_run_prints_the_config_and_writes_nothing(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    overrides = ["--set", "train_params.batch_size=4", "--set", "dataset_params.id_sampling=true"]
    done = training("--config", config, *overrides, "--dry_run")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "printed.yaml").write_text(done.output())
    assert load_config(tmp_path / "printed.yaml") == load_config(config, overrides[1::2])


def test_runs_of_one_moment_have_folders_of_their_own(tree: Tree, tmp_path: Path) -> None:
    tree["train_params"] |= {"num_epochs": 1, "num_repeats": 1, "validate_freq": 0}
    config = write_config(tmp_path / "run.yaml", tree)
    with patch.object(train.time, "strftime", return_value="20300101-000000"):
        for _ in range(3):
            training("--config", config, "--log_dir", tmp_path / "log").output()
    folders = sorted((tmp_path / "log").iterdir())
    assert len(folders) == 3
    for folder in folders:
        assert len((folder / "log.txt").read_text().splitlines()) == 1


def test_dry_run_needs_no_data() -> None:
    done = training("--config", ROOT / "config" / "vox-256.yaml", "--dry_run")
    assert yaml.safe_load(done.output())["dataset_params"]["root_dir"] == "data/vox-png"


# ----- warm starts


def test_init_from_takes_the_weights_and_begins_anew(
    config: Path, whole_run: Path, tree: Tree, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tree["model_params"]["discriminator_params"]["block_expansion"] = 2
    tree["train_params"] |= dict.fromkeys(("lr_generator", "lr_kp_detector"), 0)
    tree["train_params"]["num_epochs"] = 1
    caplog.set_level(logging.INFO)
    folder = train_tree(tmp_path, tree, "--init_from", last_checkpoint(whole_run), *UNTESTED)
    (finding,) = [record.getMessage() for record in caplog.records if "anew" in record.message]
    assert "discriminator.discs.1.down_blocks.0.conv.weight" in finding

    content, origin = (read_torch_file(last_checkpoint(run)) for run in (folder, whole_run))
    origin = with_averages(whole_run, origin)
    assert (content["epoch"], content["step"]) == (1, STEPS_AN_EPOCH)
    for name in ("generator", "kp_detector"):
        state = content[f"optimizer_{name}"]["state"]
        assert {int(entry["step"]) for entry in state.values()} == {STEPS_AN_EPOCH}
        network = getattr(initial_networks(config, seed=0), name)
        for key, _ in network.named_parameters():  # rates of 0 have left them as they came
            assert torch.equal(content[name][key], origin[name][key]), key


def test_init_from_takes_a_discriminator_that_fits(
    whole_run: Path, config: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = last_checkpoint(whole_run)
    overrides = ["--set", "train_params.num_epochs=1", *UNTESTED]
    caplog.set_level(logging.INFO)
    training("--init_from", source, "--log_dir", tmp_path, *overrides).output()
    assert caplog.text.count("tensors taken from") == len(Networks._fields)
    assert "anew" not in caplog.text
    assert "not taken" not in caplog.text
    content = read_torch_file(last_checkpoint(run_folder(tmp_path)))
    assert_same_state(content["discriminator"], read_torch_file(source)["discriminator"])


def test_a_rate_of_zero_leaves_the_detector_as_it_is(tree: Tree, tmp_path: Path) -> None:
    tree["train_params"] |= {"lr_kp_detector": 0, "num_epochs": 1}
    folder = train_tree(tmp_path, tree, *UNTESTED)
    content = read_torch_file(last_checkpoint(folder))
    networks = initial_networks(tmp_path / "run.yaml", seed=0)
    for key, value in networks.kp_detector.named_parameters():
        assert torch.equal(content["kp_detector"][key], value), key
    for key, value in networks.generator.named_parameters():
        assert not torch.equal(content["generator"][key], value), key


# ----- trouble on the way


def test_clips_that_cannot_be_used_are_skipped_and_counted(
    tree: Tree, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = write_dataset(tmp_path / "data")
    damaged = root / "train" / "e.mp4"
    damaged.write_bytes((root / "train" / "b.mp4").read_bytes()[:400])
    write_folder(root / "train" / "f", []).joinpath("0.png").write_bytes(
        (root / "train" / "a" / "000.png").read_bytes()
    )
    tree["dataset_params"]["root_dir"] = str(root)
    tree["train_params"] |= {"num_epochs": 1, "num_repeats": 2}
    folder = train_tree(tmp_path, tree, *UNTESTED)
    (found,) = re.findall(r"skipped_clips (\d+)", (folder / "log.txt").read_text())
    assert int(found) >= 4  # each of the two is drawn twice
    assert curve(folder, "skipped/clips") == {6: int(found)}
    warnings = [record.getMessage() for record in caplog.records if "skipping" in record.message]
    assert len(warnings) == 2
    assert any(f"{damaged}: " in warning for warning in warnings)
    assert any("has one frame" in warning for warning in warnings)


def test_a_test_clip_that_cannot_be_read_does_not_end_a_training(
    tree: Tree, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = write_dataset(tmp_path / "data")
    tree["dataset_params"]["root_dir"] = str(root)
    tree["train_params"] |= {"num_epochs": 1, "num_repeats": 1}
    one_less = train_tree(tmp_path, tree, "--set", "reconstruction_params.num_videos=1")
    expected = curve(one_less, "at_a_glance/test_l1")
    (root / "test" / "f.mp4").write_bytes(b"damaged")
    (tmp_path / "again").mkdir()
    assert curve(train_tree(tmp_path / "again", tree), "at_a_glance/test_l1") == expected
    assert f"{root / 'test' / 'f.mp4'}: " in caplog.text

    write_folder(root / "test" / "e2", [])
    (root / "test" / "e").rename(tmp_path / "e")
    (tmp_path / "last").mkdir()
    folder = train_tree(tmp_path / "last", tree)
    assert "test_l1 nan" in (folder / "log.txt").read_text()
    assert not (folder / "best.pth.tar").exists()


def poisoned(steps: range) -> Callable[..., StepResult]:
    """A Trainer.step whose driving frames are not finite in some steps, counted from 1."""
    step, count = Trainer.step, 0

    def poisoning(trainer: Trainer, source: torch.Tensor, driving: torch.Tensor) -> StepResult:
        nonlocal count
        count += 1
        return step(trainer, source, driving * torch.nan if count in steps else driving)

    return poisoning


def test_steps_that_are_not_finite_are_skipped_and_counted(
    config: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with patch.object(Trainer, "step", poisoned(range(6, 9))):
        training("--config", config, "--log_dir", tmp_path, *UNTESTED).output()
    folder = run_folder(tmp_path)
    assert re.findall(r"skipped_steps (\d)", (folder / "log.txt").read_text()) == ["0", "3", "0"]
    assert curve(folder, "skipped/steps") == {10: 3}
    assert curve(folder, "warning/step_skipped") == {6: 1, 7: 1, 8: 1}
    assert "step 6: loss perceptual: not finite; the step is skipped" in caplog.text
    for name, tensor in read_torch_file(last_checkpoint(folder))["generator"].items():
        assert tensor.isfinite().all(), name


def test_ten_skipped_steps_in_a_row_end_the_run(config: Path, tmp_path: Path) -> None:
    more = ["--set", "train_params.num_epochs=5", "train_params.keep_checkpoints=1", *UNTESTED]
    with patch.object(Trainer, "step", poisoned(range(7, 99))):
        done = training("--config", config, "--log_dir", tmp_path, *more)
    good = run_folder(tmp_path) / "00000001-checkpoint.pth.tar"
    message = f"loss perceptual: not finite in 10 steps in a row; go on with --checkpoint {good}"
    assert done.error().startswith(message)
    assert read_torch_file(good)["skipped_in_a_row"] == 0


def test_keypoints_that_collapse_are_warned_of_once(
    config: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    two_epochs = ["--set", "train_params.num_epochs=2", *UNTESTED]
    with (
        patch.multiple(guard, FIRST_CHECK=1, SMALLEST_SPREAD=2),
        patch.object(training_run, "STEPS_BETWEEN_SCALARS", 2),
    ):
        training("--config", config, "--log_dir", tmp_path, *two_epochs).output()
    folder = run_folder(tmp_path)
    assert caplog.text.count("keypoints lie within") == 1
    assert (folder / "log.txt").read_text().count("keypoints lie within") == 1
    assert list(curve(folder, "warning/keypoints_collapsed")) == [2]


@pytest.mark.parametrize(("seconds_a_step", "early"), [(14, []), (31, [2])])
def test_a_person_sees_a_picture_after_a_minute(
    config: Path, tmp_path: Path, seconds_a_step: int, early: list[int]
) -> None:
    step, clock = Trainer.step, SimpleNamespace(now=1000.0)

    def slow(trainer: Trainer, *images: torch.Tensor) -> StepResult:
        clock.now += seconds_a_step
        return step(trainer, *images)

    one_epoch = ["--set", "train_params.num_epochs=1", *UNTESTED]
    with (
        patch.object(Trainer, "step", slow),
        patch.object(training_report, "time", SimpleNamespace(monotonic=lambda: clock.now)),
    ):
        training("--config", config, "--log_dir", tmp_path, *one_epoch)
    folder = run_folder(tmp_path)
    events = EventAccumulator(str(folder)).Reload()
    shown = [picture.step for picture in events.Images("at_a_glance/training_pairs")]
    assert shown == [*early, STEPS_AN_EPOCH]
    names = sorted(path.name for path in (folder / "train-vis").iterdir())
    assert names == ["00000000-rec.png"] * len(early) + ["00000001-rec.png"]


def test_there_is_a_test_set_or_nothing_begins(tree: Tree, tmp_path: Path) -> None:
    root = write_dataset(tmp_path / "data")
    tree["dataset_params"]["root_dir"] = str(root)
    (root / "test").rename(tmp_path / "elsewhere")
    config = write_config(tmp_path / "run.yaml", tree)
    before = files_below(tmp_path)
    assert "test" in training("--config", config, "--log_dir", tmp_path / "log").error()
    assert files_below(tmp_path) == before
    never = ["--set", "train_params.validate_freq=0", "--set", "train_params.num_epochs=1"]
    done = training("--config", config, "--log_dir", tmp_path / "log", *never)
    assert "test_l1" not in done.output()


def test_the_config_that_a_checkpoint_carries_is_the_resolved_one(whole_run: Path) -> None:
    state = read_torch_file(last_checkpoint(whole_run))
    assert state["config"] == yaml.safe_load((whole_run / "config.yaml").read_text())
    root_dir = state["config"]["dataset_params"]["root_dir"]
    assert state["description"] == {"trained_on": Path(root_dir).name}
