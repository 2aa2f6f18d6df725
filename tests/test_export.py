"""Exported models animate as PyTorch does, or are not there at all."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from unittest.mock import patch

import clips
import imageio.v3 as iio
import numpy as np
import pytest
import torch
from commands import (
    ROOT,
    SIZE,
    Finished,
    files_below,
    frames_of_a_square,
    golden_checkpoint,
    golden_tree,
    run_here,
    tiny_tree,
    write_config,
)
from tiny_networks import lively
from torch import Tensor, nn

from config.schema import load_config, parse_config
from engine.animator import Animator
from engine.build import build_inference_networks
from engine.checkpoint import load_weights, read_torch_file
from engine.errors import UserError
from engine.export_formats import FORMATS, Runtime, load_torchscript
from engine.image import to_tensor
from engine.output import new_folder
from engine.parity import difference_of
from modules.keypoints import MotionTransfer
from tools import export

CPU = torch.device("cpu")
Exporter = Callable[..., Path]
COPYING = "model_params.generator_params.copy_visible=true"


def export_golden(
    out: Path, *, name: str = "small-zero-order", format_name: str = "torchscript"
) -> Finished:
    config = write_config(out.parent / f"{name}.yaml", golden_tree(name, out.parent))
    given = ("--checkpoint", golden_checkpoint(name), "--config", config)
    return run_here(export.main, *given, "--out", out, "--format", format_name)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of tiny networks, which exporters are faster with, that carries its config."""
    tree = tiny_tree(Path("data"))
    torch.manual_seed(0)
    networks = build_inference_networks(parse_config(tree, "tiny").model_params)
    for network in networks:
        lively(network)
    jacobian = networks.kp_detector.jacobian
    assert jacobian is not None
    nn.init.normal_(jacobian.weight, std=0.01)  # all matrices alike would tell nothing apart
    path = tmp_path_factory.mktemp("tiny") / "tiny.pth.tar"
    weights = {name: network.state_dict() for name, network in networks._asdict().items()}
    torch.save({**weights, "config": tree}, path)
    return path


@pytest.fixture(scope="module")
def exported(tiny: Path) -> Exporter:
    """Exports the tiny networks to a format, once, with settings if any."""

    @cache
    def exported_to(format_name: str, *settings: str) -> Path:
        for package in FORMATS[format_name].needs:
            pytest.importorskip(package)
        out = tiny.with_name("-".join([format_name, *settings]))
        given = ("--checkpoint", tiny, "--out", out, "--format", format_name)
        run_here(export.main, *given, *(["--set", *settings] if settings else [])).output()
        return out

    return exported_to


def animator_of(checkpoint: Path, *settings: str) -> Animator:
    state = read_torch_file(checkpoint)
    config = parse_config(state["config"], "", settings)
    networks = build_inference_networks(config.model_params)
    load_weights(checkpoint, state, networks._asdict())
    return Animator(**networks._asdict(), device=CPU)


class Exported:
    """What somebody would do with the files, who knows no more than they say of themselves."""

    def __init__(self, folder: Path) -> None:
        self.about = json.loads((folder / "model.json").read_text())
        load = FORMATS[self.about["format"]].load
        self.runtimes = {
            name: load(folder / graph["file"]) for name, graph in self.about["graphs"].items()
        }

    def run(self, graph: str, values: dict[str, Tensor]) -> dict[str, Tensor]:
        ports = self.about["graphs"][graph]
        outputs = self.runtimes[graph]([values[port["name"]] for port in ports["inputs"]])
        for port, value in zip(ports["outputs"], outputs, strict=True):
            batch, *rest = port["shape"]
            assert batch == "batch" and value.shape[1:] == tuple(rest)
            low, high = port["range"] or (-torch.inf, torch.inf)
            assert low <= value.min() and value.max() <= high
        return {port["name"]: it for port, it in zip(ports["outputs"], outputs, strict=True)}

    def animate(self, picture: Tensor, driving: Tensor, *, absolute: bool = False) -> Tensor:
        encoded = self.run("encode_source", {"source_image": picture})
        first = self.run("encode_source", {"source_image": driving[:1]})
        reference = {
            name.replace("source", "reference"): value
            for name, value in (encoded if absolute else first).items()
        }
        values = {"source_image": picture, "driving": driving, "scale": torch.ones(())}
        return self.run("step", values | encoded | reference)["prediction"]


