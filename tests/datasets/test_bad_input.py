"""Files sent by mistake or by an attacker: refused by name and reason, while the rest is imported."""

import io
import stat
import struct
import tracemalloc
import zipfile
from collections.abc import Callable

import numpy as np
import pytest
from django.utils import translation

import imaging
from mekiki.accounts.models import User
from mekiki.datasets import problems, services
from mekiki.datasets.messages import PROBLEMS
from mekiki.datasets.models import Dataset, Image, ImportBatch
from mekiki.datasets.options import ImportOptions
from tests.datasets.helpers import Files, animation, codes, picture, png_header, stored_names, zipped
from tests.imaging.files import png16, tiff

Upload = Callable[[Files], ImportBatch]
GOOD = picture(1)
DEEP = np.arange(48, dtype=np.uint16).reshape(6, 8) * 900


def with_byte(data: bytes, at: int, value: int) -> bytes:
    return data[:at] + bytes([value]) + data[at + 1 :]


BAD_FILES = {
    "text": (b"I am no picture.\n" * 50, "not_an_image"),
    "empty": (b"", "empty_file"),
    "truncated": (picture(2, (200, 200))[:-3000], "truncated"),
    "truncated-png": (picture(2, (200, 200), "PNG")[:-3000], "truncated"),
    "bomb": (png_header(30_000, 30_000), "too_many_pixels"),
    "just-over": (png_header(10_001, 10_000), "too_many_pixels"),
    "svg": (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>', "svg"),
    "svg-bare": (b"\xef\xbb\xbf  <SVG></SVG>", "svg"),
    "heic": (b"\x00\x00\x00\x18ftypheic" + b"\0" * 100, "unsupported_format"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + b"\0" * 100, "archive_kind"),
    "truncated-gif": (animation()[:-400], "truncated"),
    "header-only": (png_header(50, 50)[:40], "truncated"),
    # The type of the values of these files is read before they are decoded.
    "cut-header-of-16-bits": (png16(DEEP)[:25], "truncated"),
    "tiff-width-of-another-type": (with_byte(tiff(DEEP), 12, 1), "damaged"),
    "tiff-without-compression": (with_byte(tiff(DEEP), 50, 0), "damaged"),
    # PostScript: without the list of formats, Pillow would pass the file to an interpreter.
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "not_an_image"),
}


