"""PNG files of every kind, and damaged ones."""

import zlib

import numpy as np
from common import SIGNATURE, Case, chunk, picture, png_header, saved, truncations
from orientation_cases import exif

WIDTH, HEIGHT = 23, 17
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
END = chunk(b"IEND")


# ---- writing ---------------------------------------------------------------------------------------------------------


def samples(depth: int, color_type: int) -> np.ndarray:
    """[HEIGHT, WIDTH, channels] in the whole range of `depth` bits."""
    image = picture(WIDTH, HEIGHT, CHANNELS[color_type]).reshape(HEIGHT, WIDTH, -1).astype(np.int64)
    if depth == 16:
        low = np.random.default_rng(5).integers(0, 256, image.shape)
        return np.where(image % 255 == 0, image * 257, image * 256 + low)  # black, white, clear and opaque stay
    return image >> (8 - depth)


def packed(row: np.ndarray, depth: int) -> bytes:
    if depth == 16:
        return row.astype(">u2").tobytes()
    if depth == 8:
        return row.astype(np.uint8).tobytes()
    bits = ((row.reshape(-1, 1) >> np.arange(depth - 1, -1, -1)) & 1).reshape(-1)
    return np.packbits(bits.astype(np.uint8)).tobytes()


def paeth(a: int, b: int, c: int) -> int:
    p = a + b - c
    return min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]


