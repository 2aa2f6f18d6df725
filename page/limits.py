"""How much the page takes from one person, and how much it does at a time."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from engine.errors import UserError

MEGA = 1_000_000
_MOST_FRAMES_PER_SECOND = 60


@dataclass(frozen=True)
class Limits:
    """Bounds that the command line sets and the page states.

    Attributes:
        megabytes: of one file.
        seconds: of a driving video; it may have sixty times as many frames.
        picture_megapixels: of a picture.
        video_megapixels: of a frame of a driving video.
        running: animations computed at a time.
        waiting: requests that wait in line, of everybody together.
        minutes: for which files of a page that stays open but is not used are kept.
    """

    megabytes: int = 64
    seconds: int = 30
    picture_megapixels: int = 36
    video_megapixels: int = 9
    running: int = 2
    waiting: int = 12
    minutes: int = 60

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value < 1:
                raise UserError(f"--max_{name} {value}: must be at least 1; raise it")

    @property
    def frames(self) -> int:
        return _MOST_FRAMES_PER_SECOND * self.seconds

    def for_probe(self) -> dict[str, Any]:
        """What page.probe is told, in seconds and single pixels."""
        return {
            "seconds": self.seconds,
            "frames": self.frames,
            "picture_pixels": self.picture_megapixels * MEGA,
            "video_pixels": self.video_megapixels * MEGA,
        }

    def sentence(self) -> str:
        """What a person should know of them."""
        return (
            f"Files up to {self.megabytes} MB; pictures up to {self.picture_megapixels} "
            f"megapixels; videos up to {self.seconds} seconds and {self.frames:,} frames of "
            f"{self.video_megapixels} megapixels. {counted(self.running, 'animation')} at a time; "
            f"up to {counted(self.waiting, 'request')} may wait. Files stay on this computer and "
            f"are deleted when you close the page, at the latest after {self.minutes} minutes "
            "without use."
        )


def counted(number: int, thing: str) -> str:
    """`1 thing`, `2 things`."""
    return f"{number:,} {thing}" + ("" if number == 1 else "s")
