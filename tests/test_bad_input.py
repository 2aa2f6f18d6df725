"""A person's mistake is one line that names the culprit, exit code 2, and nothing is overwritten.

Most cases run in this process, which saves importing torch; some as a person would run them.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import clips
import imageio.v3 as iio
import pytest
import torch
import yaml
from commands import (
    GOLDEN_SIZE,
    Tree,
    files_below,
    frames_of_a_square,
    golden_checkpoint,
    golden_tree,
    run_here,
    run_process,
    thin_vgg_in_place,
    write_config,
    write_dataset,
    write_folder,
)

import animate
import reconstruction
import train
from engine.output import FrameFolder

NAME, OTHER = "small-jacobian", "small-zero-order"
COMMANDS: dict[str, Callable[[], None]] = {
    "animate": animate.main,
    "pairs": animate.main,
    "reconstruction": reconstruction.main,
    "train": train.main,
}


class Place:
    """A folder with all that the three commands need, results of earlier runs among it."""

    def __init__(self, folder: Path, dataset: Path) -> None:
        self.folder = folder
        self.data = shutil.copytree(dataset, folder / "data")
        self.tree: Tree = golden_tree(NAME, self.data)
        self.tree["train_params"] |= {
            "batch_size": 2,
            "num_workers": 0,
            "num_epochs": 5,
            "perceptual_weights": "random",
            "validate_freq": 1,
        }
        self.config = write_config(folder / "golden.yaml", self.tree)
        self.checkpoint = folder / "golden.pth.tar"
        shutil.copy(golden_checkpoint(NAME), self.checkpoint)
        self.picture = folder / "picture.png"
        iio.imwrite(self.picture, frames_of_a_square(0, size=GOLDEN_SIZE)[0])
        self.driving = self.data / "test" / "f.mp4"
        self.file = folder / "file"
        self.file.write_text("in the way")
        self.result = folder / "result.mp4"
        for earlier in ("result.mp4", "frames/mine.txt", "report.json"):
            self._write_earlier(folder / earlier)
        self._write_earlier_frame(folder / "frames")
        for results in ("reconstruction", "animation"):
            for name in ("e", "f"):
                self._write_earlier(folder / "log" / results / f"{name}.mp4")
                self._write_earlier_frame(folder / "log" / results / "png" / name)
        self._write_earlier(folder / "log" / "log.txt")

    @staticmethod
    def _write_earlier(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'["earlier {path.name}"]')

    @staticmethod
    def _write_earlier_frame(folder: Path) -> None:
        with FrameFolder(folder) as frames:
            frames.write(frames_of_a_square(9, count=1)[0])

    def set(self, **sections: Tree) -> None:
        """Change keys of the configuration file."""
        tree = {name: {**self.tree.get(name, {}), **keys} for name, keys in sections.items()}
        write_config(self.config, {**self.tree, **tree})

    def arguments(self, command: str) -> list[str]:
        """Those of a run in which nothing is wrong."""
        found = {"config": self.config, "checkpoint": self.checkpoint, "device": "cpu"}
        if command == "pairs":
            found |= {"log_dir": self.folder / "log", "json": self.folder / "report.json"}
            return [*self._flags(found), "--pairs"]
        if command == "animate":
            found |= {"source_image": self.picture, "driving_video": self.driving}
            found |= {"result_video": self.result, "save_frames": self.folder / "frames"}
        else:
            found |= {"log_dir": self.folder / "log"}
        if command != "train":
            found |= {"json": self.folder / "report.json"}
        return self._flags(found)

    @staticmethod
    def _flags(values: Mapping[str, object]) -> list[str]:
        return [part for key, value in values.items() for part in (f"--{key}", str(value))]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("original") / "data", size=GOLDEN_SIZE)


@pytest.fixture
def place(tmp_path: Path, dataset: Path) -> Iterator[Place]:
    with thin_vgg_in_place():
        yield Place(tmp_path, dataset)


class Case(NamedTuple):
    """A mistake.

    Attributes:
        name: of the case.
        commands: in which it is tried.
        spoil: does it, and returns the arguments to add.
        named: what the message must hold; `{folder}` is the place.
    """

    name: str
    commands: str
    spoil: Callable[[Place], list[object]]
    named: list[str]


CASES: list[Case] = []


def case(commands: str, *named: str) -> Callable[[Callable[[Place], list[object]]], None]:
    """Add a function that does something wrong to the table."""

    def add(spoil: Callable[[Place], list[object]]) -> None:
        CASES.append(Case(spoil.__name__, commands, spoil, list(named)))

    return add


ALL = "animate reconstruction train"


# ----- configuration


@case(ALL, "{folder}/goldem.yaml", "golden.yaml?")
def config_missing(place: Place) -> list[object]:
    return ["--config", place.folder / "goldem.yaml"]


@case(ALL, "{folder}/golden.yaml", "model_params.common_params.num_kpp", "num_kp?")
def config_key_misspelt(place: Place) -> list[object]:
    model = place.tree["model_params"]
    place.set(model_params={"common_params": {**model["common_params"], "num_kpp": 5}})
    return []


@case(ALL, "{folder}/golden.yaml", "train_params.batch_size", "many")
def config_value_of_another_type(place: Place) -> list[object]:
    place.set(train_params={"batch_size": "many"})
    return []


@case(ALL, "{folder}/golden.yaml", "model_params")
def config_section_missing(place: Place) -> list[object]:
    del place.tree["model_params"]
    place.set()
    return []


@case(ALL, "{folder}/golden.yaml", "line 2")
def config_not_yaml(place: Place) -> list[object]:
    place.config.write_text("dataset_params: {\n  - ]")
    return []


@case(ALL, "{folder}/golden.yaml")
def config_binary(place: Place) -> list[object]:
    place.config.write_bytes(bytes(range(256)))
    return []


@case(ALL, "{folder}/golden.yaml", "not 60 x 64; change frame_shape")
def config_sizes_do_not_fit(place: Place) -> list[object]:
    return ["--set", "dataset_params.frame_shape=[60, 64, 3]"]


@case(ALL, "--set", "train_params.batchsize", "batch_size?")
def override_misspelt(place: Place) -> list[object]:
    return ["--set", "train_params.batchsize=8"]


@case(ALL, "--set", "batch_size")
def override_without_value(place: Place) -> list[object]:
    return ["--set", "train_params.batch_size"]


@case("train", "visualizer_params.colormap", "jett", "jet?")
def colormap_unknown(place: Place) -> list[object]:
    return ["--set", "visualizer_params.colormap=jett"]


# ----- datasets


@case("reconstruction train", "{folder}/nothing", "dataset_params.root_dir")
def dataset_missing(place: Place) -> list[object]:
    return ["--set", f"dataset_params.root_dir={place.folder / 'nothing'}"]


@case("reconstruction train", "{folder}/data/")
def dataset_empty(place: Place) -> list[object]:
    for side in ("train", "test"):
        shutil.rmtree(place.data / side)
        (place.data / side).mkdir()
    return []


@case("reconstruction train", "{folder}/data: holds no videos")
def dataset_without_a_video(place: Place) -> list[object]:
    shutil.rmtree(place.data)
    place.data.mkdir()
    (place.data / "notes.txt").write_text("nothing to see")
    return []


@case("train", "{folder}/data", "batch of 9", "num_repeats")
def batch_larger_than_the_data(place: Place) -> list[object]:
    return ["--set", "train_params.batch_size=9"]


@case("reconstruction", "{folder}/data/test/f.mp4")
def test_video_damaged(place: Place) -> list[object]:
    place.driving.write_bytes(place.driving.read_bytes()[:500])
    return []


@case("reconstruction", "{folder}/data/test/g/0.png: not a readable image")
def test_frames_damaged(place: Place) -> list[object]:
    folder = write_folder(place.data / "test" / "g", [])
    (folder / "0.png").write_bytes(b"no image")
    return []


@case("reconstruction", "{folder}/data/test/g.png", "65")
def test_stack_of_another_width(place: Place) -> list[object]:
    iio.imwrite(place.data / "test" / "g.png", torch.zeros(64, 65, 3, dtype=torch.uint8).numpy())
    return []


@case("reconstruction", "{folder}/data/test/e", "e.gif")
def test_videos_of_one_name(place: Place) -> list[object]:
    clips.write(place.data / "test" / "e.gif", frames_of_a_square(0, size=GOLDEN_SIZE))
    return []


# ----- checkpoints


@case(ALL, "{folder}/none.pth.tar: no such file")
def checkpoint_missing(place: Place) -> list[object]:
    return ["--checkpoint", place.folder / "none.pth.tar"]


@case(ALL, "{folder}/golden.pth.tar: truncated")
def checkpoint_truncated(place: Place) -> list[object]:
    place.checkpoint.write_bytes(place.checkpoint.read_bytes()[:-1000])
    return []


@case(ALL, "{folder}/golden.pth.tar: ", "generator.dense_motion", "another architecture")
def checkpoint_of_another_architecture(place: Place) -> list[object]:
    shutil.copy(golden_checkpoint(OTHER), place.checkpoint)
    return []


@case(ALL, "{folder}/golden.pth.tar: holds no generator")
def checkpoint_of_something_else(place: Place) -> list[object]:
    torch.save({"model": {"weight": torch.zeros(2)}}, place.checkpoint)
    return []


class Code:
    """Writes a file when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.trace}",)


