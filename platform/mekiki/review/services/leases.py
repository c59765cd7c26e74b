"""Leases: who holds which queue item, for how long, and what they were shown."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Count, QuerySet

from mekiki.config import clock
from mekiki.learning.models import Head, Prediction
from mekiki.review.models import BLIND_STREAMS, Decision, Lease, QueueItem
from mekiki.review.services.confirmed import LABEL_KINDS

MAX_ITEMS = 5
# A skipped image goes to others first; after this it may come back to the one who skipped it.
SKIP_REST = timedelta(minutes=10)
# What is shown of a prediction.
SHOWN = ("head", "head_digest", "prompt_set", "label", "label_name", "confidence", "calibrated", "runner_up")
# Ended leases are kept this long, for answers that come late.
HISTORY = timedelta(days=30)


@dataclass(frozen=True)
class LeasedItem:
    """A queue item in a reviewer's hands. `lease.shown` is what the screen may show of it."""

    item: QueueItem
    lease: Lease

    @property
    def blind(self) -> bool:
        return bool(self.lease.shown.get("blind", self.item.stream in BLIND_STREAMS))

    @property
    def prediction(self) -> dict[str, Any] | None:
        """What is shown of the prediction; None when blind, or while nothing is predicted."""
        return None if self.blind or self.lease.shown.get("label") is None else self.lease.shown


def lease_time() -> timedelta:
    """How long a hold lasts without a sign of life."""
    return timedelta(seconds=settings.LEASE_SECONDS)


@transaction.atomic
def next_items(*, dataset: Any, user: Any, count: int = 1) -> list[LeasedItem]:
    """Up to `count` (at most 5) items for a reviewer, in the order they are to be asked.

    First what the reviewer holds already, so that a reload shows the same image; then the next free ones,
    each held by a new lease. Two people get the same item only where it has an overlap above 1.
    """
    count = max(1, min(count, MAX_ITEMS))
    now = clock.now()
    held = _held(dataset, user, now)[:count]
    leased = [LeasedItem(lease.item, lease) for lease in held]
    _prolong([lease for lease in held if lease.expires_at - now < lease_time() / 2], now)
    lost: set[int] = set()
    # A candidate can be lost to somebody who committed after our look: look again, without it.
    while len(leased) < count:
        candidates = _free(dataset, user, now, lost, count - len(leased))
        if not candidates:
            break
        taken = lease_items(dataset=dataset, user=user, items=candidates, now=now)
        leased += taken
        lost |= {item.pk for item in candidates}
    return leased


def _held(dataset: Any, user: Any, now: datetime) -> QuerySet[Lease]:
    return (
        Lease.objects.filter(
            user=user,
            ended_at__isnull=True,
            expires_at__gt=now,
            item__dataset=dataset,
            item__state=QueueItem.State.WAITING,
        )
        .select_related("item__image")
        .order_by("item__position", "item_id")
    )


def held_item(*, dataset: Any, user: Any, image_id: int) -> LeasedItem | None:
    """The item of an image that the reviewer holds now."""
    lease = _held(dataset, user, clock.now()).filter(item__image_id=image_id).first()
    return LeasedItem(lease.item, lease) if lease else None


def _prolong(leases: list[Lease], now: datetime) -> None:
    if leases:
        until = now + lease_time()
        Lease.objects.filter(pk__in=[lease.pk for lease in leases]).update(expires_at=until)
        for lease in leases:
            lease.expires_at = until


# Written out, because each part must stay a look-up by the item: as counts the sub-selects cannot become a join
# or a hash over all decisions, so the cost depends on how many items are held, not on how much was ever answered.
# An item of one decision that has one is done: only those of several must count them.
_FREE = """
SELECT q.* FROM review_queueitem q
WHERE q.dataset_id = %(dataset)s AND q.state = 'waiting' AND q.id <> ALL(%(lost)s)
  AND q.overlap > (
    SELECT count(*) FROM review_lease l WHERE l.item_id = q.id AND l.ended_at IS NULL AND l.expires_at > %(now)s
  ) + CASE WHEN q.overlap = 1 THEN 0 ELSE (
    SELECT count(*) FROM review_decision d WHERE d.item_id = q.id AND d.kind IN ('confirm', 'correct')
    AND NOT d.late AND NOT EXISTS (SELECT FROM review_decision u WHERE u.supersedes_id = d.id)
  ) END
  AND 0 = (
    SELECT count(*) FROM review_lease l WHERE l.item_id = q.id AND l.user_id = %(user)s
    AND l.ended_at IS NULL AND l.expires_at > %(now)s
  )
  AND 0 = (
    SELECT count(*) FROM review_decision d WHERE d.item_id = q.id AND d.user_id = %(user)s
    AND d.kind <> 'undo' AND (d.kind <> 'skip' OR d.created_at BETWEEN %(rested)s AND %(now)s)
    AND NOT EXISTS (SELECT FROM review_decision u WHERE u.supersedes_id = d.id)
  )
ORDER BY q.position, q.id LIMIT %(count)s
FOR NO KEY UPDATE OF q SKIP LOCKED
"""


def _free(dataset: Any, user: Any, now: datetime, lost: set[int], count: int) -> list[QueueItem]:
    """The next waiting items with a free slot that this reviewer has not decided, locked; rows that others
    lock are passed over. Read along the partial index queue_next."""
    values = {
        "dataset": dataset.pk,
        "user": user.pk,
        "now": now,
        "rested": now - SKIP_REST,
        "lost": list(lost),
        "count": count,
    }
    return list(QueueItem.objects.raw(_FREE, values).prefetch_related("image"))


