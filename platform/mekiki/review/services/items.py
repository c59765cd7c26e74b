"""State of queue items after an answer, and their locks."""

from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import Max, Min
from django.utils.translation import gettext as _

from mekiki.accounts.models import User
from mekiki.config import clock
from mekiki.config.compiled import run_prepared
from mekiki.datasets.models import Dataset
from mekiki.review.errors import NotFoundForReviewerError, ReviewError
from mekiki.review.models import (
    LABEL_KINDS,
    OVERLAP_STREAMS,
    TEST_STREAMS,
    Decision,
    ExcludedImage,
    Lease,
    QueueItem,
    Stream,
)
from mekiki.review.overlap import least_overlap
from mekiki.review.services.confirmed import (
    first_by_reviewer,
    has_audit_label,
    is_ruling,
    standing,
)
from mekiki.review.services.queries import ITEM

Kind = Decision.Kind


def unknown_item() -> ReviewError:
    """Return the error for an item that does not exist in the dataset."""
    return NotFoundForReviewerError("unknown_item", _("There is no such image in this queue."))


def lock_item(dataset: Dataset, item_id: int) -> QueueItem:
    """Lock the image and then the item until the transaction ends, and return the item.

    The image is locked first, because an image can have several items and an undo can move between them.
    Raises NotFoundForReviewerError if the dataset does not contain the item.
    """
    item = ITEM.first(item=item_id, dataset=dataset.pk)
    if item is None:
        raise unknown_item()
    return item


def move_to_front(item: QueueItem) -> QueueItem:
    """Put an image first in the queue and return its waiting item.

    This is the given item, or the item under which the image already waits. If it waits to measure a
    reviewer, that item is withdrawn, so the given item must not be of a test stream. The caller must hold the
    image's lock. A refill does not hold it and may add an item for the image at the same time.
    """
    withdraw_tests(item.image_id)
    waiting = QueueItem.objects.filter(dataset_id=item.dataset_id, state=QueueItem.State.WAITING)
    for last_try in (False, True):
        first = waiting.filter(image_id=item.image_id).select_for_update(no_key=True).first() or item
        first.state = QueueItem.State.WAITING
        first.finished_at = None
        first.position = (waiting.aggregate(first=Min("position"))["first"] or 0.0) - 1
        try:
            with transaction.atomic():
                first.save(update_fields=["state", "finished_at", "position"])
            break
        except IntegrityError:
            if last_try:
                raise
    first.image = item.image
    return first


def refuse_excluded(image_id: int) -> None:
    """Raise ReviewError if an admin has excluded the image. The caller holds the image's lock."""
    if ExcludedImage.objects.filter(image=image_id).exists():
        raise ReviewError(
            "excluded",
            _("An admin has excluded this image. Nothing was changed; take the image back first."),
        )


def withdraw_tests(image_id: int) -> None:
    """Withdraw the item under which an image waits to measure a reviewer, if there is one.

    An answer that is on its way is kept as a late answer.
    """
    waiting = QueueItem.objects.filter(image=image_id, state=QueueItem.State.WAITING, stream__in=TEST_STREAMS)
    waiting.update(state=QueueItem.State.WITHDRAWN, finished_at=clock.now())


def withdraw_left_gold(leases: list[int], now: datetime) -> None:
    """Withdraw the gold images of pages of the grid that were left without an answer.

    The page has shown a label for them that the head did not predict. In the review station they would be
    blind, and on the page of another label they would show that label, unlike the other images of the page.
    An item that is being answered is locked and stays.
    """
    if not leases:
        return
    items = QueueItem.objects.filter(
        pk__in=Lease.objects.filter(pk__in=leases, shown__staged=True).values("item"),
        state=QueueItem.State.WAITING,
    )
    ids = list(items.select_for_update(skip_locked=True, no_key=True).values_list("pk", flat=True))
    if ids:
        QueueItem.objects.filter(pk__in=ids).update(state=QueueItem.State.WITHDRAWN, finished_at=now)