@case(ALL, "{folder}/golden.pth.tar: refused", "run code")
def checkpoint_with_code(place: Place) -> list[object]:
    torch.save({"generator": Code(place.folder / "trace")}, place.checkpoint)
    return []


@case("train", "{folder}/golden.pth.tar: holds no optimizer_generator", "--init_from")
def checkpoint_without_optimizers(place: Place) -> list[object]:
    state = torch.load(place.checkpoint, weights_only=True)
    keys = ("generator", "discriminator", "kp_detector", "epoch")
    torch.save({key: state[key] for key in keys}, place.checkpoint)
    return []


@case("train", "--init_from", "not allowed with", "--checkpoint")
def two_beginnings(place: Place) -> list[object]:
    return ["--init_from", place.checkpoint]


# ----- pictures and driving videos


@case("animate", "{folder}/none.png: no such image")
def picture_missing(place: Place) -> list[object]:
    return ["--source_image", place.folder / "none.png"]


@case("animate", "{folder}/picture.png: not a readable image")
def picture_damaged(place: Place) -> list[object]:
    place.picture.write_bytes(place.picture.read_bytes()[:60])
    return []


@case("animate", "{folder}/data: ")
def picture_is_a_folder(place: Place) -> list[object]:
    return ["--source_image", place.data]


