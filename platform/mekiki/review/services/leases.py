"""Leases: which reviewer holds which queue item, for how long, and what the screen showed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.config import clock
from mekiki.config.compiled import insert_all, run_prepared
from mekiki.datasets.models import Dataset, Image
from mekiki.learning.models import Prediction, confidence_of_runner_up
from mekiki.review.assignments import division_of
from mekiki.review.models import BLIND_STREAMS, Lease, QueueItem
from mekiki.review.requalification import blocking_requalification
from mekiki.review.services.confirmed import update_confirmed_label
from mekiki.review.services.items import complete, withdraw_left_gold
from mekiki.review.services.locks import lock_reviewer
from mekiki.review.services.queries import (
    HEAD_IN_USE,
    HELD_LEASES,
    ITEMS,
    OPEN_LEASES,
    PREDICTIONS,
    STANDING_ANSWERS,
)

MAX_ITEMS = 5
# A skipped image is offered to other reviewers first. After this time it is also offered to the same
# reviewer.
SKIP_COOLDOWN = timedelta(minutes=10)
# Keys of a shown prediction.
SHOWN = (
    "head",
    "head_digest",
    "prompt_set",
    "label",
    "label_name",
    "confidence",
    "calibrated",
    "runner_up",
    "runner_up_confidence",
)


@dataclass(frozen=True)
class LeasedItem:
    """A queue item with the lease of a reviewer. `lease.shown` is what the screen may show."""

    item: QueueItem
    lease: Lease

    @property
    def blind(self) -> bool:
        return bool(self.lease.shown.get("blind", self.item.stream in BLIND_STREAMS))

    @property
    def prediction(self) -> dict[str, Any] | None:
        """Return the prediction as shown, or None if the item is blind or has no prediction."""
        return None if self.blind or self.lease.shown.get("label") is None else self.lease.shown


def lease_time() -> timedelta:
    """Return how long a lease lasts without renewal."""
    return timedelta(seconds=settings.LEASE_SECONDS)


@transaction.atomic
def next_items(*, dataset: Dataset, user: User, count: int = 1) -> list[LeasedItem]:
    """Return up to `count` (at most 5) leased items for a reviewer, in review order.

    First come the items that the reviewer already holds, so that a reload shows the same image. Then come the
    next free items, with new leases. Two reviewers get the same item only if its overlap is above 1. A
    reviewer who must requalify gets none. Raises PermissionDenied if the user is not a reviewer.
    """
    require_role(user, dataset, Role.REVIEWER)
    if blocking_requalification(dataset, user) is not None:
        return []
    count = max(1, min(count, MAX_ITEMS))
    now = lock_reviewer(user.pk)  # A request that is sent twice must not lease twice as many.
    held = HELD_LEASES.all(dataset=dataset.pk, user=user.pk, now=now)[:count]
    leased = [LeasedItem(lease.item, lease) for lease in held]
    _renew([lease for lease in held if lease.expires_at - now < lease_time() / 2], now)
    excluded: set[int] = set()
    # Another transaction can take a candidate after our query. Then query again without that candidate.
    while len(leased) < count:
        candidates = _free(dataset, user, now, excluded, count - len(leased))
        if not candidates:
            break
        taken = lease_items(dataset=dataset, user=user, items=candidates, now=now)
        leased += taken
        excluded |= {item.pk for item in candidates}
    return leased


def held_item(*, dataset: Dataset, user: User, image_id: int) -> LeasedItem | None:
    """Return the item of an image if the reviewer holds it now, otherwise None.

    Raises PermissionDenied if the user is not a reviewer.
    """
    require_role(user, dataset, Role.REVIEWER)
    for lease in HELD_LEASES.all(dataset=dataset.pk, user=user.pk, now=clock.now()):
        if lease.item.image_id == image_id:
            return LeasedItem(lease.item, lease)
    return None


def _renew(leases: list[Lease], now: datetime) -> None:
    if leases:
        until = now + lease_time()
        Lease.objects.filter(pk__in=[lease.pk for lease in leases]).update(expires_at=until)
        for lease in leases:
            lease.expires_at = until


# Most items at the front are leased. IN makes PostgreSQL read the active leases once, into a hash,
# and not once for each of these items. The other sub-selects are counts, so that PostgreSQL looks up rows by
# item and cannot use a join or a hash over all decisions. FILTER keeps it from reading all leases by their
# expiry. The cost then depends on the number of leases and leased items, not on the number of all decisions.
# An item with overlap 1 and one decision is done, so decisions are counted only for a larger overlap. CASE
# checks the leases first and leaves the other counts out.
_SELECT_FREE = """
SELECT q.id FROM review_queueitem q
WHERE q.dataset_id = %(dataset)s AND q.state = 'waiting' AND q.id <> ALL(%(excluded)s)
  AND {whose}
  AND CASE WHEN q.overlap = 1 AND q.id IN (
    SELECT l.item_id FROM review_lease l WHERE l.ended_at IS NULL AND l.expires_at > %(now)s
  ) THEN false ELSE q.overlap > CASE WHEN q.overlap = 1 THEN 0 ELSE (
    SELECT count(*) FILTER (WHERE l.expires_at > %(now)s) FROM review_lease l
    WHERE l.item_id = q.id AND l.ended_at IS NULL
  ) + (
    SELECT count(*) FROM review_decision d WHERE d.item_id = q.id AND d.kind IN ('confirm', 'correct')
    AND NOT d.late AND NOT EXISTS (SELECT FROM review_decision u WHERE u.supersedes_id = d.id)
  ) END
  AND CASE WHEN q.overlap = 1 THEN true ELSE 0 = (
    SELECT count(*) FILTER (WHERE l.expires_at > %(now)s) FROM review_lease l
    WHERE l.item_id = q.id AND l.user_id = %(user)s AND l.ended_at IS NULL
  ) END
  AND 0 = (
    SELECT count(*) FROM review_decision d WHERE d.item_id = q.id AND d.user_id = %(user)s
    AND d.kind <> 'undo' AND (d.kind <> 'skip' OR d.created_at BETWEEN %(rested)s AND %(now)s)
    AND NOT EXISTS (SELECT FROM review_decision u WHERE u.supersedes_id = d.id)
  ) END
