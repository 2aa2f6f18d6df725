"""Half precision where the machine computes in it; what does not fit it is done in float32."""

from itertools import islice

import pytest
import torch
from by_hand import RELATIVE
from commands import ROOT
from golden_files import load_golden

from engine import precision
from engine.animator import Animator
from engine.build import build_inference_networks, choose_config
from engine.checkpoint import load_weights, read_torch_file, with_averages
from engine.errors import UserError
from engine.image import to_tensor
from engine.precision import choose_precision
from engine.scene import open_scene

CPU, CUDA, MPS = torch.device("cpu"), torch.device("cuda"), torch.device("mps")
CLOSE = 1e-4  # mean square, 40 dB; for weights that were hardly trained
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def pretend(monkeypatch: pytest.MonkeyPatch, *, bf16: bool = False, cuda: int = 8) -> None:
    monkeypatch.setattr(precision, "_cpu_multiplies_bfloat16", lambda: bf16)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (cuda, 0))


@pytest.mark.parametrize(
    ("device", "bf16", "cuda", "expected"),
    [
        (CPU, True, 0, "bf16"),
        (CPU, False, 0, "fp32"),
        (CUDA, False, 9, "bf16"),
        (CUDA, False, 7, "fp16"),
        (CUDA, False, 6, "fp32"),
        (MPS, False, 0, "fp16"),
    ],
)
def test_auto_is_what_the_device_computes_in(
    monkeypatch: pytest.MonkeyPatch, device: torch.device, bf16: bool, cuda: int, expected: str
) -> None:
    pretend(monkeypatch, bf16=bf16, cuda=cuda)
    assert choose_precision("auto", device) == TYPES[expected]
    assert choose_precision("fp32", device) == torch.float32
    assert choose_precision(expected, device) == TYPES[expected]


@pytest.mark.parametrize(
    ("name", "device", "bf16", "cuda", "remedy"),
    [
        ("fp16", CPU, True, 0, "bf16"),
        ("fp16", CPU, False, 0, "fp32"),
        ("bf16", CPU, False, 0, "fp32"),
        ("bf16", MPS, True, 0, "fp16"),
        ("bf16", CUDA, True, 7, "fp16"),
        ("fp16", CUDA, True, 6, "fp32"),
    ],
)
def test_what_the_device_would_only_emulate_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    device: torch.device,
    bf16: bool,
    cuda: int,
    remedy: str,
) -> None:
    pretend(monkeypatch, bf16=bf16, cuda=cuda)
    with pytest.raises(UserError, match=f"--precision {name}: .*; try --precision {remedy}$"):
        choose_precision(name, device)


def animator_of(name: str, dtype: torch.dtype) -> Animator:
    networks = load_golden(name).networks
    return Animator(
        kp_detector=networks.kp_detector,
        generator=networks.generator,
        device=CPU,
        batch_size=2,
        precision=dtype,
    )


def predictions(animator: Animator) -> torch.Tensor:
    golden = load_golden("small-jacobian")
    driving = [*golden.tensor("driving_initial"), *golden.tensor("driving")]
    source = animator.encode(golden.tensor("source")[0])
    return torch.stack(list(animator.animate(source, driving, RELATIVE)))


def test_half_precision_is_close_to_full_and_finds_the_same_keypoints() -> None:
    picture = load_golden("small-jacobian").tensor("source")[0]
    for own, other in zip(
        animator_of("small-jacobian", torch.float32).detect(picture),
        animator_of("small-jacobian", torch.bfloat16).detect(picture),
        strict=True,
    ):
        assert own is not None and other is not None and torch.equal(own, other)
    exact = predictions(animator_of("small-jacobian", torch.float32))
    half = predictions(animator_of("small-jacobian", torch.bfloat16))
    assert 0 < (half - exact).square().mean() < CLOSE


def test_the_shipped_checkpoint_makes_the_same_frames_to_42_decibels() -> None:
    path = ROOT / "demo" / "checkpoint.pth.tar"
    state = read_torch_file(path)
    config = choose_config(None, [], checkpoint=path, state=state)
    networks = build_inference_networks(config.model_params)
    load_weights(path, with_averages(path, state), networks._asdict())
    picture, video = ROOT / "demo" / "source.png", ROOT / "demo" / "driving.mp4"
    found = []
    with open_scene(picture, video, frame_shape=config.dataset_params.frame_shape) as scene:
        driving = list(islice(scene.clip, 0, None, 5))
        for dtype in (torch.float32, torch.bfloat16):
            animator = Animator(**networks._asdict(), device=CPU, precision=dtype)
            source = animator.encode(to_tensor(scene.source()))
            found.append(torch.stack(list(animator.animate(source, driving, RELATIVE))))
    error = (found[1] - found[0]).square().flatten(1).mean(dim=1)  # (T,)
    assert (-10 * error.log10()).min() >= 42


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    "place",
    [
        "final.weight",
        "first.weight",
        "dense_motion_network.mask.weight",
        # Of these infinities, the sigmoid makes a plain, wrong number.
        "final.bias",
        "dense_motion_network.occlusion.bias",
    ],
)
def test_what_does_not_fit_half_precision_is_done_again_in_full(
    place: str, dtype: torch.dtype, caplog: pytest.LogCaptureFixture
) -> None:
    animator = animator_of("small-jacobian", dtype)
    animator.generator.state_dict()[place].fill_(torch.inf)
    exact = predictions(animator_of("small-jacobian", torch.float32))
    assert (predictions(animator) - exact).square().mean() < CLOSE
    assert len(caplog.messages) == 1
    assert "float32" in caplog.messages[0]


def test_a_frame_that_fits_is_not_done_again(caplog: pytest.LogCaptureFixture) -> None:
    predictions(animator_of("small-jacobian", torch.bfloat16))
    assert not caplog.messages