@case("animate", "{folder}/none.mp4: no such video")
def driving_missing(place: Place) -> list[object]:
    return ["--driving_video", place.folder / "none.mp4"]


@case("animate", "{folder}/data/test/f.mp4: ")
def driving_damaged(place: Place) -> list[object]:
    place.driving.write_bytes(b"no video at all")
    return []


@case("animate", "{folder}/empty")
def driving_without_frames(place: Place) -> list[object]:
    return ["--driving_video", write_folder(place.folder / "empty", [])]


@case("animate", "{folder}/spoilt/001.png")
def driving_damaged_in_its_midst(place: Place) -> list[object]:
    folder = write_folder(place.folder / "spoilt", frames_of_a_square(0, size=GOLDEN_SIZE))
    (folder / "001.png").write_bytes(b"no image")
    return ["--driving_video", folder, "--batch_size", 1]


@case("animate", "{folder}/data/test/f.mp4", "frame 12", "11")
def best_frame_past_the_end(place: Place) -> list[object]:
    return ["--best_frame", 12]


@case("animate", "{folder}/data/test/f.mp4", "frame -1")
def best_frame_negative(place: Place) -> list[object]:
    return ["--best_frame", -1]


@case("pairs", "{folder}/data/test/", "frame 9999")
def best_frame_past_the_end_of_a_pair(place: Place) -> list[object]:
    return ["--best_frame", 9999]


@case("animate pairs", "--best_frame auto", "absolute")
def best_frame_of_no_use(place: Place) -> list[object]:
    return ["--best_frame", "auto", "--absolute"]


@case("animate", "--best_frame", "last")
def best_frame_no_number(place: Place) -> list[object]:
    return ["--best_frame", "last"]


@case("pairs", "{folder}/pairs.csv", "source")
def pairs_list_of_other_columns(place: Place) -> list[object]:
    (place.folder / "pairs.csv").write_text("a,b\ne,f\n")
    place.set(dataset_params={"pairs_list": str(place.folder / "pairs.csv")})
    return []


@case("pairs", "{folder}/data/test/f.mp4", "frame 99")
def pairs_list_of_a_frame_past_the_end(place: Place) -> list[object]:
    (place.folder / "pairs.csv").write_text("source,driving,frame\ne,f,0\nf,e,99\n")
    place.set(dataset_params={"pairs_list": str(place.folder / "pairs.csv")})
    return []


