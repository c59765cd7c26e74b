"""Events as pages and files show them, with filters, groups and the image and label of each answer."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import islice
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone, translation
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from mekiki.accounts.http import parse_number
from mekiki.audit import selectors
from mekiki.audit.models import Event
from mekiki.config.csv_files import safe_cell, utc
from mekiki.config.keyset import take_page
from mekiki.datasets.models import Dataset, Image
from mekiki.labeling.models import Label
from mekiki.review.blinding import set_shown_attributes
from mekiki.web import events

PAGE = 50
# Number of events in a downloaded file whose images are looked up in one query.
CHUNK = 1000
# The filter value that means the platform itself. No user can have this name.
PLATFORM_ACTOR = "*"
COLUMNS = ("at", "who", "kind", "what", "dataset", "image_sha256", "image", "label", "detail")


@dataclass(frozen=True)
class Filter:
    """Filter of the events, as the address of the page states it."""

    show: str = ""
    actor: str = ""
    since: str = ""
    until: str = ""

    @staticmethod
    def of(request: HttpRequest) -> "Filter":
        """Return the filter in the address of a request. A value that cannot be read is ignored."""
        given = {name: request.GET.get(name, "")[:150].replace("\0", "") for name in ("show", "actor")}
        days = {name: request.GET.get(name, "") for name in ("since", "until")}
        return Filter(
            given["show"] if events.kind_condition(given["show"]) is not None else "",
            given["actor"],
            **{
                name: moment.date().isoformat() if (moment := _midnight(day)) else ""
                for name, day in days.items()
            },
        )

    def apply(self, rows: QuerySet[Event]) -> QuerySet[Event]:
        """Return the events that match.

        Days are whole days in the site's time zone. The day `until` is included.
        """
        return selectors.filter_events(
            rows,
            kinds=events.kind_condition(self.show) if self.show else None,
            actor=None if not self.actor else "" if self.actor == PLATFORM_ACTOR else self.actor,
            since=_midnight(self.since),
            until=_midnight(self.until, days_later=1),
        )

    def query(self, **more: str) -> str:
        """Return the query string of an address with this filter, including the "?"."""
        names = ("show", "actor", "since", "until")
        given = {name: getattr(self, name) for name in names if getattr(self, name)}
        return "?" + urlencode({**given, **more})


def _midnight(day: str, days_later: int = 0) -> datetime | None:
    """Return the start of a day such as "2026-11-29" in the site's time zone.

    Return None for any other text.
    """
    try:
        midnight = date.fromisoformat(day) + timedelta(days=days_later)
        return timezone.make_aware(datetime.combine(midnight, time.min))
    except (ValueError, OverflowError):
        return None


@dataclass
class Line:
    """One line of a page: an event, or a group of events that `details_url` lists one by one."""

    event: Event
    words: str
    detail: str
    dataset: Dataset | None = None
    image: Image | None = None
    label: str = ""
    count: int = 1
    oldest: datetime | None = None
    details_url: str = ""


def event_page_context(request: HttpRequest, rows: QuerySet[Event], *, names: list[str]) -> dict[str, Any]:
    """Return the context of a page of events, newest first.

    `names` are the users that the filter offers.
    """
    wanted = Filter.of(request)
    rows = wanted.apply(rows)
    first, last = parse_number(request.GET.get("first", "")), parse_number(request.GET.get("last", ""))
    before = parse_number(request.GET.get("before", ""))
    more: dict[str, str] = {}
    if first is not None and last is not None:  # one group, one line per event
        more = {"first": str(first), "last": str(last)}
        rows = selectors.older_than(selectors.not_older_than(rows, first), last, or_equal=True)
    if before is not None:
        rows = selectors.older_than(rows, before)
    if more:
        page, is_cut = take_page(selectors.newest_first(rows), PAGE)
        groups = [selectors.Group(event, event) for event in page]
        end = page[-1].pk if is_cut else None
    else:
        groups, end = selectors.grouped_page(rows, size=PAGE)
    return {
        "events": _lines(groups, wanted),
        "filter": wanted,
        "show": wanted.show,
        "actor": wanted.actor,
        "actors": names if wanted.actor in {"", PLATFORM_ACTOR, *names} else [*names, wanted.actor],
        "before": before,
        "one_group": bool(more),
        "zone_name": timezone.get_current_timezone_name(),
        "download_query": wanted.query(),
        "older_url": wanted.query(**more, before=str(end)) if end is not None else "",
        "newer_url": wanted.query(**more) if before is not None else "",
    }


def _lines(groups: list[selectors.Group], wanted: Filter) -> list[Line]:
    singles = lines_of([group.newest for group in groups])
    for line, group in zip(singles, groups, strict=True):
        if group.count > 1:
            line.count, line.oldest, line.image, line.label, line.detail = (
                group.count,
                group.oldest.at,
                None,
                "",
                "",
            )
            line.words = _group_sentence(group.newest.kind, group.count)
            line.details_url = Filter(
                group.newest.kind, group.newest.actor_name or PLATFORM_ACTOR, wanted.since, wanted.until
            ).query(first=str(group.oldest.pk), last=str(group.newest.pk))
    return singles


def _group_sentence(kind: str, count: int) -> str:
    if kind == "decision.recorded":
        return ngettext("%(n)d answer", "%(n)d answers", count) % {"n": count}
    return _("%(what)s, %(n)d times") % {"what": events.kind_label(kind), "n": count}


def lines_of(page: Iterable[Event]) -> list[Line]:
    """Return one line per event, with the image and label of each answer.

    It takes a few queries for all events. An image that hides its name (review/blinding.py) gets a neutral
    name here, without the label and the kind of answer.
    """
    lines = [Line(event, events.sentence(event), events.detail(event)) for event in page]
    answers: dict[int, list[Line]] = defaultdict(list)
    for line in lines:
        data = line.event.data
        if line.event.dataset_id and isinstance(data.get("image"), str):
            answers[line.event.dataset_id].append(line)
    if not answers:
        return lines
    labels = dict(
        Label.objects.filter(
            pk__in={line.event.data.get("label") for of_answer in answers.values() for line in of_answer}
            - {None}
        ).values_list("pk", "name")
    )
    for dataset in Dataset.objects.filter(pk__in=answers):
        of_answer = answers[dataset.pk]
        hashes = {line.event.data["image"] for line in of_answer}
        images = {image.sha256: image for image in Image.objects.filter(dataset=dataset, sha256__in=hashes)}
        set_shown_attributes(dataset, images.values())
        for line in of_answer:
            line.dataset, line.image = dataset, images.get(line.event.data["image"])
            if line.image is not None and line.image.hidden:
                if line.event.kind == "decision.recorded":
                    line.words, line.detail = (
                        _("Answer, hidden until the audit sample image has been judged"),
                        "",
                    )
                elif line.event.kind.startswith("reference_image."):
                    line.detail = ""  # the note and the label give the answer away
            else:
                line.label = labels.get(line.event.data.get("label"), "")
    return lines


def _chunks(rows: QuerySet[Event]) -> Iterator[list[Line]]:
    """Yield the lines of all events in chunks, oldest first, in the language of the request."""
    language = translation.get_language()
    stored = rows.order_by("at", "id").iterator(chunk_size=CHUNK)
    while chunk := list(islice(stored, CHUNK)):
        with translation.override(language):
            yield lines_of(chunk)


def csv_rows(rows: QuerySet[Event]) -> Iterator[tuple[Any, ...]]:
    """Yield COLUMNS, then one row per event. The times are in UTC."""
    yield COLUMNS
    names: dict[int | None, str] = {None: ""}
    for lines in _chunks(rows):
        _name_datasets(lines, names)
        for line in lines:
            yield (
                utc(line.event.at),
                safe_cell(line.event.actor_name),
                line.event.kind,
                safe_cell(line.words),
                safe_cell(names.get(line.event.dataset_id, "")),
                line.image.sha256 if line.image else "",
                safe_cell(line.image.shown_name) if line.image else "",
                safe_cell(line.label),
                safe_cell(line.detail),
            )


def json_objects(rows: QuerySet[Event]) -> Iterator[dict[str, Any]]:
    """Yield each event with all recorded data, except data that would give away a hidden image."""
    names: dict[int | None, str] = {None: ""}
    for lines in _chunks(rows):
        _name_datasets(lines, names)
        for line in lines:
            event, data = line.event, dict(line.event.data)
            hidden = line.image is not None and line.image.hidden
            if hidden:
                data = {"image": data["image"]}
            yield {
                "id": event.pk,
                "at": utc(event.at),
                "kind": event.kind,
                "who": event.actor_name,
                "dataset": names.get(event.dataset_id, ""),
                "object": [event.object_type, event.object_id],
                "what": line.words,
                **({"image": line.image.shown_name, "label": line.label} if line.image else {}),
                "data": data,
                **({"hidden": True} if hidden else {}),
            }


def _name_datasets(lines: list[Line], names: dict[int | None, str]) -> None:
    unknown = {pk for line in lines if (pk := line.event.dataset_id) is not None} - set(names)
    if unknown:
        names.update(Dataset.objects.filter(pk__in=unknown).values_list("pk", "name"))
