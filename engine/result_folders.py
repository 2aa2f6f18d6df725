"""Folders of results, matched with the truth and scored; what a report shows of them."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from tqdm import tqdm

from engine.errors import UserError
from engine.evaluator import Evaluator
from engine.identity import machine_facts
from engine.matching import Matched, Shape, frames_of
from engine.report import Run
from engine.score_cache import ScoreCache
from engine.score_words import as_dict
from engine.scoring import VideoScore, score_video
from engine.strips import Look, Shown, Strip, make_strip, worst_median_best

T = TypeVar("T")


class Scored(NamedTuple):
    """One folder of results, matched and scored."""

    name: str
    folder: Path
    truths: Path
    matched: Matched
    scores: list[VideoScore]


def check_match(matched: Matched, *, partial: bool) -> None:
    """Go on only with what matches in full, or is asked for as it is.

    Raises:
        UserError: something does not match, or nothing does.
    """
    problems = "; ".join(matched.problems)
    if matched.problems and not partial:
        raise UserError(f"{problems}; mend that, or score the rest with --partial")
    if not matched.pairs:
        raise UserError(f"{problems}; nothing is left to score: name folders whose videos match")


def score_pairs(
    matched: Matched, shape: Shape, evaluator: Evaluator, cache_folder: Path
) -> list[VideoScore]:
    """Score each pair, or take what an earlier run has found.

    Raises:
        UserError: a video is damaged, or scores cannot be kept in the folder; before any is scored,
            something else is where they would be.
    """
    cache = ScoreCache(cache_folder, {**evaluator.settings, "shape": shape})
    num_frames = sum(pair.num_frames for pair in matched.pairs)
    known = [cache.find(pair) for pair in matched.pairs]
    scores = []
    with tqdm(total=num_frames, unit="frame", disable=None) as bar:
        for pair, score in zip(matched.pairs, known, strict=True):
            if score is None:
                frames = ticking(bar, frames_of(pair, shape))
                score = score_video(pair.name, frames, evaluator.metrics)
                cache.store(pair, score)
            else:
                bar.update(pair.num_frames)
            scores.append(score)
    return scores


def ticking(bar: tqdm, frames: Iterator[T]) -> Iterator[T]:
    """The same frames, counted as they pass."""
    for frame in frames:
        yield frame
        bar.update()


def short_names(folders: Sequence[Path]) -> list[str]:
    """Names for folders that tell them apart: of their paths, the parts that are not all alike."""
    paths = [Path(os.path.realpath(folder)).parts for folder in folders]
    if len(set(paths)) < len(paths):
        raise UserError("--compare: names a folder twice; name each once")
    if len(paths) == 1:
        return ["/".join(paths[0][-3:]).lstrip("/")]
    length = max(len(path) for path in paths)
    columns = [{path[i] for path in paths if i < len(path)} for i in range(length)]
    return [
        "/".join(part for part, column in zip(path, columns, strict=False) if len(column) > 1)
        or path[-1]
        for path in paths
    ]


def run_as_dict(scored: Scored, evaluator: Evaluator) -> dict[str, object]:
    about = {"results": str(scored.folder), "skipped": evaluator.skipped}
    return about | {"unmatched": scored.matched.problems} | as_dict(scored.scores)


def notes_of(scored: Scored, evaluator: Evaluator) -> list[str]:
    """What is not measured, and what does not match."""
    skipped = [f"{name}: skipped; {reason}" for name, reason in evaluator.skipped.items()]
    return skipped + [f"not scored as a whole: {it}" for it in scored.matched.problems]


def report_run(
    scored: Scored,
    evaluator: Evaluator,
    *,
    facts: Mapping[str, str],
    config: str | None,
) -> Run:
    """What a report says of a run: `facts` and `config` are about what made it."""
    where = {"results": str(scored.folder), "truths": str(scored.truths)}
    return Run(
        scored.name,
        scored.scores,
        more={},
        facts=where | dict(facts) | machine_facts(evaluator.device),
        config=config,
        notes=notes_of(scored, evaluator),
    )


def report_strips(
    runs: Sequence[Scored], shape: Shape, looks: Sequence[Look | None]
) -> list[Strip]:
    """The worst, median and best video of the first run, as far as all runs have it.

    looks: what each run's networks see; None where they are not known.
    """
    pairs = [{pair.name: pair for pair in it.matched.pairs} for it in runs]
    common = [score for score in runs[0].scores if all(score.name in side for side in pairs)]
    strips = []
    for heading, score in worst_median_best(common):
        sides = [
            Shown(it.name, frames_of(side[score.name], shape), look)
            for it, side, look in zip(runs, pairs, looks, strict=True)
        ]
        strips.append(make_strip(heading, score, sides))
    return strips
