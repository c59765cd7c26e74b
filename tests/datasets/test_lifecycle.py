"""Archived and deleted datasets: who sees and restores them, and what their purge removes and keeps."""

from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.files.storage import default_storage
from django.urls import reverse
from django.utils import timezone

from mekiki.accounts.models import Role, User
from mekiki.accounts.services import set_role
from mekiki.audit.models import Event
from mekiki.datasets import quotas, services, storage
from mekiki.datasets.models import Dataset, Image, ImageName, ImportBatch, ImportProblem
from mekiki.jobs.models import Job, Kind
from mekiki.jobs.services import claim
from mekiki.labeling.models import Label
from mekiki.labeling.selectors import current_prompt_set, prompts_of
from mekiki.labeling.services import copy_schema, set_schema
from mekiki.learning.models import Embedding, Prediction
from mekiki.learning.services import delete_derived_data, store_embeddings
from mekiki.review.models import Decision
from tests.datasets.helpers import Files, picture
from tests.datasets.test_dataset_pages import client_of
from tests.factories import (
    ConfirmedLabelFactory,
    EncoderFactory,
    HeadFactory,
    LabelFactory,
    PredictionFactory,
)
from workers.runner import Report
from workers.stages import purge

Upload = Callable[[Files], ImportBatch]
ARCHIVED = reverse("archived-datasets")


def test_deletion_needs_the_name_and_can_be_taken_back(dataset: Dataset, admin: User, reviewer: User) -> None:
    client = client_of(admin)
    refused = client.post(reverse("dataset-delete", args=[dataset.slug]), {"name": "scratches"}, follow=True)
    assert "Nothing was deleted" in refused.content.decode()
    assert client_of(reviewer).post(reverse("dataset-delete", args=[dataset.slug])).status_code == 403
    page = client.post(reverse("dataset-delete", args=[dataset.slug]), {"name": "Scratches"}, follow=True)
    text = page.content.decode()
    assert page.redirect_chain[-1][0] == ARCHIVED
    assert "can be restored for 30 days" in text and "Can be restored until" in text
    assert client.get(f"/d/{dataset.slug}/").status_code == 404
    assert "Archived datasets" in client.get("/").content.decode()
    # Only its admins see and restore it.
    other = client_of(reviewer)
    assert "Scratches" not in other.get(ARCHIVED).content.decode()
    assert other.post(reverse("archived-restore", args=[dataset.slug])).status_code == 404
    assert (
        other.post(reverse("archived-delete", args=[dataset.slug]), {"name": "Scratches"}).status_code == 404
    )
    with pytest.raises(PermissionDenied):
        services.restore_dataset(dataset=dataset, user=reviewer)
    restored = client.post(reverse("archived-restore", args=[dataset.slug]))
    assert (
        restored["location"] == f"/d/{dataset.slug}/" and client.get(f"/d/{dataset.slug}/").status_code == 200
    )
    kinds = list(
        Event.objects.filter(kind__startswith="dataset.").order_by("pk").values_list("kind", flat=True)
    )
    assert kinds == ["dataset.created", "dataset.archived", "dataset.deleted", "dataset.restored"]


def test_archived_dataset_is_restored_or_deleted_later(dataset: Dataset, admin: User) -> None:
    client = client_of(admin)
    services.archive_dataset(dataset=dataset, user=admin)
    assert "Can be restored until" not in client.get(ARCHIVED).content.decode()
    address = reverse("archived-delete", args=[dataset.slug])
    assert "Nothing was deleted" in client.post(address, {"name": "x"}, follow=True).content.decode()
    client.post(address, {"name": "Scratches"})
    dataset.refresh_from_db()
    first = dataset.deleted_at
    assert first is not None
    client.post(address, {"name": "Scratches"})
    dataset.refresh_from_db()
    assert dataset.deleted_at == first and services.request_due_purges() == {"purges": 0}
    client.post(reverse("archived-restore", args=[dataset.slug]))
    dataset.refresh_from_db()
    assert (dataset.archived_at, dataset.deleted_at) == (None, None)


