"""Where keypoints and identity features of frames come from: networks, packages or files."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from engine.device import place
from engine.errors import UserError
from engine.image import to_frame
from engine.keypoint_files import read_features, read_keypoints
from engine.matching import Matched
from engine.metrics import Array
from engine.pretrained import MissingWeights, load_body_detector
from engine.words import counted

_SURE = 0.9  # of a person, and of a joint's being in the picture: the detector's own scores
_NUM_BODY_JOINTS = 17


class FrameId(NamedTuple):
    """Which frame is looked at: `number`, from 0, of a video, among the results or the truths."""

    side: Literal["result", "truth"]
    video: str
    number: int


class Detector(Protocol):
    """Finds something in a frame (3, H, W) in [0, 1].

    Keypoints are (K, 2), (x, y) in pixels, those not found NaN; features are (D,), NaN where there
    is nothing to describe. Raises UserError if it cannot tell.
    """

    def __call__(self, frame: Tensor, at: FrameId) -> Array: ...


class BodyKeypoints:
    """The joints of the surest person, by torchvision's Keypoint R-CNN.

    Args:
        weights: the folder of its file.
        device: where it runs.

    Raises:
        MissingWeights: its file is not there.
    """

    def __init__(self, weights: Path, device: torch.device) -> None:
        self._network: nn.Module = place(load_body_detector(weights), device)
        self._device = device

    @torch.inference_mode()
    def __call__(self, frame: Tensor, at: FrameId) -> Array:
        (found,) = self._network([frame.to(self._device)])
        return surest_person(found)


def surest_person(found: Mapping[str, Tensor]) -> Array:
    """The joints (17, 2) of the person with the highest score, from what the network returns.

    A person counts from a score of 0.9, a joint from a logit of 0, an even chance.
    """
    points = np.full((_NUM_BODY_JOINTS, 2), np.nan)
    if len(found["scores"]) and found["scores"].max() >= _SURE:
        best = int(found["scores"].argmax())
        seen = found["keypoints_scores"][best].cpu().numpy() > 0  # (17,)
        points[seen] = found["keypoints"][best, :, :2].cpu().numpy()[seen]
    return points


class FaceKeypoints:
    """The 68 landmarks of the first face, by the package face_alignment.

    Raises:
        MissingWeights: the package is not installed, or cannot download its weights.
    """

    def __init__(self, device: torch.device) -> None:
        try:
            import face_alignment
        except ImportError as error:
            raise MissingWeights(
                f"install the package face-alignment, which downloads its own weights ({error})"
            ) from error
        kind = face_alignment.LandmarksType.TWO_D
        try:
            self._aligner = face_alignment.FaceAlignment(kind, device=str(device))
        except OSError as error:
            raise MissingWeights(
                f"the package face-alignment could not download its weights ({error}); run it once "
                "where there is a network"
            ) from error

    def __call__(self, frame: Tensor, at: FrameId) -> Array:
        faces = self._aligner.get_landmarks_from_image(to_frame(frame))
        return np.asarray(faces[0], np.float64) if faces else np.full((68, 2), np.nan)


class FaceFeatures:
    """The 128 numbers that describe the first face, by the package face_recognition.

    Raises:
        MissingWeights: the package is not installed, or lacks its models.
    """

    def __init__(self) -> None:
        try:
            # Its models: without them, the package itself would end the whole process.
            importlib.import_module("face_recognition_models")
            import face_recognition
        except ImportError as error:
            raise MissingWeights(
                f"install the package face-recognition, which brings its own weights ({error})"
            ) from error
        self._describe = face_recognition.face_encodings

    def __call__(self, frame: Tensor, at: FrameId) -> Array:
        faces = self._describe(to_frame(frame))
        return np.asarray(faces[0], np.float64) if faces else np.full(128, np.nan)


class Precomputed:
    """What another program has found: a file for the results, one for the truths.

    Args:
        kind: keypoints or features; engine/keypoint_files.py has the layouts.

    Raises:
        UserError: a file cannot be read; when called, it tells nothing of a frame.
    """

    def __init__(
        self, kind: Literal["keypoints", "features"], *, results: Path, truths: Path
    ) -> None:
        read = read_keypoints if kind == "keypoints" else read_features
        self._files = {"result": results, "truth": truths}
        self._arrays = {side: read(path) for side, path in self._files.items()}
        widths = {array.shape[1] for side in self._arrays.values() for array in side.values()}
        if len(widths) > 1:
            raise UserError(
                f"{results}, {truths}: {' and '.join(map(str, sorted(widths)))} {kind} a frame; "
                "give as many for every frame of both"
            )

    def extras(self, matched: Matched) -> list[str]:
        """A line for each video, and for frames of one, that a file tells of and no folder has."""
        names = {"result": matched.results, "truth": matched.truths}
        lines = [
            f"{path}: {name}: extra, there is no such video among the {side}s"
            for side, path in self._files.items()
            for name in sorted(self._arrays[side].keys() - names[side])
        ]
        for pair in matched.pairs:
            frames = {"result": pair.result_frames, "truth": pair.truth_frames}
            for side, path in self._files.items():
                told = len(self._arrays[side].get(pair.name, ()))
                if told > frames[side]:
                    lines.append(
                        f"{path}: {pair.name}: {counted(told, 'frame')} where the {side} has "
                        f"{frames[side]}"
                    )
        return lines

    def __call__(self, frame: Tensor, at: FrameId) -> Array:
        array = self._arrays[at.side].get(at.video)
        if array is None or at.number >= len(array):
            raise UserError(
                f"{self._files[at.side]}: tells nothing of frame {at.number} of {at.video}; add it"
            )
        return array[at.number]
