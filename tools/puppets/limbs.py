"""Arms and legs, each painted along its own bone: from (0, 0) at one joint down to the next.

Local x points away from the body, on both sides: a left limb is the mirror image of a right one,
but for the light, which `sign` (-1 left, 1 right) keeps falling from the viewer's left.
"""

import numpy as np
from numpy.typing import NDArray

from tools.puppets.cloth import LIGHT, shirt_cloth
from tools.puppets.colour import darker, lighter, mix, rgb
from tools.puppets.figure import Identity
from tools.puppets.patch import Patch, Texture, round_light
from tools.puppets.shapes import Point, ellipse, limb, outline, ramp

Array = NDArray[np.floating]

UPPER_ARM = (0.040, 0.034)
FOREARM = (0.033, 0.024)
THIGH = (0.058, 0.045)
SHIN = (0.044, 0.029)


def _limb_patch(length: float, radii: Point, density: float) -> tuple[Patch, Array]:
    reach = max(radii)
    patch = Patch((-reach, -reach), (reach, length + reach), density)
    return patch, limb(patch.x, patch.y, length, radii)


def _limb_light(patch: Patch, length: float, radii: Point, sign: float) -> None:
    """Light across a limb only, so that two limbs meet in a joint without a seam."""
    radius = radii[0] + (radii[1] - radii[0]) * np.clip(patch.y / length, 0, 1)
    across = sign * patch.x / radius
    patch.light(-0.5 * across - 0.75 * ramp(across, 0.35, 1.05) + 0.05)


def paint_upper_arm(identity: Identity, density: float, sign: float) -> Texture:
    body, look = identity.body, identity.look
    radii = (UPPER_ARM[0] * body.girth, UPPER_ARM[1] * body.girth)
    sleeve = {"none": -1.0, "short": 0.58, "long": 2.0}[look.sleeve] * body.upper_arm
    flare = 0.005 if look.sleeve == "short" else 0.0
    patch, edge = _limb_patch(body.upper_arm, (radii[0] + flare, radii[1] + flare), density)
    bare = limb(patch.x, patch.y, body.upper_arm, radii)
    patch.fill(rgb(look.skin))
    patch.blend(0.5 * ramp(patch.y, sleeve + 0.03, sleeve), darker(rgb(look.skin), 0.3))
    patch.over(patch.y - sleeve, shirt_cloth(look, patch))
    if look.sleeve == "short":
        hem = np.abs(patch.y - sleeve + 0.008) - 0.007
        patch.over(
            hem,
            lighter(rgb(look.wardrobe.shirt), 0.25)
            if look.pattern == "plain"
            else rgb(look.wardrobe.accent),
        )
    patch.weave(look.cloth_seed + 1, 0.025)
    _limb_light(patch, body.upper_arm, radii, sign)
    return patch.cut(np.where(patch.y < sleeve, edge, np.maximum(bare, edge)))


def paint_forearm(identity: Identity, density: float, sign: float) -> Texture:
    body, look = identity.body, identity.look
    radii = (FOREARM[0] * body.girth, FOREARM[1] * body.girth)
    patch, edge = _limb_patch(body.forearm, radii, density)
    patch.fill(rgb(look.skin))
    if look.sleeve == "long":
        patch.fill(shirt_cloth(look, patch))
        cuff = patch.y - (body.forearm - 0.018)
        patch.over(
            -cuff,
            darker(rgb(look.wardrobe.shirt), 0.15)
            if look.collar == "hood"
            else rgb(look.wardrobe.accent),
        )
    patch.weave(look.cloth_seed + 2, 0.025)
    _limb_light(patch, body.forearm, radii, sign)
    return patch.cut(edge)


def paint_hand(identity: Identity, density: float, sign: float) -> Texture:
    body, look = identity.body, identity.look
    long, wide = body.hand, 0.027 * body.girth
    patch = Patch((-0.05, -0.02), (0.05, long + 0.03), density)
    palm = ellipse(patch.x, patch.y, (0, 0.45 * long), (wide, 0.66 * long))
    thumb = outline(
        patch.x,
        patch.y,
        [(-0.3 * wide, 0.2 * long), (-1.25 * wide, 0.55 * long), (-0.6 * wide, 0.5 * long)],
        rounding=0.006,
    )
    edge = np.minimum(palm, thumb)
    skin = rgb(look.skin)
    patch.fill(skin)
    for finger in (-0.35, 0.1, 0.5):
        groove = np.abs(patch.x - finger * wide) - 0.0014
        patch.over(np.maximum(groove, 0.62 * long - patch.y), darker(skin, 0.3), 0.55)
    patch.light(round_light(edge, wide, density, (LIGHT[0] * sign, LIGHT[1])) * 0.8)
    return patch.cut(edge)


