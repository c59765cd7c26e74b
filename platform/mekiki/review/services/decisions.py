"""Answers of reviewers. Each answer is recorded exactly once, with what the screen showed."""

from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.config.compiled import insert
from mekiki.datasets.models import Dataset
from mekiki.labeling.models import Label
from mekiki.review.adjustments import ViewAdjustments
from mekiki.review.errors import InvalidAnswerError, NotFoundForReviewerError, ReviewError
from mekiki.review.hooks import run_answer_hook
from mekiki.review.models import (
    FLAG_REASONS,
    LABEL_KINDS,
    SKIP_REASONS,
    TEST_STREAMS,
    Decision,
    QueueItem,
)
from mekiki.review.selectors import active_decisions, waiting_count
from mekiki.review.services.confirmed import (
    update_confirmed_label,
)
from mekiki.review.services.items import (
    complete,
    end_lease,
    is_late,
    lock_item,
    raise_overlap,
    update_item_after_answer,
)
from mekiki.review.services.locks import lock_reviewer
from mekiki.review.services.queries import LABEL, LABEL_DECISIONS, LEASE
from mekiki.review.services.queue import request_due_work
from mekiki.review.services.request_keys import decision_of_key
from mekiki.review.services.why import shown_of_panel

Kind = Decision.Kind
MAX_NOTE = 2000
# The largest number of the column: almost 25 days.
LONGEST_MS = 2**31 - 1
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
    why: UUID | None = None,
) -> Decision:
    """Record a reviewer's answer about an item and return the decision.

    An answer that is sent again with the same client_key returns the same decision with `duplicate` set, even
    if the state has changed. An answer after the end of its lease is stored with `late` set.

    kind: confirm, correct, skip or flag.
    label: required for correct. Confirm uses the label that was shown.
    reason: one of SKIP_REASONS or FLAG_REASONS (review.models), or an empty text.
    milliseconds: time from display to answer, or None if the sender does not know it.
    view: how the picture was adjusted on the screen when the answer was given, or None for the original.
    why: the panel Why that was open when the answer was given, or None if it was closed. What it showed is
    recorded in `shown`.

    Raises PermissionDenied if the user is not a reviewer. Raises NotFoundForReviewerError if the item or the
    lease does not exist for this reviewer. Raises InvalidAnswerError if the answer is invalid or too fast.
    Raises ReviewError if the state forbids the answer (no prediction, a blind item, an archived label, a key
    that was used before).
    """
    require_role(user, dataset, Role.REVIEWER)
    label_id = label.pk if isinstance(label, Label) else label
    validate_arguments(kind, label_id, reason, note)
    if view is not None:
        view.check()
    adjusted = view.as_json() if view is not None else {}
    now = lock_reviewer(user.pk)
    sent = decision_of_key(
        user=user,
        client_key=client_key,
        same=lambda one: (one.dataset_id, one.item_id) == (dataset.pk, item_id),
    )
    if sent is not None:
        return sent
    # This check comes after the search for a duplicate, so that a recorded answer is always returned for its
    # key.
    check_seen(dataset, milliseconds)
    item = lock_item(dataset, item_id)
    lease = LEASE.first(lease=lease_id, user=user.pk, item=item.pk)
    if lease is None:
        raise unknown_lease()
    kind, given_label = check_against(dataset, lease.shown, kind, label_id)
    reasons = shown_of_panel(user=user, lease=lease, panel_id=why) if why is not None else {}
    waiting_state = item.state == QueueItem.State.WAITING
    decision = insert(
        Decision(
            dataset=dataset,
            image=item.image,
            item=item,
            user=user,
            kind=kind,
            label=given_label,
            reason=reason,
            note=note,
            shown=lease.shown
            | ({"view": adjusted} if adjusted else {})
            | ({"why": reasons} if reasons else {}),
            client_key=client_key,
            late=is_late(item, lease, now),
            milliseconds=milliseconds,
        )
    )
    gives_label = kind in LABEL_KINDS and item.stream not in TEST_STREAMS
    given = LABEL_DECISIONS.all(image=item.image_id) if gives_label else []
    raise_overlap(dataset, item, decision, given)
    done = waiting_state and update_item_after_answer(item, kind, user, now, given)
    open_lease = lease if lease.ended_at is None else None
    if done:
        complete([item], now, open_lease)
    elif open_lease is not None:
        end_lease(open_lease, now)
    if gives_label:
        first = len(given) == 1 and given[0] == decision
        update_confirmed_label(dataset=dataset, image=item.image, given=given, first=first)
    record_decision(decision, item)
    request_follow_up_work(dataset, user, decision)
    return decision


