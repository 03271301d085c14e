"""Synthetic pictures, and their resizing: what the server does with a client's picture, spelled out with Pillow.

The server follows Pillow 10.4, which resizes horizontally and then vertically. Pillow 13, which diffusers uses here,
sometimes goes the other way round (one or two grey levels of difference). resized() is the former, and refuses sizes
at which the installed Pillow does something else, so that a comparison with diffusers rests on neither.
"""

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


def resized(image: Image.Image, width: int, height: int, filter: Image.Resampling,
            reducing_gap: float | None = None) -> Image.Image:
    """As Pillow 10.4 resizes; ValueError when the installed Pillow does it differently."""
    box, reduced = (0, 0, image.width, image.height), image
    if reducing_gap is not None:
        factors = [max(1, int(size / target / reducing_gap)) for size, target in zip(image.size, (width, height))]
        if factors != [1, 1]:
            box = (0, 0, image.width / factors[0], image.height / factors[1])
            reduced = image.reduce(tuple(factors))
    result = reduced
    if (width, box[2]) != (reduced.width, reduced.width):
        result = result.resize((width, reduced.height), filter, box=(0, 0, box[2], reduced.height))
    if (height, box[3]) != (reduced.height, reduced.height):
        result = result.resize((width, height), filter, box=(0, 0, width, box[3]))
    installed = image.resize((width, height), filter, reducing_gap=reducing_gap)
    if numpy.any(numpy.asarray(result) != numpy.asarray(installed)):
        raise ValueError(f"Pillow resizes {image.size} to {width}x{height} in another order; take other sizes")
    return result


def fitted(image: Image.Image, width: int, height: int) -> Image.Image:
    """A picture that is drawn over, as the pipelines resize it."""
    return resized(image, width, height, Image.Resampling.BICUBIC, reducing_gap=1)


def fitted_mask(image: Image.Image, width: int, height: int) -> Image.Image:
    """A mask, as the inpainting pipeline resizes it."""
    return resized(image, width, height, Image.Resampling.LANCZOS).convert("L")


def cropped(image: Image.Image, size: int) -> Image.Image:
    """The centre square, as CLIP's preprocessing makes it of the picture; transparent parts on white."""
    if image.mode == "RGBA":
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image).convert("RGB")
    short, long = sorted(image.size)
    length = int(size * long / short)
    width, height = (size, length) if image.width <= image.height else (length, size)
    result = resized(image, width, height, Image.Resampling.BICUBIC)
    left, top = (width - size) // 2, (height - size) // 2
    return result.crop((left, top, left + size, top + size))


def as_tensor(image: Image.Image | numpy.ndarray) -> torch.Tensor:
    return torch.from_numpy(numpy.array(image))
