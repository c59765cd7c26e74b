"""The facets of a gallery page. Each count is the number of images that the gallery shows for that value.

A facet counts within all other filters, but not within its own. Images that hide their facts are left out of
every count that uses these facts, as in the gallery itself (review.blinding).
"""

import logging
from calendar import monthrange
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from django.db import OperationalError, connection, transaction
from django.db.models import Count as Number
from django.db.models import F, Value
from django.db.models.functions import Floor, Least, TruncDate
from django.utils import timezone
from django.utils.translation import gettext as _

from mekiki.datasets.models import Dataset, ImportBatch, MetadataField
from mekiki.labeling.selectors import active_labels
from mekiki.learning.models import Head
from mekiki.review.exclusions import excluded_images
from mekiki.review.facets.counting import Base, Count, Counter
from mekiki.review.facets.metadata import metadata_values
from mekiki.review.facets.ranges import FieldValues, field_values
from mekiki.review.finding import FilterForm, reviewers_to_choose
from mekiki.review.hooks import label_source_choices
from mekiki.review.metadata_filters import LEAST, MOST, UNFIT, ordered_fields
from mekiki.review.models import Tag
from mekiki.review.selectors import openly_waiting_items
from mekiki.review.streams import STREAM_NAMES

logger = logging.getLogger(__name__)

BUCKETS = 20
# A facet that needs longer is shown without counts.
TIMEOUT = "3s"
# The most values of a facet that are listed.
MOST_VALUES = 12


@dataclass(frozen=True)
class FacetValue:
    """One value of a facet: the filters that select it, its name, and its number of images."""

    filters: dict[str, str]
    name: str
    count: Count
    chosen: bool = False


@dataclass(frozen=True)
class FacetRange:
    """The range of a number or date field: the values that images have, and the part that is chosen.

    Dates are written as in addresses, 2026-11-01. count: the images with a value that fits. exact: whether
    `least` and `greatest` are of all images and not of a sample.
    """

    is_date: bool
    least: str
    greatest: str
    low: str
    high: str
    count: Count
    exact: bool


@dataclass(frozen=True)
class Facet:
    """A filter with its values.

    code: the name of the filter, for metadata with the key. too_slow: the values could not be counted in
    time. more: further values exist that are not listed.
    """

    code: str
    title: str
    values: list[FacetValue] = field(default_factory=list)
    more: bool = False
    too_slow: bool = False
    key: str = ""
    range: "FacetRange | None" = None


@dataclass(frozen=True)
class Facets:
    """The facets of a gallery page.

    histogram: the number of images in BUCKETS equal ranges of confidence; empty without predictions.
    """

    matches: Count
    facets: list[Facet]
    histogram: list[Count]

    @property
    def is_estimated(self) -> bool:
        """Return whether a count is estimated."""
        counts = [self.matches, *self.histogram, *(v.count for f in self.facets for v in f.values)]
        counts += [facet.range.count for facet in self.facets if facet.range is not None]
        return any(not count.exact for count in counts)


def facets_of(dataset: Dataset, head: Head | None, form: FilterForm) -> Facets:
    """Return the facets for the filters of a valid or partly valid form."""
    return _FacetCounter(dataset, head, form).facets()


