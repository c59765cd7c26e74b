"""Acts of an admin on a skipped or flagged image: answer it, send it to a reviewer, or set it aside."""

from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.config import clock
from mekiki.datasets.models import Dataset
from mekiki.review.blinding import hidden_ids
from mekiki.review.errors import InvalidAnswerError, NotFoundForReviewerError, ReviewError
from mekiki.review.models import TEST_STREAMS, Decision, Lease, QueueItem
from mekiki.review.selectors import active_decisions, without_tests
from mekiki.review.services.confirmed import (
    effective_decisions,
    first_by_reviewer,
    update_confirmed_label,
)
from mekiki.review.services.correcting import create_finished_item, overlap_of_answer
from mekiki.review.services.decisions import active_label, record_decision, request_follow_up_work
from mekiki.review.services.items import lock_item, move_to_front, refuse_excluded
from mekiki.review.services.leases import SHOWN
from mekiki.review.services.locks import lock_reviewer
from mekiki.review.services.request_keys import decision_of_key
from mekiki.review.unresolved import KINDS, reviewers_of, unresolved_decisions

_State = QueueItem.State


def lock_decision(dataset: Dataset, decision_id: int) -> tuple[Decision, QueueItem]:
    """Lock the image of a skip or flag, and return the decision with the item that a reviewer would get.

    Raises NotFoundForReviewerError if the dataset has no such skip or flag.
    """
    rows = Decision.objects.filter(dataset=dataset, pk=decision_id, kind__in=KINDS, item__isnull=False)
    decision = without_tests(rows).first()
    if decision is None or decision.item_id is None:
        raise NotFoundForReviewerError(
            "unknown_decision", _("There is no such skipped or flagged image in this dataset.")
        )
    item = lock_item(dataset, decision.item_id)
    excluded = QueueItem.objects.filter(image=item.image, state=_State.SET_ASIDE)
    other = excluded.select_for_update(no_key=True).first()
    if other is not None:
        other.image = item.image
        item = other
    return decision, item


def lock_unresolved(dataset: Dataset, decision_id: int) -> tuple[Decision, QueueItem]:
    """Return what `lock_decision` returns. Raises ReviewError if the image was answered or returned since."""
    decision, item = lock_decision(dataset, decision_id)
    if not unresolved_decisions(dataset).filter(pk=decision.pk).exists():
        raise ReviewError(
            "resolved",
            _("This image was answered or returned to the queue in the meantime. Nothing was changed."),
        )
    return decision, item


def refuse_answered(item: QueueItem) -> None:
    """Raise ReviewError if the item has all decisions that its overlap requires."""
    if len(first_by_reviewer(effective_decisions(item=item))) >= item.overlap:
        raise ReviewError(
            "answered", _("Others have already answered this image. The label and the earlier answers stay.")
        )


@transaction.atomic
def answer_unresolved(
    *, dataset: Dataset, user: User, decision_id: int, label_id: int, client_key: UUID
) -> Decision:
    """Give a skipped or flagged image a label by a new decision on a new recheck item.

    The image leaves the queue, and the skips and flags stay on record. If the label has a larger least
    overlap, the image waits for further reviewers, and this answer is the first. A request that is sent again
    with the same client_key returns the same decision, with `duplicate` set. Raises PermissionDenied if the
    user is not an admin. Raises NotFoundForReviewerError if the dataset has no such skip, flag or label.
    Raises ReviewError if the image was answered or returned in the meantime, if it must be judged blind, if
    the label is archived, or if the key was used before.
    """
    require_role(user, dataset, Role.ADMIN)
    lock_reviewer(user.pk)
    sent = decision_of_key(
        user=user,
        client_key=client_key,
        same=lambda one: (one.dataset_id, one.label_id) == (dataset.pk, label_id),
    )
    if sent is not None:
        return sent
    _decision, item = lock_unresolved(dataset, decision_id)
    image = item.image
    if hidden_ids(dataset, [image.pk]):  # The note and the reason can reveal the label.
        raise ReviewError(
            "blind",
            _(
                "This image must be judged without seeing a prediction. Nothing was changed; return it to "
                "the queue or send it to a reviewer."
            ),
        )
    label = active_label(dataset, label_id)
    now = clock.now()
    wanted = overlap_of_answer(dataset, label)
    own = create_finished_item(dataset, image, finished_at=now, overlap=wanted)
    answer = Decision.objects.create(
        dataset=dataset,
        image=image,
        item=own,
        user=user,
        kind=Decision.Kind.CORRECT,
        label=label,
        # The page shows no prediction.
        shown={"stream": str(own.stream), "propensity": own.propensity, "blind": False}
        | dict.fromkeys(SHOWN),
        client_key=client_key,
    )
    waiting = QueueItem.objects.filter(image=image, state__in=[_State.WAITING, _State.SET_ASIDE])
    ended = list(waiting.values_list("pk", flat=True))
    waiting.filter(pk__in=ended).update(state=_State.DONE, finished_at=now, assigned_to=None)
    _end_leases(ended)
    if wanted > 1:
        own.image = image
        move_to_front(own)
    update_confirmed_label(dataset=dataset, image=image)
    record_decision(answer, own)
    request_follow_up_work(dataset, user, answer)
    return answer


