"""Writing H.264 videos and GIFs, frame by frame, through ffmpeg."""

from __future__ import annotations

import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from engine.errors import UserError

# What is converted and what is tagged must agree, or players show other colours.
TO_BT709 = "scale=out_color_matrix=bt709:out_range=tv"
H264 = [
    *("-vf", TO_BT709, "-colorspace", "bt709", "-color_primaries", "bt709"),
    *("-color_trc", "bt709", "-color_range", "tv"),
    *("-c:v", "libx264", "-crf", "18", "-pix_fmt", "yuv420p"),
]
# One palette for all frames, or still areas flicker; made from the first ones, since ffmpeg holds
# them in memory until it is known. Players slow down GIFs of more than 50 frames per second.
GIF = [
    "-filter_complex",
    "fps='min(source_fps,50)',split[a][b];[a]trim=end_frame=50,palettegen[p];"
    "[b][p]paletteuse=dither=bayer:bayer_scale=4",
]
ENCODINGS = {
    ".mp4": [*H264, "-movflags", "+faststart"],
    ".mov": [*H264, "-movflags", "+faststart"],
    ".mkv": H264,
    ".gif": GIF,
}


class VideoWriter:
    """Write uint8 RGB frames (H, W, 3) to .mp4, .mov, .mkv (H.264) or .gif, as the suffix says.

    A context manager. The file appears, whole, when the block ends. If an exception, Ctrl-C or
    SIGTERM ends it, nothing is left behind and a file of that name stays what it was. H.264 needs
    even sizes: odd ones gain a copy of the last column or row. Fork no processes within the block;
    they would hold the pipe open, whose end tells ffmpeg that the video is complete.

    Args:
        path: the file to write; its folder is made.
        fps: frames per second, exact, such as Fraction(30000, 1001).
        size: (H, W) of the frames; None takes that of the first.

    Raises UserError: at once, for an unknown suffix, a place that cannot be written to, or a
    missing ffmpeg; later, for a failure of ffmpeg, and for a block that ends without a frame.
    """

    def __init__(self, path: Path, *, fps: Fraction, size: tuple[int, int] | None = None) -> None:
        self._suffix = path.suffix.lower()
        if self._suffix not in ENCODINGS:
            raise UserError(f"{path}: cannot write such a file; use {', '.join(ENCODINGS)}")
        self.path = path
        self.fps = fps
        self.size = size
        self._partial = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{self._suffix}")
        check_writable(path, self._partial)
        self._program = ffmpeg_program()
        self._messages = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the block.
        self._ffmpeg: subprocess.Popen[bytes] | None = None
        self._cleanup = ExitStack()

    def __enter__(self) -> VideoWriter:
        self._cleanup.enter_context(terminating_as_exit())
        self._cleanup.callback(self._partial.unlink, missing_ok=True)
        self._cleanup.enter_context(self._messages)
        self._cleanup.callback(self._stop)
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
        if self._suffix != ".gif":
            frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        self._ffmpeg = self._ffmpeg or self._start(frame)
        assert self._ffmpeg.stdin is not None
        try:
            self._ffmpeg.stdin.write(np.ascontiguousarray(frame).data)
        except OSError:  # It left, and says why.
            raise self._failure() from None

    def _start(self, frame: np.ndarray) -> subprocess.Popen[bytes]:
        height, width = frame.shape[:2]
        rate = f"{self.fps.numerator}/{self.fps.denominator}"
        command = [self._program, "-y", "-loglevel", "error"]
        command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", rate]
        command += ["-i", "pipe:0", *ENCODINGS[self._suffix], f"file:{self._partial}"]
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stderr=self._messages,  # A file: a pipe that nobody empties would stop ffmpeg.
            start_new_session=True,  # Ctrl-C is for us to handle.
        )

    def _finish(self) -> None:
        if self._ffmpeg is None:
            raise UserError(f"{self.path}: not written, for there were no frames")
        self._ffmpeg.communicate()
        if self._ffmpeg.returncode:
            raise self._failure()
        self._partial.replace(self.path)

    def _stop(self) -> None:
        if self._ffmpeg is None:
            return
        if self._ffmpeg.poll() is None:
            self._ffmpeg.kill()
            self._ffmpeg.wait()
        if self._ffmpeg.stdin is not None:
            with suppress(OSError):  # What is still in the pipe's buffer has nowhere to go.
                self._ffmpeg.stdin.close()

    def _failure(self) -> UserError:
        self._stop()
        self._messages.seek(0)
        lines = self._messages.read().decode(errors="replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "it gave no reason")
        return UserError(f"{self.path}: ffmpeg could not write it: {last}")


def check_writable(path: Path, partial: Path) -> None:
    """Make the folder of `path` and try a file there, so that nothing is computed in vain."""
    if path.is_dir():
        raise UserError(f"{path}: is a folder; name a file to write")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.touch(exist_ok=False)
        partial.unlink()
    except OSError as error:
        raise UserError(f"{path}: cannot be written there: {error.strerror}") from error


def ffmpeg_program() -> str:
    """Find ffmpeg: the one that imageio-ffmpeg brings along, or else the system's."""
    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        raise UserError("no ffmpeg was found; install it, or set IMAGEIO_FFMPEG_EXE") from error


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
