"""Where keypoints, features and perceptual distances come from, and what is said without them."""

import json
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
import torch
from commands import frames_of_a_square, run_here, write_folder
from torch import Tensor, nn
from torchvision.models import AlexNet_Weights, VGG16_Weights, alexnet
from torchvision.models.detection import KeypointRCNN_ResNet50_FPN_Weights

import evaluate
from engine.detectors import FaceFeatures, FaceKeypoints, FrameId, Precomputed, surest_person
from engine.errors import UserError
from engine.pretrained import MissingWeights, load_body_detector, load_lpips
from modules.lpips import LPIPS

ALEXNET = "alexnet-owt-7be5be79.pth"
AT = FrameId("result", "clip", 0)
CPU = torch.device("cpu")
GREY = torch.full((3, 16, 16), 0.5)


# ----- LPIPS


def test_lpips_by_hand() -> None:
    """One layer that doubles each channel: features of unit length differ by (1, -1, 0)."""
    layer = nn.Conv2d(3, 3, 1, bias=False)
    layer.weight.data = 2 * torch.eye(3).view(3, 3, 1, 1)
    weight = torch.tensor([0.5, 2.0, 100.0]).view(1, 3, 1, 1)
    network = LPIPS(nn.Sequential(layer), ends=[1], weights=[weight])
    levels = {"left": (1.0, 0.0, 0.0), "right": (0.0, 1.0, 0.0)}
    images = [
        (torch.tensor(level).view(1, 3, 1, 1) * network.scale + network.shift + 1) / 2
        for level in levels.values()
    ]
    batch = [image.expand(1, 3, 4, 4) for image in images]
    assert network(*batch).tolist() == pytest.approx([0.5 + 2.0])
    assert network(batch[0], batch[0]).tolist() == [0]


def write_lpips(folder: Path) -> Path:
    """Random weights of AlexNet and the linear ones, as the published files hold them."""
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in alexnet().state_dict().items()}
    features = {key: torch.randn(shapes[key]) * 0.05 for key in shapes if "features" in key}
    torch.save(features, folder / ALEXNET)
    widths = (64, 192, 384, 256, 256)
    linear = {f"lin{i}.model.1.weight": torch.rand(1, w, 1, 1) for i, w in enumerate(widths)}
    torch.save(linear, folder / "lpips_alex.pth")
    return folder


def test_weights_that_were_put_in_place_are_used(tmp_path: Path) -> None:
    folder = write_lpips(tmp_path / "weights")
    frames = frames_of_a_square(0, count=2, size=64)
    write_folder(tmp_path / "truths" / "a", frames)
    write_folder(tmp_path / "results" / "a", [frames[1], frames[1]])
    report = tmp_path / "scores.json"
    flags = ["--lpips", "alex", "--weights", folder, "--json", report, "--device", "cpu"]
    run_here(evaluate.main, tmp_path / "results", tmp_path / "truths", *flags).output()
    scores = json.loads(report.read_text())
    assert scores["skipped"] == {}
    first, second = scores["videos"][0]["frames"]["lpips"]
    assert first > 0.001
    assert second == pytest.approx(0, abs=1e-6)


def test_other_weights_give_other_scores(tmp_path: Path) -> None:
    """Scores kept from before the file was replaced do not count; half precision is enough."""
    folder = write_lpips(tmp_path / "weights")
    write_folder(tmp_path / "truths" / "a", frames_of_a_square(0, count=1, size=64))
    write_folder(tmp_path / "results" / "a", frames_of_a_square(1, count=1, size=64))
    report = tmp_path / "scores.json"
    flags = ["--lpips", "alex", "--weights", folder, "--json", report, "--device", "cpu"]

    def score() -> float:
        run_here(evaluate.main, tmp_path / "results", tmp_path / "truths", *flags).output()
        return json.loads(report.read_text())["lpips"]

    first, linear, images = score(), folder / "lpips_alex.pth", folder / ALEXNET
    weights = torch.load(linear, weights_only=True)
    torch.save({key: 3 * weights[key] for key in weights}, linear)
    assert score() == pytest.approx(3 * first)
    weights = torch.load(images, weights_only=True)
    torch.save({key: weights[key].half() for key in weights}, images)
    assert score() == pytest.approx(3 * first, rel=1e-2)


