"""Checkpoints: damaged, of other programs, of changed content, or with code in them."""

from __future__ import annotations

import datetime
import enum
import io
import json
import os
import pickle
import tarfile
import zipfile
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tools.fuzzing import place as runs
from tools.fuzzing.changes import TENSORS, change, nodes_of, spoilt_tensor
from tools.fuzzing.damage import damage, damage_file, replace_by_something_else
from tools.fuzzing.judging import TRACE
from tools.fuzzing.place import BARE, RUN, Place
from tools.fuzzing.run import Run


def checkpoints(rng: Random, place: Place) -> Run:
    spoil = rng.choice(
        [_bytes, _record, *3 * [_content], *3 * [_bookkeeping], _keys, _weights, _other, _code]
    )
    name = BARE if spoil in (_bytes, _weights) and rng.random() < 0.2 else RUN
    fault = spoil(rng, place, place.path(name))
    resuming = spoil is _bookkeeping
    run = _reader(rng, name, resuming=resuming)
    run.fault = fault
    return run


def _reader(rng: Random, name: str, *, resuming: bool) -> Run:
    """A command that reads the checkpoint."""
    config = "config.yaml" if name == BARE or rng.random() < 0.3 else None
    readers: list[Callable[[], Run]] = [
        *3 * [lambda: runs.animate(checkpoint=name, config=config)],
        lambda: runs.resume(checkpoint=name, config=config),
        lambda: runs.start_from(init_from=name),
        lambda: runs.reconstruct(checkpoint=name, config=config, lpips="none"),
        lambda: runs.pairs(checkpoint=name, config=config),
        lambda: runs.shrink(checkpoint=name),
        lambda: runs.evaluate(checkpoint=name, config=config, report="results/page.html"),
    ]
    if resuming:
        readers += 8 * [lambda: runs.resume(checkpoint=name, config=config)]
    return rng.choice(readers)()


# ----- the file


def _bytes(rng: Random, place: Place, path: Path) -> str:
    return damage_file(rng, path)


