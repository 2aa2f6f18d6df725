"""Checkpoints: save, load, resume, in the published layout.

A `.pth.tar` is a torch file (no archive): a dict with the state dicts `generator`,
`discriminator`, `kp_detector`, `optimizer_*`, and `epoch`. Ours adds `format`, `config`, `step`,
`description`, `step_in_epoch`, `schedulers`, `random_state`, `seed`, `best_l1`, `sampling` and
`epoch_record`; with train_params.ema_decay, `average` has the networks with averaged weights.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn

from engine.errors import UserError, WriteError, named
from engine.unpickling import unpickle
from engine.weights import DAMAGED, plain_weights

CHECKPOINT_FORMAT = 1
_SUFFIX = "-checkpoint.pth.tar"
_BEST_NAME = "best.pth.tar"
_LAST_NAME = f"last{_SUFFIX}"
_UNFINISHED = ".tmp"
AVERAGE = "average"
_AVERAGED = ("generator", "kp_detector")
# Entries that only checkpoints of the method's successors have.
_OTHER_METHODS = {"region_predictor": "MRAA", "inpainting_network": "TPSMM"}

State = dict[str, object]


def read_torch_file(path: Path) -> dict:
    """Read a dict of tensors and plain values from a torch file, onto the CPU.

    Raises:
        UserError: no such file, not a torch file, damaged, or one that wants to run code.
    """
    if path.is_dir():
        raise UserError(f"{path}: this is a folder; {_remedy_for_folder(path)}")
    if not path.is_file():
        raise UserError(f"{path}: no such file; name a .pth.tar that train.py wrote")
    try:
        content = unpickle(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the rights") from error
    if not isinstance(content, dict):
        raise UserError(
            f"{path}: holds a {type(content).__name__}, not a dict of state dicts; name a .pth.tar "
            "that train.py wrote"
        )
    return content


def _remedy_for_folder(path: Path) -> str:
    if any(path.glob("data.pkl")) or any(path.glob("*/data.pkl")):
        return "a checkpoint that was unpacked: name the file it came from, which is read as it is"
    inside = sorted(path.glob("*.pth*"))
    return f"name a checkpoint, such as {inside[-1]}" if inside else "name a .pth.tar file"


def load_weights(
    path: Path,
    state: Mapping[str, object],
    networks: Mapping[str, nn.Module],
    *,
    within: str = "",
) -> None:
    """Fill networks, by name, from a checkpoint's content; all of them, or an error and none.

    Args:
        path: of the checkpoint, for messages.
        state: what `read_torch_file` returned.
        networks: by their names in the checkpoint. `module.` and `_orig_mod.` in parameter names
            are ignored.
        within: the section of the checkpoint that `state` is, with a dot; empty for the whole.

    Raises:
        UserError: a network or a parameter is missing, left over, of another shape or not finite.
    """
    weights = {}
    for name, network in networks.items():
        weights[name] = network_weights(path, state, name, within=within)
        where = f"{path}: {within}{name}"
        _check_architecture(where, weights[name], network.state_dict())
    for name, network in networks.items():
        network.load_state_dict(weights[name])


def network_weights(
    path: Path, state: Mapping[str, object], name: str, *, within: str = ""
) -> dict[str, Tensor]:
    """What a checkpoint holds of a network: its tensors, by their plain names.

    within: as in load_weights.

    Raises:
        UserError: nothing, or something that networks cannot compute with.
    """
    if name not in state:
        method = next((it for key, it in _OTHER_METHODS.items() if key in state), None)
        if method is not None:
            raise UserError(
                f"{path}: a checkpoint of {method}, which is not supported here yet; name one of "
                "the first order motion model"
            )
        has = ", ".join(named(key) for key in islice(state, 10)) or "nothing"
        raise UserError(
            f"{path}: holds no {within}{name}; it has {has}; name a checkpoint of the first order "
            "motion model"
        )
    return plain_weights(f"{path}: {within}{name}", state[name])


def with_averages(path: Path, state: Mapping) -> dict:
    """A checkpoint's content; its averaged weights, where it has them, replace the last ones.

    path: of the checkpoint, for messages.

    Raises:
        UserError: something else is in their place, or they are not finite.
    """
    average = state.get(AVERAGE, {})
    if not isinstance(average, Mapping):
        kind = type(average).__name__
        raise UserError(f"{path}: {AVERAGE}: of type {kind}, not state dicts; get a whole copy")
    averages = {}
    for name in _AVERAGED:
        if name in average and name in state:
            averages[name] = plain_weights(f"{path}: {AVERAGE}.{name}", average[name])
    return {**state, **averages}


def _check_architecture(where: str, found: Mapping[str, Tensor], wanted: dict[str, Tensor]) -> None:
    remedy = "it is of another architecture; give the config that it was trained with"
    for key, tensor in wanted.items():
        if key not in found:
            raise UserError(f"{where}.{key}: missing; {remedy}")
        if found[key].shape != tensor.shape:
            raise UserError(
                f"{where}.{key}: shape {tuple(found[key].shape)} where the config "
                f"asks for {tuple(tensor.shape)}; {remedy}"
            )
        if found[key].is_floating_point() != tensor.is_floating_point():
            raise UserError(
                f"{where}.{key}: of type {found[key].dtype}, not {tensor.dtype}; {DAMAGED}"
            )
    left_over = [key for key in found if key not in wanted]
    if left_over:
        raise UserError(f"{where}.{named(left_over[0])}: not in the config's network; {remedy}")


def write_checkpoint(path: Path, state: Mapping[str, object]) -> None:
    """Write a checkpoint atomically: a crash at any moment leaves the previous file whole.

    Raises:
        WriteError: the folder cannot be written, or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{_UNFINISHED}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            torch.save({"format": CHECKPOINT_FORMAT, **state}, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
        raise WriteError(
            f"{path}: cannot be written ({_reason(error)}); free some space or name another folder"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def epoch_path(folder: Path, epoch: int) -> Path:
    """Where the checkpoint after a number of finished epochs lies."""
    return folder / f"{epoch:08d}{_SUFFIX}"


def best_path(folder: Path) -> Path:
    """Where the checkpoint with the lowest test L1 lies."""
    return folder / _BEST_NAME


def last_path(folder: Path) -> Path:
    """Where the checkpoint taken last in the midst of an epoch lies."""
    return folder / _LAST_NAME


def newest_numbered(folder: Path) -> Path | None:
    """The checkpoint after the most epochs, if there is any that is named after their number."""
    return max(_numbered(folder), default=None)


def remove_old(written: Path, keep: int) -> None:
    """Remove the numbered checkpoints before the one just written, but for the last `keep` - 1.

    Later ones stay: they are of a run that was gone back from, and get written over as it advances.
    """
    up_to_now = [path for path in _numbered(written.parent) if path.name <= written.name]
    for path in sorted(up_to_now)[:-keep]:
        path.unlink()


def _numbered(folder: Path) -> list[Path]:
    return list(folder.glob(f"{'[0-9]' * 8}{_SUFFIX}"))


def remove_unfinished(folder: Path) -> None:
    """Remove what saves that were killed have left of a run's checkpoints."""
    for path in folder.glob(f".*.pth.tar.*{_UNFINISHED}"):
        path.unlink(missing_ok=True)


def random_state() -> State:
    """The state of torch's random generators, of the CPU and of every GPU."""
    return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()}


def restore_random_state(state: Mapping, *, shared: bool = False) -> None:
    """Continue the random draws where `random_state` was taken; GPUs as far as there are any.

    Args:
        state: of the first process, if there were several.
        shared: whether there are several now: each draws on its own GPU what the first one does.

    Raises:
        UserError: a GPU does not take its state.
    """
    torch.set_rng_state(state["cpu"])
    devices = range(torch.cuda.device_count())
    states = state["cuda"][:1] * len(devices) if shared else state["cuda"]
    for device, generator_state in zip(devices, states, strict=False):
        try:
            torch.cuda.set_rng_state(generator_state, device)
        except RuntimeError as error:
            raise UserError(
                f"the checkpoint's random_state.cuda[{device}]: not a state of this GPU's "
                "generator; start from its weights alone with --init_from"
            ) from error


def _reason(error: Exception) -> str:
    """What the system said of a failed write, if it did, behind what torch makes of it."""
    behind: BaseException | None = error
    while behind is not None and not isinstance(behind, OSError):
        behind = behind.__context__
    if behind is not None and behind.strerror:
        return str(behind.strerror)
    return str(error).strip().split("\n")[0][:200] or type(error).__name__