@pytest.mark.parametrize("name", [ALEXNET, "lpips_alex.pth"])
@pytest.mark.parametrize(
    "change",
    [
        lambda weight: weight.to_sparse(),
        lambda weight: weight + 1j,
        lambda weight: weight.to("meta"),
        lambda weight: "a word",
        lambda weight: None,
        lambda weight: weight * torch.inf,
    ],
    ids=["sparse", "complex", "meta", "word", "nothing", "infinite"],
)
def test_weights_of_another_type_are_named(
    tmp_path: Path, name: str, change: Callable[[Tensor], object]
) -> None:
    folder = write_lpips(tmp_path / "weights")
    state = torch.load(folder / name, weights_only=True)
    torch.save({key: change(weight) for key, weight in state.items()}, folder / name)
    with pytest.raises(UserError, match=rf"{name}: .*; .*get a"):
        load_lpips("alex", folder)


@pytest.mark.parametrize("name", [ALEXNET, "lpips_alex.pth"])
def test_weights_that_are_no_numbers_are_named(tmp_path: Path, name: str) -> None:
    folder = write_lpips(tmp_path / "weights")
    weights = torch.load(folder / name, weights_only=True)
    next(iter(weights.values()))[0] = torch.nan
    torch.save(weights, folder / name)
    with pytest.raises(UserError, match=rf"{name}: weights\..*: holds NaN or infinite"):
        load_lpips("alex", folder)


@pytest.mark.parametrize("content", [{1: torch.zeros(1)}, {"weight": torch.zeros(1)}, {}, [1]])
def test_files_of_something_else_are_named(tmp_path: Path, content: object) -> None:
    """By the command, for every file of weights that it reads."""
    folder = write_lpips(tmp_path / "weights")
    frames = frames_of_a_square(0, count=1)
    for side in ("results", "truths"):
        write_folder(tmp_path / side / "a", frames)
    asked = [tmp_path / "results", tmp_path / "truths", "--weights", folder, "--device", "cpu"]
    body = Path(KeypointRCNN_ResNet50_FPN_Weights.COCO_V1.url).name
    for name, flags in (
        (body, ["--lpips", "none", "--keypoints", "body"]),
        (ALEXNET, ["--lpips", "alex"]),
        ("lpips_alex.pth", ["--lpips", "alex"]),
    ):
        before = (folder / name).read_bytes() if (folder / name).exists() else b""
        torch.save(content, folder / name)
        error = run_here(evaluate.main, *asked, *flags).error()
        assert error.startswith(f"{folder / name}: ")
        assert "get a whole copy" in error or "holds a list" in error
        (folder / name).write_bytes(before)


def test_weights_that_are_missing_or_wrong_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    with pytest.raises(MissingWeights, match=r"alexnet-owt-7be5be79.pth, or name its folder"):
        load_lpips("alex", folder)
    write_lpips(folder)
    assert isinstance(load_lpips("alex", folder), LPIPS)
    torch.save({"lin0.model.1.weight": torch.rand(1, 3, 1, 1)}, folder / "lpips_alex.pth")
    with pytest.raises(UserError, match=r"lpips_alex.pth: not the linear weights"):
        load_lpips("alex", folder)
    (folder / "lpips_alex.pth").unlink()
    with pytest.raises(MissingWeights, match=r"lpips/weights/v0.1/alex.pth of the Python package"):
        load_lpips("alex", folder)
    torch.save({"features.0.weight": torch.rand(2, 2)}, folder / ALEXNET)
    torch.save({}, folder / "lpips_alex.pth")
    with pytest.raises(UserError, match=r"alexnet-owt-7be5be79.pth: of another network"):
        load_lpips("alex", folder)