@transaction.atomic
def send_to_reviewer(*, dataset: Dataset, user: User, decision_id: int, reviewer_id: int) -> QueueItem:
    """Put a skipped or flagged image first in the queue for one reviewer only, and return its item.

    The item waits for everybody again after the reviewer has answered or skipped it, and while the reviewer
    has no membership as a reviewer. Leases of other reviewers end. Raises PermissionDenied if the user is not
    an admin. Raises InvalidAnswerError if the receiver does not review the dataset. Raises
    NotFoundForReviewerError if the dataset has no such skip or flag. Raises ReviewError if the image was
    answered or returned in the meantime, or if the receiver has answered, skipped or flagged it already.
    """
    require_role(user, dataset, Role.ADMIN)
    lock_reviewer(user.pk)
    receiver = reviewers_of(dataset).filter(pk=reviewer_id).first()
    if receiver is None:
        raise InvalidAnswerError(
            "not_a_reviewer",
            _(
                "This user does not review the dataset. Nothing was changed; choose a member with the role "
                "reviewer or admin."
            ),
        )
    decision, item = lock_unresolved(dataset, decision_id)
    refuse_answered(item)
    refuse_excluded(item.image_id)
    item = move_to_front(item)
    if active_decisions(image=item.image, item=item, user=receiver).exists():
        raise ReviewError(
            "has_answered",
            _(
                "%(name)s has already answered, skipped or flagged this image. Nothing was changed; choose "
                "another reviewer."
            )
            % {"name": receiver.get_username()},
        )
    if item.assigned_to_id == receiver.pk:
        raise ReviewError(
            "already_sent",
            _("The image already waits for %(name)s. Nothing was changed.")
            % {"name": receiver.get_username()},
        )
    item.assigned_to = receiver
    item.save(update_fields=["assigned_to"])
    _end_leases([item.pk], except_of=receiver)
    record(
        kind="queue.sent",
        actor=user,
        dataset=dataset,
        target=item,
        data={"image": item.image.sha256, "decision": decision.pk, "to": receiver.get_username()},
    )
    return item


@transaction.atomic
def set_aside(*, dataset: Dataset, user: User, decision_id: int) -> QueueItem:
    """Take a skipped or flagged image out of the review until an admin returns it, and return its item.

    Leases on it end, so an answer that is on its way is kept as a late answer. Raises PermissionDenied if the
    user is not an admin. Raises NotFoundForReviewerError if the dataset has no such skip or flag. Raises
    ReviewError if the image was set aside, answered or returned in the meantime, or has all its answers.
    """
    require_role(user, dataset, Role.ADMIN)
    lock_reviewer(user.pk)
    decision, item = lock_unresolved(dataset, decision_id)
    if item.state == _State.SET_ASIDE:
        raise ReviewError("already_set_aside", _("The image is already set aside. Nothing was changed."))
    waiting = QueueItem.objects.filter(image=item.image, state=_State.WAITING).select_for_update(no_key=True)
    waiting = waiting.exclude(stream__in=TEST_STREAMS)
    image, item = item.image, waiting.first() or item
    item.image = image
    refuse_answered(item)  # It could not be returned to the queue.
    item.state = _State.SET_ASIDE
    item.finished_at = clock.now()
    item.assigned_to = None
    item.save(update_fields=["state", "finished_at", "assigned_to"])
    _end_leases([item.pk])
    record(
        kind="queue.set_aside",
        actor=user,
        dataset=dataset,
        target=item,
        data={"image": image.sha256, "decision": decision.pk},
    )
    return item


def _end_leases(item_ids: list[int], except_of: User | None = None) -> None:
    leases = Lease.objects.filter(item__in=item_ids, ended_at__isnull=True)
    if except_of is not None:
        leases = leases.exclude(user=except_of)
    leases.update(ended_at=clock.now())
