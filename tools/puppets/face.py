"""The head: skull, face and beard; its origin is the collar, its top is at -(neck + head)."""

import numpy as np
from numpy.typing import NDArray

from tools.puppets.cloth import LIGHT
from tools.puppets.colour import darker, mix, rgb
from tools.puppets.figure import Identity
from tools.puppets.hair import paint_hair, paint_hat
from tools.puppets.head_canvas import HeadCanvas
from tools.puppets.patch import Texture, round_light
from tools.puppets.shapes import box, mirrored

Array = NDArray[np.floating]

INK = "#2a2030"


def paint_head(identity: Identity, density: float) -> Texture:
    """Skull, ears, face, hair in front, hat."""
    face, look = HeadCanvas(identity, density), identity.look
    patch, skin = face.patch, rgb(look.skin)
    skull = face.shape(
        mirrored(
            [
                (0, -0.5),
                (0.6, -0.46),
                (0.95, -0.26),
                (1.0, -0.02),
                (0.93, 0.2),
                (0.68, 0.4),
                (0.3, 0.49),
                (0, 0.5),
            ]
        )
    )
    ears = np.minimum(face.oval(-1.02, 0.05, 0.17, 0.1), face.oval(1.02, 0.05, 0.17, 0.1))
    patch.fill(skin)
    patch.over(ears, darker(skin, 0.1))
    patch.over(skull, skin)
    patch.light(round_light(skull, 0.06, density, LIGHT) * 0.6)
    _features(face)
    _beard(face, skull)
    bare = np.minimum(skull, ears)
    cover_head = paint_hair if look.hat == "none" else paint_hat
    return patch.cut(np.minimum(bare, cover_head(face, bare)))


def _features(face: HeadCanvas) -> None:
    """Cheeks, eyes, brows, nose and mouth, turned a little towards the light."""
    patch, look = face.patch, face.look
    skin, ink, turn = rgb(look.skin), rgb(INK), -0.05
    for side in (-1, 1):
        blush = np.exp(
            -(((face.u - side * 0.56 - turn) / 0.26) ** 2) - ((face.v - 0.2) / 0.085) ** 2
        )
        patch.blend(0.38 * blush, mix(skin, rgb("#e2483d"), 0.45))
        eye = turn + side * 0.4
        patch.over(face.oval(eye, 0.055, 0.2, 0.088), rgb("#fffaf3"), 0.9)
        patch.over(face.oval(eye, 0.06, 0.145, 0.078), ink)
        patch.over(face.oval(eye - 0.045, 0.03, 0.05, 0.024), rgb("#ffffff"))
        brow = [
            (eye - 0.24, -0.085 + 0.01 * side),
            (eye + 0.24, -0.085 - 0.01 * side),
            (eye + 0.2, -0.125),
            (eye - 0.2, -0.125),
        ]
        patch.over(face.shape(brow) - 0.001, darker(rgb(look.hair), 0.3))
        if look.glasses:
            rim = np.abs(face.oval(eye, 0.055, 0.33, 0.125)) - 0.0032
            patch.over(rim, rgb("#3b2c2a"))
            patch.over(face.oval(eye, 0.055, 0.33, 0.125), rgb("#eaf6fa"), 0.18)
    if look.glasses:
        bridge = (
            box(patch.x / face.wide, face.v, (turn - 0.09, 0.03), (turn + 0.09, 0.05)) * face.high
        )
        patch.over(bridge, rgb("#3b2c2a"))
    patch.over(face.oval(turn - 0.02, 0.17, 0.085, 0.035), darker(skin, 0.28), 0.75)
    _mouth(face, turn)


def _mouth(face: HeadCanvas, turn: float) -> None:
    patch, skin = face.patch, rgb(face.look.skin)
    if face.look.open_smile:
        grin = np.maximum(face.oval(turn, 0.265, 0.36, 0.115), (0.265 - face.v) * face.high)
        patch.over(grin, rgb("#7d2430"))
        patch.over(np.maximum(grin, (face.v - 0.3) * face.high), rgb("#fffaf3"))
        patch.over(np.maximum(grin, face.oval(turn, 0.385, 0.2, 0.05)), rgb("#e8736e"))
    else:
        smile = np.maximum(face.oval(turn, 0.25, 0.34, 0.1), -face.oval(turn, 0.215, 0.4, 0.1))
        patch.over(smile - 0.0012, mix(darker(skin, 0.5), rgb("#a02c30"), 0.55))


def _beard(face: HeadCanvas, skull: Array) -> None:
    look = face.look
    if look.beard == "none":
        return
    jaw = np.maximum(skull, -face.oval(0, -0.02, 0.9, 0.235))
    mouth = face.oval(-0.05, 0.28, 0.3, 0.055)
    area = np.maximum(np.maximum(jaw, -mouth), (0.02 - face.v) * face.high)
    face.patch.over(area, darker(rgb(look.hair), 0.1), 0.32 if look.beard == "stubble" else 0.96)
