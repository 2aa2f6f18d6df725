"""Results and truths on disk, paired by name; what does not match is named, never averaged away."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from engine.errors import UserError
from engine.file_kind import file_kind
from engine.image import is_animated, open_picture, upright_size
from engine.video import bare_name, is_video, open_video, resize_frame, to_tensor
from engine.words import counted


class VideoPair(NamedTuple):
    """A result and what it should have been, which share a name, and how many frames each has."""

    name: str
    result: Path
    truth: Path
    result_frames: int
    truth_frames: int

    @property
    def num_frames(self) -> int:
        """How many frames both have."""
        return min(self.result_frames, self.truth_frames)


class Matched(NamedTuple):
    """What lies in two folders.

    Attributes:
        pairs: that can be scored, by name.
        problems: a line for each thing that does not match.
        results, truths: the names of all videos there are.
    """

    pairs: list[VideoPair]
    problems: list[str]
    results: frozenset[str]
    truths: frozenset[str]


class Shape(NamedTuple):
    """How frames are read.

    Attributes:
        size: (H, W) to which both sides are resized; None to compare them as they are.
        frame_width: how wide a frame is in an image of frames side by side; None for square ones.
    """

    size: tuple[int, int] | None = None
    frame_width: int | None = None


def match_videos(results: Path, truths: Path, shape: Shape) -> Matched:
    """Pair the videos of two folders: files, folders of frames, images of frames side by side.

    They share their names without endings. Where none has that of a truth, one that adds endings to
    it will do: `a.mp4.png`, as other programs name their result of `a.mp4`.

    Raises:
        UserError: a folder holds no videos or two of one name, or a video cannot be opened.
    """
    wanted = _by_name(truths)
    found = _named_as(wanted, _by_name(results))
    problems = [f"{name}: missing in {results}" for name in wanted if name not in found]
    problems += [f"{name}: extra, {truths} has no such video" for name in found.keys() - wanted]
    pairs = []
    for name in sorted(wanted.keys() & found.keys()):
        pair, problem = _compare(name, found[name], wanted[name], shape)
        problems += [] if problem is None else [problem]
        pairs.append(pair)
    return Matched(pairs, sorted(problems), frozenset(found), frozenset(wanted))


def frames_of(pair: VideoPair, shape: Shape) -> Iterator[tuple[Tensor, Tensor]]:
    """The frames (3, H, W) in [0, 1] of result and truth, as far as both go, one pair at a time.

    Raises:
        UserError: a video is damaged.
    """
    with (
        open_video(pair.result, frame_size=_frame_size(pair.result, shape)) as result,
        open_video(pair.truth, frame_size=_frame_size(pair.truth, shape)) as truth,
    ):
        size = shape.size or (truth.height, truth.width)
        for frames in zip(result, truth, strict=False):
            prediction, answer = (to_tensor(resize_frame(frame, size)) for frame in frames)
            yield prediction, answer


def _by_name(folder: Path) -> dict[str, Path]:
    """The videos in a folder by their names without endings, sorted; hidden ones are left out."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; name one of videos or of folders of frames")
    videos: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if is_video(path):
            other = videos.setdefault(bare_name(path.name), path)
            if other != path:
                raise UserError(f"{path}: has the name of {other}; move or rename one")
    if not videos:
        raise UserError(f"{folder}: holds no videos; name a folder of videos or folders of frames")
    return videos


def _named_as(wanted: Mapping[str, Path], found: Mapping[str, Path]) -> dict[str, Path]:
    """What is found, by the names of what is wanted as far as names without endings agree.

    Raises:
        UserError: two would get one name.
    """
    waiting = {_bare(name): name for name in wanted if name not in found}
    named: dict[str, Path] = {}
    for name, path in found.items():
        new = name if name in wanted else waiting.get(_bare(name), name)
        other = named.setdefault(new, path)
        if other != path:
            raise UserError(f"{path}: could be {new}, as could {other}; move or rename one")
    return named


def _bare(name: str) -> str:
    """A name without any of its endings."""
    while (shorter := bare_name(name)) != name:
        name = shorter
    return name


def _compare(name: str, found: Path, wanted: Path, shape: Shape) -> tuple[VideoPair, str | None]:
    """The pair, and what is wrong with its length.

    Raises:
        UserError: the frames are of two sizes, and none was asked for.
    """
    with (
        open_video(found, frame_size=_frame_size(found, shape)) as result,
        open_video(wanted, frame_size=_frame_size(wanted, shape)) as truth,
    ):
        if shape.size is None and (result.height, result.width) != (truth.height, truth.width):
            raise UserError(
                f"{found}: frames of {result.width}x{result.height} pixels, but those of {wanted} "
                f"have {truth.width}x{truth.height}; name the size to compare them at with --size"
            )
        pair = VideoPair(name, found, wanted, result.num_frames, truth.num_frames)
    if pair.result_frames == pair.truth_frames:
        return pair, None
    kind = "shorter" if pair.result_frames < pair.truth_frames else "longer"
    return pair, (
        f"{name}: {kind}, {counted(pair.result_frames, 'frame')} where the truth has "
        f"{pair.truth_frames}"
    )


def _frame_size(path: Path, shape: Shape) -> tuple[int, int] | None:
    """(H, W) of the frames that an image holds side by side; None for other kinds of videos."""
    if not path.is_file() or file_kind(path) != "picture":
        return None
    with open_picture(path) as image:
        if is_animated(image):
            return None
        width, height = upright_size(image)
    if shape.frame_width is not None:
        return height, shape.frame_width
    if width % height:
        raise UserError(
            f"{path}: {width}x{height} pixels, no row of square frames; "
            "say how wide a frame is with --frame_width"
        )
    return height, height
