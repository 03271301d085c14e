"""Synthetic pictures, and how diffusers and transformers resize them."""

import math
import zlib

import numpy
import torch
from PIL import Image


def picture(name: str, width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Gradients, discs and a little noise; what it looks like depends on the name."""
    random = numpy.random.default_rng(zlib.crc32(name.encode()))
    y, x = numpy.mgrid[0:height, 0:width]
    x, y = x / width, y / height
    channels = []
    for _ in mode:
        values = 128 + 90 * numpy.sin(2 * math.pi * (random.normal() * x + random.normal() * y + random.random()))
        for _ in range(3):
            inside = (x - random.random()) ** 2 + (y - random.random()) ** 2 < random.uniform(0.02, 0.08)
            values = numpy.where(inside, random.uniform(0, 255), values)
        channels.append(values + random.normal(scale=4, size=values.shape))
    pixels = numpy.stack(channels, axis=-1).clip(0, 255).round().astype(numpy.uint8)
    return Image.fromarray(pixels[..., 0] if mode == "L" else pixels, mode)


def disc_mask(width: int, height: int, edge: float) -> Image.Image:
    """White where the disc is; `edge` is the width of the fade as a share of the picture, 0 for none."""
    y, x = numpy.mgrid[0:height, 0:width]
    distance = numpy.hypot((x + 0.5) / width - 0.4, (y + 0.5) / height - 0.55)
    inside = ((0.3 - distance) / edge + 0.5 if edge else distance < 0.3)
    return Image.fromarray((255 * numpy.clip(inside, 0, 1)).round().astype(numpy.uint8), "L")


def depth(width: int, height: int, largest: int) -> numpy.ndarray:
    """A ball before a tilted plane, 0 (far) to `largest` (near)."""
    y, x = numpy.mgrid[0:height, 0:width]
    x, y = (x + 0.5) / width, (y + 0.5) / height
    ball = numpy.sqrt(numpy.clip(0.08 - (x - 0.6) ** 2 - (y - 0.4) ** 2, 0, None))
    values = numpy.maximum(0.2 + 0.4 * y, numpy.where(ball > 0, 0.6 + ball, 0))
    return (values / values.max() * largest).round().astype(numpy.uint16 if largest > 255 else numpy.uint8)


def fitted(image: Image.Image, width: int, height: int) -> Image.Image:
    """A picture that is drawn over, as the pipelines resize it."""
    return image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=1)


def fitted_mask(image: Image.Image, width: int, height: int) -> Image.Image:
    """A mask, as the inpainting pipeline resizes it."""
    return image.resize((width, height), Image.Resampling.LANCZOS).convert("L")


def cropped(image: Image.Image, size: int) -> Image.Image:
    """The centre square, as CLIP's preprocessing makes it of the picture; transparent parts on white."""
    if image.mode == "RGBA":
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image).convert("RGB")
    short, long = sorted(image.size)
    length = int(size * long / short)
    width, height = (size, length) if image.width <= image.height else (length, size)
    result = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - size) // 2, (height - size) // 2
    return result.crop((left, top, left + size, top + size))


def as_tensor(image: Image.Image | numpy.ndarray) -> torch.Tensor:
    return torch.from_numpy(numpy.array(image))
