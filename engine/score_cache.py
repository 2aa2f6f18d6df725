"""Scores kept on disk, so that a second run computes only what is new or has changed."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from engine.matching import VideoPair
from engine.output import check_folder, write_json
from engine.scoring import Series, VideoScore
from engine.video_reader import image_files

_VERSION = 1
"""Counts up whenever the same frames give other numbers."""


class ScoreCache:
    """A small JSON file for each video, valid as long as its files and the settings are the same.

    Files are told by name, size and time of change.

    Args:
        folder: where the scores lie; made where it is missing.
        settings: all else that the numbers depend on; plain values.

    Raises:
        UserError: the folder cannot be written to.
    """

    def __init__(self, folder: Path, settings: Mapping[str, object]) -> None:
        check_folder(folder)
        self._folder = folder
        self._settings = dict(settings)

    def find(self, pair: VideoPair) -> VideoScore | None:
        """What was stored for these very files and settings, if anything."""
        try:
            content = json.loads(self._path(pair).read_text())
            if content["key"] != self._key(pair):
                return None
            series = {
                kind: Series(tuple(values), tuple(weights))
                for kind, (values, weights) in content["series"].items()
            }
            return VideoScore(pair.name, content["num_frames"], series)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None  # It is missing, or was cut off: computed again, it is replaced.

    def store(self, pair: VideoPair, score: VideoScore) -> None:
        """Keep a score. Raises UserError if the disk is full."""
        content = {"key": self._key(pair), "num_frames": score.num_frames, "series": score.series}
        write_json(self._path(pair), content)

    def _path(self, pair: VideoPair) -> Path:
        return self._folder / f"{pair.name}.json"

    def _key(self, pair: VideoPair) -> str:
        files = [_state_of(path) for path in (pair.result, pair.truth)]
        known = [_VERSION, self._settings, pair.num_frames, files]
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def _state_of(video: Path) -> list[tuple[str, int, int]]:
    """(path, size in bytes, time of change) of each file of a video."""
    files = sorted(image_files(video)) if video.is_dir() else [video]
    states = ((file, file.stat()) for file in files)
    return [(str(file.resolve()), state.st_size, state.st_mtime_ns) for file, state in states]
