"""The metrics that a person asks for, as far as this machine has what they need."""

from pathlib import Path
from typing import NamedTuple

import torch

from engine.detectors import BodyKeypoints, Detector, FaceFeatures, FaceKeypoints, Precomputed
from engine.identity import file_state
from engine.matching import Matched
from engine.pretrained import MissingWeights, body_file, load_lpips, lpips_files
from engine.scoring import (
    MetricOfVideo,
    PixelMetrics,
    feature_metric,
    keypoint_metric,
    perceptual_metric,
)

KEYPOINT_DETECTORS = ("body", "face")
FEATURE_DETECTORS = ("face",)


class Files(NamedTuple):
    """What another program has found: in the results, and in the truths."""

    results: Path
    truths: Path


class Wanted(NamedTuple):
    """What to measure besides pixels.

    Attributes:
        weights: the folder where files of weights are looked for.
        lpips: `vgg` or `alex`; None for none.
        keypoints: for AKD and MKR: `body`, `face`, or files; None for none.
        features: for AED: `face` or files; None for none.
    """

    weights: Path
    lpips: str | None = None
    keypoints: str | Files | None = None
    features: str | Files | None = None


class Evaluator(NamedTuple):
    """What is measured.

    Attributes:
        metrics: for scoring.score_video.
        settings: all that their numbers depend on besides the frames; plain values.
        skipped: what cannot be measured, by the metrics' names, and what would help.
        device: where networks run.
        detectors: what keypoints and features come from.
    """

    metrics: list[MetricOfVideo]
    settings: dict[str, object]
    skipped: dict[str, str]
    device: torch.device
    detectors: list[Detector]

    def extras(self, matched: Matched) -> list[str]:
        """A line for each thing that files of keypoints and features tell of in vain."""
        precomputed = (it for it in self.detectors if isinstance(it, Precomputed))
        return [line for files in precomputed for line in files.extras(matched)]


def files_of(wanted: Wanted) -> list[Path]:
    """The files that are read for what is wanted, whether or not they are there."""
    files = [] if wanted.lpips is None else lpips_files(wanted.lpips, wanted.weights)
    if wanted.keypoints == "body":
        files.append(body_file(wanted.weights))
    named = [it for it in (wanted.keypoints, wanted.features) if isinstance(it, Files)]
    return files + [path for pair in named for path in pair]


def build_evaluator(wanted: Wanted, device: torch.device) -> Evaluator:
    """Load what is there.

    Raises:
        UserError: a file is there, but damaged or of another kind.
    """
    evaluator = Evaluator([PixelMetrics], {"metrics": ["pixels"]}, {}, device, [])
    if wanted.lpips is not None:
        try:
            network = load_lpips(wanted.lpips, wanted.weights)
            evaluator.metrics.append(perceptual_metric(network, device))
            files = lpips_files(wanted.lpips, wanted.weights)
            evaluator.settings["lpips"] = [file_state(path) for path in files]
        except MissingWeights as missing:
            evaluator.skipped["lpips"] = str(missing)
    if wanted.keypoints is not None:
        try:
            detector = _keypoint_detector(wanted.keypoints, wanted.weights, device)
            evaluator.detectors.append(detector)
            evaluator.metrics.append(keypoint_metric(detector))
            evaluator.settings["keypoints"] = _identity(wanted.keypoints, wanted.weights)
        except MissingWeights as missing:
            evaluator.skipped["akd, mkr"] = str(missing)
    if wanted.features is not None:
        try:
            detector = _feature_detector(wanted.features)
            evaluator.detectors.append(detector)
            evaluator.metrics.append(feature_metric(detector))
            evaluator.settings["features"] = _identity(wanted.features, wanted.weights)
        except MissingWeights as missing:
            evaluator.skipped["aed"] = str(missing)
    return evaluator


def _keypoint_detector(kind: str | Files, weights: Path, device: torch.device) -> Detector:
    if isinstance(kind, Files):
        return Precomputed("keypoints", results=kind.results, truths=kind.truths)
    return BodyKeypoints(weights, device) if kind == "body" else FaceKeypoints(device)


def _feature_detector(kind: str | Files) -> Detector:
    if isinstance(kind, Files):
        return Precomputed("features", results=kind.results, truths=kind.truths)
    return FaceFeatures()


def _identity(kind: str | Files, weights: Path) -> object:
    """What tells one detector from another: its name, and the files that it is from."""
    if isinstance(kind, Files):
        return [file_state(path) for path in kind]
    return [kind, file_state(body_file(weights))] if kind == "body" else kind
