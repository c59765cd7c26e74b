"""Queries of the audit log: newest first, paginated by key, with runs of similar events grouped."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F, Q, QuerySet, Subquery

from mekiki.audit.models import Event
from mekiki.config.keyset import after_key

# Events of these kinds need no details, so several by one person are shown as one line.
GROUPED = frozenset(
    {
        "decision.recorded", "queue.filled", "label_set.downloaded",
        "user.logged_in", "user.logged_out", "user.login_failed", "user.second_step_failed",
    }
)  # fmt: skip
# The longest pause between two events of one group.
PAUSE = timedelta(minutes=30)
# The most events that one page reads, whatever the size of its groups.
SCAN = 5000
_KEY = ("id", "at", "kind", "actor_id", "actor_name", "dataset_id")


@dataclass
class Group:
    """One event, or several of one kind by one person in one dataset. `newest` represents them."""

    newest: Event
    oldest: Event
    count: int = 1


def filter_events(
    events: QuerySet[Event],
    *,
    kinds: Q | None = None,
    actor: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> QuerySet[Event]:
    """Return the events of these kinds, by this person, from `since` to before `until`.

    The actor "" is the platform. None is no condition.
    """
    if kinds is not None:
        events = events.filter(kinds)
    if actor is not None:
        events = events.filter(actor_name=actor)
    if since is not None:
        events = events.filter(at__gte=since)
    return events.filter(at__lt=until) if until is not None else events


def newest_first(events: QuerySet[Event]) -> QuerySet[Event]:
    """Return the events in the order of the pages: by time, then by id, both descending."""
    return events.order_by(F("at").desc(), F("id").desc())


def older_than(events: QuerySet[Event], pk: int, *, or_equal: bool = False) -> QuerySet[Event]:
    """Return the events that come after this event in the order of the pages."""
    return events.filter(after_key(("at", _time_of(pk)), ("pk", pk), descending=True, or_equal=or_equal))


def not_older_than(events: QuerySet[Event], pk: int) -> QuerySet[Event]:
    """Return this event and the events before it in the order of the pages."""
    return events.filter(after_key(("at", _time_of(pk)), ("pk", pk), descending=False, or_equal=True))


def _time_of(pk: int) -> Subquery:
    return Subquery(Event.objects.filter(pk=pk).values("at")[:1])


def grouped_page(events: QuerySet[Event], *, size: int) -> tuple[list[Group], int | None]:
    """Return up to `size` groups, newest first, and the id of the last event read (None at the end).

    Every event is on exactly one page. A page ends where group `size` + 1 would begin, or after SCAN events.
    A group that is cut there continues as another group on the next page.
    """
    rows = newest_first(events)
    first = list(rows[: size + 1])
    groups, last = _collect(first, size)
    if last is not None or len(first) <= size:
        return groups, last
    # Grouping left room on the page: read more events, without their data.
    light = [*first, *rows.only(*_KEY)[size + 1 : SCAN + 1]]
    groups, last = _collect(light, size)
    if last is None and len(light) > SCAN:
        last = light[-1].pk
    whole = Event.objects.in_bulk([g.newest.pk for g in groups if g.newest.get_deferred_fields()])
    for group in groups:
        group.newest = whole.get(group.newest.pk, group.newest)
    return groups, last


def _collect(rows: Iterable[Event], size: int) -> tuple[list[Group], int | None]:
    """Return the groups of the rows and the id of the last row used, or None if all rows were used."""
    groups: list[Group] = []
    open_groups: dict[tuple[object, ...], Group] = {}
    last: int | None = None
    for row in rows:
        key = (row.kind, row.actor_id, row.actor_name, row.dataset_id)
        group = open_groups.get(key) if row.kind in GROUPED else None
        if group is not None and group.oldest.at - row.at <= PAUSE:
            group.oldest, group.count = row, group.count + 1
        elif len(groups) == size:
            return groups, last
        else:
            open_groups[key] = Group(row, row)
            groups.append(open_groups[key])
        last = row.pk
    return groups, None
