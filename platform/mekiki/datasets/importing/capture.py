"""Capture metadata that cameras write into image files (EXIF). The place is left out unless it is wanted."""

import io
from collections.abc import Iterator
from typing import Any

from PIL import ExifTags, Image

from mekiki.datasets.importing.manifests.rows import MAX_TEXT, clean

# (tag, name of the column). Tags: CIPA DC-008 (EXIF 3.0).
_TAGS = (
    (ExifTags.Base.Make, "camera make"),
    (ExifTags.Base.Model, "camera model"),
    (ExifTags.Base.DateTime, "taken at"),  # replaced by DateTimeOriginal if the file has it
)
_CAPTURE_TAGS = (
    (ExifTags.Base.DateTimeOriginal, "taken at"),
    (ExifTags.Base.BodySerialNumber, "camera serial number"),
    (ExifTags.Base.LensModel, "lens"),
    (ExifTags.Base.ExposureTime, "exposure time"),
    (ExifTags.Base.FNumber, "f-number"),
    (ExifTags.Base.ISOSpeedRatings, "ISO"),
    (ExifTags.Base.FocalLength, "focal length"),
)


def captured_metadata(data: bytes, *, with_place: bool = False) -> dict[str, str]:
    """Return column → text of what the camera wrote into an image file.

    A file without EXIF, or with damaged EXIF, gives nothing. Call it for files that were decoded already.
    """
    try:
        with Image.open(io.BytesIO(data)) as picture:
            exif = picture.getexif()
            values = dict(_texts(exif, _TAGS))
            values |= dict(_texts(exif.get_ifd(ExifTags.IFD.Exif), _CAPTURE_TAGS))
            if with_place:
                values |= dict(_place(exif.get_ifd(ExifTags.IFD.GPSInfo)))
    except Exception:  # Pillow raises many kinds of errors for damaged EXIF, and the picture is good
        return {}
    return values


def _texts(tags: Any, wanted: tuple[tuple[int, str], ...]) -> Iterator[tuple[str, str]]:
    for tag, column in wanted:
        value = tags.get(tag)
        if isinstance(value, tuple) and value:
            value = value[0]
        if isinstance(value, bytes):
            value = value.decode("ascii", "replace")
        if value is None:
            continue
        text = clean(_number(value) if not isinstance(value, str) else value.strip("\0 "))
        if column == "taken at":
            text = _time(text)
        if text:
            yield column, text[:MAX_TEXT]


def _number(value: Any) -> str:
    number = float(value)
    return f"{number:.6g}" if number == number else ""


def _time(text: str) -> str:
    """Return 2026:11:01 10:20:30 as 2026-11-01 10:20:30. An empty clock gives nothing."""
    day, space, clock = text.partition(" ")
    day = day.replace(":", "-")
    return f"{day}{space}{clock}" if day[:4].isdigit() and not day.startswith("0000") else ""


def _place(gps: Any) -> Iterator[tuple[str, str]]:
    for name, at, side, negative in (("latitude", 2, 1, "S"), ("longitude", 4, 3, "W")):
        parts = gps.get(at)
        if parts and len(parts) == 3:
            degrees = float(parts[0]) + float(parts[1]) / 60 + float(parts[2]) / 3600
            if degrees == degrees:
                yield name, f"{-degrees if gps.get(side) == negative else degrees:.6f}"