def test_purge_removes_pictures_and_names_and_keeps_the_evidence(
    dataset: Dataset, admin: User, upload: Upload
) -> None:
    upload(
        {"scratch/a.png": picture(1), "scratch/copy.png": picture(1), "b.png": picture(2), "bad.png": b"?"}
    )
    other = services.create_dataset(name="Other", user=admin)
    images = list(dataset.images.order_by("pk"))
    head = HeadFactory(dataset=dataset, encoder=EncoderFactory(dim=2))
    store_embeddings(
        encoder=head.encoder, image_ids=[image.pk for image in images], vectors=np.eye(2, dtype=np.float32)
    )
    label = LabelFactory(dataset=dataset)
    for image in images:
        PredictionFactory(head=head, image=image, label=label)
    decision = ConfirmedLabelFactory(dataset=dataset, image=images[0], label=label).decision
    files = [
        storage.original_name(dataset.pk, images[0].sha256),
        storage.thumb_name(dataset.pk, images[0].sha256),
    ]
    assert all(default_storage.exists(name) for name in files)
    services.delete_dataset(dataset=dataset, user=admin, name=dataset.name)
    with pytest.raises(ValueError, match="deleted dataset"):
        services.purge_images(dataset=dataset, images=images)
    # A time in the future, after the clock was set back, is not due.
    for days, due in ((-1, 0), (29, 0), (31, 1)):
        Dataset.objects.filter(pk=dataset.pk).update(deleted_at=timezone.now() - timedelta(days=days))
        assert services.request_due_purges() == {"purges": due}, days
    dataset.refresh_from_db()
    with pytest.raises(ValidationError, match="no longer be restored"):
        services.restore_dataset(dataset=dataset, user=admin)
    # A worker that was killed after one image.
    delete_derived_data(dataset=dataset, image_ids=[images[0].pk])
    services.purge_images(dataset=dataset, images=images[:1])
    job = claim(str(Job.objects.get(kind=Kind.PURGE).pk))
    assert job is not None
    assert purge.run(job, Report(job)) == {"images": 1, "bytes": images[1].size}
    assert not any(default_storage.exists(name) for name in files)
    assert not Embedding.objects.exists() and not Prediction.objects.exists()
    assert not ImageName.objects.exists() and not ImportProblem.objects.exists()
    assert {(image.name, bool(image.metadata)) for image in Image.objects.all()} == {("", False)}
    assert quotas.dataset_usage(dataset) == {"images": 0, "bytes": 0}
    # The evidence stays, with the hash of each image.
    assert Decision.objects.filter(pk=decision.pk).exists()
    assert {image.sha256 for image in Image.objects.all()} == {image.sha256 for image in images}
    assert Event.objects.filter(kind="dataset.purged", data__images=1).exists()
    assert services.request_due_purges() == {"purges": 0}
    assert dataset.name not in client_of(admin).get(ARCHIVED).content.decode()
    assert client_of(admin).get(f"/d/{other.slug}/").status_code == 200


def test_new_dataset_copies_labels_and_prompts(dataset: Dataset, admin: User, stranger: User) -> None:
    specs = [
        {"name": "傷", "prompts": ["a scratch", "擦り傷"], "critical": True, "guideline": "深い傷"},
        {"name": "none", "prompts": ["a clean part"], "is_none": True, "code": "N1"},
    ]
    set_schema(dataset=dataset, labels=specs, user=admin)
    client = client_of(admin)
    assert "Copy labels and prompts from" in client.get(reverse("dataset-create")).content.decode()
    reply = client.post(
        reverse("dataset-create"), {"name": "線2", "encoder_name": "pocket", "copy_from": dataset.slug}
    )
    made = Dataset.objects.exclude(pk=dataset.pk).get()
    assert reply["location"] == f"/d/{made.slug}/labels/"
    copied = {label.name: label for label in made.labels.all()}
    assert copied["傷"].critical and copied["傷"].guideline == "深い傷" and copied["none"].is_none
    assert copied["none"].code == "N1"
    prompts = prompts_of(current_prompt_set(made))
    assert prompts[copied["傷"].pk] == ["a scratch", "擦り傷"]
    assert Event.objects.get(kind="schema.copied").data["from"] == dataset.slug
    with pytest.raises(ValidationError, match="has labels already"):
        copy_schema(dataset=made, source=dataset, user=admin)
    stranger.may_create_datasets = True
    stranger.save()
    assert "Copy labels" not in client_of(stranger).get(reverse("dataset-create")).content.decode()
    mine = services.create_dataset(name="mine", user=stranger)
    with pytest.raises(PermissionDenied):
        copy_schema(dataset=mine, source=dataset, user=stranger)
    set_role(dataset=dataset, user=stranger, role=Role.VIEWER, actor=admin)
    copy_schema(dataset=mine, source=dataset, user=stranger)
    assert Label.objects.filter(dataset=mine).count() == 2
    with pytest.raises(ValidationError, match="no labels"):
        copy_schema(
            dataset=services.create_dataset(name="a", user=admin),
            source=services.create_dataset(name="b", user=admin),
            user=admin,
        )


def test_renamed_dataset_gets_a_readable_address(dataset: Dataset, admin: User) -> None:
    client, settings = client_of(admin), reverse("dataset-settings", args=[dataset.slug])
    assert "Use this address" not in client.get(settings).content.decode()
    services.update_settings(dataset=dataset, user=admin, name="傷の検査")
    text = client.get(settings).content.decode()
    assert 'name="address-slug" value="kizu-no-kensa"' in text
    client.post(reverse("dataset-address", args=[dataset.slug]), {"address-slug": "kizu-no-kensa"})
    dataset.refresh_from_db()
    assert dataset.slug == "kizu-no-kensa"
    services.update_settings(dataset=dataset, user=admin, name="Scratches")
    text = client.get(reverse("dataset-settings", args=[dataset.slug])).content.decode()
    assert 'name="address-slug" value="scratches"' in text  # its own earlier address
    services.update_settings(dataset=dataset, user=admin, name="…")
    text = client.get(reverse("dataset-settings", args=[dataset.slug])).content.decode()
    assert "Use this address" not in text
