"""Answers that measure reviewers: gold images, hidden repeats, and known answers in pages of the grid.

An item is answered once. The first answer counts, unless it was undone within AUDIT_UNDO_PERIOD: then nothing
had shown the known label to the reviewer, and the next answer counts. Skips and flags are answers without a
label. Late answers count, because the reviewer saw the image.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from mekiki.accounts.models import User
from mekiki.datasets.models import Dataset
from mekiki.review.models import AUDIT_UNDO_PERIOD, TEST_STREAMS, Decision, Lease, QueueItem, Stream


def without_tests(rows: QuerySet[Decision]) -> QuerySet[Decision]:
    """Return the decisions without the answers that only measure a reviewer.

    NOT EXISTS instead of a join: PostgreSQL then reads the few items of the partial index queue_tests.
    """
    return rows.filter(~Exists(QueueItem.objects.filter(pk=OuterRef("item"), stream__in=TEST_STREAMS)))


@dataclass(frozen=True)
class GoldAnswer:
    """A blind answer about a gold image. All numbers are ids.

    `known` is the known label. `given` is the reviewer's label, or None for a skip or a flag. `right` is None
    then. `milliseconds` is None if the time on the screen is unknown.
    """

    decision: int
    user: int
    image: int
    gold: int  # review.GoldImage
    kind: str
    known: int
    known_is_critical: bool
    given: int | None
    at: datetime
    milliseconds: int | None
    late: bool

    @property
    def right(self) -> bool | None:
        return None if self.given is None else self.given == self.known


@dataclass(frozen=True)
class RepeatPair:
    """A reviewer's earlier decision and the blind answer to its hidden repeat. All numbers are ids.

    `second_label` is None for a skip or a flag. `agrees` is None then. `first_was_blind` is False if the
    first decision was given with a prediction on the screen: a disagreement can then show the effect of the
    prediction. `first_confirmed` tells that the first decision confirmed this prediction.
    """

    first: int
    second: int  # both: review.Decision
    user: int
    image: int
    first_label: int
    second_label: int | None
    first_was_blind: bool
    first_confirmed: bool
    first_at: datetime
    second_at: datetime
    milliseconds: int | None  # of the second answer

    @property
    def agrees(self) -> bool | None:
        return None if self.second_label is None else self.first_label == self.second_label


@dataclass(frozen=True)
class GridKnownAnswer:
    """The answer about a gold image that was put on a page of the grid under another label. Numbers are ids.

    `page_label` is the label of the page, `known` the known label, `given` the reviewer's label or None for a
    skip or a flag. `is_detected`: the reviewer did not confirm the page's label for this image.
    """

    decision: int
    user: int
    image: int
    gold: int  # review.GoldImage
    page: str  # UUID of the page; empty if the page was left and the image answered in the review station
    page_label: int
    known: int
    given: int | None
    at: datetime

    @property
    def is_detected(self) -> bool:
        return self.given != self.page_label


@dataclass(frozen=True)
class GoldCounts:
    """How often reviewers were asked about a gold image, on both kinds of pages, and what they answered."""

    asked: int = 0
    labelled: int = 0
    right: int = 0

    @property
    def wrong(self) -> int:
        return self.labelled - self.right

    @property
    def without_label(self) -> int:
        """Return the number of skips, flags and unanswered items."""
        return self.asked - self.labelled


def _first_answers(
    dataset: Dataset, user: User | None, stream: str, *more: str, **where: Any
) -> Iterator[dict[str, Any]]:
    """Yield the fields of the answer that counts for each item of a test stream, by item id."""
    rows = Decision.objects.filter(dataset=dataset, item__stream=stream, **where)
    if user is not None:
        rows = rows.filter(user=user)
    fields = (
        *("pk", "user_id", "item_id", "image_id", "kind", "label_id", "shown", "created_at", "late"),
        *("milliseconds", "superseded_by__created_at", *more),
    )
    item = None
    for row in rows.exclude(kind=Decision.Kind.UNDO).order_by("item_id", "pk").values(*fields).iterator():
        undone = row["superseded_by__created_at"]
        if row["item_id"] == item:
            continue
        if undone is not None and timedelta(0) <= undone - row["created_at"] <= AUDIT_UNDO_PERIOD:
            continue
        item = row["item_id"]
        yield row


def _gold_rows(dataset: Dataset, user: User | None) -> Iterator[dict[str, Any]]:
    more = ("item__gold_id", "item__gold__label_id", "item__gold__label__critical")
    rows = _first_answers(dataset, user, Stream.GOLD, *more)
    return (row for row in rows if row["item__gold_id"] is not None)


def gold_answers(dataset: Dataset, user: User | None = None) -> list[GoldAnswer]:
    """Return the blind answers about gold images, of one reviewer or of all, by item id."""
    return [
        GoldAnswer(
            decision=row["pk"],
            user=row["user_id"],
            image=row["image_id"],
            gold=row["item__gold_id"],
            kind=row["kind"],
            known=row["item__gold__label_id"],
            known_is_critical=row["item__gold__label__critical"],
            given=row["label_id"],
            at=row["created_at"],
            milliseconds=row["milliseconds"],
            late=row["late"],
        )
        for row in _gold_rows(dataset, user)
        if row["shown"].get("blind")
    ]


def grid_known_answers(dataset: Dataset, user: User | None = None) -> list[GridKnownAnswer]:
    """Return the answers about gold images on pages of the grid, of one reviewer or of all, by item id."""
    return [
        GridKnownAnswer(
            decision=row["pk"],
            user=row["user_id"],
            image=row["image_id"],
            gold=row["item__gold_id"],
            page=(row["shown"].get("grid") or {}).get("page", ""),
            page_label=row["shown"]["label"],
            known=row["item__gold__label_id"],
            given=row["label_id"],
            at=row["created_at"],
        )
        for row in _gold_rows(dataset, user)
        if not row["shown"].get("blind")
    ]


def repeat_pairs(dataset: Dataset, user: User | None = None) -> list[RepeatPair]:
    """Return the answered hidden repeats, of one reviewer or of all, by item id."""
    first = "item__repeats__"
    more = (
        *("item__repeats_id", first + "label_id", first + "shown__blind", first + "kind"),
        first + "created_at",
    )
    return [
        RepeatPair(
            first=row["item__repeats_id"],
            second=row["pk"],
            user=row["user_id"],
            image=row["image_id"],
            first_label=row[first + "label_id"],
            second_label=row["label_id"],
            first_was_blind=bool(row[first + "shown__blind"]),
            first_confirmed=row[first + "kind"] == Decision.Kind.CONFIRM,
            first_at=row[first + "created_at"],
            second_at=row["created_at"],
            milliseconds=row["milliseconds"],
        )
        for row in _first_answers(dataset, user, Stream.REPEAT, *more)
        if row["item__repeats_id"] is not None
    ]


def gold_counts(dataset: Dataset, gold_ids: list[int]) -> dict[int, GoldCounts]:
    """Return gold image id → counts, for the given gold images that a reviewer was asked about."""
    leased = Exists(Lease.objects.filter(item=OuterRef("pk")))
    items = QueueItem.objects.filter(Q(leased) | Q(state=QueueItem.State.DONE), gold__in=gold_ids)
    asked = Counter(items.values_list("gold_id", flat=True))
    labelled: Counter[int] = Counter()
    right: Counter[int] = Counter()
    rows = _first_answers(
        dataset, None, Stream.GOLD, "item__gold_id", "item__gold__label_id", item__gold__in=gold_ids
    )
    for row in rows:
        labelled[row["item__gold_id"]] += row["label_id"] is not None
        right[row["item__gold_id"]] += row["label_id"] == row["item__gold__label_id"]
    return {pk: GoldCounts(asked[pk], labelled[pk], right[pk]) for pk in asked}
