"""The filters of the gallery and of the search: labels, confidence, stream, metadata, import and name."""

import re
from datetime import date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.db.models import (
    Case,
    Exists,
    F,
    FilteredRelation,
    IntegerField,
    Max,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    When,
)
from django.db.models.functions import Left
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from mekiki.accounts.access import includes_role, role_in
from mekiki.accounts.models import Role, User
from mekiki.datasets.models import Dataset, Image
from mekiki.labeling.models import Label
from mekiki.labeling.selectors import active_labels
from mekiki.learning.models import Head
from mekiki.review.blinding import on_page_condition, unshown_condition
from mekiki.review.errors import InvalidAnswerError
from mekiki.review.hooks import images_with_label_set_by, label_source_choices
from mekiki.review.metadata_filters import (
    PairsField,
    day_field,
    in_ranges,
    is_range,
    metadata_condition,
    range_inputs,
)
from mekiki.review.models import TEST_STREAMS, ConfirmedLabel, Decision, ImageTag, Tag
from mekiki.review.near_duplicates import NEAR_CHOICES, near_condition
from mekiki.review.selectors import is_excluded, openly_waiting_items
from mekiki.review.streams import STREAM_NAMES

# Filters that use facts hidden for images of the audit reserve (review.blinding).
_HIDDEN_FACTS = ("label", "low", "high", "metadata", "reviewer", "batch", "tag", "use", "near", "q")
# Orders by the confidence of the head in use. Images without a prediction are not in them.
CONFIDENCE_ORDERS = ("unsure", "sure")
# The order by name compares this many characters of it, because an entry of an index has a limited length.
NAME_START = 200
# The most images of a selection.
MOST_SELECTED = 1000
# Dates outside of this range are moved to its ends.
FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(2999, 12, 31)


class IdsField(forms.CharField):
    """A selection of images: their ids, with points between them."""

    widget = forms.HiddenInput

    def clean(self, value: Any) -> list[int]:
        """Return the ids. Raises ValidationError for other texts, and for more than MOST_SELECTED ids."""
        text = super().clean(value)
        if not text:
            return []
        ids = text.split(".")
        if len(ids) > MOST_SELECTED or not all(re.fullmatch(r"[0-9]{1,18}", one) for one in ids):
            raise forms.ValidationError(_("This is no selection of images."))
        return sorted({int(one) for one in ids})


class FilterForm(forms.Form):
    """Form with the filters and the sort order of the gallery. Every field may be empty."""

    label = forms.ChoiceField(label=_("Predicted label"), required=False)
    confirmed = forms.ChoiceField(label=_("Confirmed"), required=False)
    set_by = forms.ChoiceField(label=_("Labelled by"), required=False)
    waiting = forms.ChoiceField(label=_("Queue"), required=False)
    near = forms.ChoiceField(label=_("Near-duplicates"), required=False, choices=NEAR_CHOICES)
    low = forms.FloatField(label=_("Confidence from, %"), required=False, min_value=0, max_value=100)
    high = forms.FloatField(label=_("to, %"), required=False, min_value=0, max_value=100)
    reviewer = forms.ChoiceField(label=_("Label given by"), required=False)
    since = day_field(_("Imported from"))
    until = day_field(_("to, day included"))
    batch = forms.IntegerField(label=_("Import no."), required=False, min_value=1, max_value=2**63 - 1)
    tag = forms.ChoiceField(label=_("Tag"), required=False)
    use = forms.ChoiceField(
        label=_("Exclusion"),
        required=False,
        choices=[("", _("any")), ("excluded", _("excluded")), ("in_use", _("not excluded"))],
    )
    metadata = PairsField(label=_("Metadata"), required=False)
    ids = IdsField(required=False, max_length=20 * MOST_SELECTED)
    q = forms.CharField(label=_("Name contains"), required=False, max_length=200)
    sort = forms.ChoiceField(
        label=_("Order"),
        required=False,
        choices=[
            ("", _("newest first")),
            ("oldest", _("oldest first")),
            ("name", _("file name")),
            ("unsure", _("lowest confidence first")),
            ("sure", _("highest confidence first")),
        ],
    )

    def __init__(self, data: Any, labels: list[Label], dataset: Dataset) -> None:
        super().__init__(data, auto_id="filter_%s")
        named = [(str(label.pk), label.name) for label in labels]
        people = reviewers_to_choose(dataset)
        if people:
            self._choose("reviewer", [("", _("any")), *((str(pk), name) for pk, name in people.items())])
        else:
            self.fields.pop("reviewer")
        tags = [(str(pk), name) for pk, name in Tag.objects.filter(dataset=dataset).values_list("pk", "name")]
        if tags:
            self._choose("tag", [("", _("any")), *tags])
        else:
            self.fields.pop("tag")
        if not _is_for_admin(dataset):
            self.fields.pop("batch")  # the list of imports is for admins
        self.fields.update(range_inputs(dataset))
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

    @property
    def asked(self) -> dict[str, Any]:
        """Return the valid filters that are not empty. A field that is not valid is left out."""
        return {name: value for name, value in self.cleaned_data.items() if value not in ("", None, [])}

    def kept(self, given: Any) -> dict[str, Any]:
        """Return the parameters of an address that have the same filters. `given`: those of the request."""
        lists = {
            name: given.getlist(name)
            for name in self.fields
            if name in given and any(value for value in given.getlist(name))
        }
        return {
            name: [value for value in values if value] if name == "metadata" else values[-1]
            for name, values in lists.items()
            if name == "metadata" or values[-1]
        }