def images(number: int, count: int) -> Tensor:
    frames = frames_of_a_square(number, count=count, size=SIZE)
    return torch.stack([to_tensor(frame) for frame in frames])


@pytest.mark.parametrize(
    ("format_name", "settings"),
    [*((name, []) for name in FORMATS), ("torchscript", [COPYING]), ("onnx", [COPYING])],
)
def test_exported_files_animate_as_the_animator_does(
    format_name: str, settings: list[str], tiny: Path, exported: Exporter
) -> None:
    model, animator = Exported(exported(format_name, *settings)), animator_of(tiny, *settings)
    picture, driving = images(2, 1), images(1, 7)
    source = animator.encode(picture[0])
    predictions = []
    for options in (MotionTransfer(), MotionTransfer(relative=False)):
        expected = torch.stack(list(animator.animate(source, driving, options)))
        found = model.animate(picture, driving, absolute=not options.relative)
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
        predictions.append(expected)
    # Which would say little if all frames were alike, or both ways of motion.
    assert (predictions[0][0] - predictions[0][6]).abs().max() > 0.05
    assert (predictions[0] - predictions[1]).abs().max() > 0.05


def test_what_is_visible_is_copied_only_where_it_was_asked_for(
    tiny: Path, exported: Exporter
) -> None:
    picture, driving = images(2, 1), images(1, 2)
    painted, copied = (
        Exported(exported("torchscript", *settings)).animate(picture, driving)
        for settings in ([], [COPYING])
    )
    assert (painted - copied).abs().max() > 0.05


def test_the_report_and_what_is_said_of_a_model_lie_beside_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    printed = export_golden(out).output()
    assert "step: prediction" in printed and "off PyTorch" in printed
    report, about = (json.loads((out / f"{name}.json").read_text()) for name in ("parity", "model"))
    checks = report["checks"]
    assert 0 < report["largest"] == max(it["difference"] for it in checks) < report["limit"] == 1e-3
    seen = {(it["graph"], it["sample"], it["batch_size"]) for it in checks}
    assert seen == {
        (graph, sample, size)
        for graph in ("encode_source", "step")
        for sample in ("random", "real")
        for size in (1, 2, 3)
    }
    assert {it["motion"] for it in checks} == {None, "relative", "relative, scaled", "absolute"}
    assert about["config"]["model_params"]["common_params"]["num_kp"] == 5

    # Points alone, which is all that this detector finds.
    names = [port["name"] for port in about["graphs"]["step"]["inputs"]]
    expected = ["driving", "source_image", "source_features", "source_points", "reference_points"]
    assert names == [*expected, "scale"]
    texts = {"inputs": "", "config": ""}
    torch.jit.load(out / "step.pt", _extra_files=texts)
    assert json.loads(texts["inputs"]) == about["graphs"]["step"]["inputs"]
    assert json.loads(texts["config"]) == about["config"]


def test_an_onnx_file_says_of_itself_what_it_is(exported: Exporter) -> None:
    onnxruntime, folder = pytest.importorskip("onnxruntime"), exported("onnx")

    about = json.loads((folder / "model.json").read_text())
    for name, graph in about["graphs"].items():
        session = onnxruntime.InferenceSession(folder / f"{name}.onnx")
        texts = session.get_modelmeta().custom_metadata_map
        for ports, side in ((session.get_inputs(), "inputs"), (session.get_outputs(), "outputs")):
            assert json.loads(texts[side]) == graph[side]
            shapes = [(port.name, list(port.shape)) for port in ports]
            assert shapes == [(port["name"], port["shape"]) for port in graph[side]]
        assert json.loads(texts["config"]) == about["config"]


def test_an_onnx_file_samples_images_and_depends_on_no_data(exported: Exporter) -> None:
    onnx, folder = pytest.importorskip("onnx"), exported("onnx")
    model = onnx.shape_inference.infer_shapes(onnx.load(folder / "step.onnx"))
    assert {it.domain: it.version for it in model.opset_import}[""] >= 20
    kinds = {node.op_type for node in model.graph.node}
    assert kinds.isdisjoint({"BatchNormalization", "If", "Loop", "Scan", "NonZero"})
    dimensions = {
        it.name: len(it.type.tensor_type.shape.dim)
        for it in (*model.graph.value_info, *model.graph.input)
    }
    samplers = [node for node in model.graph.node if node.op_type == "GridSample"]
    assert samplers
    assert all(dimensions[name] == 4 for node in samplers for name in node.input)


