"""Scores kept on disk, so that a second run computes only what is new or has changed."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from engine.errors import UserError
from engine.identity import file_state
from engine.matching import VideoPair
from engine.output import check_folder, write_json
from engine.scoring import Series, VideoScore
from engine.video_reader import image_files

_VERSION = 1
"""Counts up whenever the same frames give other numbers."""

_MARK = {"written_by": "evaluate.py"}
_FIRST_LINES = json.dumps(_MARK, indent=2).removesuffix("\n}")


class ScoreCache:
    """A small JSON file for each video, valid as long as its files and the settings are the same.

    Files are told by name, size and time of change. None but its own are ever replaced.

    Args:
        folder: where the scores lie; made where it is missing.
        settings: all else that the numbers depend on; plain values.

    Raises:
        UserError: the folder cannot be written to.
    """

    def __init__(self, folder: Path, settings: Mapping[str, object]) -> None:
        try:
            check_folder(folder)
        except UserError as error:
            raise UserError(f"{error} with --cache") from error
        self._folder = folder
        self._settings = dict(settings)

    def find(self, pair: VideoPair) -> VideoScore | None:
        """What was stored for these very files and settings, if anything.

        Raises:
            UserError: something else than scores is where they would be stored.
        """
        text = self._read(pair)
        try:
            content = json.loads(text)
            about = content["about"]
            if about["key"] != self._key(pair) or content["checksum"] != _checksum(about):
                return None
            series = {
                kind: Series(tuple(values), tuple(weights))
                for kind, (values, weights) in about["series"].items()
            }
            return VideoScore(pair.name, about["num_frames"], series)
        except (ValueError, KeyError, TypeError, RecursionError):
            return None  # It is missing, or was damaged: computed again, it is replaced.

    def _read(self, pair: VideoPair) -> str:
        """What a file of ours holds; nothing if it is missing, or empty after a crash."""
        path = self._path(pair)
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            raise _foreign(path) from error
        if text and not text.startswith(_FIRST_LINES):
            raise _foreign(path)
        return text

    def store(self, pair: VideoPair, score: VideoScore) -> None:
        """Keep a score. Raises UserError if the disk is full."""
        about = {"key": self._key(pair), "num_frames": score.num_frames}
        content = json.loads(json.dumps(about | {"series": score.series}))
        write_json(self._path(pair), _MARK | {"checksum": _checksum(content), "about": content})

    def _path(self, pair: VideoPair) -> Path:
        return self._folder / f"{pair.name}.json"

    def _key(self, pair: VideoPair) -> str:
        files = [_state_of(path) for path in (pair.result, pair.truth)]
        return _checksum([_VERSION, self._settings, pair.num_frames, files])


def _checksum(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _foreign(path: Path) -> UserError:
    return UserError(
        f"{path}: no scores that evaluate.py wrote; move it, or name another folder with --cache"
    )


def _state_of(video: Path) -> list[tuple[str, int, int]]:
    """The state of each file of a video."""
    return [file_state(it) for it in (sorted(image_files(video)) if video.is_dir() else [video])]
