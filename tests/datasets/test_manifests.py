"""Imports of manifests: paths and addresses, what hostile rows get, and resuming after a kill."""

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from django.core.exceptions import PermissionDenied, ValidationError

from mekiki.accounts.models import User
from mekiki.audit.models import Event
from mekiki.datasets import services
from mekiki.datasets.importing import pipeline
from mekiki.datasets.models import Dataset, Image, ImportBatch
from mekiki.datasets.options import ImportOptions
from mekiki.jobs.models import Job
from tests.datasets.helpers import Files, picture, zipped
from tests.datasets.web_server import web_server

Run = Callable[..., ImportBatch]


@pytest.fixture
def run(dataset: Dataset, admin: User) -> Run:
    """Return a function that imports a path of the server, or a manifest that is sent (bytes)."""

    def run(source: Path | bytes, name: str = "list.csv", **values: Any) -> ImportBatch:
        folder = values.pop("folder", "")
        into = values.pop("dataset", dataset)
        options = ImportOptions(**values)
        if isinstance(source, bytes):
            job: Job = services.import_manifest(
                dataset=into,
                user=admin,
                name=name,
                file=io.BytesIO(source),
                folder=folder,
                options=options,
            )
        else:
            job = services.import_folder(dataset=into, path=source, user=admin, options=options)
        batch = ImportBatch.objects.get(pk=job.payload["batch"])
        return services.run_import(batch=batch, progress=lambda _done, _total: None)

    return run


def write(folder: Path, files: Files) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def report(batch: ImportBatch) -> dict[str, tuple[str, str]]:
    """Return name of a line → (outcome, code)."""
    rows = batch.problems.values_list("name", "outcome", "code")
    return {name: (outcome, code) for name, outcome, code in rows}


