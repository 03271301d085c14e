"""What the parts of the corpus share: small pictures, a case, and how a file is put together."""

import dataclasses
import io
import struct
import zlib

import numpy as np
from PIL import Image


@dataclasses.dataclass
class Case:
    """A file. What is to come of it is what Pillow makes of it, unless a field says otherwise."""

    name: str
    file: bytes
    missing: str = ""  # why it is refused although Pillow takes it: what of its pixel data is not there
    accepted: str = ""  # why it is taken although Pillow refuses it; its picture is that of `like`
    rule: str = ""  # why it is refused although Pillow takes it: a rule of ours
    like: bytes | None = None  # the file whose picture it must show, as Pillow reads that
    rgba: np.ndarray | None = None  # its picture, where Pillow does not read it as the format's specification says


def picture(width: int, height: int, channels: int, seed: int = 1) -> np.ndarray:
    """Waves and noise. The last of 2 or 4 channels is alpha: clear, half clear and opaque parts."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    colours = channels - (channels in (2, 4))
    layers = [np.clip(127 + 90 * np.sin(x / 5 + c) + 60 * np.cos(y / 4 - c) + random.normal(0, 8, x.shape), 0, 255)
              for c in range(colours)]
    if channels in (2, 4):
        layers.append(np.select([x < width // 4, x < width // 2], [0, random.integers(1, 255, x.shape)], 255))
    stacked = np.stack(layers, axis=-1).astype(np.uint8)
    return stacked[..., 0] if channels == 1 else stacked


def saved(image: Image.Image | np.ndarray, file_format: str, **options: object) -> bytes:
    out = io.BytesIO()
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    image.save(out, file_format, **options)
    return out.getvalue()


def truncations(data: bytes, first: int, count: int) -> list[int]:
    """Lengths to cut a file to, spread evenly from `first` on."""
    return sorted({first + (len(data) - first) * i // count for i in range(count)})


# ---- PNG -------------------------------------------------------------------------------------------------------------

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, data: bytes = b"", checksum: int | None = None) -> bytes:
    if checksum is None:
        checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def png_header(width: int, height: int, depth: int, color_type: int, interlace: int = 0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, interlace))


# ---- WebP ------------------------------------------------------------------------------------------------------------


def riff_chunk(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def webp_file(chunks: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WEBP" + chunks


def webp_extended(flags: int, width: int, height: int) -> bytes:
    return riff_chunk(b"VP8X", struct.pack("<I", flags) + struct.pack("<I", width - 1)[:3]
                      + struct.pack("<I", height - 1)[:3])


# ---- JPEG ------------------------------------------------------------------------------------------------------------


def segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    """Puts segments behind the start of the image."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]
