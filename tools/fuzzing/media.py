"""Small pictures and videos of many kinds, to be damaged."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from PIL import Image

SIZE = 32  # pixels a side
FRAMES = 6
_SUBTITLES = "1\n00:00:00,000 --> 00:00:00,100\nHello\n\n2\n00:00:00,100 --> 00:00:00,200\nWorld\n"
_TONE = ("-f", "lavfi", "-i", "sine=frequency=440:duration=0.3")


def moving_square(
    count: int = FRAMES, *, size: tuple[int, int] = (SIZE, SIZE), seed: int = 0
) -> list[np.ndarray]:
    """Frames of a coloured square that moves over grey, uint8 (H, W, 3)."""
    rng = np.random.default_rng(seed)
    height, width = size
    side = max(1, min(size) // 3)
    start, end = rng.uniform(0, 1, (2, 2)) * (height - side, width - side)
    colour, frames = rng.integers(0, 256, 3), []
    for share in np.linspace(0, 1, count):
        frame = np.full((height, width, 3), 40 + 20 * (seed % 10), np.uint8)
        y, x = (start + share * (end - start)).astype(int)
        frame[y : y + side, x : x + side] = colour
        frames.append(frame)
    return frames


def write_frames(folder: Path, frames: Sequence[np.ndarray]) -> Path:
    """Write a folder of PNG files."""
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{number:03d}.png")
    return folder


def write_stack(path: Path, frames: Sequence[np.ndarray]) -> Path:
    """Write an image of frames side by side."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(frames, axis=1)).save(path)
    return path


def encode(
    path: Path, frames: Sequence[np.ndarray], *options: str, inputs: Sequence[str] = ()
) -> Path:
    """Encode frames with ffmpeg, beside more inputs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = frames[0].shape[:2]
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", "25"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", *source]
    command += ["-i", "pipe:0", *inputs, *options, str(path)]
    subprocess.run(command, input=b"".join(frame.tobytes() for frame in frames), check=True)
    return path


def write_corpus(folder: Path) -> None:
    """Write a video of every kind: containers, codecs, sounds, subtitles, pixel formats, rates."""
    folder.mkdir(parents=True)
    frames = moving_square()
    srt = folder / "words.srt"
    srt.write_text(_SUBTITLES)
    quick = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
    words = ("-i", str(srt))
    for name, options, inputs in (
        ("plain.mp4", quick, ()),
        ("aac.mp4", (*quick, "-c:a", "aac"), _TONE),
        ("pcm.mov", (*quick, "-c:a", "pcm_s16le"), _TONE),
        ("mp3.mp4", (*quick, "-c:a", "libmp3lame"), _TONE),
        ("flac.mkv", (*quick, "-c:a", "flac"), _TONE),
        ("vorbis.mkv", (*quick, "-c:a", "libvorbis"), _TONE),
        ("subtitles.mkv", (*quick, "-c:s", "srt"), words),
        ("subtitles.mp4", (*quick, "-c:s", "mov_text"), words),
        (
            "all.mkv",
            (*quick, "-c:a", "aac", "-c:s", "ass", "-map", "0", "-map", "1", "-map", "2"),
            (*_TONE, *words),
        ),
        ("opus.webm", ("-c:v", "libvpx-vp9", "-cpu-used", "8", "-c:a", "libopus"), _TONE),
        ("alpha.webm", ("-c:v", "libvpx-vp9", "-cpu-used", "8", "-pix_fmt", "yuva420p"), ()),
        ("vp8.webm", ("-c:v", "libvpx"), ()),
        ("mpeg4.avi", ("-c:v", "mpeg4", "-c:a", "libmp3lame"), _TONE),
        ("mjpeg.avi", ("-c:v", "mjpeg"), ()),
        ("raw.avi", ("-c:v", "rawvideo", "-pix_fmt", "bgr24"), ()),
        ("ac3.ts", (*quick, "-c:a", "ac3"), _TONE),
        ("mpeg2.mpg", ("-c:v", "mpeg2video", "-c:a", "mp2"), _TONE),
        ("flv.flv", ("-c:v", "flv", "-c:a", "aac"), _TONE),
        ("wmv.wmv", ("-c:v", "wmv2", "-c:a", "wmav2"), _TONE),
        ("theora.ogv", ("-c:v", "libtheora", "-c:a", "libvorbis"), _TONE),
        ("h263.3gp", ("-c:v", "mpeg4", "-c:a", "aac"), _TONE),
        ("prores.mov", ("-c:v", "prores_ks"), ()),
        ("y444.mp4", ("-c:v", "libx264", "-pix_fmt", "yuv444p"), ()),
        ("grey.mp4", ("-c:v", "libx264", "-pix_fmt", "gray"), ()),
        ("lossless.mkv", ("-c:v", "ffv1"), ()),
        ("fragments.mp4", (*quick, "-movflags", "frag_keyframe+empty_moov"), ()),
        ("interlaced.ts", ("-c:v", "mpeg2video", "-flags", "+ilme+ildct"), ()),
        ("uneven.mp4", (*quick, "-vf", "setpts='N*N/25/TB'", "-fps_mode", "vfr"), ()),
        ("offset.mkv", (*quick, "-output_ts_offset", "5"), ()),
        ("turned.mp4", (*quick, "-metadata:s:v", "rotate=90"), ()),
        ("plain.gif", (), ()),
        ("moving.png", ("-f", "apng", "-plays", "0"), ()),
        ("moving.webp", ("-c:v", "libwebp_anim", "-loop", "0"), ()),
    ):
        encode(folder / name, frames, *options, inputs=inputs)
    srt.unlink()
    encode(folder / "two.mp4", moving_square(2), *quick)
    encode(folder / "one.mp4", moving_square(1), *quick)
    encode(folder / "one.gif", moving_square(1))
    encode(folder / "wide.mp4", moving_square(size=(32, 130)), *quick)
    encode(folder / "odd.gif", moving_square(size=(31, 17)))
    encode(folder / "tiny.gif", moving_square(size=(1, 1)))
    tone = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", *_TONE]
    for name in ("sound.mp4", "sound.mkv", "sound.wav"):
        subprocess.run([*tone, str(folder / name)], check=True)
    images = [Image.fromarray(frame).quantize(16) for frame in frames]
    images[0].save(folder / "frames.tiff", save_all=True, append_images=images[1:])
    images[0].save(
        folder / "transparent.gif",
        save_all=True,
        append_images=images[1:],
        transparency=0,
        disposal=2,
    )