@pytest.mark.parametrize("in_zip", [False, True], ids=["file", "zip"])
@pytest.mark.parametrize(("data", "code"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_bad_file_is_reported_and_the_other_file_is_imported(
    upload: Upload, dataset: Dataset, data: bytes, code: str, in_zip: bool
) -> None:
    files = {"bad.jpg": data, "good.jpg": GOOD}
    batch = upload({"a.zip": zipped(files)} if in_zip else files)
    assert codes(batch) == {"a.zip/bad.jpg" if in_zip else "bad.jpg": code}
    assert (batch.added, batch.duplicates, batch.rejected) == (1, 0, 1)
    assert list(Image.objects.values_list("name", flat=True)) == ["good.jpg"]
    assert len(stored_names(dataset)) == len(stored_names(dataset, "thumbs")) == 1


def test_unreadable_page_is_reported_and_the_others_are_imported(dataset: Dataset, admin: User) -> None:
    pages = tiff(np.stack([DEEP, DEEP + 1]), compression="zlib")
    batch = services.start_upload(dataset=dataset, user=admin, options=ImportOptions(every_page=True))
    # The first page has an unknown photometric interpretation.
    for name, data in (("pages.tif", with_byte(pages, 66, 129)), ("good.jpg", GOOD)):
        services.add_file(batch=batch, user=admin, name=name, file=io.BytesIO(data))
    services.finish_upload(batch=batch, user=admin)
    batch = services.run_import(batch=batch, progress=lambda done, total: None)
    assert codes(batch) == {"pages (page 1).tif": "damaged"}
    assert set(Image.objects.values_list("name", flat=True)) == {"pages (page 2).tif", "good.jpg"}


def test_image_with_a_huge_header_is_never_decoded(upload: Upload) -> None:
    tracemalloc.start()
    upload({"bomb.png": png_header(30_000, 30_000)})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000
    detail = ImportBatch.objects.get().problems.get().detail
    assert detail == {"pixels": 900_000_000, "limit": 100_000_000}


@pytest.mark.parametrize(
    "name",
    ["../evil.jpg", "a/../../evil.jpg", "/etc/evil.jpg", "..\\evil.jpg", "C:\\evil.jpg", "C:/evil.jpg"],
)
def test_zip_entries_with_unsafe_paths_are_refused(upload: Upload, name: str) -> None:
    batch = upload({"a.zip": zipped({name: picture(5), "fine/..hidden.jpg": GOOD})})
    assert list(codes(batch).values()) == ["unsafe_path"]
    assert [image.name for image in Image.objects.all()] == ["fine/..hidden.jpg"]


def test_uploaded_names_are_never_paths(upload: Upload, dataset: Dataset) -> None:
    batch = upload({"../../../evil.jpg": GOOD, "/abs.jpg": picture(2), "x\0y\u202egpj.exe": picture(3)})
    assert (batch.added, batch.rejected) == (3, 0)
    assert "x<U+0000>y<U+202E>gpj.exe" in set(Image.objects.values_list("name", flat=True))
    assert sorted(stored_names(dataset)) == sorted(Image.objects.values_list("sha256", flat=True))


def test_link_in_a_zip_is_refused(upload: Upload) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        link = zipfile.ZipInfo("link.jpg")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("good.jpg", GOOD)
    batch = upload({"a.zip": out.getvalue()})
    assert codes(batch) == {"a.zip/link.jpg": "symlink"}
    assert batch.added == 1


def test_link_in_a_folder_is_not_followed(tmp_path, dataset: Dataset, admin) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "private.jpg").write_bytes(picture(9))
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "good.jpg").write_bytes(GOOD)
    (folder / "link.jpg").symlink_to(secret / "private.jpg")
    (folder / "linked").symlink_to(secret)
    services.import_folder(dataset=dataset, path=folder, user=admin)
    batch = services.run_import(batch=ImportBatch.objects.get(), progress=lambda done, total: None)
    assert codes(batch) == {"link.jpg": "symlink", "linked": "linked_folder"}
    assert batch.added == 1


def test_zip_bomb_is_refused_before_anything_is_unpacked(upload: Upload, dataset: Dataset) -> None:
    files = {"0-good.jpg": GOOD} | {f"{i}.bmp": b"\0" * 30_000_000 for i in range(4)}
    tracemalloc.start()
    batch = upload({"bomb.zip": zipped(files), "also-good.jpg": picture(7)})
    tracemalloc.stop()
    assert codes(batch) == {"bomb.zip": "archive_bomb"}
    assert [image.name for image in Image.objects.all()] == ["also-good.jpg"]
    assert len(stored_names(dataset)) == 1


def test_zip_entry_larger_than_declared_is_refused(upload: Upload) -> None:
    """The directory declares 10 bytes. The entry holds 100 million."""
    data = bytearray(zipped({"a.bmp": b"\0" * 100_000_000, "good.jpg": GOOD}))
    first = data.index(b"PK\x01\x02")
    data[first + 24 : first + 28] = struct.pack("<L", 10)
    data[22:26] = struct.pack("<L", 10)
    batch = upload({"a.zip": bytes(data)})
    assert codes(batch) == {"a.zip/a.bmp": "entry_damaged"}
    assert batch.added == 1


def test_damaged_lzma_entry_is_reported_and_the_others_are_imported(upload: Upload) -> None:
    """Python's zipfile reads LZMA and raises an error of another type.

    The second entry requests 4 GB of memory.
    """
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("broken.jpg", picture(3))
        archive.writestr("greedy.jpg", picture(4))
        archive.writestr("good.jpg", GOOD)
    data = bytearray(out.getvalue())
    headers = [at for at in range(len(data)) if data.startswith(b"PK\x03\x04", at)]
    body = headers[0] + 30 + len("broken.jpg")
    data[body + 12 : body + 60] = b"\xff" * 48
    body = headers[1] + 30 + len("greedy.jpg")
    data[body + 5 : body + 9] = b"\xff" * 4  # the dictionary size, after version, length and properties
    batch = upload({"a.zip": bytes(data)})
    problem_codes = codes(batch)
    assert problem_codes.pop("a.zip/broken.jpg") == "entry_damaged"
    assert set(problem_codes) <= {"a.zip/greedy.jpg"}
    assert "good.jpg" in Image.objects.values_list("name", flat=True)


