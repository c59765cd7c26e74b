"""Reference images of labels: examples that reviewers compare with the image on the screen."""

from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_adjudicator, require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.datasets.models import Dataset, Image
from mekiki.labeling.models import Label
from mekiki.review.blinding import hidden_ids
from mekiki.review.errors import NotFoundForReviewerError, ReviewError
from mekiki.review.models import ReferenceImage
from mekiki.review.services.decisions import active_label, check_note

MAX_REFERENCES = 12  # of one label: more would not fit beside an image
MAX_REFERENCE_NOTE = 200


@transaction.atomic
def add_reference_image(
    *, dataset: Dataset, user: User, image_id: int, label_id: int, accepted: bool, note: str = ""
) -> ReferenceImage:
    """Make an image a reference of a label, or change how it is used there. Return the reference.

    Raises PermissionDenied if the user is not an adjudicator or an admin of the dataset. Raises
    NotFoundForReviewerError if the dataset has no such image or label. Raises InvalidAnswerError if the note
    is too long or cannot be stored. Raises ReviewError if the image must still be judged blind, if the label
    is archived, or if the label has MAX_REFERENCES already.
    """
    require_adjudicator(user, dataset)
    note = note.strip()
    check_note(note, MAX_REFERENCE_NOTE)
    image = Image.objects.filter(dataset=dataset, pk=image_id).first()
    if image is None:
        raise NotFoundForReviewerError("unknown_image", _("There is no such image in this dataset."))
    # The row of the label is locked, so that two admins cannot exceed the limit together.
    Label.objects.filter(dataset=dataset, pk=label_id).select_for_update(no_key=True).first()
    label = active_label(dataset, label_id)
    if hidden_ids(dataset, [image.pk]):
        raise ReviewError(
            "blind",
            _(
                "This image must be judged without seeing a label. It was not made a reference image; "
                "choose another image, or wait until it has been judged."
            ),
        )
    others = ReferenceImage.objects.filter(label=label).exclude(image=image)
    if others.count() >= MAX_REFERENCES:
        raise ReviewError(
            "too_many_references",
            _("“%(label)s” has %(most)d reference images, and no more fit. Remove one of them first.")
            % {"label": label.name, "most": MAX_REFERENCES},
        )
    reference, _is_new = ReferenceImage.objects.update_or_create(
        label=label,
        image=image,
        defaults={"accepted": accepted, "note": note},
        create_defaults={"accepted": accepted, "note": note, "created_by": user},
    )
    record(
        kind="reference_image.added",
        actor=user,
        dataset=dataset,
        target=reference.label,
        data=_facts(reference),
    )
    return reference


@transaction.atomic
def remove_reference_image(*, dataset: Dataset, user: User, reference_id: int) -> ReferenceImage:
    """Stop using an image as a reference, and return what was removed. The image itself stays.

    Raises PermissionDenied if the user is not an admin of the dataset, and NotFoundForReviewerError if the
    dataset has no such reference.
    """
    require_role(user, dataset, Role.ADMIN)
    rows = ReferenceImage.objects.filter(label__dataset=dataset, pk=reference_id)
    reference = rows.select_related("label", "image").select_for_update(of=("self",)).first()
    if reference is None:
        raise NotFoundForReviewerError("unknown_reference", _("There is no such reference image."))
    record(
        kind="reference_image.removed",
        actor=user,
        dataset=dataset,
        target=reference.label,
        data=_facts(reference),
    )
    reference.delete()
    return reference


def _facts(reference: ReferenceImage) -> dict[str, Any]:
    return {
        "label": reference.label_id,
        "image": reference.image.sha256,
        "accepted": reference.accepted,
        "note": reference.note,
    }
