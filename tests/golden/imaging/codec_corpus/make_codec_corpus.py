#!/usr/bin/env python3
"""Writes files of every kind, whole and damaged, with what Pillow makes of them.

Usage: make_codec_corpus.py OUTPUT_DIR, in the environment of the parity tests (tests/parity/requirements.txt). Repeatable.
../README.md describes the files.
"""

import io
import json
import pathlib
import struct
import sys
import warnings
import zlib

import numpy as np
import PIL
from common import Case
from jpeg_cases import jpeg_cases
from orientation_cases import orientation_cases
from PIL import Image, ImageOps
from png_cases import png_cases
from webp_cases import webp_cases

VERSION = "13.0.0"


def shown(file: bytes) -> Image.Image:
    """What Pillow makes of a file, upright; raises when it refuses it."""
    image = Image.open(io.BytesIO(file), formats=["PNG", "JPEG", "WEBP"])
    image.load()
    return ImageOps.exif_transpose(image)


def over(rgba: Image.Image, colour: str) -> Image.Image:
    return Image.alpha_composite(Image.new("RGBA", rgba.size, colour), rgba).convert("RGB")


def planes(image: Image.Image) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """RGB over white, and grey over black and over white."""
    if "transparency" in image.info or image.mode in ("RGBA", "LA"):
        rgba = image.convert("RGBA")
        white, black = over(rgba, "white"), over(rgba, "black")
        return np.asarray(white), np.asarray(black.convert("L")), np.asarray(white.convert("L"))
    opaque = image if image.mode == "L" else image.convert("RGB")
    grey = np.asarray(opaque.convert("L"))
    return np.asarray(opaque.convert("RGB")), grey, grey


def record(case: Case) -> dict:
    """Sizes and CRC-32s of the three planes, or that the file is refused."""
    entry: dict = {"case": case.name}
    try:
        image = shown(case.file)
    except Exception:  # Pillow raises whatever its parsers run into
        image = None
    pillow_takes_it = image is not None
    if case.missing or case.rule:
        reason = {"missing": case.missing} if case.missing else {"rule": case.rule}
        if not pillow_takes_it:
            return entry | {"refused": True}
        return entry | {"refused": True, "pillow": "takes it"} | reason
    if case.accepted:
        assert case.like is not None
        if not pillow_takes_it:
            image = shown(case.like)
            entry |= {"pillow": "refuses it", "accepted": case.accepted}
    if image is None:
        return entry | {"refused": True}
    if case.rgba is not None:
        image = Image.fromarray(case.rgba, "RGBA")
        if any((ours != its).any() for ours, its in zip(planes(image), planes(shown(case.file)))):
            entry["pillow"] = "reads it otherwise than its format says"
    rgb, black, white = planes(image)
    return entry | {"size": list(image.size), "rgb": zlib.crc32(rgb.tobytes()), "grey_over_black": zlib.crc32(
        black.tobytes()), "grey_over_white": zlib.crc32(white.tobytes())}


def write_files(path: pathlib.Path, cases: list[Case]) -> None:
    header, data = {}, b""
    for case in cases:
        header[case.name] = {"dtype": "U8", "shape": [len(case.file)], "data_offsets": [len(data), len(data) + len(case.file)]}
        data += case.file
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def main() -> None:
    if PIL.__version__ != VERSION:
        sys.exit(f"Pillow {VERSION} is needed, not {PIL.__version__}")
    warnings.simplefilter("ignore")
    folder = pathlib.Path(sys.argv[1])
    cases = png_cases() + jpeg_cases() + webp_cases() + orientation_cases()
    assert len({case.name for case in cases}) == len(cases)
    lines = ",\n".join(json.dumps(record(case), separators=(",", ":")) for case in cases)
    versions = json.dumps({"pillow": PIL.__version__, "numpy": np.__version__})
    (folder / "codecs.json").write_text(f'{{"versions":{versions},"cases":[\n{lines}\n]}}\n', encoding="utf-8")
    write_files(folder / "codecs.safetensors", cases)


if __name__ == "__main__":
    main()
