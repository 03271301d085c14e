"""Files that ask to be turned, everywhere that Pillow looks."""

import struct
import zlib

from common import Case, chunk, picture, riff_chunk, saved, segment, webp_extended, webp_file, with_segments

WIDTH, HEIGHT = 11, 6
EXIF, XMP = 0x08, 0x04
PREFIX = b"Exif\0\0"
XMP_NAME = b"http://ns.adobe.com/xap/1.0/\0"
SHORT, LONG, RATIONAL = 3, 4, 5


def entry(order: str, tag: int, kind: int, count: int, value: bytes) -> bytes:
    return struct.pack(order + "HHI", tag, kind, count) + value.ljust(4, b"\0")


def tiff(*entries: bytes, order: str = "<", behind: bytes = b"", mark: bytes = b"") -> bytes:
    """`behind` stands right behind the directory, for values of more than 4 bytes."""
    mark = mark or (b"II\x2a\0" if order == "<" else b"MM\0\x2a")
    return (mark + struct.pack(order + "I", 8) + struct.pack(order + "H", len(entries)) + b"".join(entries) + bytes(4)
            + behind)


def exif(value: int, order: str = "<") -> bytes:
    return tiff(entry(order, 0x010F, 2, 4, b"abc\0"), entry(order, 0x0112, SHORT, 1, struct.pack(order + "H", value)),
                order=order)


def xmp(text: str) -> bytes:
    return (f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
            f'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" {text}</rdf:RDF></x:xmpmeta>').encode()


def attribute(value: object) -> bytes:
    return xmp(f'tiff:Orientation="{value}"/>')


def element(value: object) -> bytes:
    return xmp(f"><tiff:Orientation>{value}</tiff:Orientation></rdf:Description>")


def raw_profile(data: bytes) -> bytes:
    digits = data.hex()
    lines = "\n".join(digits[i:i + 72] for i in range(0, len(digits), 72))
    return f"\nexif\n{len(data):8}\n{lines}\n".encode()


JPEG = saved(picture(WIDTH, HEIGHT, 3), "JPEG", quality=95, subsampling=0)
PNG = saved(picture(WIDTH, HEIGHT, 3), "PNG")
WEBP = saved(picture(WIDTH, HEIGHT, 3), "WEBP", lossless=True)


def jpeg(*segments: bytes) -> bytes:
    return with_segments(JPEG, *segments)


def jpeg_exif(block: bytes) -> bytes:
    return segment(0xE1, PREFIX + block)


def jpeg_xmp(packet: bytes) -> bytes:
    return segment(0xE1, XMP_NAME + packet)


def png(before: bytes = b"", behind: bytes = b"") -> bytes:
    end = len(PNG) - 12
    return PNG[:33] + before + PNG[33:end] + behind + PNG[end:]


def text(key: str, value: bytes, kind: bytes = b"tEXt") -> bytes:
    name = key.encode()
    if kind == b"zTXt":
        return chunk(kind, name + b"\0\0" + zlib.compress(value))
    if kind == b"iTXt":
        return chunk(kind, name + b"\0\0\0en\0name\0" + value)
    return chunk(b"iTXt", name + b"\0\1\0\0\0" + zlib.compress(value)) if kind == b"iTXt+" else chunk(
        kind, name + b"\0" + value)


def webp(flags: int, *chunks: bytes) -> bytes:
    return webp_file(webp_extended(flags, WIDTH, HEIGHT) + WEBP[12:] + b"".join(chunks))


def every_place() -> list[Case]:
    """Each place with each orientation."""
    cases = []
    for value in range(1, 9):
        order = "<>"[value % 2]
        packet = (attribute, element)[value % 2](value)
        raw = raw_profile(PREFIX + exif(value, order))
        files = {
            "jpeg_exif": jpeg(jpeg_exif(exif(value, order))), "jpeg_xmp": jpeg(jpeg_xmp(packet)),
            "png_exif": png(chunk(b"eXIf", exif(value, order))), "png_xmp": png(text("XML:com.adobe.xmp", packet, b"iTXt")),
            "png_raw_profile": png(text("Raw profile type exif", raw, (b"zTXt", b"tEXt")[value % 2])),
            "webp_exif": webp(EXIF, riff_chunk(b"EXIF", exif(value, order))),
            "webp_xmp": webp(XMP, riff_chunk(b"XMP ", packet)),
        }
        cases += [Case(f"turn_{name}_{value}", file) for name, file in files.items()]
    return cases


