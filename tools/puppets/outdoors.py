"""Places under the sky: hills, the sea, a city, a forest."""

import numpy as np
from numpy.typing import NDArray

from tools.puppets.colour import darker, lighter, mix, rgb
from tools.puppets.scene import Scene, fall, pick_tone
from tools.puppets.shapes import box, cover, ramp

Array = NDArray[np.floating]


def _sky(scene: Scene) -> Array:
    choices = (
        ("#8fc7e8", "#fdf0d6"),
        ("#f6b38a", "#fde6bd"),
        ("#b9d9ea", "#f7f0e4"),
        ("#7d8fc9", "#f7c6ac"),
        ("#9fd3cf", "#fbf3dc"),
    )
    top, low = choices[int(scene.rng.integers(len(choices)))]
    sky = fall(scene, rgb(top), rgb(low), -1, 0.4)
    sun = (float(scene.rng.uniform(-0.8, 0.8)), float(scene.rng.uniform(-0.8, -0.35)))
    far = np.hypot(scene.x - sun[0], scene.y - sun[1])
    sky = mix(sky, rgb("#fff6dd"), 0.7 * np.exp(-far * 3.5) + 0.8 * cover(far - 0.13, scene.soft))
    clouds = ramp(scene.noise(1.6, 4.5), 0.1, 0.9)
    return mix(sky, rgb("#fffaf2"), 0.65 * clouds * ramp(scene.y, 0.3, -0.4))


def hills(scene: Scene) -> Array:
    picture = _sky(scene)
    near = pick_tone(scene, "#5f9166", "#7ea05a", "#a98d4f", "#4c8079", "#8a6f9c")
    haze = picture[-1, 0]
    for layer in range(4):
        depth = (layer + 1) / 4
        ridge = scene.noise(1.2 + 0.5 * layer, 0, 3)
        edge = -0.22 + 0.24 * layer - ridge * (0.24 - 0.03 * layer)
        slope = mix(haze, near, 0.25 + 0.75 * depth)
        slope = slope * (1 + 0.1 * depth * scene.noise(7, 16, 3))[..., None]
        slope = mix(slope, darker(near, 0.35), 0.6 * depth * ramp(scene.y - edge, 0.0, 0.9))
        picture = mix(picture, slope, cover(edge - scene.y, scene.soft))
    return picture


def seaside(scene: Scene) -> Array:
    picture = _sky(scene)
    horizon = float(scene.rng.uniform(-0.1, 0.15))
    shore = horizon + 0.32 + 0.05 * scene.noise(1.0, 0.4, 2)
    deep, shallow = rgb("#2f7f9f"), rgb("#7fc9c4")
    sea = mix(deep, shallow, ramp(scene.y, horizon, horizon + 0.35))
    ripples = scene.noise(5, 40, 3)
    sea = mix(sea, rgb("#ffffff"), 0.35 * ramp(ripples, 0.35, 0.9))
    picture = mix(picture, sea, cover(horizon - scene.y, scene.soft))
    foam = np.exp(-(((scene.y - shore) / 0.03) ** 2))
    sand = (
        pick_tone(scene, "#ecd3a2", "#e3c39a", "#f2dfbe")
        * (1 + 0.06 * scene.noise(20, 28, 3))[..., None]
    )
    picture = mix(picture, sand, cover(shore - scene.y, scene.soft))
    return mix(picture, rgb("#fffaf0"), 0.8 * foam)


def city(scene: Scene) -> Array:
    picture = _sky(scene)
    haze, near = picture[-1, 0], pick_tone(scene, "#5b6f92", "#7b6a86", "#4d7f86", "#96756a")
    for layer in range(3):
        pitch = 2.6 + 0.9 * (2 - layer)
        lot = np.floor(scene.x * pitch + 20 + 0.37 * layer)
        luck = np.sin((lot + 31 * layer + scene.rng.integers(99)) * 12.9898) * 43758.5453 % 1
        edge = -0.5 + 0.25 * layer + 0.5 * luck
        front = mix(haze, near, 0.25 + 0.28 * layer) * (1 + 0.05 * scene.noise(6, 6, 2))[..., None]
        across = np.abs((scene.x * pitch * 5) % 1 - 0.5) - 0.24
        down = np.abs((scene.y * 9) % 1 - 0.5) - 0.27
        lit = np.sin(np.floor(scene.x * pitch * 5) * 7.13 + np.floor(scene.y * 9) * 3.7) > 0.2
        window = cover(np.maximum(across / 13, down / 9), 0.02 + scene.soft) * lit
        front = mix(front, rgb("#ffe9bd"), (0.12 + 0.16 * layer) * window)
        picture = mix(picture, front, cover(edge - scene.y, scene.soft))
    street = (
        pick_tone(scene, "#b9ab9b", "#8f8d97", "#c8bca8")
        * (1 + 0.05 * scene.noise(12, 30))[..., None]
    )
    picture = mix(picture, street, cover(0.48 - scene.y, scene.soft))
    kerb = box(scene.x, scene.y, (-2, 0.48), (2, 0.53))
    return mix(picture, rgb("#ece3d3"), 0.8 * cover(kerb, scene.soft))


def forest(scene: Scene) -> Array:
    leaf = pick_tone(scene, "#6f9a62", "#b7a653", "#4f8577", "#d0894d")
    picture = fall(scene, lighter(leaf, 0.75), lighter(leaf, 0.35), -1, 0.7)
    for layer in range(3):
        depth = (layer + 1) / 3
        for _ in range(4):
            centre, width = scene.rng.uniform(-1.1, 1.1), 0.025 + 0.035 * depth
            bend = 0.05 * np.sin(2 * scene.y + scene.rng.uniform(0, 6))
            trunk = np.abs(scene.x - centre - bend) - width * (1 + 0.25 * scene.y)
            bark = mix(lighter(leaf, 0.4), rgb("#5d4638"), 0.25 + 0.5 * depth)
            picture = mix(picture, bark, 0.9 * cover(trunk, scene.soft))
        crown = ramp(scene.noise(2.5 + layer, 2.5 + layer) - 0.9 * scene.y, 0.55, 1.15)
        tint = (
            mix(lighter(leaf, 0.5), darker(leaf, 0.15), depth)
            * (1 + 0.12 * scene.noise(14, 14, 2))[..., None]
        )
        picture = mix(picture, tint, 0.85 * crown)
    edge = 0.42 + 0.03 * scene.noise(3, 0.2, 2)
    ground = mix(lighter(leaf, 0.15), darker(leaf, 0.3), ramp(scene.y, 0.4, 1.1))
    ground = ground * (1 + 0.12 * scene.noise(12, 26))[..., None]
    return mix(picture, ground, cover(edge - scene.y, 0.03 + scene.soft))
