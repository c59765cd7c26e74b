"""Limits of storage: every way to import obeys them together.

A file that does not fit is reported. Only platform admins change the limits.
"""

import io
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse

from mekiki.accounts.models import User
from mekiki.audit.models import Event
from mekiki.datasets import quotas, services
from mekiki.datasets.importing import pipeline
from mekiki.datasets.models import Dataset, DatasetUsage, Image, ImportBatch, PlatformQuota
from mekiki.datasets.problems import LIMIT_CODES, explain
from mekiki.web.events import detail, sentence
from tests.datasets.helpers import Files, codes, picture, stored, zipped
from tests.factories import DatasetFactory, ImageFactory
from tests.roles import as_owner

Upload = Callable[[Files], ImportBatch]
TEN = {f"{n}.png": picture(n, kind="PNG") for n in range(10)}


@pytest.fixture
def root(db: None) -> User:
    return User.objects.create_user("root", is_superuser=True)


def limit(dataset: Dataset, root: User, images: int | None = None, size: int | None = None) -> None:
    services.set_dataset_limits(dataset=dataset, user=root, max_images=images, max_bytes=size)


def test_usage_follows_every_write(dataset: Dataset, upload: Upload) -> None:
    upload(TEN)
    sizes = sum(map(len, TEN.values()))
    assert quotas.dataset_usage(dataset) == {"images": 10, "bytes": sizes} == quotas.platform_usage()
    upload(TEN)
    assert quotas.dataset_usage(dataset)["images"] == 10
    gone = Image.objects.filter(dataset=dataset)[:4]
    sizes -= sum(image.size for image in gone)
    with as_owner():
        Image.objects.filter(pk__in=[image.pk for image in gone]).delete()
    assert quotas.dataset_usage(dataset) == {"images": 6, "bytes": sizes}


def test_images_beyond_the_limit_are_listed_and_nothing_of_them_is_kept(
    dataset: Dataset, root: User, upload: Upload
) -> None:
    limit(dataset, root, images=4)
    batch = upload({"bad.png": b"no picture", **TEN})
    assert (batch.added, batch.rejected) == (4, 7)
    assert codes(batch) == {"bad.png": "not_an_image"} | {
        f"{n}.png": "dataset_full_images" for n in range(4, 10)
    }
    for kind in ("originals", "thumbs", "display"):
        assert len(stored(dataset, kind)) == (0 if kind == "display" else 4)
    event = Event.objects.get(kind="import.limit_reached")
    assert event.data == {"not_stored": 6} and detail(event) == "6 files not stored"
    text = explain("dataset_full_images", batch.problems.filter(code__in=LIMIT_CODES)[0].detail)
    assert (
        text.what.startswith("The dataset may hold 4 images and is full.") and "higher limit" in text.advice
    )
    limit(dataset, root, images=20)
    again = upload(TEN)
    assert (again.added, again.duplicates, again.rejected) == (6, 4, 0)


def test_a_full_dataset_still_takes_metadata_and_copies(dataset: Dataset, root: User, upload: Upload) -> None:
    upload(TEN)
    limit(dataset, root, images=3)  # below the stored amount: nothing is removed
    batch = upload({"0.png": TEN["0.png"], "metadata.csv": b"file,line\n1.png,7\n", "new.png": picture(99)})
    assert (batch.duplicates, batch.metadata_changed, batch.rejected) == (1, 1, 1)
    assert codes(batch) == {"new.png": "dataset_full_images"}
    assert Image.objects.count() == 10


def test_bytes_are_limited(dataset: Dataset, root: User, upload: Upload) -> None:
    sizes = [len(data) for data in TEN.values()]
    limit(dataset, root, size=sum(sizes) - 1)
    batch = upload({"all.zip": zipped(TEN)})
    assert codes(batch) == {"all.zip/9.png": "dataset_full_bytes"}
    assert quotas.dataset_usage(dataset)["bytes"] == sum(sizes[:9])
    row = batch.problems.get()
    assert row.detail == {"limit": sum(sizes) - 1, "needed": sizes[9], "left": sizes[9] - 1}
    assert "?" not in explain(row.code, row.detail).what


