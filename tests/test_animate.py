"""animate.py: its frames are those of the networks; its files are as asked for."""

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import clips
import imageio.v3 as iio
import numpy as np
import pytest
import torch
import yaml
from by_hand import (
    ABSOLUTE,
    RELATIVE,
    SCALED,
    animated,
    as_frame,
    as_tensor,
    assert_same,
    saved_frames,
)
from commands import (
    GOLDEN_SIZE,
    files_below,
    frames_of_a_square,
    golden_checkpoint,
    golden_tree,
    run_here,
    torchrun,
    write_config,
    write_folder,
    write_stack,
)
from golden_files import NAMES, load_golden
from torch import Tensor
from torch.nn.functional import avg_pool2d

import animate
from engine import distributed
from engine.output import FrameFolder
from engine.pairs import names_of
from engine.video import open_video
from frames_dataset import AnimationPair
from modules.keypoints import MotionTransfer

NAME = "small-jacobian"
ENLARGED = 3 * GOLDEN_SIZE  # as frames are that stand side by side
NORMALIZATION = "animate_params.normalization_params"
OPTIONS = {
    ("--absolute",): ABSOLUTE,
    ("--relative",): RELATIVE,
    (): RELATIVE,
    ("--adapt_scale",): SCALED,
}


@pytest.fixture
def square(tmp_path: Path) -> list[np.ndarray]:
    return frames_of_a_square(3, count=7, size=GOLDEN_SIZE)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    iio.imwrite(path, frames_of_a_square(1, count=1, size=GOLDEN_SIZE)[0])
    return path


def networks_of(name: str, tmp_path: Path) -> list[object]:
    """The arguments that name a golden checkpoint and its configuration."""
    config = write_config(tmp_path / "golden.yaml", golden_tree(name, tmp_path / "data"))
    return ["--config", config, "--checkpoint", golden_checkpoint(name)]


def animation(tmp_path: Path, *arguments: object, name: str = NAME) -> str:
    result = ["--result_video", tmp_path / "result.mp4", "--save_frames", tmp_path / "frames"]
    device = ["--device", "cpu", "--batch_size", 3, "--precision", "fp32"]
    return run_here(
        animate.main, *networks_of(name, tmp_path), *result, *device, *arguments
    ).output()


def expected_frames(
    picture: Path,
    driving: list[np.ndarray],
    options: MotionTransfer = RELATIVE,
    *,
    reference: int = 0,
) -> Tensor:
    frames = [as_tensor(frame) for frame in driving]
    source = as_tensor(iio.imread(picture))
    return animated(load_golden(NAME).networks, source, frames, options, reference=reference)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("flags", OPTIONS)
def test_saved_frames_are_the_published_predictions(
    tmp_path: Path, name: str, flags: tuple[str, ...]
) -> None:
    """The golden inputs as PNG files, rounded to bytes."""
    golden = load_golden(name)
    source = as_frame(golden.tensor("source")[0])
    driving = [as_frame(golden.tensor(key)[0]) for key in ("driving_initial", "driving")]
    iio.imwrite(tmp_path / "source.png", source)
    files = [
        *("--source_image", tmp_path / "source.png"),
        *("--driving_video", write_folder(tmp_path / "driving", driving)),
    ]
    animation(tmp_path, *files, *flags, name=name)

    found = saved_frames(tmp_path / "frames")
    frames = [as_tensor(frame) for frame in driving]
    expected = animated(golden.networks, as_tensor(source), frames, OPTIONS[flags])
    assert_same(found, expected)
    key = "prediction" if "--absolute" in flags else "prediction_relative_adapt"
    suffix = "" if "--absolute" in flags else f"{int('--adapt_scale' in flags)}"
    published = golden.tensor(f"eval/{key}{suffix}")[0]
    # The networks of random weights turn half a level of the inputs into a few.
    assert (found[1] - published).abs().mean().item() < 2 / 255


def as_folder(path: Path, frames: list[np.ndarray]) -> Path:
    return write_folder(path, frames)


def as_stack(path: Path, frames: list[np.ndarray]) -> Path:
    return write_stack(path.with_suffix(".png"), frames)


def as_video(path: Path, frames: list[np.ndarray]) -> Path:
    return clips.write(path.with_suffix(".mp4"), frames)


