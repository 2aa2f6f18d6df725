"""Lists of pairs: damaged CSV files, and rows that make no sense."""

from __future__ import annotations

from random import Random

from tools.fuzzing import place as runs
from tools.fuzzing.damage import damage_file, replace_by_something_else
from tools.fuzzing.place import Place
from tools.fuzzing.run import Run

# fmt: off
_CELLS = (
    "", " ", "e", "f", "e.mp4", "nobody", "0", "1", "5", "6", "-1", "1.5", "1e3", "٣", "²", "nan",
    "9" * 30, "9" * 5000, "x" * 5000, '"', '"open', "a\0b", "../e", "/etc/hostname", "é漢", "😀",
)
_FILES = (
    "", " ", "\n", ",", "\n\n\n", "source,driving", "source,driving,frame\n",
    "driving,source\ne,f", "source;driving\ne;f", "source\tdriving\ne\tf",
    "source,driving,source\ne,f,e", "a,b\n1,2", "\ufeffsource,driving\ne,f\n",
    "source,driving\r\ne,f\r\n", "source,driving\re,f\r", "\0", "source,driving\ne\n",
    "source,driving\ne,f,0,1,2\n", "source,driving\n" + "e,f\n" * 5000, 'source,driving\n"e,f\n',
    "source,driving\n" + "x" * 200_000, "distance,source,driving,frame\n0,e,f,0",
    " source , driving \ne,f\n", "SOURCE,DRIVING\ne,f\n", "source,driving,frame\ne,f,\n",
    "[" * 100_000,
)
# fmt: on


def pairs(rng: Random, place: Place) -> Run:
    path = place.path("pairs.csv")
    kind = rng.choice(
        ["cells", "cells", "cells", "bytes", "whole", "whole", "special", "encoding", "other"]
    )
    if kind == "cells":
        rows = ["source,driving,frame"]
        rows += [",".join(rng.choice(_CELLS) for _ in range(3)) for _ in range(rng.choice([1, 3]))]
        if rng.random() < 0.7:
            rows.insert(1, f"e,f,{rng.choice(_CELLS)}")
        path.write_text("\n".join(rows))
        fault = "; ".join(row[:30] for row in rows[1:])
    elif kind == "bytes":
        fault = damage_file(rng, path)
    elif kind == "whole":
        text = rng.choice(_FILES)
        path.write_bytes(text.encode())
        fault = repr(text[:40])
    elif kind == "encoding":
        encoding = rng.choice(["utf-16", "utf-32", "utf-8-sig", "latin-1"])
        path.write_bytes("source,driving\ne,f\né,f\n".encode(encoding))
        fault = encoding
    elif kind == "special":
        fault = replace_by_something_else(rng, path, pipe=False)
    else:
        name = rng.choice(["source.png", "driving.mp4", "config.yaml", "run/best.pth.tar"])
        path.write_bytes(place.path(name).read_bytes())
        fault = name
    overrides = ["dataset_params.pairs_list=pairs.csv"]
    if rng.random() < 0.2:
        overrides.append(rng.choice(["animate_params.num_pairs=1", "animate_params.format=.gif"]))
    run = runs.pairs(set=overrides, json="results/pairs.json" if rng.random() < 0.3 else None)
    run.fault = f"pairs.csv: {fault}"
    return run
