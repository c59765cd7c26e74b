"""Reads the PNG chunks of the picture, without texts and animation frames.

EXIF is stored separately. Source: PNG (third edition), https://www.w3.org/TR/png-3/.
"""

import struct
import zlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from imaging.errors import ImagingError

_KEPT = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS"}
_COLOUR = {b"gAMA", b"cHRM", b"sRGB", b"cICP", b"iCCP"}
_MAX_COLOUR_CHUNK = 4 * 1024 * 1024
_MAX_PROFILE = 16 * 1024 * 1024
_MAX_EXIF = 1024 * 1024


@dataclass
class Png:
    """The parts of a PNG. `data` is the same file with only the chunks of its still picture."""

    width: int = 0
    height: int = 0
    bits: int = 8
    colour_type: int = 0
    frames: int = 1
    # The file holds a critical chunk that browsers do not know, so they refuse the file.
    unknown_critical: bool = False
    animated_only: bool = False  # the still picture is not a frame of the animation
    colour: dict[bytes, bytes] = field(default_factory=dict)  # chunk name → data
    profile_problem: bool = False
    exif: bytes = b""
    transparent: bytes = b""  # tRNS
    data: bytes = b""


def parse(data: bytes) -> Png:
    """Read the chunks. Raises ImagingError with the code truncated or damaged."""
    png = Png()
    kept: list[bytes | memoryview] = [data[:8]]
    view, at, ended = memoryview(data), 8, False
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        name = bytes(view[at + 4 : at + 8])
        whole = view[at : at + 12 + size]
        body = whole[8 : 8 + size]
        if name == b"IHDR":
            if size != 13:
                raise ImagingError("damaged")
            if len(body) < size:
                raise ImagingError("truncated")
            png.width, png.height, png.bits, png.colour_type = struct.unpack(">IIBB", body[:10])
        if name in _KEPT:
            kept.append(whole)
            if name == b"tRNS":
                png.transparent = bytes(body)
        elif name in _COLOUR:
            if size <= _MAX_COLOUR_CHUNK:
                png.colour.setdefault(name, bytes(body))
            elif name == b"iCCP":
                png.profile_problem = True
        elif name == b"eXIf" and size <= _MAX_EXIF:
            png.exif = bytes(body)
        elif name == b"acTL" and len(body) >= 8:
            png.frames = max(1, struct.unpack_from(">I", body)[0])
            png.animated_only = True
        elif name == b"fcTL" and not any(bytes(k[4:8]) == b"IDAT" for k in kept[1:]):
            png.animated_only = False
        elif name[:1].isupper():
            png.unknown_critical = True
        at += 12 + size
        if name == b"IEND":
            ended = True
            break
    if not png.width or not png.height:
        raise ImagingError("truncated" if len(data) < 1024 else "damaged")
    if not ended or len(data) < at:
        raise ImagingError("truncated")
    png.data = data if at == len(data) and sum(map(len, kept)) == len(data) else b"".join(kept)
    return png


def profile(png: Png) -> bytes | None:
    """Return the ICC profile of iCCP, unpacked, or None if there is no profile.

    Raises ValueError if it cannot be unpacked.
    """
    chunk = png.colour.get(b"iCCP")
    if chunk is None:
        return None
    _name, separator, packed = chunk.partition(b"\0")
    if not separator or packed[:1] != b"\0":
        raise ValueError("iCCP")
    unpacker = zlib.decompressobj()
    try:
        whole = unpacker.decompress(packed[1:], _MAX_PROFILE)
    except zlib.error as error:
        raise ValueError("iCCP") from error
    if unpacker.unconsumed_tail or not unpacker.eof:
        raise ValueError("iCCP")
    return whole


def deep_array(png: Png) -> tuple[NDArray[np.uint16], NDArray[np.uint16] | None]:
    """Return (colour values (h, w) or (h, w, 3), alpha (h, w) or None) of a PNG of 16 bits."""
    import imagecodecs

    # tRNS is removed, because a library that expands it would change the number of channels.
    plain = _without(png.data, b"tRNS") if png.transparent else png.data
    pixels = np.asarray(imagecodecs.png_decode(plain))
    if pixels.dtype != np.uint16:
        raise ImagingError("damaged")
    if pixels.ndim == 3 and pixels.shape[2] in {2, 4}:
        colours = pixels[..., :-1]
        return (colours[..., 0] if colours.shape[2] == 1 else colours), pixels[..., -1]
    return pixels, None


def transparent_colour(png: Png) -> NDArray[np.uint16] | None:
    """Return the value, or three values, that tRNS makes transparent in a PNG of 16 bits, or None."""
    if png.colour_type not in {0, 2} or len(png.transparent) not in {2, 6}:
        return None
    return np.frombuffer(png.transparent, ">u2").astype(np.uint16)


def _without(data: bytes, dropped: bytes) -> bytes:
    kept, at = [data[:8]], 8
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        if data[at + 4 : at + 8] != dropped:
            kept.append(data[at : at + 12 + size])
        at += 12 + size
    return b"".join(kept)
