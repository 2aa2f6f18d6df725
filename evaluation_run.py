"""One evaluation: folders of results or a checkpoint on puppets, scored, printed and written."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from config.schema import Config, dump_config
from engine.animator import Animator
from engine.build import build_motion_transfer
from engine.build_animator import load_animator
from engine.checkpoint import read_torch_file
from engine.device import announce
from engine.evaluator import Evaluator
from engine.identity import checkpoint_facts, machine_facts
from engine.matching import Shape, match_videos
from engine.output import write_json
from engine.report import write_report
from engine.result_folders import (
    Scored,
    check_match,
    notes_of,
    report_run,
    report_strips,
    run_as_dict,
    score_pairs,
    short_names,
)
from engine.score_words import as_dict, table
from engine.strips import Look, network_look
from tools.puppets.evaluation import evaluate_puppets
from tools.puppets.page import puppet_run, puppet_strips
from tools.puppets.reading import open_set
from tools.puppets.words import as_dict as puppets_as_dict
from tools.puppets.words import print_scores

CACHE_NAME = ".scores"


class Loaded(NamedTuple):
    """Networks ready to run, their config, and which checkpoint they are."""

    checkpoint: Path
    animator: Animator
    config: Config
    facts: dict[str, str]


class Outputs(NamedTuple):
    """Files to write, if any."""

    json: Path | None
    report: Path | None


def load_networks(
    checkpoint: Path, *, config: Path | None, overrides: Sequence[str], device: torch.device
) -> Loaded:
    """The networks of a checkpoint; arguments and errors are load_animator's."""
    animator, chosen = load_animator(
        checkpoint, config=config, overrides=overrides, device=device, precision="fp32"
    )
    facts = checkpoint_facts(checkpoint, read_torch_file(checkpoint))
    return Loaded(checkpoint, animator, chosen, facts)


# ----- folders of results


def score_folders(
    results: Sequence[Path],
    truths: Path,
    shape: Shape,
    evaluator: Evaluator,
    *,
    partial: bool,
    cache: Path | None,
) -> list[Scored]:
    """Score each folder of results, once all are seen to match the truths.

    Args:
        partial: score what matches, and let the rest be.
        cache: where scores are kept between runs; None for a folder within each of the results.

    Raises:
        UserError: something does not match, is damaged, or cannot be written.
    """
    names = short_names(results)
    matches = []
    for folder in results:
        matched = match_videos(folder, truths, shape)
        matched = matched._replace(problems=matched.problems + evaluator.extras(matched))
        check_match(matched, partial=partial)
        matches.append(matched)

    runs = []
    for name, folder, matched in zip(names, results, matches, strict=True):
        kept_in = folder / CACHE_NAME
        if cache is not None:
            kept_in = cache / name if len(results) > 1 else cache
        scores = score_pairs(matched, shape, evaluator, kept_in)
        runs.append(Scored(name, folder, truths, matched, scores))
    return runs


def tell_of_folders(
    runs: Sequence[Scored],
    shape: Shape,
    evaluator: Evaluator,
    networks: Sequence[Loaded],
    outputs: Outputs,
    *,
    compared: bool,
) -> None:
    """Print and write what was found.

    Args:
        networks: what made each of the results, for the report; none if that is not known.
        compared: whether the JSON file holds a list of runs, be it of one.
    """
    if outputs.json is not None:
        reports = [run_as_dict(it, evaluator) for it in runs]
        size = None if shape.size is None else "x".join(map(str, shape.size))
        about = {"truths": str(runs[0].truths), "size": size}
        write_json(outputs.json, about | ({"runs": reports} if compared else reports[0]))
    for it in runs:
        if len(runs) > 1:
            print(f"{it.name}: {it.folder}")
        print(table(it.scores))
        for note in notes_of(it, evaluator):
            print(note)
    if outputs.report is not None:
        pages = [
            report_run(
                it,
                evaluator,
                facts=networks[index].facts if networks else {},
                config=dump_config(networks[index].config) if networks else None,
            )
            for index, it in enumerate(runs)
        ]
        looks = looks_of(networks) if networks else [None] * len(runs)
        write_report(outputs.report, pages, report_strips(runs, shape, looks))
        print(f"{outputs.report}: the report")


def looks_of(networks: Sequence[Loaded]) -> list[Look]:
    """What each run's networks see in a frame."""
    return [network_look(it.animator, it.config.dataset_params.frame_shape[:2]) for it in networks]


# ----- puppets


def puppets_folder(loaded: Loaded, data: Path | None) -> Path:
    """The set of puppets that is named or, by default, that of the config."""
    return data or Path(loaded.config.dataset_params.root_dir)


def on_puppets(loaded: Loaded, data: Path | None, outputs: Outputs, *, device_asked: str) -> None:
    """Score a checkpoint where the truth is known, print and write it.

    Args:
        data: the set of puppets; None for the config's root_dir.
        device_asked: the `--device` that was given.

    Raises:
        UserError: there is no such set, or it does not fit the networks.
    """
    params = loaded.config.dataset_params
    puppets = open_set(puppets_folder(loaded, data), frame_shape=params.frame_shape)
    announce(loaded.animator.device, asked=device_asked)
    found = evaluate_puppets(loaded.animator, puppets, build_motion_transfer(loaded.config))
    if outputs.json is not None:
        source = {"checkpoint": str(loaded.checkpoint), "data": str(puppets.folder)}
        videos = {"rebuilt": as_dict(found.rebuilt)}
        write_json(outputs.json, source | puppets_as_dict(found.scores) | videos)
    print_scores(found.scores, puppets)
    if outputs.report is not None:
        facts = {"puppets": str(puppets.folder)} | loaded.facts
        facts |= machine_facts(loaded.animator.device)
        page = puppet_run(
            "/".join(Path(os.path.realpath(loaded.checkpoint)).parts[-2:]),
            found,
            facts=facts,
            config=dump_config(loaded.config),
        )
        write_report(outputs.report, [page], puppet_strips(found, loaded.animator, puppets))
        print(f"{outputs.report}: the report")
