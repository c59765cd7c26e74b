"""A training without the images of a saved view, a filter or a selection of the gallery."""

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.datasets.models import Dataset
from mekiki.learning.models import TrainingRun
from mekiki.learning.services import LeftOutView, request_training
from mekiki.review.finding import filters_of_query, query_of_filters
from mekiki.review.models import SavedView


def train_without_view(*, dataset: Dataset, user: User, view: SavedView) -> TrainingRun:
    """Start a training without the images that match a saved view when the job begins.

    Run and head name the view and its filters. Later trainings use its images again. Raises PermissionDenied
    unless the user is an admin of the dataset. Raises InvalidAnswerError if a filter of the view has a value
    that does not exist any more, and ValidationError as request_training does.
    """
    require_role(user, dataset, Role.ADMIN)
    filters_of_query(dataset, user, view.query)
    return request_training(
        dataset=dataset,
        trigger=TrainingRun.Trigger.BUTTON,
        user=user,
        without=LeftOutView(view.name, view.query),
    )


def train_without_images(*, dataset: Dataset, user: User, query: str) -> TrainingRun:
    """Start a training without the images of a query string of the gallery: a filter or a selection.

    The query string is kept with run and head. Otherwise it is the same as train_without_view. Raises
    PermissionDenied unless the user is an admin of the dataset, InvalidAnswerError as query_of_filters does,
    and ValidationError as request_training does.
    """
    require_role(user, dataset, Role.ADMIN)
    left_out = LeftOutView("", query_of_filters(dataset, user, query))
    return request_training(dataset=dataset, trigger=TrainingRun.Trigger.BUTTON, user=user, without=left_out)
