"""Single pictures: reading, resizing, and the way between uint8 frames and float tensors."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from torch import Tensor

from engine.errors import UserError
from engine.file_kind import file_kind
from engine.heif import HEIF_SUFFIXES, missing_reader, register_heif

IMAGE_SUFFIXES = HEIF_SUFFIXES | {
    *(".png", ".apng", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".avif"),
}

# Of one picture or frame, about those of the largest camera sensors: 0.4 GB once it is decoded.
MAX_PIXELS = 120_000_000

_BAND_PIXELS = 2**21  # converted at a time: intermediate results of a whole picture would be large
_ANIMATED_FORMATS = frozenset({"WEBP", "PNG", "AVIF", "GIF"})  # Pillow's names
_ORIENTATION = 0x0112  # EXIF's tag
_SCREEN_GAMMA = 1 / 2.2
_LONGEST_REASON = 200  # characters

# Our own limit comes before Pillow's, and has a sentence. What else it warns of is of no use to
# those who only want to see the picture.
Image.MAX_IMAGE_PIXELS = None
warnings.filterwarnings("ignore", module=r"PIL\.")


def read_image(path: Path) -> np.ndarray:
    """Read one still as uint8 RGB (H, W, 3), upright, alpha composited over white.

    Of an animated picture, this is the first frame. Raises UserError if the file is missing,
    damaged, too large, or of an unknown kind.
    """
    with open_picture(path) as image:
        ImageOps.exif_transpose(image, in_place=True)  # a copy would double the memory
        return to_rgb(image)


@contextmanager
def open_picture(path: Path) -> Iterator[Image.Image]:
    """Open a picture, none of it decoded, having seen from its header that it is not too large.

    What goes wrong while it is open, by whatever exception of Pillow's, is a UserError, too.

    Raises:
        UserError: the file is missing, damaged, too large, or of an unknown kind.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such image; check the path")
    register_heif()
    try:
        with Image.open(path) as image:
            check_pixels(path, image.width, image.height)
            yield image
    except (UserError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise UserError(f"{path}: not a readable image, {_unidentified(path)}") from error
    except OSError as error:
        if error.errno is None:
            raise UserError(_damaged(path, error)) from error
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); check its permissions and the disk"
        ) from error
    except Exception as error:  # Decoders of damaged data may raise anything.
        raise UserError(_damaged(path, error)) from error


def check_pixels(path: Path, width: int, height: int) -> None:
    """Raise UserError if a picture, or a frame, has more than MAX_PIXELS."""
    if width * height > MAX_PIXELS:
        raise UserError(
            f"{path}: {width:,} x {height:,} pixels, more than {MAX_PIXELS // 10**6} million; "
            "save it smaller"
        )


def _unidentified(path: Path) -> str:
    missing = missing_reader(path)
    if missing is not None:
        return missing
    if not path.stat().st_size:
        return "it is empty; copy or download it again"
    if file_kind(path) == "video":
        return "but a video; choose a picture, or save one of its frames as PNG"
    return "its kind is unknown, or its beginning damaged; save it as PNG or JPEG"


def _damaged(path: Path, error: Exception) -> str:
    reason = one_line(error)[:_LONGEST_REASON]
    return (
        f"{path}: not a readable image ({reason}); copy or download it again, or save it as PNG "
        "with another program"
    )


def is_animated(image: Image.Image) -> bool:
    """Tell whether a picture has frames that follow each other in time; pages of TIFF do not."""
    return image.format in _ANIMATED_FORMATS and getattr(image, "n_frames", 1) > 1


