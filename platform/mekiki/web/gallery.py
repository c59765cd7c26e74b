"""The gallery: which images? By label, confidence, stream, metadata, name; and one image with its whole history."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.db.models import Exists, F, FilteredRelation, OuterRef, Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from mekiki.accounts.http import UserRequest
from mekiki.datasets.access import dataset_for, image_for
from mekiki.datasets.models import Dataset, Image
from mekiki.datasets.selectors import image_count
from mekiki.labeling.models import Label
from mekiki.labeling.selectors import active_labels
from mekiki.learning.models import Head, Prediction
from mekiki.learning.selectors import champion
from mekiki.review.models import BLIND_STREAMS, ConfirmedLabel, Decision, QueueItem, Stream

PAGE = 60
# Beyond this, "more than" is said: counting a million rows is not worth a reader's time.
COUNT_UP_TO = 10_000


class FilterForm(forms.Form):
    """What the gallery is filtered and sorted by; every field may be empty."""

    label = forms.ChoiceField(label=_("Predicted"), required=False)
    confirmed = forms.ChoiceField(label=_("Confirmed"), required=False)
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
        choices=[("", _("newest first")), ("unsure", _("least sure first")), ("sure", _("surest first"))],
    )

    def __init__(self, data: Any, labels: list[Label]) -> None:
        super().__init__(data, auto_id="filter_%s")
        named = [(str(label.pk), label.name) for label in labels]
        self._choose("label", [("", _("any")), *named])
        self._choose("confirmed", [("", _("any")), ("none", _("not yet")), ("some", _("confirmed")), *named])
        self._choose("waiting", [("", _("any")), ("waiting", _("waiting")), *Stream.choices])

    def _choose(self, name: str, choices: list[Any]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices

    def clean_metadata(self) -> str:
        """key=value. A word without "=" asks for nothing anybody meant."""
        text: str = self.cleaned_data["metadata"].strip()
        if text and not all(part.strip() for part in text.partition("=")):
            raise forms.ValidationError(_("Write it as key=value, for example line=3."))
        return text


def matching(dataset: Dataset, head: Head | None, asked: dict[str, Any]) -> QuerySet[Image]:
    """The images asked for, with the champion's `confidence` and `predicted` (label id), None where there is none."""
    images = Image.objects.filter(dataset=dataset).alias(
        guess=FilteredRelation("predictions", condition=Q(predictions__head=head))
    )
    # Filters and order name these, not `guess`: a filter on the relation would join a million predictions once more.
    images = images.annotate(predicted=F("guess__label_id"), confidence=F("guess__confidence"))
    if asked.get("label"):
        images = images.filter(predicted=int(asked["label"]))
    if asked.get("low") is not None:
        images = images.filter(confidence__gte=asked["low"] / 100)
    if asked.get("high") is not None:
        images = images.filter(confidence__lte=asked["high"] / 100)
    if asked.get("sort"):
        images = images.filter(confidence__isnull=False)
    if asked.keys() & {"label", "low", "high", "sort"}:
        # What a filter lets through, and where it stands in the order, would tell the prediction that the page hides.
        images = images.filter(~Exists(_blind(dataset).filter(image=OuterRef("pk"))))
    confirmed = asked.get("confirmed")
    if confirmed in {"none", "some"}:
        images = images.filter(confirmed_label__isnull=confirmed == "none")
    elif confirmed:
        images = images.filter(confirmed_label__label_id=int(confirmed))
    if waiting := asked.get("waiting"):
        items = QueueItem.objects.filter(image=OuterRef("pk"), dataset=dataset, state=QueueItem.State.WAITING)
        images = images.filter(Exists(items if waiting == "waiting" else items.filter(stream=waiting)))
    if asked.get("metadata"):
        key, _sign, value = asked["metadata"].partition("=")
        images = images.filter(metadata__contains={key.strip(): value.strip()})
    if asked.get("q"):
        images = images.filter(name__icontains=asked["q"])
    return images


@dataclass(frozen=True)
class Page:
    """One page of images and the keys of its neighbours ("" at an end)."""

    images: list[Image]
    newer: str
    older: str


def page_of(images: QuerySet[Image], sort: str, after: str = "", before: str = "") -> Page:
    """Pages by key, never by offset. A key is "<id>" or, by confidence, "<confidence>:<id>"; a wrong one is ignored."""
    descending = sort != "unsure"
    key = _parse_key(after or before, with_confidence=bool(sort))
    backwards = bool(before) and key is not None
    falling = descending != backwards
    if key is not None:
        images = images.filter(_beyond(key, falling))
    sign = "-" if falling else ""
    order = [f"{sign}confidence", f"{sign}pk"] if sort else [f"{sign}pk"]
    rows = list(images.order_by(*order)[: PAGE + 1])
    more = len(rows) > PAGE
    rows = rows[:PAGE]
    if backwards:
        rows.reverse()
    first = _key_of(rows[0], sort) if rows and ((key and not backwards) or (backwards and more)) else ""
    last = _key_of(rows[-1], sort) if rows and (backwards or more) else ""
    return Page(rows, newer=first, older=last)