@case("pairs", "{folder}/data/test/f.mp4")
def pair_damaged(place: Place) -> list[object]:
    (place.folder / "pairs.csv").write_text("source,driving\ne,e\ne,f\n")
    place.set(dataset_params={"pairs_list": str(place.folder / "pairs.csv")})
    place.driving.write_bytes(b"no video at all")
    return []


# ----- framing


@case("animate", "{folder}/picture.png: 1,0,64,64 ", "64x64")
def crop_beyond_the_picture(place: Place) -> list[object]:
    return ["--crop", "source", "1,0,64,64"]


@case("animate", "{folder}/data/test/f.mp4: 0,0,0,64 ", "64x64")
def crop_of_nothing(place: Place) -> list[object]:
    return ["--crop", "driving", "0,0,0,64"]


@case("animate", "1,2,3", "x,y,w,h")
def crop_of_three_numbers(place: Place) -> list[object]:
    return ["--crop", "source", "1,2,3"]


@case("animate", "--crop source", "twice")
def crop_twice(place: Place) -> list[object]:
    return ["--crop", "source", "0,0,64,64", "--crop", "source", "0,0,32,32"]


@case("animate", "--crop background", "source", "driving")
def crop_of_something_else(place: Place) -> list[object]:
    return ["--crop", "background", "0,0,9,9"]


# ----- results


@case("animate", "{folder}/result.avi", ".mp4")
def result_of_an_unknown_kind(place: Place) -> list[object]:
    return ["--result_video", place.folder / "result.avi"]


@case("animate", "{folder}/file/x.mp4")
def result_below_a_file(place: Place) -> list[object]:
    return ["--result_video", place.file / "x.mp4"]


@case("animate", "{folder}/data.mp4")
def result_is_a_folder(place: Place) -> list[object]:
    (place.folder / "data.mp4").mkdir()
    return ["--result_video", place.folder / "data.mp4"]


@case("animate", "{folder}/picture.png", "--side_by_side", "--result_video")
def result_picture_would_replace_the_source(place: Place) -> list[object]:
    return ["--result_video", place.folder / "picture.mp4", "--side_by_side"]


@case("animate", "{folder}/drive.png", "--side_by_side", "--result_video")
def result_picture_would_replace_the_driving_video(place: Place) -> list[object]:
    shutil.copy(place.picture, place.folder / "drive.png")
    result = ["--result_video", place.folder / "data" / ".." / "drive.mp4"]
    return ["--driving_video", place.folder / "drive.png", *result, "--side_by_side"]


@case("animate", "f.mp4", "--result_video would write over it")
def result_would_replace_the_driving_video(place: Place) -> list[object]:
    return ["--driving_video", place.driving, "--result_video", place.driving]


@case("animate", "{folder}/data/train/a", "--save_frames would write over it")
def frames_would_replace_the_driving_frames(place: Place) -> list[object]:
    frames = place.data / "train" / "a"
    return ["--driving_video", frames, "--save_frames", frames]


@case("animate", "{folder}/frames/00000007.png", "--save_frames would write over it")
def frames_would_replace_the_source(place: Place) -> list[object]:
    shutil.copy(place.picture, place.folder / "frames" / "00000007.png")
    return ["--source_image", place.folder / "frames" / "00000007.png"]


@case("animate", "{folder}/result.mp4", "--json would write over it")
def report_would_replace_the_result(place: Place) -> list[object]:
    return ["--json", place.folder / "data" / ".." / "result.mp4"]


@case("animate reconstruction", "golden.pth.tar", "--json would write over it")
def report_would_replace_the_checkpoint(place: Place) -> list[object]:
    return ["--json", place.checkpoint]


@case("animate", "{folder}/frames/00000003.png", "name a new folder")
def frames_would_replace_those_of_somebody_else(place: Place) -> list[object]:
    shutil.copy(place.picture, place.folder / "frames" / "00000003.png")
    return []


@case("reconstruction", "{folder}/log/reconstruction/png/f/00000003.png", "name a new folder")
def rebuilt_frames_would_replace_those_of_somebody_else(place: Place) -> list[object]:
    folder = place.folder / "log" / "reconstruction" / "png" / "f"
    shutil.copy(place.picture, folder / "00000003.png")
    return []


