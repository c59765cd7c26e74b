"""Label sets of a saved view: which images they hold, and the sentences about those they leave out."""

from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils.translation import get_language, ngettext, override
from django.utils.translation import gettext as _

from mekiki.accounts.models import User
from mekiki.config.messages import join_sentences
from mekiki.datasets.models import Dataset, Image
from mekiki.learning.figures import count
from mekiki.learning.left_out import describe_images
from mekiki.review.errors import ReviewError
from mekiki.review.finding import query_of_filters
from mekiki.review.view_images import images_of_view


def view_images(dataset: Dataset, user: User | None, query: str) -> QuerySet[Image]:
    """Return the images that match the filters of a view now, with the rights of an admin.

    Raises ValidationError if a filter has a value that does not exist any more.
    """
    if user is None:
        raise ValidationError(
            _("The user who requested this was deleted. Nothing was written; request it again.")
        )
    try:
        return images_of_view(dataset, user, query)
    except ReviewError as error:
        raise ValidationError(error.message) from error


def valid_query(dataset: Dataset, user: User, query: str) -> str:
    """Return the filters of a query string of the gallery. Raises ValidationError if one is not valid."""
    try:
        return query_of_filters(dataset, user, query)
    except ReviewError as error:
        raise ValidationError(error.message) from error


def contents_sentence(fixed: dict[str, Any], language: str | None = None) -> str:
    """Return the sentences about the view and the excluded images of a label set, or an empty text.

    fixed: the values `view` and `excluded` of its snapshot, which label sets without them do not have. The
    default language is that of the reader.
    """
    sentences = []
    with override(language or get_language()):
        if view := fixed.get("view"):
            sentences.append(
                _(
                    "It holds only images that were chosen: %(images)s. Images that hid their label from the "
                    "filters are not in it. The accuracy is that of all images of the dataset."
                )
                % {"images": describe_images(view["name"], view["query"])}
            )
        if excluded := fixed.get("excluded"):
            sentences.append(excluded_sentence(excluded))
        return join_sentences(sentences)


def excluded_sentence(images: int) -> str:
    """Return the sentence about the images that an admin has excluded."""
    return ngettext(
        "%(n)s image that an admin has excluded is left out.",
        "%(n)s images that an admin has excluded are left out.",
        images,
    ) % {"n": count(images)}
