"""Take a whole import back: what is deleted, what refuses it, and what stays."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.test import Client

from mekiki.accounts.models import User
from mekiki.audit.models import Event
from mekiki.datasets import services
from mekiki.datasets.models import Dataset, Image, ImageName, ImportBatch
from mekiki.jobs.models import Job, Kind
from mekiki.review import services as review
from mekiki.review.models import QueueItem, Stream
from tests.datasets.helpers import Files, picture, stored_names
from workers.runner import run_job

Upload = Callable[[Files], ImportBatch]


@pytest.mark.django_db(transaction=True)
def test_images_files_and_names_of_an_import_are_deleted(
    upload: Upload, dataset: Dataset, admin: User, reviewer: User, client: Client
) -> None:
    kept = upload({"a.png": picture(1, kind="PNG")})
    files: dict[str, Any] = {f"{n}.png": picture(n, kind="PNG") for n in range(2, 6)}
    batch = upload({**files, "second name.png": files["2.png"], "copy of a.png": picture(1, kind="PNG")})
    assert (batch.added, batch.duplicates) == (4, 2)
    # A queue item and a lease: an image that is on a screen is in use.
    image = dataset.images.get(name="3.png")
    QueueItem.objects.create(
        dataset=dataset, image=image, stream=Stream.UNCERTAIN, propensity=0.5, position=1, overlap=1
    )
    [leased] = review.next_items(dataset=dataset, user=admin, count=1)
    with pytest.raises(PermissionDenied):
        services.request_undo(batch=batch, user=reviewer)
    with pytest.raises(ValidationError, match="1 image of this import is in use"):
        services.request_undo(batch=batch, user=admin)
    decision = review.answer(
        dataset=dataset,
        user=admin,
        item_id=leased.item.pk,
        lease_id=leased.lease.pk,
        kind="flag",
        reason="bad_image",
        client_key=uuid.uuid4(),
    )
    client.force_login(admin)
    page = client.post(f"/d/{dataset.slug}/import/{batch.pk}/undo", follow=True).content.decode()
    assert "1 image of this import is in use" in page
    batch.refresh_from_db()
    assert batch.undone_at is None and dataset.images.count() == 5
    # Another import without decisions is deleted with its files, and the rest stays.
    table = b"file,temperature\n" + b"".join(b"%d.png,%d.5\n" % (n, n) for n in range(10, 13))
    third = upload({f"{n}.png": picture(n, kind="PNG") for n in range(10, 13)} | {"metadata.csv": table})
    page = client.get(f"/d/{dataset.slug}/import/{third.pk}/").content.decode()
    assert f"/import/{third.pk}/undo" in page
    client.post(f"/d/{dataset.slug}/import/{third.pk}/undo")
    job = Job.objects.get(kind=Kind.UNDO_IMPORT)
    # An image that comes into use after the request stays.
    late = dataset.images.get(name="10.png")
    QueueItem.objects.create(
        dataset=dataset, image=late, stream=Stream.UNCERTAIN, propensity=0.5, position=2, overlap=1
    )
    review.next_items(dataset=dataset, user=admin, count=1)
    assert run_job(str(job.pk)) == "succeeded"
    job.refresh_from_db()
    assert job.result == {"deleted": 2, "kept": 1}
    names = set(dataset.images.values_list("name", flat=True))
    assert names == {"a.png", *files, "10.png"}
    assert set(stored_names(dataset)) == set(Image.objects.values_list("sha256", flat=True))
    assert ImageName.objects.filter(batch=batch).count() == 2
    third.refresh_from_db()
    assert third.undone_at is not None and third.added == 3
    with pytest.raises(ValidationError):
        services.request_undo(batch=third, user=admin)
    assert Event.objects.filter(kind="import.undone").get().data == {"deleted": 2, "kept": 1}
    # The same files may be imported again.
    again = upload({"11.png": picture(11, kind="PNG")})
    assert again.added == 1 and kept.added == 1 and decision.pk
