"""The decoder: a stored file becomes the right upright 8-bit picture, or is refused with a reason."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

import imaging
from imaging import ImagingError, Window, decode
from tests.imaging.files import (
    COLOUR,
    GREY,
    HEIGHT,
    WIDTH,
    add_chunks,
    add_segment,
    apng,
    chunk,
    encode,
    interlaced,
    linear_profile,
    png16,
    srgb_profile,
    tiff,
)

TWELVE = GREY.astype(np.uint16) * 16  # 12 bits in a container of 16
COLOUR12 = COLOUR.astype(np.uint16) * 16
TWELVE_BITS = Window(0, 4095)


def pixels_of(data: bytes, window: Window | None = None) -> np.ndarray:
    return np.asarray(decode(data, window=window).image).astype(int)


def are_close(pixels: np.ndarray, wanted: np.ndarray, within: int = 1) -> bool:
    return pixels.shape == wanted.shape and int(np.abs(pixels - wanted.astype(int)).max()) <= within


def finding_codes(data: bytes, **options: object) -> list[str]:
    return [finding.code for finding in decode(data, **options).findings]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "data", "wanted"),
    [
        ("16 bits", tiff(TWELVE), GREY),
        ("16 bits, big-endian", tiff(TWELVE, byteorder=">"), GREY),
        ("BigTIFF", tiff(TWELVE, bigtiff=True), GREY),
        ("tiled, compressed", tiff(TWELVE, tile=(16, 16), compression="zlib", predictor=True), GREY),
        ("LZW", tiff(TWELVE, compression="lzw"), GREY),
        ("12 bits, packed", tiff(TWELVE, bitspersample=12), GREY),
        ("white is zero", tiff(4095 - TWELVE, photometric="miniswhite"), GREY),
        ("colour", tiff(COLOUR12, photometric="rgb"), COLOUR),
        (
            "colour in planes",
            tiff(np.moveaxis(COLOUR12, -1, 0), photometric="rgb", planarconfig="separate"),
            COLOUR,
        ),
        ("grey PNG", png16(TWELVE), GREY),
        ("colour PNG", png16(COLOUR12), COLOUR),
        ("interlaced PNG", interlaced(TWELVE), GREY),
        ("interlaced colour PNG", interlaced(COLOUR12), COLOUR),
        ("interlaced PNG of 8 bits", interlaced(COLOUR), COLOUR),
    ],
)
def test_deep_images_are_shown_by_their_window(name: str, data: bytes, wanted: np.ndarray) -> None:
    assert are_close(pixels_of(data, TWELVE_BITS), wanted), name


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "uint32", "float16", "float32", "float64"])
def test_every_type_of_values_can_be_windowed(dtype: str) -> None:
    values = (GREY.astype(float) / 255 * 100 - (50 if dtype[0] == "i" else 0)).astype(dtype)
    low, high = float(values.min()), float(values.max())
    pixels = pixels_of(tiff(values), Window(low, high))
    wanted = np.rint((values.astype(float) - low) * 255 / (high - low))
    assert are_close(pixels, wanted)


def test_missing_values_are_black_and_infinite_values_are_clipped() -> None:
    values = np.full((HEIGHT, WIDTH), 5.0, np.float32)
    values[0, :5] = [np.nan, np.inf, -np.inf, -3.4028235e38, 10]
    data = tiff(values, extratags=[(42113, 2, 3, "10", True)])
    assert list(pixels_of(data, Window(0, 10))[0, :6]) == [0, 255, 0, 0, 0, 128]


def test_picture_with_only_missing_values_can_be_decoded() -> None:
    for value in (np.nan, np.inf, -9999.0):
        assert decode(tiff(np.full((4, 4), value, np.float32))).image.size == (4, 4)


@pytest.mark.parametrize(
    ("name", "data", "wanted"),
    [
        ("bits", tiff(GREY > 127), np.where(GREY > 127, 255, 0)),
        ("bits, white is zero", tiff(GREY > 127, photometric="miniswhite"), np.where(GREY > 127, 0, 255)),
        (
            "fax",
            encode(Image.fromarray(GREY > 127), "TIFF", compression="group4"),
            np.where(GREY > 127, 255, 0),
        ),
        ("palette", encode(Image.fromarray(COLOUR).quantize(256), "TIFF"), None),
        ("JPEG in TIFF", encode(COLOUR, "TIFF", compression="jpeg", quality=100), COLOUR),
        ("CMYK", encode(Image.fromarray(COLOUR).convert("CMYK"), "TIFF"), COLOUR),
        ("YCbCr", encode(Image.fromarray(COLOUR).convert("YCbCr"), "TIFF"), COLOUR),
        (
            "colours and a further channel",
            tiff(np.dstack([COLOUR, GREY]), photometric="rgb", extrasamples=[0]),
            COLOUR,
        ),
    ],
)
def test_tiff_of_at_most_eight_bits_is_decoded(name: str, data: bytes, wanted: np.ndarray | None) -> None:
    if wanted is None:
        wanted = np.asarray(Image.fromarray(COLOUR).quantize(256).convert("RGB"))
    assert are_close(pixels_of(data), wanted, within=6 if name in {"JPEG in TIFF", "YCbCr"} else 1), name


def test_lab_colours_are_converted() -> None:
    from PIL import ImageCms

    to_lab = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    muted = (COLOUR // 2 + 60).astype(np.uint8)
    lab = ImageCms.applyTransform(Image.fromarray(muted), to_lab)
    assert lab is not None
    assert are_close(pixels_of(encode(lab, "TIFF")), muted, within=6)


@pytest.mark.parametrize("turn", range(1, 9))
def test_orientation_is_applied_in_every_format(turn: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    plain = Image.fromarray(COLOUR)
    wanted = np.asarray(decode(encode(plain, "PNG", exif=exif)).image)
    for data in (
        encode(plain, "WEBP", exif=exif, lossless=True),
        tiff(COLOUR, photometric="rgb", extratags=[(274, 3, 1, turn, True)]),
    ):
        decoded = decode(data)
        assert are_close(np.asarray(decoded.image).astype(int), wanted)
        assert (decoded.width, decoded.height) == decoded.image.size
    assert are_close(
        pixels_of(encode(plain, "JPEG", exif=exif, quality=100, subsampling=0)), wanted, within=6
    )
    assert (wanted.shape[:2] == (WIDTH, HEIGHT)) == (turn >= 5)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [(kind, "RGB") for kind in ("JPEG", "PNG", "WEBP", "TIFF")]
    + [(kind, "L") for kind in ("JPEG", "PNG", "TIFF")],
)
def test_colour_profile_is_applied_once(kind: str, mode: str) -> None:
    pixels = COLOUR if mode == "RGB" else GREY
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    profile = linear_profile("RGB" if mode == "RGB" else "GRAY")
    decoded = decode(encode(pixels, kind, icc_profile=profile, **options))
    linear = pixels / 255
    wanted = 255 * np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    if mode == "L":
        wanted = np.repeat(wanted[..., None], 3, 2)
    colours = np.asarray(decoded.image.convert("RGB")).astype(float)
    assert np.abs(colours - wanted).mean() < 1.5
    assert not decoded.exact and not decoded.findings


def test_srgb_profile_changes_no_pixel() -> None:
    decoded = decode(encode(COLOUR, "PNG", icc_profile=srgb_profile()))
    assert decoded.exact and are_close(np.asarray(decoded.image).astype(int), COLOUR, within=0)


@pytest.mark.parametrize("profile", [b"rubbish", b"\0" * 5000, linear_profile("GRAY")])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_damaged_profile_is_ignored_and_reported(kind: str, profile: bytes) -> None:
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    decoded = decode(encode(COLOUR, kind, icc_profile=profile, **options))
    assert are_close(np.asarray(decoded.image).astype(int), COLOUR, within=6)
    assert [finding.code for finding in decoded.findings] == ["profile_ignored"]
    assert not decoded.exact  # a browser may apply the part that it understands


def test_profile_bombs_are_ignored() -> None:
    bomb = b"x\0\0" + zlib.compress(b"\0" * (64 << 20), 9)
    assert finding_codes(add_chunks(encode(COLOUR, "PNG"), (b"iCCP", bomb))) == ["profile_ignored"]


def test_gamma_and_primaries_of_png_are_applied() -> None:
    plain = encode(GREY, "PNG")
    linear = decode(add_chunks(plain, (b"gAMA", struct.pack(">I", 100_000))))
    assert np.asarray(linear.image)[0, WIDTH // 2] > 180 and not linear.exact
    srgb_chunk = decode(add_chunks(plain, (b"gAMA", struct.pack(">I", 100_000)), (b"sRGB", b"\0")))
    assert are_close(np.asarray(srgb_chunk.image).astype(int), GREY, within=0) and srgb_chunk.exact
    p3 = decode(
        add_chunks(encode(np.full((8, 8, 3), (200, 40, 40), np.uint8), "PNG"), (b"cICP", b"\x0c\x0d\0\x01"))
    )
    red, green, _blue = np.asarray(p3.image)[0, 0].tolist()
    assert red > 205 and green < 40  # P3 red lies outside sRGB, where it is more saturated
    assert finding_codes(add_chunks(plain, (b"gAMA", b"\0\0\0\0"))) == ["profile_ignored"]


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_transparent_pixels_are_shown_on_grey(kind: str) -> None:
    pixels = np.dstack([COLOUR, np.where(GREY > 127, 255, 0).astype(np.uint8)])
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    decoded = decode(encode(pixels, kind, **options))
    wanted = np.where(GREY[..., None] > 127, COLOUR, 128)
    assert are_close(np.asarray(decoded.image).astype(int), wanted) and not decoded.exact


def test_transparent_pixels_of_deep_images_are_shown_on_grey() -> None:
    alpha = np.where(GREY > 127, 65535, 0).astype(np.uint16)
    for data in (png16(np.dstack([TWELVE, alpha])), tiff(np.dstack([TWELVE, alpha]), extrasamples=[2])):
        pixels = pixels_of(data, TWELVE_BITS)
        assert are_close(pixels[..., 0], np.where(GREY > 127, GREY, 128))
    keyed = add_chunks(png16(TWELVE), (b"tRNS", struct.pack(">H", int(TWELVE[0, 0]))))
    assert pixels_of(keyed, TWELVE_BITS)[0, 0, 0] == 128


def test_palettes_of_png_and_gif_are_decoded() -> None:
    flat = Image.fromarray(COLOUR).quantize(64)
    wanted = np.asarray(flat.convert("RGB"))
    for kind in ("PNG", "GIF"):
        decoded = decode(encode(flat, kind))
        assert are_close(np.asarray(decoded.image).astype(int), wanted, within=0) and decoded.exact
        clear = decode(encode(flat, kind, transparency=int(np.asarray(flat)[0, 0])))
        assert np.asarray(clear.image)[0, 0].tolist() == [128, 128, 128] and not clear.exact


def test_cmyk_jpeg_is_not_inverted() -> None:
    decoded = decode(encode(Image.fromarray(COLOUR).convert("CMYK"), "JPEG", quality=100))
    assert np.abs(np.asarray(decoded.image).astype(int) - COLOUR).mean() < 6 and not decoded.exact


def test_adobe_rgb_in_exif_is_ignored_as_in_browsers() -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 2
    decoded = decode(encode(COLOUR, "JPEG", exif=exif, quality=100, subsampling=0))
    assert are_close(np.asarray(decoded.image).astype(int), COLOUR, within=6) and decoded.exact


def test_non_square_pixels_are_ignored() -> None:
    decoded = decode(encode(COLOUR, "PNG", dpi=(300, 100)))
    assert decoded.image.size == (WIDTH, HEIGHT)
    exif = Image.Exif()
    exif[0x011A], exif[0x011B], exif[0x0128] = 300.0, 100.0, 2
    assert not decode(encode(COLOUR, "JPEG", exif=exif)).exact


@pytest.mark.parametrize("hidden", [True, False])
def test_animated_png_is_decoded_to_its_still_picture(hidden: bool) -> None:
    decoded = decode(apng(hidden))
    assert np.asarray(decoded.image)[5, 5].tolist() == [0, 0, 200]
    assert finding_codes(apng(hidden)) == ["frames_left_out"] and not decoded.exact


def test_other_animations_are_decoded_to_the_first_frame() -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    for kind in ("GIF", "WEBP"):
        data = encode(frames[0], kind, save_all=True, append_images=frames[1:])
        decoded = decode(data)
        red, _green, blue = np.asarray(decoded.image.convert("RGB"))[5, 5].tolist()
        assert red > 200 > 50 > blue and not decoded.exact
        assert finding_codes(data) == ["frames_left_out"]
    assert finding_codes(encode(frames[0], "MPO", save_all=True, append_images=frames[1:])) == [
        "pictures_left_out"
    ]


def tiff_of_pages(*arrays: np.ndarray, **options: object) -> bytes:
    out = io.BytesIO()
    with tifffile.TiffWriter(out) as writer:
        for array in arrays:
            writer.write(
                array, photometric="rgb" if array.ndim == 3 else "minisblack", metadata=None, **options
            )
    return out.getvalue()


def test_largest_page_of_a_tiff_is_decoded() -> None:
    small = np.zeros((10, 16, 3), np.uint8)
    findings = decode(tiff_of_pages(small, COLOUR, small)).findings
    assert [(finding.code, finding.detail) for finding in findings] == [
        ("pages_left_out", {"pages": 3, "page": 2})
    ]
    assert are_close(pixels_of(tiff_of_pages(small, COLOUR)), COLOUR, within=0)
    assert finding_codes(tiff(COLOUR, photometric="rgb")) == []


def test_reduced_copy_in_a_tiff_is_not_a_page() -> None:
    out = io.BytesIO()
    with tifffile.TiffWriter(out) as writer:
        writer.write(COLOUR[::2, ::2], photometric="rgb", subfiletype=1, metadata=None)
        writer.write(COLOUR, photometric="rgb", metadata=None)
    decoded = decode(out.getvalue())
    assert decoded.image.size == (WIDTH, HEIGHT) and not decoded.findings


def test_pages_are_split_into_files_without_loss() -> None:
    data = tiff_of_pages(TWELVE, TWELVE[::-1], COLOUR)
    split = dict(imaging.split_pages(data))
    assert sorted(split) == [1, 2, 3]
    assert split == dict(imaging.split_pages(data))  # the same bytes each time
    one, _two, three = (split[number] for number in (1, 2, 3))
    assert isinstance(one, bytes) and isinstance(three, bytes)
    assert np.array_equal(tifffile.imread(io.BytesIO(one)), TWELVE)
    assert np.array_equal(tifffile.imread(io.BytesIO(three)), COLOUR)
    assert dict(imaging.split_pages(tiff(TWELVE))) == {}
    assert dict(imaging.split_pages(encode(COLOUR, "PNG"))) == {}


BIG = b"x" * 65_000
PNG_TEXT = zlib.compress(b"y" * (5 << 20))


@pytest.mark.parametrize(
    "data",
    [
        add_chunks(encode(COLOUR, "PNG"), (b"iTXt", b"k\0\1\0\0\0" + PNG_TEXT)),
        add_chunks(encode(COLOUR, "PNG"), *[(b"zTXt", b"k\0\0" + PNG_TEXT)] * 30),
        add_chunks(encode(COLOUR, "PNG"), (b"tEXt", b"k\0" + b"z" * (80 << 20))),
        add_chunks(encode(COLOUR, "PNG"), (b"zTXt", b"k\0\0broken"), (b"eXIf", b"broken"), (b"tIME", b"")),
        add_chunks(encode(COLOUR, "PNG"), (b"eXIf", b"II*\0" + b"\xff" * (2 << 20))),
    ],
    ids=["itxt", "many", "huge", "broken", "exif"],
)
def test_metadata_of_png_cannot_make_it_unreadable(data: bytes) -> None:
    decoded = decode(data)
    assert are_close(np.asarray(decoded.image).astype(int), COLOUR, within=0) and not decoded.findings


def test_metadata_of_jpeg_cannot_make_it_unreadable() -> None:
    data = encode(COLOUR, "JPEG", quality=100, subsampling=0)
    for marker, body in (
        (0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff"),
        (0xE1, b"Exif\0\0" + BIG),
        (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + BIG),
        (0xE2, b"MPF\0II*\0" + b"\xff" * 100),
        (0xED, b"Photoshop 3.0\0" + b"\xff" * 60_000),
        (0xFE, BIG),
        (0xEF, b""),
    ):
        with_metadata = add_segment(data, marker, body)
        for _again in range(20):
            with_metadata = add_segment(with_metadata, marker, body)
        assert are_close(pixels_of(with_metadata), COLOUR, within=6), hex(marker)


def test_metadata_of_webp_and_gif_cannot_make_them_unreadable() -> None:
    webp = encode(COLOUR, "WEBP", lossless=True, exif=b"Exif\0\0" + BIG, xmp=BIG)
    assert are_close(pixels_of(webp), COLOUR, within=0)
    gif = encode(Image.fromarray(COLOUR).quantize(64), "GIF", comment=BIG)
    assert decode(gif).image.size == (WIDTH, HEIGHT)


def test_tags_of_tiff_cannot_make_it_unreadable() -> None:
    tags = [
        (270, 2, 0, "t" * (5 << 20), True),
        (65_000, 1, 5, b"\xff" * 5, True),
        (34665, 4, 1, 0xFFFFFFF0, True),  # EXIF far behind the end
        (42112, 2, 0, "<broken", True),
        (700, 1, 5, b"<xml>", True),
    ]
    assert are_close(pixels_of(tiff(TWELVE, extratags=tags), TWELVE_BITS), GREY)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty_file"),
        (b"hello", "not_an_image"),
        (encode(COLOUR, "PNG")[:-40], "truncated"),
        (tiff(TWELVE)[:-3000], "truncated"),
        (tiff(TWELVE, compression="zlib")[:-100], "truncated"),
        (b"II*\0" + b"\xff" * 2000, "damaged"),
        (b"MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 2000, "damaged"),
        (b"\0\0\1\0" + b"\0" * 100, "unsupported_format"),
        (b"\0" * 128 + b"DICM", "unsupported_format"),
        (tiff(np.ones((8, 8), np.complex64)), "unsupported_format"),
        (tiff(np.ones((8, 8, 4), np.float32), photometric="separated"), "unsupported_format"),
        (tiff(np.ones((8, 8, 4), np.int8), photometric="separated"), "unsupported_format"),
    ],
)
def test_file_that_is_not_a_picture_is_refused_with_a_code(data: bytes, code: str) -> None:
    with pytest.raises(ImagingError) as error:
        decode(data)
    assert error.value.code in {code, "damaged" if code == "truncated" else code}


def test_damaged_files_raise_only_imaging_errors() -> None:
    rng = np.random.default_rng(0)
    files = [
        tiff(TWELVE, compression="zlib", predictor=True),
        tiff(COLOUR12, photometric="rgb", tile=(16, 16)),
        tiff_of_pages(TWELVE, COLOUR),
        png16(COLOUR12),
        encode(COLOUR, "JPEG", icc_profile=linear_profile()),
        apng(),
        encode(COLOUR, "WEBP"),
        encode(Image.fromarray(COLOUR).quantize(64), "GIF"),
        encode(COLOUR, "BMP"),
    ]
    for data in files:
        for _try in range(25):
            damaged = bytearray(data)
            for position in rng.integers(0, min(len(data), 400), 4):
                damaged[position] = rng.integers(0, 256)
            try:
                decode(bytes(damaged), max_pixels=1_000_000)
                list(imaging.split_pages(bytes(damaged), max_pixels=1_000_000))
                imaging.deep_sample(bytes(damaged))
            except ImagingError:
                pass


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "GIF", "JPEG", "WEBP"])
def test_pixel_limit_applies_to_every_format(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(Image.new("L", (100, 101)).convert("RGB" if kind == "WEBP" else "L"), kind)
    with pytest.raises(ImagingError) as error:
        decode(data, max_pixels=10_000)
    assert (error.value.code, error.value.detail) == ("too_many_pixels", {"pixels": 10_100, "limit": 10_000})
    assert decode(data, max_pixels=10_100).image.size == (100, 101)
    before = imaging.pixel_limit()
    try:
        imaging.set_pixel_limit(10_000)
        with pytest.raises(ImagingError, match="too_many"):
            decode(data)
    finally:
        imaging.set_pixel_limit(before)


def test_our_pixel_limit_may_exceed_the_limit_of_pillow() -> None:
    huge = encode(Image.new("1", (20_000, 10_000), 1), "PNG")
    with pytest.raises(ImagingError) as error:
        decode(huge, max_pixels=150_000_000)
    assert error.value.detail == {"pixels": 200_000_000, "limit": 150_000_000}
    assert imaging.inspect(huge, max_pixels=200_000_000).width == 20_000


def test_large_jpeg_is_decoded_at_a_reduced_size() -> None:
    decoded = decode(encode(np.zeros((1600, 2400), np.uint8), "JPEG"), side=256)
    assert decoded.image.width < 2400 and min(decoded.image.size) >= 256
    assert (decoded.width, decoded.height) == (2400, 1600)


def test_chunk_helper_writes_png() -> None:
    assert chunk(b"IEND", b"") == encode(COLOUR, "PNG")[-12:]


def raw_tiff(compression: int, data: bytes, width: int = 10, height: int = 10, samples: int = 1) -> bytes:
    """Return a TIFF of one strip with these bytes."""
    tags = [
        *((256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, compression), (262, 3, 1)),
        *((273, 4, 0), (277, 3, samples), (278, 4, height), (279, 4, len(data))),
    ]
    offset = 8 + 2 + 12 * len(tags) + 4
    table = struct.pack("<H", len(tags))
    for tag, kind, value in tags:
        stored = (
            struct.pack("<I", offset if tag == 273 else value) if kind == 4 else struct.pack("<HH", value, 0)
        )
        table += struct.pack("<HHI", tag, kind, 1) + stored
    return b"II*\0" + struct.pack("<I", 8) + table + b"\0\0\0\0" + data


def test_tiff_with_a_cycle_of_pages_is_decoded() -> None:
    data = bytearray(raw_tiff(1, b"x" * 100))
    data[8 + 2 + 12 * 9 : 8 + 2 + 12 * 9 + 4] = struct.pack("<I", 8)
    assert decode(bytes(data)).image.size == (10, 10) and finding_codes(bytes(data)) == []


def test_compressed_data_larger_than_its_header_is_refused() -> None:
    import imagecodecs

    large = np.zeros((4000, 4000), np.uint8)
    for compression, data in ((7, imagecodecs.jpeg_encode(large)), (34712, imagecodecs.jpeg2k_encode(large))):
        with pytest.raises(ImagingError, match="damaged"):
            decode(raw_tiff(compression, data))
    for compression, data in ((50001, imagecodecs.webp_encode(np.zeros((10, 10, 3), np.uint8))),):
        with pytest.raises(ImagingError, match="unsupported_format"):
            decode(raw_tiff(compression, data))
    encoded = imagecodecs.jpeg2k_encode(GREY)
    assert are_close(pixels_of(raw_tiff(34712, encoded, WIDTH, HEIGHT)), GREY)


def test_channels_count_towards_the_pixel_limit() -> None:
    with pytest.raises(ImagingError, match="too_many_pixels"):
        decode(raw_tiff(1, b"x" * 100, 5000, 5000, 60_000))


def test_gif_with_a_smaller_first_frame_keeps_its_canvas_size() -> None:
    data = bytearray(encode(Image.fromarray(COLOUR).quantize(16), "GIF"))
    data[6:10] = struct.pack("<HH", WIDTH + 20, HEIGHT + 20)  # the canvas
    decoded = decode(bytes(data))
    assert decoded.image.size == (WIDTH + 20, HEIGHT + 20) and not decoded.exact
