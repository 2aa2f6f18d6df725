"""Single pictures: reading, resizing, and the way between uint8 frames and float tensors."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageCms, ImageOps
from torch import Tensor

from engine.errors import UserError

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm"})

# What Pillow raises for damaged files, by format; its "unidentified image" is an OSError.
IMAGE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
)


def read_image(path: Path) -> np.ndarray:
    """Read one still as uint8 RGB (H, W, 3), upright, alpha composited over white.

    Raises UserError if the file is missing, damaged, or of an unknown kind.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such image; check the path")
    try:
        with Image.open(path) as image:
            return to_rgb(ImageOps.exif_transpose(image))
    except IMAGE_ERRORS as error:
        raise UserError(
            f"{path}: not a readable image ({one_line(error)}); save it as PNG or JPEG"
        ) from error


def to_rgb(image: Image.Image) -> np.ndarray:
    """Turn a Pillow image of any mode into uint8 RGB (H, W, 3), alpha composited over white.

    Colours that an embedded profile gives a meaning, such as a printer's CMYK, become sRGB.
    """
    image = in_srgb(image)
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers of unknown range")
    if image.mode.startswith("I"):  # 16-bit grey: Pillow's own conversion clips it at 255.
        levels = np.asarray(image).clip(0, 65535) / 257
        image = Image.fromarray(levels.round().astype(np.uint8))
    if "transparency" in image.info or image.mode in ("RGBA", "RGBa", "LA", "La", "PA"):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.array(image.convert("RGB"))


def in_srgb(image: Image.Image) -> Image.Image:
    """Apply the colour profile of an image, if it has one other than sRGB that fits its mode."""
    profile, mode = image.info.get("icc_profile"), {"CMYK": "RGB"}.get(image.mode, image.mode)
    if not profile or mode not in ("RGB", "RGBA"):
        return image
    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(given):
            return image  # Converted nevertheless, levels would come out one off.
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, given, srgb, outputMode=mode) or image
    except (ImageCms.PyCMSError, OSError):
        return image


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
