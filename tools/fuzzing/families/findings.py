"""Files of keypoints and features that evaluate.py takes from other programs."""

from __future__ import annotations

import io
import zipfile
from random import Random

import numpy as np

from tools.fuzzing import place as runs
from tools.fuzzing.damage import damage, damage_file, replace_by_something_else
from tools.fuzzing.place import Place
from tools.fuzzing.run import Run


def findings(rng: Random, place: Place) -> Run:
    return rng.choice([_findings_csv, _findings_npz])(rng, place)


def _findings_csv(rng: Random, place: Place) -> Run:
    kind, side = rng.choice(["keypoints", "features"]), rng.choice(["results", "truths"])
    path = place.path(f"{kind}-{side}.csv")
    lines = path.read_text().splitlines()
    what = rng.choice(
        ["bytes", "cell", "cell", "cell", "row", "header", "special", "encoding", "whole"]
    )
    if what == "bytes":
        what = damage_file(rng, path)
    elif what == "special":
        what = replace_by_something_else(rng, path, pipe=False)
    elif what == "encoding":
        path.write_text(
            "\n".join(lines).replace("e,", "é,"), encoding=rng.choice(["utf-16", "latin-1"])
        )
    elif what == "whole":
        text = rng.choice(
            ["", "\n", "video,frame", lines[0], lines[0] + "\n", '"', "\0", "x" * 200_000, ",,,,"]
        )
        path.write_text(text)
        what = f"{text[:30]!r}"
    else:
        if what == "cell":
            at = rng.randrange(1, len(lines))
            cells = lines[at].split(",")
            column = rng.randrange(len(cells))
            cells[column] = rng.choice(
                [
                    "",
                    " ",
                    "-1",
                    "1.5",
                    "nan",
                    "inf",
                    "1e999",
                    "x",
                    "9" * 15,
                    "9" * 5000,
                    "٣",
                    "²",
                    "nobody",
                    '"',
                    "a\x00",
                    "1e5",
                    "100000000",
                    "0x1",
                    "1_0",
                    "é",
                ]
            )
            what = f"line {at}: {','.join(cells)[:60]}"
            lines[at] = ",".join(cells)
        elif what == "row":
            at = rng.randrange(1, len(lines))
            lines[at] = rng.choice(["", lines[1], lines[at] + ",1", "e", ",,,,,", "e,0", lines[0]])
        else:
            lines[0] = rng.choice(
                [
                    "",
                    lines[0].upper(),
                    lines[0].replace(",", ";"),
                    lines[0] + ",x",
                    "video,video,frame,x,y",
                    lines[0].replace("frame", "frames"),
                    " " + lines[0],
                    lines[0] + ",frame",
                    "a,b",
                ]
            )
        path.write_text("\n".join(lines) + rng.choice(["", "\n"]))
    return _with_findings(rng, kind, side, "csv", f"{path.name}: {what}")


def _with_findings(rng: Random, kind: str, side: str, suffix: str, fault: str) -> Run:
    other = rng.choice(["csv", "npz"])
    names = [f"{kind}-{it}.{suffix if it == side else other}" for it in ("results", "truths")]
    run = runs.evaluate(**{f"{kind[:-1]}_files": names}, partial=rng.random() < 0.2)
    run.fault = fault
    return run


def _npy(array: np.ndarray, *, header: bytes | None = None) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    data = file.getvalue()
    if header is None:
        return data
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64)


def _findings_npz(rng: Random, place: Place) -> Run:
    kind, side = rng.choice(["keypoints", "features"]), rng.choice(["results", "truths"])
    path = place.path(f"{kind}-{side}.npz")
    what = rng.choice(["bytes", "array", "array", "array", "names", "special", "inner", "other"])
    arrays = dict(np.load(path))
    if what == "bytes":
        what = damage_file(rng, path)
    elif what == "special":
        what = replace_by_something_else(rng, path, pipe=False)
    elif what == "other":
        name = rng.choice([runs.RUN, "source.png", f"{kind}-{side}.csv", "config.yaml"])
        path.write_bytes(place.path(name).read_bytes())
        what = f"is {name}"
    elif what == "names":
        arrays[rng.choice(["", "nobody", "../e", "e/f", "é漢", "x" * 200, "e.mp4"])] = arrays.pop(
            "e"
        )
        np.savez(path, **arrays)
    elif what == "inner":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("e.npy", damage(rng, _npy(arrays["e"]))[0])
            archive.writestr(rng.choice(["f.npy", "e.npy", "f.txt"]), _npy(arrays["f"]))
    else:
        like = arrays["e"]
        choices: dict[str, bytes] = {
            "objects": _npy(np.array([None, {}], dtype=object)),
            "text": _npy(np.array(["a", "b"])),
            "structured": _npy(np.zeros(3, dtype=[("x", float), ("y", float)])),
            "complex": _npy(like.astype(complex)),
            "bool": _npy(like > 0),
            "integers": _npy(like.astype(np.int64)),
            "half": _npy(like.astype(np.float16)),
            "dates": _npy(np.zeros(3, dtype="datetime64[s]")),
            "infinite": _npy(like * np.inf),
            "unknown": _npy(like * np.nan),
            "huge numbers": _npy(like * 1e300),
            "short": _npy(like[:2]),
            "long": _npy(np.concatenate([like, like])),
            "no frames": _npy(like[:0]),
            "flat": _npy(like.reshape(-1)),
            "scalar": _npy(np.float64(3)),
            "other width": _npy(like[:, :1]),
            "deep": _npy(like[None]),
            "three": _npy(np.zeros((6, 3, 3))),
            "vast": _npy(like, header=_header((10**9, 10**4, 2))),
            "vaster": _npy(like, header=_header((10**18, 10**18, 2))),
            "negative": _npy(like, header=_header((-1, 3, 2))),
            "no header": _npy(like, header=b"{'descr': os.system('x')}\n"),
        }
        what = rng.choice(list(choices))
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("e.npy", choices[what])
            archive.writestr("f.npy", _npy(arrays["f"]))
    return _with_findings(rng, kind, side, "npz", f"{path.name}: {what}")


def _header(shape: tuple[int, ...]) -> bytes:
    return f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
