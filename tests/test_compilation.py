"""Compiled networks give the frames of those that are not; where nothing compiles, these run."""

from collections.abc import Callable
from typing import TypeVar

import pytest
import torch
from by_hand import RELATIVE, assert_same
from golden_files import Golden, load_golden
from torch import Tensor, nn
from torch.testing import assert_close

from engine import animator as animator_module
from engine.animator import Animator
from engine.compilation import can_compile
from modules import convolution as convolution_module
from modules.convolution import as_matrix_product, convolve
from modules.generator import OcclusionAwareGenerator
from modules.keypoint_detector import KPDetector
from modules.winograd import FrozenConvolution

T = TypeVar("T")

BATCH_SIZE, NUM_FRAMES = 3, 4  # the last batch is a small one


@pytest.fixture
def golden() -> Golden:
    return load_golden("small-jacobian")


def animator_of(golden: Golden, *, compile: bool) -> Animator:
    return Animator(
        kp_detector=golden.networks.kp_detector,
        generator=golden.networks.generator,
        device=torch.device("cpu"),
        batch_size=BATCH_SIZE,
        compile=compile,
    )


def predictions(golden: Golden, animator: Animator) -> Tensor:
    start, end = golden.tensor("driving_initial")[0], golden.tensor("driving")[0]
    driving = [start.lerp(end, index / NUM_FRAMES) for index in range(NUM_FRAMES)]
    source = animator.encode(golden.tensor("source")[0])
    return torch.stack(list(animator.animate(source, driving, RELATIVE)))


def test_without_a_compiler_it_goes_on_without_and_says_so(
    golden: Golden, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(function: object, **settings: object) -> None:
        raise RuntimeError("no C++ compiler found\nSet TORCHDYNAMO_VERBOSE=1 for the stack trace")

    monkeypatch.setattr(torch, "compile", fail)
    animator = animator_of(golden, compile=True)
    assert not animator.compiled
    (message,) = caplog.messages
    assert message.startswith("--compile: ")
    assert "no C++ compiler found" in message and "\n" not in message
    assert_same(
        predictions(golden, animator), predictions(golden, animator_of(golden, compile=False))
    )


def test_compiled_code_sees_one_batch_size(golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    """For another it would be compiled again, which takes as long as many frames."""
    sizes = set()

    def watched(function: Callable[..., T]) -> Callable[..., T]:
        def call(first: Tensor, *rest: object) -> T:
            sizes.add(len(first))
            return function(first, *rest)

        return call

    def watch(kp_detector: KPDetector, generator: OcclusionAwareGenerator) -> None:
        monkeypatch.setattr(kp_detector, "forward", watched(kp_detector.forward))
        monkeypatch.setattr(generator, "paint", watched(generator.paint))

    monkeypatch.setattr(animator_module, "can_compile", lambda device, asked: True)
    monkeypatch.setattr(animator_module, "compile_networks", watch)
    found = predictions(golden, animator_of(golden, compile=True))
    assert sizes == {BATCH_SIZE}
    assert_same(found, predictions(golden, animator_of(golden, compile=False)), tolerance=1e-5)


@pytest.mark.slow
def test_compiled_frames_are_those_of_eager_networks(golden: Golden) -> None:
    animator = animator_of(golden, compile=True)
    if not animator.compiled:
        pytest.skip("this machine cannot compile")
    expected = predictions(golden, animator_of(golden, compile=False))
    assert_same(predictions(golden, animator), expected, tolerance=1e-4)


class TrainingLayers(nn.Module):
    """The convolutions that are computed in ways of our own while a network is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.trained = nn.Conv2d(4, 8, 3, padding=1)
        fixed = nn.Conv2d(8, 4, 3)
        assert fixed.bias is not None
        self.frozen = FrozenConvolution(fixed.weight, fixed.bias, dtype=torch.float32)

    def forward(self, x: Tensor) -> Tensor:
        return self.frozen(convolve(x, self.trained))


@pytest.mark.slow
@pytest.mark.parametrize(("size", "as_product"), [(5, True), (6, False)])
def test_compiled_layers_have_the_numbers_and_gradients_of_eager_ones(
    size: int, as_product: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Winograd's convolution, after a matrix product or a convolution by torch."""
    if not can_compile(torch.device("cpu"), asked="this test"):
        pytest.skip("this machine cannot compile")
    torch._dynamo.reset()
    calls = []

    def counted(*args: Tensor) -> Tensor:
        calls.append(args)
        return as_matrix_product(*args)

    monkeypatch.setattr(convolution_module, "as_matrix_product", counted)
    monkeypatch.setattr(convolution_module, "_FEW_PIXELS", 2 * 5 * 5)
    monkeypatch.setattr(convolution_module, "_LARGE_KERNEL", 1)
    torch.manual_seed(0)
    layers, x = TrainingLayers(), torch.randn(2, 4, size, size, requires_grad=True)
    direction = torch.randn(2, 4, size, size)
    inputs = [x, *layers.parameters()]
    eager = layers(x)
    expected = torch.autograd.grad(eager, inputs, direction)
    assert len(calls) == as_product
    layers.compile(fullgraph=True)
    compiled = layers(x)
    found = torch.autograd.grad(compiled, inputs, direction)
    assert_close(compiled, eager, check_stride=False)
    for gradient, other in zip(found, expected, strict=True):
        assert gradient.any()
        assert_close(gradient, other, check_stride=False)
