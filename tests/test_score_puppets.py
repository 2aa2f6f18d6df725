"""The scores of puppets: what the figures mean, and the command that prints them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import Finished, run_here, run_process
from puppet_sets import PLAN, SIZE, make_set, tiny_config, write_tiny_checkpoint
from torch import Tensor, nn

from config.schema import Config
from engine.animator import Animator
from engine.build import build_inference_networks, build_motion_transfer
from engine.errors import UserError
from engine.inspection import Inspected, inspect
from engine.video import open_video
from modules.geometry import resize_flow, resize_map
from modules.keypoints import Keypoints
from tools import score_puppets
from tools.puppets import evaluation
from tools.puppets.reading import PuppetSet
from tools.puppets.scoring import (
    KeypointScore,
    MotionSeen,
    Observed,
    PictureScore,
    Scores,
    fit_joints,
    found_joints,
    judge,
    predict_joints,
    ratio,
    score_keypoints,
    score_motion,
)
from tools.puppets.skeleton import JOINT_NAMES
from tools.puppets.truth import backward_flow, load_truth

J = len(JOINT_NAMES)


def observed(keypoints: np.ndarray, joints: np.ndarray, *, height: float = 1.0) -> Observed:
    frames = len(joints)
    return Observed(keypoints, joints, np.ones((frames, J), bool), np.full(frames, height))


def poses(rng: np.random.Generator, frames: int) -> np.ndarray:
    """Joints (F, J, 2) that spread about 0.2 around a mean pose."""
    pose = np.random.default_rng(9).uniform(-0.5, 0.5, (J, 2))
    return pose + rng.normal(0, 0.1, (frames, J, 2))


# ----- keypoints


def test_keypoints_that_are_an_affine_map_of_the_joints_find_them_all() -> None:
    rng = np.random.default_rng(0)
    mixing, offset = rng.normal(0, 0.3, (2 * J, 2 * J)), rng.normal(size=2 * J)
    train, test = (
        observed((joints.reshape(-1, 2 * J) @ mixing + offset).reshape(-1, J, 2), joints)
        for joints in (poses(rng, 500), poses(rng, 60))
    )
    score = score_keypoints(train, test)
    assert score.share == 1
    assert 0.1 < score.constant_share < 0.7
    assert (score.train_frames, score.test_frames, score.visible) == (500, 60, 60 * J)


def test_the_map_is_found_again_with_its_offset() -> None:
    rng = np.random.default_rng(1)
    weights, offset = rng.normal(size=(6, 2 * J)), rng.normal(size=2 * J)
    keypoints = rng.uniform(-1, 1, (200, 3, 2)).astype(np.float32)
    joints = (keypoints.reshape(-1, 6) @ weights + offset).reshape(-1, J, 2)
    fitted = fit_joints(observed(keypoints, joints))
    np.testing.assert_allclose(fitted.weights, weights, atol=1e-4)
    np.testing.assert_allclose(fitted.offset, offset, atol=1e-4)
    np.testing.assert_allclose(predict_joints(fitted, keypoints), joints, atol=1e-4)


def test_keypoints_that_know_nothing_are_worth_the_mean_pose() -> None:
    rng = np.random.default_rng(2)
    train, test = (
        observed(rng.uniform(-1, 1, (frames, 10, 2)), poses(rng, frames)) for frames in (2000, 500)
    )
    score = score_keypoints(train, test)
    assert score.share == pytest.approx(score.constant_share, abs=0.02)


def test_collapsed_keypoints_are_no_more_than_the_mean_pose() -> None:
    """All in one place, up to the rounding of float32, which happens to follow the joints."""
    rng = np.random.default_rng(3)
    train, test = (
        observed(0.25 + 1e-7 * joints[:, :10], joints)
        for joints in (poses(rng, 300), poses(rng, 300))
    )
    score = score_keypoints(train, test)
    assert score.share == score.constant_share


def test_the_mean_pose_is_that_of_the_training_frames() -> None:
    train = observed(np.zeros((2, 1, 2)), np.stack([np.full((J, 2), v) for v in (0.0, 0.2)]))
    for place, share in ((0.1, 1.0), (0.3, 0.0)):
        test = observed(np.zeros((1, 1, 2)), np.full((1, J, 2), place))
        assert score_keypoints(train, test).constant_share == share


def test_found_is_visible_and_within_a_tenth_of_the_height() -> None:
    distances = np.zeros((2, J))
    distances[:, :4] = [0.05, 0.099, 0.101, 0.15]
    test = Observed(
        keypoints=np.zeros((2, 1, 2)),
        joints=np.full((2, J, 2), 0.3),
        visible=np.ones((2, J), bool),
        figure_height=np.array([1.0, 0.5]),
    )
    test.visible[0, 4] = False
    direction = np.array([0.6, -0.8])
    found = found_joints(test.joints + distances[..., None] * direction, test)
    assert found[0].tolist() == [True, True, False, False, False] + [True] * (J - 5)
    assert found[1].tolist() == [True, False, False, False] + [True] * (J - 4)


def test_shares_count_visible_joints_only() -> None:
    """Three joints are off in one of two frames; of them, one is hidden, another never visible."""
    train = observed(np.zeros((2, 1, 2)), np.zeros((2, J, 2)))
    joints = np.zeros((2, J, 2))
    joints[0, [0, 1, 2]] = 0.5
    visible = np.ones((2, J), bool)
    visible[0, 0] = False
    visible[:, 2] = False
    score = score_keypoints(train, Observed(np.zeros((2, 1, 2)), joints, visible, np.ones(2)))
    assert score.visible == 2 * J - 3
    assert score.share == score.constant_share == pytest.approx((2 * J - 4) / (2 * J - 3))
    by_name = {joint.name: joint for joint in score.joints}
    assert list(by_name) == list(JOINT_NAMES)
    assert by_name["head_top"][1:] == (1, 1.0)
    assert by_name["neck"][1:] == (2, 0.5)
    assert by_name["left_shoulder"][1:] == (0, 0.0)
    assert by_name["right_ankle"][1:] == (2, 1.0)


# ----- ratios and goals


def pictures(l1: float, copy_l1: float) -> PictureScore:
    return PictureScore(8, l1, copy_l1, psnr=20.0, ssim=0.5, temporal=None)


def test_ratio_is_the_share_of_the_error_of_copying() -> None:
    assert ratio(pictures(l1=0.01, copy_l1=0.04)) == pytest.approx(0.25)
    assert ratio(pictures(l1=0.06, copy_l1=0.04)) == pytest.approx(1.5)
    assert ratio(pictures(l1=0.06, copy_l1=0.0)) == float("inf")


@pytest.mark.parametrize(
    ("reconstruction", "transfer", "share", "met"),
    [
        (0.35, 0.50, 0.90, True),
        (0.351, 0.501, 0.899, False),
        (0.1, 0.1, 1.0, True),
        (float("nan"), float("nan"), float("nan"), False),
    ],
)
def test_goals_are_met_up_to_their_bounds(
    reconstruction: float, transfer: float, share: float, met: bool
) -> None:
    keypoints = KeypointScore(1, 1, 1, share, 0.5, ())
    both = {sense: pictures(transfer, 1.0) for sense in ("relative", "absolute")}
    goals = judge(Scores(pictures(reconstruction, 1.0), both, keypoints))
    names = ["reconstruction", "relative transfer", "absolute transfer", "keypoints"]
    assert [(goal.name, goal.met) for goal in goals] == [(name, met) for name in names]


# ----- flow and occlusion


def seen(flow: np.ndarray, occlusion_map: np.ndarray | None) -> MotionSeen:
    """A frame of 3 x 3 pixels that came from a pixel to the right; its last column is hidden."""
    x, y = np.meshgrid([-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0])
    visible = x < 1
    true_flow = np.stack([x + 1, y], axis=-1)
    return MotionSeen(flow, occlusion_map, true_flow, visible, figure=y == 0)


def test_flow_is_scored_in_pixels_where_the_source_shows_it() -> None:
    """Right on the middle row, off by half a pixel above and below."""
    still = np.stack(np.meshgrid([-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0]), axis=-1)
    flow = still + np.array([[0.5], [1.0], [0.5]])[..., None] * [1.0, 0.0]
    flow[:, 2] = 99.0  # hidden, so it does not matter
    score = score_motion([seen(flow, None)])
    assert score.epe == pytest.approx(1 / 3)
    assert score.figure_epe == pytest.approx(0)
    assert score.still_epe == score.figure_still_epe == pytest.approx(1)
    assert score.occlusion_auc is None
    assert score_motion([seen(flow, None), seen(still, None)]).epe == pytest.approx(2 / 3)


def test_occlusion_maps_are_scored_against_what_is_hidden() -> None:
    """Black is hidden: two of three hidden pixels are darkest, one is as bright as the rest."""
    flow = np.zeros((3, 3, 2))
    occlusion_map = np.ones((3, 3))
    assert score_motion([seen(flow, occlusion_map)]).occlusion_auc == pytest.approx(0.5)
    occlusion_map[:2, 2] = 0.1
    assert score_motion([seen(flow, occlusion_map)]).occlusion_auc == pytest.approx((2 + 0.5) / 3)
    occlusion_map[2, 2] = 0.2
    assert score_motion([seen(flow, occlusion_map)]).occlusion_auc == 1


# ----- on a set


@pytest.fixture(scope="module")
def config() -> Config:
    return tiny_config()


@pytest.fixture(scope="module")
def puppets(tmp_path_factory: pytest.TempPathFactory) -> PuppetSet:
    return make_set(tmp_path_factory.mktemp("made") / "puppets")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("run") / "tiny.pth.tar")


@pytest.fixture
def animator(config: Config) -> Animator:
    networks = build_inference_networks(config.model_params)
    return Animator(**networks._asdict(), device=torch.device("cpu"))


def frames_of(path: Path) -> np.ndarray:
    """(T, H, W, 3) in [0, 1]."""
    with open_video(path, frame_size=(SIZE, SIZE)) as video:
        return np.stack(list(video)) / 255


class Oracle(nn.Module):
    """A detector that knows all frames of a set, and gives half their joints as keypoints."""

    def __init__(self, puppets: PuppetSet) -> None:
        super().__init__()
        self._known: dict[bytes, Tensor] = {}
        for path in [*puppets.train, *puppets.test]:
            joints = load_truth(puppets.folder / "ground_truth" / f"{path.stem}.npz").joints
            for frame, pose in zip(frames_of(path), joints, strict=True):
                self._known[self._key(frame)] = 0.5 * torch.from_numpy(pose)

    def forward(self, images: Tensor) -> Keypoints:
        frames = images.permute(0, 2, 3, 1).numpy()
        return Keypoints(torch.stack([self._known[self._key(frame)] for frame in frames]), None)

    def _key(self, frame: np.ndarray) -> bytes:
        return np.rint(frame * 255).astype(np.uint8).tobytes()


@pytest.mark.parametrize("every", [1, 3, 5, 100])
def test_every_nth_frame_is_observed_with_its_own_truth(
    animator: Animator, puppets: PuppetSet, every: int
) -> None:
    animator.kp_detector = Oracle(puppets)  # type: ignore[assignment]
    seen = evaluation.observe(animator, puppets, puppets.train, every=every)
    truths = [
        load_truth(puppets.folder / "ground_truth" / f"{path.stem}.npz") for path in puppets.train
    ]
    np.testing.assert_allclose(seen.keypoints, seen.joints / 2, atol=1e-6)
    for name in ("joints", "visible", "figure_height"):
        expected = np.concatenate([getattr(truth, name) for truth in truths])[::every]
        np.testing.assert_array_equal(getattr(seen, name), expected)


def test_training_frames_are_thinned_and_test_frames_are_not(
    animator: Animator, puppets: PuppetSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    for most, used in ((12, 12), (11, 6), (5, 4)):
        monkeypatch.setattr(evaluation, "MAX_TRAIN_FRAMES", most)
        score = evaluation.keypoints_of(animator, puppets)
        assert (score.train_frames, score.test_frames) == (used, 8)


def test_keypoints_that_are_no_numbers_are_refused(animator: Animator, puppets: PuppetSet) -> None:
    for tensor in animator.kp_detector.state_dict().values():  # folded weights are buffers
        tensor.fill_(float("nan"))
    with pytest.raises(UserError, match="not finite"):
        evaluation.observe(animator, puppets, puppets.test, every=1)


@pytest.mark.parametrize("sense", ["relative", "absolute"])
def test_transfer_is_held_against_the_answer_of_its_sense(
    animator: Animator,
    puppets: PuppetSet,
    config: Config,
    sense: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (triple,) = puppets.triples
    driving, answer = frames_of(triple / "driving.png"), frames_of(triple / f"{sense}.png")
    moved = []

    def echo(source: object, frames: object, options: tuple[bool, ...]) -> object:
        moved.append(options[0])
        return frames

    monkeypatch.setattr(animator, "animate", echo)
    score = evaluation.transfer_of(animator, puppets, build_motion_transfer(config), sense)
    assert moved == [sense == "relative"]
    assert score.num_frames == PLAN.frames
    assert score.l1 == pytest.approx(np.abs(driving - answer).mean(), rel=1e-5)
    source = frames_of(triple / "source.png")
    assert score.copy_l1 == pytest.approx(np.abs(source - answer).mean(), rel=1e-5)
    assert score.l1 > 0.01


def test_motion_is_measured_to_every_frame_from_the_first(
    animator: Animator, puppets: PuppetSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Networks that knew the truth would make no error; their batches fall where they may."""
    monkeypatch.setattr(evaluation, "BATCH", 2)
    frames = iter([(path, t) for path in puppets.test for t in range(1, PLAN.frames)])

    def knowing(animator: Animator, source: object, batch: Tensor) -> Inspected:
        flows, maps = [], []
        for _ in batch:
            path, driving = next(frames)
            truth = load_truth(puppets.folder / "ground_truth" / f"{path.stem}.npz")
            flow, visible = backward_flow(truth, source=0, driving=driving)
            flows.append(flow)
            maps.append(visible.astype(float))
        return Inspected(np.zeros((len(batch), 1, 2)), np.stack(flows), np.stack(maps))

    monkeypatch.setattr(evaluation, "inspect", knowing)
    score = evaluation.motion_of(animator, puppets)
    assert score is not None
    assert score.num_frames == len(puppets.test) * (PLAN.frames - 1)
    assert score.epe == score.figure_epe == pytest.approx(0)
    assert score.figure_still_epe > score.still_epe > 0.01
    assert score.occlusion_auc == 1