def test_hostile_rows_are_refused_one_by_one_and_the_rest_is_imported(
    run: Run, dataset: Dataset, tmp_path: Path
) -> None:
    home = write(tmp_path / "home", {"secret.png": picture(99)}).parent / "home"
    root = write(
        tmp_path / "root",
        {
            "a.png": picture(1, kind="PNG"),
            "sub/b.png": picture(2, kind="PNG"),
            "copy of a.png": picture(1, kind="PNG"),
            "text.png": b"no picture",
            "empty.png": b"",
            "bomb.zip": zipped({"x.png": b"\0" * 1_000_000}),
            "=cmd|' /C calc'!A0.png": picture(3, kind="PNG"),
        },
    )
    (root / "link.png").symlink_to(home / "secret.png")
    (root / "linked").symlink_to(home)
    os.mkfifo(root / "pipe.png")
    rows = [
        ("a.png", "1"),
        ("sub/b.png", "2"),
        ("./sub//b.png", "2"),
        ("copy of a.png", "1"),
        ("../home/secret.png", "4"),
        (str(home / "secret.png"), "4"),
        ("link.png", "5"),
        ("linked/secret.png", "5"),
        ("pipe.png", "6"),
        ("sub", "6"),
        ("missing.png", "7"),
        ("C:\\photos\\a.png", "8"),
        ("text.png", "9"),
        ("empty.png", "9"),
        ("bomb.zip", "9"),
        ("a.png/../../home/secret.png", "9"),
        ("file:///etc/passwd", "9"),
        ("=cmd|' /C calc'!A0.png", "=1+1"),
        ("", "10"),
        ("x" * 5000 + ".png", "10"),
    ]
    lines = ["file,lot,lot", *(f'"{name}",{lot},again' for name, lot in rows)]
    (root / "list.csv").write_text("\n".join(lines), encoding="utf-8")
    batch = run(root / "list.csv")
    found = report(batch)
    codes = {name.partition(": ")[2] or name: code for name, (_outcome, code) in found.items()}
    expected = {
        "../home/secret.png": "unsafe_path",
        str(home / "secret.png"): "unsafe_path",
        "link.png": "symlink",
        "linked/secret.png": "symlink",
        "pipe.png": "special_file",
        "sub": "special_file",
        "missing.png": "manifest_file_missing",
        "C:/photos/a.png": "unsafe_path",
        "text.png": "not_an_image",
        "empty.png": "empty_file",
        "a.png/../../home/secret.png": "unsafe_path",
        "file:///etc/passwd": "manifest_file_missing",
        "copy of a.png": "duplicate",
        "list.csv (20)": "manifest_row_unnamed",
    }
    assert {name: codes.get(name) for name in expected} == expected
    assert "list.csv (2): a.png" not in found
    assert codes["bomb.zip"]  # a zip in a row is no image
    assert sum(code == "manifest_file_missing" for code in codes.values()) == 3  # the long name too
    assert codes["list.csv"] == "metadata_columns_renamed"
    # Two names of one content: both are listed, and the second is kept for tables.
    duplicate = batch.problems.get(code="duplicate", name__endswith="copy of a.png")
    assert duplicate.detail == {"kept": "a.png"}
    assert set(dataset.images.values_list("name", flat=True)) == {
        "a.png",
        "sub/b.png",
        "=cmd|' /C calc'!A0.png",
    }
    assert dataset.images.get(name="a.png").metadata == {"lot": "1", "lot (2)": "again"}
    assert (batch.added, batch.duplicates, batch.source) == (3, 2, "listed")
    assert batch.rejected == batch.problems.filter(outcome="refused").count()
    assert Event.objects.filter(kind="images.imported").latest("id").data["added"] == 3


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("a.jsonl", b'{"file": "a.png"}\n[1]\n{"no": 1}\n{\n\xff\n' + b"x" * 1_100_000, ""),
        ("a.csv", b"a,b\n1,2\n", "manifest_invalid"),
        ("a.csv", b"file\n\0\n", "manifest_invalid"),
        ("a.csv", b'file\n"' + b"x" * 1_200_000, "manifest_invalid"),
        ("a.csv", "ファイル,ライン\nあ.png,1\n".encode("cp932"), ""),
        ("a.csv", b"\xff\xfe\xff\xff\xff", "manifest_invalid"),
        ("a.json", b"[" * 10_000, "manifest_invalid"),
        ("a.json", b'{"images": [', "manifest_invalid"),
        ("a.json", b'{"other": 1}\n', ""),
        ("a.parquet", b"PAR1" + b"x" * 100, "manifest_invalid"),
    ],
)
def test_malformed_manifests_end_with_a_report(run: Run, name: str, data: bytes, code: str) -> None:
    batch = run(data, name)
    codes = set(batch.problems.values_list("code", flat=True))
    assert batch.finished_at is not None and batch.added == 0
    if code:
        assert codes == {code}
    else:
        assert codes <= {"manifest_row_unreadable", "manifest_row_unnamed", "manifest_no_folder"}
        assert codes


def test_a_parquet_column_that_unpacks_to_too_much_is_refused(run: Run) -> None:
    out = io.BytesIO()
    long = pa.array(["x" * 1_000_000] * 600)
    pyarrow.parquet.write_table(pa.table({"file": long}), out, compression="zstd", use_dictionary=False)
    batch = run(out.getvalue(), "bomb.parquet")
    assert batch.problems.get().detail == {"reason": "too_large"}


def test_what_is_refused_before_a_job_starts(
    run: Run, dataset: Dataset, admin: User, reviewer: User, tmp_path: Path, settings: Any
) -> None:
    root = write(tmp_path / "root", {"a.png": picture(1)})
    outside = write(tmp_path / "outside", {"a.png": picture(2)})
    (root / "out").symlink_to(outside)
    settings.IMPORT_FOLDERS = [str(root)]
    for data, name in (
        (b"", "a.csv"),
        (b"hello", "a.exe"),
        (zipped({"a": b"x"}), "a.zip"),
        (b"\x1f\x8b\x08", "a.csv"),
    ):
        with pytest.raises(ValidationError):
            run(data, name)
    for folder in (
        str(outside),
        "root",
        f"{root}/../outside",
        f"{root}/out",
        "/",
        f"{root}/\0",
        str(root / "no"),
    ):
        with pytest.raises(ValidationError):
            run(b"file\na.png\n", folder=folder)
        with pytest.raises(ValidationError):
            services.import_allowed_folder(dataset=dataset, user=admin, path=folder)
    for values in (
        {"path_pattern": "{a}{b}"},
        {"path_pattern": "no column"},
        {"path_pattern": "{a}/{a}"},
        {"path_pattern": "{a"},
        {"label_use": "other"},
        {"label_use": "train", "label_source": "x" * 101},
    ):
        with pytest.raises(ValidationError):
            run(b"file\na.png\n", folder=str(root), **values)
    with pytest.raises(PermissionDenied):
        services.import_manifest(dataset=dataset, user=reviewer, name="a.csv", file=io.BytesIO(b"file\na\n"))
    with pytest.raises(PermissionDenied):
        services.import_allowed_folder(dataset=dataset, user=reviewer, path=str(root))
    assert not ImportBatch.objects.exists() and not Job.objects.exists()
    assert run(b"file\na.png\n", folder=str(root)).added == 1
    job = services.import_allowed_folder(dataset=dataset, user=admin, path=str(root))
    assert ImportBatch.objects.get(pk=job.payload["batch"]).source == "folder"


