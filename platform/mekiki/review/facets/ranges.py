"""The values of number and date fields of some images: the least, the greatest, and texts that do not fit."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db.models import Count, Max, Min, Q, QuerySet

from mekiki.datasets.models import Image, MetadataField, MetadataValue


@dataclass(frozen=True)
class FieldValues:
    """The values of one field: the least and the greatest, and numbers of images."""

    least: float | date | None
    greatest: float | date | None
    fitting: int
    unfit: int


def field_values(images: QuerySet[Image], fields: Sequence[MetadataField]) -> dict[int, FieldValues]:
    """Return field id → its values within some images. Fields without an image are left out."""
    values = MetadataValue.objects.filter(field__in=fields, image__in=images.order_by().values("pk"))
    rows: QuerySet[Any, tuple[Any, ...]] = (
        values.order_by()
        .values_list("field")
        .annotate(
            least=Min("number"),
            greatest=Max("number"),
            first=Min("day"),
            last=Max("day"),
            n=Count("pk"),
            unfit=Count("pk", filter=Q(number__isnull=True, day__isnull=True)),
        )
    )
    by_field = {}
    for field, least, greatest, first, last, n, unfit in rows:
        low, high = (least, greatest) if least is not None else (first, last)
        by_field[field] = FieldValues(low, high, n - unfit, unfit)
    return by_field