def test_the_files_asked_for_are_those_of_torchvision(tmp_path: Path) -> None:
    for load, url in (
        (lambda: load_lpips("alex", tmp_path), AlexNet_Weights.IMAGENET1K_V1.url),
        (lambda: load_lpips("vgg", tmp_path), VGG16_Weights.IMAGENET1K_V1.url),
        (lambda: load_body_detector(tmp_path), KeypointRCNN_ResNet50_FPN_Weights.COCO_V1.url),
    ):
        with pytest.raises(MissingWeights) as missing:
            load()
        assert f"put {url} at {tmp_path / Path(url).name}" in str(missing.value)


# ----- detectors


def test_joints_are_those_of_the_surest_person() -> None:
    """Joints below an even chance, and people that hardly are any, do not count."""
    keypoints = torch.arange(2 * 17 * 3, dtype=torch.float32).view(2, 17, 3)
    sure = torch.full((2, 17), 3.0)
    sure[1, 4] = -1
    found = {"scores": torch.tensor([0.91, 0.95]), "keypoints": keypoints, "keypoints_scores": sure}
    points = surest_person(found)
    assert np.isnan(points[4]).all()
    np.testing.assert_array_equal(points[5], keypoints[1, 5, :2])
    assert np.isnan(surest_person({**found, "scores": torch.tensor([0.1, 0.8])})).all()
    nobody = {key: value[:0] for key, value in found.items()}
    assert np.isnan(surest_person(nobody)).all()


def test_face_packages_are_used_where_they_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("face_alignment", "face_recognition", "face_recognition_models"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingWeights, match="face-alignment"):
        FaceKeypoints(CPU)
    with pytest.raises(MissingWeights, match="face-recognition"):
        FaceFeatures()

    faces: list[np.ndarray] = [np.ones((68, 2)), np.zeros((68, 2))]
    aligner = SimpleNamespace(get_landmarks_from_image=lambda frame: faces)
    alignment = SimpleNamespace(
        LandmarksType=SimpleNamespace(TWO_D=2), FaceAlignment=lambda kind, device: aligner
    )
    recognition = SimpleNamespace(face_encodings=lambda frame: [face[:, 0] for face in faces])
    monkeypatch.setitem(sys.modules, "face_alignment", alignment)
    monkeypatch.setitem(sys.modules, "face_recognition", recognition)
    with pytest.raises(MissingWeights, match=r"face-recognition.*face_recognition_models"):
        FaceFeatures()
    monkeypatch.setitem(sys.modules, "face_recognition_models", SimpleNamespace())
    keypoints, features = FaceKeypoints(CPU), FaceFeatures()
    assert (keypoints(GREY, AT) == 1).all()
    assert (features(GREY, AT) == 1).all()
    faces.clear()
    assert np.isnan(keypoints(GREY, AT)).all()
    assert np.isnan(features(GREY, AT)).all()


def test_a_package_without_its_weights_is_skipped_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(kind: object, device: str) -> None:
        raise URLError("no network")

    alignment = SimpleNamespace(LandmarksType=SimpleNamespace(TWO_D=2), FaceAlignment=offline)
    monkeypatch.setitem(sys.modules, "face_alignment", alignment)
    with pytest.raises(MissingWeights, match=r"could not download its weights .*no network"):
        FaceKeypoints(CPU)


# ----- files


def scores_with(tmp_path: Path, *flags: object) -> dict:
    """Evaluate two frames of one video against themselves, with what others have found."""
    frames = frames_of_a_square(0, count=2)
    for side in ("results", "truths"):
        if not (tmp_path / side).exists():
            write_folder(tmp_path / side / "clip", frames)
    report = tmp_path / "scores.json"
    flags = ("--lpips", "none", "--device", "cpu", "--json", report, *flags)
    run_here(evaluate.main, tmp_path / "results", tmp_path / "truths", *flags).output()
    return json.loads(report.read_text())


