"""JPEG files of every kind, and damaged ones."""

import base64

import numpy as np
from common import Case, picture, saved, segment, truncations, with_segments
from PIL import Image

WIDTH, HEIGHT = 43, 30

# Pillow writes neither arithmetic coding nor one scan for each component. These were made of
# `saved(picture(19, 13, 3), "JPEG", quality=60)` with the jpegtran of libjpeg-turbo 2.1.5: -arithmetic,
# -arithmetic -progressive, -arithmetic -restart 1B, and -scans of the file "0;1;2;".
ARITHMETIC = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywtQFdBRkxOUlNSMj5aYV"
    "pQYEpRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT0//yQARCAAN"
    "ABMDASIAAhEBAxEB/8wACgAQEAUBEBEF/9oADAMBAAIRAxEAPwDSgmHO1WnYrAujOixPyIeSRRqhX8iIPXbySsHFwqMAvahtsofz2wNr/vSfEG"
    "Xo9rwEKg5mypUTKXVyS5gTGP/Z")
ARITHMETIC_PROGRESSIVE = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywtQFdBRkxOUlNSMj5aYV"
    "pQYEpRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT0//ygARCAAN"
    "ABMDASIAAhEBAxEB/8wABgAQARD/2gAMAwEAAhADEAAAAdIUrEbwmcI46ARBUP/MAAQQBf/aAAgBAQABBQJU44Yfevp9uXT/zAAEEQX/2gAIAQ"
    "MBAT8BFRWTdKlg/8wABBEF/9oACAECAQE/AUQryiXuyP/MAAQQBf/aAAgBAQAGPwLA/8wABBAF/9oACAEBAAE/IfJuzLZupP/aAAwDAQACAAMA"
    "AAAQ8pD/zAAEEQX/2gAIAQMBAT8QM5z/zAAEEQX/2gAIAQIBAT8QEJb/zAAEEAX/2gAIAQEAAT8Qx9+BUGNvvDtkyTCyiBOcRv/Z")
ARITHMETIC_RESTARTS = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywtQFdBRkxOUlNSMj5aYV"
    "pQYEpRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT0//yQARCAAN"
    "ABMDASIAAhEBAxEB/8wACgAQEAUBEBEF/90ABAAB/9oADAMBAAIRAxEAPwDSgmHO1WnYrAujOixPyIeSRRqhX8iIPXbySsHFwqMAvahtsofz2w"
    "T/0P7LNGSbVYuiLqb4eVNb+ltt8lML5wMjJv/Z")
ONE_SCAN_EACH = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywtQFdBRkxOUlNSMj5aYV"
    "pQYEpRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT0//wAARCAAN"
    "ABMDASIAAhEBAxEB/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhBy"
    "JxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKT"
    "lJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/9oACAEBAAA/AO/RkMfOMVzOue"
    "UA3SuUfyd5yQOa7FbyTyh71zGvXsoVzxXJSXsoc855r//EAB8BAAMBAQEBAQEBAQEAAAAAAAABAgMEBQYHCAkKC//EALURAAIBAgQEAwQHBQQE"
    "AAECdwABAgMRBAUhMQYSQVEHYXETIjKBCBRCkaGxwQkjM1LwFWJy0QoWJDThJfEXGBkaJicoKSo1Njc4OTpDREVGR0hJSlNUVVZXWFlaY2RlZm"
    "doaWpzdHV2d3h5eoKDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uLj5OXm5+jp6vLz9PX29/j5"
    "+v/aAAgBAhEAPwDkxGCh7Y9SOBjY/9oACAEDEQA/AFl9epyGrxFS5//Z")