@case("animate", "{folder}/file/frames")
def frames_below_a_file(place: Place) -> list[object]:
    return ["--save_frames", place.file / "frames"]


@case("animate reconstruction", "{folder}/file")
def report_below_a_file(place: Place) -> list[object]:
    return ["--json", place.file / "report.json"]


@case("animate reconstruction", "{folder}/data")
def report_is_a_folder(place: Place) -> list[object]:
    return ["--json", place.data]


@case("reconstruction train", "{folder}/file")
def results_below_a_file(place: Place) -> list[object]:
    return ["--log_dir", place.file]


# ----- flags and devices


@case(ALL, "--colour")
def flag_unknown(place: Place) -> list[object]:
    return ["--colour", "red"]


@case(ALL, "--device", "abacus")
def device_unknown(place: Place) -> list[object]:
    return ["--device", "abacus"]


@case("animate", "--batch_size 0")
def batch_size_zero(place: Place) -> list[object]:
    return ["--batch_size", 0]


@case("pairs", "--result_video", "--log_dir")
def result_of_pairs(place: Place) -> list[object]:
    return ["--result_video", "pairs.mp4"]


@case("pairs", "--save_frames", "--log_dir")
def frames_of_pairs(place: Place) -> list[object]:
    return ["--save_frames", place.folder / "frames"]


@case("pairs", "--source_image")
def picture_for_pairs(place: Place) -> list[object]:
    return ["--source_image", place.picture]


@case("pairs", "--crop")
def crop_for_pairs(place: Place) -> list[object]:
    return ["--crop", "source", "0,0,9,9"]


@case("pairs", "--paste_back")
def paste_back_for_pairs(place: Place) -> list[object]:
    return ["--paste_back"]


@case("animate", "--log_dir", "--pairs")
def folder_of_pairs_for_one_picture(place: Place) -> list[object]:
    return ["--log_dir", place.folder / "log"]


@case("animate pairs", "--adapt_scale", "--relative")
def scale_of_no_use(place: Place) -> list[object]:
    return ["--absolute", "--adapt_scale"]


@case("animate", "--relative", "--absolute")
def relative_and_absolute(place: Place) -> list[object]:
    return ["--relative", "--absolute"]


@case("train", "GPU 77")
def gpu_missing(place: Place) -> list[object]:
    return ["--device", "auto", "--device_ids", "77"]


@case("train", "--device_ids", "'x'")
def gpu_no_number(place: Place) -> list[object]:
    return ["--device_ids", "x"]


@case("train", "--device_ids", "''")
def gpus_none(place: Place) -> list[object]:
    return ["--device_ids", ""]


@case("train", "--device_ids", "--device is cpu")
def gpus_and_cpu(place: Place) -> list[object]:
    return ["--device_ids", "0"]


@case("train", "--seed", "'-1'")
def seed_negative(place: Place) -> list[object]:
    return ["--seed=-1"]


@case("train", "--seed", "99999999999999999999")
def seed_too_large(place: Place) -> list[object]:
    return ["--seed", "99999999999999999999"]


TABLE = [
    pytest.param(case, command, id=f"{case.name}-{command}")
    for case in CASES
    for command in case.commands.split()
]


@pytest.mark.parametrize(("case", "command"), TABLE)
def test_one_line_names_it_and_nothing_changes(case: Case, command: str, place: Place) -> None:
    added = case.spoil(place)
    before = files_below(place.folder)
    done = run_here(COMMANDS[command], *place.arguments(command), *added)
    message = done.error()
    for part in case.named:
        assert part.format(folder=place.folder) in message, message
    assert len(message) > max(map(len, case.named)) + 5  # it says why, too
    assert files_below(place.folder) == before
    assert done.stdout == ""


# ----- what the table has no row for


@pytest.mark.parametrize("command", ["animate", "pairs", "reconstruction"])
def test_nothing_is_wrong_in_the_place_itself(place: Place, command: str) -> None:
    run_here(COMMANDS[command], *place.arguments(command)).output()


@pytest.mark.parametrize("command", ["animate", "reconstruction", "train"])
def test_a_checkpoint_without_a_config_needs_one(place: Place, command: str) -> None:
    _, _, *arguments = place.arguments(command)
    message = run_here(COMMANDS[command], *arguments).error()
    assert message.startswith(f"{place.checkpoint}: carries no config")
    assert "--config" in message


