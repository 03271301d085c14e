#!/usr/bin/env python3
"""Writes pillow.json: check sums of what the pinned Pillow makes of noise, at many sizes and in all modes.

Usage: make_resize_goldens.py OUTPUT_DIR, in the environment of the parity tests. Repeatable. README.md describes the file.
"""

import json
import pathlib
import random
import sys
import zlib

import numpy as np
import PIL
from diffusers.image_processor import VaeImageProcessor
from PIL import Image
from transformers import CLIPImageProcessorPil

PILLOW = "13.0.0"
BICUBIC, LANCZOS = Image.Resampling.BICUBIC, Image.Resampling.LANCZOS
# Width and height before and after, as people have them.
COMMON = [(90, 120, 64, 64), (120, 90, 64, 64), (768, 1024, 512, 512), (1080, 1920, 512, 512), (1024, 1536, 768, 768),
          (600, 800, 512, 704), (720, 1280, 384, 640), (1200, 400, 512, 512), (400, 1200, 512, 512), (512, 513, 512, 512),
          (513, 512, 512, 512), (640, 480, 512, 512), (480, 640, 512, 512), (1500, 2250, 64, 128), (64, 1000, 64, 64)]


def noise(count: int, seed: int) -> np.ndarray:
    """Bytes that the test makes in the same way."""
    value = np.arange(count, dtype=np.uint32) * np.uint32(2654435761) + np.uint32(seed * 40503 % 2**32)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        value ^= value >> np.uint32(shift)
        value *= np.uint32(factor)
    return (value >> np.uint32(24)).astype(np.uint8)


def size_pairs() -> list[tuple[int, int, int, int]]:
    """Those above, random ones, and many on either side of where the order of the passes changes."""
    draw = random.Random(5)
    pairs = list(COMMON)
    while len(pairs) < 170:
        pairs.append(tuple(draw.randint(1, draw.choice((9, 60, 200))) for _ in range(4)))
    while len(pairs) < 420:
        width, to_width = draw.randint(1, 130), draw.randint(1, 130)
        lost_rows = 2 * (width - to_width) + draw.choice((-2, -1, 0, 1, 2, 3))
        to_height = draw.randint(1, 120)
        if to_height + lost_rows >= 1:
            pairs.append((width, to_height + lost_rows, to_width, to_height))
    return pairs


def check_sum(array: np.ndarray) -> str:
    return f"{zlib.crc32(np.ascontiguousarray(array).tobytes()):08x}"


def clip_crop(image: Image.Image, size: int) -> Image.Image:
    """transformers' CLIPImageProcessor before it normalises."""
    short, long = sorted(image.size)
    long = int(size * long / short)
    new = (size, long) if image.width <= image.height else (long, size)
    left, top = (new[0] - size) // 2, (new[1] - size) // 2
    return image.resize(new, BICUBIC).crop((left, top, left + size, top + size))


def check_references(image: Image.Image, size: tuple[int, int]) -> None:
    """The processors of diffusers and transformers must do what is recorded here."""
    processor = VaeImageProcessor(vae_scale_factor=1, resample="bicubic", reducing_gap=1)
    pixels = processor.preprocess(image, height=size[1], width=size[0])[0].numpy().transpose(1, 2, 0)
    resized = np.asarray(image.resize(size, BICUBIC, reducing_gap=1.0))
    assert np.abs(pixels - (resized / 127.5 - 1)).max() < 1e-6, (image.size, size)
    edge = min(size)
    processor = CLIPImageProcessorPil(size={"shortest_edge": edge}, crop_size={"height": edge, "width": edge},
                                      do_rescale=False, do_normalize=False)
    pixels = processor(image, return_tensors="np").pixel_values[0].transpose(1, 2, 0)
    assert np.array_equal(pixels, np.asarray(clip_crop(image, edge))), (image.size, size)


def results(seed: int, pair: tuple[int, int, int, int]) -> list[str]:
    width, height, *size = pair
    sums = []
    for channels in (1, 3, 4):
        pixels = noise(width * height * channels, seed).reshape(height, width, channels)
        image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
        for resample in (BICUBIC, LANCZOS):
            for gap in (None, 1.0):
                sums.append(check_sum(np.asarray(image.resize(size, resample, reducing_gap=gap))))
        if channels == 3:
            check_references(image, tuple(size))
            sums.append(check_sum(np.asarray(clip_crop(image, min(size)))))
    high, low = noise(2 * width * height, seed).astype(np.uint16).reshape(2, height, width)
    depth = ((high << 8 | low) / np.float32(65535)).astype(np.float32)
    resized = np.asarray(Image.fromarray(depth).resize(size, BICUBIC))
    sums.append(check_sum(np.clip(resized, np.float32(0), np.float32(1)) + np.float32(0)))
    return sums


def main() -> None:
    if PIL.__version__ != PILLOW:
        sys.exit(f"Pillow {PILLOW} is needed, not {PIL.__version__}")
    lines = [json.dumps({"sizes": pair, "sums": " ".join(results(seed, pair))}, separators=(",", ":"))
             for seed, pair in enumerate(size_pairs())]
    text = f'{{"pillow":"{PIL.__version__}","cases":[\n' + ",\n".join(lines) + "\n]}\n"
    (pathlib.Path(sys.argv[1]) / "pillow.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
