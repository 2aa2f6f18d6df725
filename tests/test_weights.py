"""A network's tensors in a checkpoint: under whatever names, and fit to compute with."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from commands import (
    GOLDEN_SIZE,
    frames_of_a_square,
    golden_checkpoint,
    golden_tree,
    run_here,
    write_config,
    write_dataset,
    write_stack,
)

import animate
import reconstruction
import train
from engine.checkpoint import read_torch_file, with_averages
from engine.errors import UserError
from engine.weights import plain_weights
from tools import export, shrink_checkpoint

WHERE = "x.pth.tar: generator"
KEY = "first.conv.weight"


@pytest.mark.parametrize(
    "name",
    [
        "module.first.conv.weight",
        "module.module.first.conv.weight",
        "_orig_mod.first.conv.weight",
        "_orig_mod.module.first.conv.weight",
        "module._orig_mod.first.conv.weight",
        "first._orig_mod.conv.weight",
        "first.conv.module.weight",
    ],
)
def test_wrappers_leave_no_trace_in_names(name: str) -> None:
    assert list(plain_weights(WHERE, {name: torch.ones(2)})) == [KEY]


def test_a_tensor_by_two_names_is_refused() -> None:
    twice = {KEY: torch.ones(2), f"module.{KEY}": torch.zeros(2)}
    with pytest.raises(UserError, match=rf"^{WHERE}\.{KEY}: there twice, by two names; "):
        plain_weights(WHERE, twice)


ODD: dict[str, tuple[Callable[[], object], str]] = {
    "nan": (lambda: torch.tensor([1.0, float("nan")]), "holds NaN or infinite values"),
    "infinite": (lambda: torch.tensor([1.0, float("-inf")]), "holds NaN or infinite values"),
    "half": (lambda: torch.tensor([float("nan")]).half(), "holds NaN or infinite values"),
    "beyond float32": (lambda: torch.tensor([1e300]).double(), "holds NaN or infinite values"),
    "everywhere": (lambda: torch.full((), float("nan")).expand(10**6, 10**6), "holds NaN"),
    "quantised": (
        lambda: torch._empty_affine_quantized([2], scale=1.0, zero_point=0, dtype=torch.qint8),
        "a quantised tensor",
    ),
    "sparse": (lambda: torch.eye(2).to_sparse(), "a sparse tensor"),
    "complex": (lambda: torch.ones(2, dtype=torch.complex64), "a complex tensor"),
    "meta": (lambda: torch.ones(2, device="meta"), "a meta tensor"),
    "nested": (lambda: torch.nested.nested_tensor([torch.ones(1), torch.ones(2)]), "a nested"),
    "number": (lambda: 1.0, "of type float, not a tensor"),
    "nothing": (lambda: None, "of type NoneType, not a tensor"),
}


@pytest.mark.filterwarnings("ignore")  # Of kinds of tensors that torch itself discourages.
@pytest.mark.parametrize("kind", ODD)
def test_what_networks_cannot_compute_with_is_refused_by_name(kind: str) -> None:
    make, complaint = ODD[kind]
    with pytest.raises(UserError) as error:
        plain_weights(WHERE, {"a": torch.ones(2), f"module.{KEY}": make()})
    assert str(error.value).startswith(f"{WHERE}.{KEY}: {complaint}")
    assert "; " in str(error.value), "a remedy follows"


def test_a_negative_variance_is_refused() -> None:
    weights = {"norm.running_mean": -torch.ones(2), "norm.running_var": torch.ones(2)}
    plain_weights(WHERE, weights)
    with pytest.raises(UserError, match=r"generator\.norm\.running_var: holds a negative variance"):
        plain_weights(WHERE, weights | {"norm.running_var": torch.tensor([1.0, -1e-3])})


@pytest.mark.parametrize("found", [None, 3, [torch.ones(2)]])
def test_what_is_no_state_dict_is_refused(found: object) -> None:
    with pytest.raises(UserError, match=f"^{WHERE}: of type .*, not a state dict; "):
        plain_weights(WHERE, found)


# ----- every command


class Place:
    """A dataset, a config and a checkpoint of which one weight is spoilt."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = write_dataset(folder / "data", size=GOLDEN_SIZE)
        tree = golden_tree("small-jacobian", self.data)
        tree["train_params"] |= {"batch_size": 2, "num_workers": 0, "perceptual_weights": "random"}
        tree["train_params"]["loss_weights"] |= {"perceptual": []}
        self.config = write_config(folder / "run.yaml", tree)
        self.checkpoint = folder / "spoilt.pth.tar"
        state = read_torch_file(golden_checkpoint("small-jacobian"))
        state["generator"][KEY].view(-1)[-1] = float("nan")
        torch.save(state, self.checkpoint)
        self.picture = write_stack(folder / "a.png", frames_of_a_square(0, size=GOLDEN_SIZE)[:1])

    def arguments(self, command: str) -> list[object]:
        given: list[object] = ["--checkpoint", self.checkpoint]
        if command == "shrink":
            return [*given, "--out", self.folder / "out.pth.tar"]
        given += ["--config", self.config]
        if command == "export":
            return [*given, "--out", self.folder / "out"]
        if command == "animate":
            files = ["--source_image", self.picture, "--driving_video", self.data / "test" / "e"]
            return [*given, "--device", "cpu", *files, "--result_video", self.folder / "out.mp4"]
        if command == "init_from":
            given[0] = "--init_from"
        return [*given, "--device", "cpu", "--log_dir", self.folder / "out"]


COMMANDS: dict[str, Callable[[], None]] = {
    "animate": animate.main,
    "reconstruction": reconstruction.main,
    "train": train.main,
    "init_from": train.main,
    "export": export.main,
    "shrink": shrink_checkpoint.main,
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("spoilt"))


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_goes_on_from_weights_that_are_not_finite(place: Place, command: str) -> None:
    before = {path for path in place.folder.rglob("*") if path.is_file()}
    message = run_here(COMMANDS[command], *place.arguments(command)).error()
    assert message == (
        f"{place.checkpoint}: generator.{KEY}: holds NaN or infinite values; take an earlier "
        "checkpoint of the run, or get a whole copy"
    )
    assert {path for path in place.folder.rglob("*") if path.is_file()} == before


def test_a_video_of_nan_is_not_written(place: Place, tmp_path: Path) -> None:
    """Finite weights may be so large that nothing else comes of them."""
    state = read_torch_file(golden_checkpoint("small-jacobian"))
    state["generator"][KEY] = torch.full_like(state["generator"][KEY], 1e38)
    large = tmp_path / "large.pth.tar"
    torch.save(state, large)
    result = place.folder / "out.mp4"
    arguments = [*place.arguments("animate"), "--checkpoint", large]
    assert "the networks predict NaN or" in run_here(animate.main, *arguments).error()
    assert not result.exists()


def test_averages_are_refused_by_their_own_name() -> None:
    spoilt = {KEY: torch.tensor([float("inf")])}
    state = {"generator": {KEY: torch.ones(1)}, "average": {"generator": spoilt}}
    with pytest.raises(UserError, match=rf"^x: average\.generator\.{KEY}: holds NaN"):
        with_averages(Path("x"), state)


def test_averages_replace_networks_alone() -> None:
    state = {"config": {"a": 1}, "epoch": 3, "average": {"config": {}, "epoch": 9}}
    assert with_averages(Path("x"), state) == state
