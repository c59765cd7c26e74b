"""Decodes a file to one picture: upright, sRGB, 8 bits per channel, transparency on neutral grey."""

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from imaging import colour, exif, jpeg, needs, png, strips, tiff
from imaging.deep import CLIPPED_SHARE, DeepValues, alpha_to_8_bits, deep_values, strips_of_page
from imaging.depth import Window
from imaging.errors import ImagingError, wrap_library_errors
from imaging.headers import pillow
from imaging.limits import check_pixels
from imaging.memory import budget
from imaging.sniff import format_of, refusal_reason
from imaging.strips import BACKDROP, Strips
from imaging.values import jpeg_array

__all__ = ["BACKDROP", "FORMATS", "Decoded", "Finding", "decode", "decoded"]

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
_EXACT_MODES = {"1", "L", "RGB", "P", "LA", "La", "PA", "RGBA", "RGBa"}  # browsers show the same pixels


@dataclass(frozen=True)
class Finding:
    """A part of the file that is not in the picture. `code` is a key of the import's messages."""

    code: str
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Decoded:
    """The picture, "L" or "RGB". `width` and `height` are the size of the whole upright picture.

    `exact` is true if a browser shows exactly these pixels for the file itself. `sample` is the type of deep
    values, or "" for 8 bits.
    """

    image: Image.Image
    format: str
    width: int
    height: int
    exact: bool
    sample: str = ""
    findings: tuple[Finding, ...] = ()


@dataclass
class _Decoding:
    """A picture during decoding. `strips` still need colour conversion, and the picture a rotation."""

    strips: Strips
    orientation: int = 1
    profile: bytes = b""
    space: tuple[tuple[float, ...], float] | None = None
    exact: bool = True
    deep: DeepValues | None = None
    full: tuple[int, int] | None = None
    findings: list[Finding] = field(default_factory=list)

    def note(self, code: str, **detail: Any) -> None:
        self.findings.append(Finding(code, detail))
        self.exact = False


def decode(
    data: bytes, *, window: Window | None = None, max_pixels: int | None = None, side: int | None = None
) -> Decoded:
    """Return the picture of a file. Raises ImagingError with the reason if there is none.

    `window` applies to deep values. None estimates a window from this file alone. With `side`, a large JPEG
    may be decoded at a fraction of its size that is at least `side` pixels in both directions. For files of
    other people use `decoded`, which also limits the memory of pictures that are still in use.
    """
    with ExitStack() as reservation:
        return _decode_any(data, window, max_pixels, side, reservation)


@contextmanager
def decoded(
    data: bytes, *, window: Window | None = None, max_pixels: int | None = None, side: int | None = None
) -> Iterator[Decoded]:
    """Yield the result of `decode`, with its memory reserved in the budget until the block ends.

    The picture is closed at the end of the block.
    """
    with ExitStack() as held:
        picture = _decode_any(data, window, max_pixels, side, held)
        try:
            yield picture
        finally:
            picture.image.close()


