"""Neck, torso and hips, painted upright: y runs down, the origin is between the hips."""

import numpy as np
from numpy.typing import NDArray

from tools.puppets.cloth import LIGHT, shirt_cloth
from tools.puppets.colour import darker, lighter, rgb
from tools.puppets.figure import Body, Identity, Look
from tools.puppets.limbs import THIGH, UPPER_ARM
from tools.puppets.patch import Patch, Texture, round_light
from tools.puppets.shapes import Point, box, curve, ellipse, limb, mirrored, outline, ramp

Array = NDArray[np.floating]


def paint_neck(identity: Identity, density: float) -> Texture:
    """The neck, its origin at the collar."""
    body, look = identity.body, identity.look
    length, radius = body.neck + 0.25 * body.head, 0.031 * (0.6 + 0.4 * body.girth)
    patch = Patch((-0.05, -length - 0.04), (0.05, 0.05), density)
    edge = limb(patch.x, -patch.y, length, (radius * 1.1, radius))
    skin = rgb(look.skin)
    patch.fill(skin)
    patch.blend(0.75 * ramp(patch.y, 0.03, -body.neck - 0.005), darker(skin, 0.4))
    return patch.cut(edge)


def paint_torso(identity: Identity, density: float) -> Texture:
    """The shirt, from the hem at the hips up to the shoulders and the collar."""
    body, look = identity.body, identity.look
    patch = Patch((-0.19, -body.torso - 0.03), (0.19, 0.06), density)
    edge = outline(patch.x, patch.y, curve(mirrored(_torso_half(body))))
    patch.fill(shirt_cloth(look, patch))
    _decorate(look, patch, body)
    _paint_collar(look, patch, body)
    patch.weave(look.cloth_seed, 0.03)
    _folds(patch, body)
    patch.light(round_light(edge, 0.06, density, LIGHT) * 0.75)
    return patch.cut(np.maximum(edge, patch.y + 0.035) if look.tucked else edge)


def paint_hips(identity: Identity, density: float) -> Texture:
    """The seat of the trousers or the skirt, with the belt."""
    body, look = identity.body, identity.look
    waist, seat = body.waist + 0.004, body.hip + THIGH[0] * body.girth
    patch = Patch((-0.22, -0.09), (0.22, 0.24), density)
    if look.bottom == "skirt":
        long = 0.72 * body.thigh
        half = [
            (0.0, -0.07),
            (waist - 0.006, -0.07),
            (seat, 0.0),
            (seat + 0.034, long),
            (0.0, long + 0.012),
        ]
        edge = outline(patch.x, patch.y, mirrored(half), rounding=0.006)
    else:
        half = [
            (0.0, -0.075),
            (waist * 0.9, -0.075),
            (seat - 0.004, -0.01),
            (seat - 0.004, 0.035),
            (0.035, 0.052),
            (0.0, 0.062),
        ]
        edge = outline(patch.x, patch.y, curve(mirrored(half)))
    cloth = rgb(look.wardrobe.bottom)
    patch.fill(cloth)
    if look.bottom == "skirt":
        pleats = np.sin(patch.x / (1 + 2.2 * np.clip(patch.y, -0.1, 1)) * 170)
        patch.blend(0.28 * ramp(pleats, 0.2, 1.0) * ramp(patch.y, -0.02, 0.05), darker(cloth, 0.4))
        patch.over(long - 0.014 - patch.y, lighter(cloth, 0.3))
    else:
        seam = np.abs(patch.x) - 0.0015
        patch.over(np.maximum(seam, -patch.y), darker(cloth, 0.35), 0.7)
    if look.tucked:
        belt = np.abs(patch.y + 0.048) - 0.011
        patch.over(belt, darker(rgb(look.wardrobe.shoes), 0.45))
        patch.over(box(patch.x, patch.y, (-0.013, -0.058), (0.013, -0.038)), rgb("#f0d28a"))
    patch.weave(look.cloth_seed + 5, 0.04)
    patch.light(round_light(edge, 0.05, density, LIGHT) * 0.5)
    return patch.cut(edge)


def _torso_half(body: Body) -> list[Point]:
    top, wide = -body.torso, body.shoulder
    arm = UPPER_ARM[0] * body.girth
    hem = body.hip + THIGH[0] * body.girth + 0.003
    return [
        (0.0, top + 0.004),
        (0.030, top - 0.002),
        (0.62 * wide, top + 0.012),
        (wide + 0.3 * arm, top + 0.026),
        (wide + 0.35 * arm, top + 0.06),
        (wide - 0.25 * arm, 0.62 * top),
        (body.waist, 0.32 * top),
        (hem - 0.004, -0.02),
        (hem - 0.006, 0.028),
        (0.04, 0.036),
        (0.0, 0.037),
    ]


