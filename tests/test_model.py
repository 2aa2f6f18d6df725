"""How one training step wires networks, random warps and losses together."""

import pytest
import torch
from tiny_networks import (
    K,
    narrow_vgg,
    random_keypoints,
    tiny_detector,
    tiny_discriminator,
    tiny_generator,
    tiny_motion_network,
)
from torch import Tensor, nn
from torch.testing import assert_close

from modules.discriminator import MultiScaleDiscriminator
from modules.equivariance import WarpDistribution
from modules.keypoints import Keypoints
from modules.model import DiscriminatorFullModel, GeneratorFullModel
from modules.perceptual import ImagePyramid
from modules.step import Draws, JudgedFrames, LossWeights

CPU = torch.device("cpu")
SCALES = (1, 0.5)
ALL = LossWeights(
    generator_gan=1,
    discriminator_gan=1,
    feature_matching=(10, 10, 10),
    perceptual=(10, 10, 10, 10, 10),
    equivariance_value=10,
    equivariance_jacobian=10,
    separation=10,
)
NO_WARP = WarpDistribution(sigma_affine=0, sigma_tps=0, points_tps=0)
SOME_WARP = WarpDistribution(sigma_affine=0.05, sigma_tps=0.005, points_tps=5)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def two_scales(*, use_kp: bool = False) -> MultiScaleDiscriminator:
    return MultiScaleDiscriminator(SCALES, [tiny_discriminator(use_kp=use_kp) for _ in SCALES])


def generator_model(
    weights: LossWeights = ALL,
    *,
    warps: WarpDistribution = SOME_WARP,
    estimate_jacobian: bool = True,
    autocast: torch.dtype | None = None,
) -> GeneratorFullModel:
    return GeneratorFullModel(
        kp_detector=tiny_detector(estimate_jacobian=estimate_jacobian),
        generator=tiny_generator(tiny_motion_network()),
        discriminator=two_scales(),
        pyramid=ImagePyramid(SCALES, 3),
        vgg=narrow_vgg(),
        warps=warps,
        weights=weights,
        autocast=autocast,
    ).eval()


def frames(batch_size: int = 2) -> Tensor:
    return torch.rand(batch_size, 3, 64, 64)


def judged(real: Tensor, generated: Tensor, keypoints: Keypoints) -> JudgedFrames:
    pyramid = ImagePyramid(SCALES, 3)
    return JudgedFrames(pyramid(real), pyramid(generated), keypoints)


def has_gradient(network: nn.Module) -> bool:
    gradients = [parameter.grad for parameter in network.parameters()]
    return any(gradient is not None and bool(gradient.any()) for gradient in gradients)


def fill_last_layers(discriminator: MultiScaleDiscriminator, *, score: float) -> None:
    """Let every scale give this score to every patch."""
    for disc in discriminator.discs.values():
        conv = disc.get_submodule("conv")
        nn.init.zeros_(conv.get_parameter("weight"))
        nn.init.constant_(conv.get_parameter("bias"), score)


TERMS = {
    "perceptual",
    "generator_gan",
    "feature_matching",
    "equivariance_value",
    "equivariance_jacobian",
    "separation",
}


@pytest.mark.parametrize(
    ("off", "missing"),
    [
        ({}, set()),
        ({"perceptual": (0, 0)}, {"perceptual"}),
        ({"feature_matching": (0,)}, {"feature_matching"}),
        # Without an adversary there are no features of its to match.
        ({"generator_gan": 0}, {"generator_gan", "feature_matching"}),
        ({"equivariance_value": 0}, {"equivariance_value"}),
        ({"equivariance_jacobian": 0}, {"equivariance_jacobian"}),
        ({"separation": 0}, {"separation"}),
    ],
)
def test_the_terms_are_those_that_have_a_weight(off: dict, missing: set[str]) -> None:
    losses = generator_model(ALL._replace(**off))(frames(), frames()).losses
    assert losses.keys() == TERMS - missing
    for term in losses.values():
        assert term.shape == (2,) and term[0] == term[1] and term[0] > 0


def test_without_equivariance_no_frame_is_warped() -> None:
    weights = ALL._replace(equivariance_value=0, equivariance_jacobian=0)
    assert generator_model(weights)(frames(), frames()).warped is None