def test_keypoints_of_another_program(tmp_path: Path) -> None:
    """Two frames: distances 5 and 1, and one point of three that is missing in the result."""
    truth = np.array([[[0.0, 0], [10, 0]], [[5, 5], [np.nan, np.nan]]])
    result = np.array([[[3.0, 4], [np.nan, np.nan]], [[5, 6], [1, 1]]])
    np.savez(tmp_path / "truth.npz", clip=truth)
    np.savez(tmp_path / "result.npz", clip=result)
    (tmp_path / "result.csv").write_text(
        "video,frame,keypoint,x,y\nclip,0,0,3,4\nclip,0,1,,\nclip,1,0,5,6\nclip,1,1,1,1\n"
    )
    for name in ("result.npz", "result.csv"):
        flags = ["--keypoint_files", tmp_path / name, tmp_path / "truth.npz"]
        scores = scores_with(tmp_path, *flags)
        assert scores["akd"] == pytest.approx(3)
        assert scores["mkr"] == pytest.approx(1 / 3)
        assert scores["videos"][0]["frames"]["akd"] == pytest.approx([5, 1])


def test_features_of_another_program(tmp_path: Path) -> None:
    """Distances 5 and 0: their mean is 2.5, with no square."""
    np.savez(tmp_path / "truth.npz", clip=np.array([[0.0, 4], [1, 1]]))
    (tmp_path / "result.csv").write_text("video,frame,a,b\nclip,0,3,0\nclip,1,1,1\n")
    flags = ["--feature_files", tmp_path / "result.csv", tmp_path / "truth.npz"]
    assert scores_with(tmp_path, *flags)["aed"] == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("x.csv", "video,frame,x,y\n", "no column keypoint"),
        ("x.csv", "video,frame,keypoint,x,y\nclip,a,0,1,1\n", "x.csv:2: 'a' in place of a count"),
        ("x.csv", "video,frame,keypoint,x,y\nclip,0,0,one,1\n", "'one' in place of a number"),
        ("x.csv", "video,frame,keypoint,x,y\nclip,0,0,1,1,1\n", "more cells than columns"),
        ("x.csv", "video,frame,keypoint,x,y\nclip,0,0,inf,1\n", "'inf' in place of a number"),
        ("x.csv", "video,frame,keypoint,x,y,x\nclip,0,0,1,1,1\n", "x.csv: two columns x; rename"),
        (
            "x.csv",
            "video,frame,keypoint,x,y\nclip,0,1,1,1\nclip,0,0,1,1\nclip,0,1,,\n",
            "x.csv:4: .*keypoint 1 in frame 0; remove one",
        ),
        ("x.csv", "video,frame,keypoint,x,y\nclip,99999999999,0,1,1\n", "in place of a count"),
        ("x.csv", "video,frame,keypoint,x,y\nclip,0,999999999,1,1\n", "more than 100,000,000"),
        ("x.csv", f"video,frame,keypoint,x,y\nclip,{'9' * 5000},0,1,1\n", "in place of a count"),
        ("x.csv", ",video,frame,keypoint,x,y\n0,clip,0,0,1,1\n", "a column without a name"),
        ("x.csv", "[" * 100_000, "no column"),
        ("x.npz", "[" * 100_000, "not a readable .npz"),
        ("x.npz", "nothing", "not a readable .npz"),
        ("y.csv", None, "not a readable CSV"),
    ],
)
def test_files_that_tell_nothing_are_named(
    tmp_path: Path, name: str, text: str | None, words: str
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=words):
        Precomputed("keypoints", results=tmp_path / name, truths=tmp_path / name)


