"""Deletion of the files of a dataset, and of what describes its images. Rows of evidence stay."""

import shutil
from pathlib import Path

from django.conf import settings
from django.core.files.storage import default_storage
from django.db import transaction

from mekiki.datasets import storage
from mekiki.datasets.models import (
    Dataset,
    DatasetUsage,
    Image,
    ImageName,
    ImportBatch,
    ImportProblem,
    MetadataField,
    MetadataValue,
)

FOLDERS = ("originals", "thumbs", "display")
# An image whose files are purged has this name, which no import gives.
PURGED_NAME = ""


def images_to_purge(dataset: Dataset, limit: int) -> list[Image]:
    """Return the next images whose files are not purged yet, by id."""
    rows = Image.objects.filter(dataset=dataset).exclude(name=PURGED_NAME)
    return list(rows.only("pk", "sha256", "size", "dataset_id").order_by("pk")[:limit])


def purge_images(*, dataset: Dataset, images: list[Image]) -> int:
    """Delete the files of images, their other names and their metadata. Return the bytes of the originals.

    The files are deleted first, so a purge that is stopped finds the images again. Raises ValueError unless
    the purge of the dataset has begun.
    """
    if not Dataset.objects.filter(pk=dataset.pk, purge_begun_at__isnull=False).exists():
        raise ValueError("Only the files of a deleted dataset are purged.")
    for image in images:
        for name in (storage.original_name, storage.thumb_name, storage.display_name):
            default_storage.delete(name(dataset.pk, image.sha256))
    ids = [image.pk for image in images]
    with transaction.atomic():
        ImageName.objects.filter(image__in=ids).delete()
        MetadataValue.objects.filter(image__in=ids).delete()
        Image.objects.filter(pk__in=ids).update(name=PURGED_NAME, metadata={}, has_display=False)
    return sum(image.size for image in images)


@transaction.atomic
def purge_imports(*, dataset: Dataset) -> None:
    """Delete the reports and the waiting files of all imports, and the empty folders of the dataset.

    Raises ValueError while the files of an image are not purged.
    """
    if images_to_purge(dataset, 1):
        raise ValueError("The files of the images are purged first.")
    batches = ImportBatch.objects.filter(dataset=dataset)
    for pk in batches.filter(waiting_bytes__gt=0).values_list("pk", flat=True):
        shutil.rmtree(settings.HOME / "incoming" / str(pk), ignore_errors=True)
    ImportProblem.objects.filter(batch__in=batches).delete()
    MetadataField.objects.filter(dataset=dataset).delete()
    batches.update(location="", waiting_bytes=0)
    DatasetUsage.objects.filter(dataset=dataset).update(images=0, bytes=0)
    for folder in FOLDERS:
        _delete_folder(f"datasets/{dataset.pk}/{folder}")


def _delete_folder(name: str) -> None:
    """Delete a folder of the storage, if the storage is a disk."""
    try:
        path = Path(default_storage.path(name))
    except NotImplementedError:
        return
    shutil.rmtree(path, ignore_errors=True)
