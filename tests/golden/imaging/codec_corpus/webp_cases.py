"""WebP files of every kind, and damaged ones."""

import struct

from common import Case, picture, riff_chunk, saved, truncations, webp_extended, webp_file
from PIL import Image

WIDTH, HEIGHT = 27, 18
ALPHA, ANIMATION = 0x10, 0x02
ICC, EXIF, XMP = 0x20, 0x08, 0x04


def chunks_of(file: bytes) -> bytes:
    return file[12:]


def chunk_named(file: bytes, name: bytes) -> bytes:
    at = 12
    while file[at:at + 4] != name:
        length = int.from_bytes(file[at + 4:at + 8], "little")
        at += 8 + length + length % 2
    length = int.from_bytes(file[at + 4:at + 8], "little")
    return file[at:at + 8 + length + length % 2]


def with_riff_size(file: bytes, more: int) -> bytes:
    return file[:4] + struct.pack("<I", int.from_bytes(file[4:8], "little") + more) + file[8:]


def webp_cases() -> list[Case]:
    rgb, rgba = picture(WIDTH, HEIGHT, 3), picture(WIDTH, HEIGHT, 4)
    lossy, lossless = saved(rgb, "WEBP", quality=70), saved(rgb, "WEBP", lossless=True)
    lossy_alpha, lossless_alpha = saved(rgba, "WEBP", quality=70), saved(rgba, "WEBP", lossless=True, exact=True)
    odd = webp_file(riff_chunk(b"VP8 ", lossy[20:] + b"\0"))
    files = {
        "lossy": lossy, "lossless": lossless, "lossy_alpha": lossy_alpha, "lossless_alpha": lossless_alpha,
        "lossy_alpha_quality_10": saved(rgba, "WEBP", quality=20, alpha_quality=10),
        "lossless_palette": saved(Image.fromarray(rgb).quantize(5), "WEBP", lossless=True),
        "grey": saved(picture(WIDTH, HEIGHT, 1), "WEBP", quality=70), "odd_chunk": odd,
        "one_pixel": saved(picture(1, 1, 3), "WEBP"),
    }
    for name, file in (("lossy", lossy), ("lossless", lossless), ("lossy_alpha", lossy_alpha)):
        files |= {f"{name}_trailing_{what}": file + tail for what, tail in {
            "byte": b"\0", "newline": b"\n", "zip": b"PK\x03\x04" + bytes(30), "webp": file,
            "chunk": riff_chunk(b"XMP ", b"text")}.items()}
    body, alpha_chunk = chunk_named(lossy_alpha, b"VP8 "), chunk_named(lossy_alpha, b"ALPH")
    wrong_size = webp_extended(0, WIDTH + 1, HEIGHT) + chunks_of(lossy)
    extended = {
        "plain": webp_extended(0, WIDTH, HEIGHT) + chunks_of(lossy),
        "alpha_flag_without_alpha": webp_extended(ALPHA, WIDTH, HEIGHT) + chunks_of(lossy),
        "alpha_without_flag": webp_extended(0, WIDTH, HEIGHT) + alpha_chunk + body,
        "lossless_alpha_without_flag": webp_extended(0, WIDTH, HEIGHT) + chunks_of(lossless_alpha),
        "lossless_alpha_with_flag": webp_extended(ALPHA, WIDTH, HEIGHT) + chunks_of(lossless_alpha),
        "flags_without_chunks": webp_extended(ICC | EXIF | XMP, WIDTH, HEIGHT) + chunks_of(lossy),
        "reserved_flags": webp_extended(0xC1, WIDTH, HEIGHT) + chunks_of(lossy),
        "reserved_bytes": webp_extended(0x00ABCD00, WIDTH, HEIGHT) + chunks_of(lossy),
        "profile_nonsense": webp_extended(ICC, WIDTH, HEIGHT) + riff_chunk(b"ICCP", b"nonsense") + chunks_of(lossy),
        "unknown_chunk_before": webp_extended(0, WIDTH, HEIGHT) + riff_chunk(b"abcd", b"odd") + chunks_of(lossy),
        "unknown_chunk_behind": webp_extended(0, WIDTH, HEIGHT) + chunks_of(lossy) + riff_chunk(b"abcd", b"odd"),
        "picture_twice": webp_extended(0, WIDTH, HEIGHT) + chunks_of(lossy) + chunks_of(lossless),
        "animation_flag": webp_extended(ANIMATION, WIDTH, HEIGHT) + chunks_of(lossy),
        "wrong_size": wrong_size,
    }
    files |= {f"extended_{name}": webp_file(chunks) for name, chunks in extended.items()}
    files |= {
        "chunk_behind_simple": webp_file(chunks_of(lossy) + riff_chunk(b"abcd", b"odd")),
        "chunk_before_simple": webp_file(riff_chunk(b"abcd", b"even") + chunks_of(lossy)),
        "exif_in_simple": webp_file(chunks_of(lossy) + riff_chunk(b"EXIF", b"Exif\0\0")),
        "odd_chunk_without_padding": odd[:-1], "odd_chunk_without_padding_told": with_riff_size(odd[:-1], -1),
        "size_1_more": with_riff_size(lossy, 1), "size_2_more": with_riff_size(lossy, 2),
        "size_1_less": with_riff_size(lossy, -1), "size_2_less": with_riff_size(lossy, -2),
        "size_0": lossy[:4] + bytes(4) + lossy[8:], "size_huge": lossy[:4] + b"\xfe\xff\xff\xff" + lossy[8:],
        "padding_told_as_more": with_riff_size(lossy + b"\0", 1),
        "no_picture": webp_file(riff_chunk(b"abcd", b"even")), "nothing": webp_file(b""),
        "junk_behind_in_size": with_riff_size(lossy + b"junk", 4), "one_byte_in_size": with_riff_size(lossy + b"j", 1),
    }
    # The demultiplexer that Pillow asks is strict about these.
    whole = {"extended_reserved_flags": lossy, "extended_picture_twice": lossy, "odd_chunk_without_padding_told": odd,
             "padding_told_as_more": lossy, "junk_behind_in_size": lossy, "one_byte_in_size": lossy}
    cases = [Case(f"webp_{name}", file, accepted="the picture is whole, what is wrong is around it" if name in whole
                  else "", like=whole.get(name)) for name, file in files.items()]
    images = [Image.fromarray(picture(WIDTH, HEIGHT, 3, seed)) for seed in (1, 2)]
    animated = saved(images[0], "WEBP", save_all=True, append_images=images[1:])
    cases.append(Case("webp_animated", animated, rule="animations are not supported"))
    for name, file in (("lossy", lossy), ("lossless", lossless), ("lossy_alpha", lossy_alpha)):
        cases += [Case(f"webp_{name}_cut_at_{size}", file[:size]) for size in truncations(file, 12, 6)]
        cases += [Case(f"webp_{name}_cut_at_{size}_told", with_riff_size(file[:size], size - len(file)))
                  for size in truncations(file, 30, 4)]
    for name, file in (("lossy", lossy), ("lossless", lossless)):
        data = file[20:20 + int.from_bytes(file[16:20], "little")]
        cases += [Case(f"webp_{name}_data_cut_at_{size}", webp_file(riff_chunk(file[12:16], data[:size])))
                  for size in truncations(data[:-4], 12, 6)]
        cases += [Case(f"webp_{name}_data_and_{size}_more", webp_file(riff_chunk(file[12:16], data + bytes(size))))
                  for size in (1, 2, 40)]
    return cases