def _decorate(look: Look, patch: Patch, body: Body) -> None:
    """The patterns that belong to the chest alone."""
    accent, middle = rgb(look.wardrobe.accent), -0.58 * body.torso
    if look.pattern == "fade":
        patch.blend(0.85 * ramp(patch.y, -0.62 * body.torso, 0.03), accent)
    elif look.pattern == "band":
        patch.over(np.abs(patch.y - middle) - 0.036, accent)
        patch.over(np.abs(patch.y - middle) - 0.014, rgb(look.wardrobe.bottom))
    elif look.pattern == "logo" and look.collar != "bib":
        patch.over(np.hypot(patch.x, patch.y - middle) - 0.05, accent)
        turn = np.arange(10) * np.pi / 5
        reach = np.where(np.arange(10) % 2, 0.015, 0.036)
        star = np.stack([np.sin(turn) * reach, middle - np.cos(turn) * reach], axis=-1)
        patch.over(outline(patch.x, patch.y, star, rounding=0.002), rgb(look.wardrobe.bottom))


def _paint_collar(look: Look, patch: Patch, body: Body) -> None:
    top, x, y = -body.torso, patch.x, patch.y
    skin, shirt, accent = rgb(look.skin), rgb(look.wardrobe.shirt), rgb(look.wardrobe.accent)
    shade = darker(skin, 0.12)
    if look.collar == "crew":
        scoop = ellipse(x, y, (0, top - 0.006), (0.042, 0.033))
        patch.over(
            scoop - 0.009, darker(shirt, 0.2) if look.pattern in ("plain", "fade") else accent
        )
        patch.over(scoop, shade)
    elif look.collar == "vee":
        vee = np.abs(x) * 0.88 + (y - top - 0.072) * 0.48
        patch.over(vee - 0.009, accent)
        patch.over(vee, shade)
    elif look.collar == "buttons":
        patch.over(np.abs(x) * 0.8 + (y - top - 0.045) * 0.6, shade)
        patch.over(np.abs(x) - 0.009, darker(shirt, 0.1), 0.6)
        for row in range(5):
            patch.over(np.hypot(x, y - 0.75 * top * (1 - row * 0.24) - 0.01) - 0.0052, accent)
        for side in (-1, 1):
            flap = [
                (side * 0.032, top - 0.012),
                (side * 0.058, top + 0.02),
                (side * 0.03, top + 0.05),
                (side * 0.004, top + 0.036),
            ]
            patch.over(outline(x, y, flap, rounding=0.003), lighter(shirt, 0.35))
    elif look.collar == "hood":
        hood = ellipse(x, y, (0, top + 0.008), (0.078, 0.048))
        patch.over(hood, darker(shirt, 0.22))
        patch.over(ellipse(x, y, (0, top - 0.006), (0.05, 0.034)), shade)
        for side in (-1, 1):
            cord = np.maximum(np.abs(x - side * 0.024) - 0.0035, np.abs(y - top - 0.072) - 0.032)
            patch.over(cord, accent)
        pocket = outline(
            x,
            y,
            [(-0.045, -0.085), (0.045, -0.085), (0.068, -0.02), (-0.068, -0.02)],
            rounding=0.006,
        )
        patch.over(np.abs(pocket) - 0.0035, darker(shirt, 0.3))
    else:
        _paint_bib(look, patch, top)


def _paint_bib(look: Look, patch: Patch, top: float) -> None:
    x, y, cloth = patch.x, patch.y, rgb(look.wardrobe.bottom)
    patch.over(ellipse(x, y, (0, top - 0.006), (0.042, 0.033)), darker(rgb(look.skin), 0.12))
    patch.over(0.33 * top - y, cloth)
    bib = box(x, y, (-0.062, 0.72 * top), (0.062, 0.1))
    strap = np.abs(np.abs(x) - 0.056 - 0.12 * (0.7 * top - y)) - 0.013
    patch.over(np.maximum(strap, y - 0.7 * top), cloth)
    patch.over(bib, cloth)
    patch.over(
        np.abs(box(x, y, (-0.034, 0.58 * top), (0.034, 0.36 * top))) - 0.003, lighter(cloth, 0.35)
    )
    for side in (-1, 1):
        patch.over(np.hypot(x - side * 0.05, y - 0.685 * top) - 0.0085, rgb("#f0d28a"))


def _folds(patch: Patch, body: Body) -> None:
    """Soft shadows where cloth gathers: under the arms, at the waist, and above the hem."""
    x, y = patch.x, patch.y
    for side in (-1, 1):
        for x0, y0, slope in ((0.085, 0.7, 0.7), (0.08, 0.3, -0.5)):
            line = (y + y0 * body.torso) - side * slope * (side * x0 - x)
            near = np.exp(-((line / 0.008) ** 2) - ((x - side * x0) / 0.03) ** 2)
            patch.light(-0.35 * near)
    patch.light(-0.3 * ramp(y, 0.0, 0.035))
