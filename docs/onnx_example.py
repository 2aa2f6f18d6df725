"""Animate a picture with what tools/export.py wrote, where there is no torch.

pip install numpy onnxruntime imageio imageio-ffmpeg
python docs/onnx_example.py exported demo/source.png demo/driving.mp4 result.mp4
"""

import sys
from collections.abc import Iterable

import imageio.v3 as iio
import numpy as np
import onnxruntime
from PIL import Image

folder, picture, video, result = sys.argv[1:]
encode_source = onnxruntime.InferenceSession(f"{folder}/encode_source.onnx")
step = onnxruntime.InferenceSession(f"{folder}/step.onnx")
_, _, height, width = step.get_inputs()[0].shape


def to_images(frames: Iterable[np.ndarray]) -> np.ndarray:
    images = [Image.fromarray(it).convert("RGB").resize((width, height)) for it in frames]
    return np.stack([*map(np.asarray, images)]).transpose(0, 3, 1, 2).astype(np.float32) / 255


def encode(images: np.ndarray) -> dict[str, np.ndarray]:
    names = [output.name for output in encode_source.get_outputs()]
    return dict(zip(names, encode_source.run(names, {"source_image": images}), strict=True))


source, driving = to_images([iio.imread(picture)]), to_images(iio.imiter(video))
values = {"source_image": source, **encode(source), "scale": np.ones((), np.float32)}
# Motion is carried over since the first frame; since the source itself, it would be absolute.
values |= {key.replace("source", "reference"): it for key, it in encode(driving[:1]).items()}
moved = []
for start in range(0, len(driving), 4):
    values["driving"] = driving[start : start + 4]
    moved += step.run(None, {port.name: values[port.name] for port in step.get_inputs()})
frames = (np.concatenate(moved).transpose(0, 2, 3, 1) * 255).round().astype(np.uint8)
iio.imwrite(result, frames, fps=iio.immeta(video)["fps"])