def as_gif(path: Path, frames: list[np.ndarray]) -> Path:
    return clips.write(path.with_suffix(".gif"), frames, fps=Fraction(20))


@pytest.mark.parametrize(
    ("write", "fps"), [(as_folder, 25), (as_stack, 25), (as_video, clips.NTSC), (as_gif, 20)]
)
def test_every_kind_of_driving_video(
    tmp_path: Path,
    picture: Path,
    square: list[np.ndarray],
    write: Callable[[Path, list[np.ndarray]], Path],
    fps: Fraction,
) -> None:
    """Its frames and its rate are kept."""
    driving = write(tmp_path / "driving", square)
    output = animation(tmp_path, "--source_image", picture, "--driving_video", driving)
    assert output.startswith(f"{tmp_path / 'result.mp4'}: 7 frames in ")
    with open_video(driving, frame_size=(GOLDEN_SIZE, GOLDEN_SIZE)) as video:
        expected = expected_frames(picture, list(video))
    assert len(expected) == len(square)
    assert_same(saved_frames(tmp_path / "frames"), expected)

    with open_video(tmp_path / "result.mp4") as result:
        assert (result.fps, result.num_frames) == (fps, 7)
        assert (result.height, result.width) == (GOLDEN_SIZE, GOLDEN_SIZE)
        shown = torch.stack([as_tensor(frame) for frame in result])
    assert (shown - expected).abs().mean().item() < 0.05  # H.264, with halved chroma


def test_the_result_lies_where_the_command_was_given(
    tmp_path: Path, picture: Path, square: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "driving", square)
    monkeypatch.chdir(tmp_path)
    files = ["--source_image", picture, "--driving_video", "driving"]
    done = run_here(animate.main, *networks_of(NAME, tmp_path), *files)
    assert done.output().startswith("result.mp4: 7 frames in ")
    with open_video(tmp_path / "result.mp4") as result:
        assert result.num_frames == 7


def test_pictures_and_videos_of_other_sizes_are_resized(tmp_path: Path) -> None:
    large = [np.full((90, 120, 3), level, np.uint8) for level in (10, 90, 200)]
    iio.imwrite(tmp_path / "large.jpg", large[0])
    driving = write_folder(tmp_path / "driving", large)
    animation(tmp_path, "--source_image", tmp_path / "large.jpg", "--driving_video", driving)
    assert saved_frames(tmp_path / "frames").shape == (3, 3, GOLDEN_SIZE, GOLDEN_SIZE)


