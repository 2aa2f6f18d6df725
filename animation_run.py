"""What animate.py does: one picture moved and reported of, or pairs of a dataset's test videos."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from config.schema import Config
from engine import distributed
from engine.animation import Animation, AnimationOptions, animate_scene, check_best_frame, report
from engine.animator import Animator
from engine.build_files import config_inputs
from engine.command_files import Inputs, Kind, Output, check_files, json_report
from engine.device import announce
from engine.errors import UserError
from engine.framing import Box
from engine.output import write_json
from engine.pairs import (
    animate_pairs,
    check_pairs,
    every_pair,
    frames_beside,
    names_of,
    pairs_as_dicts,
)
from engine.progress import Bar
from engine.scene import Scene, open_scene
from engine.words import counted
from frames_dataset import PairedDataset, split_videos

PAIRS_SEED = 0


class Files(NamedTuple):
    """What one animation is made of, and what it writes."""

    checkpoint: Path
    config: Path | None
    source_image: Path
    driving_video: Path
    result_video: Path
    save_frames: Path | None
    json: Path | None


# ----- one picture


def animate_one(
    animator: Animator,
    options: AnimationOptions,
    files: Files,
    *,
    config: Config,
    crops: Mapping[str, Box],
    asked: str,
    overrides: Sequence[str],
    started: float,
) -> None:
    """Move the picture by the video, and report.

    Args:
        config: of the networks.
        crops: the parts that were chosen, of `source` and `driving`.
        asked: the `--device` that was given.
        overrides: of the config, for the report.
        started: when the command was, on the monotonic clock.

    Raises:
        UserError: a file cannot be read or written, or would be lost.
    """
    if distributed.world_size() > 1:
        raise UserError("torchrun: shares out --pairs alone; use python animate.py for one picture")
    check_results(files, config, side_by_side=options.side_by_side)
    with (
        open_scene(
            files.source_image,
            files.driving_video,
            frame_shape=config.dataset_params.frame_shape,
            crop_source=crops.get("source"),
            crop_driving=crops.get("driving"),
        ) as scene,
        Bar() as bar,
    ):
        check_best_frame(scene.clip, options)
        announce(animator.device, asked=asked)
        if animator.description is not None:
            advice = animator.description.advice_for(files.source_image, files.driving_video)
            if advice is not None:
                print(advice, flush=True)
        loaded = time.monotonic() - started
        animation = animate_scene(
            animator,
            scene,
            options,
            result_video=files.result_video,
            save_frames=files.save_frames,
            progress=bar.show,
        )
        if files.json is not None:
            names = ("checkpoint", "config", "source_image", "driving_video", "save_frames")
            given = {name: getattr(files, name) and str(getattr(files, name)) for name in names}
            content = report(animation, scene, animator, options)
            content["seconds"] = {"load": round(loaded, 3), **animation.seconds}
            write_json(files.json, content | {"files": given, "set": overrides})
    print_animation(animation, scene, options, files, chosen=crops)


def check_results(files: Files, config: Config, *, side_by_side: bool) -> None:
    """See that no result replaces another, or what it is from, and that the report can be written.

    Raises:
        UserError: one would, or it cannot.
    """
    inputs = Inputs([files.checkpoint, files.config, files.source_image, files.driving_video])
    outputs = [Output("--result_video", files.result_video)]
    if files.save_frames is not None:
        outputs.append(Output("--save_frames", files.save_frames, "frames"))
    if side_by_side:
        picture = files.result_video.with_suffix(".png")
        outputs.append(Output("--side_by_side", picture, remedy="--result_video"))
    outputs += json_report(files.json)
    check_files(inputs + config_inputs(config, dataset_is_read=False), outputs)


def print_animation(
    animation: Animation,
    scene: Scene,
    options: AnimationOptions,
    files: Files,
    *,
    chosen: Mapping[str, Box],
) -> None:
    """Say what was made, and what was decided on the way."""
    seconds = animation.seconds["total"]
    print(f"{animation.video}: {counted(animation.num_frames, 'frame')} in {seconds:.1f} s")
    if animation.picture is not None:
        print(f"{animation.picture}: some of them, below the driving frames")
    if options.best_frame == "auto":
        print(f"{files.driving_video}: frame {animation.best_frame} is most like the source")
    reader = scene.clip.reader
    for path, box, size, name in (
        (files.source_image, scene.box, scene.picture.shape[:2], "source"),
        (files.driving_video, scene.clip.box, (reader.height, reader.width), "driving"),
    ):
        if box is not None and (box.height, box.width) != tuple(size) and name not in chosen:
            print(f"{path}: cut to {box} (x,y,w,h); --crop {name} x,y,w,h chooses another part")


# ----- pairs of test videos


class PairFiles(NamedTuple):
    """What the animation of pairs is made of besides the test videos, and what it writes."""

    checkpoint: Path
    config: Path | None
    folder: Path
    json: Path | None


def animate_test_videos(
    animator: Animator,
    config: Config,
    options: AnimationOptions,
    *,
    files: PairFiles,
    asked: str,
) -> None:
    """Animate pairs of the dataset's test videos, and report in the first process.

    Args:
        asked: the `--device` that was given.
    """
    params, data = config.animate_params, config.dataset_params
    pairs = PairedDataset(
        split_videos(Path(data.root_dir), "test", id_sampling=data.id_sampling),
        num_pairs=params.num_pairs,
        pairs_list=None if data.pairs_list is None else Path(data.pairs_list),
        seed=PAIRS_SEED,
    )
    shape = data.frame_shape
    check_pairs(pairs, options, frame_shape=shape)
    check_pair_results(pairs, files, config, side_by_side=options.side_by_side)
    first = distributed.is_first()
    if first:
        announce(animator.device, asked=asked)
    animate_pairs(
        animator, pairs, options, folder=files.folder, suffix=params.format, frame_shape=shape
    )
    if files.json is not None and first:
        content = {"folder": str(files.folder), **options.motion._asdict()}
        write_json(files.json, content | {"pairs": pairs_as_dicts(pairs)})
    if first:
        print(f"{files.folder}: {counted(len(pairs), 'video')} of source, driving and result")


def check_pair_results(
    pairs: PairedDataset, files: PairFiles, config: Config, *, side_by_side: bool
) -> None:
    """As check_results, for pairs."""
    every = every_pair(pairs)
    videos = [video for pair in every for video in (pair.source, pair.driving)]
    outputs = []
    for name in names_of(every):
        video = files.folder / f"{name}{config.animate_params.format}"
        outputs.append(result_in_folder(video))
        outputs.append(result_in_folder(frames_beside(video), "frames"))
        if side_by_side:
            outputs.append(result_in_folder(video.with_suffix(".png")))
    inputs = Inputs([files.checkpoint, files.config, *videos]) + config_inputs(config)
    check_files(inputs, outputs + json_report(files.json))


def result_in_folder(path: Path, kind: Kind = "result") -> Output:
    return Output("a result in --log_dir", path, kind, remedy="--log_dir")
