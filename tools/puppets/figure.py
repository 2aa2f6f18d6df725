"""Identities: who a puppet is (proportions, face, hair, clothes) and where it stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeVar, get_args

import numpy as np

from tools.puppets.backdrop import BACKDROPS, Backdrop, paint_backdrop
from tools.puppets.colour import HAIR, SKIN, WARDROBES, Wardrobe, distance, rgb

HairStyle = Literal["crop", "quiff", "parting", "bob", "long", "bun", "afro", "tail", "buzz"]
Hat = Literal["none", "beanie", "cap"]
Beard = Literal["none", "stubble", "full"]
Pattern = Literal["plain", "stripes", "dots", "checks", "fade", "band", "logo"]
Collar = Literal["crew", "vee", "buttons", "hood", "bib"]
Sleeve = Literal["none", "short", "long"]
Bottom = Literal["trousers", "shorts", "skirt"]
Side = Literal["left", "right"]

HAIR_STYLES: tuple[HairStyle, ...] = get_args(HairStyle)
PATTERNS: tuple[Pattern, ...] = get_args(Pattern)

GOOD_CONTRAST = 26.0
"""Lab units between a puppet and its background that are enough even at 64 pixels."""

T = TypeVar("T")


@dataclass(frozen=True)
class Body:
    """Proportions in units of the standing height, which is 1 from skull to sole for everyone.

    `shoulder` and `hip` are half widths between the joints, `foot` is from ankle to sole, and
    `girth` multiplies the thickness of all limbs.
    """

    head: float
    neck: float
    torso: float
    thigh: float
    shin: float
    foot: float
    upper_arm: float
    forearm: float
    hand: float
    shoulder: float
    hip: float
    waist: float
    girth: float


@dataclass(frozen=True)
class Look:
    """Everything about a puppet that is paint: its face, its hair and what it wears."""

    skin: str
    hair: str
    hair_style: HairStyle
    hat: Hat
    beard: Beard
    glasses: bool
    open_smile: bool
    wardrobe: Wardrobe
    pattern: Pattern
    pattern_pitch: float
    collar: Collar
    sleeve: Sleeve
    bottom: Bottom
    socks: bool
    tucked: bool
    cloth_seed: int


@dataclass(frozen=True)
class Identity:
    """One puppet in front of its own background; `near` is the side nearer to the viewer.

    Left and right are as the viewer sees them. The near arm passes in front of the body, the far
    one behind it.
    """

    body: Body
    look: Look
    backdrop: Backdrop
    near: Side


def draw_identity(rng: np.random.Generator) -> Identity:
    """A random puppet whose clothes and hair stand out from its background."""
    body, look = _draw_body(rng), _draw_look(rng)
    contrast = partial(_contrast, look)
    backdrop = _draw_backdrop(rng)
    for _ in range(8):
        if contrast(backdrop) > GOOD_CONTRAST:
            break
        backdrop = max(backdrop, _draw_backdrop(rng), key=contrast)
    return Identity(body, look, backdrop, "left" if rng.random() < 0.5 else "right")


def _draw_body(rng: np.random.Generator) -> Body:
    def near(value: float, spread: float = 0.07) -> float:
        return value * rng.uniform(1 - spread, 1 + spread)

    chain = np.array(
        [near(0.212), near(0.026, 0.15), near(0.295), near(0.215), near(0.205), near(0.044)]
    )
    head, neck, torso, thigh, shin, foot = (float(value) for value in chain / chain.sum())
    return Body(
        head=head,
        neck=neck,
        torso=torso,
        thigh=thigh,
        shin=shin,
        foot=foot,
        upper_arm=near(0.158),
        forearm=near(0.142),
        hand=near(0.05),
        shoulder=near(0.111, 0.1),
        hip=near(0.052, 0.1),
        waist=near(0.088, 0.12),
        girth=near(1.1, 0.12),
    )


def _draw_look(rng: np.random.Generator) -> Look:
    style = _choose(rng, HAIR_STYLES)
    bearded = style in ("crop", "quiff", "parting", "buzz") and rng.random() < 0.45
    bottom: Bottom = _choose(rng, ("trousers", "trousers", "shorts", "skirt"))
    collar: Collar = _choose(rng, ("crew", "crew", "vee", "buttons", "hood", "bib"))
    if collar == "bib":
        bottom = "trousers"
    long_sleeved = collar in ("buttons", "hood")
    beards: tuple[Beard, ...] = ("stubble", "full")
    sleeves: tuple[Sleeve, ...] = ("long",) if long_sleeved else ("short", "short", "long", "none")
    return Look(
        skin=_choose(rng, SKIN),
        hair=_choose(rng, HAIR),
        hair_style=style,
        hat=_choose(rng, ("none",) * 6 + ("beanie", "cap")) if style != "afro" else "none",
        beard=_choose(rng, beards) if bearded else "none",
        glasses=bool(rng.random() < 0.2),
        open_smile=bool(rng.random() < 0.4),
        wardrobe=_choose(rng, WARDROBES),
        pattern=_choose(rng, PATTERNS),
        pattern_pitch=rng.uniform(0.05, 0.075),
        collar=collar,
        sleeve=_choose(rng, sleeves),
        bottom=bottom,
        socks=bool(rng.random() < 0.6),
        tucked=bool(collar != "bib" and (bottom == "skirt" or rng.random() < 0.35)),
        cloth_seed=int(rng.integers(2**31)),
    )


def _draw_backdrop(rng: np.random.Generator) -> Backdrop:
    return Backdrop(_choose(rng, tuple(BACKDROPS)), int(rng.integers(2**31)))


def _choose(rng: np.random.Generator, options: Sequence[T]) -> T:
    return options[int(rng.integers(len(options)))]


def _contrast(look: Look, backdrop: Backdrop) -> float:
    """How far from the background the least visible of clothes, hair and skin is, in Lab units."""
    picture = paint_backdrop(backdrop, 24)
    upper, lower = picture[6:14, 6:18].reshape(-1, 1, 3), picture[13:21, 6:18].reshape(-1, 1, 3)
    wardrobe = look.wardrobe
    shirt = (wardrobe.shirt,) if look.pattern == "plain" else (wardrobe.shirt, wardrobe.accent)
    worn = np.stack([rgb(colour) for colour in (*shirt, look.skin, look.hair)])
    above = distance(upper, worn[None]).mean(axis=0)
    legs = np.stack([rgb(wardrobe.bottom), rgb(wardrobe.shoes)])
    below = distance(lower, legs[None]).mean(axis=0)
    return float(min(above.min(), below.min()))