def test_a_term_grows_with_its_weight() -> None:
    source, driving, warp = frames(), frames(), SOME_WARP.sample(2, CPU)
    model = generator_model()
    before = model(source, driving, Draws(warp)).losses
    model.weights = LossWeights(
        generator_gan=2,
        discriminator_gan=1,
        feature_matching=(30, 30, 30),
        perceptual=(40, 40, 40, 40, 40),
        equivariance_value=50,
        equivariance_jacobian=60,
        separation=70,
    )
    after = model(source, driving, Draws(warp)).losses
    factors = {name: (after[name] / before[name]).mean().item() for name in before}
    assert factors == pytest.approx(
        {
            "generator_gan": 2,
            "feature_matching": 3,
            "perceptual": 4,
            "equivariance_value": 5,
            "equivariance_jacobian": 6,
            "separation": 7,
        },
        rel=1e-3,
    )


@torch.no_grad()
def test_reconstruction_terms_add_up_over_the_scales() -> None:
    weights = ALL._replace(equivariance_value=0, equivariance_jacobian=0, separation=0)
    model, source, driving = generator_model(weights), frames(), frames()
    singles = [tiny_discriminator() for _ in SCALES]
    model.discriminator = MultiScaleDiscriminator(SCALES, singles)
    whole = model(source, driving).losses
    parts = []
    for scale, single in zip(SCALES, singles, strict=True):
        model.pyramid = ImagePyramid([scale], 3)
        model.discriminator = MultiScaleDiscriminator([scale], [single])
        parts.append(model(source, driving).losses)
    for name, term in whole.items():
        assert_close(term, parts[0][name] + parts[1][name])


@torch.no_grad()
def test_a_step_shows_what_it_worked_on() -> None:
    model, source, driving = generator_model(), frames(), frames()
    with torch.enable_grad():
        result = model(source, driving)
    assert_close(result.kp_source.value, model.kp_detector(source).value)
    assert_close(result.kp_driving.value, model.kp_detector(driving).value)
    expected = model.generator(source, result.kp_source, result.kp_driving).prediction
    assert_close(result.generated.prediction, expected)


def test_a_perfect_prediction_has_no_distance() -> None:
    model = generator_model()
    nn.init.zeros_(model.generator.final.weight)
    assert model.generator.final.bias is not None
    with torch.no_grad():
        model.generator.final.bias.copy_(torch.tensor([-1.0, 0.0, 2.0]))
    painted = torch.tensor([-1.0, 0.0, 2.0]).sigmoid().view(1, 3, 1, 1).expand(2, 3, 64, 64)
    losses = model(frames(), painted).losses
    assert_close(losses["perceptual"], torch.zeros(2), atol=1e-5, rtol=0)
    assert_close(losses["feature_matching"], torch.zeros(2), atol=1e-4, rtol=0)
    assert model(frames(), frames()).losses["perceptual"].min() > 0.1


def test_a_detector_agrees_with_itself_where_nothing_is_warped() -> None:
    losses = generator_model(warps=NO_WARP)(frames(), frames()).losses
    assert_close(losses["equivariance_value"], torch.zeros(2), atol=1e-4, rtol=0)
    assert_close(losses["equivariance_jacobian"], torch.zeros(2), atol=1e-4, rtol=0)


@torch.no_grad()
def test_a_point_off_by_a_tenth_costs_a_tenth() -> None:
    # Every keypoint is held in the middle: (0, 0) goes to (0.1, -0.1) under the warp.
    weights = ALL._replace(equivariance_jacobian=0)
    model = generator_model(weights)
    for parameter in model.kp_detector.kp.parameters():
        nn.init.zeros_(parameter)
    warp = NO_WARP.sample(2, CPU)
    warp.theta[:, :, 2] = torch.tensor([0.1, -0.1])
    result = model(frames(), frames(), Draws(warp))
    assert_close(result.losses["equivariance_value"], torch.full((2,), 10 * 0.1))


