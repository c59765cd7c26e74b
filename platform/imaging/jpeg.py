"""Reads the JPEG segments of the picture, without texts, thumbnails and vendor blocks."""

import struct
from dataclasses import dataclass, field

_MAX_PROFILE = 16 * 1024 * 1024
_START_OF_FRAME = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


@dataclass
class Jpeg:
    """The parts of a JPEG. `data` is the file without the segments that decoders do not need."""

    width: int = 0
    height: int = 0
    precision: int = 8
    components: int = 3
    samples: int = 0  # number of values of all components together
    whole_in_memory: bool = False  # the decoder stores all coefficients: progressive, or several scans
    pictures: int = 1  # number of pictures of an MPO file: stereo cameras, gain maps of phones
    exif: bytes = b""
    profile: bytes = b""
    profile_problem: bool = False
    data: bytes = b""
    _parts: dict[int, bytes] = field(default_factory=dict)


def parse(data: bytes) -> Jpeg:
    """Read the segments before the first scan.

    If the header is broken, `data` is the unchanged file, and the decoder reports the problem.
    """
    jpeg = Jpeg(data=data)
    kept: list[bytes | memoryview] = [data[:2]]
    view, at = memoryview(data), 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return jpeg
        marker = data[at + 1]
        if marker == 0xFF:  # fill bytes
            at += 1
            continue
        (size,) = struct.unpack_from(">H", data, at + 2)
        if size < 2:
            return jpeg
        body = view[at + 4 : at + 2 + size]
        drop = False
        if marker in _START_OF_FRAME and len(body) >= 6:
            jpeg.precision, jpeg.height, jpeg.width, jpeg.components = struct.unpack_from(">BHHB", body)
            jpeg.samples = _samples(jpeg, body)
            jpeg.whole_in_memory = marker in {0xC2, 0xC6, 0xCA, 0xCE}
        elif marker == 0xDA:
            jpeg.whole_in_memory |= bool(len(body)) and body[0] < jpeg.components
            break
        elif marker == 0xE1:
            drop = True
            if bytes(body[:6]) == b"Exif\0\0" and not jpeg.exif:
                jpeg.exif = bytes(body[6:])
        elif marker == 0xE2:
            drop = True
            if bytes(body[:12]) == b"ICC_PROFILE\0" and len(body) > 14:
                jpeg._parts[body[12]] = bytes(body[14:])
                if len(jpeg._parts) != body[13] and body[12] == body[13]:
                    jpeg.profile_problem = True
            elif bytes(body[:4]) == b"MPF\0":
                jpeg.pictures = max(jpeg.pictures, _pictures(bytes(body[4:])))
        elif marker == 0xFE or (0xE3 <= marker <= 0xEF and marker != 0xEE):
            drop = True
        if not drop:
            kept.append(view[at : at + 2 + size])
        at += 2 + size
    else:
        return jpeg
    profile = b"".join(part for _, part in sorted(jpeg._parts.items()))
    if len(profile) <= _MAX_PROFILE and not jpeg.profile_problem:
        jpeg.profile = profile
    elif profile:
        jpeg.profile_problem = True
    if sum(map(len, kept)) < at:
        kept.append(view[at:])
        jpeg.data = b"".join(kept)
    return jpeg


def _samples(jpeg: Jpeg, body: memoryview) -> int:
    """Return the number of values of all components, with subsampling, in whole blocks."""
    factors = [
        divmod(body[7 + 3 * number], 16) for number in range(jpeg.components) if len(body) > 7 + 3 * number
    ]
    across, down = (
        max((h for h, _v in factors), default=1) or 1,
        max((v for _h, v in factors), default=1) or 1,
    )
    size = (jpeg.width + 8 * across) * (jpeg.height + 8 * down)
    return sum(size * h * v // (across * down) for h, v in factors)


def _pictures(block: bytes) -> int:
    """Return the number of pictures in a multi-picture block (CIPA DC-007), or 1 if it is broken."""
    try:
        order = "<" if block[:2] == b"II" else ">"
        (first,) = struct.unpack_from(order + "I", block, 4)
        (count,) = struct.unpack_from(order + "H", block, first)
        for number in range(min(count, 64)):
            tag, _kind, _n, value = struct.unpack_from(order + "HHII", block, first + 2 + 12 * number)
            if tag == 0xB001:
                return max(1, min(value, 1000))
    except struct.error:
        pass
    return 1
