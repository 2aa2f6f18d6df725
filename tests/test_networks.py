"""The networks, tiny and untrained: what holds whatever their weights are."""

import math

import pytest
import torch
from tiny_networks import (
    K,
    lively,
    random_keypoints,
    tiny_detector,
    tiny_discriminator,
    tiny_generator,
    tiny_motion_network,
)
from torch import Tensor, nn
from torch.testing import assert_close

from modules.dense_motion import DenseMotionNetwork, sparse_motions
from modules.discriminator import MultiScaleDiscriminator
from modules.generator import Source
from modules.geometry import coordinate_grid, spatial_size
from modules.keypoints import Keypoints
from modules.util import AntiAliasInterpolation2d, SpectralNormConv2d

SIZE = (16, 24)
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def shifted_keypoints(index: int, shift: list[float]) -> tuple[Keypoints, Keypoints]:
    """Keypoints of a source and of a driving frame, (1, K, 2), where just one has moved."""
    source = Keypoints(torch.rand(1, K, 2) - 0.5, torch.eye(2).expand(1, K, 2, 2))
    value = source.value.clone()
    value[0, index] += torch.tensor(shift)
    return source, Keypoints(value, source.jacobian)


def identity_flow(size: tuple[int, int]) -> Tensor:
    return coordinate_grid(size, like=torch.empty(0))


def fill(layer: nn.Conv2d | None, *, bias: Tensor | float) -> None:
    """Let a layer give its bias, whatever it sees."""
    assert layer is not None and layer.bias is not None
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.copy_(torch.as_tensor(bias))


def prefer(network: DenseMotionNetwork, motion: int) -> None:
    """Let every pixel follow one of the K + 1 motions."""
    fill(network.mask, bias=torch.eye(K + 1)[motion] * 1e4)


@torch.no_grad()
@pytest.mark.parametrize("single_jacobian_map", [False, True])
def test_a_new_detector_finds_identity_jacobians(single_jacobian_map: bool) -> None:
    value, jacobian = tiny_detector(single_jacobian_map=single_jacobian_map)(
        torch.rand(2, 3, *SIZE)
    )
    assert value.shape == (2, K, 2) and value.abs().max() <= 1
    assert_close(jacobian, torch.eye(2).expand(2, K, 2, 2))


def test_a_detector_of_order_zero_has_no_jacobians() -> None:
    detector = tiny_detector(estimate_jacobian=False)
    assert detector(torch.rand(1, 3, *SIZE)).jacobian is None
    assert not any("jacobian" in key for key in detector.state_dict())


@torch.no_grad()
def test_a_flat_heatmap_puts_its_keypoint_in_the_middle() -> None:
    detector = tiny_detector()
    fill(detector.kp, bias=0.3)
    assert_close(detector(torch.rand(2, 3, *SIZE)).value, torch.zeros(2, K, 2))


@torch.no_grad()
@pytest.mark.parametrize("single_jacobian_map", [False, True])
@pytest.mark.parametrize("pad", [0, 3])
def test_a_peaked_heatmap_reads_off_one_pixel(single_jacobian_map: bool, pad: int) -> None:
    detector = tiny_detector(temperature=1e-7, single_jacobian_map=single_jacobian_map, pad=pad)
    assert detector.jacobian is not None
    nn.init.normal_(detector.jacobian.weight)
    image = torch.rand(1, 3, *SIZE)
    value, jacobian = detector(image)

    features = detector.predictor(image)
    logits = detector.kp(features)[0]
    size = logits.shape[1:]
    assert size == (SIZE[0] - 6 + 2 * pad, SIZE[1] - 6 + 2 * pad)
    maps = detector.jacobian(features)[0].view(-1, 2, 2, *size)
    assert len(maps) == (1 if single_jacobian_map else K)
    for k in range(K):
        row, column = divmod(int(logits[k].argmax()), size[1])
        point = torch.tensor([2 * column / (size[1] - 1) - 1, 2 * row / (size[0] - 1) - 1])
        assert_close(value[0, k], point)
        own = maps[0 if single_jacobian_map else k]
        assert_close(jacobian[0, k], own[:, :, row, column])


