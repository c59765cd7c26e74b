"""Corrections of a reviewer's own earlier answers, from the history of the station."""

from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.config import clock
from mekiki.datasets.models import Dataset
from mekiki.review.errors import NotFoundForReviewerError, ReviewError
from mekiki.review.models import Decision, Lease, QueueItem
from mekiki.review.own_answers import KINDS, LAST, oldest_answer
from mekiki.review.services.confirmed import effective_decisions, first_by_reviewer, update_confirmed_label
from mekiki.review.services.decisions import (
    active_label,
    check_seen,
    is_flagged,
    is_ruled,
    record_decision,
    request_follow_up_work,
)
from mekiki.review.services.items import (
    complete,
    counted_answers,
    lock_item,
    move_to_front,
    raise_overlap,
    raise_overlap_after_replacement,
    update_item_after_answer,
)
from mekiki.review.services.leases import SHOWN
from mekiki.review.services.locks import lock_reviewer
from mekiki.review.services.queries import LABEL_DECISIONS
from mekiki.review.services.request_keys import decision_of_key
from mekiki.review.services.undoing import refuse_if_admin_has_acted
from mekiki.review.unresolved import KINDS as WITHOUT_LABEL

# What a correction keeps of `Decision.shown`: the history shows the answer with the prediction of that time.
_KEPT = ("stream", "propensity", "blind", *SHOWN)


@transaction.atomic
def correct_own_answer(
    *,
    dataset: Dataset,
    user: User,
    decision_id: int,
    label_id: int,
    client_key: UUID,
    milliseconds: int | None = None,
) -> Decision:
    """Replace one of the reviewer's last answers by a new decision, which supersedes it on the same item.

    The reviewer's vote changes; the votes of other reviewers and later decisions stay. If the answer was a
    skip or a flag, the image gets its label, unless another reviewer has its place; then the decision is
    late. If the label has a larger least overlap, or the reviewers now differ, further reviewers or an
    adjudicator decide, as after a first answer. After AUDIT_UNDO_PERIOD an audited image keeps its first
    answer as the audit answer (`confirmed._was_undone_blind`).

    A request that is sent again with the same client_key returns the same
    decision, with `duplicate` set.

    milliseconds: how long the history showed the image, or None if the sender does not know it.

    Raises PermissionDenied if the user is not a reviewer. Raises NotFoundForReviewerError if the answer is
    not one of the reviewer's last answers. Raises InvalidAnswerError if the image was not on the screen long
    enough. Raises ReviewError if the answer was corrected or undone before, if the label is unchanged or
    archived, if an admin has sent the image to a reviewer or set it aside, or if the key was used before.
    """
    require_role(user, dataset, Role.REVIEWER)
    lock_reviewer(user.pk)
    sent = decision_of_key(
        user=user,
        client_key=client_key,
        same=lambda one: (one.supersedes_id, one.label_id) == (decision_id, label_id),
    )
    if sent is not None:
        return sent
    check_seen(dataset, milliseconds)
    target = _lock_answer(dataset, user, decision_id)
    item = target.item
    if target.kind in WITHOUT_LABEL:
        refuse_if_admin_has_acted(target)
    label = active_label(dataset, label_id)
    if label.pk == target.label_id:
        raise ReviewError(
            "same_label",
            _("Your answer is “%(label)s” already. Nothing was changed.") % {"label": label.name},
        )
    shown = {key: target.shown[key] for key in _KEPT if key in target.shown} | {"history": True}
    predicted = None if shown.get("blind") else shown.get("label")
    late = target.late if target.label_id is not None else item is not None and _is_full(item, user)
    decision = Decision.objects.create(
        dataset=dataset,
        image=target.image,
        item=item,
        user=user,
        kind=Decision.Kind.CONFIRM if label.pk == predicted else Decision.Kind.CORRECT,
        label=label,
        shown=shown,
        supersedes=target,
        client_key=client_key,
        late=late,
        milliseconds=milliseconds,
    )
    given = LABEL_DECISIONS.all(image=target.image_id)
    if item is not None:
        _place_item(item, user, decision, target, given)
    update_confirmed_label(dataset=dataset, image=target.image, given=given)
    record_decision(decision, item)
    request_follow_up_work(dataset, user, decision)
    return decision


def _lock_answer(dataset: Dataset, user: User, decision_id: int) -> Decision:
    """Lock the item of one of the reviewer's last answers, and return the answer.

    Raises NotFoundForReviewerError if there is no such answer, and ReviewError if it was superseded.
    """
    rows = Decision.objects.select_related("image", "label")
    target = rows.filter(pk=decision_id, dataset=dataset, user=user, kind__in=KINDS).first()
    oldest = oldest_answer(dataset, user)
    if target is None or (oldest is not None and target.pk < oldest):
        raise NotFoundForReviewerError(
            "unknown_answer",
            _(
                "This answer is not among your last %(n)d answers. Nothing was changed; look at the newest "
                "answers."
            )
            % {"n": LAST},
        )
    if target.item_id is not None:
        target.item = lock_item(dataset, target.item_id)
        target.image = target.item.image
    if Decision.objects.filter(supersedes=target).exists():
        raise ReviewError(
            "superseded",
            _(
                "This answer was corrected, undone or returned to the queue in the meantime. Nothing was "
                "changed; look at the newest answers."
            ),
        )
    return target


def _is_full(item: QueueItem, user: User) -> bool:
    """Return whether other reviewers have, or hold, all places of the item."""
    others = [d for d in first_by_reviewer(effective_decisions(item=item)) if d.user_id != user.pk]
    held = Lease.objects.filter(item=item, ended_at__isnull=True, expires_at__gt=clock.now())
    return len(others) + held.exclude(user=user).count() >= item.overlap


def _place_item(
    item: QueueItem, user: User, decision: Decision, target: Decision, given: list[Decision]
) -> None:
    """Update the item after the correction of `target`: it is done, or waits for further decisions.

    As after a first answer, a label with a larger least overlap needs further reviewers.
    """
    now = clock.now()
    overlap = item.overlap
    raise_overlap_after_replacement(item.dataset, item, target, given)
    if target.label_id is None:
        Lease.objects.filter(item=item, user=user, ended_at__isnull=True).update(ended_at=now)
        if item.state == QueueItem.State.WAITING:
            raise_overlap(item.dataset, item, decision, given)
            if update_item_after_answer(item, decision.kind, user, now, given):
                complete([item], now)
            return
    ended = item.state == QueueItem.State.DONE or (
        item.state == QueueItem.State.WITHDRAWN and item.overlap > overlap
    )
    if (
        ended
        and len(counted_answers(item, given)) < item.overlap
        and not (is_flagged(item) or is_ruled(item))
    ):
        move_to_front(item)
