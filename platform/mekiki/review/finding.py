"""The filters of the gallery and of the search: label, who set it, confidence, stream, metadata and name."""

from typing import Any

from django import forms
from django.db.models import Exists, F, FilteredRelation, OuterRef, Q, QuerySet
from django.utils.translation import gettext_lazy as _

from mekiki.datasets.models import Dataset, Image
from mekiki.labeling.models import Label
from mekiki.learning.models import Head
from mekiki.review.blinding import on_page_condition, unshown_condition
from mekiki.review.hooks import images_with_label_set_by, label_source_choices
from mekiki.review.models import TEST_STREAMS, ConfirmedLabel
from mekiki.review.selectors import openly_waiting_items
from mekiki.review.streams import STREAM_NAMES

# Filters and sort orders that use facts hidden for images of the audit reserve (review.blinding).
_HIDDEN_FACTS = ("label", "low", "high", "sort", "metadata", "q")


class FilterForm(forms.Form):
    """Form with the filters and the sort order of the gallery. Every field may be empty."""

    label = forms.ChoiceField(label=_("Predicted label"), required=False)
    confirmed = forms.ChoiceField(label=_("Confirmed"), required=False)
    set_by = forms.ChoiceField(label=_("Labelled by"), required=False)
    waiting = forms.ChoiceField(label=_("Queue"), required=False)
    low = forms.FloatField(label=_("Confidence from, %"), required=False, min_value=0, max_value=100)
    high = forms.FloatField(label=_("to, %"), required=False, min_value=0, max_value=100)
    metadata = forms.CharField(
        label=_("Metadata"),
        required=False,
        max_length=410,
        widget=forms.TextInput(attrs={"placeholder": "line=3"}),
    )
    q = forms.CharField(label=_("Name contains"), required=False, max_length=200)
    sort = forms.ChoiceField(
        label=_("Order"),
        required=False,
        choices=[
            ("", _("newest first")),
            ("unsure", _("lowest confidence first")),
            ("sure", _("highest confidence first")),
        ],
    )

    def __init__(self, data: Any, labels: list[Label], dataset: Dataset) -> None:
        super().__init__(data, auto_id="filter_%s")
        named = [(str(label.pk), label.name) for label in labels]
        self._choose("label", [("", _("any")), *named])
        self._choose(
            "confirmed", [("", _("any")), ("none", _("not confirmed")), ("some", _("confirmed")), *named]
        )
        self._choose("set_by", [("", _("any")), *label_source_choices(dataset)])
        self._choose(
            "waiting",
            [
                ("", _("any")),
                ("waiting", _("waiting")),
                # Nobody may find the images that wait to measure a reviewer.
                *((str(code), words) for code, words in STREAM_NAMES.items() if code not in TEST_STREAMS),
            ],
        )

    def _choose(self, name: str, choices: list[Any]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices

    def clean_metadata(self) -> str:
        """Return the filter as key=value. Raises ValidationError if a part of it is missing."""
        text: str = self.cleaned_data["metadata"].strip()
        if text and not all(part.strip() for part in text.partition("=")):
            raise forms.ValidationError(_("Write it as key=value, for example line=3."))
        return text


def filter_images(dataset: Dataset, head: Head | None, asked: dict[str, Any]) -> QuerySet[Image]:
    """Return the images that match the filters, annotated with the champion's prediction.

    The annotations are `confidence` and `predicted` (label id). They are None for an image without a
    prediction.
    """
    images = Image.objects.filter(dataset=dataset).alias(
        guess=FilteredRelation("predictions", condition=Q(predictions__head=head))
    )
    # Filters and order use these names. A filter on `guess` itself would join a million predictions a second
    # time.
    images = images.annotate(predicted=F("guess__label_id"), confidence=F("guess__confidence"))
    if asked.keys() & {"label", "low", "high"}:
        # The image id from the prediction row, so that a page that starts at an id can use the index on
        # predictions.
        images = images.annotate(answered=F("guess__image_id"))
    if asked.get("label"):
        images = images.filter(predicted=int(asked["label"]))
    if asked.get("low") is not None:
        images = images.filter(confidence__gte=asked["low"] / 100)
    if asked.get("high") is not None:
        images = images.filter(confidence__lte=asked["high"] / 100)
    if asked.get("sort"):
        images = images.filter(confidence__isnull=False)
    if uses_hidden_facts(asked):
        # The matching images and their order would reveal the facts that the page hides.
        images = images.filter(~unshown_condition(dataset))
    elif asked.keys() & {"confirmed", "set_by", "waiting"}:
        # A gold image has a label and does not wait openly, unlike the other images of its page.
        images = images.filter(~on_page_condition(dataset))
    confirmed = asked.get("confirmed")
    if confirmed in {"none", "some"}:
        # Not `confirmed_label__isnull`: PostgreSQL expects very few rows from that join and then sorts all
        # images for one page.
        labelled = Exists(ConfirmedLabel.objects.filter(image=OuterRef("pk")))
        images = images.filter(labelled if confirmed == "some" else ~labelled)
    elif confirmed:
        images = images.filter(confirmed_label__label_id=int(confirmed))
    if source := asked.get("set_by"):
        images = images_with_label_set_by(images, dataset, source)
    if waiting := asked.get("waiting"):
        items = openly_waiting_items(dataset).filter(image=OuterRef("pk"))
        images = images.filter(Exists(items if waiting == "waiting" else items.filter(stream=waiting)))
    if asked.get("metadata"):
        key, _sign, value = asked["metadata"].partition("=")
        images = images.filter(metadata__contains={key.strip(): value.strip()})
    if asked.get("q"):
        images = images.filter(name__icontains=asked["q"])
    return images


def uses_hidden_facts(asked: dict[str, Any]) -> bool:
    """Return whether a filter or the order uses facts that blind images hide.

    In that case blind images are left out.
    """
    by_confirmed_label = str(asked.get("confirmed", "")).isdigit()
    # Whether an image has a certified label reveals that the machine was sure about it.
    by_machine = asked.get("set_by") not in (None, "", "person")
    return (
        by_confirmed_label or by_machine or any(asked.get(name) not in ("", None) for name in _HIDDEN_FACTS)
    )