def test_unusable_archives_are_refused_with_the_reason(upload: Upload, settings) -> None:
    settings.MAX_ARCHIVE_FILES = 5
    out = io.BytesIO(zipped({"a.jpg": GOOD}))
    encrypted = bytearray(out.getvalue())
    encrypted[6] |= 1
    encrypted[encrypted.index(b"PK\x01\x02") + 8] |= 1
    damaged = bytearray(zipped({"d.jpg": picture(8, (100, 100))}))
    damaged[60:90] = b"\xff" * 30
    batch = upload(
        {
            "empty.zip": zipped({}),
            "many.zip": zipped({f"{i}.jpg": GOOD for i in range(6)}),
            "cut.zip": zipped({"a.jpg": GOOD})[:-30],
            "nested.zip": zipped({"inner.zip": zipped({"a.jpg": GOOD})}),
            "locked.zip": bytes(encrypted),
            "damaged.zip": bytes(damaged),
            "leftovers.zip": zipped({"__MACOSX/._a.jpg": b"x", ".DS_Store": b"x", "sub/Thumbs.db": b"x"}),
        }
    )
    assert codes(batch) == {
        "empty.zip": "archive_empty",
        "many.zip": "archive_too_many",
        "cut.zip": "archive_cut",
        "nested.zip/inner.zip": "nested_archive",
        "locked.zip/a.jpg": "encrypted",
        "damaged.zip/d.jpg": "entry_damaged",
        "leftovers.zip": "no_image",
    }
    assert Image.objects.count() == 0


def test_zip_directory_with_too_many_entries_is_not_loaded(upload: Upload, settings) -> None:
    settings.MAX_ARCHIVE_FILES = 5
    batch = upload({"many.zip": zipped({f"{i:04d}" * 20: b"" for i in range(50)})})
    assert codes(batch) == {"many.zip": "archive_too_many"}


def test_import_without_files_reports_a_problem(upload: Upload) -> None:
    batch = upload({})
    assert list(codes(batch).values()) == ["no_image"]
    assert (batch.added, batch.rejected) == (0, 1)


def test_every_problem_has_message_and_advice_in_both_languages(db) -> None:
    """Each message says what happened and what to do, with its numbers, in both languages."""
    samples = {"limit": 1_048_576, "pixels": 900_000_000, "format": "HEIC", "reason": "no_file_column"}
    for language in ("en", "ja"):
        with translation.override(language):
            for code in PROBLEMS:
                explanation = problems.explain(code, samples)
                assert explanation.what and explanation.advice
                assert "%(" not in explanation.what + explanation.advice
    assert problems.explain("too_large", {"limit": 1_048_576}).what == "The file is larger than 1.0\xa0MB."
    assert "900,000,000 pixels" in problems.explain("too_many_pixels", samples).what


def test_picture_that_needs_too_much_memory_is_refused(upload, dataset: Dataset) -> None:
    """A PNG of a few bytes may unpack to gigabytes. The header is enough to refuse it."""
    before = imaging.memory_budget.limit
    imaging.memory_budget.set_limit(100 * 1024 * 1024)
    try:
        batch = upload({"huge.png": png_header(9_000, 9_000), "good.png": picture(1)})
    finally:
        imaging.memory_budget.set_limit(before)
    assert codes(batch) == {"huge.png": "too_much_memory"}
    assert (batch.added, batch.rejected) == (1, 1)
    assert stored_names(dataset) == [Image.objects.get().sha256]
    text = problems.explain("too_much_memory", batch.problems.get().detail)
    assert "100.0\xa0MB (MEKIKI_DECODE_MEMORY_MB)" in text.what
