"""Hair and hats: in front of the head, and the long hair that hangs behind it."""

import numpy as np
from numpy.typing import NDArray

from tools.puppets.cloth import LIGHT
from tools.puppets.colour import darker, lighter, mix, rgb
from tools.puppets.figure import Identity
from tools.puppets.head_canvas import HeadCanvas
from tools.puppets.patch import Texture, round_light
from tools.puppets.shapes import Noise, box, cover, mirrored, ramp

Array = NDArray[np.floating]


def paint_back_hair(identity: Identity, density: float) -> Texture:
    """The hair that hangs behind neck and shoulders; nothing for a short cut."""
    face, style = HeadCanvas(identity, density), identity.look.hair_style
    patch = face.patch
    if style == "long":
        edge = face.shape(
            mirrored(
                [
                    (0, -0.5),
                    (0.8, -0.42),
                    (1.2, -0.05),
                    (1.28, 0.5),
                    (1.22, 0.95),
                    (0.7, 1.08),
                    (0, 1.1),
                ]
            )
        )
    elif style == "bob":
        edge = face.shape(
            mirrored(
                [
                    (0, -0.5),
                    (0.8, -0.42),
                    (1.18, -0.05),
                    (1.3, 0.35),
                    (1.1, 0.58),
                    (0.5, 0.6),
                    (0, 0.6),
                ]
            )
        )
    elif style == "tail":
        edge = face.shape(
            [
                (0.7, -0.4),
                (1.25, -0.42),
                (1.75, -0.1),
                (1.8, 0.4),
                (1.5, 0.75),
                (1.42, 0.3),
                (1.1, -0.1),
            ]
        )
    else:
        edge = np.full(patch.x.shape, 1.0)
    patch.fill(darker(rgb(identity.look.hair), 0.22))
    _strands(face, 0.14)
    patch.light(round_light(edge, 0.05, density, LIGHT) * 0.5)
    return patch.cut(edge)


def paint_hair(face: HeadCanvas, bare: Array) -> Array:
    """Paint the hair in front; returns the distance to it."""
    look, patch = face.look, face.patch
    edge = _hair_edge(face)
    if look.hair_style == "buzz":
        edge = np.maximum(edge, bare - 0.002)
    before = patch.rgb
    hair = rgb(look.hair)
    patch.fill(hair)
    _strands(face, 0.1)
    shine = np.exp(-(((face.v + 0.36 + 0.12 * face.u**2) / 0.05) ** 2)) * ramp(
        np.abs(face.u + 0.25), 0.8, 0.2
    )
    patch.blend(0.3 * shine, lighter(hair, 0.6))
    patch.light(round_light(edge, 0.045, patch.density, LIGHT) * 0.5)
    opacity = 0.72 if look.hair_style == "buzz" else 1.0
    _lay(face, before, edge, bare, opacity)
    return edge


def paint_hat(face: HeadCanvas, bare: Array) -> Array:
    """Paint a hat; returns the distance to it and to the hair that shows below."""
    look, patch = face.look, face.patch
    colour, band = rgb(look.wardrobe.accent), rgb(look.wardrobe.shirt)
    sides = np.maximum(
        np.maximum(face.oval(0, -0.05, 1.09, 0.5), -face.oval(0, 0.3, 0.92, 0.55)),
        (face.v - 0.1) * face.high,
    )
    patch.over(sides, rgb(look.hair))
    dome = np.maximum(face.oval(0, -0.2, 1.16, 0.42), (face.v + 0.17) * face.high)
    before = patch.rgb
    patch.fill(colour)
    if look.hat == "beanie":
        ribs = 0.5 + 0.5 * np.sin(face.u * 16)
        brim = box(
            patch.x,
            face.v * face.high,
            (-1.2 * face.wide, -0.27 * face.high),
            (1.2 * face.wide, -0.13 * face.high),
        )
        edge = np.minimum(dome, brim - 0.004)
        patch.over(brim - 0.004, band)
        patch.blend(0.16 * ribs, darker(colour, 0.5))
        pompom = face.oval(0, -0.66, 0.26, 0.1)
        patch.over(pompom, band)
        edge = np.minimum(edge, pompom)
    else:
        peak = face.shape(
            [
                (-1.18, -0.2),
                (-0.2, -0.26),
                (0.9, -0.22),
                (0.2, -0.12),
                (-0.9, -0.07),
                (-1.55, -0.07),
            ]
        )
        edge = np.minimum(dome, peak)
        patch.over(np.abs(face.u * face.wide) - 0.002, darker(colour, 0.25))
        patch.over(peak, band)
    patch.weave(look.cloth_seed + 7, 0.03)
    patch.light(round_light(edge, 0.05, patch.density, LIGHT) * 0.6)
    _lay(face, before, edge, np.minimum(bare, sides))
    return np.minimum(edge, sides)


