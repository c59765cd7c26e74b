"""Quotas: the amounts that a dataset and the platform store, and their limits."""

from typing import Any

from django.http import HttpRequest
from ninja import Field, Router, Schema

from mekiki.accounts.access import require_platform_admin
from mekiki.accounts.http import user_of
from mekiki.accounts.models import Role
from mekiki.api.errors import ErrorOut
from mekiki.datasets import quotas, services
from mekiki.datasets.access import dataset_for
from mekiki.datasets.services.quotas import LARGEST

of_dataset = Router(tags=["quotas"])
of_platform = Router(tags=["quotas"])

ERRORS = dict.fromkeys((401, 403, 404, 422), ErrorOut)


class AmountOut(Schema):
    """What is stored. `limit` and `left` are null where there is no limit."""

    used: int
    limit: int | None
    left: int | None


class QuotaOut(Schema):
    """Images and the bytes of their original files. Thumbnails and display files come on top."""

    images: AmountOut
    bytes: AmountOut


class QuotaIn(Schema):
    """Both limits; null takes a limit away."""

    max_images: int | None = Field(..., ge=1, le=LARGEST)
    max_bytes: int | None = Field(..., ge=1, le=LARGEST)


@of_dataset.get(
    "/{slug}/quota",
    response={200: QuotaOut, **ERRORS},
    url_name="dataset-quota",
    summary="What a dataset stores and may store",
)
def dataset_quota(request: HttpRequest, slug: str) -> dict[str, Any]:
    """For admins of the dataset."""
    return quotas.dataset_quota(dataset_for(user_of(request), slug, Role.ADMIN))


@of_dataset.put(
    "/{slug}/quota",
    response={200: QuotaOut, **ERRORS},
    url_name="dataset-quota",
    summary="Limit what a dataset may store",
)
def set_dataset_quota(request: HttpRequest, slug: str, body: QuotaIn) -> dict[str, Any]:
    """For admins of the platform. Nothing is removed when the dataset stores more already."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    row = services.set_dataset_limits(dataset=dataset, user=user_of(request), **body.dict())
    return quotas.dataset_quota(row)


@of_platform.get(
    "",
    response={200: QuotaOut, **ERRORS},
    url_name="quota",
    summary="What all datasets store and may store together",
)
def platform_quota(request: HttpRequest) -> dict[str, Any]:
    """For admins of the platform."""
    require_platform_admin(user_of(request))
    return quotas.platform_quota()


@of_platform.put(
    "",
    response={200: QuotaOut, **ERRORS},
    url_name="quota",
    summary="Limit what all datasets may store together",
)
def set_platform_quota(request: HttpRequest, body: QuotaIn) -> dict[str, Any]:
    """For admins of the platform. Nothing is removed when more is stored already."""
    services.set_platform_limits(user=user_of(request), **body.dict())
    return quotas.platform_quota()