def validate_arguments(kind: str, label_id: int | None, reason: str, note: str) -> None:
    """Raise InvalidAnswerError if the parts of an answer do not fit together."""
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
    """Raise InvalidAnswerError if the image was on the screen for less than the dataset's minimum time.

    Raises it too if the time is no whole number of milliseconds that the database can store.
    """
    check_time(milliseconds)
    if milliseconds is not None and milliseconds < dataset.min_display_ms:
        raise InvalidAnswerError(
            "not_seen",
            _(
                "The image was on the screen for %(n)d ms, too short to be seen. Nothing was recorded; look "
                "at it, then answer again."
            )
            % {"n": milliseconds},
        )


def check_time(milliseconds: object) -> None:
    """Raise InvalidAnswerError if the time is neither None nor a number from 0 to LONGEST_MS."""
    if milliseconds is None:
        return
    is_number = isinstance(milliseconds, int) and not isinstance(milliseconds, bool)
    if not is_number or not 0 <= milliseconds <= LONGEST_MS:  # type: ignore[operator]
        raise InvalidAnswerError(
            "bad_time",
            _(
                "The time for which the image was on the screen is no possible number of milliseconds. "
                "Nothing was recorded; load the page again, then answer again."
            ),
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


def active_label(dataset: Dataset, label_id: int, labels: dict[int, Label] | None = None) -> Label:
    """Return a label for an answer. Raises ReviewError if it does not exist in the dataset or is archived.

    `labels` are all labels of the dataset by id, if the caller has read them.
    """
    label = labels.get(label_id) if labels is not None else LABEL.first(label=label_id, dataset=dataset.pk)
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


def check_against(
    dataset: Dataset,
    shown: dict[str, Any],
    kind: str,
    label_id: int | None,
    labels: dict[int, Label] | None = None,
) -> tuple[str, Label | None]:
    """Return kind and label as they are recorded, for what the screen showed.

    If the reviewer chooses the predicted label with its key, the kind is a confirmation. `labels` are all
    labels of the dataset by id, if the caller has read them. Raises ReviewError as `answer` does.
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
    label = active_label(dataset, label_id, labels)
    return (Kind.CONFIRM if label_id == predicted else Kind.CORRECT), label


def unknown_lease() -> ReviewError:
    """Return the error for a lease that does not exist, or is of another reviewer or item."""
    return NotFoundForReviewerError(
        "unknown_lease",
        _("This image is no longer leased to you. Nothing was recorded; the next image is loading."),
    )


def record_decision(decision: Decision, item: QueueItem | None) -> None:
    """Record the event of a decision. It is small, because there is one event for each answer."""
    record(
        kind="decision.recorded",
        actor=decision.user,
        dataset=decision.dataset,
        target=decision,
        data=facts_of(decision),
    )


def facts_of(decision: Decision) -> dict[str, Any]:
    """Return the data of a decision's event."""
    return (
        {"kind": str(decision.kind), "image": decision.image.sha256, "label": decision.label_id}
        | ({"reason": str(decision.reason)} if decision.reason else {})
        | ({"late": True} if decision.late else {})
        | ({"supersedes": decision.supersedes_id} if decision.supersedes_id else {})
    )


def request_follow_up_work(dataset: Dataset, user: User, decision: Decision) -> None:
    """Request a refill or a training if needed, after the decision is committed."""
    transaction.on_commit(lambda: _request_follow_up(dataset, user, decision), robust=True)


def _request_follow_up(dataset: Dataset, user: User, decision: Decision) -> None:
    decision.waiting = waiting_count(dataset, user)
    request_due_work(dataset, decision.waiting, user)
    if decision.item is not None:
        run_answer_hook(decision.item, user)


def is_flagged(item: QueueItem) -> bool:
    """Return whether the item has a flag that was not undone."""
    return active_decisions(item=item, kind=Kind.FLAG).exists()


def is_ruled(item: QueueItem) -> bool:
    """Return whether the item has a ruling that was not undone."""
    return active_decisions(item=item, kind=Kind.RULE).exists()
