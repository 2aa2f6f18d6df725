"""What the metrics are called and mean; scores as tables and as JSON."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from engine.scoring import VideoScore, total_means


class Kind(NamedTuple):
    """What a number means.

    Attributes:
        title: how it is headed.
        definition: in one sentence.
        lower_is_better: whether it is an error; None for a mark that belongs to the truth alone.
        unit: what it is measured in, if in anything.
    """

    title: str
    definition: str
    lower_is_better: bool | None = True
    unit: str = ""

    @property
    def heading(self) -> str:
        """The title of a column of bare numbers."""
        return f"{self.title} {self.unit}".rstrip()


KINDS = {
    "l1": Kind("L1", "mean |p - g| over all pixels and frames, values in [0, 1]"),
    "copy_l1": Kind(
        "copy L1", "the L1 of showing the true first frame throughout", lower_is_better=None
    ),
    "psnr": Kind(
        "PSNR",
        "-10 log10 of a frame's mean squared error, at most 100; mean over frames",
        lower_is_better=False,
        unit="dB",
    ),
    "ssim": Kind(
        "SSIM",
        "structural similarity, Gaussian window of sigma 1.5, per channel; mean over frames",
        lower_is_better=False,
    ),
    "lpips": Kind("LPIPS", "learned perceptual distance, version 0.1; mean over frames"),
    "temporal": Kind(
        "temporal", "flicker: mean |(p_t - p_t-1) - (g_t - g_t-1)| over pixels and frames from 1 on"
    ),
    "akd": Kind(
        "AKD", "mean distance of keypoints found in both, in pixels as evaluated", unit="px"
    ),
    "mkr": Kind("MKR", "of the keypoints found in the truth, the share missing in the result"),
    "aed": Kind("AED", "mean over frames of the Euclidean distance of identity features"),
}


def table(scores: Sequence[VideoScore]) -> str:
    """A line for each video and one for all, under the titles of the metrics."""
    means = total_means(scores)
    frames = sum(score.num_frames for score in scores)
    heads = ["video", "frames", *(KINDS[kind].heading for kind in means)]
    rows = [[s.name, str(s.num_frames), *_cells(s.means(), means)] for s in scores]
    rows.append(["all", str(frames), *_cells(means, means)])
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    lines = []
    for first, *rest in [heads, *rows]:
        numbers = (cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
        lines.append("  ".join([first.ljust(widths[0]), *numbers]))
    return "\n".join(lines)


def _cells(values: Mapping[str, float | None], kinds: Iterable[str]) -> list[str]:
    return [in_words(kind, values.get(kind)) for kind in kinds]


def in_words(kind: str, value: float | None) -> str:
    """A number as tables show it: four digits, two for decibels; a dash where there is none."""
    return "-" if value is None else f"{value:.{2 if kind == 'psnr' else 4}f}"


def as_dict(scores: Sequence[VideoScore]) -> dict[str, object]:
    """Everything for a JSON file: total, definitions, each video, each frame."""
    means = total_means(scores)
    return {
        "num_frames": sum(score.num_frames for score in scores),
        **means,
        "definitions": {kind: KINDS[kind].definition for kind in means},
        "videos": [
            {
                "name": score.name,
                "num_frames": score.num_frames,
                **score.means(),
                "frames": {kind: series.shown() for kind, series in score.series.items()},
            }
            for score in scores
        ],
    }
