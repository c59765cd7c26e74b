"""Tables metadata.csv: their rows match images only where the match is certain.

A corrected table updates known images, and every row is reported.
"""

import io
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from mekiki.accounts.models import User
from mekiki.audit.models import Event
from mekiki.datasets import services
from mekiki.datasets.importing import metadata, table_store, tables
from mekiki.datasets.importing.table_store import TableStore
from mekiki.datasets.models import Dataset, Image, ImageName, ImportBatch
from mekiki.datasets.problems import explain
from tests.datasets.helpers import Files, codes, picture, zipped

Upload = Callable[[Files], ImportBatch]
TWO = {"img_0001.png": picture(1), "img_0002.png": picture(2)}


def metadata_of_images() -> dict[str, dict[str, str]]:
    return dict(Image.objects.values_list("name", "metadata"))


@pytest.mark.parametrize(
    "cells",
    [
        ("img_0001.png", "img_0002.png"),
        ("img_0001", "img_0002"),
        ("IMG_0001.PNG", "Img_0002"),
        ("C:\\data\\img_0001.png", "C:\\data\\img_0002.png"),
        ("/mnt/nas/x/img_0001.png", "/mnt/nas/x/IMG_0002.png"),
        ("./img_0001.png", "data/img_0002.PNG"),
        ("ｉｍｇ＿０００１．ｐｎｇ", "img_０００２.png"),
        ('"img_0001.png"', " img_0002.png "),
    ],
)
@pytest.mark.parametrize("folder", ["", "line3/"])
def test_rows_match_images_by_other_spellings_of_the_name(
    upload: Upload, cells: tuple[str, str], folder: str
) -> None:
    """With a folder, the table lies next to the images, as in an uploaded folder."""
    table = f"file,line\n{cells[0]},3\n{cells[1]},4\n".encode()
    batch = upload({f"{folder}{name}": data for name, data in TWO.items()} | {f"{folder}metadata.csv": table})
    assert metadata_of_images() == {
        f"{folder}img_0001.png": {"line": "3"},
        f"{folder}img_0002.png": {"line": "4"},
    }
    assert codes(batch) == {}


def test_composed_and_decomposed_names_match(upload: Upload) -> None:
    upload({"か\u3099.png": picture(1), "metadata.csv": "file,k\nが.png,1\n".encode()})
    assert metadata_of_images() == {"が.png": {"k": "1"}}


def test_rows_without_an_image_are_listed(upload: Upload) -> None:
    table = b"file,line\nimg_0001.png,3\n0002,4\nimg_0002.bmp,4\nimg_0002.png.bak,5\n"
    batch = upload(TWO | {"metadata.csv": table})
    assert metadata_of_images() == {"img_0001.png": {"line": "3"}, "img_0002.png": {}}
    assert codes(batch) == {
        "metadata.csv": "metadata_rows_unused",
        "metadata.csv (3): 0002": "metadata_row_unmatched",
        "metadata.csv (4): img_0002.bmp": "metadata_row_unmatched",
        "metadata.csv (5): img_0002.png.bak": "metadata_row_unmatched",
    }
    assert batch.problems.get(code="metadata_rows_unused").detail == {"count": 3, "total": 4}
    assert (batch.rejected, batch.partly) == (0, 4)


def test_row_that_matches_two_images_is_reported_as_ambiguous(upload: Upload) -> None:
    files = {"s1/a.png": picture(1), "s2/a.png": picture(2), "b.png": picture(3), "B.PNG": picture(4)}
    table = b"file,line\na.png,1\ns2/a.png,2\nb,3\nB.PNG,4\n"
    batch = upload(files | {"metadata.csv": table})
    assert metadata_of_images() == {
        "s1/a.png": {"line": "1"},
        "s2/a.png": {"line": "2"},
        "b.png": {},
        "B.PNG": {"line": "4"},
    }
    assert codes(batch) == {
        "metadata.csv": "metadata_rows_unused",
        "metadata.csv (4): b": "metadata_row_ambiguous",
    }
    both = upload({"t1/c.png": picture(5), "t2/c.png": picture(6), "metadata.csv": b"file,line\nc.png,1\n"})
    assert metadata_of_images()["t1/c.png"] == metadata_of_images()["t2/c.png"] == {}
    line = both.problems.get(code="metadata_row_ambiguous")
    assert line.detail == {"row": 2, "cell": "c.png", "count": 2}