# Progressions that leave something out, of the same picture, with jpegtran's way of taking scans: the first frequencies of
# luma alone, then one bit less of its other ones, of the means of all blocks, and no frequencies of chroma at all.
NO_HIGH_FREQUENCIES = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywtQFdBRkxOUlNSMj5aYVpQYE"
    "pRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT0//wgARCAANABMDASIA"
    "AhEBAxEB/8QAFwABAQEBAAAAAAAAAAAAAAAABgADBP/EABcBAAMBAAAAAAAAAAAAAAAAAAEDBAX/2gAMAwEAAhADEAAAAH5nYxIOWOWo3//EAB0QAA"
    "ICAgMBAAAAAAAAAAAAAAECAAMEEwURIRL/2gAIAQEAAQkARkNfs5zUA0fT9nsrmWahOezbQrmWZtoc+//EABgRAAMBAQAAAAAAAAAAAAAAAAACBBET"
    "/9oACAECAQE/AKIk7Cwrh//EABoRAAICAwAAAAAAAAAAAAAAAAADAQQFERL/2gAIAQMBAT8Ax72cE2GbP//Z")
HIGH_FREQUENCIES_LACK_A_BIT = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywtQFdBRkxOUlNSMj5aYVpQYE"
    "pRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT0//wgARCAANABMDASIA"
    "AhEBAxEB/8QAFwABAQEBAAAAAAAAAAAAAAAABgADBP/EABcBAAMBAAAAAAAAAAAAAAAAAAEDBAX/2gAMAwEAAhADEAAAAH5nYxIOWOWo3//EAB0QAA"
    "ICAgMBAAAAAAAAAAAAAAECAAMEEwURIRL/2gAIAQEAAQkARkNfs5zUA0fT9nsrmWahOezbQrmWZtoc+//EABQQAQAAAAAAAAAAAAAAAAAAACD/2gAI"
    "AQEACj8BX//EABgRAAMBAQAAAAAAAAAAAAAAAAACBBET/9oACAECAQE/AKIk7Cwrh//EABoRAAICAwAAAAAAAAAAAAAAAAADAQQFERL/2gAIAQMBAT"
    "8Ax72cE2GbP//Z")
MEANS_LACK_A_BIT = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywtQFdBRkxOUlNSMj5aYVpQYE"
    "pRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT0//wgARCAANABMDASIA"
    "AhEBAxEB/8QAFwABAQEBAAAAAAAAAAAAAAAABQACA//EABcBAAMBAAAAAAAAAAAAAAAAAAECAwT/2gAMAwEAAhADEAAAAXzNmRHKNtT/AP/EAB8QAA"
    "EDBQADAAAAAAAAAAAAAAEAAgMEBRETIRIxYf/aAAgBAQABPwBjmGPuMK+agHek/T5nJA6m1kmofVfq2UNeeKStlDz3PV//xAAYEQADAQEAAAAAAAAA"
    "AAAAAAAAAgQRE//aAAgBAgEBPwCiJOwsK4f/xAAaEQACAgMAAAAAAAAAAAAAAAAAAwEEBRES/9oACAEDAQE/AMe9nBNhmz//2Q==")
NO_FREQUENCIES_OF_CHROMA = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywtQFdBRkxOUlNSMj5aYVpQYE"
    "pRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT0//wgARCAANABMDASIA"
    "AhEBAxEB/8QAFwABAQEBAAAAAAAAAAAAAAAABgADBP/EABcBAAMBAAAAAAAAAAAAAAAAAAEDBAX/2gAMAwEAAhADEAAAAH5nYxIOWOWo3//EAB8QAA"
    "EDBQADAAAAAAAAAAAAAAEAAgMEBRETIRIxYf/aAAgBAQABPwBjmGPuMK+agHek/T5nJA6m1kmofVfq2UNeeKStlDz3PV//2Q==")

END = b"\xff\xd9"


def base(**options: object) -> bytes:
    return saved(picture(WIDTH, HEIGHT, 3), "JPEG", **({"quality": 85} | options))


def marker_at(jpeg: bytes, marker: int) -> int:
    """Where a segment starts, walking from segment to segment."""
    at = 2
    while jpeg[at + 1] != marker:
        at += 2 + int.from_bytes(jpeg[at + 2:at + 4], "big")
    return at


def with_byte(jpeg: bytes, at: int, value: int) -> bytes:
    return jpeg[:at] + bytes([value]) + jpeg[at + 1:]


def entropy_start(jpeg: bytes) -> int:
    at = marker_at(jpeg, 0xDA)
    return at + 2 + int.from_bytes(jpeg[at + 2:at + 4], "big")


