"""Pictures: of all formats and modes, damaged, too small, too large."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image, PngImagePlugin

from tools.fuzzing import place as runs
from tools.fuzzing.damage import damage_file, replace_by_something_else
from tools.fuzzing.place import Place
from tools.fuzzing.run import Run

_FORMATS = {
    "png": "PNG", "jpg": "JPEG", "bmp": "BMP", "tif": "TIFF", "webp": "WEBP", "ppm": "PPM",
    "gif": "GIF", "ico": "ICO", "dds": "DDS", "tga": "TGA", "pcx": "PCX", "jp2": "JPEG2000",
    "avif": "AVIF", "sgi": "SGI", "im": "IM", "mpo": "MPO", "pdf": "PDF", "eps": "EPS",
    "icns": "ICNS", "qoi": "QOI", "blp": "BLP", "msp": "MSP", "xbm": "XBM", "spider": "SPIDER",
}  # fmt: skip
_USUAL = ("png", "png", "jpg", "jpg", "bmp", "tif", "webp", "ppm")
# fmt: off
_MODES = (
    "RGB", "RGB", "L", "1", "LA", "P", "PA", "RGBA", "CMYK", "I;16", "I", "F", "YCbCr", "HSV",
    "LAB",
)
_SIZES = (
    (32, 32), (40, 60), (1, 1), (1, 300), (300, 1), (2, 3), (33, 31), (640, 480), (3000, 8),
)
# fmt: on


def pictures(rng: Random, place: Place) -> Run:
    fault, name = spoil_picture(rng, place)
    other: dict[str, object] = {}
    if rng.random() < 0.25:
        numbers = [rng.choice([0, 0, 1, 8, 16, 31, 32, 33, 1000, -1]) for _ in range(4)]
        other["crop"] = ["source", ",".join(map(str, numbers))]
        fault += f", cropped to {numbers}"
    if rng.random() < 0.2:
        other["paste_back"] = True
    if rng.random() < 0.2:
        run = runs.animate(driving_video=name, **other)
    elif rng.random() < 0.1:
        place.path("frames2").mkdir()
        place.path(name).rename(place.path("frames2") / name)
        run = runs.animate(driving_video="frames2")
    else:
        run = runs.animate(source_image=name, **other)
    run.fault = fault
    return run


def spoil_picture(rng: Random, place: Place) -> tuple[str, str]:
    """Write a picture with something odd; returns what, and its name."""
    kind = rng.choice(
        ["damaged"] * 5
        + ["format", "mode", "mode", "size", "bomb", "ending", "metadata", "special"]
    )
    if kind == "special":
        return replace_by_something_else(rng, place.path("source.png")), "source.png"
    if kind == "bomb":
        return _bomb(rng, place)
    if kind == "metadata":
        return _metadata(rng, place)
    suffix = rng.choice(_USUAL) if kind != "format" else rng.choice(list(_FORMATS))
    mode = rng.choice(_MODES) if kind in ("mode", "damaged") else "RGB"
    size = rng.choice(_SIZES) if kind == "size" else rng.choice(_SIZES[:2])
    path = place.path(f"picture.{suffix}")
    what = write_picture(path, size=size, mode=mode)
    if kind == "damaged":
        what += f", {damage_file(rng, path)}"
    if kind == "ending":
        path = path.rename(
            path.with_suffix(rng.choice([".png", ".jpg", ".gif", ".mp4", ".txt", "", ".heic"]))
        )
        what += f" named {path.name}"
    return what, path.name


def write_picture(path: Path, *, size: tuple[int, int], mode: str) -> str:
    """Write noise of a (width, height); in RGB where the format has no such mode."""
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    kind = _FORMATS[path.suffix[1:]]
    for tried in (mode, "RGB", "L", "1", "P", "RGBA", "F"):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                _converted(image, tried).save(path, kind)
            return f"{kind} of {size}, {tried}"
        except (OSError, ValueError, KeyError, TypeError):
            continue
    path.write_bytes(b"")
    return f"{kind}, empty"


def _converted(image: Image.Image, mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    if mode == "PA":
        return image.convert("P").convert("PA")
    return image.convert("RGB").convert(mode) if mode != "LAB" else image


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png(
    width: int, height: int, data: bytes, *, depth: int = 1, colour: int = 0, more: bytes = b""
) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = [_chunk(b"IHDR", header), more, _chunk(b"IDAT", data), _chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _bomb(rng: Random, place: Place) -> tuple[str, str]:
    """A small file that promises, or holds, very many pixels."""
    width, height = rng.choice(
        [
            (12000, 12000),
            (13400, 13400),
            (20000, 20000),
            (2**31 - 1, 2**31 - 1),
            (2**31 - 1, 1),
            (0, 5),
            (10**6, 100),
            (1, 10**6),
        ]
    )
    kind = rng.choice(["png", "png", "gif", "bmp", "ppm", "tif"])
    path = place.path(f"bomb.{kind}")
    if kind == "png":
        packer = zlib.compressobj(9)
        row = b"\0" + bytes((width + 7) // 8) if width < 10**7 else b"\0"
        rows = min(height, 10**8 // len(row))
        data = b"".join(packer.compress(row) for _ in range(rows)) + packer.flush()
        path.write_bytes(_png(width, height, data))
    elif kind == "gif":
        width, height = min(width, 65535), min(height, 65535)
        screen = struct.pack("<6sHHBBB", b"GIF89a", width, height, 0x80, 0, 0) + bytes(
            [0, 0, 0, 255, 255, 255]
        )
        frame = struct.pack("<BHHHHB", 0x2C, 0, 0, width, height, 0)
        path.write_bytes(screen + frame + bytes([2, 2, 0x4C, 0x01, 0, 0x3B]))
    elif kind == "bmp":
        head = struct.pack("<2sIHHI", b"BM", 1000, 0, 0, 54)
        path.write_bytes(
            head
            + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
            + bytes(900)
        )
    elif kind == "ppm":
        path.write_bytes(f"P6 {width} {height} 255\n".encode() + bytes(900))
    else:
        Image.new("L", (8, 8)).save(path)
        data = path.read_bytes()
        for tag, value in ((256, width), (257, height)):
            at = data.find(struct.pack("<H", tag))
            data = data[: at + 2] + struct.pack("<HII", 4, 1, value) + data[at + 12 :]
        path.write_bytes(data)
    return f"{kind} that promises {width} x {height}", path.name


def _metadata(rng: Random, place: Place) -> tuple[str, str]:
    """Orientation, profiles, text and other chunks that make no sense."""
    kind = rng.choice(
        ["exif", "noise exif", "icc", "text", "srgb", "transparency", "dpi", "orientation"]
    )
    image = Image.fromarray(np.zeros((40, 48, 3), np.uint8) + 90)
    path = place.path("picture.png")
    if kind == "text":
        info = PngImagePlugin.PngInfo()
        info.add_text("Comment", "x" * rng.choice([10, 10**6, 3 * 10**6]), zip=True)
        image.save(path, pnginfo=info)
    elif kind in ("noise exif", "icc"):
        noise = rng.randbytes(rng.choice([0, 3, 200]))
        path = path.with_suffix(rng.choice([".png", ".jpg", ".webp"]))
        if kind == "icc":
            image.save(path, icc_profile=noise)
        else:
            image.save(path, exif=noise)
    elif kind in ("exif", "orientation"):
        exif = Image.Exif()
        exif[0x0112] = rng.choice([0, 1, 3, 6, 8, 9, 99, "six"]) if kind == "orientation" else 6
        exif[rng.choice([0x8769, 0x010F, 0x927C])] = rng.choice([3, "text", b"\xff" * 9])
        path = path.with_suffix(rng.choice([".jpg", ".png", ".tif"]))
        try:
            image.save(path, exif=exif)
        except Exception:  # Pillow itself does not write all of these.
            image.save(path)
    elif kind == "transparency":
        image.quantize(8).save(path, transparency=rng.choice([0, 3, b"\0\x80"]))
    else:
        data = zlib.compress(b"\0" + bytes(16) * 1 + (b"\0" + bytes(12)) * 3)
        more = rng.choice(
            [
                _chunk(b"gAMA", b"\0\0\0\0"),
                _chunk(b"sRGB", b"\xff"),
                _chunk(b"pHYs", bytes(9)),
                _chunk(b"tRNS", bytes(99)),
                _chunk(b"iCCP", b"x\0\0" + zlib.compress(b"profile")),
                _chunk(b"eXIf", rng.randbytes(30)),
                _chunk(b"zTXt", b"key\0\0noise"),
                _chunk(b"acTL", struct.pack(">II", 2**31, 0)),
                _chunk(b"XXXX", b""),
            ]
        )
        path.write_bytes(_png(4, 4, data, depth=8, colour=2, more=more))
    return f"metadata: {kind}", path.name
