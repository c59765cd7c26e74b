"""Rulings: an adjudicator decides about an image whose reviewers disagree."""

from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_adjudicator
from mekiki.accounts.models import User
from mekiki.config.compiled import insert
from mekiki.datasets.models import Dataset
from mekiki.review.disputes import answers_of, is_blind, is_disputed
from mekiki.review.errors import InvalidAnswerError, NotFoundForReviewerError, ReviewError
from mekiki.review.models import Decision, QueueItem, ReferenceImage
from mekiki.review.selectors import active_decisions
from mekiki.review.services.confirmed import update_confirmed_label
from mekiki.review.services.correcting import request_recheck
from mekiki.review.services.decisions import (
    active_label,
    check_note,
    check_seen,
    record_decision,
    request_follow_up_work,
)
from mekiki.review.services.items import lock_item
from mekiki.review.services.leases import SHOWN
from mekiki.review.services.locks import lock_reviewer
from mekiki.review.services.references import add_reference_image
from mekiki.review.services.request_keys import decision_of_key
from mekiki.review.services.undoing import undo

# Images of one request to review again. The page shows fewer.
MOST_DOUBTED = 100


@transaction.atomic
def rule(
    *,
    dataset: Dataset,
    user: User,
    item_id: int,
    label_id: int,
    note: str,
    client_key: UUID,
    milliseconds: int | None = None,
) -> Decision:
    """Record the ruling of an adjudicator on a disputed item. It sets the confirmed label.

    note: the reason. It is required.
    milliseconds: time for which the image was on the screen, or None if the sender does not know it.

    The ruling records which answers were compared, whether the names were hidden, and whether the adjudicator
    had answered the item. A ruling on an item of a blind stream shows no prediction. A request that is sent
    again with the same client_key returns the same decision, with `duplicate` set.

    Raises PermissionDenied if the user is not an adjudicator. Raises NotFoundForReviewerError if the dataset
    has no such item or label. Raises InvalidAnswerError if the note is missing, too long or no text, or if
    the image was not seen. Raises ReviewError if the item is not disputed any more, if the label is archived,
    or if the key was used before.
    """
    require_adjudicator(user, dataset)
    note = note.strip()
    check_note(note)
    if not note:
        raise InvalidAnswerError(
            "no_note", _("Nothing was recorded. Write the reason for the ruling, then rule again.")
        )
    lock_reviewer(user.pk)
    sent = decision_of_key(
        user=user,
        client_key=client_key,
        same=lambda one: (one.kind, one.item_id, one.label_id) == (Decision.Kind.RULE, item_id, label_id),
    )
    if sent is not None:
        return sent
    check_seen(dataset, milliseconds)
    item = lock_item(dataset, item_id)
    _refuse_settled(item)
    label = active_label(dataset, label_id)
    compared = answers_of(item)
    blind = is_blind(dataset, item)
    shown: dict[str, Any] = {
        "stream": str(item.stream),
        "propensity": item.propensity,
        "blind": blind,
        "decisions": [answer.pk for answer in compared],
        "names_hidden": dataset.hide_names_from_adjudicators,
        "own": any(answer.user_id == user.pk for answer in compared),
    }
    decision = insert(
        Decision(
            dataset=dataset,
            image=item.image,
            item=item,
            user=user,
            kind=Decision.Kind.RULE,
            label=label,
            note=note,
            shown=shown if blind else shown | dict.fromkeys(SHOWN),
            client_key=client_key,
            milliseconds=milliseconds,
        )
    )
    update_confirmed_label(dataset=dataset, image=item.image)
    record_decision(decision, item)
    request_follow_up_work(dataset, user, decision)
    return decision