def modes() -> list[Case]:
    grey = picture(WIDTH, HEIGHT, 1)
    cmyk = Image.fromarray(np.concatenate([picture(WIDTH, HEIGHT, 3), picture(WIDTH, HEIGHT, 1)[..., None]], axis=-1),
                           "CMYK")
    adobe = saved(cmyk, "JPEG", quality=85)
    transform = adobe.index(b"Adobe") + 11
    at = marker_at(adobe, 0xEE)
    no_adobe = adobe[:at] + adobe[at + 2 + int.from_bytes(adobe[at + 2:at + 4], "big"):]
    files = {
        "grey": saved(grey, "JPEG", quality=85),
        "grey_progressive": saved(grey, "JPEG", quality=85, progressive=True),
        "444": base(subsampling="4:4:4"), "422": base(subsampling="4:2:2"), "420": base(subsampling="4:2:0"),
        "progressive": base(progressive=True), "progressive_444": base(progressive=True, subsampling=0),
        "optimized": base(optimize=True), "quality_5": base(quality=5), "quality_100": base(quality=100),
        "restart_blocks": base(restart_marker_blocks=1), "restart_rows": base(restart_marker_rows=1),
        "progressive_restarts": base(progressive=True, restart_marker_blocks=3),
        "rgb": base(keep_rgb=True), "cmyk": adobe, "cmyk_without_adobe": no_adobe,
        "ycck": with_byte(adobe, transform, 2), "cmyk_unknown_transform": with_byte(adobe, transform, 9),
        "cmyk_progressive": saved(cmyk, "JPEG", progressive=True),
        "one_pixel": saved(picture(1, 1, 3), "JPEG"), "one_column": saved(picture(1, 20, 3), "JPEG"),
        "one_row": saved(picture(20, 1, 3), "JPEG"),
        "arithmetic": base64.b64decode(ARITHMETIC), "arithmetic_progressive": base64.b64decode(ARITHMETIC_PROGRESSIVE),
        "arithmetic_restarts": base64.b64decode(ARITHMETIC_RESTARTS),
        "one_scan_each": base64.b64decode(ONE_SCAN_EACH),
    }
    return [Case(f"jpeg_mode_{name}", file) for name, file in files.items()]