def _decode_any(
    data: bytes, window: Window | None, limit: int | None, side: int | None, held: ExitStack
) -> Decoded:
    kind = format_of(data)
    if kind is None:
        raise refusal_reason(data)
    with wrap_library_errors(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _decode(data, kind, window, limit, side, held)


def _decode(
    data: bytes, kind: str, window: Window | None, limit: int | None, side: int | None, held: ExitStack
) -> Decoded:
    """Decode with the memory that the header requires. `held` releases the memory."""
    if kind == "TIFF":
        with tiff.open_tiff(data, limit) as file:
            held.enter_context(budget.reserved(needs.of_tiff(file)))
            return _finish(_tiff(file, data, window), kind)
    if kind == "PNG":
        parts = png.parse(data)
        check_pixels(parts.width, parts.height, limit)
        held.enter_context(budget.reserved(needs.of_png(parts, exif.read(parts.exif)[0])))
        return _finish(_png(parts, data, window), kind)
    if kind == "JPEG":
        segments = jpeg.parse(data)
        check_pixels(segments.width, segments.height, limit)
        return _finish(_jpeg(segments, data, window, limit, side, held), kind)
    with pillow(data, data, kind) as image:
        check_pixels(image.width, image.height, limit)
        return _finish(_gif_webp_or_bmp(image, data, kind, held), kind)


def _jpeg(
    parts: jpeg.Jpeg, data: bytes, window: Window | None, limit: int | None, side: int | None, held: ExitStack
) -> _Decoding:
    orientation, non_square_pixels = exif.read(parts.exif)
    if parts.precision > 8:
        held.enter_context(budget.reserved(needs.of_jpeg(parts, (parts.width, parts.height), orientation)))
        work = _deep(deep_values(jpeg_array(data), window))
        work.orientation = orientation
        return work
    with pillow(parts.data, data, "JPEG") as image:
        check_pixels(image.width, image.height, limit)
        full = image.size
        if side is not None:
            image.draft(image.mode, (side, side))
        held.enter_context(budget.reserved(needs.of_jpeg(parts, image.size, orientation)))
        image.load()
        work = _Decoding(strips.strips_of_image(image), orientation, parts.profile, full=full)
    if parts.profile_problem:
        work.note("profile_ignored")
    if parts.pictures > 1:
        work.findings.append(Finding("pictures_left_out", {"pictures": parts.pictures}))
    if image.mode not in {"L", "RGB"} or non_square_pixels:
        work.exact = False
    return work


def _png(parts: png.Png, data: bytes, window: Window | None) -> _Decoding:
    orientation, _odd = exif.read(parts.exif)
    if parts.bits == 16:
        pixels, alpha = png.deep_array(parts)
        work = _deep(deep_values(pixels, window, alpha=alpha, key=png.transparent_colour(parts)))
    else:
        with pillow(parts.data, data, "PNG") as image:
            image.load()
            work = _eight_bits(image)
    work.orientation = orientation
    if orientation != 1 or parts.unknown_critical:
        work.exact = False
    try:
        work.profile = png.profile(parts) or b""
        work.space = None if work.profile else colour.png_space(parts.colour)
    except (ValueError, colour.ProfileError):
        work.note("profile_ignored")
    if parts.profile_problem:
        work.note("profile_ignored")
    if b"cICP" in parts.colour:  # it has priority over the profile
        work.profile, work.exact = b"", False
    if parts.frames > 1 or parts.animated_only:
        work.note("frames_left_out", frames=parts.frames)
    return work


def _gif_webp_or_bmp(image: Image.Image, data: bytes, kind: str, held: ExitStack) -> _Decoding:
    """Decode the first frame of a GIF, WebP or BMP."""
    frames = 1
    profile, block = image.info.get("icc_profile") or b"", image.info.get("exif") or b""
    if kind in {"GIF", "WEBP"}:
        frames = int(getattr(image, "n_frames", 1))  # reads to the end, so a truncated file fails here
        image.seek(0)
    # If the first frame is smaller than the whole picture, browsers show the rest as transparent.
    tiles = getattr(image, "tile", None) or [("", None)]
    partial = kind == "GIF" and tuple(tiles[0][1] or (0, 0, *image.size)) != (0, 0, *image.size)
    block = block if isinstance(block, bytes) else b""
    if kind == "WEBP" and frames == 1:
        held.enter_context(budget.reserved(needs.of_webp(image.width, image.height, block)))
        work = _still_webp(data, image.size)
    else:
        needed = needs.of_other(kind, image.width, image.height, frames=frames, mode=image.mode)
        held.enter_context(budget.reserved(needed))
        image.load()
        work = _eight_bits(image)
    orientation, odd_density = exif.read(block)
    work.orientation = orientation if kind == "WEBP" else 1
    work.profile = profile if isinstance(profile, bytes) else b""
    if frames > 1:
        work.note("frames_left_out", frames=frames)
    if kind == "BMP" or odd_density or work.orientation != 1 or partial:
        work.exact = False
    return work


def _still_webp(data: bytes, size: tuple[int, int]) -> _Decoding:
    """Decode a WebP with one picture.

    Pillow would decode it as an animation, with four times the memory and the same pixels.
    """
    import imagecodecs

    pixels = np.asarray(imagecodecs.webp_decode(data))
    if pixels.shape[:2] != size[::-1]:
        raise ImagingError("damaged")
    alpha = pixels[..., 3] if pixels.shape[2] == 4 else None
    opaque = alpha is None or int(alpha.min()) == 255

    def rows(top: int, bottom: int) -> tuple[Image.Image, Image.Image | None]:
        part = Image.fromarray(np.ascontiguousarray(pixels[top:bottom, :, :3]))
        return part, None if opaque or alpha is None else alpha_to_8_bits(alpha[top:bottom])

    return _Decoding(Strips(*size, "RGB", rows), exact=opaque)


def _eight_bits(image: Image.Image) -> _Decoding:
    """Return the work for a loaded Pillow image of any mode with at most 8 bits."""
    picture, transparent = strips.strips_of_8_bit_image(image)
    return _Decoding(picture, exact=not transparent and image.mode in _EXACT_MODES)


def _deep(values: DeepValues) -> _Decoding:
    return _Decoding(values.strips(), exact=False, deep=values)


def _tiff(file: tiff.Tiff, data: bytes, window: Window | None) -> _Decoding:
    page = file.page
    try:
        work = _tiff_pixels(page, window)
    except tiff.TifffileError:
        work = _by_pillow(file, data)
    work.orientation = tiff.orientation(page)
    work.profile = b"" if page.photometric in {tiff.CIELAB, tiff.ICCLAB} else tiff.profile(page)
    work.exact = False
    if len(file.pages) > 1:
        work.note("pages_left_out", pages=len(file.pages), page=file.chosen + 1)
    elif file.frames > 1:
        work.note("pages_left_out", pages=file.frames, page=1)
    return work


def _tiff_pixels(page: Any, window: Window | None) -> _Decoding:
    pixels, alpha, left_out = tiff.split_alpha(page, tiff.array(page))
    kind = int(page.photometric)
    if pixels.dtype.kind == "c":
        raise ImagingError("unsupported_format", format=f"TIFF ({pixels.dtype.name})")
    # Associated alpha: the colours are multiplied by it already. They are divided by it before compositing.
    multiplied = alpha is not None and 1 in [int(extra) for extra in page.extrasamples or ()]
    if tiff.sample_type(page) is not None and kind != tiff.SEPARATED:
        values = deep_values(pixels, window, nodata=tiff.nodata(page), alpha=alpha, multiplied=multiplied)
        values.white_is_zero = kind == tiff.MIN_IS_WHITE
        work = _deep(values)
    else:
        work = _Decoding(strips_of_page(page, pixels, alpha, kind, multiplied=multiplied))
    if left_out:
        work.note("channels_left_out", channels=left_out)
    return work


def _by_pillow(file: tiff.Tiff, data: bytes) -> _Decoding:
    """Decode with Pillow (libtiff) what tifffile cannot decode: subsampled YCbCr, old JPEG."""
    with pillow(data, data, "TIFF") as image:
        image.seek(int(file.page.index) if isinstance(file.page.index, int) else 0)
        if image.size != (file.page.imagewidth, file.page.imagelength) and image.size[::-1] != (
            file.page.imagewidth, file.page.imagelength,
        ):  # fmt: skip
            raise ImagingError("damaged")
        # Pillow would rotate the picture while loading. It is rotated later, as in every format.
        image.tag_v2[274] = 1  # type: ignore[attr-defined]
        image.load()
        if image.mode in {"I", "F"} or image.mode.startswith("I;"):
            return _deep(deep_values(np.asarray(image), None))
        return _eight_bits(image)


def _finish(work: _Decoding, kind: str) -> Decoded:
    """Apply colours, transparency and orientation in this order, once, for every format."""
    try:
        if work.profile:
            step = colour.profile_step(work.profile, work.strips.mode)
            if step is not None:
                work.strips.steps.append(step)
                work.exact = False
        elif work.space is not None:
            work.strips.steps.append(colour.space_step(*work.space))
            work.exact = False
    except colour.ProfileError:
        work.note("profile_ignored")
    image = work.strips.picture()
    sample = ""
    if work.deep is not None:
        sample = work.deep.pixels.dtype.newbyteorder("=").name
        _note_values(work, work.deep)
    # The decoded values are not needed any more. Their memory is released before the picture is rotated.
    work.strips = work.deep = None  # type: ignore[assignment]
    width, height = work.full or image.size
    if work.orientation in exif.TRANSPOSES:
        image = image.transpose(exif.TRANSPOSES[work.orientation])
        if work.orientation >= 5:
            width, height = height, width
    unique = tuple({finding.code: finding for finding in work.findings}.values())
    return Decoded(image, kind, width, height, work.exact, sample, unique)


def _note_values(work: _Decoding, values: DeepValues) -> None:
    if values.clipped > CLIPPED_SHARE:
        share, window = round(values.clipped, 4), values.window
        work.note("values_clipped", share=share, black=window.black, white=window.white)
    if values.is_empty:
        work.note("no_values")
