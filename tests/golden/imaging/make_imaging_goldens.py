#!/usr/bin/env python3
"""Writes what Pillow makes of small pictures, for the tests of imaging/.

Usage: make_imaging_goldens.py OUTPUT_DIR, with Pillow 10.4.0 and NumPy 1.26.4. Repeatable. README.md describes the files.
"""

import io
import json
import pathlib
import struct
import sys
import zlib

import numpy as np
import PIL
from PIL import Image, ImageOps


def write_safetensors(path: pathlib.Path, tensors: dict[str, np.ndarray]) -> None:
    names = {np.dtype("uint8"): "U8", np.dtype("float32"): "F32"}
    header, data = {}, b""
    for name, tensor in tensors.items():
        content = np.ascontiguousarray(tensor).tobytes()
        header[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape),
                        "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def picture(width: int, height: int, channels: int, seed: int) -> np.ndarray:
    """Smooth colours, hard edges and noise: each shows other mistakes of a filter."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    layers = []
    for channel in range(channels):
        phase = random.uniform(0, 6, 3)
        wave = 127 + 80 * np.sin(x / 9 + phase[0]) + 60 * np.cos(y / 7 + phase[1])
        edges = 120 * (((x // 11) + (y // 13) + channel) % 2)
        noise = random.normal(0, 25, (height, width))
        third = width // 3
        layer = np.where(x < third, wave, np.where(x < 2 * third, edges + 60 * (channel == 1), 128 + noise * 4))
        layers.append(np.clip(np.rint(layer), 0, 255).astype(np.uint8))
    return layers[0] if channels == 1 else np.stack(layers, axis=-1)


# ---- decoding --------------------------------------------------------------------------------------------------------


def exif(orientation: int, big_endian: bool = False) -> bytes:
    order = ">" if big_endian else "<"
    tiff = (b"MM" if big_endian else b"II") + struct.pack(order + "HI", 42, 8)
    tiff += struct.pack(order + "H", 2)
    tiff += struct.pack(order + "HHII", 0x010E, 2, 4, 0x61626300)  # a description comes first
    tiff += struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    return b"Exif\0\0" + tiff + struct.pack(order + "I", 0)


def saved(image: Image.Image, file_format: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, file_format, **options)
    return out.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png16(samples: np.ndarray, color_type: int) -> bytes:
    height, width = samples.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def without_segment(jpeg: bytes, marker: int) -> bytes:
    at = jpeg.index(bytes([0xFF, marker]))
    return jpeg[:at] + jpeg[at + 2 + int.from_bytes(jpeg[at + 2:at + 4], "big"):]


def jpeg_files(rgb: Image.Image, grey: Image.Image, cmyk: Image.Image) -> dict[str, bytes]:
    files = {
        "jpeg_grey": saved(grey, "JPEG", quality=90),
        "jpeg_444": saved(rgb, "JPEG", quality=95, subsampling=0),
        "jpeg_422": saved(rgb, "JPEG", quality=85, subsampling=1),
        "jpeg_420": saved(rgb, "JPEG", quality=75, subsampling=2),
        "jpeg_progressive": saved(rgb, "JPEG", quality=80, progressive=True),
        "jpeg_progressive_grey": saved(grey, "JPEG", quality=80, progressive=True),
        "jpeg_restarts": saved(rgb, "JPEG", quality=80, restart_marker_blocks=2),
        "jpeg_rgb_stored": saved(rgb, "JPEG", quality=90, keep_rgb=True),
        "jpeg_cmyk": saved(cmyk, "JPEG", quality=90),
    }
    files["jpeg_cmyk_without_adobe"] = without_segment(files["jpeg_cmyk"], 0xEE)
    # The same file, declared to be YCCK: the last byte of Adobe's segment is the transform.
    at = files["jpeg_cmyk"].index(b"Adobe") + 11
    files["jpeg_ycck"] = files["jpeg_cmyk"][:at] + b"\2" + files["jpeg_cmyk"][at + 1:]
    for orientation in range(1, 9):
        files[f"jpeg_orientation_{orientation}"] = saved(rgb, "JPEG", quality=90,
                                                         exif=exif(orientation, orientation % 2 == 0))
    return files


def webp_files(rgb: Image.Image, rgba: Image.Image) -> dict[str, bytes]:
    files = {
        "webp_lossy": saved(rgb, "WEBP", quality=80),
        "webp_lossless": saved(rgb, "WEBP", lossless=True),
        "webp_lossy_alpha": saved(rgba, "WEBP", quality=80),
        "webp_lossless_alpha": saved(rgba, "WEBP", lossless=True, exact=True),
    }
    for orientation in (3, 6):
        files[f"webp_orientation_{orientation}"] = saved(rgb, "WEBP", lossless=True, exif=exif(orientation))
    return files


def png_files(rgb: Image.Image, grey: Image.Image, rgba: Image.Image) -> dict[str, bytes]:
    palette = rgb.quantize(11)
    clear_palette = rgb.quantize(200)
    high = np.random.default_rng(7).integers(0, 65536, (19, 23, 4))
    files = {
        "png_rgb": saved(rgb, "PNG"),
        "png_grey": saved(grey, "PNG"),
        "png_bits": saved(grey.convert("1"), "PNG"),
        "png_rgba": saved(rgba, "PNG"),
        "png_grey_alpha": saved(rgba.convert("LA"), "PNG"),
        "png_palette_4bit": saved(palette, "PNG"),
        "png_palette_alpha": saved(clear_palette, "PNG", transparency=bytes(range(0, 200))),
        "png_palette_key": saved(palette, "PNG", transparency=3),
        "png_rgb16": png16(high[..., :3], 2),
        "png_rgba16": png16(high, 6),
    }
    for orientation in (4, 5, 8):
        files[f"png_orientation_{orientation}"] = saved(rgb, "PNG", exif=exif(orientation)[6:])
    return files


def decoded(file: bytes) -> tuple[np.ndarray, np.ndarray]:
    """What the server's rules say, in Pillow's calls."""
    image = Image.open(io.BytesIO(file))
    image.load()
    image = ImageOps.exif_transpose(image)
    if "transparency" in image.info or image.mode in ("RGBA", "LA"):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("RGB") if image.mode != "L" else image
    return np.asarray(image.convert("RGB")), np.asarray(image.convert("L"))


def decode_cases() -> tuple[list[dict], dict[str, np.ndarray]]:
    rgb = Image.fromarray(picture(43, 29, 3, 11))
    grey = Image.fromarray(picture(37, 26, 1, 12))
    rgba = Image.fromarray(picture(31, 24, 4, 13))
    cmyk = Image.fromarray(picture(40, 24, 4, 14), "CMYK")
    cases, tensors = [], {}
    for name, file in (png_files(rgb, grey, rgba) | jpeg_files(rgb, grey, cmyk) | webp_files(rgb, rgba)).items():
        colours, luma = decoded(file)
        cases.append({"case": name})
        tensors[f"{name}.file"] = np.frombuffer(file, np.uint8)
        tensors[f"{name}.rgb"], tensors[f"{name}.grey"] = colours, luma
    return cases, tensors


def main() -> None:
    if PIL.__version__ != "10.4.0":
        sys.exit(f"Pillow 10.4.0 is needed, not {PIL.__version__}")
    folder = pathlib.Path(sys.argv[1])
    cases, tensors = decode_cases()
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    versions = json.dumps({"pillow": PIL.__version__, "numpy": np.__version__})
    (folder / "decode.json").write_text(f'{{"versions":{versions},"cases":[\n{lines}\n]}}\n', encoding="utf-8")
    write_safetensors(folder / "decode.safetensors", tensors)


if __name__ == "__main__":
    main()