class _FacetCounter:
    def __init__(self, dataset: Dataset, head: Head | None, form: FilterForm) -> None:
        self.dataset, self.head, self.form = dataset, head, form
        self.asked = {name: value for name, value in form.asked.items() if name != "sort"}
        self.counter = Counter(dataset, head)

    def facets(self) -> Facets:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL statement_timeout = '{TIMEOUT}'")
            made: list[Facet] = []
            for code, title, build in self._parts():
                facet = self._in_time(build, Facet(code, title, too_slow=True))
                made += [facet] if facet.values or facet.too_slow else []
            made += self._in_time(self._ranges, [Facet("range", _("Numbers and dates"), too_slow=True)])
            made += self._in_time(self._metadata, [Facet("metadata", _("Metadata"), too_slow=True)])
            return Facets(
                matches=self._in_time(
                    lambda: self.counter.count(self.asked), Count(0, exact=False, few=True)
                ),
                facets=made,
                histogram=self._in_time(self._histogram, []),
            )

    def _in_time(self, build: Callable[[], Any], otherwise: Any) -> Any:
        try:
            with transaction.atomic():
                return build()
        except OperationalError as error:
            logger.warning("A facet of %s was not counted: %s", self.dataset.slug, error)
            return otherwise

    def _parts(self) -> list[tuple[str, str, Callable[[], Facet]]]:
        parts: list[tuple[str, str, Callable[[], Facet]]] = [
            ("confirmed", _("State"), self._state),
            ("confirmed", _("Confirmed label"), self._confirmed),
        ]
        if self.head is not None:
            parts.append(("label", _("Predicted label"), self._predicted))
        parts += [
            ("set_by", _("Labelled by"), self._set_by),
            ("waiting", _("Queue"), self._waiting),
        ]
        if "reviewer" in self.form.fields:
            parts.append(("reviewer", _("Label given by"), self._reviewer))
        if "tag" in self.form.fields:
            parts.append(("tag", _("Tag"), self._tag))
        parts += [("use", _("Exclusion"), self._use), ("since", _("Imported on"), self._date)]
        if "batch" in self.form.fields:
            parts.append(("batch", _("Import"), self._batch))
        return parts

    def _without(self, *names: str) -> dict[str, Any]:
        return {name: value for name, value in self.asked.items() if name not in names}

    def _value(self, code: str, value: Any, name: str, count: Count) -> FacetValue:
        chosen = str(self.asked.get(code, "")) == str(value)
        return FacetValue({code: str(value)}, name, count, chosen)

    def _groups(self, base: Base, field_name: str) -> dict[Any, Count]:
        rows = base.images.values_list(field_name).annotate(n=Number("pk"))
        return {value: base.count(n) for value, n in rows if value is not None}

    def _label_values(self, code: str, counts: dict[Any, Count], zero: Count) -> list[FacetValue]:
        labels = active_labels(self.dataset)
        return [self._value(code, label.pk, label.name, counts.get(label.pk, zero)) for label in labels]

    def _state(self) -> Facet:
        others = self._without("confirmed")
        names = (("some", _("confirmed")), ("none", _("not confirmed")))
        values = [
            self._value("confirmed", code, name, self.counter.count(others | {"confirmed": code}))
            for code, name in names
        ]
        return Facet("confirmed", _("State"), values)

    def _confirmed(self) -> Facet:
        base = self.counter.base(self._without("confirmed"), visible=True)
        counts = self._groups(base, "confirmed_label__label")
        return Facet(
            "confirmed", _("Confirmed label"), self._label_values("confirmed", counts, base.count(0))
        )

    def _predicted(self) -> Facet:
        base = self.counter.base(self._without("label"), visible=True)
        counts = self._groups(base, "predicted")
        return Facet("label", _("Predicted label"), self._label_values("label", counts, base.count(0)))

    def _set_by(self) -> Facet:
        others = self._without("set_by")
        values = [
            self._value("set_by", code, str(name), self.counter.count(others | {"set_by": code}))
            for code, name in label_source_choices(self.dataset)[: MOST_VALUES + 1]
        ]
        return Facet("set_by", _("Labelled by"), values)

    def _waiting(self) -> Facet:
        base = self.counter.base(self._without("waiting"), visible=False)
        items = openly_waiting_items(self.dataset).filter(image__in=base.images.values("pk"))
        counts = dict(items.order_by().values_list("stream").annotate(n=Number("image", distinct=True)))
        values = [
            self._value("waiting", code, str(STREAM_NAMES[code]), base.count(counts[code]))
            for code in STREAM_NAMES
            if code in counts
        ]
        if values:
            everything = self._value("waiting", "waiting", _("waiting"), base.count(sum(counts.values())))
            values = [everything, *values]
        return Facet("waiting", _("Queue"), values)

    def _reviewer(self) -> Facet:
        people = reviewers_to_choose(self.dataset)
        base = self.counter.base(self._without("reviewer"), visible=True)
        counts = self._groups(base, "confirmed_label__decision__user")
        values = [
            self._value("reviewer", pk, name, counts[pk]) for pk, name in people.items() if pk in counts
        ]
        return Facet("reviewer", _("Label given by"), values[:MOST_VALUES], more=len(values) > MOST_VALUES)

    def _tag(self) -> Facet:
        base = self.counter.base(self._without("tag"), visible=True)
        counts = self._groups(base, "image_tags__tag")
        names = Tag.objects.filter(pk__in=list(counts)).values_list("pk", "name")
        values = [self._value("tag", pk, name, counts[pk]) for pk, name in names]
        return Facet("tag", _("Tag"), values[:MOST_VALUES], more=len(values) > MOST_VALUES)

    def _use(self) -> Facet:
        title, others = _("Exclusion"), self._without("use")
        if not excluded_images(self.dataset).exists():
            return Facet("use", title)
        names = (("excluded", _("excluded")), ("in_use", _("not excluded")))
        values = [
            self._value("use", code, name, self.counter.count(others | {"use": code})) for code, name in names
        ]
        return Facet("use", title, values)

    def _date(self) -> Facet:
        base = self.counter.base(self._without("since", "until"), visible=False)
        zone = timezone.get_current_timezone()
        days = base.images.values_list(TruncDate("created_at", tzinfo=zone)).annotate(n=Number("pk"))
        spans = _spans(dict(days))
        values = [
            FacetValue(
                {"since": str(first), "until": str(last)},
                name,
                base.count(n),
                chosen=(self.asked.get("since"), self.asked.get("until")) == (first, last),
            )
            for first, last, name, n in spans[:MOST_VALUES]
        ]
        return Facet("since", _("Imported on"), values, more=len(spans) > MOST_VALUES)

    def _batch(self) -> Facet:
        base = self.counter.base(self._without("batch"), visible=True)
        counts = self._groups(base, "batch")
        newest = sorted(counts, reverse=True)
        shown = dict(ImportBatch.objects.filter(pk__in=newest[:MOST_VALUES]).values_list("pk", "created_at"))
        values = [
            self._value(
                "batch",
                pk,
                _("import %(n)d, %(day)s") % {"n": pk, "day": timezone.localdate(shown[pk]).isoformat()},
                counts[pk],
            )
            for pk in newest[:MOST_VALUES]
            if pk in shown
        ]
        return Facet("batch", _("Import"), values, more=len(newest) > MOST_VALUES)

    def _ranges(self) -> list[Facet]:
        fields = ordered_fields(self.dataset)
        if not fields:
            return []
        chosen = [one for one in fields if self._filters_of(one) & self.asked.keys()]
        shown: list[Facet] = []
        # All fields within all filters, and then each field with a filter without that filter.
        for part in (fields, *([one] for one in chosen)):
            names = self._filters_of(part[0]) if part is not fields else set()
            base = self.counter.base(self._without(*names), visible=True)
            values = field_values(base.images, part)
            shown += [
                self._range(one, values[one.pk], base)
                for one in part
                if one.pk in values and (part is not fields or one not in chosen)
            ]
        return sorted(shown, key=lambda facet: facet.key)

    @staticmethod
    def _filters_of(field: MetadataField) -> set[str]:
        return {beginning + field.key for beginning in (LEAST, MOST, UNFIT)}

    def _range(self, field: MetadataField, values: FieldValues, base: Base) -> Facet:
        def shown(value: Any) -> str:
            return "" if value is None else str(value) if isinstance(value, date) else f"{value:.12g}"

        unfit = UNFIT + field.key
        name = (
            _("texts that are no date")
            if field.type == MetadataField.Type.DATE
            else _("texts that are no number")
        )
        odd = FacetValue({unfit: "1"}, name, base.count(values.unfit), unfit in self.asked)
        return Facet(
            f"range-{field.key}",
            field.key,
            [odd] if values.unfit else [],
            key=field.key,
            range=FacetRange(
                is_date=field.type == MetadataField.Type.DATE,
                least=shown(values.least),
                greatest=shown(values.greatest),
                low=shown(self.asked.get(LEAST + field.key)),
                high=shown(self.asked.get(MOST + field.key)),
                count=base.count(values.fitting),
                exact=base.factor == 1.0,
            ),
        )

    def _metadata(self) -> list[Facet]:
        pairs: list[tuple[str, str]] = list(self.asked.get("metadata", []))
        facets: dict[str, Facet] = {}
        types = dict(MetadataField.objects.filter(dataset=self.dataset).values_list("key", "type"))
        ordered = {field.key for field in ordered_fields(self.dataset)} - {key for key, _value in pairs}
        choices = [key for key, type in types.items() if type == MetadataField.Type.CHOICE]
        keys = dict.fromkeys(key for key, _value in pairs)
        # All keys within all filters, and then each key with a filter without that filter.
        for only in (None, *keys):
            others = self._without("metadata")
            left = [pair for pair in pairs if pair[0] != only]
            base = self.counter.base(others | ({"metadata": left} if left else {}), visible=True)
            for key, values, more in metadata_values(base.images, only, leave_out=ordered, choices=choices):
                facets[key] = Facet(
                    f"metadata-{key}",
                    key,
                    [
                        FacetValue(
                            {"metadata": f"{key}={value}"}, value, base.count(n), (key, value) in pairs
                        )
                        for value, n in values
                    ],
                    more=more,
                    key=key,
                )
        return [facets[key] for key in sorted(facets)]

    def _histogram(self) -> list[Count]:
        if self.head is None:
            return []
        base = self.counter.base(self._without("low", "high"), visible=True)
        bucket = Least(Floor(F("confidence") * BUCKETS), Value(BUCKETS - 1.0))
        rows = dict(base.images.filter(confidence__isnull=False).values_list(bucket).annotate(n=Number("pk")))
        return [base.count(int(rows.get(float(i), 0))) for i in range(BUCKETS)] if rows else []


def _spans(days: dict[date, int]) -> list[tuple[date, date, str, int]]:
    """Return (first day, last day, name, number) of each day, or of each month if there are many days."""
    newest = sorted(days, reverse=True)
    if len(newest) <= MOST_VALUES:
        return [(day, day, day.isoformat(), days[day]) for day in newest]
    months: dict[tuple[int, int], int] = {}
    for day in newest:
        months[day.year, day.month] = months.get((day.year, day.month), 0) + days[day]
    return [
        (date(year, month, 1), _last_day(year, month), f"{year}-{month:02d}", n)
        for (year, month), n in months.items()
    ]


def _last_day(year: int, month: int) -> date:
    return date(year, month, monthrange(year, month)[1])
