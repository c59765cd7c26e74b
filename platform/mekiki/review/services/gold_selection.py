"""Gold images are marked and ended for a selection of the gallery. What was not taken has a reason."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from django.db import transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.datasets.models import Dataset, Image
from mekiki.review.errors import InvalidAnswerError, NotFoundForReviewerError, ReviewError
from mekiki.review.models import GoldImage
from mekiki.review.services.gold import MOST_AT_ONCE, end_gold, mark_gold


@dataclass
class SelectionResult:
    """The images of a selection that were changed, and the others with the reason."""

    changed: list[Image] = field(default_factory=list)
    refused: list[tuple[Image, str]] = field(default_factory=list)


@transaction.atomic
def mark_selection_as_gold(
    *, dataset: Dataset, user: User, image_ids: list[int], expert: bool
) -> SelectionResult:
    """Make the selected images gold images, each as by `mark_gold`.

    expert: the admin confirms the labels that only one reviewer decided.

    Raises PermissionDenied if the user is not an admin. Raises InvalidAnswerError for no image or more than
    MOST_AT_ONCE. Nothing is changed then.
    """
    require_role(user, dataset, Role.ADMIN)

    def mark(image: Image) -> None:
        mark_gold(dataset=dataset, user=user, image_id=image.pk, expert=expert)

    return _apply_to_images(_selected(dataset, image_ids), mark)


@transaction.atomic
def end_gold_of_selection(*, dataset: Dataset, user: User, image_ids: list[int]) -> SelectionResult:
    """Stop asking about the selected images, each as by `end_gold`.

    Raises PermissionDenied if the user is not an admin. Raises InvalidAnswerError for no image or more than
    MOST_AT_ONCE. Nothing is changed then.
    """
    require_role(user, dataset, Role.ADMIN)
    images = _selected(dataset, image_ids)
    rows = GoldImage.objects.filter(image__in=images, ended_at__isnull=True)
    gold = dict(rows.values_list("image_id", "pk"))

    def end(image: Image) -> None:
        if image.pk not in gold:
            raise ReviewError("not_gold", _("This image is no gold image. Nothing was changed."))
        end_gold(dataset=dataset, user=user, gold_id=gold[image.pk])

    return _apply_to_images(images, end)


def _selected(dataset: Dataset, image_ids: list[int]) -> list[Image]:
    """Return the images in the order of their ids, in which other acts lock them too."""
    if not 1 <= len(set(image_ids)) <= MOST_AT_ONCE:
        raise InvalidAnswerError(
            "bad_selection",
            _("Select 1 to %(most)d images. Nothing was changed.") % {"most": MOST_AT_ONCE},
        )
    images = list(Image.objects.filter(dataset=dataset, pk__in=image_ids).order_by("pk"))
    if len(images) < len(set(image_ids)):
        raise NotFoundForReviewerError("unknown_image", _("There is no such image in this dataset."))
    return images


def _apply_to_images(images: Iterable[Image], act: Callable[[Image], None]) -> SelectionResult:
    result = SelectionResult()
    for image in images:
        try:
            with transaction.atomic():
                act(image)
        except ReviewError as error:
            result.refused.append((image, error.message))
        else:
            result.changed.append(image)
    return result
