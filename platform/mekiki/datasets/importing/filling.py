"""The typed values of all images, written again after the type of a field has changed."""

from collections.abc import Callable

from django.db import IntegrityError, transaction
from django.db.models import F, Func, TextField, Value

from mekiki.datasets import typed_values
from mekiki.datasets.models import Dataset, Image, MetadataField, MetadataValue

STEP = 5000
Progress = Callable[[int], object]


def fill_fields(dataset: Dataset, progress: Progress = lambda done: None) -> None:
    """Write the values of the fields that are not complete. It may be repeated, and run in two workers.

    `progress` gets the number of finished images of a field.
    """
    while (field := MetadataField.objects.filter(dataset=dataset, is_complete=False).first()) is not None:
        last, done = 0, 0
        while (step := _fill(field, last)) is not None:
            last, n = step
            progress(done := done + n)


def _fill(field: MetadataField, after: int) -> tuple[int, int] | None:
    """Write the values of the next images. Return (last id, number of images), or None at the end.

    It also ends if the type has changed meanwhile: the field is then begun again.
    """
    try:
        with transaction.atomic():
            typed_values.lock_fields(field.dataset_id, alone=True)
            current = MetadataField.objects.filter(pk=field.pk, version=field.version, is_complete=False)
            if not current.exists():
                return None
            text = Func(
                F("metadata"), Value(field.key), function="jsonb_extract_path_text", output_field=TextField()
            )
            images = Image.objects.filter(dataset=field.dataset_id, pk__gt=after).order_by("pk")
            rows = list(images.values_list("pk", text)[:STEP])
            if not rows:
                current.update(is_complete=True)
                return None
            last = rows[-1][0]
            MetadataValue.objects.filter(field=field, image__gt=after, image__lte=last).delete()
            values = [(pk, {field.key: value}) for pk, value in rows if value is not None]
            typed_values.write_values([field], values)
        return last, len(rows)
    except IntegrityError:  # an image was deleted meanwhile: the step is repeated without it
        return after, 0


def scan_fields(dataset: Dataset, progress: Progress = lambda done: None) -> None:
    """Find the fields of all images of a dataset, guess their types and write their values."""
    samples: dict[str, list[str]] = {}
    before, done = 2**63 - 1, 0
    while rows := list(
        Image.objects.filter(dataset=dataset, pk__lt=before)
        .order_by("-pk")
        .values_list("pk", "metadata")[:STEP]
    ):
        with transaction.atomic():
            typed_values.lock_fields(dataset.pk)
            fields = typed_values.known_fields(dataset, {key for _pk, metadata in rows for key in metadata})
        for _pk, metadata in rows:
            typed_values.add_samples(samples, fields, metadata)
        before = rows[-1][0]
        progress(done := done + len(rows))
    typed_values.guess_types(dataset, samples)
    fill_fields(dataset, progress)