"""
# An item that was sent to a reviewer waits for this reviewer only, until the reviewer's membership ends. An
# item of a test stream is for its reviewer alone, and comes at its place in the queue like any other.
_FREE_SENT = _SELECT_FREE.format(whose="q.assigned_to_id = %(user)s AND q.stream NOT IN ('gold', 'repeat')")
FREE = _SELECT_FREE.format(
    whose="""(q.assigned_to_id = %(user)s OR q.stream NOT IN ('gold', 'repeat')
  AND (q.assigned_to_id IS NULL OR NOT EXISTS (
    SELECT FROM accounts_membership m JOIN accounts_user u ON u.id = m.user_id
    WHERE m.user_id = q.assigned_to_id AND m.dataset_id = q.dataset_id
    AND m.role IN ('reviewer', 'admin') AND u.is_active
  )))"""
)


def _free(dataset: Dataset, user: User, now: datetime, excluded: set[int], count: int) -> list[QueueItem]:
    """Lock and return the next waiting items with a free slot that this reviewer has not decided.

    Items that were sent to this reviewer come first, then the reviewer's assigned parts, then all others.
    """
    values = values_of_free(dataset, user, now, excluded)
    items: list[QueueItem] = []
    for free, more in _searches(dataset, user):
        items += lock_free_items(free, values | more, count - len(items))
        if len(items) == count:
            break
        values["excluded"] = [*excluded, *(item.pk for item in items)]
    return items


def _searches(dataset: Dataset, user: User) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return the queries for free items, with their own values, in the order in which they are searched."""
    yield _FREE_SENT, {}
    division = division_of(dataset, user)
    if division is None:
        yield FREE, {}
    else:
        for search in division.searches():
            yield f"{FREE} AND {search.condition}", search.values


def values_of_free(dataset: Dataset, user: User, now: datetime, excluded: set[int]) -> dict[str, Any]:
    """Return the parameters of the query FREE."""
    return {
        "dataset": dataset.pk,
        "user": user.pk,
        "now": now,
        "rested": now - SKIP_COOLDOWN,
        "excluded": list(excluded),
    }


def lock_free_items(free: str, values: dict[str, Any], count: int) -> list[QueueItem]:
    """Lock and return up to `count` items of the query FREE, which can have more conditions, in review order.

    Rows that other transactions lock are skipped. The query reads along the partial index queue_next.
    """
    # The number is part of the text, so that the prepared plan is one for a few rows.
    sql = f"{free} ORDER BY q.position, q.id LIMIT {count:d} FOR NO KEY UPDATE OF q SKIP LOCKED"
    with run_prepared(sql, values) as cursor:
        ids = [row[0] for row in cursor.fetchall()]
    return ITEMS.all(ids=ids) if ids else []


