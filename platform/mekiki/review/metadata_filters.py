"""Filters of the gallery by metadata: pairs of key and value, and ranges of number and date fields."""

from collections.abc import Iterable, Mapping
from typing import Any

from django import forms
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from mekiki.datasets.models import Dataset, MetadataField, MetadataValue
from mekiki.review.errors import InvalidAnswerError

# The most pairs of key and value in one filter.
MOST_PAIRS = 20
MOST_PAIR_CHARACTERS = 410
# Beginnings of the names of filters by a field. The key follows: from.temperature=20.
LEAST, MOST, UNFIT = "from.", "to.", "unfit."
# Up to this number of images in all ranges together, their ids are the filter.
FEW = 5000


class PairsInput(forms.Widget):
    """One text input for each pair key=value of the filter, and at least one."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[str]:
        """Return the texts of all inputs with this name."""
        values = data.getlist(name) if hasattr(data, "getlist") else data.get(name) or []
        return [values] if isinstance(values, str) else list(values)

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """Return the inputs. The label of the field belongs to the first one."""
        return format_html_join(
            "",
            '<input class="input" type="text" name="{}" value="{}" maxlength="{}" placeholder="line=3" {}>',
            [
                (name, text, MOST_PAIR_CHARACTERS, _described(attrs or {}, first=not place))
                for place, text in enumerate(value or [""])
            ],
        )


def _described(attrs: dict[str, Any], *, first: bool) -> SafeString:
    return (
        format_html('id="{}"', attrs.get("id", ""))
        if first
        else format_html('aria-label="{}"', _("Metadata"))
    )


class PairsField(forms.Field):
    """Pairs of a metadata key and its value, each written as key=value."""

    widget = PairsInput

    def clean(self, value: Any) -> list[tuple[str, str]]:
        """Return the pairs without spaces around them. Raises ValidationError if a part is missing."""
        pairs = []
        for text in value or []:
            key, _sign, rest = (part.strip() for part in str(text).partition("="))
            if not key and not rest:
                continue
            if not key or not rest or len(text) > MOST_PAIR_CHARACTERS or "\0" in text:
                raise forms.ValidationError(_("Write it as key=value, for example line=3."))
            pairs.append((key, rest))
        return list(dict.fromkeys(pairs))[:MOST_PAIRS]


def day_field(title: Any, **attrs: str) -> forms.DateField:
    """Return the input of a day."""
    widget = forms.DateInput(format="%Y-%m-%d", attrs={"type": "date", **attrs})
    return forms.DateField(label=title, required=False, input_formats=["%Y-%m-%d"], widget=widget)


def ordered_fields(dataset: Dataset) -> list[MetadataField]:
    """Return the number and date fields of a dataset whose values are complete, by key."""
    return list(
        MetadataField.objects.filter(dataset=dataset, type__in=MetadataField.ORDERED, is_complete=True)
    )


def range_inputs(dataset: Dataset) -> dict[str, forms.Field]:
    """Return the inputs of the ranges of all number and date fields, by the name of the filter."""
    inputs: dict[str, forms.Field] = {}
    for field in ordered_fields(dataset):
        for beginning, title in ((LEAST, gettext("%(key)s from")), (MOST, gettext("%(key)s to"))):
            name = beginning + field.key
            # A key may contain spaces, an id may not.
            attrs = {"id": f"filter_{beginning}{field.pk}"}
            words = title % {"key": field.key}
            if field.type == MetadataField.Type.DATE:
                inputs[name] = day_field(words, **attrs)
            else:
                number = forms.NumberInput(attrs={"step": "any", **attrs})
                inputs[name] = forms.FloatField(label=words, required=False, widget=number)
        inputs[UNFIT + field.key] = forms.ChoiceField(
            required=False,
            choices=[("", ""), ("1", "")],
            widget=forms.HiddenInput(attrs={"id": f"filter_{UNFIT}{field.pk}"}),
        )
    return inputs


def is_range(name: str) -> bool:
    """Return whether a filter with this name is a range of a field, or its texts that do not fit."""
    return name.startswith((LEAST, MOST, UNFIT))


def ranges_as_filters(ranges: Iterable[str]) -> dict[str, str]:
    """Return the filters of texts key=from..to or key=unfit. Raises InvalidAnswerError for other texts."""
    filters: dict[str, str] = {}
    for text in ranges:
        key, _sign, rest = text.rpartition("=")
        least, dots, most = rest.partition("..")
        if not key or not ((dots and (least or most)) or rest == "unfit"):
            raise InvalidAnswerError("filter", gettext("Write a range as key=from..to."))
        filters |= {LEAST + key: least, MOST + key: most} if dots else {UNFIT + key: "1"}
    return filters


def in_ranges(images: QuerySet[Any], dataset: Dataset, asked: Mapping[str, Any]) -> QuerySet[Any]:
    """Return the images whose values are in the ranges of all fields. Images without the key are in none."""
    keys = {name.partition(".")[2] for name in asked}
    fields = [field for field in ordered_fields(dataset) if field.key in keys]
    if len(fields) < len(keys):
        return images.none()
    ids: set[int] | None = None
    frequent = []
    for field in fields:
        values = MetadataValue.objects.filter(field=field).filter(_in_range(field, asked)).order_by()
        # The statistics of PostgreSQL mix the numbers of all fields. Its choice between the index of the
        # values and a walk along the images would therefore be a guess.
        few = set(values.values_list("image_id", flat=True)[: FEW + 1])
        if len(few) > FEW:
            frequent.append(values)
        else:
            ids = few if ids is None else ids & few
    for values in frequent:
        if ids is not None:
            ids = set(values.filter(image__in=ids).values_list("image_id", flat=True))
        else:
            # Not equality: PostgreSQL would read all values into a hash table for one page of images.
            of_image = values.filter(image__gte=OuterRef("pk"), image__lte=OuterRef("pk"))
            images = images.filter(Exists(of_image))
    if ids is not None:
        images = images.filter(pk__in=sorted(ids))
    return images


def _in_range(field: MetadataField, asked: Mapping[str, Any]) -> Q:
    if asked.get(UNFIT + field.key):
        return Q(number__isnull=True, day__isnull=True)
    column = "number" if field.type == MetadataField.Type.NUMBER else "day"
    condition = Q(**{f"{column}__isnull": False})
    if (least := asked.get(LEAST + field.key)) is not None:
        condition &= Q(**{f"{column}__gte": least})
    if (most := asked.get(MOST + field.key)) is not None:
        condition &= Q(**{f"{column}__lte": most})
    return condition


def metadata_condition(pairs: Iterable[tuple[str, str]]) -> Q:
    """Return the condition for images with these values. Of two values of one key, either is enough.

    Keys with one value are one condition, so that the index of the metadata compares them together.
    """
    values: dict[str, list[str]] = {}
    for key, value in pairs:
        values.setdefault(key, []).append(value)
    single = {key: several[0] for key, several in values.items() if len(several) == 1}
    condition = Q(metadata__contains=single) if single else Q()
    for key, several in values.items():
        if len(several) > 1:
            either = Q()
            for value in several:
                either |= Q(metadata__contains={key: value})
            condition &= either
    return condition
