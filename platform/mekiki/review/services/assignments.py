"""Assignments: an admin gives a part of the queue to a reviewer, or takes it back."""

from django.db import transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.datasets.models import Dataset
from mekiki.labeling.models import Label
from mekiki.review.errors import InvalidAnswerError, NotFoundForReviewerError, ReviewError
from mekiki.review.models import Assignment
from mekiki.review.models.reviewers import KEY_LENGTH, VALUE_LENGTH
from mekiki.review.unresolved import reviewers_of

# The query for the next images compares each item with all assignments.
MAX_ASSIGNMENTS = 500


@transaction.atomic
def assign_part(
    *,
    dataset: Dataset,
    user: User,
    reviewer_id: int,
    label_id: int | None = None,
    key: str = "",
    value: str = "",
    strict: bool = False,
) -> Assignment:
    """Give a reviewer a part of the queue: the images predicted as a label, or with a value of the metadata.

    The reviewer gets these images first. With `strict`, only reviewers with this part get them. For a part
    that the reviewer has already, only `strict` changes. Raises PermissionDenied if the user is not an admin.
    Raises InvalidAnswerError if the receiver does not review the dataset or the part is not exactly one.
    Raises NotFoundForReviewerError if the dataset has no such label in use. Raises ReviewError if there are
    too many assignments.
    """
    require_role(user, dataset, Role.ADMIN)
    row = Dataset.objects.select_for_update(no_key=True).get(pk=dataset.pk)
    receiver = reviewers_of(dataset).filter(pk=reviewer_id).first()
    if receiver is None:
        raise InvalidAnswerError(
            "not_a_reviewer",
            _(
                "This user does not review the dataset. Nothing was changed; choose a member with the role "
                "reviewer or admin."
            ),
        )
    label = _checked_part(dataset, label_id, key, value)
    same = Assignment.objects.filter(dataset=dataset, user=receiver, label=label, key=key, value=value)
    kept = same.first()
    if kept is not None:
        if kept.strict == strict:
            return kept
        kept.strict = strict
        kept.save(update_fields=["strict"])
    else:
        if Assignment.objects.filter(dataset=dataset).count() >= MAX_ASSIGNMENTS:
            raise ReviewError(
                "too_many_assignments",
                _("A dataset has at most %(most)d assignments. Nothing was changed; remove some first.")
                % {"most": MAX_ASSIGNMENTS},
            )
        kept = Assignment.objects.create(
            dataset=dataset, user=receiver, label=label, key=key, value=value, strict=strict, created_by=user
        )
    if not row.queue_is_divided:
        row.queue_is_divided = True
        row.save(update_fields=["queue_is_divided"])
    record(kind="queue.part_assigned", actor=user, dataset=dataset, target=kept, data=_described(kept))
    return kept


def _checked_part(dataset: Dataset, label_id: int | None, key: str, value: str) -> Label | None:
    """Return the label of a part, or None for a part by metadata."""
    if label_id is not None and not key and not value:
        label = Label.objects.filter(dataset=dataset, pk=label_id, archived_at__isnull=True).first()
        if label is None:
            raise NotFoundForReviewerError(
                "unknown_label", _("This dataset has no such label in use. Nothing was changed.")
            )
        return label
    too_long = len(key) > KEY_LENGTH or len(value) > VALUE_LENGTH
    if label_id is not None or not key or not value or too_long or "\0" in key + value:
        raise InvalidAnswerError(
            "not_one_part",
            _(
                "A part is either a label, or a name and a value of the metadata (at most %(key)d and "
                "%(value)d characters). Nothing was changed; choose one of the two."
            )
            % {"key": KEY_LENGTH, "value": VALUE_LENGTH},
        )
    return None


@transaction.atomic
def remove_assignment(*, dataset: Dataset, user: User, assignment_id: int) -> None:
    """Take a part of the queue back from a reviewer. Leases and answers stay.

    Raises PermissionDenied if the user is not an admin. Raises NotFoundForReviewerError if the dataset has no
    such assignment.
    """
    require_role(user, dataset, Role.ADMIN)
    row = Dataset.objects.select_for_update(no_key=True).get(pk=dataset.pk)
    assignment = Assignment.objects.filter(dataset=dataset, pk=assignment_id).first()
    if assignment is None:
        raise NotFoundForReviewerError(
            "unknown_assignment", _("This assignment does not exist any more. Nothing was changed.")
        )
    record(
        kind="queue.part_taken_back",
        actor=user,
        dataset=dataset,
        target=assignment,
        data=_described(assignment),
    )
    assignment.delete()
    if not Assignment.objects.filter(dataset=dataset).exists():
        row.queue_is_divided = False
        row.save(update_fields=["queue_is_divided"])


def _described(assignment: Assignment) -> dict[str, str | bool | int | None]:
    return {
        "user": assignment.user.get_username(),
        "label": assignment.label.name if assignment.label else None,
        "key": assignment.key,
        "value": assignment.value,
        "strict": assignment.strict,
    }