def _lay(face: HeadCanvas, below: Array, edge: Array, bare: Array, opacity: float = 1.0) -> None:
    """Put what is painted over the picture `below`, with a soft shadow where it ends.

    Outside the head the nearer of hair and skin gives the colour, lest the edge show a fringe.
    """
    patch, shade = face.patch, darker(rgb(face.look.skin), 0.45)
    below = mix(below, shade, 0.5 * cover(edge - 0.006, 3 * patch.soft))
    nearer = np.minimum(edge, edge - bare)
    patch.rgb = mix(below, patch.rgb, opacity * cover(nearer, patch.soft))


def _strands(face: HeadCanvas, strength: float) -> None:
    """Fine streaks along the fall of the hair."""
    noise = Noise(np.random.default_rng(face.look.cloth_seed + 9))
    patch = face.patch
    streaks = noise(patch.x[0] * 90, patch.y[:, 0] * 14, octaves=2)
    patch.rgb = patch.rgb * (1 + 2 * strength * streaks[..., None])


def _hair_edge(face: HeadCanvas) -> Array:
    style = face.look.hair_style
    cap = face.oval(0, -0.1, 1.1, 0.48)
    opening = face.oval(0, 0.27, 0.93, 0.46)
    above = (face.v - 0.06) * face.high
    if style == "buzz":
        return np.maximum(
            np.maximum(face.oval(0, -0.05, 1.08, 0.48), -face.oval(0, 0.25, 0.95, 0.5)), above
        )
    if style == "crop":
        return np.maximum(np.maximum(cap, -opening), above)
    if style == "quiff":
        wave = face.shape(
            [
                (-0.95, -0.2),
                (-1.0, -0.5),
                (-0.35, -0.66),
                (0.5, -0.68),
                (1.05, -0.5),
                (0.95, -0.25),
                (0.2, -0.3),
            ]
        )
        return np.minimum(np.maximum(np.maximum(cap, -opening), above), wave)
    if style == "parting":
        sweep = face.oval(0.42, 0.28, 1.15, 0.49)
        return np.maximum(np.maximum(face.oval(0, -0.1, 1.13, 0.5), -sweep), above - 0.01)
    if style == "afro":
        noise = Noise(np.random.default_rng(face.look.cloth_seed))
        curls = noise(face.patch.x[0] * 42, face.patch.y[:, 0] * 42)
        return np.maximum(
            face.oval(0, -0.2, 1.42, 0.53) - 0.009 * curls, -face.oval(0, 0.3, 0.92, 0.47)
        )
    if style == "bob":
        around = face.oval(0, 0.0, 1.2, 0.58)
        fringe = np.maximum(face.oval(0, 0.27, 0.9, 0.6), (-0.17 - face.v) * face.high)
        return np.maximum(np.maximum(around, -fringe), (face.v - 0.42) * face.high)
    if style == "long":
        around = face.oval(0, 0.03, 1.17, 0.6)
        split = np.minimum(face.oval(-0.38, 0.4, 0.75, 0.62), face.oval(0.3, 0.38, 0.62, 0.66))
        return np.maximum(np.maximum(around, -split), (face.v - 0.5) * face.high)
    sweep = np.maximum(np.maximum(cap, -face.oval(0.15, 0.3, 0.98, 0.5)), above)
    return np.minimum(sweep, face.oval(0.05, -0.6, 0.42, 0.15)) if style == "bun" else sweep
