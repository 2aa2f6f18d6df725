"""Walls and floors: a room, bricks, planks, a studio, and lights out of focus."""

import numpy as np
from numpy.typing import NDArray

from tools.puppets.colour import darker, lighter, mix, rgb
from tools.puppets.scene import Scene, fall, pick_tone
from tools.puppets.shapes import Noise, box, cover, ramp

Array = NDArray[np.floating]


def room(scene: Scene) -> Array:
    wall = pick_tone(
        scene,
        "#cfe0d8",
        "#f3d9c2",
        "#d9d3e6",
        "#b8cbd6",
        "#e9e0cf",
        "#6f8f91",
        "#8c4f4f",
        "#3f5a66",
    )
    floor = pick_tone(scene, "#b98a5e", "#d7b48a", "#8a6146", "#c7a98b")
    edge = float(scene.rng.uniform(0.3, 0.45))
    light = np.hypot(scene.x - scene.rng.uniform(-0.7, 0.7), scene.y + 0.6)
    picture = mix(lighter(wall, 0.3), darker(wall, 0.12), ramp(light, 0, 1.7))
    stripes = cover(np.abs((scene.x * scene.rng.uniform(4, 7)) % 1 - 0.5) - 0.25, 7 * scene.soft)
    picture = mix(picture, darker(wall, 0.1), (0.35 if scene.rng.random() < 0.6 else 0) * stripes)
    picture = picture * (1 + 0.03 * scene.noise(9, 9))[..., None]
    picture = _picture_on_wall(scene, picture, wall)
    board = box(scene.x, scene.y, (-2, edge - 0.07), (2, edge))
    picture = mix(picture, lighter(wall, 0.6), cover(board, scene.soft))
    depth = 1 / np.maximum(scene.y - edge + 0.35, 0.05)
    plank = np.floor(scene.x * depth * 2.2 + 40)
    tint = np.sin(plank * 12.9898) * 0.5
    planks = floor * (1 + 0.08 * tint + 0.07 * scene.noise(3, 30, 3))[..., None]
    gap = np.abs(scene.x * depth * 2.2 + 40 - plank - 0.5) - 0.47
    planks = mix(planks, darker(floor, 0.4), 0.7 * cover(-gap, 0.06))
    planks = mix(planks, darker(floor, 0.4), 0.5 * ramp(scene.y, edge + 0.16, edge))
    return mix(picture, planks, cover(edge - scene.y, scene.soft))


def _picture_on_wall(scene: Scene, picture: Array, wall: Array) -> Array:
    left = scene.rng.random() < 0.5
    x0 = float(scene.rng.uniform(-0.95, -0.7) if left else scene.rng.uniform(0.25, 0.45))
    y0 = float(scene.rng.uniform(-0.85, -0.65))
    frame = box(scene.x, scene.y, (x0, y0), (x0 + 0.45, y0 + 0.58))
    picture = mix(picture, darker(wall, 0.4), 0.45 * ramp(frame, 0.1, -0.02))
    picture = mix(
        picture, pick_tone(scene, "#6b4a35", "#f4ead9", "#3a3640"), cover(frame, scene.soft)
    )
    inside = mix(
        pick_tone(scene, "#f2c89b", "#bcd8dc", "#e7b7a5"),
        rgb("#fbf2e2"),
        ramp(scene.y, y0, y0 + 0.5),
    )
    moon = np.hypot(scene.x - x0 - 0.27, scene.y - y0 - 0.22) - 0.09
    inside = mix(inside, pick_tone(scene, "#d9694b", "#f6e7c4", "#2f5d73"), cover(moon, scene.soft))
    ridge = y0 + 0.42 + 0.06 * np.sin(9 * scene.x)
    inside = mix(
        inside,
        pick_tone(scene, "#4f7a6b", "#35506b", "#8a4f4a"),
        cover(ridge - scene.y, scene.soft),
    )
    return mix(picture, inside, cover(frame + 0.045, scene.soft))