def headers() -> list[Case]:
    """Around the segments."""
    whole = base()
    jfif = marker_at(whole, 0xE0)
    tables = marker_at(whole, 0xDB)
    frame = marker_at(whole, 0xC0)
    scan = marker_at(whole, 0xDA)

    def insert(at: int, data: bytes) -> bytes:
        return whole[:at] + data + whole[at:]

    adobe = segment(0xEE, b"Adobe\0d\0\0\0\0")
    files = {
        "jfif_version_9": with_byte(whole, jfif + 9, 9), "jfif_density_0": with_byte(whole, jfif + 13, 0),
        "jfif_twice": insert(tables, whole[jfif:tables]), "no_jfif": whole[:jfif] + whole[tables:],
        "adobe_transform_unknown": with_segments(whole, adobe + b"\x07"),
        "adobe_transform_0": with_segments(whole[:jfif] + whole[tables:], segment(0xEE, b"Adobe\0d\0\0\0\0\0")),
        "comment": with_segments(whole, segment(0xFE, b"a comment")),
        "comment_empty": with_segments(whole, segment(0xFE, b"")),
        "profile_nonsense": with_segments(whole, segment(0xE2, b"ICC_PROFILE\0\x09\x01nonsense")),
        "multi_picture_nonsense": with_segments(whole, segment(0xE2, b"MPF\0nonsense")),
        "every_application_segment": with_segments(whole, *[segment(0xE0 + i, b"x" * i) for i in range(1, 16)]),
        "photoshop_nonsense": with_segments(whole, segment(0xED, b"Photoshop 3.0\x008BIM\xff\xff")),
        "reserved_segment": with_segments(whole, segment(0xF3, b"reserved")),
        "reserved_marker": with_segments(whole, segment(0x42, b"reserved")),
        "fill_bytes_between_segments": insert(tables, b"\xff" * 5),
        "fill_bytes_before_scan": insert(scan, b"\xff" * 3),
        "zeros_between_segments": insert(tables, bytes(7)), "text_between_segments": insert(frame, b"thumbnail"),
        "escaped_byte_between_segments": insert(frame, b"\xff\x00"),
        "restart_between_segments": insert(frame, b"\xff\xd0"),
        "tables_as_an_image_before": whole[:2] + whole[tables:frame] + END + whole,
        "second_start": insert(tables, b"\xff\xd8"),
        "frame_twice": insert(scan, whole[frame:frame + 2 + int.from_bytes(whole[frame + 2:frame + 4], "big")]),
        "no_frame": whole[:frame] + whole[scan:],
        "twelve_bits": with_byte(whole, frame + 4, 12), "two_components": with_byte(whole, frame + 9, 2),
        "no_height": whole[:frame + 5] + b"\0\0" + whole[frame + 7:],
        "lossless_frame": with_byte(whole, frame + 1, 0xC3), "hierarchical_frame": with_byte(whole, frame + 1, 0xC5),
        "scan_band_ignored": with_byte(whole, entropy_start(whole) - 2, 1),
        "scan_approximation_ignored": with_byte(whole, entropy_start(whole) - 1, 0x11),
        "quantization_table_missing": whole[:tables] + whole[frame:],
        "segment_beyond_the_end": with_segments(whole, b"\xff\xe5\xff\xff"),
        "segment_of_length_1": with_segments(whole, b"\xff\xe5\0\1"),
        "more_rows_than_data": whole[:frame + 5] + b"\0\x50" + whole[frame + 7:],
    }
    missing = {"more_rows_than_data": "the rows below those that are there"}
    accepted = {"photoshop_nonsense": "the segment changes no pixel"}
    cases = [Case(f"jpeg_{name}", file, missing=missing.get(name, ""), accepted=accepted.get(name, ""), like=whole)
             for name, file in files.items()]
    fewer = whole[:frame + 5] + b"\0\x10" + whole[frame + 7:]
    return [*cases, Case("jpeg_fewer_rows_than_data", fewer)]


def ends() -> list[Case]:
    """Around the end of the file."""
    whole = base()
    without_end = whole[:-2]
    progressive = base(progressive=True)
    cases = [Case(f"jpeg_trailing_{name}", whole + tail) for name, tail in {
        "zeros": bytes(64), "newline": b"\n", "zip": b"PK\x03\x04" + bytes(30), "jpeg": whole, "markers": b"\xff\xe1\0",
        "end": END}.items()]
    cases += [Case(f"jpeg_{name}_before_end", without_end + fill + END) for name, fill in {
        "3_zeros": bytes(3), "3_fill_bytes": b"\xff" * 3, "text": b"padding!", "kilobytes": bytes(3000),
        "restart": b"\xff\xd0", "comment": segment(0xFE, b"late"), "escaped_byte": b"\xff\x00" * 4}.items()]
    cases += [Case(f"jpeg_no_end_{name}", without_end + tail) for name, tail in {
        "nothing": b"", "16_zeros": bytes(16), "samsung": b"\0\0\x01\x0a\x0e\0\0\0Image_UTC_Data1467"
        + b"SEFHj\0\0\0\x01\0\0\0\0\0\x01\x0a\x24\0\0\0\x18\0\0\0SEFT", "text": b"trailer of a camera" * 3,
        "kilobytes": bytes(3000)}.items()]
    cases += [
        Case("jpeg_no_end_of_progressive", progressive[:-2]),
        Case("jpeg_no_end_of_progressive_trailer", progressive[:-2] + bytes(100)),
        Case("jpeg_progressive_zeros_before_end", progressive[:-2] + bytes(5) + END),
        Case("jpeg_arithmetic_zeros_before_end", base64.b64decode(ARITHMETIC)[:-2] + bytes(5) + END),
        Case("jpeg_arithmetic_no_end", base64.b64decode(ARITHMETIC)[:-2]),
    ]
    lost = "the blocks behind the cut"
    for name, file in (("baseline", whole), ("progressive", progressive), ("grey", saved(picture(30, 30, 1), "JPEG"))):
        start = entropy_start(file)
        cases += [Case(f"jpeg_{name}_cut_at_{size}", file[:size]) for size in truncations(file, 2, 10)]
        cases += [Case(f"jpeg_{name}_cut_at_{size}_with_end", file[:size].rstrip(b"\xff") + END, missing=lost)
                  for size in truncations(file[:-30], start, 6)]
    return cases


