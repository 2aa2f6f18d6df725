"""The metrics that a person asks for, as far as this machine has what they need."""

from pathlib import Path
from typing import NamedTuple

import torch

from engine.detectors import BodyKeypoints, Detector, FaceFeatures, FaceKeypoints, Precomputed
from engine.errors import UserError
from engine.pretrained import MissingWeights, load_lpips
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
    """

    metrics: list[MetricOfVideo]
    settings: dict[str, object]
    skipped: dict[str, str]
    device: torch.device


def build_evaluator(wanted: Wanted, device: torch.device) -> Evaluator:
    """Load what is there.

    Raises:
        UserError: a file is there, but damaged or of another kind.
    """
    evaluator = Evaluator([PixelMetrics], {"metrics": ["pixels"]}, {}, device)
    if wanted.lpips is not None:
        try:
            network = load_lpips(wanted.lpips, wanted.weights)
            evaluator.metrics.append(perceptual_metric(network, device))
            evaluator.settings["lpips"] = [wanted.lpips, str(wanted.weights.resolve())]
        except MissingWeights as missing:
            evaluator.skipped["lpips"] = str(missing)
    if wanted.keypoints is not None:
        try:
            detector = _keypoint_detector(wanted.keypoints, wanted.weights, device)
            evaluator.metrics.append(keypoint_metric(detector))
            evaluator.settings["keypoints"] = _identity(wanted.keypoints)
        except MissingWeights as missing:
            evaluator.skipped["akd, mkr"] = str(missing)
    if wanted.features is not None:
        try:
            evaluator.metrics.append(feature_metric(_feature_detector(wanted.features)))
            evaluator.settings["features"] = _identity(wanted.features)
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


def _identity(kind: str | Files) -> object:
    """What tells one detector from another: its name, or its files and when they changed."""
    if isinstance(kind, str):
        return kind
    try:
        return [[str(path.resolve()), path.stat().st_mtime_ns] for path in kind]
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}; check the path") from error
