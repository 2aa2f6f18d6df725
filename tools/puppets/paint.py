"""All parts of a puppet, painted once per identity, the far side a little darker than the near."""

from collections.abc import Callable

from tools.puppets.colour import darker
from tools.puppets.face import paint_head
from tools.puppets.figure import Identity
from tools.puppets.hair import paint_back_hair
from tools.puppets.limbs import (
    paint_forearm,
    paint_hand,
    paint_shin,
    paint_shoe,
    paint_thigh,
    paint_upper_arm,
)
from tools.puppets.patch import Texture
from tools.puppets.trunk import paint_hips, paint_neck, paint_torso

_MIDDLE: dict[str, Callable[[Identity, float], Texture]] = {
    "back_hair": paint_back_hair,
    "neck": paint_neck,
    "hips": paint_hips,
    "torso": paint_torso,
    "head": paint_head,
}
_PAIRS: dict[str, Callable[[Identity, float, float], Texture]] = {
    "upper_arm": paint_upper_arm,
    "forearm": paint_forearm,
    "hand": paint_hand,
    "thigh": paint_thigh,
    "shin": paint_shin,
    "shoe": paint_shoe,
}


def paint_parts(identity: Identity, density: float) -> dict[str, Texture]:
    """Every part by its name in `pose.PART_NAMES`, at `density` texels to a body height."""
    parts = {name: paint(identity, density) for name, paint in _MIDDLE.items()}
    for side, sign in (("left", -1.0), ("right", 1.0)):
        for name, paint_pair in _PAIRS.items():
            texture = paint_pair(identity, density, sign)
            parts[f"{side}_{name}"] = texture if side == identity.near else _far(texture)
    return parts


def _far(texture: Texture) -> Texture:
    texels = texture.texels.copy()
    texels[..., :3] = darker(texels[..., :3], 0.17)
    return texture._replace(texels=texels)