def test_exact_name_has_precedence_over_a_similar_one(upload: Upload) -> None:
    table = b"file,line\na.png,1\nA.png,2\na,3\n"
    batch = upload({"a.png": picture(1), "A.png": picture(2), "metadata.csv": table})
    assert metadata_of_images() == {"a.png": {"line": "1"}, "A.png": {"line": "2"}}
    assert list(codes(batch)) == ["metadata.csv (4): a", "metadata.csv"]


def test_different_rows_for_one_image_are_reported(upload: Upload) -> None:
    table = b"file,line\na.png,1\na.png,1\nb.png,1\nb.png,2\n"
    batch = upload({"a.png": picture(1), "b.png": picture(2), "metadata.csv": table})
    assert metadata_of_images() == {"a.png": {"line": "1"}, "b.png": {}}
    assert sorted(codes(batch)) == ["metadata.csv", "metadata.csv (4): b.png", "metadata.csv (5): b.png"]


@pytest.mark.parametrize("source", ["alone", "with the images", "in a zip", "folder"])
def test_a_corrected_table_updates_known_images(
    upload: Upload, dataset: Dataset, admin: User, tmp_path, source: str
) -> None:
    upload(TWO | {"metadata.csv": b"file,line,lot\nimg_0001.png,3,A\nimg_0002.png,4,A\n"})
    corrected = b"file,line\nimg_0001.png,5\nimg_0002.png,4\n"
    files = {"metadata.csv": corrected} | (TWO if source == "with the images" else {})
    if source == "folder":
        (tmp_path / "metadata.csv").write_bytes(corrected)
        services.import_folder(dataset=dataset, path=tmp_path / "metadata.csv", user=admin)
        batch = services.run_import(batch=ImportBatch.objects.latest("pk"), progress=lambda done, total: None)
    else:
        batch = upload({"a.zip": zipped(files)} if source == "in a zip" else files)
    assert metadata_of_images() == {
        "img_0001.png": {"line": "5", "lot": "A"},
        "img_0002.png": {"line": "4", "lot": "A"},
    }
    assert (batch.metadata_changed, batch.added, batch.rejected, codes(batch)) == (1, 0, 0, {})
    event = Event.objects.get(kind="images.metadata_changed")
    assert (event.data, event.actor_id, event.object_id) == ({"changed": 1}, admin.pk, str(batch.pk))
    client = Client()
    client.force_login(admin)
    page = client.get(reverse("import-batch", args=[dataset.slug, batch.pk])).content.decode()
    assert "Metadata of known images changed" in page
    # Importing the same table again changes nothing and reports no change.
    again = upload({"metadata.csv": corrected})
    assert (again.metadata_changed, codes(again)) == (0, {})
    assert Event.objects.filter(kind="images.metadata_changed").count() == 1


def test_table_that_matches_no_image_is_reported(upload: Upload) -> None:
    upload(TWO)
    batch = upload({"metadata.csv": b"file,line\nother.png,3\n"})
    assert set(codes(batch).values()) == {"metadata_rows_unused", "metadata_row_unmatched"}
    assert (batch.rejected, batch.metadata_changed) == (0, 0)


def test_rows_match_known_images_by_sha256_and_end_of_the_path(upload: Upload, admin: User) -> None:
    upload({"day1/a.png": picture(1), "day2/a.png": picture(2), "day2/b.png": picture(3)})
    sha = Image.objects.get(name="day1/a.png").sha256
    batch = upload({"metadata.csv": f"sha256,k\n{sha.upper()},1\nb.png,2\na.png,3\n".encode()})
    assert metadata_of_images() == {"day1/a.png": {"k": "1"}, "day2/a.png": {}, "day2/b.png": {"k": "2"}}
    assert codes(batch)["metadata.csv (4): a.png"] == "metadata_row_ambiguous"
    other = services.create_dataset(name="Other", user=admin)
    upload({"metadata.csv": b"file,k\nb.png,9\n"}, into=other)  # type: ignore[call-arg]
    assert metadata_of_images()["day2/b.png"] == {"k": "2"}


