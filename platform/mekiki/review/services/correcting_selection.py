"""One label for several selected images of the gallery: one decision for each image."""

import uuid
from collections.abc import Sequence
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.datasets.models import Dataset, Image
from mekiki.review.errors import InvalidAnswerError, NotFoundForReviewerError, ReviewError
from mekiki.review.services.correcting import correct_label
from mekiki.review.services.gold_selection import SelectionResult

# The images of one page of the gallery: a person decides only about images that are on the screen.
MOST_CORRECTED = 60


@transaction.atomic
def correct_selection(
    *,
    dataset: Dataset,
    user: User,
    image_ids: Sequence[int],
    label_id: int,
    head_version: int | None,
    client_key: UUID,
) -> SelectionResult:
    """Replace the confirmed labels of selected images, each as by `correct_label` with a decision of its own.

    A request that is sent again with the same client_key repeats nothing. Raises PermissionDenied unless the
    user is a reviewer. Raises InvalidAnswerError for no image or more than MOST_CORRECTED, and
    NotFoundForReviewerError if an image or the label does not exist. Nothing is changed then.
    """
    require_role(user, dataset, Role.REVIEWER)
    ids = sorted(set(image_ids))
    if not 1 <= len(ids) <= MOST_CORRECTED:
        raise InvalidAnswerError(
            "bad_selection",
            _("Select 1 to %(most)d images. Nothing was changed.") % {"most": MOST_CORRECTED},
        )
    images = list(Image.objects.filter(dataset=dataset, pk__in=ids).order_by("pk"))
    if len(images) < len(ids):
        raise NotFoundForReviewerError("unknown_image", _("There is no such image in this dataset."))
    result = SelectionResult()
    for image in images:
        try:
            with transaction.atomic():
                correct_label(
                    dataset=dataset,
                    user=user,
                    image_id=image.pk,
                    label_id=label_id,
                    client_key=uuid.uuid5(client_key, str(image.pk)),
                    head_version=head_version,
                )
        except NotFoundForReviewerError:
            raise
        except ReviewError as error:
            result.refused.append((image, error.message))
        else:
            result.changed.append(image)
    return result