def texts_of_png() -> list[Case]:
    key, raw_key = "XML:com.adobe.xmp", "Raw profile type exif"
    raw = raw_profile(PREFIX + exif(6))
    upright = "metadata that cannot be read count as none"
    long_text = element(6) + b" " * (2 << 20)
    files = {
        "xmp_compressed": png(text(key, attribute(6), b"iTXt+")), "xmp_in_text": png(text(key, attribute(6))),
        "xmp_in_compressed_text": png(text(key, attribute(6), b"zTXt")),
        "xmp_behind_pixels": png(behind=text(key, element(8), b"iTXt")),
        "xmp_behind_end": PNG + text(key, element(8), b"iTXt"),
        "xmp_under_another_key": png(text("XML:org.example.xmp", attribute(6), b"iTXt")),
        "xmp_twice": png(text(key, attribute(6), b"iTXt") + text(key, attribute(3), b"iTXt")),
        "xmp_damaged": png(chunk(b"iTXt", key.encode() + b"\0\1\0\0\0no zlib")),
        "exif_behind_pixels": png(behind=chunk(b"eXIf", exif(6))),
        "exif_twice": png(chunk(b"eXIf", exif(6)) + chunk(b"eXIf", exif(3))),
        "exif_with_prefix": png(chunk(b"eXIf", PREFIX + exif(6))), "exif_as_text": png(text("exif", PREFIX + exif(6))),
        "raw_profile_international": png(text(raw_key, raw, b"iTXt")),
        "raw_profile_behind_pixels": png(behind=text(raw_key, raw, b"zTXt")),
        "raw_profile_without_prefix": png(text(raw_key, raw_profile(exif(6)), b"zTXt")),
        "raw_profile_and_exif": png(text(raw_key, raw) + chunk(b"eXIf", exif(8))),
        "raw_profile_upper_case": png(text(raw_key, raw.upper().replace(b"EXIF", b"exif"))),
        "raw_profile_of_another_kind": png(text("Raw profile type APP1", raw)),
        "raw_profile_and_xmp": png(text(raw_key, raw) + text(key, attribute(8), b"iTXt")),
        "exif_without_orientation_and_xmp": png(chunk(b"eXIf", tiff(entry("<", 0x010F, 2, 4, b"abc")))
                                                + text(key, attribute(8), b"iTXt")),
    }
    cases = [Case(f"turn_png_{name}", file) for name, file in files.items()]
    return cases + [
        Case("turn_png_raw_profile_no_digits", png(text(raw_key, b"\nexif\n 4\nzzzz\n")), accepted=upright, like=PNG),
        Case("turn_png_exif_nonsense", png(chunk(b"eXIf", b"nonsense")), accepted=upright, like=PNG),
        Case("turn_png_xmp_of_2_megabytes", png(text(key, long_text, b"iTXt+")), accepted=upright, like=PNG),
    ]


def precedence() -> list[Case]:
    no_orientation = tiff(entry("<", 0x010F, 2, 4, b"abc"))
    files = {
        "exif_1_and_xmp": jpeg(jpeg_exif(exif(1)), jpeg_xmp(attribute(6))),
        "exif_8_and_xmp": jpeg(jpeg_xmp(attribute(6)), jpeg_exif(exif(8))),
        "exif_9_and_xmp": jpeg(jpeg_exif(exif(9)), jpeg_xmp(attribute(6))),
        "exif_without_orientation_and_xmp": jpeg(jpeg_exif(no_orientation), jpeg_xmp(attribute(6))),
        "exif_of_nothing_and_xmp": jpeg(jpeg_exif(b""), jpeg_xmp(attribute(6))),
        "exif_text_and_xmp": jpeg(jpeg_exif(tiff(entry("<", 0x0112, 2, 2, b"8\0"))), jpeg_xmp(attribute(6))),
        "exif_of_no_values_and_xmp": jpeg(jpeg_exif(tiff(entry("<", 0x0112, SHORT, 0, b"\x08"))),
                                          jpeg_xmp(attribute(6))),
        "exif_twice": jpeg(jpeg_exif(exif(6)), jpeg_exif(exif(3))),
        "exif_in_two_parts": jpeg(segment(0xE1, PREFIX + exif(6)[:20]), segment(0xE1, PREFIX + exif(6)[20:])),
        "xmp_twice": jpeg(jpeg_xmp(attribute(6)), jpeg_xmp(attribute(3))),
        "xmp_extension": jpeg(segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + attribute(6))),
        "xmp_without_nul": jpeg(segment(0xE1, XMP_NAME[:-1] + attribute(6))),
        "xmp_in_another_segment": jpeg(segment(0xE2, XMP_NAME + attribute(6))),
        "exif_in_another_segment": jpeg(segment(0xE2, PREFIX + exif(6))),
        "xmp_0": jpeg(jpeg_xmp(attribute(0))), "xmp_9": jpeg(jpeg_xmp(element(9))), "xmp_10": jpeg(jpeg_xmp(attribute(10))),
        "xmp_60": jpeg(jpeg_xmp(element(60))), "xmp_empty": jpeg(jpeg_xmp(attribute(""))),
        "xmp_empty_then_6": jpeg(jpeg_xmp(attribute("") + attribute(6))),
        "xmp_two_values": jpeg(jpeg_xmp(attribute(8) + element(6))), "xmp_spaced": jpeg(jpeg_xmp(element(" 6 "))),
        "xmp_single_quotes": jpeg(jpeg_xmp(xmp("tiff:Orientation='6'/>"))),
        "xmp_other_prefix": jpeg(jpeg_xmp(xmp('exif:Orientation="6"/>'))),
        "xmp_longer_prefix": jpeg(jpeg_xmp(xmp('my-tiff:Orientation="6"/>'))),
        "xmp_end_of_packet": jpeg(jpeg_xmp(b'tiff:Orientation="')),
        "xmp_behind_scan": JPEG[:-2] + jpeg_xmp(attribute(6)) + JPEG[-2:],
    }
    return [Case(f"turn_jpeg_{name}", file) for name, file in files.items()]


