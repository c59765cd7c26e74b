"""Answers of reviewers. Each answer is recorded exactly once, with what the screen showed."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Max, Min
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.config import clock
from mekiki.config.compiled import insert, run_prepared
from mekiki.datasets.models import Dataset
from mekiki.labeling.models import Label
from mekiki.review.adjustments import ViewAdjustments
from mekiki.review.errors import InvalidAnswerError, NotFoundForReviewerError, ReviewError
from mekiki.review.models import FLAG_REASONS, SKIP_REASONS, Decision, Lease, QueueItem
from mekiki.review.selectors import active_decisions, waiting_count
from mekiki.review.services.confirmed import (
    first_by_reviewer,
    standing,
    update_confirmed_label,
)
from mekiki.review.services.locks import lock_reviewer
from mekiki.review.services.queries import (
    ANSWER_OF_KEY,
    IMAGE_OF_ITEM,
    ITEM,
    LABEL,
    LABEL_DECISIONS,
    LABEL_KINDS,
    LEASE,
)
from mekiki.review.services.queue import request_due_work

Kind = Decision.Kind
MAX_NOTE = 2000
_REASONS: dict[str, tuple[str, ...]] = {Kind.SKIP: SKIP_REASONS, Kind.FLAG: FLAG_REASONS}


@transaction.atomic
def answer(
    *,
    dataset: Dataset,
    user: User,
    item_id: int,
    lease_id: int,
    kind: str,
    label: Label | int | None = None,
    reason: str = "",
    note: str = "",
    client_key: UUID,
    milliseconds: int | None = None,
    view: ViewAdjustments | None = None,
    grid: dict[str, Any] | None = None,
) -> Decision:
    """Record a reviewer's answer about an item and return the decision.

    An answer that is sent again with the same client_key returns the same decision with `duplicate` set, even
    if the state has changed. An answer after the end of its lease is stored with `late` set.

    kind: confirm, correct, skip or flag.
    label: required for correct. Confirm uses the label that was shown.
    reason: one of SKIP_REASONS or FLAG_REASONS (review.models), or an empty text.
    milliseconds: time from display to answer, or None if the sender does not know it.
    view: how the picture was adjusted on the screen when the answer was given, or None for the original.
    grid: the page of the grid review to which the answer belongs. It is recorded in `shown`. The service that
    records the page requests the follow-up work.

    Raises PermissionDenied if the user is not a reviewer. Raises NotFoundForReviewerError if the item or the
    lease does not exist for this reviewer. Raises InvalidAnswerError if the answer is invalid or too fast.
    Raises ReviewError if the state forbids the answer (no prediction, a blind item, an archived label, a key
    that was used before).
    """
    require_role(user, dataset, Role.REVIEWER)
    label_id = label.pk if isinstance(label, Label) else label
    _validate_arguments(kind, label_id, reason, note)
    if view is not None:
        view.check()
    adjusted = view.as_json() if view is not None else {}
    lock_reviewer(user.pk)
    before = ANSWER_OF_KEY.first(user=user.pk, key=client_key)
    if before is not None:
        if before.dataset_id != dataset.pk or before.item_id != item_id:
            raise ReviewError(
                "key_used",
                _(
                    "This answer has the same key as an earlier answer. The earlier answer is kept; "
                    "answer again."
                ),
            )
        before.duplicate = True
        return before
    # This check comes after the search for a duplicate, so that a recorded answer is always returned for its
    # key.
    check_seen(dataset, milliseconds)
    item = lock_item(dataset, item_id)
    lease = LEASE.first(lease=lease_id, user=user.pk, item=item.pk)
    if lease is None:
        raise NotFoundForReviewerError(
            "unknown_lease",
            _("This image is no longer leased to you. Nothing was recorded; the next image is loading."),
        )
    kind, label_id = _checked_against(dataset, lease.shown, kind, label_id)
    now = clock.now()
    waiting_state = item.state == QueueItem.State.WAITING
    late = lease.ended_at is not None or lease.expires_at <= now or not waiting_state
    decision = insert(
        Decision(
            dataset=dataset,
            image=item.image,
            item=item,
            user=user,
            kind=kind,
            label_id=label_id,
            reason=reason,
            note=note,
            shown=lease.shown | ({"view": adjusted} if adjusted else {}) | ({"grid": grid} if grid else {}),
            client_key=client_key,
            late=late,
            milliseconds=milliseconds,
        )
    )
    if lease.ended_at is None:
        run_prepared(
            "UPDATE review_lease SET ended_at = %s WHERE id = %s AND ended_at IS NULL", [now, lease.pk]
        ).close()
    given = LABEL_DECISIONS.all(image=item.image_id) if kind in LABEL_KINDS else []
    if waiting_state:
        update_item_after_answer(item, kind, user, now, given)
    if kind in LABEL_KINDS:
        update_confirmed_label(dataset=dataset, image=item.image, given=given)
    record_decision(decision, item)
    if grid is None:
        request_follow_up_work(dataset, user, decision)
    return decision


def _validate_arguments(kind: str, label_id: int | None, reason: str, note: str) -> None:
    if kind not in (Kind.CONFIRM, Kind.CORRECT, Kind.SKIP, Kind.FLAG):
        raise InvalidAnswerError("unknown_kind", _("An answer confirms, corrects, skips or flags."))
    check_note(note)
    if kind == Kind.CORRECT and label_id is None:
        raise InvalidAnswerError("no_label", _("Choose a label, or skip the image."))
    if kind in (Kind.SKIP, Kind.FLAG) and label_id is not None:
        raise InvalidAnswerError("label_not_wanted", _("To skip or to flag an image gives it no label."))
    if reason and reason not in _REASONS.get(kind, ()):
        raise InvalidAnswerError(
            "bad_reason",
            _(
                "This reason does not fit the answer. Nothing was recorded; choose one of the reasons of the "
                "station."
            ),
        )


def check_seen(dataset: Dataset, milliseconds: int | None) -> None:
    """Raise InvalidAnswerError if the image was on the screen for less than the dataset's minimum time."""
    if milliseconds is not None and milliseconds < dataset.min_display_ms:
        raise InvalidAnswerError(
            "not_seen",
            _(
                "The image was on the screen for %(n)d ms, too short to be seen. Nothing was recorded; look "
                "at it, then answer again."
            )
            % {"n": milliseconds},
        )


