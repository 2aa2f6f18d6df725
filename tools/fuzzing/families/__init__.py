"""What can be wrong, in families that share an input."""

from tools.fuzzing.families.checkpoints import checkpoints
from tools.fuzzing.families.datasets import datasets
from tools.fuzzing.families.findings import findings
from tools.fuzzing.families.flags import flags
from tools.fuzzing.families.folders import folders
from tools.fuzzing.families.outputs import outputs
from tools.fuzzing.families.pairs import pairs
from tools.fuzzing.families.pictures import pictures
from tools.fuzzing.families.scores import scores
from tools.fuzzing.families.settings import settings
from tools.fuzzing.families.uploads import uploads
from tools.fuzzing.families.videos import videos
from tools.fuzzing.run import Family

FAMILIES: dict[str, Family] = {
    "checkpoints": checkpoints,
    "settings": settings,
    "pictures": pictures,
    "videos": videos,
    "folders": folders,
    "pairs": pairs,
    "findings": findings,
    "scores": scores,
    "outputs": outputs,
    "flags": flags,
    "datasets": datasets,
    "uploads": uploads,
}

SHARES = {
    "checkpoints": 16,
    "settings": 16,
    "pictures": 10,
    "videos": 13,
    "folders": 6,
    "pairs": 5,
    "findings": 6,
    "scores": 5,
    "outputs": 8,
    "flags": 8,
    "datasets": 5,
    "uploads": 2,
}
"""Of all runs, in parts of 100."""
