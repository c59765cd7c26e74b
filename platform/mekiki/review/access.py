"""The only way to get an object of the review, or a reviewer, on behalf of a user."""

from django.http import Http404

from mekiki.accounts.access import includes_role
from mekiki.accounts.models import Membership, Role, User
from mekiki.datasets.access import dataset_for
from mekiki.datasets.models import Dataset
from mekiki.review.models import BulkAct, Decision, QueueItem, SavedView


def item_for(user: User, slug: str, item_id: int, role: str = Role.REVIEWER) -> QueueItem:
    """Return a queue item of a dataset, with its image.

    Raises the same errors as dataset_for, and Http404 if there is no such item.
    """
    dataset = dataset_for(user, slug, role)
    rows = QueueItem.objects.filter(dataset=dataset).select_related("image")
    item = rows.filter(pk=item_id).first() if item_id < 2**63 else None
    if item is None:
        raise Http404
    item.dataset = dataset
    return item


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


def view_for(user: User, slug: str, pk: int, role: str = Role.VIEWER) -> SavedView:
    """Return a saved view of a dataset.

    Raises the same errors as dataset_for, and Http404 if there is no such view.
    """
    dataset = dataset_for(user, slug, role)
    view = SavedView.objects.filter(dataset=dataset, pk=pk).first() if pk < 2**63 else None
    if view is None:
        raise Http404
    view.dataset = dataset
    return view


def bulk_act_for(user: User, slug: str, pk: int) -> BulkAct:
    """Return an act on many images of a dataset, for its admins.

    Raises the same errors as dataset_for, and Http404 if there is no such act.
    """
    dataset = dataset_for(user, slug, Role.ADMIN)
    act = BulkAct.objects.filter(dataset=dataset, pk=pk).first() if pk < 2**63 else None
    if act is None:
        raise Http404
    return act
