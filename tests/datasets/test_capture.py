"""Capture metadata: EXIF with and without the place, and the pattern of the path."""

import io
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from PIL import ExifTags
from PIL import Image as Pillow

from mekiki.datasets.importing.capture import captured_metadata
from mekiki.datasets.importing.path_patterns import compile_pattern


def photograph(kind: str = "JPEG", **more: Any) -> bytes:
    exif = Pillow.Exif()
    exif[ExifTags.Base.Make] = "Basler\0"
    exif[ExifTags.Base.Model] = "a2A"
    exif[ExifTags.Base.DateTime] = "2026:11:02 00:00:00"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2026:11:01 10:20:30"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExposureTime] = 0.004
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] = 200
    gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
    gps[1], gps[2], gps[3], gps[4] = "S", (35.0, 30.0, 0.0), "E", (139.0, 0.0, 36.0)
    out = io.BytesIO()
    Pillow.new("RGB", (8, 8)).save(out, kind, exif=exif)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_without_the_place(kind: str) -> None:
    values = captured_metadata(photograph(kind))
    assert values["camera make"] == "Basler" and values["camera model"] == "a2A"
    assert values["taken at"] == "2026-11-01 10:20:30"
    assert (values["exposure time"], values["ISO"]) == ("0.004", "200")
    assert not {"latitude", "longitude"} & set(values)


def test_the_place_is_kept_on_request_and_damage_gives_nothing() -> None:
    values = captured_metadata(photograph(), with_place=True)
    assert (values["latitude"], values["longitude"]) == ("-35.500000", "139.010000")
    data = photograph()
    emptied = data.replace(b"2026:11:01 10:20:30", b"0000:00:00 00:00:00")
    assert captured_metadata(emptied)["taken at"].startswith("2026-11-02")
    for broken in (data[:100], b"", b"no picture"):
        assert captured_metadata(broken) == {}
    for at in range(20, 300, 7):  # no damage of the header raises an error
        captured_metadata(data[:at] + b"\xff\xff\xff\xff" + data[at + 4 :], with_place=True)


@pytest.mark.parametrize(
    ("pattern", "name", "values"),
    [
        ("{line}/{camera}/{date}_{*}", "x/line3/cam2/20261101_a_b.jpg", ("line3", "cam2", "20261101")),
        ("line{line}/{camera}/{*}", "line3/cam2/x.jpg", ("3", "cam2")),
        ("{date}-{shift}", "a/2026-night.png", ("2026", "night")),
        ("{date}_{*}_{n}.raw", "1_2_3.raw.png", ("1", "3")),
        ("{line}/{camera}", "only.jpg", ()),
        ("{line}_x", "a_y.jpg", ()),
        ("{line}_{n}", "_1.jpg", ()),
        ("{ライン}/{*}", "三号\\x.jpg", ("三号",)),
        ("", "a/b.jpg", ()),
    ],
)
def test_patterns_of_paths(pattern: str, name: str, values: tuple[str, ...]) -> None:
    assert tuple(compile_pattern(pattern).values(name).values()) == values


def test_a_hostile_pattern_takes_no_time_and_bad_patterns_are_refused() -> None:
    hostile = compile_pattern("_".join(f"{{c{n}}}" for n in range(30)))
    assert len(hostile.values("_" * 4000 + ".jpg")) <= 30
    assert hostile.values("a_" * 2000) != {}
    for pattern in ("{a}{b}", "abc", "{a", "a}", "{a}//{b}", "{}", "{a}/{a}", "{*}", "{a}_\0", "x" * 501):
        with pytest.raises(ValidationError):
            compile_pattern(pattern)