def test_the_networks_own_flow_is_what_is_measured(animator: Animator, puppets: PuppetSet) -> None:
    """Batched or not, and at the size of the frames."""
    with puppets.open(puppets.test[0]) as clip:
        frames = torch.stack(list(clip))
    source = animator.encode(frames[0])
    found = inspect(animator, source, frames)
    moved = animator.generator.decode(source, animator.detect(frames[2])).motion
    assert moved is not None
    assert moved.occlusion_map is not None
    flow = resize_flow(moved.deformation, (SIZE, SIZE))[0]
    occlusion = resize_map(moved.occlusion_map, (SIZE, SIZE))[0, 0]
    assert found.flow is not None
    assert found.occlusion_map is not None
    np.testing.assert_allclose(found.flow[2], flow.numpy(), atol=1e-5)
    np.testing.assert_allclose(found.occlusion_map[2], occlusion.numpy(), atol=1e-5)
    np.testing.assert_allclose(found.keypoints[2], animator.detect(frames[2]).value[0], atol=1e-5)


def test_the_command_prints_and_writes_every_figure(
    puppets: PuppetSet, checkpoint: Path, tmp_path: Path
) -> None:
    report = tmp_path / "new" / "scores.json"
    done = run_process(
        "tools/score_puppets",
        *("--checkpoint", checkpoint, "--data", puppets.folder, "--json", report),
        cwd=tmp_path,
        environment={"OMP_NUM_THREADS": "1"},
    )
    lines = done.output().splitlines()
    made = json.loads(report.read_text())
    copied = np.mean([np.abs(f - f[0]).mean() for f in map(frames_of, puppets.test)])
    assert made["reconstruction"]["copy_l1"] == pytest.approx(copied, rel=1e-5)
    assert made["reconstruction"]["num_frames"] == 2 * PLAN.frames
    assert set(made["transfer"]) == {"relative", "absolute"}
    for part in (made["reconstruction"], *made["transfer"].values()):
        assert part["ratio"] == pytest.approx(part["l1"] / part["copy_l1"])
    assert made["motion"]["num_frames"] == 2 * (PLAN.frames - 1)
    assert f"off by: {made['motion']['epe']:.3f} pixels" in done.output()
    assert f"PSNR {made['reconstruction']['psnr']:.2f} dB" in lines[0]
    assert [joint["name"] for joint in made["keypoints"]["joints"]] == list(JOINT_NAMES)
    assert f"ratio {made['reconstruction']['ratio']:.3f}" in lines[0]
    assert f"{made['keypoints']['share']:.1%} of {made['keypoints']['visible']}" in done.output()
    goals = [line for line in lines if line.startswith("goal ")]
    assert goals == lines[-4:]
    for line, goal in zip(goals, made["goals"], strict=True):
        assert line.startswith(f"goal {goal['name']}: {goal['value']:.4f}, at ")
        assert line.endswith(": met" if goal["met"] else ": not met")