def test_what_differs_too_much_is_refused_and_gone(tmp_path: Path) -> None:
    def load_wrongly(path: Path) -> Runtime:
        right = load_torchscript(path)

        def run(inputs: Sequence[Tensor]) -> list[Tensor]:
            *others, last = right(inputs)
            # Where it is hardest to see: in the last image of the largest batch.
            return [*others, last + 2e-3 * (torch.arange(len(last)) > 1)[:, None, None, None]]

        return run if path.stem == "step" else right

    wrong = FORMATS["torchscript"]._replace(load=load_wrongly)
    before = files_below(tmp_path)
    with patch.dict("tools.export.FORMATS", {"torchscript": wrong}):
        done = export_golden(tmp_path / "out")
    assert "step: prediction is 0.002 off PyTorch's" in done.error()
    assert "batch size 3" in done.error()
    assert files_below(tmp_path).keys() - before.keys() == {"small-zero-order.yaml"}
    assert not (tmp_path / "out").exists()


def test_a_difference_is_a_share_only_of_what_is_large_and_never_no_number() -> None:
    expected = torch.tensor([[0.25, -0.5]])
    assert difference_of(expected + 0.125, expected) == 0.125
    assert difference_of(200 * expected + 1, 200 * expected) == 0.01
    assert difference_of(expected * torch.nan, expected) == torch.inf
    assert difference_of(expected, expected.expand(2, 2)) == torch.inf


def test_results_replace_nothing(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name, reason in (("full", "is not empty"), ("file", "is a file")):
        done = export_golden(tmp_path / name)
        assert done.error().startswith(f"{tmp_path / name}: {reason}")
    assert files_below(tmp_path).keys() == {"full/mine.txt", "file", "small-zero-order.yaml"}


def test_a_new_folder_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("empty", "deep/new"):
        with new_folder(tmp_path / name) as folder:
            (folder / "a").write_text("a")
            assert not (tmp_path / name / "a").exists()
        assert files_below(tmp_path / name) == {"a": b"a"}
    with pytest.raises(UserError, match="out"), new_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("a")
        raise OSError(28, "No space left on device")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "empty"]


def test_a_missing_package_is_named_with_what_installs_it(tmp_path: Path) -> None:
    with patch.dict(sys.modules, {"onnx": None}):
        message = export_golden(tmp_path / "out", format_name="onnx").error()
    assert message.startswith("onnx: not installed")
    assert "requirements-export.txt" in message
    assert not (tmp_path / "out").exists()


def test_a_generator_without_motion_is_refused(tmp_path: Path) -> None:
    tree = golden_tree("small-zero-order", tmp_path)
    tree["model_params"]["generator_params"]["dense_motion_params"] = None
    config = load_config(write_config(tmp_path / "still.yaml", tree))
    networks = build_inference_networks(config.model_params)
    state = {name: network.state_dict() for name, network in networks._asdict().items()}
    checkpoint = tmp_path / "still.pth.tar"
    torch.save(state, checkpoint)
    given = ("--checkpoint", checkpoint, "--config", tmp_path / "still.yaml")
    done = run_here(export.main, *given, "--out", tmp_path / "out", "--format", "torchscript")
    assert "dense_motion_params: missing" in done.error()


def test_the_example_animates_where_there_is_no_torch(
    tiny: Path, exported: Exporter, tmp_path: Path
) -> None:
    example = ROOT / "docs" / "onnx_example.py"
    assert len(example.read_text().splitlines()) <= 40
    (tmp_path / "torch.py").write_text("raise ImportError('there is no torch here')\n")
    picture, video = tmp_path / "picture.png", tmp_path / "driving.mp4"
    iio.imwrite(picture, frames_of_a_square(2, size=SIZE)[0])
    clips.write(video, frames_of_a_square(1, count=6, size=SIZE))
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    arguments = (exported("onnx"), picture, video, tmp_path / "result.mp4")
    command = [sys.executable, str(example), *map(str, arguments)]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, check=True, timeout=60)

    found = np.stack(list(iio.imiter(tmp_path / "result.mp4")))
    animator = animator_of(tiny)
    source = animator.encode(to_tensor(iio.imread(picture)))
    driving = [to_tensor(frame) for frame in iio.imiter(video)]
    expected = torch.stack(list(animator.animate(source, driving, MotionTransfer())))
    assert found.shape == (6, SIZE, SIZE, 3)
    truth = 255 * expected.permute(0, 2, 3, 1).numpy()
    assert np.abs(found - truth).mean() < 6  # a video of few pixels loses some