def update_item_after_answer(
    item: QueueItem, kind: str, user: User, now: datetime, given: list[Decision]
) -> bool:
    """Update the item after an answer, and return whether it is done. The caller then calls `complete`.

    Otherwise it is at the end of the queue (after a skip), or still waits for the next decision. An item
    that waited for this reviewer only waits for everybody. An item of a test stream is done after any answer.
    `given` are the label decisions about the image.
    """
    if item.stream in TEST_STREAMS:
        return True
    if item.assigned_to_id == user.pk:
        item.assigned_to = None
        item.save(update_fields=["assigned_to"])
    if kind == Kind.SKIP:
        last = QueueItem.objects.filter(dataset_id=item.dataset_id, state=QueueItem.State.WAITING)
        item.position = (last.aggregate(last=Max("position"))["last"] or 0.0) + 1
        item.save(update_fields=["position"])
        return False
    if kind in LABEL_KINDS:
        decisions = first_by_reviewer(_answers_to(item, given))
        on_time = sum(not d.late for d in decisions)
        if on_time < item.overlap:
            # A late decision completes the item only if no other reviewer has an active lease on it.
            held = Lease.objects.filter(item=item, ended_at__isnull=True, expires_at__gt=now)
            if len(decisions) < item.overlap or held.exclude(user=user).exists():
                return False
    return True


_END_LEASE = "UPDATE review_lease SET ended_at = %s WHERE id = %s AND ended_at IS NULL"
_COMPLETE = "UPDATE review_queueitem SET state = %s, finished_at = %s WHERE id = ANY(%s)"


def end_lease(lease: Lease, now: datetime) -> None:
    """End a lease that is still open."""
    run_prepared(_END_LEASE, [now, lease.pk]).close()


def complete(items: list[QueueItem], now: datetime, lease: Lease | None = None) -> None:
    """Mark the items as done, and end the lease if it is still open, with one statement."""
    for item in items:
        item.state = QueueItem.State.DONE
        item.finished_at = now
    values = [QueueItem.State.DONE.value, now, [item.pk for item in items]]
    if lease is None:
        run_prepared(_COMPLETE, values).close()
    else:
        run_prepared(f"WITH ended AS ({_END_LEASE}) {_COMPLETE}", [now, lease.pk, *values]).close()


def counted_answers(item: QueueItem, given: list[Decision]) -> list[Decision]:
    """Return the answers to the item that count for its label: one of each of the first reviewers.

    `given` are the label decisions about the image.
    """
    return first_by_reviewer(_answers_to(item, given))[: item.overlap]


def _answers_to(item: QueueItem, given: list[Decision]) -> list[Decision]:
    return [one for one in standing(given) if one.item_id == item.pk and not is_ruling(one)]


def raise_overlap(dataset: Dataset, item: QueueItem, decision: Decision, given: list[Decision]) -> None:
    """Raise the overlap of an item to the least overlap of a label that was given as its answer.

    An item that does not wait is raised only for an answer that counts for its label. An item whose audit was
    complete before the decision keeps its overlap. Otherwise answers that were given after the prediction was
    visible could change its audit label. `given` are the label decisions about the image. Those of the item
    get the item object, so that the change is seen with each of them.
    """
    for one in given:
        if one.item_id == item.pk:
            one.item = item
    if decision.label is None:
        return
    least = least_overlap(dataset, decision.label)
    if item.overlap >= least or item.stream not in OVERLAP_STREAMS:
        return
    if item.state != QueueItem.State.WAITING and decision not in counted_answers(item, given):
        return
    before = [one for one in given if one.item_id == item.pk and one.pk != decision.pk]
    if item.stream == Stream.AUDIT and has_audit_label(before):
        return
    item.overlap = least
    item.save(update_fields=["overlap"])


def raise_overlap_after_replacement(
    dataset: Dataset, item: QueueItem, replaced: Decision, given: list[Decision]
) -> None:
    """Raise the overlap for the answers that count for the label only since one of them was superseded.

    These are a correction, or a late answer after an undo. `given` are the label decisions about the image.
    """
    earlier = [one for one in _answers_to(item, given) if one.supersedes_id != replaced.pk]
    earlier += [replaced] if replaced.label_id is not None else []
    counted_before = {one.pk for one in first_by_reviewer(earlier)[: item.overlap]}
    for one in counted_answers(item, given):
        if one.pk not in counted_before:
            raise_overlap(dataset, item, one, given)


def is_late(item: QueueItem, lease: Lease, now: datetime) -> bool:
    """Return whether an answer under this lease is late."""
    waits = item.state == QueueItem.State.WAITING
    return lease.ended_at is not None or lease.expires_at <= now or not waits