def _is_for_admin(dataset: Dataset) -> bool:
    return includes_role(getattr(dataset, "role", None), Role.ADMIN)


def reviewers_to_choose(dataset: Dataset) -> dict[int, str]:
    """Return user id → name of the reviewers by whom images can be filtered.

    Admins see all reviewers with a decision in use. Other members see only themselves, because the numbers of
    other reviewers are not theirs to see (review.access.reviewer_for).
    """
    role_of = getattr(dataset, "role_of", None)
    if role_of is None or not includes_role(getattr(dataset, "role", None), Role.REVIEWER):
        return {}
    users = User.objects.filter(pk=role_of)
    if _is_for_admin(dataset):
        # A subquery with a limit is looked up for each user. EXISTS would read all decisions of the dataset.
        decided = Decision.objects.filter(dataset=dataset, user=OuterRef("pk")).values("pk")[:1]
        users = User.objects.alias(has_decided=Subquery(decided)).filter(has_decided__isnull=False)
    return dict(users.order_by("username").values_list("pk", "username"))


def filter_images(dataset: Dataset, head: Head | None, asked: dict[str, Any]) -> QuerySet[Image]:
    """Return the images that match the filters, annotated with the champion's prediction.

    The annotations are `confidence` and `predicted` (label id). They are None for an image without a
    prediction. Images in the order by name have `name_start` too.
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
    if asked.get("sort") in CONFIDENCE_ORDERS:
        images = images.filter(confidence__isnull=False)
    elif asked.get("sort") == "name":
        images = images.annotate(name_start=Left("name", NAME_START))
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
    if near := asked.get("near"):
        images = images.filter(near_condition(dataset, near))
    if pairs := asked.get("metadata"):
        images = images.filter(metadata_condition(pairs))
    if ranges := {name: value for name, value in asked.items() if is_range(name)}:
        images = in_ranges(images, dataset, ranges)
    if asked.get("reviewer"):
        images = images.filter(confirmed_label__decision__user_id=int(asked["reviewer"]))
    if asked.get("tag"):
        images = images.filter(Exists(ImageTag.objects.filter(image=OuterRef("pk"), tag=int(asked["tag"]))))
    if use := asked.get("use"):
        excluded = is_excluded("pk")
        images = images.filter(excluded if use == "excluded" else ~excluded)
    if asked.get("ids"):
        images = images.filter(pk__in=asked["ids"])
    if asked.get("batch"):
        images = images.filter(batch_id=asked["batch"])
    if asked.get("since") or asked.get("until"):
        images = _imported_between(images, dataset, asked.get("since"), asked.get("until"))
    if asked.get("q"):
        images = images.filter(name__icontains=asked["q"])
    return images.none() if _excludes_all(asked) else images


def _excludes_all(asked: dict[str, Any]) -> bool:
    """Return whether two filters exclude each other. PostgreSQL would look at all labels to find no image."""
    labelled = asked.get("confirmed") not in (None, "", "none") or bool(asked.get("reviewer"))
    by_person = asked.get("set_by") == "person" or bool(asked.get("reviewer"))
    unlabelled = asked.get("confirmed") == "none"
    return (labelled and asked.get("set_by") == "nobody") or (by_person and unlabelled)


def _imported_between(images: QuerySet[Any], dataset: Dataset, since: Any, until: Any) -> QuerySet[Any]:
    """Return the images that were imported from one day to another, in the site's time zone."""
    zone = timezone.get_current_timezone()
    dates: dict[str, datetime] = {}
    if since:
        dates["created_at__gte"] = datetime.combine(max(since, FIRST_DAY), time.min, zone)
    if until:
        after = min(until, LAST_DAY) + timedelta(days=1)
        dates["created_at__lt"] = datetime.combine(after, time.min, zone)
    # The ids of images grow with the time of their import. A page that walks along the ids then begins at the
    # first image of these days.
    # With a plain minimum, PostgreSQL would walk along the ids until it meets such a day.
    number = F("pk") + 0
    edges = Image.objects.filter(dataset=dataset, **dates).aggregate(first=Min(number), last=Max(number))
    if edges["first"] is None:
        return images.none()
    # The times only check the images in this range. As plain conditions on the column, PostgreSQL would
    # expect far fewer images from both ranges than there are, read all of them by their time, and sort them.
    # From an inequality with a number, it expects nearly all images.
    in_days = Case(When(**dates, then=1), default=0, output_field=IntegerField())
    images = images.alias(in_days=in_days).filter(
        ~Q(in_days=0), pk__gte=edges["first"], pk__lte=edges["last"]
    )
    if "answered" in images.query.annotations:
        images = images.filter(answered__gte=edges["first"], answered__lte=edges["last"])
    return images