def bricks(scene: Scene) -> Array:
    brick = pick_tone(scene, "#b5654a", "#c98d6b", "#8f97a3", "#e6d8c8", "#7c4a44")
    mortar = pick_tone(scene, "#e3d6c4", "#cfc4b8")
    row = np.floor(scene.y * 7 + 40)
    along = scene.x * 3.2 + 0.5 * (row % 2) + 40
    column = np.floor(along)
    tint = np.sin(row * 12.9898 + column * 78.233) * 43758.5453 % 1 - 0.5
    wall = brick * (1 + 0.22 * tint + 0.1 * scene.noise(14, 18))[..., None]
    inset = np.maximum(
        np.abs(along - column - 0.5) / 3.2 - 0.145, np.abs(scene.y * 7 + 39.5 - row) / 7 - 0.06
    )
    wall = mix(
        mortar * (1 + 0.05 * scene.noise(30, 30, 2))[..., None],
        wall,
        cover(inset, 0.02 + scene.soft),
    )
    light = np.hypot(scene.x - scene.rng.uniform(-0.6, 0.6), scene.y + 0.5)
    wall = mix(wall, darker(brick, 0.5), 0.55 * ramp(light, 0.3, 1.7))
    ground = (
        pick_tone(scene, "#a89c8e", "#8d8a90", "#c9b79c")
        * (1 + 0.07 * scene.noise(16, 34))[..., None]
    )
    edge = float(scene.rng.uniform(0.45, 0.6))
    ground = mix(ground, darker(brick, 0.6), 0.5 * ramp(scene.y, edge + 0.15, edge))
    return mix(wall, ground, cover(edge - scene.y, scene.soft))


def wood(scene: Scene) -> Array:
    base = pick_tone(scene, "#c9975f", "#9c6b45", "#d9bf97", "#6f5a4d", "#8fa39a")
    pitch = float(scene.rng.uniform(2.2, 3.4))
    plank = np.floor(scene.x * pitch + 40)
    offset = np.sin(plank * 78.233) * 43758.5453 % 1
    grain = Noise(scene.rng)(scene.x[0] * 16 + 50 * offset[0], scene.y[:, 0] * 1.2, octaves=4)
    rings = np.sin(14 * (grain + 0.15 * scene.y)) * 0.5
    picture = base * (1 + 0.25 * (offset - 0.5) + 0.12 * rings + 0.12 * grain)[..., None]
    gap = 0.5 - np.abs(scene.x * pitch + 40 - plank - 0.5)
    picture = mix(picture, darker(base, 0.6), ramp(gap, 0.045, 0.0))
    light = np.hypot(scene.x + 0.5, scene.y + 0.7)
    return mix(picture, lighter(base, 0.5), 0.35 * ramp(light, 1.5, 0.0))


def bokeh(scene: Scene) -> Array:
    choices = (
        ("#20304f", "#5a3f63", "#f6c270"),
        ("#17383f", "#2f5d5a", "#ffe0a3"),
        ("#f3d9c6", "#e8b9a6", "#fff6e8"),
        ("#3d2b3f", "#8c4a52", "#ffb98a"),
        ("#cfe3dc", "#9fc5b5", "#fdfbe9"),
    )
    top, low, glow = choices[int(scene.rng.integers(len(choices)))]
    picture = fall(scene, rgb(top), rgb(low)) * (1 + 0.12 * scene.noise(1.5, 1.5, 2))[..., None]
    for _ in range(26):
        centre = scene.rng.uniform(-1.1, 1.1, 2) * (1, 0.85) - (0, 0.15)
        radius = float(scene.rng.uniform(0.05, 0.17))
        far = np.hypot(scene.x - centre[0], scene.y - centre[1]) - radius
        rim = 0.75 + 0.25 * ramp(far, -0.06, -0.01)
        colour = mix(rgb(glow), rgb("#ffffff"), float(scene.rng.uniform(0, 0.5)))
        share = float(scene.rng.uniform(0.12, 0.42))
        picture = mix(picture, colour, share * rim * cover(far, 0.03 + scene.soft))
    return picture


def studio(scene: Scene) -> Array:
    paper = pick_tone(
        scene, "#e8c9a8", "#a9c7c4", "#d98e73", "#5f7f8a", "#e9e2d3", "#c5b6d6", "#3f4a5c"
    )
    light = np.hypot(scene.x - scene.rng.uniform(-0.5, 0.5), scene.y + 0.25)
    picture = mix(lighter(paper, 0.45), darker(paper, 0.28), ramp(light, 0.0, 1.6))
    picture = (
        picture * (1 + 0.05 * scene.noise(2.2, 2.2) + 0.02 * scene.noise(26, 26, 2))[..., None]
    )
    edge = float(scene.rng.uniform(0.42, 0.6))
    floor = mix(darker(paper, 0.22), lighter(paper, 0.3), ramp(scene.y, edge, 1.1))
    return mix(picture, floor, 0.75 * ramp(scene.y, edge - 0.12, edge + 0.12))