def _record(rng: Random, place: Place, path: Path) -> str:
    """Damage one file in the archive, whose check sum is right again."""
    with zipfile.ZipFile(path) as archive:
        records = {info.filename: archive.read(info) for info in archive.infolist()}
    pickled = next(name for name in records if name.endswith("/data.pkl"))
    name = pickled if rng.random() < 0.7 else rng.choice(list(records))
    kind = rng.choice(["damaged", "damaged", "damaged", "missing", "emptied", "renamed"])
    what = kind
    if kind == "damaged":
        records[name], what = damage(rng, records[name])
    elif kind == "missing":
        del records[name]
    elif kind == "emptied":
        records[name] = b""
    else:
        records[rng.choice(["../outside", "/outside", "x" * 300])] = records.pop(name)
    with zipfile.ZipFile(path, "w", rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as file:
        for inner, data in records.items():
            file.writestr(inner, data)
    return f"{name}: {what}"


def _other(rng: Random, place: Place, path: Path) -> str:
    """Something else under a checkpoint's name."""
    kind = rng.choice(
        [
            "special",
            "list",
            "tensor",
            "scalar",
            "none",
            "legacy",
            "pickle",
            "json",
            "npz",
            "tar",
            "gz",
            "unpacked",
            "script",
            "state_dict",
            "nested",
        ]
    )
    content = place.state()
    if kind == "special":
        return replace_by_something_else(rng, path)
    if kind == "unpacked":
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            archive.extractall(place.folder)
        path.unlink()
        place.path(names[0].split("/")[0]).rename(path)
    elif kind == "legacy":
        torch.save(content, path, _use_new_zipfile_serialization=False)
        if rng.random() < 0.6:
            return "legacy, " + damage_file(rng, path)
    elif kind == "pickle":
        path.write_bytes(pickle.dumps({"generator": {"weight": [1.0, 2.0]}, "epoch": 3}))
    elif kind == "json":
        path.write_text(json.dumps({"generator": {"weight": [1.0]}}))
    elif kind == "npz":
        with path.open("wb") as file:
            np.savez(file, **{k: v.numpy() for k, v in content["generator"].items()})
    elif kind == "tar":
        data = path.read_bytes()
        with tarfile.open(path, "w") as tar:
            info = tarfile.TarInfo("data")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    elif kind == "gz":
        import gzip

        path.write_bytes(gzip.compress(path.read_bytes()))
    elif kind == "script":
        module = torch.nn.Linear(2, 2)
        with torch.no_grad():
            torch.export.save(
                torch.export.export(module, (torch.zeros(1, 2),)), path.with_suffix(".pt2")
            )
        path.with_suffix(".pt2").rename(path)
    else:
        others: dict[str, Any] = {
            "list": [content],
            "tensor": torch.zeros(3),
            "scalar": 3,
            "none": None,
            "state_dict": content["generator"],
            "nested": {rng.choice(["state_dict", "model", "ema"]): content},
        }
        torch.save(others[kind], path)
    return f"{path.name}: {kind}"


# ----- its content


def _save(content: Any, path: Path) -> None:
    torch.save(content, path)


def _content(rng: Random, place: Place, path: Path) -> str:
    """Change anything in it."""
    content = place.state()
    faults = []
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        top = rng.choice(list(content))
        nodes = nodes_of(content[top]) if rng.random() < 0.7 else []
        container, key = rng.choice(nodes) if nodes else (content, top)
        faults.append(f"{top}.{change(rng, container, key)}")
    _save(content, path)
    return "; ".join(faults)


# fmt: off
_KEPT_BOOKS = (
    "epoch", "step", "step_in_epoch", "schedulers", "random_state", "seed", "best_l1", "format",
    "config", "average", "optimizer_generator", "optimizer_kp_detector", "optimizer_discriminator",
)
# fmt: on


def _bookkeeping(rng: Random, place: Place, path: Path) -> str:
    """Change what is no weight: the optimizers' groups, schedules, draws, counts."""
    content = place.state()
    name = rng.choice([it for it in _KEPT_BOOKS if it in content])
    nodes = [(content, name)]
    for container, key in nodes_of(content[name]):
        if not isinstance(container[key], Tensor) or rng.random() < 0.1 or name == "random_state":
            nodes.append((container, key))
    container, key = rng.choice(nodes)
    fault = f"{name}.{change(rng, container, key)}"
    _save(content, path)
    return fault


def _keys(rng: Random, place: Place, path: Path) -> str:
    """Rename what other programs name otherwise."""
    content = place.state()
    prefix = rng.choice(["module.", "_orig_mod.", "module.module.", "module._orig_mod.", "net."])
    kind = rng.choice(["prefix", "prefix", "prefix", "missing network", "other", "extra"])
    networks = ("generator", "kp_detector", "discriminator")
    if kind == "prefix":
        for name in networks:
            content[name] = {f"{prefix}{key}": it for key, it in content[name].items()}
    elif kind == "missing network":
        del content[rng.choice(networks)]
    elif kind == "other":
        content["kp_detector"], content["generator"] = content["generator"], content["kp_detector"]
    else:
        content[rng.choice(networks)]["extra.weight"] = torch.zeros(2)
    if rng.random() < 0.3:
        content.pop("average", None)
    _save(content, path)
    return f"{kind} {prefix if kind == 'prefix' else ''}"


def _weights(rng: Random, place: Place, path: Path) -> str:
    """Change all tensors of a network in one way."""
    content = place.state(path.relative_to(place.folder).as_posix())
    network = rng.choice(["generator", "kp_detector"])
    number = rng.randrange(len(TENSORS))
    spoilt = content.get("average", content) if rng.random() < 0.7 else content
    spoilt = spoilt if network in spoilt else content
    spoilt[network] = {key: spoilt_tensor(rng, number, it) for key, it in spoilt[network].items()}
    _save(content, path)
    first = next(iter(spoilt[network].values()))
    return f"{network}: way {number}, {first.dtype} {tuple(first.shape)}"


# ----- code


class _Calling:
    """Calls a function when it is unpickled."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.called = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.called


class _Colour(enum.Enum):
    RED = 1


def _code(rng: Random, place: Place, path: Path) -> str:
    """Put into it what pickle makes of objects that are no tensors."""
    trace = str(place.path(TRACE))
    objects: dict[str, Any] = {
        "os.system": _Calling(os.system, f"touch {trace}"),
        "eval": _Calling(eval, f"open({trace!r}, 'w')"),
        "open": _Calling(open, trace, "w"),
        "getattr": _Calling(getattr, "a", "upper"),
        "numpy scalar": np.float64(3.5),
        "numpy integer": np.int64(3),
        "numpy array": np.zeros(3),
        "object array": np.array([None, {}], dtype=object),
        "namespace": SimpleNamespace(lr=1),
        "path": PurePosixPath("a/b"),
        "date": datetime.datetime(2020, 1, 1),
        "enum": _Colour.RED,
        "counter": Counter("abc"),
        "ordered": OrderedDict(a=1),
        "default": defaultdict(list),
        "module": torch.nn.Linear(2, 2),
        "dtype": np.dtype("float32"),
    }
    name = rng.choice(list(objects))
    content = place.state()
    target = rng.choice(["epoch", "extra", "best_l1", "top", "config", "generator", "step"])
    if target == "top":
        _save(objects[name], path)
    else:
        content[target] = objects[name]
        _save(content, path)
    return f"{name} as {target}"
