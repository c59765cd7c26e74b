"""The only way to get a dataset, or an object in it, on behalf of a user.

An object that the user may not see does not exist (404). An act that the member's role does not allow is
refused (403).
"""

from typing import TypeVar
from uuid import UUID

from django.db.models import Model, OuterRef, QuerySet, Subquery
from django.http import Http404

from mekiki.accounts.access import require_role, role_in, role_of
from mekiki.accounts.models import Membership, Role, User
from mekiki.config.compiled import CompiledQuery, Parameter
from mekiki.datasets.models import Dataset, Image, ImportBatch, PixelWindow, WatchedFolder
from mekiki.datasets.selectors import watched_folders
from mekiki.jobs.models import Job

Row = TypeVar("Row", bound=Model)


class DatasetMovedError(Http404):
    """Http404 that carries the new address of a dataset.

    Raised only if the user may see the dataset. The middleware and the API answer with a redirect.
    """

    def __init__(self, old: str, new: str) -> None:
        super().__init__(f"{old} is {new} now")
        self.old, self.new = old, new


def visible_datasets(user: User) -> QuerySet[Dataset]:
    """Return the datasets of which the user is a member; all datasets for an admin of the platform.

    Archived datasets are left out.
    """
    datasets = Dataset.objects.filter(archived_at__isnull=True)
    return datasets if user.is_superuser else datasets.filter(memberships__user=user)


def archived_datasets(user: User) -> QuerySet[Dataset]:
    """Return the archived and deleted datasets that the user may restore, without purged ones."""
    datasets = Dataset.objects.filter(archived_at__isnull=False, purged_at__isnull=True)
    if user.is_superuser:
        return datasets
    return datasets.filter(memberships__user=user, memberships__role=Role.ADMIN)


def archived_dataset_for(user: User, slug: str) -> Dataset:
    """Return an archived or deleted dataset for its admin. Raises Http404 for everybody else."""
    dataset = _first(archived_datasets(user), slug=slug)
    if dataset is None or not user.is_active:
        raise Http404
    dataset.role, dataset.role_of = Role.ADMIN, user.pk
    return dataset


def _first(rows: QuerySet[Row], **named: str) -> Row | None:
    """Return the row that an address names, or None.

    Text in PostgreSQL holds no NUL character, so a name with one matches no row.
    """
    return None if any("\0" in name for name in named.values()) else rows.filter(**named).first()


def _dataset(slug: Parameter, user_id: Parameter) -> QuerySet[Dataset]:
    """Return the dataset with this address, with the role of the user's membership."""
    roles = Membership.objects.filter(user=user_id, dataset_id=OuterRef("pk")).values("role")
    rows = Dataset.objects.filter(archived_at__isnull=True, slug=slug)
    return rows.annotate(membership_role=Subquery(roles[:1]))


_DATASET = CompiledQuery(_dataset)


def dataset_for(user: User, slug: str, role: str = Role.VIEWER) -> Dataset:
    """Return the dataset, with the user's role as `dataset.role`.

    Raises Http404 if the dataset does not exist or the user is not a member. Raises DatasetMovedError if the
    dataset has another address now. Raises PermissionDenied if the role of the member is too low.
    """
    dataset = None if "\0" in slug else _DATASET.first(slug=slug, user_id=user.pk)
    if dataset is not None:
        held = role_of(user, dataset.membership_role)  # type: ignore[attr-defined]
    else:
        dataset = _first(Dataset.objects.filter(archived_at__isnull=True), addresses__slug=slug)
        held = role_in(user, dataset) if dataset is not None else None
    if dataset is None or held is None:
        raise Http404
    if dataset.slug != slug:
        raise DatasetMovedError(slug, dataset.slug)
    dataset.role, dataset.role_of = held, user.pk
    require_role(user, dataset, role)
    return dataset


def dataset_at(slug: str) -> Dataset | None:
    """Return the dataset that has or had this address, or None. For commands on the server."""
    rows = Dataset.objects.filter(archived_at__isnull=True)
    return _first(rows, slug=slug) or _first(rows, addresses__slug=slug)


def image_for(user: User, slug: str, sha256: str, role: str = Role.VIEWER) -> Image:
    """Return an image of a dataset by its SHA-256.

    Raises the same errors as dataset_for, and Http404 if there is no such image.
    """
    dataset = dataset_for(user, slug, role)
    image = _first(Image.objects.filter(dataset=dataset), sha256=sha256)
    if image is None:
        raise Http404
    image.dataset = dataset
    return image


def job_for(user: User, job_id: UUID, role: str = Role.VIEWER) -> Job:
    """Return a job if the user may see its dataset.

    Only admins of the platform see jobs that belong to no dataset. Raises the same errors as dataset_for.
    """
    job = Job.objects.select_related("dataset").filter(pk=job_id).first()
    if job is None or (job.dataset is None and not user.is_superuser):
        raise Http404
    if job.dataset is not None:
        job.dataset = dataset_for(user, job.dataset.slug, role)
    return job


def import_for(user: User, slug: str, pk: int) -> ImportBatch:
    """Return an import of a dataset, for its admins.

    Raises the same errors as dataset_for, and Http404 if there is no such import.
    """
    dataset = dataset_for(user, slug, Role.ADMIN)
    batch = ImportBatch.objects.select_related("created_by").filter(dataset=dataset, pk=pk).first()
    if batch is None:
        raise Http404
    batch.dataset = dataset
    return batch


def window_for(user: User, slug: str, pk: int) -> PixelWindow:
    """Return a pixel window of a dataset, for its admins.

    Raises the same errors as dataset_for, and Http404 if there is no such window.
    """
    dataset = dataset_for(user, slug, Role.ADMIN)
    window = PixelWindow.objects.filter(dataset=dataset, pk=pk).first()
    if window is None:
        raise Http404
    window.dataset = dataset
    return window


def watched_folder_for(user: User, slug: str, pk: int) -> WatchedFolder:
    """Return a folder that is watched for a dataset, for its admins.

    Raises the same errors as dataset_for, and Http404 if the folder is not watched.
    """
    dataset = dataset_for(user, slug, Role.ADMIN)
    watch = next((watch for watch in watched_folders(dataset) if watch.pk == pk), None)
    if watch is None:
        raise Http404
    watch.dataset = dataset
    return watch
