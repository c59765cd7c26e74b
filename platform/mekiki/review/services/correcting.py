"""Actions on the page of an image: correct its label, undo the correction, or request another review."""

import uuid
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_adjudicator, require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.config import clock
from mekiki.datasets.models import Dataset, Image
from mekiki.labeling.models import Label
from mekiki.learning.models import Head
from mekiki.review.blinding import unshown_ids
from mekiki.review.errors import NotFoundForReviewerError, ReviewError
from mekiki.review.history import correction_by
from mekiki.review.models import TEST_STREAMS, ConfirmedLabel, Decision, QueueItem, Stream
from mekiki.review.overlap import least_overlap, overlap_rules
from mekiki.review.services.confirmed import update_confirmed_label
from mekiki.review.services.decisions import active_label, check_note, record_decision, request_follow_up_work
from mekiki.review.services.items import move_to_front, refuse_excluded
from mekiki.review.services.leases import shown_of_items
from mekiki.review.services.locks import lock_reviewer
from mekiki.review.services.request_keys import decision_of_key


def _lock(dataset: Dataset, image_id: int) -> tuple[Image, ConfirmedLabel]:
    """Lock the image until the transaction ends, and return it with its confirmed label.

    Raises NotFoundForReviewerError if the dataset does not contain the image, and ReviewError if the image
    has no confirmed label or hides it.
    """
    image = (
        Image.objects.filter(dataset=dataset, pk=image_id)
        .select_for_update(no_key=True, of=("self",))
        .first()
    )
    if image is None:
        raise NotFoundForReviewerError("unknown_image", _("There is no such image in this dataset."))
    if unshown_ids(dataset, [image.pk]):
        raise ReviewError(
            "blind",
            _(
                "This image must be judged without seeing a prediction. Nothing was changed; judge "
                "it in the review."
            ),
        )
    current = ConfirmedLabel.objects.filter(image=image).select_related("label", "decision").first()
    if current is None:
        raise ReviewError(
            "no_label",
            _("This image has no confirmed label. Nothing was changed; judge it in the review."),
        )
    return image, current


@transaction.atomic
def correct_label(
    *,
    dataset: Dataset,
    user: User,
    image_id: int,
    label_id: int,
    client_key: UUID,
    head_version: int | None,
    note: str = "",
) -> Decision:
    """Replace the confirmed label of an image with a new decision, on a new recheck item.

    If the old or the new label has a larger least overlap, the label stays until enough reviewers have
    decided. The correction is then the first of their answers, and the image waits first in the queue. A
    label that was set by a ruling is corrected by adjudicators only.

    head_version: the version of the head whose prediction the page showed, or None if it showed none.
    Earlier decisions are kept, and the audit still uses its first answer. A request that is sent again with
    the same client_key returns the same decision, with `duplicate` set.

    Raises PermissionDenied if the user is not a reviewer, or not an adjudicator and the label was set by a
    ruling. Raises NotFoundForReviewerError if the image or the label does not exist. Raises
    InvalidAnswerError if the note is too long or cannot be stored as text. Raises ReviewError if there is no
    confirmed label, if the image must be judged blind, if the label is unchanged or archived, if the key was
    used before, or if the prediction was replaced.
    """
    require_role(user, dataset, Role.REVIEWER)
    check_note(note)
    lock_reviewer(user.pk)
    sent = decision_of_key(
        user=user,
        client_key=client_key,
        same=lambda one: (one.image_id, one.label_id) == (image_id, label_id),
    )
    if sent is not None:
        return sent
    image, current = _lock(dataset, image_id)
    if current.decision.kind == Decision.Kind.RULE:
        require_adjudicator(user, dataset)
    label = active_label(dataset, label_id)
    if label.pk == current.label_id:
        raise ReviewError(
            "same_label",
            _("The image has the label “%(label)s” already. Nothing was changed.") % {"label": label.name},
        )
    now = clock.now()
    wanted = overlap_of_answer(dataset, label, current.label)
    item = create_finished_item(dataset, image, finished_at=now, overlap=wanted)
    shown = shown_of_items(dataset=dataset, items=[item])[item.pk]
    if shown.get("head") != head_version:
        raise ReviewError(
            "prediction_replaced",
            _(
                "The prediction on this page was replaced in the meantime. Nothing was changed; look "
                "at the new prediction."
            ),
        )
    decision = Decision.objects.create(
        dataset=dataset,
        image=image,
        item=item,
        user=user,
        kind=Decision.Kind.CONFIRM if label.pk == shown.get("label") else Decision.Kind.CORRECT,
        label=label,
        note=note,
        shown=shown,
        client_key=client_key,
    )
    if wanted > 1:
        item.image = image
        move_to_front(item)
    update_confirmed_label(dataset=dataset, image=image)
    record_decision(decision, item)
    request_follow_up_work(dataset, user, decision)
    return decision


