"""Return of a flagged image to the queue by an admin. The flags are superseded, not changed."""

import uuid

from django.db import transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.datasets.models import Dataset
from mekiki.review.errors import NotFoundForReviewerError, ReviewError
from mekiki.review.models import Decision, QueueItem
from mekiki.review.selectors import active_decisions
from mekiki.review.services.confirmed import effective_decisions, first_by_reviewer
from mekiki.review.services.decisions import lock_item, move_to_front, record_decision
from mekiki.review.services.locks import lock_reviewer


@transaction.atomic
def return_to_queue(*, dataset: Dataset, user: User, flag_id: int) -> QueueItem:
    """Put a flagged image first in the queue and return its item.

    The reviewer who flagged the image may answer too. The item keeps its stream and propensity, so an audited
    image is judged blind again. A refill does not replace the item. Raises PermissionDenied if the user is
    not an admin. Raises NotFoundForReviewerError if the dataset has no such flag. Raises ReviewError if the
    flag was undone or if the image has all decisions that its overlap requires.
    """
    require_role(user, dataset, Role.ADMIN)
    lock_reviewer(user.pk)
    flags = Decision.objects.filter(dataset=dataset, kind=Decision.Kind.FLAG)
    flag = flags.filter(pk=flag_id, item__isnull=False).first()
    if flag is None or flag.item_id is None:
        raise NotFoundForReviewerError("unknown_flag", _("There is no such flag in this dataset."))
    item = lock_item(dataset, flag.item_id)
    active = list(active_decisions(dataset=dataset, kind=Decision.Kind.FLAG, item=item).order_by("pk"))
    if flag not in active:
        raise ReviewError("not_flagged", _("This flag was already undone. Nothing was changed."))
    if len(first_by_reviewer(effective_decisions(item=item))) >= item.overlap:
        raise ReviewError(
            "answered", _("Others have already answered this image. The label and the flag stay.")
        )
    for one in active:
        decision = Decision.objects.create(
            dataset=dataset,
            image_id=one.image_id,
            item=item,
            user=user,
            kind=Decision.Kind.UNDO,
            supersedes=one,
            shown={"put_back": str(one.kind)},
            client_key=uuid.uuid4(),
        )
        record_decision(decision, item)
    # After a late flag, the image may already wait under a newer item.
    item = move_to_front(item)
    record(
        kind="queue.put_back",
        actor=user,
        dataset=dataset,
        target=item,
        data={"image": flag.image.sha256, "flags": [one.pk for one in active]},
    )
    return item
