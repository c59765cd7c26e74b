"""The life of a dataset, for programs: rename, describe, archive, restore, delete."""

from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _
from ninja import Field, Router, Schema

from mekiki.accounts.http import user_of
from mekiki.accounts.models import Role
from mekiki.api.errors import ErrorOut
from mekiki.datasets import services
from mekiki.datasets.access import archived_dataset_for, archived_datasets, dataset_for
from mekiki.datasets.models import Dataset

router = Router(tags=["datasets"])
archived = Router(tags=["datasets"])

ERRORS = dict.fromkeys((401, 403, 404, 422), ErrorOut)


class DatasetOut(Schema):
    """A dataset. `archived_at`: it is hidden. `deleted_at`: its files are removed after `purged_after`, \
and until then it can be restored. The times are null where they do not apply."""

    slug: str
    name: str
    description: str
    archived_at: str | None
    deleted_at: str | None
    purged_after: str | None


class DatasetChangeIn(Schema):
    """What to change. What is left out, or null, stays."""

    name: str | None = Field(None, max_length=1000)
    description: str | None = Field(None, max_length=20_000)
    slug: str | None = Field(None, max_length=200, description="The address. The old one redirects to it.")


class NamedIn(Schema):
    """The confirmation of an act: the name of the dataset."""

    name: str = Field(max_length=1000)


def _out(dataset: Dataset) -> dict[str, Any]:
    times = {
        "archived_at": dataset.archived_at,
        "deleted_at": dataset.deleted_at,
        "purged_after": services.purge_time(dataset),
    }
    return {
        **{name: getattr(dataset, name) for name in ("slug", "name", "description")},
        **{name: None if at is None else at.isoformat() for name, at in times.items()},
    }


@router.patch(
    "/{slug:slug}",
    response={200: DatasetOut, **ERRORS},
    url_name="dataset-change",
    summary="Rename or describe a dataset, or change its address",
)
def change_dataset(request: HttpRequest, slug: str, body: DatasetChangeIn) -> dict[str, Any]:
    """For admins of the dataset. All changes are made, or none."""
    user = user_of(request)
    dataset = dataset_for(user, slug, Role.ADMIN)
    texts = {
        name: _text(value) for name in ("name", "description") if (value := getattr(body, name)) is not None
    }
    with transaction.atomic():
        dataset = services.update_settings(dataset=dataset, user=user, **texts) if texts else dataset
        if body.slug is not None:
            dataset = services.change_address(dataset=dataset, user=user, slug=body.slug)
    return _out(dataset)


def _text(value: str) -> str:
    """Return a text without spaces around it. Raises ValidationError for what is no text of the database."""
    text = value.strip()
    if not "".join(text.split()).isprintable():
        raise ValidationError(_("A text has characters that cannot be shown. Nothing was changed."))
    return text


@router.post(
    "/{slug:slug}/archive",
    response={200: DatasetOut, **ERRORS},
    url_name="dataset-archive",
    summary="Archive a dataset",
)
def archive_dataset(request: HttpRequest, slug: str) -> dict[str, Any]:
    """For admins of the dataset. It is hidden and its jobs stop. Nothing is deleted."""
    user = user_of(request)
    dataset = dataset_for(user, slug, Role.ADMIN)
    services.archive_dataset(dataset=dataset, user=user)
    dataset.refresh_from_db()
    return _out(dataset)


@router.post(
    "/{slug:slug}/delete",
    response={200: DatasetOut, **ERRORS},
    url_name="dataset-delete",
    summary="Delete a dataset",
)
def delete_dataset(request: HttpRequest, slug: str, body: NamedIn) -> dict[str, Any]:
    """For admins of the dataset. It needs the name of the dataset. It can be restored for 30 days."""
    user = user_of(request)
    dataset = dataset_for(user, slug, Role.ADMIN)
    return _out(services.delete_dataset(dataset=dataset, user=user, name=body.name))


@archived.get(
    "",
    response={200: list[DatasetOut], **ERRORS},
    url_name="archived-datasets",
    summary="Archived and deleted datasets",
)
def list_archived(request: HttpRequest) -> list[dict[str, Any]]:
    """Those of which the user is an admin, newest first, until their files are removed."""
    return [_out(dataset) for dataset in archived_datasets(user_of(request)).order_by("-archived_at", "-pk")]


@archived.post(
    "/{slug:slug}/restore",
    response={200: DatasetOut, **ERRORS},
    url_name="archived-restore",
    summary="Restore a dataset",
)
def restore_dataset(request: HttpRequest, slug: str) -> dict[str, Any]:
    """For admins of the dataset. Refused once the removal of its files has begun."""
    user = user_of(request)
    return _out(services.restore_dataset(dataset=archived_dataset_for(user, slug), user=user))


@archived.post(
    "/{slug:slug}/delete",
    response={200: DatasetOut, **ERRORS},
    url_name="archived-delete",
    summary="Delete an archived dataset",
)
def delete_archived(request: HttpRequest, slug: str, body: NamedIn) -> dict[str, Any]:
    """For admins of the dataset. It needs the name of the dataset. It can be restored for 30 days."""
    user = user_of(request)
    return _out(services.delete_dataset(dataset=archived_dataset_for(user, slug), user=user, name=body.name))
