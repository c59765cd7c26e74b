"""Return of a skipped or flagged image to the queue by an admin. Decisions are superseded, not changed."""

import uuid

from django.db import transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.datasets.models import Dataset
from mekiki.review.errors import ReviewError
from mekiki.review.models import Decision, QueueItem
from mekiki.review.services.decisions import record_decision
from mekiki.review.services.items import move_to_front, refuse_excluded
from mekiki.review.services.locks import lock_reviewer
from mekiki.review.services.resolving import lock_decision, refuse_answered
from mekiki.review.unresolved import unresolved_decisions


@transaction.atomic
def return_to_queue(*, dataset: Dataset, user: User, decision_id: int) -> QueueItem:
    """Put a skipped or flagged image first in the queue for everybody, and return its item.

    decision_id: a skip or flag of the image. The reviewer who gave it may answer too. The item keeps its
    stream and propensity, so an audited image is judged blind again. A refill does not replace the item.

    Raises PermissionDenied if the user is not an admin. Raises NotFoundForReviewerError if the dataset has no
    such decision. Raises ReviewError if the decision was undone, if the image has all decisions that its
    overlap requires, or if it is excluded.
    """
    require_role(user, dataset, Role.ADMIN)
    lock_reviewer(user.pk)
    decision, item = lock_decision(dataset, decision_id)
    active = list(unresolved_decisions(dataset).filter(image=item.image).order_by("pk"))
    if Decision.objects.filter(supersedes=decision).exists():
        raise ReviewError("already_undone", _("This answer was already undone. Nothing was changed."))
    refuse_answered(item)
    refuse_excluded(item.image_id)
    for one in active:
        undo = Decision.objects.create(
            dataset=dataset,
            image_id=one.image_id,
            item_id=one.item_id,
            user=user,
            kind=Decision.Kind.UNDO,
            supersedes=one,
            shown={"put_back": str(one.kind)},
            client_key=uuid.uuid4(),
        )
        record_decision(undo, item)
    # After a late flag, the image may already wait under a newer item.
    item = move_to_front(item)
    item.assigned_to = None
    item.save(update_fields=["assigned_to"])
    record(
        kind="queue.put_back",
        actor=user,
        dataset=dataset,
        target=item,
        data={"image": item.image.sha256, "flags": [one.pk for one in active]},
    )
    return item
