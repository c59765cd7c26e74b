"""Fields of metadata and their typed values: the lock, the rows, and the guess of types.

Code that writes metadata of images takes the lock in shared mode, before it locks images. Code that changes
types, or that writes the values of all images, takes it alone. A value therefore always has the type that its
field has when the transaction ends.
"""

from collections.abc import Iterable, Mapping, Sequence

from django.db import connection, transaction

from mekiki.config import clock
from mekiki.datasets.metadata_types import (
    ENOUGH_VALUES,
    MOST_VALUES,
    guess_type,
    parse_day,
    parse_number,
)
from mekiki.datasets.models import Dataset, MetadataField, MetadataValue

# The most fields of a dataset. Further keys of metadata are texts without a field.
MOST_FIELDS = 200
_LOCK = 0x4D4B5203  # first number of an advisory lock; the second is the dataset's id
_CHUNK = 5000


def lock_fields(dataset_id: int, *, alone: bool = False) -> None:
    """Lock the fields of a dataset until the transaction ends. alone: nobody else writes values meanwhile."""
    function = "pg_advisory_xact_lock" if alone else "pg_advisory_xact_lock_shared"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(%s::int, %s::int)", [_LOCK, dataset_id % 2**31])


def known_fields(dataset: Dataset, keys: Iterable[str]) -> dict[str, MetadataField]:
    """Return key → field, and create the fields of new keys as texts, up to MOST_FIELDS."""
    fields = {field.key: field for field in MetadataField.objects.filter(dataset=dataset)}
    new = sorted(key for key in set(keys) if key not in fields)[: max(0, MOST_FIELDS - len(fields))]
    if new:
        rows = [MetadataField(dataset=dataset, key=key) for key in new]
        MetadataField.objects.bulk_create(rows, ignore_conflicts=True)
        fields = {field.key: field for field in MetadataField.objects.filter(dataset=dataset)}
    return fields


def add_samples(
    samples: dict[str, list[str]], fields: Mapping[str, MetadataField], metadata: Mapping[str, str]
) -> None:
    """Add the values of an image to the samples of the known fields, up to MOST_VALUES for each field."""
    for key, text in metadata.items():
        sample = samples.setdefault(key, []) if key in fields else []
        if len(sample) < MOST_VALUES:
            sample.append(str(text))


def write_values(fields: Iterable[MetadataField], images: Sequence[tuple[int, Mapping[str, str]]]) -> None:
    """Write the values of ordered fields for images, given as (id, metadata)."""
    rows = [
        _value(field, pk, str(metadata[field.key]))
        for field in fields
        if field.is_ordered
        for pk, metadata in images
        if field.key in metadata
    ]
    MetadataValue.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["image", "field"],
        update_fields=["number", "day"],
        batch_size=_CHUNK,
    )


def _value(field: MetadataField, image: int, text: str) -> MetadataValue:
    if field.type == MetadataField.Type.NUMBER:
        return MetadataValue(field=field, image_id=image, number=parse_number(text))
    return MetadataValue(field=field, image_id=image, day=parse_day(text))


@transaction.atomic
def guess_types(dataset: Dataset, samples: Mapping[str, Sequence[str]]) -> None:
    """Guess the types of fields from some of their values, unless an admin has chosen the type.

    A type that was guessed from ENOUGH_VALUES values stays. Fields that become ordered are then incomplete.
    """
    lock_fields(dataset.pk, alone=True)
    guessed = MetadataField.objects.filter(
        dataset=dataset, chosen_by=None, guessed_from__lt=ENOUGH_VALUES, key__in=list(samples)
    )
    for field in guessed:
        if len(samples[field.key]) <= field.guessed_from:
            continue
        field.guessed_from = len(samples[field.key])
        change_type(field, guess_type(samples[field.key]))
        field.save(update_fields=["type", "version", "is_complete", "changed_at", "guessed_from"])


def change_type(field: MetadataField, type: str) -> bool:
    """Set the type of a field that is not saved yet. Return whether it is another type."""
    if field.type == type:
        return False
    field.type = type
    field.version += 1
    field.is_complete = not field.is_ordered
    field.changed_at = clock.now()
    return True
