"""What a person should know of a dataset, and may want to change."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

from config.schema import DatasetParams
from engine.listing import holds_videos, id_of, passed_over
from engine.video import is_video
from engine.words import counted
from tools.dataset.examining import Finding, State
from tools.dataset.table import Sides

_MOST_NAMES = 10  # of videos or folders in one remark; complete lists are in the report
_FATES: dict[State, str] = {
    "broken midway": "wherever the rest of it is drawn, it is skipped",
    "of one frame": "skipped",
    "unreadable": "skipped",
}


def remarks(sides: Sides, params: DatasetParams) -> Iterator[str]:
    """What is not wrong with any one video, a paragraph each."""
    root = Path(params.root_dir)
    findings = [finding for found in sides.values() for finding in found]
    yield from _shapes(findings, params.frame_shape)
    named = any("#" in finding.video.name for finding in findings)
    if named and not params.id_sampling:
        yield (
            "names tell ids: with dataset_params.id_sampling=true an epoch draws one video of each,"
            " so that none outweighs the others"
        )
    yield from _overlaps(sides, root, named=named)
    yield from _passed_over(root)


def _shapes(findings: Sequence[Finding], frame_shape: tuple[int, int, int]) -> Iterator[str]:
    height, width, _ = frame_shape
    opened = [finding for finding in findings if finding.num_frames]
    stretched = [one for one in opened if one.size[0] * width != one.size[1] * height]
    if stretched:
        yield (
            f"{counted(len(stretched), 'video')} of another aspect than frame_shape, {width} x "
            f"{height}: training stretches what tools/prepare_dataset.py cuts"
        )
    larger = [one for one in opened if one.size[0] > height and one.size[1] > width]
    if larger:
        yield (
            f"{counted(len(larger), 'video')} larger than frame_shape, {width} x {height}, which "
            "only costs time; tools/prepare_dataset.py resizes videos"
        )


def _overlaps(sides: Sides, root: Path, *, named: bool) -> Iterator[str]:
    """What is there twice, within a side or on both."""
    if named:
        ids = [{id_of(one.video) for one in found} for found in sides.values()]
        shared = sorted(set.intersection(*ids)) if len(ids) > 1 else []
        if shared:
            yield f"{counted(len(shared), 'id')} on both sides: {_some(shared)}"
    copies: dict[str, list[str]] = {}
    for found in sides.values():
        for one in found:
            if one.digest:
                copies.setdefault(one.digest, []).append(str(one.video.relative_to(root)))
    twice = [" = ".join(names) for names in copies.values() if len(names) > 1]
    if twice:
        yield f"{counted(len(twice), 'video')} there more than once: {_some(twice)}"


def _passed_over(root: Path) -> Iterator[str]:
    """Each folder by name, files by their endings."""
    entries = passed_over(root)
    folders = [entry for entry in entries if entry.is_dir() or is_video(entry)]
    for entry in folders[:_MOST_NAMES]:
        why = "holds no images" if os.access(entry, os.R_OK | os.X_OK) else "may not be read"
        if is_video(entry):
            why = "lies beside train/ or test/; move it into one of them"
        elif holds_videos(entry):
            why = "holds videos, but only those of the folder itself are read; move them up"
        yield f"passed over: {entry.relative_to(root)}, which {why}"
    if len(folders) > _MOST_NAMES:
        yield f"passed over: {len(folders) - _MOST_NAMES:,} more such"
    endings = Counter(entry.suffix or entry.name for entry in entries if entry not in folders)
    if endings:
        files = ", ".join(f"{count:,} {ending}" for ending, count in endings.most_common(10))
        yield f"passed over, no videos by their names: {files}"


def complaints(sides: Sides, root: Path) -> Iterator[str]:
    """Each video of which something is wrong, under what it means."""
    findings = [finding for found in sides.values() for finding in found]
    for state in get_args(State):
        bad = [finding for finding in findings if finding.state == state and finding.reason]
        if bad:
            yield f"{state}: {_FATES[state]}"
            yield from (f"  {one.reason.replace(f'{root}/', '', 1)}" for one in bad)
    flawed = [finding for finding in findings if finding.flaws]
    if flawed:
        yield "of use, but flawed"
        for one in flawed:
            yield f"  {one.video.relative_to(root)}: {', '.join(one.flaws)}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_MOST_NAMES]) + (", ..." if len(names) > _MOST_NAMES else "")
