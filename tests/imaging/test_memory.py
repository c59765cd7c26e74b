"""Decoding stays within a memory budget.

The needed memory is known in advance. The decoder waits for it or refuses the image by name.
"""

import io
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import imaging
from benchmarks.decoding_memory import KINDS
from imaging import ImagingError, strips
from imaging.memory import MemoryBudget
from mekiki.datasets.importing import pictures
from tests.datasets.helpers import png_header
from tests.imaging.files import apng, encode, interlaced, linear_profile, png16, tiff

ROOT = Path(__file__).resolve().parents[2]
SIDE = 2400
MB = 1 << 20
NOISE = np.random.default_rng(0).integers(0, 256, (53, 37, 4), dtype=np.uint8)
DEEP = NOISE.astype(np.uint16) * 16
# Peak memory in bytes per pixel, before the decoder worked in strips.
MOST = {
    "PNG, RGBA": 8,
    "PNG, palette with transparency": 5.5,
    "PNG, 16 bits, RGBA": 12,
    "TIFF, RGBA": 8,
    "TIFF, double": 9,
    "WebP": 8,
}
MEASURED = (*MOST, "JPEG, progressive", "PNG, RGB, turned", "GIF")


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, float]]:
    """Return the memory used to examine a file of 6 million pixels of each kind, in a separate process."""
    folder = tmp_path_factory.mktemp("kinds")
    for number, kind in enumerate(MEASURED):
        (folder / f"{number:02d}").write_bytes(KINDS[kind](SIDE))
    process = subprocess.run(
        [
            sys.executable,
            ROOT / "benchmarks" / "decoding_memory.py",
            "--examine-each",
            *sorted(folder.iterdir()),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(zip(MEASURED, map(json.loads, process.stdout.splitlines()), strict=True))


def test_no_kind_uses_more_memory_than_was_reserved(figures: dict[str, dict[str, float]]) -> None:
    over = {kind: memory for kind, memory in figures.items() if memory["peak_mb"] > memory["estimated_mb"]}
    assert not over


def test_kinds_are_decoded_in_strips(figures: dict[str, dict[str, float]]) -> None:
    """Besides the picture: the file, and strips of some 10 MB."""
    limits = {kind: bytes_a_pixel * SIDE * SIDE / MB + 48 for kind, bytes_a_pixel in MOST.items()}
    assert not {kind: figures[kind] for kind in MOST if figures[kind]["peak_mb"] > limits[kind]}


def test_memory_is_released_after_decoding(figures: dict[str, dict[str, float]]) -> None:
    assert not {kind: memory for kind, memory in figures.items() if memory["kept_mb"] > 24}


@pytest.fixture
def small_budget() -> Iterator[None]:
    before = imaging.memory_budget.limit
    imaging.memory_budget.set_limit(100 * MB)
    yield
    imaging.memory_budget.set_limit(before)


def test_image_above_the_memory_budget_is_refused_before_decoding(small_budget: None) -> None:
    with pytest.raises(ImagingError) as error:
        imaging.decode(png_header(10_000, 10_000))
    assert error.value.code == "too_much_memory"
    assert error.value.detail["limit"] == 100 * MB < error.value.detail["needed"]
    deep = tiff(np.zeros((3000, 3000)), compression="zlib")
    for read in (imaging.decode, imaging.deep_values):
        with pytest.raises(ImagingError, match="too_much_memory"):
            read(deep)


def test_reduced_jpeg_needs_memory_for_the_reduced_size_only(small_budget: None) -> None:
    data = encode(Image.new("RGB", (9000, 9000)), "JPEG")
    assert imaging.decode(data, side=1600).width == 9000
    with pytest.raises(ImagingError, match="too_much_memory"):
        imaging.decode(data)


def test_reservations_wait_in_order_for_free_memory() -> None:
    budget = MemoryBudget(100)
    order: list[str] = []
    first, second = threading.Event(), threading.Event()

    def reserve(name: str, needed: int) -> None:
        with budget.reserved(needed):
            order.append(name)

    with budget.reserved(60):
        large = threading.Thread(target=lambda: (first.set(), reserve("large", 80)))
        large.start()
        first.wait(10)
        while not budget._waiting:
            pass
        # It would fit, but came later: a large image is not overtaken forever.
        small = threading.Thread(target=lambda: (second.set(), reserve("small", 30)))
        small.start()
        second.wait(10)
        assert order == []
    large.join(10)
    small.join(10)
    assert order == ["large", "small"]
    assert budget.peak <= 110


def test_picture_is_closed_after_its_block_and_errors_are_raised() -> None:
    with pytest.raises(KeyError), imaging.decoded(encode(NOISE[..., :3], "PNG")) as decoded:
        raise KeyError("of the caller")
    with pytest.raises(ValueError, match="closed"):
        decoded.image.getpixel((0, 0))


PICTURES = {
    "RGBA": encode(NOISE, "PNG"),
    "grey and alpha": encode(Image.fromarray(NOISE).convert("LA"), "PNG"),
    "palette": encode(Image.fromarray(NOISE[..., :3]).quantize(9), "PNG", transparency=2),
    "colour key": encode(NOISE[..., :3], "PNG", transparency=tuple(map(int, NOISE[3, 3, :3]))),
    "profile": encode(NOISE[..., :3], "PNG", icc_profile=linear_profile()),
    "grey profile": encode(NOISE[..., 0], "PNG", icc_profile=linear_profile("GRAY")),
    "16 bits": png16(DEEP),
    "interlaced": interlaced(DEEP[..., 0]),
    "APNG": apng(),
    "CMYK": encode(Image.fromarray(NOISE[..., :3]).convert("CMYK"), "JPEG"),
    "associated alpha": tiff(NOISE, photometric="rgb", extrasamples=["assocalpha"]),
    "deep TIFF": tiff(DEEP, photometric="rgb", extrasamples=["unassalpha"]),
    "white is zero": tiff(DEEP[..., 0], photometric="miniswhite"),
    "WebP": encode(NOISE, "WEBP", lossless=True, exact=True),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_pixels_do_not_depend_on_the_height_of_strips(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = imaging.decode(PICTURES[kind])
    monkeypatch.setattr(strips, "STRIP_PIXELS", 50)
    in_strips = imaging.decode(PICTURES[kind])
    assert in_strips.image.tobytes() == whole.image.tobytes()
    assert (in_strips.image.mode, in_strips.exact, in_strips.findings) == (
        whole.image.mode,
        whole.exact,
        whole.findings,
    )


@pytest.mark.parametrize("options", [{"lossless": True}, {"quality": 80}, {"quality": 5, "method": 6}])
@pytest.mark.parametrize("channels", [3, 4])
def test_webp_is_decoded_to_the_same_pixels_as_by_pillow(options: dict[str, object], channels: int) -> None:
    smooth = Image.fromarray(NOISE[:5, :5, :channels]).resize((61, 43))
    data = encode(smooth, "WEBP", **options)
    with Image.open(io.BytesIO(data)) as image:
        wanted = image.convert("RGBA")
    decoded = imaging.decode(data).image
    opaque = np.asarray(wanted)[..., 3] == 255
    assert (np.asarray(decoded)[opaque] == np.asarray(wanted)[..., :3][opaque]).all()


def test_pictures_are_scaled_to_the_size_of_pillow_thumbnails() -> None:
    for width in (*range(1, 40), 1600, 1601, 7001, 10_000):
        for height in (1, 2, 3, 255, 256, 257, 1599, 1601, 6007):
            image = Image.new("1", (width, height))
            for side in (32, 256):
                if max(width, height) > side:
                    small = image.copy()
                    small.thumbnail((side, side), Image.Resampling.NEAREST, reducing_gap=None)
                    assert pictures._fitting((width, height), side) == small.size
