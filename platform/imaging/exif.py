"""Reads from EXIF what changes how a picture is shown. Broken EXIF is treated as missing."""

import struct

from PIL import Image

TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SHORT = 3
_ORIENTATION, _X_RESOLUTION, _Y_RESOLUTION = 0x0112, 0x011A, 0x011B


def read(block: bytes) -> tuple[int, bool]:
    """Return (orientation 1 to 8, whether a browser may show the file in another shape).

    Browsers accept the orientation only as one SHORT, and some browsers use the resolutions.
    """
    if not block:
        return 1, False
    try:
        tags = Image.Exif()
        tags.load(block)
    except Exception:
        return 1, False
    try:
        orientation = int(tags.get(_ORIENTATION, 1))
    except Exception:
        orientation = 1
    try:
        odd = tags.get(_X_RESOLUTION) != tags.get(_Y_RESOLUTION)
    except Exception:
        odd = True
    if orientation != 1 and not _is_one_short(block):
        odd = True
    return (orientation if 1 <= orientation <= 8 else 1), odd


def _is_one_short(block: bytes) -> bool:
    """Return whether the first directory holds the orientation once, as one SHORT."""
    start = 6 if block.startswith(b"Exif\0\0") else 0
    try:
        order = "<" if block[start : start + 2] == b"II" else ">"
        (first,) = struct.unpack_from(order + "I", block, start + 4)
        (count,) = struct.unpack_from(order + "H", block, start + first)
        entries = [
            struct.unpack_from(order + "HHI", block, start + first + 2 + 12 * number)
            for number in range(count)
        ]
    except struct.error:
        return False
    return [entry[1:] for entry in entries if entry[0] == _ORIENTATION] == [(_SHORT, 1)]
