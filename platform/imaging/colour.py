"""Conversion of colours to sRGB, by ICC profiles or by the colour chunks of PNG."""

import io
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

_SRGB_TO_XYZ = np.array(
    [[0.4123908, 0.3575843, 0.1804808], [0.2126390, 0.7151687, 0.0721923], [0.0193308, 0.1191948, 0.9505322]]
)
# Chromaticities: x and y of white, red, green and blue.
_PRIMARIES = {
    1: (0.3127, 0.3290, 0.640, 0.330, 0.300, 0.600, 0.150, 0.060),  # BT.709, sRGB
    9: (0.3127, 0.3290, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),  # BT.2020
    11: (0.3140, 0.3510, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),  # DCI-P3
    12: (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),  # Display P3
}
_SRGB_CURVE = -1.0  # a special gamma that means the curve of sRGB


class ProfileError(Exception):
    """An error for a colour description that is broken or is for another kind of image."""


def profile_step(profile: bytes, mode: str) -> Callable[[Image.Image], Image.Image] | None:
    """Return a function that converts pictures of this mode to sRGB, or None if nothing changes.

    Raises ProfileError.
    """
    transform = _transform(profile, mode)
    if transform is None:
        return None

    def convert(image: Image.Image) -> Image.Image:
        converted = ImageCms.applyTransform(image, transform)  # the result is RGB, also for grey
        if converted is None:
            raise ProfileError
        return converted

    return convert


@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> Any:
    """Return the transform to sRGB, or None if it does not change 8-bit values. Raises ProfileError."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        if space != {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK", "LAB": "Lab"}.get(mode):
            raise ProfileError
        target = ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(
            source, target, mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )  # fmt: skip
        return None if mode in {"L", "RGB"} and _changes_nothing(transform, mode) else transform
    except ProfileError:
        raise
    except Exception as error:
        raise ProfileError from error


def _changes_nothing(transform: Any, mode: str) -> bool:
    if mode == "L":
        probe = np.arange(256, dtype=np.uint8)[None]
        wanted = np.repeat(probe[..., None], 3, 2)
    else:
        steps = np.arange(0, 256, 17, dtype=np.uint8)
        probe = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(16, -1, 3)
        wanted = probe
    got = np.asarray(ImageCms.applyTransform(Image.fromarray(probe), transform))
    return bool(np.abs(got.astype(int) - wanted).max() <= 1)


def lab_to_rgb(pixels: NDArray[Any], *, icc: bool) -> Image.Image:
    """Return an sRGB image from L*a*b* values `(h, w, 3)` of 8 or 16 bits.

    With `icc`, a* and b* are stored with an offset. Raises ProfileError.
    """
    if pixels.dtype.itemsize == 2:
        high = (pixels.view(np.uint16) >> 8).astype(np.uint8)
    else:
        high = pixels.view(np.uint8)
    # Pillow keeps a* and b* as signed bytes.
    eight = np.ascontiguousarray(high).copy()
    if icc:
        eight[..., 1:] ^= 0x80
    image = Image.frombytes("LAB", (eight.shape[1], eight.shape[0]), eight.tobytes())
    transform = ImageCms.buildTransform(
        ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB"
    )
    converted = ImageCms.applyTransform(image, transform)
    if converted is None:
        raise ProfileError
    return converted


def png_space(colour: dict[bytes, bytes]) -> tuple[tuple[float, ...], float] | None:
    """Return (primaries, gamma) of the chunks cICP, gAMA and cHRM, or None if the space is sRGB.

    The chunks have the priority of the PNG specification: cICP, iCCP (not handled here), sRGB, then gAMA with
    cHRM. Raises ProfileError.
    """
    cicp = colour.get(b"cICP")
    if cicp and len(cicp) >= 4:
        if (
            cicp[0] not in _PRIMARIES
            or cicp[1] not in {1, 4, 5, 6, 8, 13, 14, 15}
            or cicp[2] != 0
            or not cicp[3]
        ):
            raise ProfileError
        gamma = {4: 2.2, 5: 2.8, 8: 1.0}.get(cicp[1], _SRGB_CURVE)
        return None if cicp[0] == 1 and gamma == _SRGB_CURVE else (_PRIMARIES[cicp[0]], gamma)
    if b"sRGB" in colour or b"iCCP" in colour:
        return None
    gamma, primaries = _SRGB_CURVE, _PRIMARIES[1]
    if len(colour.get(b"gAMA", b"")) == 4:
        (stored,) = struct.unpack(">I", colour[b"gAMA"])
        if not 1_000 <= stored <= 1_000_000:
            raise ProfileError
        gamma = 100_000 / stored
    if len(colour.get(b"cHRM", b"")) == 32 and gamma != _SRGB_CURVE:  # browsers ignore cHRM without gAMA
        primaries = tuple(value / 100_000 for value in struct.unpack(">8I", colour[b"cHRM"]))
    if gamma == _SRGB_CURVE:
        return None
    if max(abs(a - b) for a, b in zip(primaries, _PRIMARIES[1])) < 0.002:
        primaries = _PRIMARIES[1]
    return primaries, gamma


def space_step(primaries: tuple[float, ...], gamma: float) -> Callable[[Image.Image], Image.Image]:
    """Return a function that converts pictures of a colour space to sRGB.

    Primaries and gamma define the space. Raises ProfileError.
    """
    levels = np.arange(256) / 255.0
    linear = _from_srgb(levels) if gamma == _SRGB_CURVE else levels**gamma
    table = list(np.rint(_to_srgb(linear) * 255).astype(np.uint8))
    matrix = None if primaries == _PRIMARIES[1] else np.linalg.inv(_SRGB_TO_XYZ) @ _to_xyz(primaries)

    def convert(image: Image.Image) -> Image.Image:
        if matrix is None or image.mode == "L":
            return image.point(table * len(image.getbands()))
        colours = linear.astype(np.float32)[np.asarray(image)] @ matrix.T.astype(np.float32)
        return Image.fromarray(np.rint(_to_srgb(np.clip(colours, 0, 1)) * 255).astype(np.uint8))

    return convert


def _to_xyz(primaries: tuple[float, ...]) -> NDArray[np.float64]:
    """Return the matrix from linear RGB to XYZ, adapted to the white point D65 by Bradford's matrix.

    Raises ProfileError.
    """
    try:
        xw, yw, *rest = primaries
        columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in zip(rest[::2], rest[1::2])]).T
        white = np.array([xw / yw, 1.0, (1 - xw - yw) / yw])
        matrix = columns * np.linalg.solve(columns, white)
        cone = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
        target = _SRGB_TO_XYZ.sum(1)
        scale = (cone @ target) / (cone @ white)
        result = np.linalg.inv(cone) @ np.diag(scale) @ cone @ matrix
    except (ZeroDivisionError, ValueError, np.linalg.LinAlgError) as error:
        raise ProfileError from error
    if not np.isfinite(result).all():
        raise ProfileError
    return result


def _from_srgb(values: NDArray[Any]) -> NDArray[Any]:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _to_srgb(values: NDArray[Any]) -> NDArray[Any]:
    return np.where(values <= 0.0031308, values * 12.92, 1.055 * values ** (1 / 2.4) - 0.055)