def test_a_jacobian_that_the_warp_does_not_carry_along_costs_its_error() -> None:
    model = generator_model(ALL._replace(equivariance_value=0))
    jacobian = torch.tensor([[1.0, 0.5], [-0.5, 2.0]])
    assert model.kp_detector.jacobian is not None
    model.kp_detector.jacobian.bias = nn.Parameter(jacobian.flatten().repeat(K))
    warp = NO_WARP.sample(2, CPU)
    matrix = torch.tensor([[1.2, 0.3], [0.0, 0.9]])
    warp.theta[:, :, :2] = matrix
    loss = model(frames(), frames(), Draws(warp)).losses["equivariance_jacobian"]
    error = torch.eye(2) - jacobian.inverse() @ matrix @ jacobian
    assert_close(loss, (10 * error.abs().mean()).expand(2))


def test_a_given_warp_is_used() -> None:
    model, driving, warp = generator_model(), frames(), SOME_WARP.sample(2, CPU)
    warped = model(frames(), driving, Draws(warp)).warped
    assert torch.equal(warped.image, warp.frame(driving))
    assert torch.equal(warped.keypoints.value, model.kp_detector(warped.image).value)


def test_keypoints_of_the_warped_frame_are_taken_back_by_the_warp() -> None:
    warp = SOME_WARP.sample(2, CPU)
    result = generator_model()(frames(), frames(), Draws(warp))
    taken_back = warp.points(result.warped.keypoints.value)
    expected = 10 * (result.kp_driving.value - taken_back).abs().mean()
    assert_close(result.losses["equivariance_value"], expected.expand(2))


def test_a_warp_is_drawn_where_none_is_given() -> None:
    model, driving = generator_model(), frames()
    images = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        images.append(model(driving, driving).warped.image)
    assert torch.equal(images[0], images[1])
    assert not torch.equal(images[0], images[2])


def test_gradients_reach_what_is_trained() -> None:
    model = generator_model()
    model.discriminator.requires_grad_(False)
    losses = model(frames(), frames()).losses
    torch.stack([term.mean() for term in losses.values()]).sum().backward()
    assert has_gradient(model.generator) and has_gradient(model.kp_detector)
    assert not has_gradient(model.discriminator) and not has_gradient(model.vgg)


def test_in_half_precision_coordinates_losses_and_gradients_stay_in_full() -> None:
    torch.manual_seed(1)
    full = generator_model()
    torch.manual_seed(1)
    half = generator_model(autocast=torch.bfloat16)
    source, driving = frames(), frames()
    warp = SOME_WARP.sample(2, CPU)
    computed: list[torch.dtype] = []
    half.generator.final.register_forward_hook(lambda *call: computed.append(call[-1].dtype))
    expected, found = full(source, driving, Draws(warp)), half(source, driving, Draws(warp))
    assert computed == [torch.bfloat16]
    motion = found.generated.motion
    assert motion is not None and motion.deformation.dtype == torch.float32
    for keypoints in (found.kp_source, found.kp_driving):
        assert keypoints.jacobian is not None
        assert {part.dtype for part in keypoints if part is not None} == {torch.float32}
    for name, loss in found.losses.items():
        assert loss.dtype == torch.float32
        assert_close(loss, expected.losses[name], rtol=0.1, atol=0.01)
    torch.stack([term.mean() for term in found.losses.values()]).sum().backward()
    gradients = [p.grad for p in half.generator.parameters() if p.grad is not None]
    assert gradients and {gradient.dtype for gradient in gradients} == {torch.float32}


@pytest.mark.parametrize("name", ["perceptual", "generator_gan", "feature_matching"])
def test_each_reconstruction_term_trains_both_networks(name: str) -> None:
    model = generator_model()
    model(frames(), frames()).losses[name].mean().backward()
    assert has_gradient(model.generator) and has_gradient(model.kp_detector)


def test_keypoints_are_not_bent_to_please_the_discriminator() -> None:
    # A generator that ignores keypoints leaves no other way to them.
    model = generator_model()
    model.generator, model.discriminator = tiny_generator(None), two_scales(use_kp=True)
    losses = model(frames(), frames()).losses
    (losses["generator_gan"] + losses["feature_matching"]).mean().backward()
    assert has_gradient(model.generator) and not has_gradient(model.kp_detector)


