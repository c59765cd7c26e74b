"""From the bytes of a file to its one picture: upright, sRGB, 8 bits a channel, transparency on neutral grey."""

import re
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imaging import colour, exif, jpeg, png, tiff
from imaging.depth import Window, apply_window, estimate, sample_values
from imaging.errors import ImagingError
from imaging.headers import pillow
from imaging.limits import check_pixels
from imaging.sniff import format_of, refusal
from imaging.values import jpeg_array, take_turn

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
BACKDROP = (128, 128, 128)  # behind transparent pixels: the neutral grey of our screens
# What the libraries say of a file that ends too early.
_ENDS_EARLY = "truncat|unexpected end|broken data|requires a buffer|index out of range|premature"


@dataclass(frozen=True)
class Finding:
    """Something of the file that is not in the picture. `code` is a key of the import's messages."""

    code: str
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Decoded:
    """The picture, "L" or "RGB". width and height are those of the whole picture, as people see it.

    `exact`: a browser shows the file itself with these very pixels. `sample`: type of deep values, "" for 8 bits.
    """

    image: Image.Image
    format: str
    width: int
    height: int
    exact: bool
    sample: str = ""
    findings: tuple[Finding, ...] = ()


@dataclass
class _Work:
    """A picture on its way. `pixels` is what is left to be turned upright and coloured."""

    image: Image.Image
    orientation: int = 1
    profile: bytes = b""
    space: tuple[tuple[float, ...], float] | None = None
    alpha: Image.Image | None = None
    exact: bool = True
    sample: str = ""
    full: tuple[int, int] | None = None
    findings: list[Finding] = field(default_factory=list)

    def note(self, code: str, **detail: Any) -> None:
        self.findings.append(Finding(code, detail))
        self.exact = False


