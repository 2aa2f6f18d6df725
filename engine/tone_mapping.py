"""Video of high dynamic range, HLG or PQ, as the standard range of ordinary screens shows it.

Light is counted in units of the white that standard range has, 203 cd/m2 in HDR video (ITU-R
BT.2408). What is brighter, up to 1,000 cd/m2, is compressed; what is brighter still is white.
"""

from __future__ import annotations

from functools import cache

import numpy as np

# What FFmpeg calls the transfer functions of PQ and HLG (ITU-T H.273).
PQ, HLG = 16, 18

_PEAK = 1000 / 203  # in units of white
_ROWS = 32  # tone-mapped at a time, so that intermediate results stay in the processor's cache
_LEVELS = 2**16  # of tables
_TOP = np.float32(_LEVELS - 1)
_DARKEST = np.float32(1e-6)

# BT.2020's primaries in terms of BT.709's (ITU-R BT.2087), for linear light.
_TO_BT709 = np.array(
    [
        [1.660491, -0.587641, -0.072850],
        [-0.124550, 1.132900, -0.008349],
        [-0.018151, -0.100579, 1.118730],
    ]
)
_BT2020_LUMINANCE = np.array([0.2627, 0.6780, 0.0593])
_HLG_GAMMA = 1.2  # of a screen of 1,000 cd/m2 (ITU-R BT.2100)


def tone_map(signal: np.ndarray, transfer: int) -> np.ndarray:
    """Turn uint16 (H, W, 3) BT.2020 RGB, as HLG or PQ encode it, into uint8 (H, W, 3) sRGB."""
    result = np.empty(signal.shape, np.uint8)
    for top in range(0, len(signal), _ROWS):
        rows = slice(top, top + _ROWS)
        _tone_map_rows(signal[rows], transfer, result[rows])
    return result


def _tone_map_rows(signal: np.ndarray, transfer: int, result: np.ndarray) -> None:
    # Channel by channel, and by `take`: on arrays whose last axis is 3, numpy is slow.
    light = _linear_table(transfer).take(signal)  # (h, w, 3)
    mixed = light @ _mixing_matrix()  # (h, w, 4)
    red, green, blue, luminance = (mixed[..., channel] for channel in range(4))
    brightest = np.maximum(np.maximum(np.maximum(red, green), blue), _DARKEST)  # (h, w)
    shown = brightest
    if transfer == HLG:  # The screen's part, its OOTF, multiplies all of a colour by one number.
        factor = np.maximum(luminance, _DARKEST) ** np.float32(_HLG_GAMMA - 1)
        shown = brightest * factor * np.float32(_PEAK)
    places = np.minimum(shown * np.float32(_TOP / _PEAK), _TOP).astype(np.uint16)
    scale = _compression_table().take(places) * _TOP / brightest
    for channel in range(3):
        places = np.clip(mixed[..., channel] * scale, 0, _TOP).astype(np.uint16)
        result[..., channel] = _srgb_table().take(places)


@cache
def _mixing_matrix() -> np.ndarray:
    return np.vstack([_TO_BT709, _BT2020_LUMINANCE]).T.astype(np.float32)  # (3, 4)


@cache
def _linear_table(transfer: int) -> np.ndarray:
    """Signal to light (BT.2100): for PQ that of the screen, for HLG that of the scene, up to 1."""
    signal = np.linspace(0, 1, _LEVELS)
    if transfer == PQ:
        return (_pq_eotf(signal) / 203).astype(np.float32)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    return scene.astype(np.float32)


@cache
def _compression_table() -> np.ndarray:
    """Brightest component, 0 to _PEAK, to what is shown of it: the EETF of ITU-R BT.2390."""
    light = np.linspace(0, _PEAK, _LEVELS)
    source_white = _pq_inverse(np.array(1000.0))
    level = _pq_inverse(light * 203) / source_white
    most = _pq_inverse(np.array(203.0)) / source_white
    knee = 1.5 * most - 0.5
    t = np.maximum(level - knee, 0) / (1 - knee)
    spline = (
        (2 * t**3 - 3 * t**2 + 1) * knee
        + (t**3 - 2 * t**2 + t) * (1 - knee)
        + (3 * t**2 - 2 * t**3) * most
    )
    shown = _pq_eotf(np.where(level < knee, level, spline) * source_white) / 203
    return shown.astype(np.float32)


@cache
def _srgb_table() -> np.ndarray:
    """Light to levels of sRGB (IEC 61966-2-1)."""
    light = np.linspace(0, 1, _LEVELS)
    levels = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (255 * levels).round().astype(np.uint8)


def _pq_eotf(signal: np.ndarray) -> np.ndarray:
    """Signal, 0 to 1, to cd/m2 (SMPTE ST 2084)."""
    root = signal ** (1 / _M2)
    return 10000 * (np.maximum(root - _C1, 0) / (_C2 - _C3 * root)) ** (1 / _M1)


def _pq_inverse(light: np.ndarray) -> np.ndarray:
    """cd/m2 to signal, 0 to 1 (SMPTE ST 2084)."""
    power = (light / 10000) ** _M1
    return ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2


_M1, _M2 = 2610 / 16384, 2523 / 32
_C1, _C2, _C3 = 3424 / 4096, 2413 / 128, 2392 / 128
