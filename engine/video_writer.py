"""Writing a video, frame by frame: whole, or not at all."""

from __future__ import annotations

import secrets
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from engine.errors import UserError
from engine.image import one_line
from engine.video_encoding import ENCODINGS, FrameEncoder
from engine.video_reader import Sound


class VideoWriter:
    """Write uint8 RGB frames (H, W, 3) to .mp4, .mov, .mkv (H.264), .webm (VP9) or .gif.

    A context manager. The file appears, whole, when the block ends. If an exception, Ctrl-C or
    SIGTERM ends it, nothing is left behind and a file of that name stays what it was. H.264 and VP9
    need even sizes: odd ones gain a copy of the last column or row.

    Args:
        path: the file to write; its folder is made.
        fps: frames per second, exact, such as Fraction(30000, 1001).
        times: VideoReader.times: when each frame begins and the last ends, in seconds; None: frame
            i begins at i / fps. Matroska and WebM round times to milliseconds, GIF to hundredths.
        sound: whose sound is to be heard, as long as there are frames; None for silence. It is
            copied where the container takes its codec, else re-encoded (AAC, or Opus in WebM). GIF
            has none. Sound that cannot be used is a warning.
        size: (H, W) of the frames; None takes that of the first.

    Raises UserError: at once, for an unknown suffix, a place that cannot be written to, or a
    missing encoder; later, for what cannot be written, and for a block that ends without a frame.
    """

    def __init__(
        self,
        path: Path,
        *,
        fps: Fraction,
        times: Sequence[Fraction] | None = None,
        sound: Sound | None = None,
        size: tuple[int, int] | None = None,
    ) -> None:
        suffix = path.suffix.lower()
        if suffix not in ENCODINGS:
            raise UserError(f"{path}: cannot write such a file; use {', '.join(ENCODINGS)}")
        self.path = path
        self.fps = fps
        self.size = size
        self._times = times
        self._sound = sound
        self._encoding = ENCODINGS[suffix]
        self._partial = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{suffix}")
        check_writable(path, self._partial)
        check_encoder(self._encoding.encoder)
        self._encoder: FrameEncoder | None = None
        self._cleanup = ExitStack()

    def __enter__(self) -> VideoWriter:
        self._cleanup.enter_context(terminating_as_exit())
        self._cleanup.callback(self._partial.unlink, missing_ok=True)
        self._cleanup.callback(self._close)
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        with self._cleanup:
            if kind is None:
                self._finish()

    def write(self, frame: np.ndarray) -> None:
        """Append one uint8 RGB frame (H, W, 3)."""
        height, width = self.size = self.size or (frame.shape[0], frame.shape[1])
        if frame.shape != (height, width, 3) or frame.dtype != np.uint8:
            raise ValueError(
                f"expected a uint8 frame of {(height, width, 3)}, got {frame.dtype} {frame.shape}"
            )
        with self._encoding_errors():
            if self._encoder is None:
                self._encoder = FrameEncoder(
                    self._partial,
                    self._encoding,
                    size=self.size,
                    fps=self.fps,
                    times=self._times,
                    sound=self._sound,
                )
            self._encoder.add(frame)

    @property
    def written_size(self) -> tuple[int, int]:
        """(H, W) in the file, what odd frames gain included; once there is a frame."""
        assert self._encoder is not None
        return self._encoder.size

    def _finish(self) -> None:
        if self._encoder is None:
            raise UserError(
                f"{self.path}: not written, for there were no frames; check what they come from"
            )
        with self._encoding_errors():
            self._encoder.finish()
        self._partial.replace(self.path)

    def _close(self) -> None:
        if self._encoder is not None:
            with suppress(av.error.FFmpegError):  # Either it is complete, or to be thrown away.
                self._encoder.close()

    @contextmanager
    def _encoding_errors(self) -> Iterator[None]:
        try:
            yield
        except av.error.FFmpegError as error:
            reason = error.strerror or one_line(error)
            raise UserError(
                f"{self.path}: cannot be written ({reason}); free some space or name another file"
            ) from error


def check_writable(path: Path, partial: Path) -> None:
    """Make the folder of `path` and try a file there, so that nothing is computed in vain."""
    if path.is_dir():
        raise UserError(f"{path}: is a folder; name a file to write")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.touch(exist_ok=False)
        partial.unlink()
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written there ({error.strerror}); name another file"
        ) from error


def check_encoder(name: str) -> None:
    """See that PyAV has an encoder; those that are built by hand may lack some."""
    if name not in av.codecs_available:
        raise UserError(f"PyAV lacks the encoder {name}; install av as requirements.txt says")


@contextmanager
def terminating_as_exit() -> Iterator[None]:
    """Let SIGTERM unwind the stack, as Ctrl-C does, unless the program handles it itself."""
    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    )
    if ours:
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