def test_what_a_file_tells_twice_is_named(tmp_path: Path) -> None:
    rows = tmp_path / "x.csv"
    rows.write_text("video,frame,a\nclip,0,1\nother,0,1\nclip,0,1\n")
    with pytest.raises(UserError, match=r"x.csv:4: tells again of frame 0; remove one"):
        Precomputed("features", results=rows, truths=rows)
    rows.write_text("video,frame,a,a\nclip,0,1,2\n")
    with pytest.raises(UserError, match=r"x.csv: two columns a; rename or remove one"):
        Precomputed("features", results=rows, truths=rows)
    archive = tmp_path / "x.npz"
    np.savez(archive, clip=np.zeros((3, 2)))
    with zipfile.ZipFile(archive, "a") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the very thing
        file.writestr("clip.npy", file.read("clip.npy"))
    with pytest.raises(UserError, match=r"x.npz: clip: there twice; remove one"):
        Precomputed("features", results=archive, truths=archive)


def test_infinite_numbers_are_named(tmp_path: Path) -> None:
    archive = tmp_path / "x.npz"
    np.savez(archive, clip=np.full((3, 2), np.inf))
    with pytest.raises(UserError, match=r"x.npz: clip: holds infinite numbers"):
        Precomputed("features", results=archive, truths=archive)


def test_what_a_file_tells_in_vain_is_named(tmp_path: Path) -> None:
    """Of videos and frames that are not there; --partial lets them be."""
    frames = frames_of_a_square(0, count=3)
    write_folder(tmp_path / "truths" / "clip", frames)
    write_folder(tmp_path / "truths" / "later", frames)
    write_folder(tmp_path / "results" / "clip", frames[:2])
    truth, result = tmp_path / "truth.npz", tmp_path / "result.npz"
    np.savez(truth, clip=np.zeros((3, 4)), later=np.zeros((3, 4)))
    np.savez(result, clip=np.zeros((2, 4)))
    flags = ["--feature_files", result, truth, "--partial"]
    matching = scores_with(tmp_path, *flags)["unmatched"]
    assert matching == [
        "clip: shorter, 2 frames where the truth has 3",
        f"later: missing in {tmp_path / 'results'}",
    ]
    np.savez(truth, clip=np.zeros((4, 4)), later=np.zeros((3, 4)))
    np.savez(result, clip=np.zeros((3, 4)), more=np.zeros((3, 4)))
    extras = [
        f"{result}: more: extra, there is no such video among the results",
        f"{result}: clip: 3 frames where the result has 2",
        f"{truth}: clip: 4 frames where the truth has 3",
    ]
    scores = scores_with(tmp_path, *flags)
    assert scores["unmatched"] == matching + extras
    assert scores["aed"] == 0
    asked = [tmp_path / "results", tmp_path / "truths", "--lpips", "none", "--device", "cpu"]
    error = run_here(evaluate.main, *asked, *flags[:-1]).error()
    assert error.startswith("; ".join(matching + extras))


def test_frames_that_a_file_leaves_out_are_named(tmp_path: Path) -> None:
    one, two = tmp_path / "one.npz", tmp_path / "two.npz"
    np.savez(one, clip=np.zeros((3, 2, 2)))
    np.savez(two, clip=np.zeros((3, 4, 2)))
    detector = Precomputed("keypoints", results=one, truths=one)
    assert detector(GREY, FrameId("result", "clip", 2)).shape == (2, 2)
    with pytest.raises(UserError, match=r"one.npz: tells nothing of frame 3 of clip"):
        detector(GREY, FrameId("truth", "clip", 3))
    with pytest.raises(UserError, match="tells nothing of frame 0 of other"):
        detector(GREY, FrameId("truth", "other", 0))
    with pytest.raises(UserError, match="2 and 4 keypoints a frame"):
        Precomputed("keypoints", results=one, truths=two)
    with pytest.raises(UserError, match=r"of shape \(3, 2, 2\); make it \(frames, numbers\)"):
        Precomputed("features", results=one, truths=one)