@pytest.mark.parametrize("name", ["equivariance_value", "equivariance_jacobian"])
def test_equivariance_trains_the_detector_alone(name: str) -> None:
    model = generator_model()
    model(frames(), frames()).losses[name].mean().backward()
    assert has_gradient(model.kp_detector) and not has_gradient(model.generator)


def test_a_detector_without_jacobians_cannot_have_that_term() -> None:
    with pytest.raises(ValueError, match="equivariance_jacobian"):
        generator_model(estimate_jacobian=False)
    model = generator_model(ALL._replace(equivariance_jacobian=0), estimate_jacobian=False)
    assert "equivariance_value" in model(frames(), frames()).losses


def test_adversarial_terms_of_a_discriminator_that_always_says_the_same() -> None:
    model = generator_model(ALL._replace(generator_gan=3))
    fill_last_layers(model.discriminator, score=0.25)
    losses = model(frames(), frames()).losses
    assert_close(losses["generator_gan"], torch.full((2,), 3 * len(SCALES) * 0.75**2))

    full = DiscriminatorFullModel(discriminator=model.discriminator, weight=5)
    losses = full(judged(frames(), frames(), random_keypoints()))
    expected = 5 * len(SCALES) * (0.75**2 + 0.25**2)
    assert list(losses) == ["discriminator_gan"]
    assert_close(losses["discriminator_gan"], torch.full((2,), expected))


@torch.no_grad()
def test_the_discriminator_is_told_real_from_generated() -> None:
    model = DiscriminatorFullModel(discriminator=two_scales(), weight=1)
    shown = judged(frames(), frames() / 2, random_keypoints())
    of_real = model.discriminator(shown.real, shown.keypoints)
    of_fake = model.discriminator(shown.generated, shown.keypoints)
    expected = torch.zeros(2)
    for r, f in zip(of_real, of_fake, strict=True):
        expected += (1 - r.prediction_map).square().mean() + f.prediction_map.square().mean()
    assert_close(model(shown)["discriminator_gan"], expected)


def test_the_discriminators_step_trains_it_alone() -> None:
    model = generator_model()
    model.discriminator = two_scales(use_kp=True)
    full = DiscriminatorFullModel(discriminator=model.discriminator, weight=1)
    shown = model(frames(), frames()).judged
    assert shown is not None
    full(shown)["discriminator_gan"].mean().backward()
    assert has_gradient(model.discriminator)
    assert not has_gradient(model.generator) and not has_gradient(model.kp_detector)


@torch.no_grad()
def test_unequal_shares_count_by_their_size() -> None:
    model = DiscriminatorFullModel(discriminator=two_scales(use_kp=True), weight=1)
    real, fake, points = frames(4), frames(4), random_keypoints(4).value
    shares = [slice(0, 3), slice(3, 4)]
    terms = [
        model(judged(real[share], fake[share], Keypoints(points[share], None)))["discriminator_gan"]
        for share in shares
    ]
    assert [len(term) for term in terms] == [3, 1]
    whole = model(judged(real, fake, Keypoints(points, None)))["discriminator_gan"]
    assert_close(torch.cat(terms).mean(), whole.mean())
    # Equal say for both shares would be something else.
    assert (torch.stack([term.mean() for term in terms]).mean() - whole.mean()).abs() > 1e-4


@torch.no_grad()
def test_a_discriminator_judges_the_levels_of_its_scales() -> None:
    model, driving = generator_model(ALL._replace(perceptual=(0,))), frames()
    model.discriminator = MultiScaleDiscriminator((0.5, 1), [tiny_discriminator()] * 2)
    model.pyramid = ImagePyramid((1, 0.25, 0.5), 3)
    with torch.enable_grad():
        result = model(frames(), driving)
    shown, prediction = result.judged, result.generated.prediction
    assert_close(shown.real, [model.pyramid(driving)[2], driving])
    assert_close(shown.generated, [model.pyramid(prediction)[2], prediction])
    assert_close(shown.keypoints.value, result.kp_driving.value)
    fakes = model.discriminator(shown.generated, shown.keypoints)
    score = torch.stack([(1 - fake.prediction_map).square().mean() for fake in fakes]).sum()
    assert_close(result.losses["generator_gan"], score.expand(2))
    assert not any(image.requires_grad for image in [*shown.generated, shown.keypoints.value])
