"""Parity with the published implementation, on every array of every golden file."""

import json
from dataclasses import asdict
from functools import cache

import pytest
import torch
from golden_files import FOLDER, NAMES, Golden, load_golden
from torch import Tensor, nn
from torchvision.models import vgg19

from config.schema import load_config
from engine import training
from engine.build import Networks, build_networks
from engine.build_training import build_vgg
from engine.training import FullModels, Trainer
from modules.equivariance import RandomWarp, WarpDistribution
from modules.keypoints import MotionTransfer, transfer_motion
from modules.model import DiscriminatorFullModel, GeneratorFullModel
from modules.perceptual import ImagePyramid, VGG19Features
from modules.step import Draws, LossWeights

EVAL_TOLERANCE = 1e-4
# What the golden files call our terms.
TERM_NAMES = {"generator_gan": "gen_gan", "discriminator_gan": "disc_gan"}
ROOT = FOLDER.parent.parent


def test_the_golden_files_are_there() -> None:
    assert {"small-jacobian", "small-single-map-kp-disc", "small-zero-order"} <= set(NAMES)


@pytest.fixture(params=NAMES)
def golden(request: pytest.FixtureRequest) -> Golden:
    return load_golden(request.param)


def assert_equal(golden: Golden, outputs: dict[str, Tensor | None], prefix: str) -> None:
    """Compare every array below a prefix: none missing, none too many, all within tolerance."""
    expected = {key for key in golden.arrays if key.startswith(prefix)}
    found = {f"{prefix}{key}": value for key, value in outputs.items() if value is not None}
    assert found.keys() == expected
    for key, value in found.items():
        error = (value - golden.tensor(key)).abs().max().item()
        assert error <= EVAL_TOLERANCE, f"{key}: off by {error:.1e}"


@torch.no_grad()
def test_keypoints(golden: Golden) -> None:
    for name in ("source", "driving", "driving_initial"):
        keypoints = golden.networks.kp_detector(golden.tensor(name))
        assert_equal(golden, keypoints._asdict(), f"eval/kp_{name}/")


@torch.no_grad()
def test_dense_motion_and_prediction(golden: Golden) -> None:
    detector, generator = golden.networks.kp_detector, golden.networks.generator
    source, driving = golden.tensor("source"), golden.tensor("driving")
    generated = generator(source, detector(source), detector(driving))
    assert_equal(golden, generated.motion._asdict(), "eval/dense_motion/")
    error = (generated.prediction - golden.tensor("eval/prediction")).abs().max().item()
    assert error <= EVAL_TOLERANCE


@pytest.mark.parametrize("adapt_scale", [False, True])
@torch.no_grad()
def test_relative_transfer(golden: Golden, adapt_scale: bool) -> None:
    detector, generator = golden.networks.kp_detector, golden.networks.generator
    image = golden.tensor("source")
    source = detector(image).at(0)
    driving = detector(golden.tensor("driving")).at(0)
    reference = detector(golden.tensor("driving_initial")).at(0)
    moved = transfer_motion(source, driving, reference, MotionTransfer(adapt_scale=adapt_scale))
    assert_equal(golden, moved._asdict(), f"eval/kp_relative_adapt{int(adapt_scale)}/")
    prediction = generator(image[:1], source, moved).prediction
    expected = golden.tensor(f"eval/prediction_relative_adapt{int(adapt_scale)}")
    assert (prediction - expected).abs().max().item() <= EVAL_TOLERANCE


@torch.no_grad()
def test_pyramid_and_discriminator(golden: Golden) -> None:
    driving = golden.tensor("driving")
    pyramid = ImagePyramid(golden.scales, num_channels=3)
    images = pyramid(driving)
    assert_equal(golden, dict(zip(map(str, golden.scales), images, strict=True)), "pyramid/")

    keypoints = golden.networks.kp_detector(driving)
    discriminator = golden.networks.discriminator
    outputs: dict[str, Tensor | None] = {}
    judgements = discriminator(pyramid.at(discriminator.scales, images), keypoints)
    for scale, judgement in zip(discriminator.scales, judgements, strict=True):
        outputs[f"prediction_map_{scale:g}"] = judgement.prediction_map
        for i, feature_map in enumerate(judgement.feature_maps):
            outputs[f"feature_maps_{scale:g}/{i}"] = feature_map
    assert_equal(golden, outputs, "eval/discriminator/")


def test_random_warp(golden: Golden) -> None:
    warp = golden.random_warp()
    points = golden.tensor("transform/points").requires_grad_()
    outputs = {
        "frame": warp.frame(golden.tensor("driving")),
        "warped_points": warp.points(points),
        "jacobian": warp.jacobian(points),
    }
    for key, value in outputs.items():
        error = (value - golden.tensor(f"transform/{key}")).abs().max().item()
        assert error <= EVAL_TOLERANCE, key