def _refuse_settled(item: QueueItem) -> None:
    """Raise ReviewError if the item needs no ruling, with the reason."""
    if is_disputed(item):
        return
    other = active_decisions(item=item, kind=Decision.Kind.RULE).select_related("user", "label").last()
    if other is not None:
        raise ReviewError(
            "already_ruled",
            _(
                "%(name)s has ruled on this image in the meantime: “%(label)s”. Your ruling was not "
                "recorded; go on with the next image."
            )
            % {"name": other.user.get_username(), "label": other.label},
        )
    raise ReviewError(
        "not_disputed",
        _(
            "The reviewers of this image do not disagree any more. Nothing was recorded; go on with the next "
            "image."
        ),
    )


def undo_ruling(
    *, dataset: Dataset, user: User, client_key: UUID, decision_id: int | None = None
) -> Decision:
    """Undo a ruling of the user in the dataset. Its image waits for an adjudicator again.

    decision_id: the ruling, or None for the user's latest ruling that was not undone.

    Raises what `undo` raises, and PermissionDenied if the user is not an adjudicator.
    """
    require_adjudicator(user, dataset)
    return undo(dataset=dataset, user=user, client_key=client_key, ruling=True, decision_id=decision_id)


def _standing_ruling(dataset: Dataset, decision_id: int) -> Decision:
    """Return a ruling of the dataset that was not undone.

    Raises NotFoundForReviewerError if there is no such ruling, and ReviewError if it was undone.
    """
    rows = Decision.objects.filter(dataset=dataset, pk=decision_id, kind=Decision.Kind.RULE)
    decision = rows.select_related("image", "superseded_by").first()
    if decision is None:
        raise NotFoundForReviewerError("unknown_ruling", _("There is no such ruling in this dataset."))
    if getattr(decision, "superseded_by", None) is not None:
        raise ReviewError("ruling_undone", _("This ruling was undone. Nothing was changed."))
    return decision


@transaction.atomic
def add_ruled_image_to_guideline(
    *, dataset: Dataset, user: User, decision_id: int, accepted: bool, label_id: int | None = None
) -> ReferenceImage:
    """Make the image of a ruling a reference image of a label, with the reason of the ruling as its note.

    label_id: None for the label of the ruling. A rejected reference belongs to a label that the image does
    not have. Raises what `add_reference_image` raises. Raises ReviewError if the ruling was undone.
    """
    require_adjudicator(user, dataset)
    ruling = _standing_ruling(dataset, decision_id)
    label = label_id if label_id is not None else ruling.label_id
    if label is None or (label == ruling.label_id) != accepted:
        raise InvalidAnswerError(
            "bad_reference",
            _(
                "The image is an accepted example of the label of the ruling, and a rejected example of "
                "other labels. Nothing was changed; choose again."
            ),
        )
    return add_reference_image(
        dataset=dataset,
        user=user,
        image_id=ruling.image_id,
        label_id=label,
        accepted=accepted,
        note=ruling.note.splitlines()[0][:200],
    )


@transaction.atomic
def recheck_doubted(
    *, dataset: Dataset, user: User, decision_id: int, image_ids: list[int]
) -> list[QueueItem]:
    """Put images that a ruling puts in doubt first in the queue, and return their items.

    Images without a confirmed label, and images that must be judged blind anyway, are left out. Raises
    PermissionDenied if the user is not an adjudicator. Raises NotFoundForReviewerError if the ruling or an
    image does not exist. Raises InvalidAnswerError for more than MOST_DOUBTED images. Raises ReviewError if
    the ruling was undone.
    """
    require_adjudicator(user, dataset)
    ruling = _standing_ruling(dataset, decision_id)
    if len(image_ids) > MOST_DOUBTED:
        raise InvalidAnswerError(
            "too_many",
            _("At most %(most)d images can be sent at once. Nothing was changed.") % {"most": MOST_DOUBTED},
        )
    items = []
    # The order of the ids avoids deadlocks with another adjudicator.
    for image_id in sorted(set(image_ids)):
        try:
            with transaction.atomic():
                items.append(request_recheck(dataset=dataset, user=user, image_id=image_id, ruling=ruling))
        except NotFoundForReviewerError:
            raise
        except ReviewError:
            continue
    return items