def test_row_of_a_duplicate_applies_to_the_stored_image(upload: Upload) -> None:
    files = {"ng/1.png": picture(1), "ok/1.png": picture(1), "ok/2.png": picture(2)}
    first = upload(files)
    assert ImageName.objects.get().name == "ok/1.png"
    batch = upload({"metadata.csv": b"file,lot\nok/1.png,A\n"})
    assert metadata_of_images()["ng/1.png"] == {"lot": "A"} and codes(batch) == {}
    assert first.problems.get().detail == {"kept": "ng/1.png"}


def test_different_rows_for_the_two_names_of_one_picture_are_listed(upload: Upload) -> None:
    files = {"ng/1.png": picture(1), "ok/1.png": picture(1)}
    table = b"file,verdict,lot,cam\nok/1.png,ok,A,7\nng/1.png,ng,A,\n"
    batch = upload(files | {"metadata.csv": table})
    assert metadata_of_images() == {"ng/1.png": {"verdict": "ng", "lot": "A", "cam": "7"}}
    line = batch.problems.get(code="metadata_differs")
    assert (line.name, line.outcome) == ("ok/1.png", "partly")
    assert line.detail == {"kept": "ng/1.png", "columns": "verdict: ng / ok"}


def test_excess_columns_cells_and_rows_are_reported(upload: Upload) -> None:
    columns = [f"k{i}" for i in range(33)]
    rows = [
        ["file", *columns, "k0", ""],
        ["a.png", "x" * 201, *["v"] * 32, "second", "unnamed"],
        ["", "1"],
        [],
        ["b.png", *["w"] * 34, "", "beyond"],
    ]
    table = "\n".join(",".join(row) for row in rows).encode()
    batch = upload({"a.png": picture(1), "b.png": picture(2), "metadata.csv": table})
    details = {p.code: p.detail for p in batch.problems.all()}
    assert details == {
        "metadata_columns": {"count": 5, "limit": 30, "columns": "k30, k31, k32, k0 (2), column 36"},
        "metadata_columns_renamed": {"columns": "k0 (2)"},
        "metadata_cut": {"limit": 200, "count": 1, "rows": "2"},
        "metadata_unnamed_rows": {"count": 1, "rows": "3"},
        "metadata_long_rows": {"count": 1, "rows": "5"},
    }
    assert metadata_of_images()["a.png"]["k0"] == "x" * 200 and len(metadata_of_images()["a.png"]) == 30


def test_columns_of_one_name_both_keep_their_values(upload: Upload) -> None:
    upload({"a.png": picture(1), "metadata.csv": b"file,k,k,k (2),\na.png,1,2,3,4\n"})
    assert metadata_of_images()["a.png"] == {"k": "1", "k (2)": "2", "k (2) (2)": "3", "column 5": "4"}


def test_an_image_never_holds_more_keys_than_the_limit(upload: Upload) -> None:
    head = ",".join(f"k{i}" for i in range(30))
    upload({"a.png": picture(1), "metadata.csv": f"file,{head}\na.png,{','.join('v' * 30)}\n".encode()})
    batch = upload({"metadata.csv": b"file,new,k0\na.png,1,changed\n"})
    assert len(metadata_of_images()["a.png"]) == 30 and metadata_of_images()["a.png"]["k0"] == "changed"
    assert batch.problems.get(code="metadata_columns").detail["columns"] == "new"


@pytest.mark.parametrize("names", [("metadata.csv", "METADATA.CSV"), ("Metadata.csv", "ｍetadata.csv")])
def test_two_tables_in_one_folder_are_both_used(upload: Upload, names: tuple[str, str]) -> None:
    files = {"a.png": picture(1), "b.png": picture(2)}
    batch = upload(
        files | {names[0]: b"file,k,m\na.png,1,x\n", names[1]: b"file,k,m\nb.png,2,y\na.png,3,x\n"}
    )
    assert metadata_of_images() == {"a.png": {"k": "1", "m": "x"}, "b.png": {"k": "2", "m": "y"}}
    assert codes(batch) == {"a.png": "metadata_tables_differ"}
    assert batch.problems.get(code="metadata_second_table").outcome == "noted"