def overlap_of_answer(dataset: Dataset, *labels: Label) -> int:
    """Return how many reviewers decide an image that one person gives a label outside of the queue.

    This is one, unless one of the labels (the new and the present label) has a larger least overlap.
    """
    return max(least_overlap(dataset, label) for label in labels)


def create_finished_item(
    dataset: Dataset,
    image: Image,
    stream: str = Stream.RECHECK,
    *,
    overlap: int | None = None,
    finished_at: datetime | None = None,
) -> QueueItem:
    """Create an item that no reviewer gets, until a decision is attached or it is moved to the front.

    overlap: None for the overlap of the stream.
    """
    if overlap is None:
        overlap = overlap_rules(dataset).overlap_of(stream)
    head = Head.objects.filter(champion__dataset=dataset).only("pk").first()
    return QueueItem.objects.create(
        dataset=dataset,
        image=image,
        stream=stream,
        propensity=1.0,  # chosen by a person, not drawn
        head=head,
        position=0.0,
        overlap=overlap,
        state=QueueItem.State.DONE,
        finished_at=finished_at,
    )


@transaction.atomic
def take_back_correction(*, dataset: Dataset, user: User, image_id: int) -> Decision:
    """Undo the reviewer's correction, so that the previous label is valid again.

    The correction must be the newest decision about the image. The image does not return to the queue. Raises
    PermissionDenied if the user is not a reviewer, and ReviewError if there is no such correction.
    """
    require_role(user, dataset, Role.REVIEWER)
    lock_reviewer(user.pk)
    image, _current = _lock(dataset, image_id)
    target = correction_by(user, image)
    if target is None:
        raise ReviewError(
            "nothing_to_undo",
            _("Your correction is not the newest decision about this image. Nothing was changed."),
        )
    decision = Decision.objects.create(
        dataset=dataset,
        image=image,
        item=target.item,
        user=user,
        kind=Decision.Kind.UNDO,
        supersedes=target,
        shown={"undone": str(target.kind)},
        client_key=uuid.uuid4(),
    )
    update_confirmed_label(dataset=dataset, image=image)
    record_decision(decision, target.item)
    return decision


@transaction.atomic
def request_recheck(
    *, dataset: Dataset, user: User, image_id: int, ruling: Decision | None = None
) -> QueueItem:
    """Put an image with a confirmed label first in the queue, and return its waiting item.

    A label that was set by a ruling is decided by two reviewers at least, so that no single answer replaces a
    ruling. `ruling` is the ruling on a similar image that puts the label in doubt. The event names it.

    An image of the audit sample is judged blind again, and its first answer stays the audit answer. The label
    stays until the new answer. Raises PermissionDenied if the user is not a reviewer. Raises ReviewError if
    the image has no confirmed label, must be judged blind anyway, or is excluded.
    """
    require_role(user, dataset, Role.REVIEWER)
    lock_reviewer(user.pk)
    image, current = _lock(dataset, image_id)
    refuse_excluded(image.pk)
    rows = QueueItem.objects.filter(image=image, state=QueueItem.State.WAITING)
    waiting = rows.exclude(stream__in=TEST_STREAMS).first()
    audited = current.stream == Stream.AUDIT and not current.in_training
    if waiting is None:
        stream = Stream.AUDIT if audited else Stream.RECHECK
        rules = overlap_rules(dataset)
        wanted = rules.overlap_of(stream, answers=[current.label_id])
        if current.decision.kind == Decision.Kind.RULE:
            wanted = max(wanted, 2)
        waiting = create_finished_item(dataset, image, stream, overlap=wanted)
    waiting.image = image
    item = move_to_front(waiting)
    record(
        kind="queue.asked_again",
        actor=user,
        dataset=dataset,
        target=item,
        data={"image": image.sha256, "label": current.label_id, "stream": str(item.stream)}
        | ({"ruling": ruling.pk} if ruling is not None else {}),
    )
    return item