def run_on(folder: Path, checkpoint: Path, *more: object) -> Finished:
    return run_here(score_puppets.main, "--checkpoint", checkpoint, "--data", folder, *more)


def test_a_set_without_triples_is_scored_without_them(
    puppets: PuppetSet, checkpoint: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "set"
    shutil.copytree(puppets.folder, folder, ignore=shutil.ignore_patterns("transfer"))
    done = run_on(folder, checkpoint, "--json", tmp_path / "scores.json")
    (skipped,) = [line for line in done.output().splitlines() if "transfer" in line]
    assert skipped.startswith("transfer: skipped, ")
    assert "make_puppets.py --transfer" in skipped
    made = json.loads((tmp_path / "scores.json").read_text())
    assert made["transfer"] is None
    assert [goal["name"] for goal in made["goals"]] == ["reconstruction", "keypoints"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("puppets.json", "lacks puppets.json;"),
        ("train", "lacks train;"),
        ("test", "lacks test;"),
        ("ground_truth", "lacks ground_truth;"),
        ("ground_truth/test-00001.npz", "test-00001.npz: missing or damaged"),
        ("transfer/transfer-00000/relative.png", "relative.png: no such video"),
    ],
)
def test_what_a_set_lacks_is_named(
    puppets: PuppetSet, checkpoint: Path, tmp_path: Path, name: str, words: str
) -> None:
    folder = tmp_path / "set"
    shutil.copytree(puppets.folder, folder)
    (folder / name).rename(tmp_path / "away")
    assert words in run_on(folder, checkpoint).error()


