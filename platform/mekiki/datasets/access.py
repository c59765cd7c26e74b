"""The only way to get a dataset, or anything in it, on behalf of a user.

What a user may not see does not exist (404). What a member sees but may not do is refused (403).
"""

from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404
from django.utils.translation import gettext as _

from mekiki.accounts.access import at_least, role_in
from mekiki.accounts.models import Role, User
from mekiki.datasets.models import Dataset, Image, ImportBatch, PixelWindow
from mekiki.jobs.models import Job


class DatasetMoved(Http404):
    """The dataset has another address now; the user may see it. Middleware and the API redirect there."""

    def __init__(self, old: str, new: str) -> None:
        super().__init__(f"{old} is {new} now")
        self.old, self.new = old, new


def visible_datasets(user: User) -> QuerySet[Dataset]:
    """The datasets a user is a member of; all of them for the platform's admins."""
    datasets = Dataset.objects.filter(archived_at__isnull=True)
    return datasets if user.is_superuser else datasets.filter(memberships__user=user)


def _first(rows: QuerySet[Any], **named: str) -> Any:
    """The row that an address names. PostgreSQL's text holds no NUL, so nothing is named with one."""
    return None if any("\0" in name for name in named.values()) else rows.filter(**named).first()


def dataset_for(user: User, slug: str, role: str = Role.VIEWER) -> Dataset:
    """The dataset, with the user's role as `dataset.role`.

    Http404: it does not exist, or the user is no member; DatasetMoved: it has another address now.
    PermissionDenied: the member's role is too low.
    """
    rows = Dataset.objects.filter(archived_at__isnull=True)
    dataset = _first(rows, slug=slug) or _first(rows, addresses__slug=slug)
    held = role_in(user, dataset) if dataset is not None else None
    if dataset is None or held is None:
        raise Http404
    if dataset.slug != slug:
        raise DatasetMoved(slug, dataset.slug)
    if not at_least(held, role):
        raise PermissionDenied(
            _("This needs the role “%(needed)s” in this dataset; yours is “%(held)s”.")
            % {"needed": Role(role).label, "held": Role(held).label}
        )
    dataset.role = held
    return dataset


def dataset_at(slug: str) -> Dataset | None:
    """Return the dataset that has or had this address, for commands on the server; None when there is none."""
    rows = Dataset.objects.filter(archived_at__isnull=True)
    return _first(rows, slug=slug) or _first(rows, addresses__slug=slug)


def image_for(user: User, slug: str, sha256: str, role: str = Role.VIEWER) -> Image:
    """An image of a dataset, by its hash. Errors as dataset_for."""
    dataset = dataset_for(user, slug, role)
    image = _first(Image.objects.filter(dataset=dataset), sha256=sha256)
    if image is None:
        raise Http404
    image.dataset = dataset
    return image


def job_for(user: User, job_id: UUID, role: str = Role.VIEWER) -> Job:
    """A job, by its dataset; work of no dataset is seen by the platform's admins only. Errors as dataset_for."""
    job = Job.objects.select_related("dataset").filter(pk=job_id).first()
    if job is None or (job.dataset is None and not user.is_superuser):
        raise Http404
    if job.dataset is not None:
        job.dataset = dataset_for(user, job.dataset.slug, role)
    return job


def import_for(user: User, slug: str, pk: int) -> ImportBatch:
    """An import of a dataset, for its admins. Errors as dataset_for."""
    dataset = dataset_for(user, slug, Role.ADMIN)
    batch = ImportBatch.objects.select_related("created_by").filter(dataset=dataset, pk=pk).first()
    if batch is None:
        raise Http404
    batch.dataset = dataset
    return batch


def window_for(user: User, slug: str, pk: int) -> PixelWindow:
    """A pixel window of a dataset, for its admins. Errors as dataset_for."""
    dataset = dataset_for(user, slug, Role.ADMIN)
    window = PixelWindow.objects.filter(dataset=dataset, pk=pk).first()
    if window is None:
        raise Http404
    window.dataset = dataset
    return window
