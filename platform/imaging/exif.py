"""The two facts of EXIF that change how a picture is shown. Broken EXIF is as good as none."""

from PIL import Image

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION, _X_RESOLUTION, _Y_RESOLUTION = 0x0112, 0x011A, 0x011B


def read(block: bytes) -> tuple[int, bool]:
    """Return (orientation 1 to 8, whether the resolutions across and down differ)."""
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
    return (orientation if 1 <= orientation <= 8 else 1), odd