def test_nearest_table_has_precedence(upload: Upload) -> None:
    batch = upload(
        {
            "x/a.png": picture(1),
            "x/b.png": picture(2),
            "x/metadata.csv": b"file,k\na.png,near\n",
            "metadata.csv": b"file,k\na.png,far\nx/b.png,far\n",
        }
    )
    assert metadata_of_images() == {"x/a.png": {"k": "near"}, "x/b.png": {"k": "far"}}
    line = batch.problems.get()
    assert (line.name, line.code) == ("metadata.csv (2)", "metadata_differs")
    assert line.detail == {"kept": "x/a.png", "columns": "k: near / far"}


TEXT = 'ファイル名,検査,メモ\r\na.png,良品,"1行目\r\n2行目"\r\n'


@pytest.mark.parametrize(
    "data",
    [
        *(TEXT.encode(codec) for codec in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp932", "euc_jp")),
        b"\xfe\xff" + TEXT.encode("utf-16-be"),
        ("sep=;\r\n" + TEXT.replace(",", ";")).encode("utf-8-sig"),
        TEXT.replace(",", "\t").encode("utf-16"),
        ("\r\n" + TEXT).encode(),
        TEXT.replace("\r\n", "\n").encode(),
    ],
)
def test_encodings_and_separators_of_tables_are_recognised(upload: Upload, data: bytes) -> None:
    batch = upload({"a.png": picture(1), "metadata.csv": data})
    assert (metadata_of_images(), codes(batch)) == ({"a.png": {"検査": "良品", "メモ": "1行目 2行目"}}, {})


def test_tables_of_one_folder_are_read_in_one_encoding(upload: Upload) -> None:
    """The second file alone could be UTF-8: its bytes are two half-width characters or one Latin letter."""
    upload(
        {
            "x/a.png": picture(1),
            "y/b.png": picture(2),
            "x/metadata.csv": "file,検査結果\na.png,良品\n".encode("cp932"),
            "y/metadata.csv": "file,k\nb.png,ﾂｿ\n".encode("cp932"),
        }
    )
    assert metadata_of_images() == {"x/a.png": {"検査結果": "良品"}, "y/b.png": {"k": "ﾂｿ"}}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b" \r\n\r\n", "empty"),
        (b"line,shift\n1,2\n", "no_file_column"),
        (b"file,k\n\0,1\n", "format"),
        (b'file,k\n"' + b"x" * 200_000 + b'",1\n', "format"),
        (b"\xef\xbb\xbffile\n\xff\xff\n", "encoding"),
    ],
)
def test_unusable_table_is_reported(upload: Upload, data: bytes, reason: str) -> None:
    batch = upload({"a.png": picture(1), "metadata.csv": data})
    assert (batch.added, codes(batch)) == (1, {"metadata.csv": "metadata_invalid"})
    assert batch.problems.get().detail == {"reason": reason}


