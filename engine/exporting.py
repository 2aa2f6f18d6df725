"""From trained networks to a folder that other runtimes animate with, once it has been checked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from engine.export_formats import FORMATS, Format
from engine.export_graphs import build_graphs
from engine.output import new_folder, write_json
from engine.parity import LIMIT, Check, Gate, Sample
from modules.generator import OcclusionAwareGenerator
from modules.keypoint_detector import KPDetector


def export(
    folder: Path,
    format_name: str,
    *,
    kp_detector: KPDetector,
    generator: OcclusionAwareGenerator,
    frame_shape: tuple[int, int, int],
    samples: Sequence[Sample],
    facts: Mapping[str, object],
) -> list[Check]:
    """Write both graphs, run them, and keep them if they do what the networks do.

    Args:
        folder: where to; new, or empty.
        format_name: one of FORMATS.
        kp_detector, generator: trained, in eval mode.
        frame_shape: (H, W, C) of the images.
        samples: what they are run on.
        facts: more to be written with them, such as the config.

    Returns:
        How far off each output is.

    Raises:
        UserError: too far, or the folder cannot be had, or a package is missing.
    """
    kind = FORMATS[format_name]
    kind.check_installed()
    with new_folder(folder) as partial:
        graphs = build_graphs(kp_detector=kp_detector, generator=generator, frame_shape=frame_shape)
        about = {"format": format_name, "made_with": _versions(kind), **facts}
        files = {graph.name: partial / f"{graph.name}{kind.suffix}" for graph in graphs}
        for graph in graphs:
            texts = {name: json.dumps(value) for name, value in (about | graph.ports()).items()}
            kind.write(graph, files[graph.name], texts)
        runtimes = [kind.load(file) for file in files.values()]
        gate = Gate(graphs, runtimes, kp_detector=kp_detector, generator=generator)
        checks = gate.check(samples)
        described = {it.name: {"file": files[it.name].name, **it.ports()} for it in graphs}
        write_json(partial / "model.json", about | {"graphs": described})
        write_json(partial / "parity.json", _report(checks))
    return checks


def _versions(kind: Format) -> dict[str, str]:
    """Of what writes and runs files of a format."""
    return {name: version(name) for name in ("torch", *kind.needs)}


def _report(checks: Sequence[Check]) -> dict[str, object]:
    largest = max(check.difference for check in checks)
    return {"limit": LIMIT, "largest": largest, "checks": [check._asdict() for check in checks]}