def lease_items(
    *,
    dataset: Dataset,
    user: User,
    items: list[QueueItem],
    now: datetime,
    change: Callable[[list[Lease]], None] | None = None,
) -> list[LeasedItem]:
    """Create leases for the items that still have a free slot. The caller must hold their row locks.

    `change` can change the new leases before they are stored.

    The locks were taken after the snapshot of the caller's query. So the leases and answers of other
    reviewers are read again here, in a new snapshot under the locks. Late answers are counted here too: with
    them, the reviewers who hold an item can be enough.
    """
    used: dict[int, dict[int, int]] = {item.pk: {} for item in items}  # item → slot → user
    expired = []
    for lease in OPEN_LEASES.all(items=[item.pk for item in items]):
        if lease.expires_at <= now:
            expired.append(lease)
        else:
            used[lease.item_id][lease.slot] = lease.user_id
    ended: set[int] = set()
    if expired:
        rows = Lease.objects.filter(
            pk__in=[x.pk for x in expired], ended_at__isnull=True, expires_at__lte=now
        )
        ended = set(rows.select_for_update(skip_locked=True).values_list("pk", flat=True))
        Lease.objects.filter(pk__in=ended).update(ended_at=now)
    for lease in expired:
        if lease.pk not in ended:  # Another transaction is renewing or ending it.
            used[lease.item_id][lease.slot] = lease.user_id
    if any(lease.shown.get("staged") for lease in expired):
        withdraw_left_gold(list(ended), now)
        left = {lease.item_id for lease in expired if lease.shown.get("staged")}
        items = [item for item in items if item.pk not in left]
    answered: dict[int | None, set[int]] = {}  # item → reviewers whose answers stand, also late ones
    for decision in STANDING_ANSWERS.all(items=[item.pk for item in items]):
        answered.setdefault(decision.item_id, set()).add(decision.user_id)
    new = []
    for item in items:
        slots, others = used[item.pk], answered.get(item.pk, set())
        if others and not slots and len(others) >= item.overlap:
            complete_answered(dataset, item, now)
            continue
        if len(others.union(slots.values())) >= item.overlap or user.pk in slots.values():
            continue
        slot = next(n for n in range(item.overlap) if n not in slots)
        new.append(Lease(item=item, slot=slot, user=user, expires_at=now + lease_time()))
    shown = shown_of_items(dataset=dataset, items=[lease.item for lease in new])
    for lease in new:
        lease.shown = shown[lease.item_id]
    if change is not None:
        change(new)
    insert_all(new)
    return [LeasedItem(lease.item, lease) for lease in new]


def complete_answered(dataset: Dataset, item: QueueItem, now: datetime) -> None:
    """Complete a waiting item that nobody holds and that has enough answers. The caller must hold its lock.

    This is an item with a late answer, whose last lease ended without an answer. Nothing is done if another
    transaction works on the image. The next request completes the item then.
    """
    # Images are locked before their items. This one is locked after its item, and so must not be waited for.
    rows = Image.objects.filter(pk=item.image_id)
    image = rows.select_for_update(skip_locked=True, no_key=True).first()
    if image is not None:
        complete([item], now)
        update_confirmed_label(dataset=dataset, image=image)


def shown_of_items(*, dataset: Dataset, items: list[QueueItem]) -> dict[int, dict[str, Any]]:
    """Return item id → what the screen shows of the item.

    The keys are stream, propensity and blind. Items that are not blind also have the keys of the champion's
    prediction: head (version), head_digest, prompt_set (version), label, label_name, confidence, calibrated,
    runner_up and runner_up_confidence. These are None if there is no prediction. The keys of the runner-up
    are also None if its label is archived, because the screen does not show it.
    """
    shown: dict[int, dict[str, Any]] = {
        item.pk: {
            "stream": str(item.stream),
            "propensity": item.propensity,
            "blind": item.stream in BLIND_STREAMS,
        }
        for item in items
    }
    seen = {item.image_id: item for item in items if not shown[item.pk]["blind"]}
    predicted = _predicted(dataset, list(seen)) if seen else {}
    for image_id, item in seen.items():
        shown[item.pk].update(dict.fromkeys(SHOWN) | predicted.get(image_id, {}))
    return shown


def _predicted(dataset: Dataset, image_ids: list[int]) -> dict[int, dict[str, Any]]:
    """Return image id → prediction of the head in use, with the keys SHOWN.

    The head is read first, and its predictions are selected with its id as a constant, so that the database
    opens only the partition of this head. If the head was replaced between the two queries, its predictions
    may be deleted. Then the predictions of the new head are read.
    """
    head = HEAD_IN_USE.first(dataset=dataset.pk)
    while head is not None:
        predictions = {row.image_id: row for row in PREDICTIONS.all(head=head.pk, images=image_ids)}
        if predictions or head == (now := HEAD_IN_USE.first(dataset=dataset.pk)):
            break
        head = now
    if head is None:
        return {}
    return {
        image_id: {
            "head": head.version,
            "head_digest": head.digest,
            "prompt_set": head.prompt_set.version,
            "calibrated": head.calibrated,
            "label": row.label_id,
            "label_name": row.label.name,
            "confidence": row.confidence,
        }
        | _runner_up(row)
        for image_id, row in predictions.items()
        if row.label.archived_at is None
    }


def _runner_up(row: Prediction) -> dict[str, Any]:
    """Return the runner-up of a prediction and its confidence, or None for both if it is not shown."""
    if row.runner_up is None or row.runner_up.archived_at is not None:
        return {"runner_up": None, "runner_up_confidence": None}
    confidence = confidence_of_runner_up(row.confidence, row.margin)
    return {"runner_up": row.runner_up_id, "runner_up_confidence": confidence}
