"""Zip archives as programs write them: compressions, encodings of names, parts, repeated names."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable

import inflate64
import pytest
from PIL import Image as Pillow

from mekiki.datasets.models import Image, ImportBatch
from tests.datasets.helpers import Files, codes, lines, picture, zipped

Upload = Callable[[Files], ImportBatch]


def raw_zip(entries: list[tuple[bytes, bytes, int, int, bytes]]) -> bytes:
    """Return a zip of (raw name, packed or plain data, method, flags, extra field).

    Entries with a method other than 9 are stored.
    """
    out, directory = bytearray(), bytearray()
    for name, data, method, flags, extra in entries:
        packed = data
        if method == 9:
            deflater = inflate64.Deflater()
            packed = deflater.deflate(data) + deflater.flush()
        common = struct.pack(
            "<HHHHHLLLHH",
            20,
            flags,
            method,
            0,
            33,
            zlib.crc32(data),
            len(packed),
            len(data),
            len(name),
            len(extra),
        )
        offset = len(out)
        out += b"PK\x03\x04" + common + name + extra + packed
        directory += b"PK\x01\x02" + struct.pack("<H", 20) + common
        directory += struct.pack("<HHHLL", 0, 0, 0, 0, offset) + name + extra
    end = struct.pack("<HHHHLLH", 0, 0, len(entries), len(entries), len(directory), len(out), 0)
    return bytes(out + directory + b"PK\x05\x06" + end)


def unicode_path(raw: bytes, name: str, checksum: int | None = None) -> bytes:
    field = struct.pack("<BL", 1, zlib.crc32(raw) if checksum is None else checksum) + name.encode()
    return struct.pack("<HH", 0x7075, len(field)) + field


def stored_zip(*named: tuple[bytes, int]) -> bytes:
    return raw_zip([(name, picture(seed), 0, 0, b"") for name, seed in named])


def names() -> set[str]:
    return set(Image.objects.values_list("name", flat=True))


def test_deflate64_is_read(upload: Upload) -> None:
    big = picture(1, (400, 300), "BMP")
    batch = upload({"a.zip": raw_zip([(b"a.bmp", big, 9, 0, b""), (b"b.png", picture(2), 9, 0, b"")])})
    assert (batch.added, codes(batch)) == (2, {})
    assert Image.objects.get(name="a.bmp").size == len(big)


def test_damaged_deflate64_is_refused_by_its_checksum(upload: Upload, settings) -> None:
    good = raw_zip([(b"a.bmp", picture(1, (400, 300), "BMP"), 9, 0, b""), (b"b.png", picture(2), 0, 0, b"")])
    for at in range(40, 4000, 330):
        bad = bytearray(good)
        bad[at] ^= 0x55
        batch = upload({"a.zip": bytes(bad)})
        assert codes(batch) == {"a.zip/a.bmp": "entry_damaged"}, at
    settings.MAX_FILE_BYTES = 5000
    assert codes(upload({"a.zip": good})) == {"a.zip/a.bmp": "too_large"}


@pytest.mark.parametrize(
    ("method", "name"), [(93, "Zstandard"), (98, "PPMd"), (95, "XZ"), (6, "Implode"), (77, "77")]
)
def test_a_compression_that_cannot_be_read_is_named(upload: Upload, method: int, name: str) -> None:
    data = raw_zip([(b"a.png", picture(1), method, 0, b""), (b"b.png", picture(2), 0, 0, b"")])
    batch = upload({"a.zip": data})
    assert codes(batch) == {"a.zip/a.png": "compression_unknown"}
    assert batch.problems.get().detail == {"format": name}
    assert names() == {"b.png"}


def test_aes_entry_is_reported_as_encrypted(upload: Upload) -> None:
    assert codes(upload({"a.zip": raw_zip([(b"a.png", picture(1), 99, 1, b"")])})) == {
        "a.zip/a.png": "encrypted"
    }


def test_unicode_path_field_has_precedence(upload: Upload) -> None:
    sjis, latin = "傷_01.png".encode("cp932"), b"Pr\x81fling.png"
    entries = [
        (sjis, picture(1), 0, 0, unicode_path(sjis, "割痕_01.png")),
        (latin, picture(2), 0, 0, struct.pack("<HH", 0x5455, 1) + b"x" + unicode_path(latin, "Prüfling.png")),
        # The entry was renamed after the field was written, so its checksum is wrong.
        (b"renamed.png", picture(3), 0, 0, unicode_path(b"old.png", "alt.png")),
        (b"c.png", picture(4), 0, 0, struct.pack("<HH", 0x7075, 5) + b"short"),
    ]
    assert codes(upload({"a.zip": raw_zip(entries)})) == {}
    assert names() == {"割痕_01.png", "Prüfling.png", "renamed.png", "c.png"}


@pytest.mark.parametrize(
    ("words", "encoding"),
    [
        (["傷/ライン3.png", "表面.png", "ソ.png"], "cp932"),
        (["傷/ライン3.png", "表面.png"], "euc_jp"),
        (["Prüfling_01.png", "Öse.png"], "cp850"),
        (["がぞう/ガラス.png", "Öse.png"], "utf-8"),
    ],
)
def test_names_of_an_archive_are_decoded_in_one_encoding(
    upload: Upload, words: list[str], encoding: str
) -> None:
    data = stored_zip(*[(word.encode(encoding), i) for i, word in enumerate(words)], (b"plain.png", 50))
    batch = upload({"a.zip": data})
    assert names() == {*words, "plain.png"}
    noted = lines(batch, "noted")
    assert noted == ({} if encoding == "utf-8" else {"a.zip": "names_encoding"})


def test_a_shift_jis_name_that_would_be_utf8_is_read_like_the_others(upload: Upload) -> None:
    """The two bytes of the half-width characters are one letter in UTF-8.

    The other names are not valid UTF-8.
    """
    odd = "ﾂｿ.png".encode("cp932")
    odd.decode("utf-8")
    upload({"a.zip": stored_zip((odd, 1), ("傷.png".encode("cp932"), 2), ("表面.png".encode("cp932"), 3))})
    assert names() == {"ﾂｿ.png", "傷.png", "表面.png"}


def test_metadata_matches_shift_jis_names_of_a_zip(upload: Upload) -> None:
    table = "ファイル,ライン\n傷.png,3\n".encode("cp932")
    data = raw_zip([("傷.png".encode("cp932"), picture(1), 0, 0, b""), (b"metadata.csv", table, 0, 0, b"")])
    assert codes(upload({"a.zip": data})) == {}
    assert Image.objects.get().metadata == {"ライン": "3"}


def test_repeated_name_is_reported_and_both_images_are_kept(upload: Upload) -> None:
    batch = upload({"a.zip": stored_zip((b"a.png", 1), (b"a.png", 2), (b"b.png", 3))})
    assert (batch.added, lines(batch, "noted")) == (3, {"a.zip/a.png": "name_repeated"})
    assert batch.problems.get().detail == {"count": 2}


def test_zip_behind_a_program_is_read(upload: Upload) -> None:
    batch = upload({"photos.exe": b"MZ" + b"\0" * 500 + zipped({"a.png": picture(1)})})
    assert (batch.added, batch.rejected) == (1, 0)
    assert codes(upload({"setup.exe": b"MZ" + b"\0" * 500})) == {"setup.exe": "not_an_image"}


def test_zip64_is_read(upload: Upload) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive, archive.open("a.png", "w", force_zip64=True) as entry:
        entry.write(picture(1))
    assert upload({"a.zip": out.getvalue()}).added == 1


def test_parts_and_truncated_archives_are_distinguished(upload: Upload) -> None:
    whole = zipped({"a.png": picture(1)})
    last_part = bytearray(whole)
    last_part[-22 + 4 : -22 + 8] = struct.pack("<HH", 2, 0)
    batch = upload(
        {
            "cut.zip": whole[:-40],
            "part.zip": bytes(last_part),
            "part.z01": b"PK\x07\x08" + whole[:-40],
            "seven.zip.001": whole[:-40],
            "bad.zip": b"PK\x03\x04" + b"x" * 50 + b"PK\x05\x06" + b"\0" * 8 + b"\xff" * 10,
        }
    )
    assert codes(batch) == {
        "cut.zip": "archive_cut",
        "part.zip": "archive_split",
        "part.z01": "archive_split",
        "seven.zip.001": "archive_split",
        "bad.zip": "archive_damaged",
    }


def test_other_archives_are_named_before_their_size(upload: Upload, settings, tmp_path) -> None:
    import tarfile

    settings.MAX_FILE_BYTES = 3000
    (tmp_path / "a.png").write_bytes(picture(1))
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(tmp_path / "a.png", "a.png")
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        archive.add(tmp_path / "a.png", "a.png")
    batch = upload(
        {
            "a.tar": (tmp_path / "a.tar").read_bytes(),
            "a.tgz": (tmp_path / "a.tgz").read_bytes(),
            "a.rar": b"Rar!\x1a\x07\x01\x00" + b"x" * 5000,
            "in.zip": zipped({"b.tar": (tmp_path / "a.tar").read_bytes()[:2000]}),
        }
    )
    assert set(codes(batch).values()) == {"archive_kind"} and len(codes(batch)) == 4
    kinds = dict(batch.problems.values_list("name", "detail__format"))
    assert kinds == {"a.tar": "tar", "a.tgz": "gzip", "a.rar": "RAR", "in.zip/b.tar": "tar"}


def test_an_image_with_a_zip_behind_it_is_the_image(upload: Upload) -> None:
    upload({"a.png": picture(1, kind="PNG") + zipped({"b.png": picture(2)})})
    assert names() == {"a.png"}
    assert Pillow.open(io.BytesIO(picture(1, kind="PNG"))).size == (40, 30)


def test_a_wrong_utf8_flag_does_not_damage_the_archive(upload: Upload) -> None:
    scratch, fine = "製品/傷.png", "製品/良品.png"
    entries = [
        (scratch.encode("cp932"), picture(1), 0, 0x800, b""),
        (fine.encode("cp932"), picture(2), 9, 0x800, b""),
        (b"plain.png", picture(3), 0, 0x800, b""),
    ]
    batch = upload({"a.zip": raw_zip(entries)})
    assert names() == {scratch, fine, "plain.png"}
    assert lines(batch, "noted") == {"a.zip": "names_encoding"}