def lease_items(*, dataset: Any, user: Any, items: list[QueueItem], now: datetime) -> list[LeasedItem]:
    """Lease those of the items that still have a free slot. The caller holds their row locks.

    The lock was taken after the statement's snapshot, so what others leased or answered meanwhile is read
    again here, in a new snapshot, under the lock.
    """
    used: dict[int, dict[int, int]] = {item.pk: {} for item in items}  # item → slot → user
    expired = []
    for lease in Lease.objects.filter(item__in=items, ended_at__isnull=True):
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
        if lease.pk not in ended:  # Being renewed or ended at this moment: left alone.
            used[lease.item_id][lease.slot] = lease.user_id
    several = [item for item in items if item.overlap > 1]
    given = {}
    if several:
        rows_of = Decision.objects.filter(
            item__in=several, kind__in=LABEL_KINDS, late=False, superseded_by__isnull=True
        )
        given = dict(rows_of.values_list("item").annotate(n=Count("pk")))
    new = []
    for item in items:
        slots = used[item.pk]
        if len(slots) + given.get(item.pk, 0) >= item.overlap or user.pk in slots.values():
            continue
        slot = next(n for n in range(item.overlap) if n not in slots)
        new.append(Lease(item=item, slot=slot, user=user, expires_at=now + lease_time()))
    shown = shown_for(dataset=dataset, items=[lease.item for lease in new])
    for lease in new:
        lease.shown = shown[lease.item_id]
    Lease.objects.bulk_create(new)
    return [LeasedItem(lease.item, lease) for lease in new]


def shown_for(*, dataset: Any, items: list[QueueItem]) -> dict[int, dict[str, Any]]:
    """What the screen shows of each item, by item id: the champion's prediction, or nothing when blind.

    Keys: stream, propensity, blind; unless blind: head (version), head_digest, prompt_set (version), label,
    label_name, confidence, calibrated, runner_up; all None while there is no prediction.
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


def _predicted(dataset: Any, image_ids: list[int]) -> dict[int, dict[str, Any]]:
    """Image id → what the head in use says of it, with the keys SHOWN.

    First the head, then its predictions by its id: a constant, so that the database opens that head's partition and
    no other. Where the head was replaced between the two its predictions may be gone: then those of the next one.
    """
    in_use = (
        Head.objects.filter(champion__dataset=dataset)
        .order_by()
        .select_related("prompt_set")
        .only("version", "digest", "calibrated", "prompt_set__version")
    )
    head = in_use.first()
    while head is not None:
        rows = Prediction.objects.filter(head_id=head.pk, image__in=image_ids).values(
            "image_id", "label_id", "label__name", "label__archived_at", "confidence", "runner_up_id"
        )
        predictions = {row["image_id"]: row for row in rows}
        if predictions or head == (now := in_use.first()):
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
            "label": row["label_id"],
            "label_name": row["label__name"],
            "confidence": row["confidence"],
            "runner_up": row["runner_up_id"],
        }
        for image_id, row in predictions.items()
        if row["label__archived_at"] is None
    }


@transaction.atomic
def renew(*, dataset: Any, user: Any, lease_ids: list[int]) -> list[Lease]:
    """Prolong the reviewer's holds that have not run out; returns those. A hold that ran out is lost."""
    now = clock.now()
    mine = Lease.objects.filter(
        pk__in=lease_ids, user=user, item__dataset=dataset, ended_at__isnull=True, expires_at__gt=now
    )
    leases = list(mine.order_by("pk").select_for_update(of=("self",)))
    if leases:
        Lease.objects.filter(pk__in=[lease.pk for lease in leases]).update(expires_at=now + lease_time())
    for lease in leases:
        lease.expires_at = now + lease_time()
    return leases


@transaction.atomic
def release(*, dataset: Any, user: Any, lease_ids: list[int]) -> int:
    """Give back what the reviewer holds and will not answer; returns how many holds ended."""
    mine = Lease.objects.filter(pk__in=lease_ids, user=user, item__dataset=dataset, ended_at__isnull=True)
    ids = list(mine.order_by("pk").select_for_update(of=("self",)).values_list("pk", flat=True))
    return Lease.objects.filter(pk__in=ids).update(ended_at=clock.now()) if ids else 0


@transaction.atomic
def release_expired_leases() -> int:
    """End the holds that ran out, and forget those that ended long ago; returns how many were ended.

    The sweeper calls it every half minute. A hold that ends later than a new one would is shortened to that.

    Nothing waits for this: an expired hold is passed over as soon as its time is up.
    """
    now = clock.now()
    # Given before the clock was set back: as if it had been renewed now, and not for the hour until the clock catches up.
    longest = now + lease_time()
    Lease.objects.filter(ended_at__isnull=True, expires_at__gt=longest).update(expires_at=longest)
    rows = Lease.objects.filter(ended_at__isnull=True, expires_at__lte=now)
    ids = list(rows.select_for_update(skip_locked=True).values_list("pk", flat=True)[:10_000])
    Lease.objects.filter(pk__in=ids).update(ended_at=now)
    Lease.objects.filter(ended_at__lt=now - HISTORY).delete()
    return len(ids)