@torch.no_grad()
def test_a_lower_temperature_draws_keypoints_apart() -> None:
    image = torch.rand(2, 3, *SIZE)
    warm, cold = tiny_detector(temperature=1), tiny_detector(temperature=0.01)
    cold.load_state_dict(warm.state_dict())
    assert cold(image).value.abs().mean() > 2 * warm(image).value.abs().mean()


@torch.no_grad()
def test_a_scaled_detector_sees_the_shrunken_image() -> None:
    whole, half = tiny_detector(), tiny_detector(scale_factor=0.5)
    half.load_state_dict(whole.state_dict(), strict=False)  # the blur is its own
    image = torch.rand(2, 3, 32, 40)
    assert_close(half(image), whole(AntiAliasInterpolation2d(3, 0.5)(image)))


@torch.no_grad()
def test_equal_keypoints_move_nothing() -> None:
    network, keypoints = tiny_motion_network(), random_keypoints()
    source = torch.rand(2, 3, *SIZE)
    identity = identity_flow(SIZE)
    motions = sparse_motions(keypoints, keypoints, SIZE)
    assert_close(motions, identity.expand(2, K + 1, *SIZE, 2), atol=1e-5, rtol=0)
    motion = network(source, keypoints, keypoints)
    assert_close(motion.deformation, identity.expand(2, *SIZE, 2), atol=1e-5, rtol=0)
    copies = source.unsqueeze(1).expand(-1, K + 1, -1, -1, -1)
    # An edge pixel may look a rounding error outside, where it is black.
    assert_close(motion.sparse_deformed, copies, atol=1e-4, rtol=0)