def check_note(note: str, most: int = MAX_NOTE) -> None:
    """Raise InvalidAnswerError if the note is too long or cannot be stored as text."""
    if len(note) > most:
        raise InvalidAnswerError(
            "note_too_long",
            _("The note has %(length)d characters; %(most)d is the most. Shorten it and send it again.")
            % {
                "length": len(note),
                "most": most,
            },
        )
    if "\x00" in note or any(0xD800 <= ord(c) <= 0xDFFF for c in note):
        raise InvalidAnswerError("bad_note", _("The note has characters that are no text. Write it again."))


def active_label(dataset: Dataset, label_id: int) -> Label:
    """Return a label for an answer. Raises ReviewError if it does not exist in the dataset or is archived."""
    label = LABEL.first(label=label_id, dataset=dataset.pk)
    if label is None:
        raise NotFoundForReviewerError(
            "unknown_label", _("This dataset has no such label. Nothing was recorded.")
        )
    if label.archived_at is not None:
        raise ReviewError(
            "label_archived",
            _("The label “%(label)s” has been archived. Nothing was recorded; choose another one.")
            % {"label": label.name},
        )
    return label


def _checked_against(
    dataset: Dataset, shown: dict[str, Any], kind: str, label_id: int | None
) -> tuple[str, int | None]:
    """Return kind and label as they are recorded.

    If the reviewer chooses the predicted label with its key, the kind is a confirmation.
    """
    predicted = None if shown.get("blind") else shown.get("label")
    if kind == Kind.CONFIRM:
        if shown.get("blind"):
            raise ReviewError(
                "blind",
                _("No prediction is shown for this image, so there is nothing to confirm. Choose a label."),
            )
        if predicted is None:
            raise ReviewError("no_prediction", _("Nothing is predicted for this image yet. Choose a label."))
        if label_id is not None and label_id != predicted:
            raise ReviewError(
                "not_what_was_shown",
                _(
                    "The label in the request differs from the label that was shown. Nothing was "
                    "recorded; answer again."
                ),
            )
        label_id = predicted
    if label_id is None:
        return kind, None
    active_label(dataset, label_id)
    return (Kind.CONFIRM if label_id == predicted else Kind.CORRECT), label_id


