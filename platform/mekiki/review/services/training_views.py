"""A training without the images of a saved view."""

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.datasets.models import Dataset
from mekiki.learning.models import TrainingRun
from mekiki.learning.services import LeftOutView, request_training
from mekiki.review.finding import filters_of_query
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
