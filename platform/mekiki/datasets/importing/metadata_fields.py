"""The fields of the metadata that an import brings: their typed values, and the guess of their types."""

from collections.abc import Iterable, Iterator

from django.db.models import Count

from mekiki.datasets import typed_values
from mekiki.datasets.importing.filling import fill_fields
from mekiki.datasets.models import Image, ImportBatch, MetadataField, MetadataValue
from mekiki.datasets.problems import ReportLine

# Codes of report lines about texts that do not fit the type of their column.
_CODES = {
    MetadataField.Type.NUMBER: "metadata_no_number",
    MetadataField.Type.DATE: "metadata_no_date",
}


class ImportedFields:
    """The fields of one run of an import."""

    def __init__(self, batch: ImportBatch) -> None:
        self._batch = batch
        self._samples: dict[str, list[str]] = {}

    def lock(self) -> None:
        """Lock the types until the transaction ends. Call it before images are locked or written."""
        typed_values.lock_fields(self._batch.dataset_id)

    def store(self, images: Iterable[Image]) -> None:
        """Write the typed values of images whose metadata was written in this transaction."""
        rows = [(image.pk, image.metadata) for image in images if image.metadata]
        if not rows:
            return
        fields = typed_values.known_fields(
            self._batch.dataset, {key for _pk, metadata in rows for key in metadata}
        )
        typed_values.write_values(fields.values(), rows)
        for _pk, metadata in rows:
            typed_values.add_samples(self._samples, fields, metadata)

    def close(self) -> list[tuple[str, ReportLine]]:
        """Guess the types of new fields, write their values, and return lines about texts that do not fit."""
        if not self._samples:
            return []
        typed_values.guess_types(self._batch.dataset, self._samples)
        fill_fields(self._batch.dataset)
        return list(self._unfit())

    def _unfit(self) -> Iterator[tuple[str, ReportLine]]:
        values = MetadataValue.objects.filter(
            field__dataset=self._batch.dataset,
            field__type__in=MetadataField.ORDERED,
            number__isnull=True,
            day__isnull=True,
            image__batch=self._batch,
        )
        counted = values.order_by().values_list("field__key", "field__type").annotate(n=Count("pk"))
        for key, type, n in counted.order_by("field__key"):
            yield key, ReportLine(_CODES[MetadataField.Type(type)], "noted", {"column": key, "count": n})
