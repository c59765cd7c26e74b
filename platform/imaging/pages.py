"""Splits a TIFF of many pages into files of one page."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np

from imaging import needs, tiff
from imaging.errors import ImagingError, wrap_library_errors
from imaging.limits import check_pixels
from imaging.memory import budget
from imaging.sniff import format_of


def split_pages(data: bytes, *, max_pixels: int | None = None) -> Iterator[tuple[int, bytes | ImagingError]]:
    """Yield (page number from 1, a TIFF of this page alone or the error for this page).

    A file with one page yields nothing. Values are stored without loss, and the same page always gives the
    same bytes. Raises ImagingError if the file cannot be opened.
    """
    if format_of(data) != "TIFF":
        return
    with wrap_library_errors(), tiff.opened(data, max_pixels) as file:
        if len(file.pages) > 1:
            for number, page in enumerate(file.pages, start=1):
                yield number, _one(page, max_pixels)
        elif file.frames > 1:
            yield from _planes(file, max_pixels)


def _one(page: Any, max_pixels: int | None) -> bytes | ImagingError:
    try:
        with wrap_library_errors():
            check_pixels(page.imagewidth, page.imagelength, max_pixels)
            # The memory is for the values, a contiguous copy, and the file itself. Nothing is reserved while
            # a page is yielded, because the caller may wait for memory of the same budget.
            with budget.reserved(3 * needs.of_page(page)):
                return _written(page, tiff.array(page))
    except ImagingError as error:
        return error
    except MemoryError:
        return ImagingError("no_memory")


def _planes(file: tiff.Tiff, max_pixels: int | None) -> Iterator[tuple[int, bytes | ImagingError]]:
    """Yield the planes of an ImageJ stack or a volume that has a single page for all planes."""
    page = file.page
    try:
        with wrap_library_errors():
            check_pixels(page.imagewidth, page.imagelength * file.frames, max_pixels)
            of_stack = needs.of_page(page) * (file.frames if int(page.imagedepth or 1) == 1 else 1)
            with budget.reserved(3 * of_stack):
                series = np.asarray(page.parent.series[0].asarray(maxworkers=1))
                planes = series.reshape(
                    -1, *page.keyframe.shape[-2:] if page.axes[-1] != "S" else page.shape[-3:]
                )
                files = [_written(page, plane) for plane in planes]
    except (ImagingError, MemoryError) as error:
        yield 1, error if isinstance(error, ImagingError) else ImagingError("no_memory")
        return
    yield from enumerate(files, start=1)


def _written(page: Any, pixels: Any) -> bytes:
    import tifffile

    kind = int(page.photometric)
    if kind == tiff.YCBCR and int(page.compression) in {6, 7, 33007}:
        kind = tiff.RGB  # tifffile has converted it already
    extra: list[tuple[int, int, int, Any, bool]] = []
    if (turned := tiff.orientation(page)) != 1:
        extra.append((274, 3, 1, turned, True))
    if (nodata := tiff.tag(page, 42113)) is not None:
        text = str(nodata)
        extra.append((42113, 2, len(text) + 1, text, True))
    options: dict[str, Any] = {}
    if kind == tiff.PALETTE:
        options["colormap"] = page.colormap
    if pixels.ndim == 3 and page.extrasamples:
        options["extrasamples"] = [int(extra_kind) for extra_kind in page.extrasamples]
    if profile := tiff.profile(page):
        options["iccprofile"] = profile
    out = io.BytesIO()
    tifffile.imwrite(
        out,
        np.ascontiguousarray(pixels),
        photometric=kind,
        planarconfig="contig" if pixels.ndim == 3 else None,
        compression=None if pixels.dtype == bool else "zlib",
        metadata=None,
        software=False,
        extratags=extra,
        **options,
    )
    return out.getvalue()
