"""Undo: a new decision that supersedes the reviewer's latest decision. No row is changed or deleted."""

from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Min, Q
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.config import clock
from mekiki.datasets.models import Dataset
from mekiki.review.errors import ReviewError
from mekiki.review.hooks import run_answer_hook
from mekiki.review.models import TEST_STREAMS, Decision, GoldImage, Lease, QueueItem
from mekiki.review.selectors import active_decisions
from mekiki.review.services.confirmed import effective_decisions, first_by_reviewer, update_confirmed_label
from mekiki.review.services.decisions import is_flagged, is_ruled, record_decision
from mekiki.review.services.items import lock_item, move_to_front, raise_overlap_after_replacement
from mekiki.review.services.leases import LeasedItem, lease_items
from mekiki.review.services.locks import lock_reviewer
from mekiki.review.services.queries import LABEL_DECISIONS
from mekiki.review.services.request_keys import decision_of_key
from mekiki.review.unresolved import KINDS


@transaction.atomic
def undo(
    *,
    dataset: Dataset,
    user: User,
    client_key: UUID,
    ruling: bool = False,
    decision_id: int | None = None,
) -> Decision:
    """Undo the reviewer's latest answer in the dataset, which can also be a skip or a flag.

    With `ruling`, the user's latest ruling is undone instead, or the one with `decision_id`. Its image then
    waits for an adjudicator again. Without it, rulings stay, because the station does not show their images.

    The image waits again, first in the queue, and is leased to the reviewer at once. This does not happen if
    another reviewer holds it, if it needs no further decision, or if an admin sent it to another reviewer.

    A request that is sent again with the same
    client_key returns the same decision, with `duplicate` set. An undo cannot be undone: the reviewer answers
    the image again. Raises PermissionDenied if the user is not a reviewer. Raises ReviewError if there is
    nothing to undo, if an admin has set the skipped or flagged image aside or sent it to a reviewer, or if an
    answer used the key.
    """
    require_role(user, dataset, Role.REVIEWER)
    lock_reviewer(user.pk)
    sent = decision_of_key(
        user=user,
        client_key=client_key,
        same=lambda one: (one.dataset_id, one.kind) == (dataset.pk, Decision.Kind.UNDO),
    )
    if sent is not None:
        return sent
    rows = active_decisions(user=user, dataset=dataset)
    is_rule = Q(kind=Decision.Kind.RULE)
    rows = rows.filter(is_rule if ruling else ~is_rule)
    if decision_id is not None:
        rows = rows.filter(pk=decision_id)
    target = rows.order_by("-id").first()
    if target is None:
        raise ReviewError(
            "nothing_to_undo",
            _("You have no ruling left to undo in this dataset.")
            if ruling
            else _("You have no answer left to undo in this dataset."),
        )
    return record_undo(dataset=dataset, user=user, target=target, client_key=client_key)


def record_undo(*, dataset: Dataset, user: User, target: Decision, client_key: UUID) -> Decision:
    """Record the undo of one answer of the reviewer. The caller has checked the permission and the key."""
    item = lock_item(dataset, target.item_id) if target.item_id else None
    if Decision.objects.filter(supersedes=target).exists():  # It was undone while we waited for the lock.
        raise ReviewError(
            "nothing_to_undo",
            _("An admin has returned this image to the queue in the meantime. There is nothing to undo."),
        )
    if target.kind in KINDS:
        refuse_if_admin_has_acted(target)
    decision = Decision.objects.create(
        dataset=dataset,
        image_id=target.image_id,
        item=item,
        user=user,
        kind=Decision.Kind.UNDO,
        supersedes=target,
        shown={"undone": str(target.kind)},
        client_key=client_key,
    )
    given = LABEL_DECISIONS.all(image=target.image_id)
    if item is not None:
        raise_overlap_after_replacement(dataset, item, target, given)
    update_confirmed_label(dataset=dataset, image=target.image, given=given)
    if item is not None and item.stream in TEST_STREAMS:
        _requeue_test(dataset, user, item, target)
    elif item is not None:
        _requeue_and_lease(dataset, user, item, of_ruling=target.kind == Decision.Kind.RULE)
    if target.shown.get("grid"):
        _mark_as_on_page(user, target.image_id)
    record_decision(decision, item)
    if item is not None:
        answered = item
        transaction.on_commit(lambda: run_answer_hook(answered, user), robust=True)
    return decision


def refuse_if_admin_has_acted(target: Decision) -> None:
    """Raise ReviewError if the image of a skip or flag is set aside or waits for one reviewer."""
    items = QueueItem.objects.filter(image=target.image_id)
    sent = Q(state=QueueItem.State.WAITING, assigned_to__isnull=False)
    if items.filter(sent | Q(state=QueueItem.State.SET_ASIDE)).exists():
        raise ReviewError(
            "nothing_to_undo",
            _(
                "An admin has set this image aside or sent it to a reviewer in the meantime. Your answer "
                "stays; there is nothing to undo."
            ),
        )


def _mark_as_on_page(user: User, image_id: int) -> None:
    """Mark the reviewer's leases of an image that was on a page of the grid as those of a page."""
    for lease in Lease.objects.filter(user=user, item__image=image_id, ended_at__isnull=True):
        lease.shown = {**lease.shown, "on_page": True}
        lease.save(update_fields=["shown"])


def _requeue_test(dataset: Dataset, user: User, item: QueueItem, target: Decision) -> None:
    """Lease an item of a test stream to its reviewer again, with what the screen showed before.

    So an undo looks the same for every item. Nothing is leased if the image waits under another item by now,
    or if an admin has ended the gold image.
    """
    if item.assigned_to_id != user.pk:
        return
    if item.gold_id is not None and GoldImage.objects.get(pk=item.gold_id).ended_at is not None:
        return
    first = QueueItem.objects.filter(dataset=dataset, state=QueueItem.State.WAITING)
    item.position = (first.aggregate(first=Min("position"))["first"] or 0.0) - 1
    item.state, item.finished_at = QueueItem.State.WAITING, None
    try:
        with transaction.atomic():
            item.save(update_fields=["state", "finished_at", "position"])
    except IntegrityError:
        return
    shown = {key: value for key, value in target.shown.items() if key not in ("grid", "view")}
    for leased in lease_items(dataset=dataset, user=user, items=[item], now=clock.now()):
        Lease.objects.filter(pk=leased.lease.pk).update(shown=shown)


def _requeue_and_lease(
    dataset: Dataset, user: User, item: QueueItem, *, of_ruling: bool
) -> LeasedItem | None:
    """Put the image first in the queue and lease it to the reviewer, if it still needs a decision.

    An image that was sent to another reviewer is not leased. After the undo of a ruling the image is not
    leased to the adjudicator.
    """
    now = clock.now()
    enough = len(first_by_reviewer(effective_decisions(item=item))) >= item.overlap
    if item.state != QueueItem.State.WAITING and (enough or is_flagged(item) or is_ruled(item)):
        return None
    if of_ruling:
        move_to_front(item)
        return None
    if item.assigned_to_id not in (None, user.pk):
        return None
    leased = lease_items(dataset=dataset, user=user, items=[move_to_front(item)], now=now)
    return leased[0] if leased else None
