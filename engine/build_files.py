"""The files and folders that a config names."""

from pathlib import Path

from config.schema import Config
from engine.command_files import Inputs

_NO_FILES = ("imagenet", "random")


def config_inputs(config: Config, *, dataset_is_read: bool = True) -> Inputs:
    """What a config names: its dataset, its list of pairs, its perceptual weights.

    Args:
        dataset_is_read: by the command.
    """
    data, weights = config.dataset_params, config.train_params.perceptual_weights
    files: list[Path | None] = [None if weights in _NO_FILES else Path(weights)]
    if data.pairs_list is not None:
        files.append(Path(data.pairs_list))
    folders = folders_of_videos(Path(data.root_dir))
    return Inputs(files, folders) if dataset_is_read else Inputs(files, unread=folders)


def folders_of_videos(root: Path) -> list[Path]:
    """The folders of a dataset that have videos in them: train/ and test/, or itself."""
    return [root / side for side in ("train", "test") if (root / side).is_dir()] or [root]
