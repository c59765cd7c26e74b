"""All measures of one reviewer for a period."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from mekiki.accounts.models import User
from mekiki.config import clock
from mekiki.datasets.models import Dataset
from mekiki.learning.models import Head
from mekiki.review.reviewer_measures import known
from mekiki.review.reviewer_measures.figures import Median, ModelAgreement, Share
from mekiki.review.reviewer_measures.known import GoldAnswer, period_of

# The newest decisions of a period that are measured. They bound the cost of the page.
MOST = 20_000
# A longer answer contains a pause. static/mekiki/js/review/pace.js has the same limit.
PAUSE = timedelta(seconds=60)

# Bands of the head's confidence, within which agreement is compared.
_BANDS = "ARRAY[0.5, 0.7, 0.9]::float8[]"
_MEASURES = """
WITH own AS MATERIALIZED (
  SELECT d.id, d.item_id, d.image_id, d.kind, d.label_id, d.milliseconds, d.created_at,
    d.shown ->> 'stream' AS stream, (d.shown ->> 'label')::bigint AS predicted,
    (d.shown ->> 'confidence')::float8 AS confidence, (d.shown #>> '{{grid,tiles}}')::int AS tiles,
    coalesce((d.shown ->> 'blind')::boolean, false) AS blind,
    d.kind IN ('confirm', 'correct') AND d.label_id IS NOT NULL AS labelled
  FROM review_decision d
  WHERE d.user_id = %(user)s AND d.dataset_id = %(dataset)s AND d.created_at >= %(since)s
    AND d.kind <> 'undo' AND NOT EXISTS (SELECT FROM review_decision u WHERE u.supersedes_id = d.id)
  ORDER BY d.created_at DESC LIMIT %(most)s
),
counts AS (
  SELECT (created_at AT TIME ZONE %(zone)s)::date AS day, kind,
    CASE WHEN created_at BETWEEN %(settled)s AND %(now)s THEN '' ELSE stream END AS stream, count(*) AS n
  FROM own GROUP BY 1, 2, 3
),
shown AS (
  SELECT width_bucket(confidence, {bands}) AS band, count(*) FILTER (WHERE label_id = predicted) AS k,
    count(*) AS n
  FROM own WHERE labelled AND NOT blind AND predicted IS NOT NULL AND confidence IS NOT NULL
    AND tiles IS NULL AND stream IN ('uncertain', 'diverse')
  GROUP BY 1
),
hidden AS (
  SELECT width_bucket(p.confidence, {bands}) AS band, count(*) FILTER (WHERE own.label_id = p.label_id) AS k,
    count(*) AS n
  FROM own JOIN learning_prediction p ON p.head_id = {head:d} AND p.image_id = own.image_id
  WHERE labelled AND blind AND stream = 'audit' AND own.created_at NOT BETWEEN %(settled)s AND %(now)s
  GROUP BY 1
),
several AS (
  SELECT own.item_id, own.label_id FROM own
  WHERE labelled AND own.stream NOT IN ('gold', 'repeat')
    AND NOT (blind AND own.created_at BETWEEN %(settled)s AND %(now)s)
    AND 1 < (SELECT q.overlap FROM review_queueitem q WHERE q.id = own.item_id)
),
-- Sub-selects, so that PostgreSQL looks up the decisions of each item and cannot hash all decisions.
others AS (
  SELECT (
    SELECT ARRAY[count(*), count(*) FILTER (WHERE o.label_id = several.label_id)] FROM review_decision o
    WHERE o.item_id = several.item_id AND o.user_id <> %(user)s AND o.kind IN ('confirm', 'correct')
      AND NOT EXISTS (SELECT FROM review_decision u WHERE u.supersedes_id = o.id)
  ) AS counts FROM several
)
SELECT
  (SELECT json_agg(json_build_array(day, kind, stream, n) ORDER BY day) FROM counts),
  (SELECT array_agg(milliseconds ORDER BY milliseconds) FROM own
    WHERE tiles IS NULL AND milliseconds <= %(pause)s),
  (SELECT array_agg(milliseconds::float8 / tiles ORDER BY milliseconds::float8 / tiles) FROM own
    WHERE tiles > 0 AND milliseconds <= %(pause)s * tiles),
  (SELECT json_agg(json_build_array(band, k, n)) FROM shown),
  (SELECT json_agg(json_build_array(band, k, n)) FROM hidden),
  (SELECT json_build_array(count(*) FILTER (WHERE 2 * counts[2] >= counts[1]), count(*)) FROM others
    WHERE counts[1] > 0)
"""


@dataclass(frozen=True)
class Measures:
    """The measures of one reviewer.

    streams: stream → decisions. Those that can still be undone are under "", so that nobody can see at once
    which images are blind.
    capped: there are more than MOST decisions in the period, and the newest MOST are measured.
    """

    decisions: int
    kinds: dict[str, int]
    streams: dict[str, int]
    days: dict[date, int]
    capped: bool
    pace: Median
    grid_pace: Median
    gold: Share
    repeats: Share
    others: Share
    model: ModelAgreement
    foreign_tiles: Share
    misses: list[GoldAnswer] = field(default_factory=list)  # the newest first, at most MISSES


# How many wrong answers on gold images are shown.
MISSES = 6


def since_of(days: int) -> datetime | None:
    """Return the beginning of a range of days; None for 0, which means all decisions."""
    return clock.now() - timedelta(days=days) if days else None


def measures_of(dataset: Dataset, user: User, *, since: datetime | None) -> Measures:
    """Return the measures of a reviewer's decisions since a time, or of all for None.

    Undone decisions are left out. The cost is bounded by MOST decisions.
    """
    period = period_of(since)
    head = Head.objects.filter(champion__dataset=dataset).values_list("pk", flat=True).first()
    values: dict[str, Any] = {
        "user": user.pk,
        "dataset": dataset.pk,
        "since": period.since,
        "settled": period.settled,
        "now": period.now,
        "zone": timezone.get_current_timezone_name(),
        "pause": PAUSE.total_seconds() * 1000,
        "most": MOST + 1,
    }
    with connection.cursor() as cursor:
        # The head is a constant of the text, so that the database opens only the partition of this head.
        cursor.execute(_MEASURES.format(bands=_BANDS, head=head or 0), values)
        counts, station, grid, shown, hidden, others = cursor.fetchone()
    kinds: dict[str, int] = {}
    streams: dict[str, int] = {}
    days: dict[date, int] = {}
    for day, kind, stream, n in counts or ():
        kinds[kind] = kinds.get(kind, 0) + n
        streams[stream or ""] = streams.get(stream or "", 0) + n
        days[date.fromisoformat(day)] = days.get(date.fromisoformat(day), 0) + n
    gold = known.gold_answers(dataset, [user.pk], period)
    foreign = [answer for answer in gold if answer.is_foreign_tile]
    return Measures(
        decisions=sum(kinds.values()),
        kinds=kinds,
        streams=streams,
        days=days,
        capped=sum(kinds.values()) > MOST,
        pace=Median.of(station or ()),
        grid_pace=Median.of(grid or ()),
        gold=known.gold_shares(gold).get(user.pk, Share(0, 0)),
        repeats=known.repeat_share(dataset, user, period),
        others=Share(*others),
        model=ModelAgreement(_strata(shown, hidden)),
        foreign_tiles=Share(sum(answer.is_noticed for answer in foreign), len(foreign)),
        misses=[answer for answer in gold if not answer.right][:MISSES],
    )


def _strata(shown: Any, hidden: Any) -> tuple[tuple[int, int, int, int], ...]:
    """Return (k, n) shown and (k, n) blind of each band of confidence."""
    seen = {band: (k, n) for band, k, n in shown or ()}
    blind = {band: (k, n) for band, k, n in hidden or ()}
    return tuple(
        (*seen.get(band, (0, 0)), *blind.get(band, (0, 0))) for band in sorted(seen.keys() | blind.keys())
    )