def scans_of(jpeg: bytes) -> list[tuple[int, int]]:
    """Where each scan begins, with its tables, and ends."""
    bounds, at, begin = [], marker_at(jpeg, 0xC2), 0
    at += 2 + int.from_bytes(jpeg[at + 2:at + 4], "big")
    begin = at
    while jpeg[at + 1] != 0xD9:
        scan = jpeg[at + 1] == 0xDA
        at += 2 + int.from_bytes(jpeg[at + 2:at + 4], "big")
        if not scan:
            continue
        while jpeg[at] != 0xFF or jpeg[at + 1] == 0 or 0xD0 <= jpeg[at + 1] <= 0xD7:
            at += 1
        bounds.append((begin, at))
        begin = at
    return bounds


def scans() -> list[Case]:
    """Progressive files without some of their scans."""
    lost = "what the scans that are not there would have added"
    cases = []
    for name, file in (("", base(progressive=True)), ("_grey", saved(picture(WIDTH, HEIGHT, 1), "JPEG", progressive=True)),
                       ("_restarts", base(progressive=True, restart_marker_blocks=3))):
        bounds = scans_of(file)
        cases += [Case(f"jpeg_progressive{name}_scans_{count}", file[:bounds[count - 1][1]] + END, missing=lost)
                  for count in range(1, len(bounds))]
        cases += [Case(f"jpeg_progressive{name}_without_scan_{i + 1}", file[:begin] + file[end:], missing=lost)
                  for i, (begin, end) in enumerate(bounds)]
        begin, end = bounds[0]
        cases.append(Case(f"jpeg_progressive{name}_first_scan_twice", file[:end] + file[begin:]))
    decoded = base64.b64decode
    return [
        *cases,
        Case("jpeg_progressive_no_high_frequencies", decoded(NO_HIGH_FREQUENCIES)),
        Case("jpeg_progressive_high_frequencies_lack_a_bit", decoded(HIGH_FREQUENCIES_LACK_A_BIT), missing=lost),
        Case("jpeg_progressive_means_lack_a_bit", decoded(MEANS_LACK_A_BIT), missing=lost),
        Case("jpeg_progressive_no_frequencies_of_chroma", decoded(NO_FREQUENCIES_OF_CHROMA), missing=lost),
    ]


def damage() -> list[Case]:
    """Inside the compressed data."""
    restarts = base(restart_marker_blocks=2)
    first = restarts.index(b"\xff\xd0", entropy_start(restarts))
    second = restarts.index(b"\xff\xd1", entropy_start(restarts))
    scans = base64.b64decode(ONE_SCAN_EACH)
    last_scan = scans.rindex(b"\xff\xda")
    whole = base()
    cases = [
        Case("jpeg_zeros_before_restart", restarts[:first] + bytes(3) + restarts[first:]),
        Case("jpeg_fill_bytes_before_restart", restarts[:first] + b"\xff" * 3 + restarts[first:]),
        Case("jpeg_restart_missing", restarts[:second] + restarts[second + 2:], missing="the blocks behind the restart"),
        Case("jpeg_restart_out_of_turn", with_byte(restarts, second + 1, 0xD4), missing="the blocks up to the next one"),
        Case("jpeg_interval_missing", restarts[:first] + restarts[second:], missing="the blocks of the interval"),
        Case("jpeg_component_missing", scans[:last_scan] + END, missing="the last component"),
    ]
    random = np.random.default_rng(11)
    start = entropy_start(whole)
    # libjpeg notices two of these: their codes are none.
    for i in range(12):
        at = int(random.integers(start, len(whole) - 40))
        cases.append(Case(f"jpeg_flipped_bit_{i}", with_byte(whole, at, whole[at] ^ (1 << int(random.integers(8))))))
    return cases


def jpeg_cases() -> list[Case]:
    return modes() + headers() + ends() + scans() + damage()