def blocks() -> list[Case]:
    """Ways to write the tag."""
    def tag(kind: int, count: int, value: bytes, **fields: object) -> bytes:
        order = str(fields.get("order", "<"))
        return jpeg(jpeg_exif(tiff(entry(order, 0x0112, kind, count, value), **fields)))

    behind = struct.pack("<I", 26)  # where `behind` starts with one entry
    files = {
        "long": tag(LONG, 1, b"\6\0\0\0"), "signed_short": tag(8, 1, b"\6\0"), "signed_long": tag(9, 1, b"\6\0\0\0"),
        "signed_byte": tag(6, 1, b"\6"), "byte": tag(1, 1, b"\6"), "undefined": tag(7, 1, b"\6"),
        "rational": tag(RATIONAL, 1, behind, behind=struct.pack("<II", 6, 1)),
        "rational_12_halves": tag(RATIONAL, 1, behind, behind=struct.pack("<II", 12, 2)),
        "rational_by_zero": tag(RATIONAL, 1, behind, behind=struct.pack("<II", 6, 0)),
        "float": tag(11, 1, struct.pack("<f", 6)), "float_6_5": tag(11, 1, struct.pack("<f", 6.5)),
        "double": tag(12, 1, behind, behind=struct.pack("<d", 6)), "directory": tag(13, 1, b"\6\0\0\0"),
        "long8": tag(16, 1, behind, behind=struct.pack("<Q", 6)), "unknown_type": tag(77, 1, b"\6\0\0\0"),
        "two_shorts": tag(SHORT, 2, b"\6\0\3\0"),
        "three_shorts": tag(SHORT, 3, behind, behind=struct.pack("<HHH", 6, 3, 3)),
        "count_beyond_the_end": tag(SHORT, 1 << 30, behind),
        "mark_in_wrong_order": tag(SHORT, 1, b"\0\6", order=">", mark=b"MM\x2a\0"),
        "little_mark_in_wrong_order": tag(SHORT, 1, b"\6\0", mark=b"II\0\x2a"),
        "tag_twice": jpeg(jpeg_exif(tiff(entry("<", 0x0112, SHORT, 1, b"\6"), entry("<", 0x0112, SHORT, 1, b"\3")))),
        "tag_of_unknown_type_first": jpeg(jpeg_exif(tiff(entry("<", 0x0112, 77, 1, b"\3"),
                                                         entry("<", 0x0112, SHORT, 1, b"\6")))),
        "directory_cut": jpeg(jpeg_exif(exif(6)[:-6])), "entry_cut": jpeg(jpeg_exif(exif(6)[:-8])),
        "fewer_entries_than_told": jpeg(jpeg_exif(exif(6)[:8] + b"\x09" + exif(6)[9:])),
        "prefix_twice": jpeg(jpeg_exif(PREFIX + exif(6))), "prefix_three_times": jpeg(jpeg_exif(2 * PREFIX + exif(6))),
        "webp_prefix": webp(EXIF, riff_chunk(b"EXIF", PREFIX + exif(6))),
        "webp_not_announced": webp(0, riff_chunk(b"EXIF", exif(6))),
        "webp_xmp_not_announced": webp(EXIF, riff_chunk(b"XMP ", attribute(6))),
        "webp_both": webp(EXIF | XMP, riff_chunk(b"XMP ", attribute(6)), riff_chunk(b"EXIF", exif(8))),
        "webp_exif_twice": webp(EXIF, riff_chunk(b"EXIF", exif(8)), riff_chunk(b"EXIF", exif(3))),
        "webp_trailing_bytes": webp(EXIF, riff_chunk(b"EXIF", exif(8))) + b"\0",
    }
    unreadable = {"prefix_three_times"}
    return [Case(f"turn_{name}", file, accepted="metadata that cannot be read count as none" if name in unreadable
                 else "", like=JPEG if name in unreadable else None) for name, file in files.items()]


def orientation_cases() -> list[Case]:
    return every_place() + texts_of_png() + precedence() + blocks()