class WarpGiven(nn.Module):
    """The generator's full model with the golden warp in place of a drawn one."""

    def __init__(self, model: GeneratorFullModel, warp: RandomWarp) -> None:
        super().__init__()
        self.model = model
        self.weights = model.weights
        self.draw = model.draw
        self.warp = warp

    def forward(self, source: Tensor, driving: Tensor, drawn: Draws) -> tuple:
        return self.model(source, driving, drawn._replace(warp=self.warp))


def record_gradient_norms(trainer: Trainer) -> dict[str, float]:
    """Keep the gradient norms that each optimizer finds when it steps."""
    norms: dict[str, float] = {}

    def hook(network: str) -> None:
        parameters = dict(getattr(trainer.networks, network).named_parameters())

        def record(*_: object) -> None:
            for name, parameter in parameters.items():
                gradient = parameter.grad
                norms[f"{network}/{name}"] = 0.0 if gradient is None else gradient.norm().item()

        trainer.optimizers[network].register_step_pre_hook(record)

    for network in trainer.optimizers:
        hook(network)
    return norms


@cache
def random_vgg() -> VGG19Features:
    return build_vgg("random", depth=5, winograd=True)


def full_models(golden: Golden) -> FullModels:
    networks = golden.networks
    weights = LossWeights(**asdict(golden.loss_weights))
    generator_model = GeneratorFullModel(
        kp_detector=networks.kp_detector,
        generator=networks.generator,
        discriminator=networks.discriminator,
        pyramid=ImagePyramid(golden.scales, 3),
        vgg=random_vgg(),
        warps=WarpDistribution(**asdict(golden.transform_params)),
        weights=weights,
    )
    discriminator_model = DiscriminatorFullModel(
        discriminator=networks.discriminator,
        weight=weights.discriminator_gan,
    )
    model = WarpGiven(generator_model, golden.random_warp())
    return FullModels(model, discriminator_model)  # type: ignore[arg-type]


def test_training_step(golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    # In torch's default layout, as the golden steps were made: channels last, convolutions sum in
    # another order, which a nearly dead channel's batch norm amplifies to 2 % of a gradient norm.
    monkeypatch.setattr(training, "place", lambda images, device: images)
    source, driving = golden.tensor("source"), golden.tensor("driving")
    networks = golden.networks
    trainer = Trainer(
        networks,
        full_models(golden),
        learning_rates=dict.fromkeys(Networks._fields, 2e-4),
        milestones=[],
        device=torch.device("cpu"),
    )
    for network in trainer.networks:
        network.train()
    norms = record_gradient_norms(trainer)
    result = trainer.step(source, driving)

    for name, value in result.losses.items():
        expected = golden.tensor(f"train/loss/{TERM_NAMES.get(name, name)}").item()
        assert value.item() == pytest.approx(expected, rel=2e-4), name
    assert len(result.losses) == sum(key.startswith("train/loss/") for key in golden.arrays)

    prediction = result.pictures.generated.prediction
    assert (prediction - golden.tensor("train/prediction")).abs().max().item() <= 1e-3

    expected_norms = {
        key.removeprefix("train/grad_norm/"): golden.tensor(key).item()
        for key in golden.arrays
        if key.startswith("train/grad_norm/")
    }
    assert norms.keys() == expected_norms.keys()
    for name, expected in expected_norms.items():
        assert norms[name] == pytest.approx(expected, rel=0.02, abs=1e-2), name

    for network in networks:
        network.eval()
    with torch.no_grad():
        detector = networks.kp_detector
        after = networks.generator(source, detector(source), detector(driving)).prediction
    assert (after - golden.tensor("after_step/prediction")).abs().mean().item() <= 3e-3


def test_vgg_is_the_seeded_one() -> None:
    torch.manual_seed(0)
    expected = vgg19(weights=None).features[0].weight
    found = next(random_vgg().stages.parameters())
    torch.testing.assert_close(found, expected, check_stride=False)


PUBLISHED = json.loads((FOLDER / "published_keys.json").read_text())


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_names_and_shapes_are_the_published_ones(name: str) -> None:
    config = load_config(ROOT / "config" / f"{name}.yaml")
    with torch.device("meta"):
        networks = build_networks(config.model_params)
    for network, expected in PUBLISHED[name].items():
        state = getattr(networks, network).state_dict()
        assert {key: list(tensor.shape) for key, tensor in state.items()} == expected
        # Optimizer states go by the order of the parameters.
        parameters = [key for key, _ in getattr(networks, network).named_parameters()]
        assert parameters == [key for key in expected if key in set(parameters)]


def test_published_optimizer_states_load() -> None:
    golden = load_golden(NAMES[0])
    path = FOLDER / f"{golden.name}.pth.tar"
    trainer = Trainer(
        golden.networks,
        full_models(golden),
        learning_rates=dict.fromkeys(Networks._fields, 2e-4),
        milestones=[2],
        device=torch.device("cpu"),
    )
    trainer.load_state_dict(path, torch.load(path, weights_only=True))
    # Its epoch is 3, past the milestone.
    assert trainer.current_learning_rates()["generator"] == pytest.approx(2e-5)
