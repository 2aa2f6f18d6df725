"""Files that would cost who decodes them without a look at them dearly."""

import struct
import zlib
from fractions import Fraction
from pathlib import Path

import clips
import numpy as np
from PIL import Image

from engine.video_writer import VideoWriter

HOURS = 3


def vast_gif(path: Path, *, side: int = 16_000) -> Path:
    """A GIF of some hundred bytes whose header promises 256 megapixels."""
    screen = struct.pack("<6sHHBBB", b"GIF89a", side, side, 0x80, 0, 0)
    colours = bytes([0, 0, 0, 255, 255, 255])
    frame = struct.pack("<BHHHHB", 0x2C, 0, 0, side, side, 0)
    path.write_bytes(screen + colours + frame + bytes([2, 2, 0x4C, 0x01, 0, 0x3B]))
    return path


def many_frames_gif(path: Path, *, frames: int) -> Path:
    """A GIF of one pixel a frame, each some bytes long."""
    screen = struct.pack("<6sHHBBB", b"GIF89a", 1, 1, 0x80, 0, 0)
    colours = bytes([0, 0, 0, 255, 255, 255])
    control = bytes([0x21, 0xF9, 4, 0, 1, 0, 0, 0])
    frame = struct.pack("<BHHHHB", 0x2C, 0, 0, 1, 1, 0) + bytes([2, 2, 0x44, 0x01, 0])
    path.write_bytes(screen + colours + frames * (control + frame) + bytes([0x3B]))
    return path


def long_video(path: Path) -> Path:
    """A video of four frames, the last of which begins after three hours."""
    times = [Fraction(0), Fraction(1), Fraction(2), Fraction(3600 * HOURS)]
    ends = Fraction(3600 * HOURS + 1)
    with VideoWriter(path, fps=Fraction(1), times=[*times, ends]) as writer:
        for frame in clips.numbered(4):
            writer.write(frame)
    return path


def text_as_video(path: Path) -> Path:
    path.write_text("Dear reader, this is no video. " * 50)
    return path


def scripts(folder: Path, secret: Path) -> dict[str, Path]:
    """Files that hold no video but name another to be read, by kind."""
    texts = {
        "driving.mp4": f"ffconcat version 1.0\nfile '{secret.name}'\n",
        "absolute.mp4": f"ffconcat version 1.0\nfile '{secret}'\n",
        "list.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{secret}\n",
        "relative.mov": f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{secret.name}\n"
        "#EXT-X-ENDLIST\n",
        "url.mp4": f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile://{secret}\n",
        "marked.m3u8": f"\ufeff#EXTM3U\n{secret.name}\n",
        "list.pls": f"[playlist]\nFile1={secret}\nNumberOfEntries=1\n",
        "list.xspf": f'<?xml version="1.0"?>\n<playlist><location>{secret}</location></playlist>',
        "manifest.mpd": f'<?xml version="1.0"?>\n<MPD><BaseURL>{secret}</BaseURL></MPD>',
        "stream.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nt=0 0\n"
        "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return {name: folder / name for name in texts}


def vast_png(path: Path, *, side: int = 20_000) -> Path:
    """A picture of 400 megapixels in some dozen kilobytes."""
    row = b"\0" + bytes((side + 7) // 8)
    packer = zlib.compressobj(9)
    data = b"".join([packer.compress(row * 100) for _ in range(side // 100)]) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")]
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in chunks
        )
    )
    return path


def growing_video(path: Path, *, side: int) -> Path:
    """A video whose frames are small at first, and then large."""
    small = clips.encode(path.with_suffix(".a.ts"), clips.numbered(3, size=(64, 64)))
    large = clips.encode(
        path.with_suffix(".b.ts"), [np.zeros((side, side, 3), np.uint8) for _ in range(3)]
    )
    path.write_bytes(small.read_bytes() + large.read_bytes())
    return path


def picture(path: Path, *, size: tuple[int, int] = (90, 120)) -> Path:
    """Nothing hostile: noise, (H, W)."""
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    return path