def decode(
    data: bytes, *, window: Window | None = None, max_pixels: int | None = None, side: int | None = None
) -> Decoded:
    """Return the picture of a file. ImagingError: the reason why there is none.

    window: for deep values; None estimates one from this file alone. side: a large JPEG may be decoded at a
    fraction of its size that is at least `side` pixels in both directions.
    """
    kind = format_of(data)
    if kind is None:
        raise refusal(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _decode(data, kind, window, max_pixels, side)
    except ImagingError:
        raise
    except MemoryError:
        raise
    except Exception as error:  # decoders raise almost anything on damaged data
        short = isinstance(error, EOFError) or re.search(_ENDS_EARLY, str(error))
        raise ImagingError("truncated" if short else "damaged") from None


def _decode(data: bytes, kind: str, window: Window | None, limit: int | None, side: int | None) -> Decoded:
    if kind == "TIFF":
        with tiff.opened(data, limit) as file, take_turn(file.page.imagewidth * file.page.imagelength):
            return _finish(_tiff(file, data, window), kind)
    if kind == "PNG":
        parts = png.parse(data)
        check_pixels(parts.width, parts.height, limit)
        with take_turn(parts.width * parts.height):
            return _finish(_png(parts, data, window), kind)
    if kind == "JPEG":
        segments = jpeg.parse(data)
        check_pixels(segments.width, segments.height, limit)
        with take_turn(segments.width * segments.height):
            return _finish(_jpeg(segments, data, window, limit, side), kind)
    with pillow(data, data, kind) as image:
        check_pixels(image.width, image.height, limit)
        with take_turn(image.width * image.height):
            return _finish(_other(image, kind), kind)


def _jpeg(parts: jpeg.Jpeg, data: bytes, window: Window | None, limit: int | None, side: int | None) -> _Work:
    orientation, odd_density = exif.read(parts.exif)
    if parts.precision > 8:
        work = _deep(jpeg_array(data), None, window, None)
        work.orientation = orientation
        return work
    with pillow(parts.data, data, "JPEG") as image:
        check_pixels(image.width, image.height, limit)
        full = image.size
        if side is not None:
            image.draft(image.mode, (side, side))
        image.load()
        work = _Work(image, orientation, parts.profile, full=full)
    if parts.profile_problem:
        work.note("profile_ignored")
    if parts.pictures > 1:
        work.findings.append(Finding("pictures_left_out", {"pictures": parts.pictures}))
    if image.mode not in {"L", "RGB"} or odd_density:
        work.exact = False
    return work


def _png(parts: png.Png, data: bytes, window: Window | None) -> _Work:
    orientation, _odd = exif.read(parts.exif)
    if parts.bits == 16:
        pixels, alpha = png.deep_array(parts)
        work = _deep(pixels, alpha, window, None)
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
    if b"cICP" in parts.colour:  # it goes before the profile
        work.profile, work.exact = b"", False
    if parts.frames > 1 or parts.animated_only:
        work.note("frames_left_out", frames=parts.frames)
    return work


def _other(image: Image.Image, kind: str) -> _Work:
    """GIF, WebP, BMP: the first frame."""
    frames = 1
    profile, block = image.info.get("icc_profile") or b"", image.info.get("exif") or b""
    if kind in {"GIF", "WEBP"}:
        frames = int(getattr(image, "n_frames", 1))  # reads to the end: a file that was cut short fails here
        image.seek(0)
    # A first frame that is smaller than the whole: what is around it, browsers leave transparent.
    tiles = getattr(image, "tile", None) or [("", None)]
    partial = kind == "GIF" and tuple(tiles[0][1] or (0, 0, *image.size)) != (0, 0, *image.size)
    image.load()
    work = _eight_bits(image)
    orientation, odd_density = exif.read(block if isinstance(block, bytes) else b"")
    work.orientation = orientation if kind == "WEBP" else 1
    work.profile = profile if isinstance(profile, bytes) else b""
    if frames > 1:
        work.note("frames_left_out", frames=frames)
    if kind == "BMP" or odd_density or work.orientation != 1 or partial:
        work.exact = False
    return work


def _eight_bits(image: Image.Image) -> _Work:
    """A loaded Pillow image of any mode of 8 bits and less, with its transparency apart."""
    if image.mode == "1":
        return _Work(image.convert("L"))
    if image.mode in {"LA", "La", "PA", "RGBA", "RGBa"} or "transparency" in image.info:
        layer = image.convert("RGBA")
        alpha = layer.getchannel("A")
        rgb = layer.convert("RGB")
        if alpha.getextrema() == (255, 255):  # nothing is transparent
            return _Work(rgb)
        return _Work(rgb, alpha=alpha, exact=False)
    if image.mode in {"L", "RGB"}:
        return _Work(image)
    return _Work(image.convert("RGB"), exact=image.mode == "P")


def _deep(
    pixels: NDArray[Any], alpha: NDArray[Any] | None, window: Window | None, nodata: float | None
) -> _Work:
    dtype = pixels.dtype.newbyteorder("=")
    if window is None:
        window = estimate([sample_values(pixels, nodata=nodata)], dtype)
    eight, outside = apply_window(pixels, window, nodata=nodata)
    work = _Work(Image.fromarray(eight), exact=False, sample=dtype.name)
    if outside > 0.001:
        work.note("values_clipped", share=round(outside, 4), black=window.black, white=window.white)
    if not eight.any() and not len(sample_values(pixels, nodata=nodata)):
        work.note("no_values")
    if alpha is not None:
        work.alpha = Image.fromarray(_alpha(alpha))
    return work


def _alpha(alpha: NDArray[Any]) -> NDArray[np.uint8]:
    if alpha.dtype == np.uint8:
        return np.ascontiguousarray(alpha)
    top = float(np.iinfo(alpha.dtype).max) if alpha.dtype.kind in "iu" else 1.0
    scaled = np.nan_to_num(alpha.astype(np.float32)) * (255.0 / top)
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def _tiff(file: tiff.Tiff, data: bytes, window: Window | None) -> _Work:
    page = file.page
    try:
        work = _tiff_pixels(page, window)
    except NotImplementedError:
        work = _by_pillow(file, data)
    work.orientation = tiff.orientation(page)
    work.profile = b"" if page.photometric in {tiff.CIELAB, tiff.ICCLAB} else tiff.profile(page)
    work.exact = False
    if len(file.pages) > 1:
        work.note("pages_left_out", pages=len(file.pages), page=file.chosen + 1)
    elif file.frames > 1:
        work.note("pages_left_out", pages=file.frames, page=1)
    return work


def _tiff_pixels(page: Any, window: Window | None) -> _Work:
    pixels, alpha, left_out = tiff.split_alpha(page, tiff.array(page))
    kind = int(page.photometric)
    if pixels.dtype.kind == "c":
        raise NotImplementedError("complex numbers")
    if tiff.sample_type(page) is not None and kind != tiff.SEPARATED:
        work = _deep(pixels, alpha, window, tiff.nodata(page))
        if kind == tiff.MIN_IS_WHITE:
            work.image = work.image.point(lambda value: 255 - value)
    else:
        work = _Work(_shallow(page, pixels, kind))
        if alpha is not None:
            work.alpha = Image.fromarray(_alpha(alpha))
    # Associated alpha: colours are multiplied by it already, so they are laid on the backdrop by another rule.
    if work.alpha is not None and 1 in [int(extra) for extra in page.extrasamples or ()]:
        work.image = _divided(work.image, work.alpha)
    if left_out:
        work.note("channels_left_out", channels=left_out)
    return work


def _shallow(page: Any, pixels: NDArray[Any], kind: int) -> Image.Image:
    """Values of at most 8 bits, and the kinds of colour that are no plain channels."""
    bits = page.bitspersample if isinstance(page.bitspersample, int) else page.bitspersample[0]
    if kind == tiff.PALETTE:
        table = np.asarray(page.colormap)
        table = (table >> 8 if table.max(initial=0) > 255 else table).astype(np.uint8)  # (3, n)
        return Image.fromarray(np.ascontiguousarray(table.T[np.minimum(pixels, table.shape[1] - 1)]))
    if kind in {tiff.CIELAB, tiff.ICCLAB} and pixels.ndim == 3:
        return colour.lab_to_rgb(pixels, icc=kind == tiff.ICCLAB)
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * 255
    elif pixels.dtype.itemsize > 1:  # CMYK, YCbCr of 16 bits
        pixels = (pixels >> 8).astype(np.uint8)
    elif bits < 8:
        pixels = np.rint(pixels * (255.0 / (2**bits - 1))).astype(np.uint8)
    if pixels.dtype != np.uint8:
        raise NotImplementedError(str(pixels.dtype))
    if kind == tiff.MIN_IS_WHITE:
        pixels = 255 - pixels
    pixels = np.ascontiguousarray(pixels)
    if kind == tiff.SEPARATED and pixels.ndim == 3 and pixels.shape[2] == 4:
        return Image.fromarray(pixels, "CMYK")
    # tifffile returns RGB for YCbCr that is compressed as JPEG.
    if kind == tiff.YCBCR and int(page.compression) not in {6, 7, 33007} and pixels.ndim == 3:
        return Image.fromarray(pixels, "YCbCr").convert("RGB")
    return Image.fromarray(pixels)


def _by_pillow(file: tiff.Tiff, data: bytes) -> _Work:
    """What tifffile cannot decode (subsampled YCbCr, old JPEG) libtiff often can."""
    with pillow(data, data, "TIFF") as image:
        image.seek(int(file.page.index) if isinstance(file.page.index, int) else 0)
        if image.size != (file.page.imagewidth, file.page.imagelength) and image.size[::-1] != (
            file.page.imagewidth, file.page.imagelength,
        ):  # fmt: skip
            raise ImagingError("damaged")
        # Pillow would turn the picture while loading; it is turned once, with all others.
        image.tag_v2[274] = 1  # type: ignore[attr-defined]
        image.load()
        if image.mode in {"I", "F"} or image.mode.startswith("I;"):
            return _deep(np.asarray(image), None, None, None)
        return _eight_bits(image)


def _divided(image: Image.Image, alpha: Image.Image) -> Image.Image:
    pixels = np.asarray(image).astype(np.float32)
    share = np.asarray(alpha).astype(np.float32)[..., None] / 255
    share = share if pixels.ndim == 3 else share[..., 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        plain = np.where(share > 0, pixels / share, 0)
    return Image.fromarray(np.clip(np.rint(plain), 0, 255).astype(np.uint8))


def _finish(work: _Work, kind: str) -> Decoded:
    """Colours, transparency, orientation: in this order, once, for every format."""
    image = work.image
    if work.profile:
        try:
            image, changed = colour.apply_profile(image, work.profile)
            work.exact &= not changed
        except colour.ProfileError:
            work.note("profile_ignored")
    elif work.space is not None:
        try:
            image = colour.apply_space(image, *work.space)
            work.exact = False
        except colour.ProfileError:
            work.note("profile_ignored")
    if image.mode not in {"L", "RGB"}:
        image = image.convert("RGB")
    if work.alpha is not None:
        ground = Image.new("RGB", image.size, BACKDROP)
        ground.paste(image.convert("RGB"), mask=work.alpha)
        image = ground
    width, height = work.full or image.size
    if work.orientation in exif.TURNS:
        image = image.transpose(exif.TURNS[work.orientation])
        if work.orientation >= 5:
            width, height = height, width
    unique = tuple({finding.code: finding for finding in work.findings}.values())
    return Decoded(image, kind, width, height, work.exact, work.sample, unique)
