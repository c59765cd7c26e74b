"""The images of a saved view, for acts that read its filters when their job begins."""

from django.db.models import QuerySet

from mekiki.accounts.models import User
from mekiki.datasets.models import Dataset, Image
from mekiki.learning.selectors import champion
from mekiki.review.finding import filter_images, filters_of_query


def images_of_view(dataset: Dataset, user: User, query: str) -> QuerySet[Image]:
    """Return the images that match the filters of a view now, with the rights of an admin.

    user: who began the act as an admin of the dataset. Raises InvalidAnswerError if a filter has a value that
    does not exist any more.
    """
    asked = filters_of_query(dataset, user, query, as_admin=True)
    return filter_images(dataset, champion(dataset), asked)
