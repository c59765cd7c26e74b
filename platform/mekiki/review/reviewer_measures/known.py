"""Answers on images whose answer is known: gold images, and repeats of a reviewer's own images.

Only this module reads where the answers to gold images and hidden repeats are stored.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Exists, OuterRef, Q

from mekiki.accounts.models import User
from mekiki.config import clock
from mekiki.datasets.models import Dataset
from mekiki.review.models import AUDIT_UNDO_PERIOD, Lease, QueueItem
from mekiki.review.reviewer_measures.figures import Share

# The newest answers that are read for one reviewer.
MOST_KNOWN = 2000
# The condition of the index decision_on_known, as Django writes it.
_KNOWN = "(d.shown -> 'stream') IN ('\"gold\"', '\"repeat\"')"
# The first answer to an item counts, unless it was undone within AUDIT_UNDO_PERIOD. Later the page of the
# reviewer can show the known label. Until then no figure tells whether an answer that can be undone is right.
_COUNTS = """d.kind IN ('confirm', 'correct') AND d.created_at >= %(since)s
  AND d.created_at NOT BETWEEN %(settled)s AND %(now)s
  AND NOT EXISTS (
    SELECT FROM review_decision u WHERE u.supersedes_id = d.id
    AND u.created_at - d.created_at BETWEEN interval '0' AND %(undo)s
  )
  AND NOT EXISTS (
    SELECT FROM review_decision e WHERE e.item_id = d.item_id AND e.user_id = d.user_id AND e.id < d.id
    AND e.kind <> 'undo' AND NOT EXISTS (
      SELECT FROM review_decision u WHERE u.supersedes_id = e.id
      AND u.created_at - e.created_at BETWEEN interval '0' AND %(undo)s
    )
  )"""
_GOLD = f"""
SELECT d.user_id, d.id, d.image_id, d.label_id, g.label_id,
  NOT coalesce((d.shown ->> 'blind')::boolean, false), (d.shown ->> 'label')::bigint, d.created_at
FROM review_decision d JOIN review_queueitem q ON q.id = d.item_id JOIN review_goldimage g ON g.id = q.gold_id
WHERE d.dataset_id = %(dataset)s AND d.user_id = ANY(%(users)s) AND {_KNOWN}
  AND d.shown ->> 'stream' = 'gold' AND {_COUNTS}