def test_side_by_side_shows_source_driving_and_result(
    tmp_path: Path, picture: Path, square: list[np.ndarray]
) -> None:
    driving = write_folder(tmp_path / "driving", square)
    files = ["--source_image", picture, "--driving_video", driving]
    output = animation(tmp_path, *files, "--side_by_side")
    assert f"\n{tmp_path / 'result.png'}: " in output
    some = iio.imread(tmp_path / "result.png")
    assert some.shape == (2 * ENLARGED, 7 * ENLARGED, 3)
    found = saved_frames(tmp_path / "frames")
    assert_same(found, expected_frames(picture, square))  # these are the result alone
    with open_video(tmp_path / "result.mp4") as result:
        assert (result.height, result.width) == (ENLARGED, 3 * ENLARGED)
        shown = torch.stack([as_tensor(frame) for frame in result])
    source, beside, last = avg_pool2d(shown, ENLARGED // GOLDEN_SIZE).split(GOLDEN_SIZE, dim=3)
    for part, expected in (
        (source, as_tensor(iio.imread(picture)).expand_as(source)),
        (beside, torch.stack([as_tensor(frame) for frame in square])),
        (last, found),
    ):
        assert (part - expected).abs().mean().item() < 0.05


def test_the_reference_frame_can_be_chosen(
    tmp_path: Path, picture: Path, square: list[np.ndarray]
) -> None:
    driving = clips.write(tmp_path / "driving.mp4", square)
    files = ["--source_image", picture, "--driving_video", driving]
    animation(tmp_path, *files, "--best_frame", 5)
    with open_video(driving) as video:
        frames = list(video)
    expected = expected_frames(picture, frames, reference=5)
    assert_same(saved_frames(tmp_path / "frames"), expected)
    assert (expected - expected_frames(picture, frames)).abs().max() > 0.02


def test_other_aspects_are_cut_and_never_stretched(tmp_path: Path) -> None:
    """The middle, or the part that is chosen; the rest does not show."""
    size = GOLDEN_SIZE
    wide, tall = (np.zeros(shape, np.uint8) for shape in ((size, 3 * size, 3), (2 * size, size, 3)))
    middle, part, driving = (frames_of_a_square(n, count=1, size=size)[0] for n in (1, 2, 3))
    wide[:, size : 2 * size] = middle
    wide[:, 5 : size + 5] = part
    tall[size // 2 : -size // 2] = driving
    middle = wide[:, size : 2 * size]
    iio.imwrite(tmp_path / "wide.png", wide)
    files = ["--source_image", tmp_path / "wide.png"]
    files += ["--driving_video", write_folder(tmp_path / "tall", [tall, tall])]
    for crop, source in (([], middle), (["--crop", "source", f"5,0,{size},{size}"], part)):
        output = animation(tmp_path, *files, *crop)
        iio.imwrite(tmp_path / "seen.png", source)
        expected = expected_frames(tmp_path / "seen.png", [driving, driving])
        assert_same(saved_frames(tmp_path / "frames"), expected)
        told = f"{tmp_path / 'wide.png'}: cut to {size},0,{size},{size} (x,y,w,h); --crop source"
        assert (told in output) == (not crop)
        assert f"{tmp_path / 'tall'}: cut to 0,{size // 2},{size},{size} " in output


def test_the_best_frame_is_told(tmp_path: Path, picture: Path, square: list[np.ndarray]) -> None:
    driving = write_folder(tmp_path / "driving", square)
    report = tmp_path / "report.json"
    files = ["--source_image", picture, "--driving_video", driving, "--json", report]
    output = animation(tmp_path, *files, "--best_frame", "auto")
    content = json.loads(report.read_text())
    best = content["best_frame"]
    assert f"{driving}: frame {best} is most like the source" in output
    assert content["options"]["best_frame"] == "auto"
    assert content["seconds"]["best_frame"] > 0
    expected = expected_frames(picture, square, reference=best)
    assert_same(saved_frames(tmp_path / "frames"), expected)


def test_a_gif_can_be_made(tmp_path: Path, picture: Path, square: list[np.ndarray]) -> None:
    driving = write_folder(tmp_path / "driving", square)
    result = tmp_path / "new" / "result.gif"
    files = ["--source_image", picture, "--driving_video", driving]
    animation(tmp_path, *files, "--result_video", result)
    with open_video(result) as video:
        assert (video.fps, video.num_frames) == (25, 7)
        shown = torch.stack([as_tensor(frame) for frame in video])
    assert (shown - expected_frames(picture, square)).abs().mean().item() < 0.1


def test_the_report(tmp_path: Path, picture: Path, square: list[np.ndarray]) -> None:
    driving = clips.write(tmp_path / "driving.mp4", square)
    report = tmp_path / "reports" / "report.json"
    files = ["--source_image", picture, "--driving_video", driving]
    animation(tmp_path, *files, "--absolute", "--json", report)
    content = json.loads(report.read_text())
    seconds = content.pop("seconds")
    assert seconds.keys() == {"load", "total", "decode", "networks", "encode"}
    assert all(value >= 0 for value in seconds.values())
    assert seconds["networks"] <= seconds["total"]
    assert content.pop("animated_per_second") > 0
    size = [GOLDEN_SIZE, GOLDEN_SIZE]
    whole = [0, 0, GOLDEN_SIZE, GOLDEN_SIZE]
    motion = {"relative": False, "relative_jacobian": True, "adapt_scale": False}
    assert content == {
        "result_video": str(tmp_path / "result.mp4"),
        "frames": 7,
        "frames_per_second": "30000/1001",
        "sizes": {"source": size, "driving": size, "network": size, "result": size},
        "crop": {"source": whole, "driving": whole},
        "device": "cpu",
        "precision": "float32",
        "compile": False,
        "batch_size": 3,
        "best_frame": None,
        "options": {
            "motion": motion,
            "best_frame": None,
            "smooth": False,
            "paste_back": False,
            "side_by_side": False,
            "sound": True,
        },
        "files": {
            "checkpoint": str(golden_checkpoint(NAME)),
            "config": str(tmp_path / "golden.yaml"),
            "source_image": str(picture),
            "driving_video": str(driving),
            "save_frames": str(tmp_path / "frames"),
        },
        "set": [],
    }
    assert [path.name for path in report.parent.iterdir()] == ["report.json"]


def test_frames_of_an_earlier_run_are_replaced_and_other_files_stay(
    tmp_path: Path, picture: Path, square: list[np.ndarray]
) -> None:
    driving = write_folder(tmp_path / "driving", square)
    folder = tmp_path / "frames"
    with FrameFolder(folder) as earlier:
        for _ in range(100):
            earlier.write(square[0])
    (folder / "mine.png").write_text("earlier")
    animation(tmp_path, "--source_image", picture, "--driving_video", driving)
    assert (folder / "mine.png").read_text() == "earlier"
    (folder / "mine.png").unlink()
    assert_same(saved_frames(folder), expected_frames(picture, square))


def carrying_checkpoint(tmp_path: Path) -> Path:
    """A golden checkpoint that carries its configuration, which asks for absolute motion."""
    tree = golden_tree(NAME, tmp_path / "data")
    tree["animate_params"] = {"normalization_params": {"use_relative_movement": False}}
    state = torch.load(golden_checkpoint(NAME), weights_only=True)
    path = tmp_path / "carrying.pth.tar"
    torch.save({**state, "config": tree}, path)
    return path


@pytest.mark.parametrize(
    ("flags", "options"),
    [
        ([], ABSOLUTE),
        (["--relative"], RELATIVE),
        (["--set", f"{NORMALIZATION}.use_relative_movement=true"], RELATIVE),
        (
            ["--relative", "--set", f"{NORMALIZATION}.use_relative_jacobian=false"],
            MotionTransfer(relative_jacobian=False),
        ),
        (["--relative", "--set", f"{NORMALIZATION}.adapt_movement_scale=true"], SCALED),
    ],
)
def test_the_config_comes_from_the_checkpoint_and_flags_win(
    tmp_path: Path,
    picture: Path,
    square: list[np.ndarray],
    flags: list[str],
    options: MotionTransfer,
) -> None:
    driving = write_folder(tmp_path / "driving", square)
    run_here(
        animate.main,
        *("--checkpoint", carrying_checkpoint(tmp_path), "--source_image", picture),
        *("--driving_video", driving, "--save_frames", tmp_path / "frames"),
        *("--result_video", tmp_path / "result.mp4", "--precision", "fp32", *flags),
    ).output()
    found = saved_frames(tmp_path / "frames")
    assert_same(found, expected_frames(picture, square, options))


# ----- pairs of test videos


@pytest.fixture
def pairs_config(tmp_path: Path) -> Path:
    """A dataset of three test videos, 64x64."""
    for number, name in enumerate("abc"):
        frames = frames_of_a_square(number, count=4 + number, size=GOLDEN_SIZE)
        write_folder(tmp_path / "data" / "test" / name, frames)
    tree = golden_tree(NAME, tmp_path / "data")
    tree["animate_params"] = {"num_pairs": 2}
    return write_config(tmp_path / "pairs.yaml", tree)


def frames_in(folder: Path) -> list[np.ndarray]:
    return [iio.imread(path) for path in sorted(folder.iterdir())]


def animate_pairs(config: Path, log_dir: Path) -> Path:
    output = run_here(
        animate.main,
        *("--config", config, "--checkpoint", golden_checkpoint(NAME)),
        *("--pairs", "--log_dir", log_dir, "--precision", "fp32"),
    ).output()
    assert output == f"{log_dir / 'animation'}: 2 videos of source, driving and result\n"
    return log_dir / "animation"


def test_pairs_of_a_list(pairs_config: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("distance,source,driving,frame\n0,a,b,0\n1,c.mp4,a.mp4,3\n2,b,c,0\n")
    tree = yaml.safe_load(pairs_config.read_text())
    tree["dataset_params"]["pairs_list"] = str(pairs)
    folder = animate_pairs(write_config(pairs_config, tree), tmp_path / "log")

    videos = tmp_path / "data" / "test"
    networks = load_golden(NAME).networks
    names = {path.name for path in folder.iterdir()}
    wanted = ("a-b", "c-a-from-3")  # num_pairs is 2
    assert names == {"png", *(f"{name}{suffix}" for name in wanted for suffix in (".mp4", ".png"))}
    for name, source, driving, frame in zip(wanted, "ac", "ba", (0, 3), strict=True):
        picture = as_tensor(frames_in(videos / source)[frame])
        frames = [as_tensor(image) for image in frames_in(videos / driving)]
        expected = animated(networks, picture, frames, RELATIVE)
        assert_same(saved_frames(folder / "png" / name), expected)
        with open_video(folder / f"{name}.mp4") as video:
            assert (video.height, video.width) == (ENLARGED, 3 * ENLARGED)
            assert video.num_frames == len(frames)


def test_random_pairs_are_the_same_each_time(pairs_config: Path, tmp_path: Path) -> None:
    folders = [animate_pairs(pairs_config, tmp_path / name) for name in ("one", "two")]
    one, two = ({path.name for path in folder.glob("*.mp4")} for folder in folders)
    assert one == two
    assert len(one) == 2
    assert all(name[0] != name[2] for name in one)


def test_processes_share_pairs_out(
    pairs_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each pair is animated by one of them, and the first alone reports."""
    alone = {path.name for path in animate_pairs(pairs_config, tmp_path / "alone").glob("*.mp4")}
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.setattr(distributed, "total", lambda value: value)
    shares = []
    for rank in range(2):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        log_dir = tmp_path / f"log-{rank}"
        output = run_here(
            animate.main,
            *("--config", pairs_config, "--checkpoint", golden_checkpoint(NAME), "--pairs"),
            *("--log_dir", log_dir, "--precision", "fp32", "--json", log_dir / "report.json"),
        ).output()
        assert (output != "") == (log_dir / "report.json").is_file() == (rank == 0)
        shares.append({path.name for path in (log_dir / "animation").glob("*.mp4")})
    assert len(shares[0]) == len(shares[1]) == 1
    assert shares[0] | shares[1] == alone


@pytest.mark.slow
def test_two_processes_animate_pairs_as_one_would(pairs_config: Path, tmp_path: Path) -> None:
    files = ["--config", pairs_config, "--checkpoint", golden_checkpoint(NAME), "--pairs"]
    log_dir = tmp_path / "log"
    arguments = [*files, "--log_dir", log_dir, "--device", "cpu", "--precision", "fp32"]
    done = torchrun(2, "animate.py", *arguments, cwd=tmp_path)
    assert done.output() == f"{log_dir / 'animation'}: 2 videos of source, driving and result\n"
    found = files_below(log_dir / "animation")
    run_here(animate.main, *arguments).output()
    assert found == files_below(log_dir / "animation")


def test_one_picture_is_not_shared_out(
    tmp_path: Path, picture: Path, square: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    files = ["--source_image", picture, "--driving_video", write_folder(tmp_path / "d", square)]
    message = run_here(animate.main, *networks_of(NAME, tmp_path), *files).error()
    assert message.startswith("torchrun: shares out --pairs alone")


def test_no_two_pairs_share_a_name(tmp_path: Path) -> None:
    """Else the later result would replace the earlier one."""
    (tmp_path / "id.1").mkdir()
    folder, ab, b, bc = (tmp_path / name for name in ("id.1", "a-b.mp4", "b.mp4", "b-c.gif"))
    a, c = tmp_path / "a.mp4", tmp_path / "c.gif"
    pairs = [(a, bc, 0), (ab, c, 0), (a, b, 0), (a, b, 3), (a, b, 3), (folder, b, 0)]
    names = names_of([AnimationPair(*pair) for pair in pairs])
    assert names == ["a-b-c", "a-b-c--2", "a-b", "a-b-from-3", "a-b-from-3--2", "id.1-b"]


def test_sound_is_kept_unless_it_is_not_wanted(tmp_path: Path, picture: Path) -> None:
    driving = tmp_path / "loud.mp4"
    pictures = ("-f", "lavfi", "-i", "testsrc=s=32x32:r=10:d=0.4")
    clips.ffmpeg(*pictures, "-f", "lavfi", "-i", "sine=d=0.4", driving)
    for flags, streams in (((), 1), (("--audio",), 1), (("--no_audio",), 0)):
        animation(tmp_path, "--source_image", picture, "--driving_video", driving, *flags)
        with av.open(str(tmp_path / "result.mp4")) as container:
            assert len(container.streams.audio) == streams
