"""How far an animation is, on stderr."""

from __future__ import annotations

from tqdm import tqdm

# Frames per second even where a frame takes longer than one.
_FORMAT = (
    "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} "
    "[{elapsed}<{remaining}, {rate_noinv_fmt}]"
)


class Bar:
    """A progress bar for each stage of an animation, one after the other; none without a terminal.

    A context manager, for what comes after it should begin on a line of its own.
    """

    def __init__(self) -> None:
        self._stage = ""
        self._bar: tqdm | None = None

    def show(self, stage: str, done: int, total: int) -> None:
        """Say that of a stage's frames so many are done."""
        if self._bar is None or stage != self._stage:
            self.close()
            self._stage = stage
            self._bar = tqdm(
                desc=stage,
                total=total,
                unit=" frames",
                bar_format=_FORMAT,
                leave=False,
                disable=None,
            )
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
