"""Access to label sets on behalf of a user. Views and the API get a label set only from here."""

from django.http import Http404

from mekiki.accounts.models import Role, User
from mekiki.datasets.access import dataset_for
from mekiki.exports.models import LabelSet


def label_set_for(user: User, slug: str, version: int, role: str = Role.VIEWER) -> LabelSet:
    """Return a label set of a dataset by its version.

    Raises Http404 or PermissionDenied as dataset_for does, and Http404 if there is no such version.
    """
    dataset = dataset_for(user, slug, role)
    label_set = (
        LabelSet.objects.filter(dataset=dataset, version=version).select_related("job", "created_by").first()
    )
    if label_set is None:
        raise Http404
    label_set.dataset = dataset
    return label_set