@pytest.mark.parametrize("packed", [False, True])
def test_tables_over_the_common_size_limit_are_reported(
    upload: Upload, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    monkeypatch.setattr(table_store, "MAX_BYTES", 50)
    small, large = b"file,k\na.png,1\n", b"file,k\n" + b"b.png,1\n" * 20
    files = {"1/a.png": picture(1), "1/metadata.csv": small, "2/metadata.csv": large, "3/metadata.csv": small}
    batch = upload({"t.zip": zipped(files)} if packed else files)
    assert codes(batch) == {"t.zip/2/metadata.csv" if packed else "2/metadata.csv": "metadata_too_much"}
    assert metadata_of_images() == {"1/a.png": {"k": "1"}}
    assert "50" in explain("metadata_too_much", batch.problems.get(code="metadata_too_much").detail).what


def test_rows_above_the_limit_are_reported(upload: Upload, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_store, "MAX_ROWS", 3)
    table = b"file,k\na.png,1\n\nb.png,2\n"
    batch = upload({
        "1/a.png": picture(1), "1/b.png": picture(2), "1/metadata.csv": table, "2/c.png": picture(3),
        "2/d.png": picture(4), "2/metadata.csv": b"file,k\nc.png,3\nd.png,4\n",
    })  # fmt: skip
    assert codes(batch) == {"2/metadata.csv": "metadata_too_many_rows"}
    assert metadata_of_images() == {
        "1/a.png": {"k": "1"},
        "1/b.png": {"k": "2"},
        "2/c.png": {"k": "3"},
        "2/d.png": {},
    }
    assert batch.problems.get().detail == {"count": 1, "rows": "3", "limit": tables.MAX_ROWS}


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    """40,000 rows as objects used 40 MB."""
    table = b"file,line,lot\n" + b"".join(b"part-%06d.png,3,A%d\n" % (n, n) for n in range(40_000))
    store = TableStore(tmp_path)
    tracemalloc.start()
    try:
        rows = metadata.Tables(store)
        rows.add("metadata.csv", "metadata.csv", [table])
        rows.parse()
        rows.claim("part-000007.png")
        rows.claim("part-9.png")
        assert rows.of("part-000007.png").values == {"line": "3", "lot": "A7"}
        assert sum(1 for _line in rows.lines()) == 40_000
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        store.close()
    assert peak < 6 * 1024 * 1024
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "data",
    [
        b"file" + b",k" * 200_000 + b"\na.png\n",  # columns
        b"file,k\na.png" + b"," * (1 << 21) + b"\n",  # cells on one line
        b"file,k\na.png," + b'"x\n",' * 300_000 + b"\n",  # cells on many lines
    ],
)
def test_tables_with_endless_rows_are_refused_quickly(upload: Upload, data: bytes) -> None:
    start = time.process_time()
    batch = upload({"a.png": picture(1), "metadata.csv": data})
    assert batch.problems.get().detail == {"reason": "format"}
    assert time.process_time() - start < 10


def test_row_for_a_refused_image_is_not_reported_as_unmatched(upload: Upload) -> None:
    batch = upload({"a.png": b"broken", "metadata.csv": b"file,k\na.png,1\n"})
    assert codes(batch) == {"a.png": "not_an_image"}


def test_control_characters_in_cells_are_shown(upload: Upload) -> None:
    upload({"a.png": picture(1), "metadata.csv": "file,k\na.png,x\u202ey\x07\n".encode()})
    assert metadata_of_images() == {"a.png": {"k": "x<U+202E>y<U+0007>"}}


def test_an_import_killed_after_its_images_counts_changes_once(
    upload: Upload, dataset: Dataset, admin: User
) -> None:
    upload(TWO | {"metadata.csv": b"file,line\nimg_0001.png,3\nimg_0002.png,4\n"})
    batch = services.start_upload(dataset=dataset, user=admin)
    table = b"file,line\nimg_0001.png,5\nimg_0002.png,6\n"
    for name, data in (TWO | {"metadata.csv": table, "new.png": picture(9)}).items():
        services.add_file(batch=batch, user=admin, name=name, file=io.BytesIO(data))

    def kill(done: int, total: int | None) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        services.run_import(batch=batch, progress=kill)
    batch = services.run_import(batch=batch, progress=lambda done, total: None)
    assert (batch.metadata_changed, batch.added) == (2, 1)


def test_rows_match_equal_file_names_by_their_folders(upload: Upload) -> None:
    """Full paths of another machine. Two parts of a path distinguish the images."""
    files = {f"c{i}/{j}.png": picture(10 * i + j) for i in range(8) for j in range(8)}
    rows = "".join(f"D:\\data\\{name.replace('/', chr(92))},{name}\n" for name in files)
    batch = upload(files | {"metadata.csv": f"file,k\n{rows}".encode()})
    assert metadata_of_images() == {name: {"k": name} for name in files}
    assert codes(batch) == {}


@pytest.mark.parametrize(
    "column",
    ["Image Name", "image_name", "FilePath", "file path", "Image-File", "画像ファイル名", "ファイル パス"],
)
def test_columns_with_other_names_for_the_file_are_recognised(upload: Upload, column: str) -> None:
    upload({"a.png": picture(1), "metadata.csv": f"lot,{column}\n7,a.png\n".encode()})
    assert metadata_of_images() == {"a.png": {"lot": "7"}}