def upright(image: Image.Image) -> Image.Image:
    """Turn a picture as its EXIF orientation says."""
    return ImageOps.exif_transpose(image)


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height of a picture once it is upright, from its header."""
    turned = image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
    return (image.height, image.width) if turned else image.size


def to_rgb(image: Image.Image) -> np.ndarray:
    """Turn a Pillow image of any mode into uint8 RGB (H, W, 3), alpha composited over white.

    Colours that an embedded profile or PNG's gamma gives a meaning become sRGB.
    """
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers of unknown range")
    image.load()
    correct = _colour_correction(image)
    result = np.empty((image.height, image.width, 3), np.uint8)
    rows = max(1, _BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        band = correct(_in_bytes(image.crop((0, top, image.width, bottom))))
        if band.mode == "RGBA":
            band = Image.alpha_composite(Image.new("RGBA", band.size, "white"), band)
        result[top:bottom] = np.asarray(band.convert("RGB"))
    return result


def _in_bytes(image: Image.Image) -> Image.Image:
    """The image as 8-bit RGB, RGBA, CMYK, or another mode that has neither alpha nor a palette."""
    if image.mode.startswith("I"):  # 16-bit grey: Pillow's own conversion clips it at 255.
        levels = np.asarray(image).clip(0, 65535) / 257
        return Image.fromarray(levels.round().astype(np.uint8))
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image.convert("RGB") if image.mode == "P" else image


def _colour_correction(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """What turns the image's colours, as _in_bytes gives them, into sRGB's."""
    mode = _in_bytes(image.crop((0, 0, 1, 1))).mode
    profile, gamma = image.info.get("icc_profile"), image.info.get("gamma")
    if profile:
        return _profile_correction(profile, mode)
    # PNG's gamma; what differs by less than a twentieth is meant to be that of screens.
    if not gamma or "srgb" in image.info or abs(gamma / _SCREEN_GAMMA - 1) < 0.05:
        return lambda band: band
    light = np.linspace(0, 1, 256) ** (1 / gamma)
    levels = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    table = (255 * levels).round().astype(int).tolist()
    tables = {"L": table, "RGB": 3 * table, "RGBA": [*(3 * table), *range(256)]}.get(mode)
    return lambda band: band if tables is None else band.point(tables)


def _profile_correction(profile: bytes, mode: str) -> Callable[[Image.Image], Image.Image]:
    """Apply a colour profile, if it is one other than sRGB that fits the mode."""
    shown = {"RGB": "RGB", "RGBA": "RGBA", "CMYK": "RGB"}.get(mode)
    if shown is None:
        return lambda band: band
    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(given):
            return lambda band: band  # Converted nevertheless, levels would come out one off.
        srgb = ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(given, srgb, mode, shown)
    except (ImageCms.PyCMSError, OSError):
        return lambda band: band
    return lambda band: ImageCms.applyTransform(band, transform) or band


def resize_frame(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a uint8 (H, W, 3) frame to (h, w) = `size` by anti-aliased bilinear filtering.

    A frame of that size already is returned as it is.
    """
    if frame.shape[:2] == size:
        return frame
    image = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None]  # (1, 3, H, W)
    # On bytes in this layout torch takes a quarter of the time that Pillow does.
    resized = F.interpolate(image, size=size, mode="bilinear", antialias=True)  # (1, 3, h, w)
    return resized[0].permute(1, 2, 0).contiguous().numpy()  # (h, w, 3)


def to_tensor(frame: np.ndarray) -> Tensor:
    """Turn a uint8 (H, W, 3) frame into a contiguous float32 (3, H, W) tensor in [0, 1]."""
    levels = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)  # (3, H, W)
    return levels.contiguous().float().div_(255)


def to_frame(image: Tensor) -> np.ndarray:
    """Turn a float (3, H, W) image in [0, 1] into a uint8 (H, W, 3) frame, clamped and rounded."""
    levels = image.detach().float().clamp(0, 1).mul(255).round().to(torch.uint8)  # (3, H, W)
    return levels.permute(1, 2, 0).contiguous().cpu().numpy()  # (H, W, 3)


def one_line(error: BaseException) -> str:
    """Say what an exception says, on one line."""
    return " ".join(str(error).split()) or type(error).__name__
