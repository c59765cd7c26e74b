"""The only way to get an object of the review on behalf of a user."""

from django.http import Http404

from mekiki.accounts.models import Role, User
from mekiki.datasets.access import dataset_for
from mekiki.review.models import QueueItem


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