@torch.no_grad()
def test_a_keypoint_that_moves_right_takes_the_image_along() -> None:
    size = (4, 8)
    source = torch.rand(1, 3, *size)
    step = 2 / (8 - 1)
    kp_source, kp_driving = shifted_keypoints(1, [step, 0.0])
    motions = sparse_motions(kp_source, kp_driving, size)[0]
    still = identity_flow(size)
    for k, motion in enumerate(motions):  # the background is motion 0
        assert_close(motion, still - torch.tensor([step, 0.0]) if k == 2 else still)

    deformed = tiny_motion_network()(source, kp_source, kp_driving).sparse_deformed[0]
    assert_close(deformed[2, :, :, 1:], source[0, :, :, :-1], atol=1e-5, rtol=1e-5)
    assert deformed[2, :, :, 0].abs().max() < 1e-5
    assert_close(deformed[1], source[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("order_zero", [False, True])
def test_an_affine_motion_by_hand(order_zero: bool) -> None:
    of_source = Keypoints(torch.tensor([[[0.5, 0.0]]]), torch.tensor([[[[2.0, 0.0], [0.0, 1.0]]]]))
    of_driving = Keypoints(
        torch.tensor([[[0.0, -0.5]]]), torch.tensor([[[[0.0, -1.0], [1.0, 0.0]]]])
    )
    # J_S J_D^-1 = [[0, 2], [-1, 0]] takes z - p_D = (1, 1.5) to (3, -1).
    expected = torch.tensor([3.5, -1.0])
    if order_zero:
        of_source, of_driving = of_source._replace(jacobian=None), Keypoints(of_driving.value, None)
        expected = torch.tensor([1.5, 1.5])
    background, motion = sparse_motions(of_source, of_driving, (3, 5))[0]
    assert_close(motion[2, 4], expected)  # the last pixel is (1, 1)
    assert_close(background[2, 4], torch.tensor([1.0, 1.0]))


@pytest.mark.parametrize("motion", range(K + 1))
@torch.no_grad()
def test_the_mask_says_which_motion_a_pixel_follows(motion: int) -> None:
    network = tiny_motion_network()
    prefer(network, motion)
    keypoints = random_keypoints(), random_keypoints()
    result = network(torch.rand(2, 3, *SIZE), *keypoints)
    assert_close(result.deformation, sparse_motions(*keypoints, SIZE)[:, motion])


@torch.no_grad()
def test_shapes_and_ranges_of_a_dense_motion() -> None:
    network = tiny_motion_network(scale_factor=0.5)
    size = (SIZE[0] // 2, SIZE[1] // 2)
    motion = network(torch.rand(2, 3, *SIZE), random_keypoints(), random_keypoints())
    assert motion.deformation.shape == (2, *size, 2)
    assert motion.mask.shape == (2, K + 1, *size)
    assert motion.sparse_deformed.shape == (2, K + 1, 3, *size)
    assert motion.mask.min() >= 0
    assert_close(motion.mask.sum(dim=1), torch.ones(2, *size))
    assert motion.occlusion_map is not None
    assert motion.occlusion_map.shape == (2, 1, *size)
    assert motion.occlusion_map.min() >= 0 and motion.occlusion_map.max() <= 1


@torch.no_grad()
def test_dropped_motions_are_left_out_whole() -> None:
    network = tiny_motion_network()
    image, points = torch.rand(3, 3, *SIZE), random_keypoints(3)
    dropped = torch.zeros(3, K + 1, dtype=torch.bool)
    dropped[0, 1], dropped[2, 1:] = True, True
    mask = network(image, points, points, dropped).mask
    assert_close(mask.sum(dim=1), torch.ones(3, *SIZE))
    assert torch.equal(mask == 0, dropped[:, :, None, None].expand_as(mask))


def test_motions_are_drawn_by_their_probability_and_the_background_never() -> None:
    dropped = tiny_motion_network(motion_dropout=0.3).train().draw_dropped(500, CPU)
    assert dropped is not None
    share = dropped.float().mean(dim=0)
    assert share[0] == 0
    assert (share[1:] - 0.3).abs().max() < 0.07  # three standard deviations


def test_motions_are_dropped_in_training_alone() -> None:
    network = tiny_motion_network(motion_dropout=0.9)
    assert network.draw_dropped(4, CPU) is None
    assert tiny_motion_network().train().draw_dropped(4, CPU) is None


def test_a_dense_motion_without_occlusion() -> None:
    network = tiny_motion_network(estimate_occlusion_map=False)
    motion = network(torch.rand(2, 3, *SIZE), random_keypoints(), random_keypoints())
    assert motion.occlusion_map is None


@torch.no_grad()
def test_forward_is_encode_and_decode_and_batched_is_single() -> None:
    generator = tiny_generator(tiny_motion_network())
    images, kp_source, kp_driving = (
        torch.rand(3, 3, *SIZE),
        random_keypoints(3),
        random_keypoints(3),
    )
    whole = generator(images, kp_source, kp_driving)
    assert whole.prediction.shape == whole.deformed.shape == images.shape
    assert whole.prediction.min() >= 0 and whole.prediction.max() <= 1

    encoded = Source(images, generator.encode(images), kp_source)
    assert encoded.features.shape == (3, 8, SIZE[0] // 4, SIZE[1] // 4)
    assert_close(generator.decode(encoded, kp_driving).prediction, whole.prediction)
    for i in range(3):
        alone = generator(images[i : i + 1], kp_source.at(i), kp_driving.at(i))
        assert_close(alone.prediction, whole.prediction[i : i + 1], atol=1e-5, rtol=1e-5)
        assert_close(alone.deformed, whole.deformed[i : i + 1], atol=1e-5, rtol=1e-5)
        for own, of_all in zip(alone.motion, whole.motion, strict=True):
            assert_close(own, of_all[i : i + 1], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_one_source_serves_a_batch_of_driving_frames() -> None:
    generator = tiny_generator(tiny_motion_network())
    image, kp_source, kp_driving = torch.rand(1, 3, *SIZE), random_keypoints(1), random_keypoints(3)
    source = Source(image, generator.encode(image), kp_source)
    repeated = generator(image.repeat(3, 1, 1, 1), kp_source.expand(3), kp_driving)
    decoded = generator.decode(source.expand(3), kp_driving)
    assert_close(decoded.prediction, repeated.prediction, atol=1e-5, rtol=1e-5)
    assert source.expand(3).features.data_ptr() == source.features.data_ptr()


@torch.no_grad()
def test_without_dense_motion_the_generator_is_an_auto_encoder() -> None:
    generator, image = tiny_generator(None), torch.rand(2, 3, *SIZE)
    generated = generator(image, random_keypoints(), random_keypoints())
    assert generated.deformed is None and generated.motion is None
    assert torch.equal(
        generated.prediction, generator(image, random_keypoints(), random_keypoints()).prediction
    )


@torch.no_grad()
@pytest.mark.parametrize("num_down_blocks", [0, 2])
@pytest.mark.parametrize("scale_factor", [1, 0.5])
def test_a_generator_that_moves_and_hides_nothing_is_that_auto_encoder(
    scale_factor: float, num_down_blocks: int
) -> None:
    network = tiny_motion_network(scale_factor=scale_factor)
    generator = tiny_generator(network, num_down_blocks=num_down_blocks)
    plain = tiny_generator(None, num_down_blocks=num_down_blocks)
    fill(network.occlusion, bias=torch.inf)
    plain.load_state_dict(generator.state_dict(), strict=False)
    image, keypoints = torch.rand(2, 3, 24, 32), random_keypoints()
    generated = generator(image, keypoints, keypoints)
    assert_close(generated.deformed, image, atol=1e-4, rtol=0)
    expected = plain(image, keypoints, keypoints).prediction
    assert_close(generated.prediction, expected, atol=1e-4, rtol=0)


@torch.no_grad()
def test_features_move_with_the_image() -> None:
    network = tiny_motion_network(estimate_occlusion_map=False)
    generator, plain = tiny_generator(network), tiny_generator(None)
    prefer(network, 2)
    plain.load_state_dict(generator.state_dict(), strict=False)
    image = torch.rand(1, 3, *SIZE)
    features = generator.encode(image)
    step = 2 / (features.shape[3] - 1)
    kp_source, kp_driving = shifted_keypoints(1, [step, 0.0])

    moved = torch.zeros_like(features)
    moved[..., 1:] = features[..., :-1]
    expected = plain.decode(Source(image, moved, kp_source), kp_driving)
    generated = generator.decode(Source(image, features, kp_source), kp_driving)
    assert generated.deformed is not None and generated.motion is not None
    assert_close(generated.prediction, expected.prediction, atol=1e-5, rtol=1e-5)
    # So does the picture of what moved; the motion network warped one of its own.
    assert_close(generated.deformed, generated.motion.sparse_deformed[:, 2])
    assert (generated.deformed - image).abs().max() > 0.1


@torch.no_grad()
@pytest.mark.parametrize("scale_factor", [1, 0.5])
def test_copying_takes_what_is_visible_from_the_source_and_paints_the_rest(
    scale_factor: float,
) -> None:
    network = tiny_motion_network(scale_factor=scale_factor)
    painter, copier = tiny_generator(network), tiny_generator(network, copy_visible=True)
    copier.load_state_dict(painter.state_dict())
    image, *keypoints = torch.rand(2, 3, *SIZE), random_keypoints(), random_keypoints()
    for visible in (1.0, 0.25, 0.0):
        bias = torch.inf if visible == 1 else math.log(max(visible, 1e-30) / (1 - visible))
        fill(network.occlusion, bias=bias)
        painted, copied = painter(image, *keypoints), copier(image, *keypoints)
        mixed = visible * painted.deformed + (1 - visible) * painted.prediction
        assert_close(copied.prediction, mixed, atol=1e-6, rtol=0)
        assert (painted.prediction - painted.deformed).abs().max() > 0.1


def test_networks_in_float64_round_nothing_to_less() -> None:
    """A step of 1e-7 in the images is below float32's: the slope would be lost in steps of it."""
    detector = tiny_detector().double()
    lively(detector)
    generator = tiny_generator(tiny_motion_network(scale_factor=0.5), copy_visible=True).double()

    def predict(driving: Tensor) -> Tensor:
        keypoints = detector(source), detector(driving)
        return (generator(source, *keypoints).prediction * weights).sum()

    source, driving, weights, way = torch.rand(4, 2, 3, *SIZE, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(predict(driving.requires_grad_()), driving)
    slope = (gradient * way).sum()
    step = 1e-7 * way
    difference = predict(driving + step) - predict(driving - step)
    assert slope.abs() > 0.1
    assert_close(difference / 2e-7, slope, atol=0, rtol=1e-4)


@torch.no_grad()
def test_what_is_hidden_is_painted_without_the_source() -> None:
    network = tiny_motion_network()
    generator = tiny_generator(network)
    keypoints = random_keypoints(1), random_keypoints(1)
    images = torch.rand(2, 1, 3, *SIZE)
    seen = [generator(image, *keypoints).prediction for image in images]
    assert (seen[0] - seen[1]).abs().max() > 0.01
    fill(network.occlusion, bias=-torch.inf)
    hidden = [generator(image, *keypoints).prediction for image in images]
    assert torch.equal(*hidden)


@torch.no_grad()
def test_a_discriminator_sees_keypoints_only_if_told() -> None:
    image = torch.rand(2, 3, 32, 32)
    blind, seeing = tiny_discriminator(), tiny_discriminator(use_kp=True)
    maps = [seeing(image, random_keypoints()).prediction_map for _ in range(2)]
    assert (maps[0] - maps[1]).abs().max() > 1e-4
    expected = blind(image).prediction_map
    assert torch.equal(blind(image, random_keypoints()).prediction_map, expected)
    with pytest.raises(ValueError, match="use_kp"):
        seeing(image)


def test_sizes_of_a_discriminator() -> None:
    judgement = tiny_discriminator()(torch.rand(2, 3, 32, 40))
    # A 4x4 convolution takes 3 pixels away; all blocks but the last halve what is left.
    assert [tuple(features.shape) for features in judgement.feature_maps] == [
        (2, 8, 14, 18),
        (2, 12, 5, 7),
        (2, 12, 2, 4),
    ]
    assert judgement.prediction_map.shape == (2, 1, 2, 4)


@torch.no_grad()
def test_all_blocks_of_a_discriminator_but_the_first_normalise() -> None:
    first, *others = tiny_discriminator().down_blocks
    image = torch.rand(1, 3, 12, 12)
    assert (first(3 * image) - first(image)).abs().max() > 0.1
    for block, channels in zip(others, (8, 12), strict=True):
        image = torch.rand(1, channels, 12, 12)
        # A normalised image has no contrast of its own.
        assert_close(block(3 * image), block(image), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("sn", [False, True])
def test_spectral_norm_is_on_every_convolution_or_on_none(sn: bool) -> None:
    convolutions = [m for m in tiny_discriminator(sn=sn).modules() if isinstance(m, nn.Conv2d)]
    assert [isinstance(conv, SpectralNormConv2d) for conv in convolutions] == [sn] * 4


@torch.no_grad()
def test_each_scale_has_a_discriminator_of_its_own() -> None:
    singles = [tiny_discriminator(use_kp=True) for _ in range(3)]
    discriminator = MultiScaleDiscriminator((1.0, 0.5, 0.25), singles)
    assert list(discriminator.discs) == ["1", "0-5", "0-25"]
    assert discriminator.scales == (1, 0.5, 0.25)

    pyramid = [torch.rand(2, 3, size, size) for size in (60, 40, 32)]
    keypoints = random_keypoints()
    judgements = discriminator(pyramid, keypoints)
    for single, image, judgement in zip(singles, pyramid, judgements, strict=True):
        assert torch.equal(judgement.prediction_map, single(image, keypoints).prediction_map)
        assert spatial_size(judgement.feature_maps[0])[0] == (image.shape[2] - 3) // 2


def test_scales_discriminators_and_images_must_be_equally_many() -> None:
    with pytest.raises(ValueError, match="shorter"):
        MultiScaleDiscriminator((1, 0.5), [tiny_discriminator()])
    discriminator = MultiScaleDiscriminator((1,), [tiny_discriminator()])
    with pytest.raises(ValueError, match="longer"):
        discriminator([torch.rand(1, 3, 32, 32)] * 2)