def test_what_does_not_fit_is_answered_in_one_line(
    puppets: PuppetSet, checkpoint: Path, tmp_path: Path
) -> None:
    assert "puppets.json, train, test, ground_truth" in run_on(tmp_path / "no", checkpoint).error()
    wrong_size = run_on(puppets.folder, checkpoint, "--set", "dataset_params.frame_shape=[32,32,3]")
    assert "64x64 pixels, and the config asks for 32x32" in wrong_size.error()
    # The config's own folder is what --data stands in for.
    assert "nowhere: no set" in run_here(score_puppets.main, "--checkpoint", checkpoint).error()

    folder = tmp_path / "set"
    shutil.copytree(puppets.folder, folder)
    truth = folder / "ground_truth" / "train-00000.npz"
    whole = truth.read_bytes()
    for damaged in (b"", whole[:1000], whole[:2000] + bytes(50) + whole[2050:]):
        truth.write_bytes(damaged)
        assert "train-00000.npz: missing or damaged" in run_on(folder, checkpoint).error()
    truth.write_bytes(whole)
    for text in ("", "[]", '{"size": 64}'):
        (folder / "puppets.json").write_text(text)
        assert "puppets.json: unreadable" in run_on(folder, checkpoint).error()


def test_scores_replace_nothing_that_they_are_from(
    puppets: PuppetSet, checkpoint: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "set"
    shutil.copytree(puppets.folder, folder)
    own = tmp_path / "own.pth.tar"
    shutil.copy(checkpoint, own)
    for file in (own, folder / "puppets.json"):
        before = file.read_bytes()
        error = run_on(folder, own, "--json", file).error()
        assert error == f"{file}: --json would write over it; choose another --json"
        assert file.read_bytes() == before