ORDER BY d.id DESC LIMIT %(most)s
"""  # noqa: S608 - constants only
_OF_GOLD_IMAGES = f"""
SELECT q.gold_id, count(*), count(*) FILTER (WHERE d.label_id = g.label_id)
FROM review_decision d JOIN review_queueitem q ON q.id = d.item_id JOIN review_goldimage g ON g.id = q.gold_id
WHERE q.gold_id = ANY(%(gold)s) AND {_COUNTS}
GROUP BY q.gold_id
"""  # noqa: S608 - constants only
_REPEATS = f"""
SELECT count(*), count(*) FILTER (WHERE again.first = again.label_id) FROM (
  SELECT d.label_id, f.label_id AS first FROM review_decision d
  JOIN review_queueitem q ON q.id = d.item_id JOIN review_decision f ON f.id = q.repeats_id
  WHERE d.dataset_id = %(dataset)s AND d.user_id = ANY(%(users)s) AND {_KNOWN}
    AND d.shown ->> 'stream' = 'repeat' AND {_COUNTS}
  ORDER BY d.id DESC LIMIT %(most)s
) AS again
"""  # noqa: S608 - constants only


@dataclass(frozen=True)
class Period:
    """The time of the answers that are measured. Answers after `settled` can still be undone."""

    since: datetime
    settled: datetime
    now: datetime


def period_of(since: datetime | None) -> Period:
    """Return the period since a time; None: since the first decision."""
    now = clock.now()
    return Period(since or _first(now), now - AUDIT_UNDO_PERIOD, now)


def period_with_newest() -> Period:
    """Return the period of all answers, also of those that can still be undone."""
    now = clock.now()
    later = now + timedelta(days=1)
    return Period(_first(now), later, later)


def _first(now: datetime) -> datetime:
    return datetime(2000, 1, 1, tzinfo=now.tzinfo)


@dataclass(frozen=True)
class GoldAnswer:
    """A reviewer's answer on an image with a known label.

    in_grid: it was a tile of the grid review. page_label: the label that the page was about.
    """

    user: int
    decision: int
    image: int
    answer: int
    known: int
    in_grid: bool
    page_label: int | None
    at: datetime

    @property
    def right(self) -> bool:
        return self.answer == self.known

    @property
    def is_foreign_tile(self) -> bool:
        """Return whether the image did not belong on its page of the grid review."""
        return self.in_grid and self.page_label is not None and self.page_label != self.known

    @property
    def is_noticed(self) -> bool:
        """Return whether the reviewer noticed that the image did not belong on its page."""
        return self.answer != self.page_label


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


def gold_counts(dataset: Dataset, gold_ids: list[int]) -> dict[int, GoldCounts]:
    """Return gold image id → counts, for the given gold images that a reviewer was asked about.

    Admins see them, so the newest answers are counted too.
    """
    leased = Exists(Lease.objects.filter(item=OuterRef("pk")))
    items = QueueItem.objects.filter(Q(leased) | Q(state=QueueItem.State.DONE), gold__in=gold_ids)
    asked = Counter(items.values_list("gold_id", flat=True))
    with connection.cursor() as cursor:
        cursor.execute(
            _OF_GOLD_IMAGES, _values(dataset, [], period_with_newest(), MOST_KNOWN) | {"gold": gold_ids}
        )
        given = {gold: (labelled, right) for gold, labelled, right in cursor.fetchall()}
    return {pk: GoldCounts(n, *given.get(pk, (0, 0))) for pk, n in asked.items()}


def gold_answers(dataset: Dataset, users: list[int], period: Period) -> list[GoldAnswer]:
    """Return the newest answers of the reviewers on gold images, newest first."""
    with connection.cursor() as cursor:
        cursor.execute(_GOLD, _values(dataset, users, period, MOST_KNOWN * len(users)))
        return [GoldAnswer(*row) for row in cursor.fetchall()]


def gold_shares(answers: list[GoldAnswer]) -> dict[int, Share]:
    """Return user id → right answers on gold images, without tiles of the grid review.

    A page of the grid review shows a prediction, so its gold images are counted separately.
    """
    counts: dict[int, list[int]] = {}
    for answer in answers:
        if not answer.in_grid:
            k_n = counts.setdefault(answer.user, [0, 0])
            k_n[0] += answer.right
            k_n[1] += 1
    return {user: Share(k, n) for user, (k, n) in counts.items()}


def repeat_share(dataset: Dataset, user: User, period: Period) -> Share:
    """Return in how many hidden repeats the reviewer gave the same label as the time before."""
    with connection.cursor() as cursor:
        cursor.execute(_REPEATS, _values(dataset, [user.pk], period, MOST_KNOWN))
        n, k = cursor.fetchone()
    return Share(k, n)


def known_images(dataset: Dataset, user: User, count: int) -> list[tuple[int, int]]:
    """Return (image id, known label id) of gold images, those first that the reviewer has not seen recently.

    The known labels are active and were not given by the reviewer.
    """
    with connection.cursor() as cursor:
        cursor.execute(_KNOWN_IMAGES, {"dataset": dataset.pk, "user": user.pk, "count": count})
        return list(cursor.fetchall())


# A hash of image and reviewer breaks ties, so that not every test begins with the same images.
_KNOWN_IMAGES = """
SELECT gold.image_id, gold.label_id FROM review_goldimage gold
JOIN review_decision o ON o.id = gold.decision_id AND o.user_id <> %(user)s
JOIN labeling_label l ON l.id = gold.label_id AND l.archived_at IS NULL
WHERE gold.dataset_id = %(dataset)s AND gold.ended_at IS NULL
ORDER BY (
  SELECT max(d.id) FROM review_decision d WHERE d.image_id = gold.image_id AND d.user_id = %(user)s
) NULLS FIRST, hashint8extended(gold.image_id, %(user)s)
LIMIT %(count)s
"""


def _values(dataset: Dataset, users: list[int], period: Period, most: int) -> dict[str, Any]:
    return {
        "dataset": dataset.pk,
        "users": users,
        "since": period.since,
        "settled": period.settled,
        "now": period.now,
        "undo": AUDIT_UNDO_PERIOD,
        "most": most,
    }