def filters_of_query(dataset: Dataset, user: User, query: str, *, as_admin: bool = False) -> dict[str, Any]:
    """Return the filters of a query string of the gallery, with the rights of a user.

    as_admin: the rights of an admin, for a job that an admin began. Raises InvalidAnswerError as
    query_of_filters does.
    """
    return _valid_form(dataset, user, query, as_admin).asked


def query_of_filters(dataset: Dataset, user: User, query: str) -> str:
    """Return a query string that has only the filters of a query string, without order and page.

    Raises InvalidAnswerError if a filter is not valid (any more), because without it there would be more
    images. Raises it also if there is no filter, or if the query is a search.
    """
    form = _valid_form(dataset, user, query, as_admin=False)
    kept = {name: value for name, value in form.kept(form.data).items() if name != "sort"}
    return urlencode(kept, doseq=True)


def _valid_form(dataset: Dataset, user: User, query: str, as_admin: bool) -> FilterForm:
    given = QueryDict(query)
    dataset.role = Role.ADMIN if as_admin else role_in(user, dataset)
    dataset.role_of = user.pk
    form = FilterForm(given, list(active_labels(dataset)), dataset)
    names = {*FilterForm.base_fields, *(name for name in given if is_range(name))}
    lost = [name for name in names if given.get(name) and name not in form.fields]
    if lost or not form.is_valid():
        raise InvalidAnswerError(
            "filter", gettext("A filter has a value that does not exist (any more). Nothing was changed.")
        )
    if given.get("text") or given.get("like"):
        raise InvalidAnswerError(
            "search",
            gettext(
                "The results of a search are no filter. Nothing was changed; end the search or select images."
            ),
        )
    if not set(form.asked) - {"sort"}:
        raise InvalidAnswerError("no_filter", gettext("Set a filter first. Nothing was changed."))
    return form


def uses_hidden_facts(asked: dict[str, Any]) -> bool:
    """Return whether a filter or the order uses facts that blind images hide: their name or prediction.

    In that case blind images are left out.
    """
    by_confirmed_label = str(asked.get("confirmed", "")).isdigit()
    # Whether an image has a certified label reveals that the machine was sure about it.
    by_machine = asked.get("set_by") not in (None, "", "person")
    return (
        by_confirmed_label
        or by_machine
        or asked.get("sort") in ("name", *CONFIDENCE_ORDERS)
        or any(asked.get(name) not in ("", None, []) for name in _HIDDEN_FACTS)
        or any(is_range(name) for name in asked)
    )