def test_the_platform_has_limits_too(dataset: Dataset, admin: User, root: User, upload) -> None:
    services.set_platform_limits(user=root, max_images=6, max_bytes=None)
    other = services.create_dataset(name="Dents", user=admin, audit_fraction=0.0)
    upload({name: TEN[name] for name in ("0.png", "1.png", "2.png", "3.png")})
    batch = upload(TEN, into=other)
    assert (batch.added, set(codes(batch).values())) == (2, {"platform_full_images"})
    assert quotas.platform_usage()["images"] == 6


def test_folders_on_the_server_keep_the_limit(dataset: Dataset, root: User, tmp_path: Path) -> None:
    for name, data in TEN.items():
        (tmp_path / name).write_bytes(data)
    limit(dataset, root, images=7)
    services.import_folder(dataset=dataset, path=tmp_path, user=root)
    batch = services.run_import(batch=ImportBatch.objects.get(), progress=lambda done, total: None)
    assert (batch.added, batch.rejected) == (7, 3)


def test_far_from_a_limit_threads_write_and_the_same_is_stored(
    dataset: Dataset, root: User, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "CHUNK_FILES", 2)
    monkeypatch.setattr(pipeline, "_NEAR", 3)
    limit(dataset, root, images=7)
    upload(TEN)
    assert len(stored(dataset)) == len(stored(dataset, "thumbs")) == Image.objects.count() == 7


@pytest.mark.django_db(transaction=True)
def test_imports_at_the_same_time_keep_the_limit_together(
    dataset: Dataset, admin: User, root: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "CHUNK_FILES", 3)
    services.set_platform_limits(user=root, max_images=11, max_bytes=None)
    limit(dataset, root, images=9)
    other = services.create_dataset(name="Dents", user=admin, audit_fraction=0.0)
    batches = []
    for number, target in enumerate((dataset, dataset, other)):
        batch = services.start_upload(dataset=target, user=admin)
        for n in range(8):
            data = picture(1000 * number + n, kind="PNG")
            services.add_file(batch=batch, user=admin, name=f"{number}-{n}.png", file=io.BytesIO(data))
        services.finish_upload(batch=batch, user=admin)
        batches.append(batch)
    ready = threading.Barrier(len(batches))
    errors: list[BaseException] = []

    def run(batch: ImportBatch) -> None:
        try:
            ready.wait(10)
            services.run_import(batch=batch, progress=lambda done, total: None)
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(batch,)) for batch in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors
    assert quotas.platform_usage()["images"] == Image.objects.count() == 11
    assert quotas.dataset_usage(dataset)["images"] <= 9
    assert sum(ImportBatch.objects.values_list("added", flat=True)) == 11
    assert sum(ImportBatch.objects.values_list("rejected", flat=True)) == 13
    assert len(stored(dataset)) + len(stored(other)) == 11


def test_the_database_itself_refuses_more(dataset: Dataset, root: User) -> None:
    limit(dataset, root, images=2)
    ImageFactory.create_batch(2, dataset=dataset)
    with pytest.raises(IntegrityError, match="the dataset would store more"), transaction.atomic():
        ImageFactory(dataset=dataset)
    limit(dataset, root)
    services.set_platform_limits(user=root, max_images=None, max_bytes=1)
    with pytest.raises(IntegrityError, match="the platform would store more"), transaction.atomic():
        ImageFactory(dataset=dataset)
    for table in (Dataset.objects.filter(pk=dataset.pk), PlatformQuota.objects.all()):
        with pytest.raises(IntegrityError, match="not_zero"), transaction.atomic():
            table.update(max_images=0)


