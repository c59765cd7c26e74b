"""The reviewers of a dataset with their most important figures, a page at a time, by name."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Q

from mekiki.accounts.models import Membership, Role, User
from mekiki.config.keyset import page_by
from mekiki.datasets.models import Dataset
from mekiki.review.reviewer_measures import known
from mekiki.review.reviewer_measures.figures import Share
from mekiki.review.reviewer_measures.known import period_of
from mekiki.review.reviewer_measures.reviewer import MOST

PAGE_SIZE = 20
_COUNTS = """
SELECT u.id, (
  SELECT count(*) FROM (
    SELECT FROM review_decision d
    WHERE d.user_id = u.id AND d.dataset_id = %(dataset)s AND d.created_at >= %(since)s
    ORDER BY d.created_at DESC LIMIT %(most)s
  ) AS newest
) FROM unnest(%(users)s::bigint[]) AS u(id)
"""


@dataclass(frozen=True)
class Summary:
    """A reviewer in the list. `decisions` also counts undone ones and undos, up to MOST."""

    user: User
    role: str  # "" for a former member
    daily_goal: int | None
    decisions: int
    capped: bool
    gold: Share


def reviewers(dataset: Dataset, *, after: str = "") -> tuple[list[User], str]:
    """Return a page of the people with a decision or the right to decide, by name, and where it continues."""
    members = Membership.objects.filter(dataset=dataset).exclude(role=Role.VIEWER).values("user")
    people = User.objects.filter(Q(pk__in=members) | Q(pk__in=_deciders(dataset)))
    page, more = page_by(people, "username", PAGE_SIZE, after=after or None)
    return page, more or ""


def _deciders(dataset: Dataset) -> list[int]:
    """Return the ids of all users with a decision in the dataset.

    One look into the index decision_of_reviewer for each user of the site: its first column is the user.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT u.id FROM accounts_user u WHERE EXISTS ("
            "SELECT FROM review_decision d WHERE d.user_id = u.id AND d.dataset_id = %s)",
            [dataset.pk],
        )
        return [row[0] for row in cursor.fetchall()]


def summaries(dataset: Dataset, *, since: datetime | None, after: str = "") -> tuple[list[Summary], str]:
    """Return a page of reviewers with their figures since a time, by name, and where the list continues."""
    people, more = reviewers(dataset, after=after)
    if not people:
        return [], ""
    period, ids = period_of(since), [user.pk for user in people]
    memberships = {row.user_id: row for row in Membership.objects.filter(dataset=dataset, user__in=ids)}
    with connection.cursor() as cursor:
        values: dict[str, Any] = {
            "dataset": dataset.pk,
            "since": period.since,
            "users": ids,
            "most": MOST + 1,
        }
        cursor.execute(_COUNTS, values)
        counts = dict(cursor.fetchall())
    gold = known.gold_shares(known.gold_answers(dataset, ids, period))
    rows = []
    for user in people:
        member = memberships.get(user.pk)
        rows.append(
            Summary(
                user=user,
                role=member.role if member else "",
                daily_goal=member.daily_goal if member else None,
                decisions=min(counts[user.pk], MOST),
                capped=counts[user.pk] > MOST,
                gold=gold.get(user.pk, Share(0, 0)),
            )
        )
    return rows, more
