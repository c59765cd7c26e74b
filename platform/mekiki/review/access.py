"""The only way to get a reviewer on behalf of a user."""

from django.http import Http404

from mekiki.accounts.access import includes_role
from mekiki.accounts.models import Membership, Role, User
from mekiki.datasets.access import dataset_for
from mekiki.datasets.models import Dataset
from mekiki.review.models import Decision


def reviewer_for(user: User, slug: str, user_id: int) -> tuple[Dataset, User]:
    """Return a dataset and one of its reviewers, whose measures the user may see.

    Admins of the dataset see all reviewers, also former ones, and other users only themselves. Raises the
    same errors as dataset_for, and Http404 for everybody else and for people who never reviewed the dataset.
    """
    dataset = dataset_for(user, slug)
    if user_id != user.pk and not includes_role(dataset.role, Role.ADMIN):
        raise Http404
    reviewer = User.objects.filter(pk=user_id).first() if user_id < 2**63 else None
    if reviewer is None or not reviews(dataset, reviewer):
        raise Http404
    return dataset, reviewer


def reviews(dataset: Dataset, user: User) -> bool:
    """Return whether a user may review the dataset as a member, or has a decision in it."""
    members = Membership.objects.filter(dataset=dataset, user=user).exclude(role=Role.VIEWER)
    return members.exists() or Decision.objects.filter(dataset=dataset, user=user).exists()
