"""Images come in through the API: uploads, manifests, buckets and watched folders."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client

from mekiki.accounts.models import User
from mekiki.config.server.limits import may_carry_files
from mekiki.datasets import services
from mekiki.datasets.models import Dataset, Image, ImportBatch, WatchedFolder
from tests.datasets.helpers import picture, zipped


@pytest.fixture
def client(admin: User) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(admin)
    return client


def base(dataset: Dataset) -> str:
    return f"/api/v1/datasets/{dataset.slug}"


def run(number: int) -> ImportBatch:
    batch = ImportBatch.objects.get(pk=number)
    return services.run_import(batch=batch, progress=lambda _done, _total: None)


def sent(name: str, data: bytes) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, data)


def test_images_and_zips_are_sent_in_one_request(client: Client, dataset: Dataset) -> None:
    files = [
        sent("a.png", picture(1)),
        sent(
            "写真.zip", zipped({"line1/b.png": picture(2), "line2/b.png": picture(2), "c.txt": b"no image"})
        ),
        sent("empty.png", b""),
    ]
    reply = client.post(f"{base(dataset)}/imports/upload", {"files": files, "path_pattern": "{line}/{*}"})
    assert reply.status_code == 200, reply.content
    begun = reply.json()
    assert (begun["source"], begun["finished_at"]) == ("upload", None)
    batch = run(begun["id"])
    assert (batch.added, batch.duplicates) == (2, 1)
    assert set(Image.objects.values_list("name", flat=True)) == {"a.png", "line1/b.png"}
    assert Image.objects.get(name="line1/b.png").metadata == {"line": "line1"}
    assert may_carry_files(f"{base(dataset)}/imports/upload")
    assert may_carry_files(f"{base(dataset)}/imports/manifest") and not may_carry_files(base(dataset))
    lines = client.get(f"{base(dataset)}/imports/{batch.pk}/report").json()
    assert {"c.txt", "empty.png"} <= {line["name"].rpartition("/")[2] for line in lines}


def test_hostile_names_and_files_above_the_limit_are_reported(
    client: Client, dataset: Dataset, settings: Any
) -> None:
    settings.MAX_FILE_BYTES = 20_000
    url = f"{base(dataset)}/imports/upload"
    files = [sent("..\\..\\etc\\passwd.png", picture(1)), sent("big.png", b"x" * 20_001)]
    begun = client.post(url, {"files": files}).json()
    batch = run(begun["id"])
    assert (batch.added, batch.rejected) == (1, 1)
    assert ".." not in Image.objects.get().name
    assert [line["name"] for line in client.get(f"{base(dataset)}/imports/{batch.pk}/report").json()] == [
        "big.png"
    ]
    # The name of a single file becomes the name of the source of labels, without characters that hide others.
    given = {"files": sent("a\u202egnp.png", picture(2)), "label_use": "compare", "folder_labels": "1"}
    assert client.post(url, given).json()["label_source"].isprintable()


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({}, 422),
        ({"files": "no file"}, 422),
        ({"files": sent("a.png", b"x"), "label_use": "decide"}, 422),
        ({"files": sent("a.png", b"x"), "path_pattern": "{a}{b}"}, 422),
        ({"files": sent("a.png", b"x"), "label_source": "x" * 101}, 422),
    ],
)
def test_upload_that_is_refused_leaves_nothing(
    client: Client, dataset: Dataset, values: dict[str, Any], status: int
) -> None:
    reply = client.post(f"{base(dataset)}/imports/upload", values)
    assert reply.status_code == status and reply.json()["detail"]
    assert not ImportBatch.objects.exists()


def test_manifest_is_sent_with_the_folder_of_its_paths(
    client: Client, dataset: Dataset, tmp_path: Path, settings: Any
) -> None:
    settings.IMPORT_FOLDERS = [str(tmp_path)]
    (tmp_path / "a.png").write_bytes(picture(1))
    url, table = f"{base(dataset)}/imports/manifest", b"file,lot,label\na.png,L7,ok\nmissing.png,L8,ng\n"
    given = {"folder": str(tmp_path), "label_use": "compare"}
    begun = client.post(url, {"file": sent("list.csv", table), **given}).json()
    assert (begun["source"], begun["label_use"], begun["label_source"]) == ("manifest", "compare", "list.csv")
    batch = run(begun["id"])
    assert (batch.added, batch.rejected) == (1, 1)
    assert Image.objects.get().metadata["lot"] == "L7"
    for values in (
        {"file": sent("list.csv", b""), **given},
        {"file": sent("list.csv", zipped({"a": b"a"})), **given},
        {"file": sent("list.csv", table), "folder": "/etc"},
        given,
    ):
        assert client.post(url, values).status_code == 422
    assert ImportBatch.objects.count() == 1


def test_folders_are_watched_by_the_api(
    client: Client, dataset: Dataset, tmp_path: Path, settings: Any
) -> None:
    settings.IMPORT_FOLDERS = [str(tmp_path)]
    url, kind = f"{base(dataset)}/watched-folders", "application/json"
    given = {"path": str(tmp_path), "minutes": 10, "read_exif": True}
    watch = client.post(url, given, content_type=kind).json()
    assert (watch["path"], watch["minutes"], watch["problem"]) == (str(tmp_path), 10, "")
    assert WatchedFolder.objects.get().options["read_exif"] is True
    for wrong in ({}, {"path": "/etc"}, {"path": str(tmp_path)}, {"path": str(tmp_path), "minutes": 0}):
        assert client.post(url, wrong, content_type=kind).status_code == 422, wrong
    assert [row["id"] for row in client.get(url).json()] == [watch["id"]]
    assert client.delete(f"{url}/{watch['id']}").json() == []
    assert client.delete(f"{url}/{watch['id']}").status_code == 404


def test_bucket_is_named_by_its_address(
    client: Client, dataset: Dataset, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """tests/datasets/test_buckets.py imports from a real server."""
    settings.IMPORT_BUCKETS = ["s3://photos/line3"]
    url, kind = f"{base(dataset)}/imports", "application/json"
    begun = client.post(url, {"path": "s3://photos/line3/a"}, content_type=kind).json()
    assert (begun["source"], ImportBatch.objects.get().location) == ("bucket", "s3://photos/line3/a")
    assert client.post(url, {"path": "s3://photos/line4"}, content_type=kind).status_code == 422
    call_command("import", dataset.slug, "s3://photos/line3/b", "--json")
    assert json.loads(capsys.readouterr().out)["state"] == "queued"
    assert ImportBatch.objects.latest("pk").location == "s3://photos/line3/b"
    with pytest.raises(CommandError, match="does not allow"):
        call_command("import", dataset.slug, "s3://other")