def test_files_that_wait_are_limited(dataset: Dataset, admin: User, root: User) -> None:
    size = len(TEN["0.png"])
    limit(dataset, root, size=size + size // 4)
    first = services.start_upload(dataset=dataset, user=admin)
    second = services.start_upload(dataset=dataset, user=admin)
    for batch in (first, second):
        for n in range(2):
            services.add_file(batch=batch, user=admin, name=f"{n}.png", file=io.BytesIO(TEN["0.png"]))
    waiting = [p for batch in (first, second) for p in Path(batch.location).iterdir() if p.name.isdigit()]
    assert len(waiting) == 2
    services.finish_upload(batch=second, user=admin)
    done = services.run_import(batch=second, progress=lambda done, total: None)
    assert codes(done) == {"0.png": "dataset_waiting", "1.png": "dataset_waiting"}
    services.discard_import(batch=first, user=admin)
    assert not ImportBatch.objects.filter(waiting_bytes__gt=0).exists()
    services.set_platform_limits(user=root, max_images=None, max_bytes=size // 2 - 1)
    limit(dataset, root)
    third = services.start_upload(dataset=dataset, user=admin)
    services.add_file(batch=third, user=admin, name="0.png", file=io.BytesIO(TEN["0.png"]))
    services.finish_upload(batch=third, user=admin)
    done = services.run_import(batch=third, progress=lambda done, total: None)
    assert codes(done) == {"0.png": "platform_waiting"}


def test_only_admins_of_the_platform_change_limits(dataset: Dataset, admin: User, root: User) -> None:
    for change in (
        lambda user: services.set_dataset_limits(dataset=dataset, user=user, max_images=5, max_bytes=None),
        lambda user: services.set_platform_limits(user=user, max_images=5, max_bytes=None),
    ):
        with pytest.raises(PermissionDenied):
            change(admin)
        change(root)
        change(root)  # without a change nothing is recorded
    with pytest.raises(ValidationError):
        limit(dataset, root, images=0)
    events = Event.objects.filter(kind__endswith="limits_changed").order_by("pk")
    assert [event.kind for event in events] == ["dataset.limits_changed", "site.limits_changed"]
    assert detail(events[0]) == "images: no limit → 5; storage: no limit → no limit"
    assert all(sentence(event) != event.kind for event in events)


def client_of(user: User) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    return client


def test_pages_show_what_is_used(dataset: Dataset, admin: User, root: User, upload: Upload) -> None:
    upload(TEN)
    page = client_of(root)
    url = reverse("dataset-limits", args=[dataset.slug])
    assert page.post(url, {"limits-max_images": "8", "limits-max_gb": "0.5"}).status_code == 302
    dataset.refresh_from_db()
    assert (dataset.max_images, dataset.max_bytes) == (8, 512 * 1024 * 1024)
    for wrong in ({"limits-max_images": "0"}, {"limits-max_gb": "x"}, {"limits-max_images": "9" * 40}):
        assert page.post(url, wrong).status_code == 422
    shown = client_of(admin).get(reverse("dataset-settings", args=[dataset.slug])).content.decode()
    assert (
        "of 8 (100 %)" in shown
        and "of 512.0\xa0MB (0 %)" in shown
        and "An admin of the platform sets" in shown
    )
    assert client_of(admin).post(url, {"limits-max_images": "9"}).status_code == 403
    assert client_of(admin).get(reverse("site-storage")).status_code == 403
    form = client_of(admin).get(reverse("import", args=[dataset.slug])).content.decode()
    assert "A limit of storage is reached: new images are not stored." in form
    batch = upload({"new.png": picture(50)})
    report = client_of(admin).get(reverse("import-batch", args=[dataset.slug, batch.pk])).content.decode()
    assert "1 file was not stored: a limit of storage is reached." in report
    site = reverse("site-storage")
    assert page.post(site, {"max_images": "20", "max_gb": ""}).status_code == 302
    whole = page.get(site).content.decode()
    assert "of 20 (50 %)" in whole and "no limit" in whole and dataset.name in whole


def test_storage_takes_few_queries(root: User, django_assert_max_num_queries) -> None:
    for _ in range(5):
        ImageFactory(dataset=DatasetFactory())
    client = client_of(root)
    with django_assert_max_num_queries(12):
        client.get(reverse("site-storage"))


def test_usage_of_images_stored_before(dataset: Dataset) -> None:
    """A dataset without images has no row."""
    assert not DatasetUsage.objects.filter(dataset=dataset).exists()
    assert quotas.dataset_usage(dataset) == {"images": 0, "bytes": 0}
