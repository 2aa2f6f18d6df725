"""Driving videos: damaged, of odd kinds, with sound and subtitles, or something else altogether."""

from __future__ import annotations

from pathlib import Path
from random import Random

from tools.fuzzing import place as runs
from tools.fuzzing.damage import damage, damage_file, replace_by_something_else
from tools.fuzzing.place import Place
from tools.fuzzing.run import Run

# fmt: off
_ENDINGS = (
    ".mp4", ".gif", ".png", ".webm", ".mkv", ".mov", ".avi", ".ts", ".txt", "", ".jpg", ".m3u8",
)
# fmt: on
_RESULTS = ("mp4", "mp4", "mp4", "gif", "mkv", "mov", "webm")


def videos(rng: Random, place: Place) -> Run:
    fault, name = spoil_video(rng, place)
    other: dict[str, object] = {"driving_video": name}
    suffix = rng.choice(_RESULTS)
    if suffix != "mp4":
        other["result_video"] = f"results/other.{suffix}"
    for flag, share in {
        "side_by_side": 0.1,
        "smooth": 0.1,
        "no_audio": 0.1,
        "paste_back": 0.05,
    }.items():
        if rng.random() < share:
            other[flag] = True
    if rng.random() < 0.2:
        other["best_frame"] = rng.choice(["auto", "0", "1", "5", "6", "-1", "99999999999999999999"])
    if rng.random() < 0.1:
        other["json"] = "results/report.json"
    run = runs.animate(**other)
    run.fault = f"{fault}, to {suffix}"
    return run


def spoil_video(rng: Random, place: Place) -> tuple[str, str]:
    """Put a video with something wrong, or odd, into the place; returns what, and its name."""
    kind = rng.choice(
        ["damaged"] * 6 + ["whole"] * 2 + ["ending", "joined", "script", "special", "boxes"]
    )
    name = rng.choice(place.videos())
    path = place.take(name, name)
    if kind == "damaged":
        return damage_file(rng, path), name
    if kind == "boxes":
        return _swap_names(rng, path), name
    if kind == "ending":
        path = path.rename(path.with_suffix(rng.choice(_ENDINGS)))
        return f"{name} named {path.name}", path.name
    if kind == "joined":
        other = rng.choice(place.videos())
        second, what = (place.corpus / other).read_bytes(), "whole"
        if rng.random() < 0.5:
            second, what = damage(rng, second)
        path.write_bytes(path.read_bytes() + second)
        return f"{name} and {other} ({what}) in one", name
    if kind == "special":
        return replace_by_something_else(rng, path), name
    if kind == "script":
        return _script(rng, place)
    return f"{name} as it is", name


def _swap_names(rng: Random, path: Path) -> str:
    """Change the name of one of an mp4's boxes, or four bytes of another container."""
    data = path.read_bytes()
    names = [
        b"moov",
        b"trak",
        b"mdia",
        b"stbl",
        b"stts",
        b"stsc",
        b"stsz",
        b"stco",
        b"ctts",
        b"stss",
    ]
    names += [
        b"mdhd",
        b"mvhd",
        b"elst",
        b"avcC",
        b"avc1",
        b"mp4a",
        b"esds",
        b"hdlr",
        b"tx3g",
        b"ftyp",
    ]
    there = [name for name in names if name in data]
    if not there:
        at = rng.randrange(max(1, len(data) - 4))
        path.write_bytes(data[:at] + rng.randbytes(4) + data[at + 4 :])
        return f"{path.name}: 4 bytes changed"
    name = rng.choice(there)
    if rng.random() < 0.4:
        path.write_bytes(data.replace(name, b"free"))
        return f"{path.name}: no {name.decode()}"
    at = data.find(name) + 4 + rng.randrange(24)
    path.write_bytes(
        data[:at] + rng.choice([b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff"]) + data[at + 4 :]
    )
    return f"{path.name}: numbers in {name.decode()} changed"


def _script(rng: Random, place: Place) -> tuple[str, str]:
    """A text that asks a decoder to read other files."""
    target = rng.choice(
        [str(place.path("driving.mp4")), "driving.mp4", "/etc/hostname", "http://127.0.0.1:9/x"]
    )
    content = rng.choice(
        [
            f"ffconcat version 1.0\nfile '{target}'\n",
            f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n",
            "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n",
            f"<MPD><Period><BaseURL>{target}</BaseURL></Period></MPD>",
            f"<svg xmlns='http://www.w3.org/2000/svg'><image href='{target}'/></svg>",
            "WEBVTT\n\n00:00.000 --> 00:01.000\nHello\n",
            "1\n00:00:00,000 --> 00:00:01,000\nHello\n",
        ]
    )
    path = place.path(f"script{rng.choice(['.mp4', '.m3u8', '.gif', '.txt', '.mkv', '.svg'])}")
    path.write_text(content)
    return f"{path.name}: {content[:30]!r}", path.name