def _key_of(image: Image, sort: str) -> str:
    return f"{image.confidence!r}:{image.pk}" if sort else str(image.pk)  # type: ignore[attr-defined]


def _parse_key(text: str, *, with_confidence: bool) -> tuple[float | None, int] | None:
    confidence, _colon, pk = text.rpartition(":")
    try:
        return (float(confidence) if with_confidence else None), int(pk)
    except ValueError:
        return None


def _beyond(key: tuple[float | None, int], falling: bool) -> Q:
    compare = "lt" if falling else "gt"
    confidence, pk = key
    if confidence is None:
        return Q(**{f"pk__{compare}": pk})
    tie = Q(confidence=confidence, **{f"pk__{compare}": pk})
    return Q(**{f"confidence__{compare}": confidence}) | tie


@require_safe
def images(request: UserRequest, slug: str) -> HttpResponse:
    """The grid of thumbnails."""
    dataset = dataset_for(request.user, slug)
    head = champion(dataset)
    labels = list(active_labels(dataset))
    form = FilterForm(request.GET, labels)
    form.is_valid()  # a field that does not fit is marked, and the others count
    asked = {name: value for name, value in form.cleaned_data.items() if value not in ("", None)}
    found = matching(dataset, head, asked)
    page = page_of(found, asked.get("sort", ""), request.GET.get("after", ""), request.GET.get("before", ""))
    _describe(dataset, page.images)
    total = image_count(dataset)
    filtered = bool(set(asked) - {"sort"})
    matches = found.order_by()[: COUNT_UP_TO + 1].count() if filtered else total
    query = urlencode({k: v for k, v in request.GET.items() if k in form.fields and v})
    context = {
        "dataset": dataset,
        "section": "images",
        "form": form,
        "images": page.images,
        "total": total,
        "matches": min(matches, COUNT_UP_TO) if filtered else total,
        "more_than": filtered and matches > COUNT_UP_TO,
        "filtered": filtered,
        "head": head,
        "newer_url": f"?{query}&before={page.newer}" if page.newer else "",
        "older_url": f"?{query}&after={page.older}" if page.older else "",
    }
    return render(request, "web/gallery.html", context)


def _describe(dataset: Dataset, images: list[Image]) -> None:
    """Give each image `.predicted_label`, `.confirmed` and `.hidden` for the page: two queries, however many."""
    ids = [image.pk for image in images]
    names = {label.pk: label for label in Label.objects.filter(dataset=dataset)}
    confirmed = dict(ConfirmedLabel.objects.filter(image__in=ids).values_list("image_id", "label_id"))
    blind = _blind_images(dataset, ids)
    for image in images:
        image.predicted_label = names.get(image.predicted)  # type: ignore[attr-defined]
        image.confirmed = names.get(confirmed.get(image.pk, 0))  # type: ignore[attr-defined]
        image.hidden = image.pk in blind  # type: ignore[attr-defined]


def _blind_images(dataset: Dataset, ids: list[int]) -> set[int]:
    """Those that wait to be judged without seeing a prediction: it is not shown here either."""
    return set(_blind(dataset).filter(image__in=ids).values_list("image_id", flat=True))


def _blind(dataset: Dataset) -> QuerySet[QueueItem]:
    return QueueItem.objects.filter(dataset=dataset, state=QueueItem.State.WAITING, stream__in=BLIND_STREAMS)


@require_safe
def image(request: UserRequest, slug: str, sha256: str) -> HttpResponse:
    """One image: large, its metadata, the prediction, and every decision about it."""
    picture = image_for(request.user, slug, sha256)
    dataset = picture.dataset
    head = champion(dataset)
    prediction = (
        Prediction.objects.filter(head=head, image=picture).select_related("label", "runner_up").first()
        if head is not None
        else None
    )
    decisions = (
        Decision.objects.filter(image=picture).select_related("user", "label", "superseded_by").order_by("pk")
    )
    others = Image.objects.filter(dataset=dataset)
    context = {
        "dataset": dataset,
        "section": "images",
        "image": picture,
        "head": head,
        "prediction": prediction,
        "hidden": bool(_blind_images(dataset, [picture.pk])),
        "waiting": QueueItem.objects.filter(image=picture, state=QueueItem.State.WAITING).exists(),
        "confirmed": ConfirmedLabel.objects.filter(image=picture)
        .select_related("label", "decision__user")
        .first(),
        "decisions": list(decisions),
        "newer": others.filter(pk__gt=picture.pk).order_by("pk").first(),
        "older": others.filter(pk__lt=picture.pk).order_by("-pk").first(),
    }
    return render(request, "web/image.html", context)