def test_training_needs_a_config_or_a_checkpoint() -> None:
    message = run_here(train.main).error()
    assert message.startswith("--config: missing; ")


@pytest.mark.parametrize("flag", ["--checkpoint", "--source_image", "--driving_video"])
def test_no_file_is_guessed_beside_others(place: Place, flag: str) -> None:
    arguments = place.arguments("animate")
    at = arguments.index(flag)
    del arguments[at : at + 2]
    assert run_here(animate.main, *arguments).error().startswith(f"{flag}: missing; ")


def test_reconstruction_needs_a_checkpoint(place: Place) -> None:
    assert "--checkpoint" in run_here(reconstruction.main, "--config", place.config).error()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the GPU that is not there")
@pytest.mark.parametrize("command", ["animate", "reconstruction", "train"])
def test_a_gpu_that_is_not_there(place: Place, command: str) -> None:
    message = run_here(COMMANDS[command], *place.arguments(command), "--device", "cuda").error()
    assert "GPU 0" in message


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="this machine has an Apple GPU")
@pytest.mark.parametrize("command", ["animate", "reconstruction", "train"])
def test_an_apple_gpu_that_is_not_there(place: Place, command: str) -> None:
    message = run_here(COMMANDS[command], *place.arguments(command), "--device", "mps").error()
    assert message.startswith("--device mps: this machine has no Apple GPU; try --device cpu")
    assert "--device cpu" in message


def test_clips_of_one_frame_make_no_training(place: Place) -> None:
    shutil.rmtree(place.data / "train")
    for name in "abc":
        write_folder(place.data / "train" / name, frames_of_a_square(0, count=1, size=64))
    before = files_below(place.folder)
    message = run_here(train.main, *place.arguments("train")).error()
    assert "no training video can be used" in message
    assert "has one frame" in message
    after = files_below(place.folder)
    assert {name: after[name] for name in before} == before


# ----- the weights of the perceptual loss


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (None, "train_params.perceptual_weights: {path}: no such file; write imagenet, random"),
        (b"no torch file", "{path}: truncated, damaged, or not a torch file"),
        ({"features.0.weight": torch.zeros(2)}, "{path}: not the state dict of torchvision's"),
        ({3: "x"}, "{path}: not the state dict of torchvision's vgg19"),
        (
            {"features.0.weight": torch.full((64, 3, 3, 3), torch.nan)},
            "{path}: vgg19.features.0.weight: holds NaN or infinite values",
        ),
    ],
)
def test_perceptual_weights_of_no_use(place: Place, content: object, named: str) -> None:
    path = place.folder / "vgg.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    before = files_below(place.folder)
    weights = ["--set", f"train_params.perceptual_weights={path}"]
    message = run_here(train.main, *place.arguments("train"), *weights).error()
    assert message.startswith(named.format(path=path))
    assert files_below(place.folder) == before


def test_imagenet_weights_that_cannot_be_downloaded(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before any work, one line says which file to put where."""
    monkeypatch.setenv("TORCH_HOME", str(place.folder / "torch"))
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")  # where nobody listens
    for exception in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(exception, raising=False)
    before = files_below(place.folder)
    weights = ["--set", "train_params.perceptual_weights=imagenet"]
    message = run_here(train.main, *place.arguments("train"), *weights).error()
    target = place.folder / "torch" / "hub" / "checkpoints" / "vgg19-dcbb9e9d.pth"
    assert "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth" in message
    assert f"put that file at {target}" in message
    assert files_below(place.folder) == before

    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(b"half of it")
    message = run_here(train.main, *place.arguments("train"), *weights).error()
    assert message.startswith(f"{target}: truncated")


# ----- as a person runs them


def test_the_command_itself(place: Place) -> None:
    """No traceback, no warning beside the error, and the exit code of a shell."""
    before = files_below(place.folder)
    missing = place.folder / "none.pth.tar"
    arguments = [*place.arguments("animate"), "--checkpoint", missing]
    done = run_process("animate", *arguments, cwd=place.folder)
    assert done.error().startswith(f"{missing}: no such file")
    assert done.stdout == ""
    assert files_below(place.folder) == before


def test_the_table_breaks_what_works(place: Place) -> None:
    """The configuration that its cases spoil is read by all commands."""
    assert yaml.safe_load(place.config.read_text()) == place.tree
    run_here(train.main, *place.arguments("train"), "--dry_run").output()