def filtered(kind: int, row: bytes, above: bytes, step: int) -> bytes:
    out = bytearray([kind])
    for i, value in enumerate(row):
        a, b, c = row[i - step] if i >= step else 0, above[i], above[i - step] if i >= step else 0
        out.append((value - (0, a, b, (a + b) // 2, paeth(a, b, c))[kind]) & 255)
    return bytes(out)


def rows(image: np.ndarray, depth: int) -> bytes:
    """The rows as they are compressed, their filters in turn."""
    step = max(1, image.shape[2] * depth // 8)
    lines = [packed(row.reshape(-1), depth) for row in image]
    above = [bytes(len(line)) for line in lines[:1]] + lines[:-1]
    return b"".join(filtered(y % 5, line, up, step) for y, (line, up) in enumerate(zip(lines, above)))


def stream(image: np.ndarray, depth: int, interlace: bool) -> bytes:
    if not interlace:
        return rows(image, depth)
    passes = [image[y::dy, x::dx] for x, y, dx, dy in ADAM7]
    return b"".join(rows(part, depth) for part in passes if part.size > 0)


def palette(depth: int) -> bytes:
    return np.random.default_rng(9).integers(0, 256, 3 << depth, dtype=np.uint8).tobytes()


def png(depth: int, color_type: int, interlace: bool = False, extra: bytes = b"") -> bytes:
    """`extra` stands before the pixels, behind the palette."""
    colours = chunk(b"PLTE", palette(depth)) if color_type == 3 else b""
    data = zlib.compress(stream(samples(depth, color_type), depth, interlace))
    return (SIGNATURE + png_header(WIDTH, HEIGHT, depth, color_type, int(interlace)) + colours + extra
            + chunk(b"IDAT", data) + END)


# ---- cases -----------------------------------------------------------------------------------------------------------


def opaque(grey_or_rgb: np.ndarray) -> np.ndarray:
    rgb = np.broadcast_to(grey_or_rgb, (*grey_or_rgb.shape[:2], 3))
    return np.concatenate([rgb, np.full((*rgb.shape[:2], 1), 255)], axis=-1).astype(np.uint8)


def keyed(depth: int, color_type: int, key: np.ndarray) -> np.ndarray:
    """RGBA as the PNG specification says: samples equal to the key are transparent, in their full depth."""
    values = samples(depth, color_type)
    shown = values >> 8 if depth == 16 else values * 255 // ((1 << depth) - 1)
    rgba = opaque(shown)
    rgba[(values == key).all(axis=-1), 3] = 0
    return rgba


def modes() -> list[Case]:
    cases = []
    for color_type, depths in DEPTHS.items():
        for depth in depths:
            for interlace in (False, True):
                rgba = opaque(samples(16, 0) >> 8) if (depth, color_type) == (16, 0) else None
                cases.append(Case(f"png_mode_{color_type}_{depth}bit{'_interlaced' * interlace}",
                                  png(depth, color_type, interlace), rgba=rgba))
    for width, height in ((1, 1), (1, 5), (5, 1), (2, 3), (8, 8), (9, 4)):
        data = stream(picture(width, height, 3).reshape(height, width, 3), 8, True)
        cases.append(Case(f"png_interlaced_{width}x{height}", SIGNATURE + png_header(width, height, 8, 2, 1)
                          + chunk(b"IDAT", zlib.compress(data)) + END))
    return cases


def transparency() -> list[Case]:
    cases = []
    for color_type, depth in ((0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16)):
        key = samples(depth, color_type)[8, 11]
        data = key.astype(">u2").tobytes()
        for interlace in (False, True):
            cases.append(Case(f"png_key_{color_type}_{depth}bit{'_interlaced' * interlace}",
                              png(depth, color_type, interlace, chunk(b"tRNS", data)),
                              rgba=keyed(depth, color_type, key)))
    for depth in (1, 2, 4, 8):
        colours = 1 << depth
        alphas = np.random.default_rng(3).integers(0, 256, colours, dtype=np.uint8).tobytes()
        cases.append(Case(f"png_palette_alpha_{depth}bit", png(depth, 3, extra=chunk(b"tRNS", alphas))))
        cases.append(Case(f"png_palette_one_clear_{depth}bit",
                          png(depth, 3, extra=chunk(b"tRNS", b"\xff" * (colours // 2) + b"\0"))))
    cases += [
        Case("png_palette_alpha_shorter", png(4, 3, extra=chunk(b"tRNS", bytes(range(0, 60, 20))))),
        Case("png_palette_alpha_longer", png(2, 3, extra=chunk(b"tRNS", bytes(range(0, 200, 20))))),
        Case("png_palette_alpha_empty", png(2, 3, extra=chunk(b"tRNS"))),
        Case("png_trns_in_grey_alpha", png(8, 4, extra=chunk(b"tRNS", b"\0\1"))),
        Case("png_trns_in_rgba", png(8, 6, extra=chunk(b"tRNS", b"\0\1\0\2\0\3"))),
        Case("png_trns_in_rgba_empty", png(8, 6, extra=chunk(b"tRNS"))),
        Case("png_key_longer", png(8, 2, extra=chunk(b"tRNS", b"\0\1\0\2\0\3\0\4"))),
        Case("png_key_too_short", png(8, 2, extra=chunk(b"tRNS", b"\0\1\0\2"))),
        Case("png_two_trns", png(8, 3, extra=chunk(b"tRNS", bytes(range(100))) + chunk(b"tRNS", bytes(50)))),
    ]
    before = png(8, 3)
    at = before.index(b"PLTE") - 4
    cases.append(Case("png_trns_before_palette", before[:at] + chunk(b"tRNS", bytes(range(200))) + before[at:]))
    return cases


def assembled(*chunks: bytes, color_type: int = 2) -> bytes:
    """8-bit files of the one size around other chunks than usual."""
    return SIGNATURE + png_header(WIDTH, HEIGHT, 8, color_type) + b"".join(chunks)


def streams() -> list[Case]:
    """Around the compressed pixels."""
    raw = stream(samples(8, 2), 8, False)
    data = zlib.compress(raw)
    row = 1 + 3 * WIDTH

    def idat(name: str, content: bytes, **fields: object) -> Case:
        return Case(f"png_{name}", assembled(chunk(b"IDAT", content), END), **fields)

    small_window = zlib.compressobj(9, zlib.DEFLATED, 15)
    long_match = small_window.compress(raw) + small_window.flush()
    flushed = zlib.compressobj()
    parts = b"".join(flushed.compress(raw[i:i + 100]) + flushed.flush(zlib.Z_SYNC_FLUSH)
                     for i in range(0, len(raw), 100))
    sixth = [data[i::1][:7] for i in range(0, len(data), 7)]
    cases = [
        idat("extra_zeros_in_stream", zlib.compress(raw + bytes(16))),
        idat("extra_rows_in_stream", zlib.compress(raw + raw[:3 * row])),
        idat("extra_kilobytes_in_stream", zlib.compress(raw + bytes(9000))),
        idat("extra_byte_in_stream", zlib.compress(raw + b"\x07")),
        idat("extra_bytes_behind_stream", data + bytes(16)),
        idat("extra_text_behind_stream", data + b"thumbnail: none"),
        idat("extra_stream_behind_stream", data + data),
        idat("no_adler", data[:-4]),
        idat("half_adler", data[:-2]),
        idat("wrong_adler", data[:-4] + b"\1\2\3\4"),
        idat("small_window_promised", b"\x08\x1d" + long_match[2:]),
        idat("bad_zlib_header", b"\x78\x00" + data[2:]),
        idat("stored", zlib.compress(raw, 0)),
        idat("sync_flushes", parts + flushed.flush()),
        idat("never_finished", parts),
        idat("bad_filter", zlib.compress(raw[:5 * row] + b"\x05" + raw[5 * row + 1:])),
        idat("last_row_missing", zlib.compress(raw[:-row]), missing="the last row"),
        idat("last_byte_missing", zlib.compress(raw[:-1])),
        idat("half_missing", zlib.compress(raw[:len(raw) // 2])),
        idat("first_row_only", zlib.compress(raw[:row]), missing="all rows but one"),
        idat("no_data_in_chunk", b""),
        idat("not_compressed", raw),
        Case("png_chunks_of_7_bytes", assembled(*[chunk(b"IDAT", part) for part in sixth], END)),
        Case("png_chunks_of_1_byte", assembled(*[chunk(b"IDAT", data[i:i + 1]) for i in range(len(data))], END)),
        Case("png_empty_chunks", assembled(chunk(b"IDAT"), chunk(b"IDAT", data[:90]), chunk(b"IDAT"),
                                           chunk(b"IDAT", data[90:]), chunk(b"IDAT"), END)),
        Case("png_junk_in_second_chunk", assembled(chunk(b"IDAT", data), chunk(b"IDAT", b"junk" * 9), END)),
        Case("png_split_by_text", assembled(chunk(b"IDAT", data[:90]), chunk(b"tEXt", b"k\0v"),
                                            chunk(b"IDAT", data[90:]), END)),
        Case("png_second_run_of_pixels", assembled(chunk(b"IDAT", data), chunk(b"tEXt", b"k\0v"),
                                                   chunk(b"IDAT", data), END)),
        Case("png_wrong_checksum_of_pixels", assembled(chunk(b"IDAT", data, 1), END)),
        Case("png_wrong_checksums_of_pixels", assembled(chunk(b"IDAT", data[:50], 1), chunk(b"IDAT", data[50:], 2),
                                                        END)),
        Case("png_no_pixels", assembled(END)),
        Case("png_damaged_pixels", assembled(chunk(b"IDAT", data[:100] + b"\xff\xff\xff\xff" + data[104:]), END)),
    ]
    for missing in (5, 6, 8, 12, 20, 50, 200):
        cases.append(idat(f"stream_without_last_{missing}", data[:-missing]))
    return cases


def ends() -> list[Case]:
    """Around the end of the file."""
    whole = png(8, 2)
    cases = [Case(f"png_trailing_{name}", whole + tail) for name, tail in {
        "newline": b"\n", "crlf": b"\r\n", "zeros": bytes(512), "zip": b"PK\x03\x04" + bytes(40), "png": whole,
        "chunk": chunk(b"tEXt", b"k\0v"), "byte": b"\xff"}.items()]
    without_end = whole[:-len(END)]
    cases += [
        Case("png_no_end", without_end),
        Case("png_end_wrong_checksum", without_end + chunk(b"IEND", b"", 7)),
        Case("png_end_with_data", without_end + chunk(b"IEND", b"data")),
        Case("png_junk_instead_of_end", without_end + b"this is no chunk at all"),
        Case("png_text_behind_pixels", without_end + chunk(b"tEXt", b"k\0v") + END),
        Case("png_text_behind_pixels_wrong_checksum", without_end + chunk(b"tEXt", b"k\0v", 3) + END),
        Case("png_text_behind_pixels_cut", without_end + chunk(b"tEXt", b"k\0" + b"v" * 50)[:30]),
        Case("png_text_behind_pixels_without_checksum", without_end + chunk(b"tEXt", b"k\0v")[:-4]),
    ]
    cases += [Case(f"png_cut_{size}_before_end", whole[:-size]) for size in (1, 4, 5, 8, 11, 12, 14, 16, 17, 18, 20)]
    cases += [Case(f"png_cut_{size}_before_end_3_chunks", png_in_three(whole)[:-size]) for size in (13, 17, 19, 20, 21)]
    cases += [Case(f"png_cut_at_{size}", whole[:size]) for size in truncations(whole[:-20], 8, 12)]
    interlaced = png(8, 2, True)
    cases += [Case(f"png_interlaced_cut_at_{size}", interlaced[:size]) for size in truncations(interlaced[:-20], 60, 6)]
    return cases


def png_in_three(whole: bytes) -> bytes:
    at = whole.index(b"IDAT") + 4
    data = whole[at:whole.index(END) - 4]
    third = len(data) // 3
    return assembled(chunk(b"IDAT", data[:third]), chunk(b"IDAT", data[third:-9]), chunk(b"IDAT", data[-9:]), END)


def chunks() -> list[Case]:
    """Chunks without effect, and wrong ones."""
    data = zlib.compress(stream(samples(8, 2), 8, False))
    whole = png(8, 2)
    metadata = "the chunk changes no pixel"

    def before(name: str, content: bytes, **fields: object) -> Case:
        return Case(f"png_{name}", assembled(content, chunk(b"IDAT", data), END), **fields)

    header = whole[8:33]
    long_text = chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(3 << 20), 9))
    cases = [
        before("gamma", chunk(b"gAMA", b"\0\0\xb1\x8f")),
        before("gamma_zero", chunk(b"gAMA", bytes(4))),
        before("gamma_short", chunk(b"gAMA", b"\1"), accepted=metadata, like=whole),
        before("chromaticities_nonsense", chunk(b"cHRM", b"\xff" * 32)),
        before("srgb_unknown_intent", chunk(b"sRGB", b"\x77")),
        before("srgb_twice", chunk(b"sRGB", b"\0") * 2),
        before("profile_not_compressed", chunk(b"iCCP", b"name\0\0not compressed")),
        before("profile_and_srgb", chunk(b"iCCP", b"n\0\0" + zlib.compress(b"profile")) + chunk(b"sRGB", b"\0")),
        before("significant_bits_wrong", chunk(b"sBIT", b"\x63")),
        before("background_wrong_length", chunk(b"bKGD", b"\1")),
        before("histogram_without_palette", chunk(b"hIST", b"\0\1")),
        before("time_nonsense", chunk(b"tIME", b"\xff" * 7)),
        before("scale_short_text", chunk(b"sCAL", b"x")),
        before("text_without_key", chunk(b"tEXt", b"\0value")),
        before("text_without_nul", chunk(b"tEXt", b"value")),
        before("international_text_broken", chunk(b"iTXt", b"key")),
        before("compressed_text_broken", chunk(b"zTXt", b"key\0\0no zlib")),
        before("compressed_text_of_3_megabytes", long_text, accepted=metadata, like=whole),
        before("unknown_ancillary", chunk(b"abCd", b"data")),
        before("unknown_critical", chunk(b"ABCD", b"data")),
        before("reserved_bit", chunk(b"abcd", b"data")),
        before("name_with_digits", chunk(b"a1C_", b"data")),
        before("name_of_symbols", chunk(b"a?!d", b"data")),
        before("palette_in_rgb", chunk(b"PLTE", palette(4))),
        before("palette_in_rgb_wrong_length", chunk(b"PLTE", b"1234")),
        before("text_wrong_checksum", chunk(b"tEXt", b"k\0v", 5)),
        before("gamma_wrong_checksum", chunk(b"gAMA", b"\0\0\xb1\x8f", 5)),
        before("unknown_wrong_checksum", chunk(b"abCd", b"data", 5)),
        before("header_twice", header),
        before("length_beyond_the_end", b"\0\xff\xff\xfftEXtk\0v"),
        Case("png_header_wrong_checksum", SIGNATURE + header[:-4] + b"\0\0\0\0" + whole[33:]),
        Case("png_header_longer", SIGNATURE + chunk(b"IHDR", header[8:21] + b"\0") + whole[33:]),
        Case("png_header_shorter", SIGNATURE + chunk(b"IHDR", header[8:20]) + whole[33:]),
        Case("png_text_before_header", SIGNATURE + chunk(b"tEXt", b"k\0v") + whole[8:]),
        Case("png_palette_in_grey", png(8, 0, extra=chunk(b"PLTE", palette(2)))),
        Case("png_palette_twice", png(8, 3, extra=chunk(b"PLTE", palette(8)[::-1]))),
        Case("png_palette_wrong_checksum", png(8, 3, extra=chunk(b"PLTE", palette(8), 4))),
    ]
    for name, at, value in (("compression", 10, 1), ("filter", 11, 1), ("interlace", 12, 2), ("depth", 8, 3),
                            ("color_type", 9, 5)):
        fields = bytearray(header[8:21])
        fields[at] = value
        cases.append(Case(f"png_header_unknown_{name}", SIGNATURE + chunk(b"IHDR", bytes(fields)) + whole[33:]))
    for name, width, height in (("width", 0, HEIGHT), ("height", WIDTH, 0), ("wide", 1 << 31, 1)):
        cases.append(Case(f"png_header_impossible_{name}", SIGNATURE + png_header(width, height, 8, 2) + whole[33:]))
    return cases


def palettes() -> list[Case]:
    data = chunk(b"IDAT", zlib.compress(stream(samples(8, 3), 8, False)))
    colours = palette(8)
    missing = "the palette"
    return [
        Case("png_palette_longer", assembled(chunk(b"PLTE", colours + b"123456"), data, END, color_type=3)),
        Case("png_palette_shorter", assembled(chunk(b"PLTE", colours[:300]), data, END, color_type=3)),
        Case("png_palette_no_multiple_of_3", assembled(chunk(b"PLTE", colours + b"1"), data, END, color_type=3)),
        Case("png_palette_empty", assembled(chunk(b"PLTE"), data, END, color_type=3), missing=missing),
        Case("png_palette_missing", assembled(data, END, color_type=3), missing=missing),
        Case("png_palette_behind_pixels", assembled(data, chunk(b"PLTE", colours), END, color_type=3),
             missing=missing),
    ]


def animation_control(frames: int) -> bytes:
    return chunk(b"acTL", frames.to_bytes(4, "big") + bytes(4))


def frame_control(number: int) -> bytes:
    size = WIDTH.to_bytes(4, "big") + HEIGHT.to_bytes(4, "big")
    return chunk(b"fcTL", number.to_bytes(4, "big") + size + bytes(8) + b"\0\1\0\1\0\0")


def animations() -> list[Case]:
    frames = [picture(WIDTH, HEIGHT, 3, seed) for seed in (1, 2)]
    from PIL import Image
    images = [Image.fromarray(frame) for frame in frames]
    two = saved(images[0], "PNG", save_all=True, append_images=images[1:])
    default = saved(images[0], "PNG", save_all=True, append_images=images[1:], default_image=True)
    cases = [
        Case("png_animated", two),
        Case("png_animated_default_image", default),
        Case("png_animation_control_nonsense", png(8, 2, extra=chunk(b"acTL", bytes(8)))),
    ]
    for name, file in (("", two), ("_default_image", default)):
        # Inside the control of the second frame, its pixels and the end.
        at = file.index(b"fcTL", file.index(b"IDAT")) - 4
        cases += [Case(f"png_animated{name}_cut_at_{size}", file[:size]) for size in truncations(file, at - 6, 12)]
    turned = chunk(b"eXIf", exif(6))
    whole, control, late = png(8, 2), frame_control(0), frame_control(1)
    head, data = whole[:33], whole[33:-len(END)]
    for name, announced in (("one", animation_control(1)), ("two", animation_control(2)),
                            ("two_twice", animation_control(2) * 2), ("no_number_of", animation_control(0)),
                            ("too_many", animation_control((1 << 31) + 1)), ("unannounced", b"")):
        for place, before in (("", control), ("_behind_the_picture", b"")):
            next_frame = late if before else control
            file = head + announced + before + data + next_frame + turned
            cases.append(Case(f"png_{name}_frames{place}", file + END))
            cases.append(Case(f"png_{name}_frames{place}_cut", file[:-10]))
    cases.append(Case("png_turned_before_the_next_frame", head + animation_control(2) + control + data + turned + late + END))
    return cases


def png_cases() -> list[Case]:
    return modes() + transparency() + streams() + ends() + chunks() + palettes() + animations()
