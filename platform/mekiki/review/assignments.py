"""Assigned parts of the queue: which items a reviewer gets first, and which only others get.

A part is a predicted label, or a value of the images' metadata. Items of blind streams belong to no part, so
that neither a prediction nor metadata decides who judges them (docs/decisions/0044).
"""

import json
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet

from mekiki.accounts.models import Membership, Role, User
from mekiki.config.compiled import CompiledQuery, Parameter
from mekiki.datasets.models import Dataset
from mekiki.learning.models import Head
from mekiki.review.models import BLIND_STREAMS, Assignment

# Streams whose images are judged without a prediction. `repeat` shows images of the reviewer again.
UNASSIGNED_STREAMS = sorted({*map(str, BLIND_STREAMS), "repeat"})


def _assignments(dataset: Parameter) -> QuerySet[Assignment]:
    """Return the assignments of a dataset whose reviewers may review it, and whose labels are in use."""
    members = Membership.objects.filter(
        dataset=OuterRef("dataset"), user=OuterRef("user"), role__in=[Role.REVIEWER, Role.ADMIN]
    )
    rows = Assignment.objects.filter(Exists(members), dataset=dataset, user__is_active=True)
    return rows.exclude(label__archived_at__isnull=False).order_by("pk")


_ASSIGNMENTS = CompiledQuery(_assignments)


@dataclass(frozen=True)
class Search:
    """A condition on queue items `q` as SQL, with its parameters."""

    condition: str
    values: dict[str, Any]


@dataclass(frozen=True)
class Division:
    """The assignments of a dataset as a reviewer sees them."""

    own: list[Assignment]
    others: list[Assignment]  # of others, without parts that the reviewer has too
    head: int | None

    @property
    def own_labels(self) -> set[int]:
        """Return the ids of the labels that are assigned to the reviewer."""
        return {row.label_id for row in self.own if row.label_id is not None}

    def searches(self) -> list[Search]:
        """Return the conditions in the order in which they are searched for free items.

        First the reviewer's own parts with the blind items, in the order of the queue. Then the items that
        nobody has. Last the items of others, except strict parts. The last condition includes all before it.
        """
        conditions: list[Search] = []
        if self.own:
            own = _is_in(self.own, "own", self.head)
            conditions.append(Search(f"({_BLIND} OR {own.condition})", own.values))
        strict = [row for row in self.others if row.strict]
        if len(strict) < len(self.others):
            conditions.append(self._outside(self.others, "others"))
        conditions.append(self._outside(strict, "strict"))
        return conditions

    def _outside(self, parts: list[Assignment], name: str) -> Search:
        if not parts:
            return Search("true", {})
        outside = _is_in(parts, name, self.head)
        mine = _is_in(self.own, "own", self.head)
        condition = f"({_BLIND} OR NOT {outside.condition} OR {mine.condition})"
        return Search(condition, outside.values | mine.values)


_BLIND = f"q.stream IN ({', '.join(repr(stream) for stream in UNASSIGNED_STREAMS)})"


def _is_in(parts: list[Assignment], name: str, head: int | None) -> Search:
    """Return the condition that an item belongs to one of the parts.

    The sub-selects are counts for the same reason as in the query for free items (services.leases). The head
    is a constant of the text, so that the database opens only the partition of this head.
    """
    labels = sorted({row.label_id for row in parts if row.label_id is not None})
    pairs = sorted({json.dumps({row.key: row.value}) for row in parts if row.label_id is None})
    conditions: list[str] = []
    values: dict[str, Any] = {}
    if labels and head is not None:
        conditions.append(
            f"0 < (SELECT count(*) FROM learning_prediction p WHERE p.head_id = {head:d}"  # noqa: S608 - a number
            f" AND p.image_id = q.image_id AND p.label_id = ANY(%({name}_labels)s::bigint[]))"
        )
        values[f"{name}_labels"] = labels
    if pairs:
        conditions.append(
            "0 < (SELECT count(*) FROM datasets_image i WHERE i.id = q.image_id"  # noqa: S608 - a name from here
            f" AND i.metadata @> ANY(%({name}_pairs)s::text[]::jsonb[]))"
        )
        values[f"{name}_pairs"] = pairs
    return Search(f"({' OR '.join(conditions) or 'false'})", values)


def division_of(dataset: Dataset, user: User) -> Division | None:
    """Return the assignments of the dataset for a reviewer, or None if it has none. Two short queries."""
    if not dataset.queue_is_divided:
        return None
    rows = _ASSIGNMENTS.all(dataset=dataset.pk)
    if not rows:
        return None
    own = [row for row in rows if row.user_id == user.pk]
    mine = {(row.label_id, row.key, row.value) for row in own}
    others = [
        row for row in rows if row.user_id != user.pk and (row.label_id, row.key, row.value) not in mine
    ]
    head = Head.objects.filter(champion__dataset=dataset).values_list("pk", flat=True).first()
    return Division(own, others, head)


def has_item_for(dataset: Dataset, user: User) -> bool:
    """Return whether an item waits that is in no strict part of others, also if somebody holds it."""
    division = division_of(dataset, user)
    if division is None:
        return True
    search = division.searches()[-1]
    sql = (
        "SELECT EXISTS (SELECT FROM review_queueitem q WHERE q.dataset_id = %(dataset)s"  # noqa: S608
        f" AND q.state = 'waiting' AND {search.condition})"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, {"dataset": dataset.pk, **search.values})
        return bool(cursor.fetchone()[0])


def assignments_of(dataset: Dataset) -> QuerySet[Assignment]:
    """Return all assignments of a dataset with reviewer and label, by the reviewer's name."""
    rows = Assignment.objects.filter(dataset=dataset).select_related("user", "label", "created_by")
    return rows.order_by("user__username", "pk")


def strict_parts_with_few_reviewers(dataset: Dataset) -> list[Assignment]:
    """Return one strict assignment of each part that fewer reviewers may judge than the overlap asks for.

    An image of such a part never gets all its decisions.
    """
    rows = list(_ASSIGNMENTS.all(dataset=dataset.pk)) if dataset.overlap > 1 else []
    reviewers: dict[tuple[int | None, str, str], set[int]] = {}
    for row in rows:
        reviewers.setdefault((row.label_id, row.key, row.value), set()).add(row.user_id)
    few: dict[tuple[int | None, str, str], Assignment] = {}
    for row in rows:
        part = (row.label_id, row.key, row.value)
        if row.strict and len(reviewers[part]) < dataset.overlap:
            few.setdefault(part, row)
    return list(few.values())