def lock_item(dataset: Dataset, item_id: int) -> QueueItem:
    """Lock the image and then the item until the transaction ends, and return the item.

    The image is locked first, because an image can have several items and an undo can move between them.
    Raises NotFoundForReviewerError if the dataset does not contain the item.
    """
    image = IMAGE_OF_ITEM.first(item=item_id, dataset=dataset.pk)
    item = ITEM.first(item=item_id, dataset=dataset.pk) if image is not None else None
    if image is None or item is None:
        raise NotFoundForReviewerError("unknown_item", _("There is no such image in this queue."))
    item.image = image
    return item


def move_to_front(item: QueueItem) -> QueueItem:
    """Put an image first in the queue and return its waiting item.

    This is the given item, or the item under which the image already waits. The caller must hold the image's
    lock. A refill does not hold it and may add an item for the image at the same time.
    """
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


def update_item_after_answer(
    item: QueueItem, kind: str, user: User, now: datetime, given: list[Decision]
) -> None:
    """Update the item after an answer.

    It is then done, at the end of the queue (after a skip), or still waiting for the next decision. An item
    that waited for this reviewer only waits for everybody. `given` are the label decisions about
    the image.
    """
    if item.assigned_to_id == user.pk:
        item.assigned_to = None
        item.save(update_fields=["assigned_to"])
    if kind == Kind.SKIP:
        last = QueueItem.objects.filter(dataset_id=item.dataset_id, state=QueueItem.State.WAITING)
        item.position = (last.aggregate(last=Max("position"))["last"] or 0.0) + 1
        item.save(update_fields=["position"])
        return
    if kind in LABEL_KINDS:
        decisions = first_by_reviewer(d for d in standing(given) if d.item_id == item.pk)
        on_time = sum(not d.late for d in decisions)
        held = Lease.objects.filter(item=item, ended_at__isnull=True, expires_at__gt=now).exclude(user=user)
        # A late decision completes the item only if no other reviewer has an active lease on it.
        if on_time < item.overlap and (len(decisions) < item.overlap or held.exists()):
            return
    item.state = QueueItem.State.DONE
    item.finished_at = now
    run_prepared(
        "UPDATE review_queueitem SET state = %s, finished_at = %s WHERE id = %s",
        [QueueItem.State.DONE.value, now, item.pk],
    ).close()


def record_decision(decision: Decision, item: QueueItem | None) -> None:
    """Record the event of a decision. It is small, because there is one event for each answer."""
    record(
        kind="decision.recorded",
        actor=decision.user,
        dataset=decision.dataset,
        target=decision,
        data={"kind": str(decision.kind), "image": decision.image.sha256, "label": decision.label_id}
        | ({"reason": str(decision.reason)} if decision.reason else {})
        | ({"late": True} if decision.late else {})
        | ({"supersedes": decision.supersedes_id} if decision.supersedes_id else {}),
    )


def request_follow_up_work(dataset: Dataset, user: User, decision: Decision) -> None:
    """Request a refill or a training if needed, after the decision is committed."""
    transaction.on_commit(lambda: _request_follow_up(dataset, user, decision), robust=True)


def _request_follow_up(dataset: Dataset, user: User, decision: Decision) -> None:
    decision.waiting = waiting_count(dataset)
    request_due_work(dataset, decision.waiting, user)


def is_flagged(item: QueueItem) -> bool:
    """Return whether the item has a flag that was not undone."""
    return active_decisions(item=item, kind=Kind.FLAG).exists()