def test_addresses_are_fetched_once_also_after_a_kill(
    dataset: Dataset, admin: User, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.IMPORT_NETWORKS = ["127.0.0.0/30"]
    monkeypatch.setattr(pipeline, "CHUNK_FILES", 4)

    class KilledError(Exception):
        pass

    with web_server() as server:
        here = server.address
        server.files = {f"{n}.png": picture(n, kind="PNG") for n in range(20)}
        rows = [{"url": f"{here}/{n}.png?sig=secret", "lot": n} for n in range(20)]
        rows += [{"url": f"{here}/status/404"}, {"url": "http://10.9.9.9/x.png"}, {"url": f"{here}/0.png"}]
        data = "\n".join(json.dumps(row) for row in rows).encode()
        job = services.import_manifest(dataset=dataset, user=admin, name="urls.jsonl", file=io.BytesIO(data))
        batch = ImportBatch.objects.get(pk=job.payload["batch"])

        def stop(done: int, total: int | None) -> None:
            assert total == 23
            if done >= 8:
                raise KilledError

        with pytest.raises(KilledError):
            services.run_import(batch=batch, progress=stop)
        batch.refresh_from_db()
        assert batch.entries_done == 8 and batch.finished_at is None
        batch = services.run_import(batch=batch, progress=lambda _done, _total: None)
        assert max(server.asked[f"/{n}.png"] for n in range(1, 8)) == 1
    assert (batch.added, batch.duplicates, batch.rejected) == (20, 1, 2)
    codes = dict(batch.problems.values_list("code", "name"))
    host = here.removeprefix("http://")
    assert codes["url_status"] == f"urls.jsonl (21): {host}/status/404"
    assert codes["url_refused"] == "urls.jsonl (22): 10.9.9.9/x.png"
    assert not Image.objects.filter(name__contains="secret").exists()
    assert not batch.problems.filter(name__contains="secret").exists()
    assert dataset.images.get(name=f"{host}/7.png").metadata == {"lot": "7"}
    assert not Path(batch.location).exists()


def test_manifests_of_every_table_format_give_the_same_rows(run: Run, admin: User, tmp_path: Path) -> None:
    files = {f"{n}.png": picture(n, kind="PNG") for n in range(3)}
    columns = {"file": list(files), "camera": ["c1", "c2", "c3"], "lot": [1, 2, 3]}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    out = io.BytesIO()
    pyarrow.parquet.write_table(pa.table(columns), out)
    formats = {
        "list.csv": "file,camera,lot\n" + "\n".join(",".join(map(str, row.values())) for row in rows),
        "list.jsonl": "\n".join(json.dumps(row) for row in rows),
        "list.parquet": out.getvalue(),
        "list.json": json.dumps(
            [{"data": {"image": f"/data/local-files/?d={row.pop('file')}", **row}} for row in rows]
        ),
    }
    stored = []
    for number, (name, data) in enumerate(formats.items()):
        root = write(tmp_path / str(number), files)
        (root / name).write_bytes(data if isinstance(data, bytes) else data.encode())
        other = services.create_dataset(name=name, user=admin)
        batch = run(root / name, dataset=other)
        assert (batch.added, batch.rejected, batch.problems.count()) == (3, 0, 0)
        stored.append(list(other.images.order_by("name").values_list("name", "metadata")))
    assert stored[0][0] == ("0.png", {"camera": "c1", "lot": "1"})
    assert all(one == stored[0] for one in stored)