def paint_thigh(identity: Identity, density: float, sign: float) -> Texture:
    body, look = identity.body, identity.look
    radii = (THIGH[0] * body.girth, THIGH[1] * body.girth)
    hem = {"trousers": 2.0, "shorts": 0.78, "skirt": -1.0}[look.bottom] * body.thigh
    flare = 0.006 if look.bottom == "shorts" else 0.0
    patch, edge = _limb_patch(body.thigh, (radii[0] + flare, radii[1] + flare), density)
    bare = limb(patch.x, patch.y, body.thigh, radii)
    cloth = rgb(look.wardrobe.bottom)
    patch.fill(rgb(look.skin))
    patch.blend(0.6 * ramp(patch.y, hem + 0.03, hem), darker(rgb(look.skin), 0.35))
    patch.over(patch.y - hem, cloth)
    if look.bottom == "shorts":
        patch.over(np.abs(patch.y - hem + 0.008) - 0.0065, lighter(cloth, 0.25))
    patch.weave(look.cloth_seed + 3, 0.04)
    _limb_light(patch, body.thigh, radii, sign)
    return patch.cut(np.where(patch.y < hem, edge, np.maximum(bare, edge)))


def paint_shin(identity: Identity, density: float, sign: float) -> Texture:
    body, look = identity.body, identity.look
    radii = (SHIN[0] * body.girth, SHIN[1] * body.girth)
    patch, edge = _limb_patch(body.shin, radii, density)
    cloth = rgb(look.wardrobe.bottom)
    if look.bottom == "trousers":
        patch.fill(cloth)
        patch.over(body.shin - 0.012 - patch.y, lighter(cloth, 0.22))
    else:
        patch.fill(rgb(look.skin))
        sock = rgb(look.wardrobe.accent)
        if look.socks:
            patch.over(0.58 * body.shin - patch.y, sock)
            patch.over(np.abs(patch.y - 0.66 * body.shin) - 0.006, rgb(look.wardrobe.shoes))
    patch.weave(look.cloth_seed + 4, 0.03)
    _limb_light(patch, body.shin, radii, sign)
    return patch.cut(edge)


def paint_shoe(identity: Identity, density: float, sign: float) -> Texture:
    body, look = identity.body, identity.look
    sole, wide = body.foot, 0.034 * body.girth
    patch = Patch((-0.06, -0.05), (0.1, sole + 0.02), density)
    shape = [
        (-wide, -0.022),
        (wide * 0.95, -0.026),
        (wide + 0.006, -0.002),
        (0.058, 0.012),
        (0.074, sole - 0.016),
        (0.074, sole),
        (-wide - 0.004, sole),
        (-wide - 0.005, 0.012),
    ]
    edge = outline(patch.x, patch.y, shape, rounding=0.004) + 0.002
    leather = rgb(look.wardrobe.shoes)
    patch.fill(leather)
    patch.over(
        np.hypot(patch.x - 0.066, patch.y - sole + 0.004) - 0.026, lighter(leather, 0.35), 0.7
    )
    for lace in (0.022, 0.036):
        stroke = outline(
            patch.x,
            patch.y,
            [(lace, -0.004), (lace + 0.012, 0.008), (lace + 0.010, 0.010), (lace - 0.002, -0.002)],
        )
        patch.over(stroke - 0.0015, lighter(leather, 0.75))
    bright = mix(rgb("#fdf6ea"), leather, 0.12)
    patch.over(sole - 0.011 - patch.y, darker(bright, 0.35) if leather.mean() > 0.8 else bright)
    patch.light(round_light(edge, 0.03, density, (LIGHT[0] * sign, LIGHT[1])) * 0.7)
    return patch.cut(edge)
