"""Access to plans of certificates on behalf of a user."""

from django.http import Http404

from mekiki.accounts.models import Role, User
from mekiki.datasets.access import dataset_for
from mekiki.datasets.models import Dataset
from mekiki.quality.models import CertificatePlan


def plan_for(user: User, slug: str, number: int) -> CertificatePlan:
    """Return a plan of a dataset by its number, for the admins of the dataset.

    Raises Http404 or PermissionDenied as dataset_for does, and Http404 if there is no such plan.
    """
    dataset = dataset_for(user, slug, Role.ADMIN)
    plan = plan_numbered(dataset, number)
    if plan is None:
        raise Http404
    return plan


def newest_open_plans(dataset: Dataset, limit: int = 5) -> list[CertificatePlan]:
    """Return the newest plans from which no certificate was started, newest first."""
    return list(CertificatePlan.objects.filter(dataset=dataset, certificate=None)[:limit])


def plan_numbered(dataset: Dataset, number: int) -> CertificatePlan | None:
    """Return a plan of a dataset by its number, or None."""
    rows = CertificatePlan.objects.filter(dataset=dataset)
    rows = rows.select_related("job", "head", "batch", "certificate").defer("head__weights")
    plan = rows.filter(number=number).first() if number < 2**31 else None
    if plan is not None:
        plan.dataset = dataset
    return plan
