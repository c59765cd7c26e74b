"""Imports from a bucket of a real S3 server (moto), and watched folders."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.test import Client
from moto.server import ThreadedMotoServer

from mekiki.accounts.models import User
from mekiki.datasets import services
from mekiki.datasets.models import Dataset, ImportBatch, SeenFile, WatchedFolder
from mekiki.datasets.options import ImportOptions
from mekiki.jobs.models import Job, Kind
from tests.datasets.helpers import picture, zipped


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """Yield a client of a running S3 server with the bucket "photos"."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    )
    client.create_bucket(Bucket="photos")
    yield client
    server.stop()


@pytest.fixture
def run(dataset: Dataset, admin: User, s3: Any, settings: Any) -> Callable[..., ImportBatch]:
    settings.IMPORT_BUCKETS = ["s3://photos/line3"]
    settings.S3_ENDPOINT = s3.meta.endpoint_url
    settings.S3_KEY_ID, settings.S3_SECRET_KEY = "key", "secret"

    def run(address: str = "s3://photos/line3", **values: Any) -> ImportBatch:
        job = services.import_bucket(
            dataset=dataset, user=admin, address=address, options=ImportOptions(**values)
        )
        batch = ImportBatch.objects.get(pk=job.payload["batch"])
        return services.run_import(batch=batch, progress=lambda _done, _total: None)

    return run


def test_a_bucket_is_imported_and_a_second_import_takes_what_is_new(
    run: Callable[..., ImportBatch], s3: Any, dataset: Dataset, admin: User, reviewer: User, settings: Any
) -> None:
    def put(key: str, data: bytes) -> None:
        s3.put_object(Bucket="photos", Key=key, Body=data)

    put("line3/ok/a 1.png", picture(1, kind="PNG"))
    put("line3/傷/b.png", picture(2, kind="PNG"))
    put("line3/ok/copy.png", picture(1, kind="PNG"))
    put("line3/ok/text.png", b"no picture")
    put("line3/ok/all.zip", zipped({"x.png": picture(9)}))
    put("line4/other.png", picture(7, kind="PNG"))
    batch = run(label_use="train", folder_labels=True)
    codes = dict(batch.problems.values_list("code", "name"))
    assert (batch.added, batch.duplicates, batch.source) == (2, 1, "bucket")
    assert codes["not_an_image"] == "s3://photos/line3/ok/text.png"
    assert codes["archive_kind"] == "s3://photos/line3/ok/all.zip"
    assert codes["duplicate"].endswith("line3/ok/copy.png")
    names = set(dataset.images.values_list("name", flat=True))
    assert names == {"line3/ok/a 1.png", "line3/傷/b.png"}
    # A second import fetches the changed object and the new object only.
    put("line3/傷/b.png", picture(3, kind="PNG"))
    put("line3/new.png", picture(4, kind="PNG"))
    put("line3/new copy.png", picture(1, kind="PNG"))
    again = run()
    assert (again.added, again.duplicates, again.rejected) == (2, 1, 0)
    assert again.problems.get(code="objects_unchanged").detail == {"count": 4}
    third = run()
    assert (third.added, third.duplicates, third.rejected) == (0, 0, 0)
    # Taken back, the objects are new again.
    services.request_undo(batch=third, user=admin)
    assert SeenFile.objects.filter(state="taken").count() == 7
    for address in (
        "s3://photos",
        "s3://photos/line34",
        "s3://photos/line3/../line4",
        "s3://other",
        "photos",
        "",
    ):
        with pytest.raises(ValidationError):
            run(address)
    with pytest.raises(PermissionDenied):
        services.import_bucket(dataset=dataset, user=reviewer, address="s3://photos/line3")
    # A bucket that is missing, and a server that does not answer, end with a sentence.
    settings.IMPORT_BUCKETS = ["s3://nothere/x"]
    with pytest.raises(ValidationError, match="could not be read"):
        run("s3://nothere/x")


def test_a_watched_folder_takes_files_when_they_have_settled(
    dataset: Dataset, admin: User, reviewer: User, settings: Any, tmp_path: Path, client: Client
) -> None:
    root = tmp_path / "nas"
    root.mkdir()
    settings.IMPORT_FOLDERS = [str(root)]
    client.force_login(admin)
    form = {"path": str(root), "watch": "on", "minutes": "7", "path_pattern": "{line}/{*}"}
    response = client.post(f"/d/{dataset.slug}/import/folder/", form)
    assert response.status_code == 302
    assert client.post(f"/d/{dataset.slug}/import/folder/", form).status_code == 422  # watched already
    watch = WatchedFolder.objects.get()
    assert str(root) in client.get(f"/d/{dataset.slug}/import/").content.decode()
    assert Job.objects.filter(kind=Kind.WATCH_FOLDER).count() == 1

    def scan() -> int:
        watch.refresh_from_db()
        return int(services.scan_watched_folder(watch)["settled"])

    def run_open() -> ImportBatch:
        batch = ImportBatch.objects.get(source="watched", finished_at__isnull=True)
        batch = services.run_import(batch=batch, progress=lambda _done, _total: None)
        Job.objects.filter(kind=Kind.IMPORT_IMAGES).update(state="succeeded")
        return batch

    (root / "line1").mkdir()
    (root / "line1" / "a.png").write_bytes(picture(1, kind="PNG"))
    (root / "line1" / "growing.png").write_bytes(picture(2, kind="PNG")[:100])
    (root / "line1" / "bad.png").write_bytes(b"no picture")
    (root / "line1" / "both.zip").write_bytes(zipped({"x.png": picture(5, kind="PNG")}))
    (root / "link.png").symlink_to(root / "line1" / "a.png")
    assert scan() == 0
    (root / "line1" / "growing.png").write_bytes(picture(2, kind="PNG"))
    assert scan() == 3
    assert scan() == 4  # the import is open already, and no second one is started
    batch = run_open()
    assert (batch.added, batch.rejected) == (3, 1)
    assert dataset.images.get(name="line1/a.png").metadata == {"line": "line1"}
    assert scan() == 0  # what was refused is not tried again
    assert not ImportBatch.objects.filter(finished_at__isnull=True).exists()
    # A file that is replaced is taken again; a folder that cannot be read is stated.
    (root / "line1" / "bad.png").replace(root / "line1" / "was bad.png")
    (root / "line1" / "bad.png").write_bytes(picture(6, kind="PNG"))
    assert [scan(), scan()] == [0, 2]
    assert run_open().added == 1
    root.rename(tmp_path / "unplugged")
    assert scan() == 0
    watch.refresh_from_db()
    assert watch.problem == "unreadable"
    (tmp_path / "unplugged").rename(root)
    assert scan() == 0
    with pytest.raises(PermissionDenied):
        services.watch_folder(dataset=dataset, user=reviewer, path=str(root))
    Job.objects.filter(kind=Kind.WATCH_FOLDER).update(state="succeeded")
    assert services.start_due_scans() == {"started": 0}
    WatchedFolder.objects.update(scanned_at=None)
    assert services.start_due_scans() == {"started": 1}
    client.post(f"/d/{dataset.slug}/import/watched/{watch.pk}/end")
    assert services.start_due_scans() == {"started": 0} and scan() == 0
