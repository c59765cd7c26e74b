"""Saved views of the gallery, and acts on many images, for programs."""

from typing import Any, Literal

from django.http import HttpRequest
from django.urls import reverse
from ninja import Field, Router, Schema, Status

from mekiki.accounts.http import user_of
from mekiki.accounts.models import Role
from mekiki.api.errors import ErrorOut
from mekiki.datasets.access import dataset_for
from mekiki.review import services
from mekiki.review.access import bulk_act_for, view_for
from mekiki.review.models import BulkAct, SavedView

router = Router(tags=["images"])

ERRORS = dict.fromkeys((401, 403, 404, 409, 422), ErrorOut)


class SavedViewIn(Schema):
    """A saved view: a name, and the query string of the gallery."""

    name: str = Field(max_length=200)
    query: str = Field(max_length=20_000, description="Filters of the gallery, as in its address.")


class SavedViewOut(Schema):
    """A saved view of the gallery."""

    id: int
    name: str
    query: str
    url: str


class BulkActIn(Schema):
    """An act on images: those of a list, of a saved view, or of filters. One of the three is needed."""

    act: Literal["queue", "tag", "untag", "exclude", "include"]
    tag: str = Field("", max_length=200)
    reason: str = Field("", max_length=300, description="Of the act exclude.")
    images: list[int] | None = Field(None, max_length=1000, description="Ids of images.")
    view: int | None = Field(None, ge=1, le=2**63 - 1, description="Id of a saved view.")
    query: str = Field("", max_length=20_000, description="Filters of the gallery, as in its address.")


class BulkActOut(Schema):
    """An act and how many images it has changed so far. \
`left_out`: images that must be judged blind first. \
`audited`: images of the audit sample, which are not excluded."""

    id: int
    act: str
    finished: bool
    changed: int
    unchanged: int
    left_out: int
    audited: int


def _view_out(view: SavedView, slug: str) -> dict[str, Any]:
    url = reverse("gallery-view", args=[slug, view.pk])
    return {"id": view.pk, "name": view.name, "query": view.query, "url": url}


def _act_out(act: BulkAct) -> dict[str, Any]:
    facts = {name: getattr(act, name) for name in ("act", "changed", "unchanged", "left_out", "audited")}
    return {"id": act.pk, "finished": act.finished_at is not None, **facts}


@router.get(
    "/{slug:slug}/views",
    response={200: list[SavedViewOut], **ERRORS},
    url_name="views",
    summary="Saved views",
)
def list_views(request: HttpRequest, slug: str) -> list[dict[str, Any]]:
    """For members of the dataset."""
    dataset = dataset_for(user_of(request), slug)
    return [_view_out(view, slug) for view in SavedView.objects.filter(dataset=dataset)]


@router.post(
    "/{slug:slug}/views",
    response={201: SavedViewOut, **ERRORS},
    url_name="views",
    summary="Save a view",
)
def add_view(request: HttpRequest, slug: str, body: SavedViewIn) -> Status[Any]:
    """For reviewers. Order and page are left out."""
    user = user_of(request)
    view = services.save_view(
        dataset=dataset_for(user, slug, Role.REVIEWER), user=user, name=body.name, query=body.query
    )
    return Status(201, _view_out(view, slug))


@router.delete(
    "/{slug:slug}/views/{int:pk}", response={204: None, **ERRORS}, url_name="view", summary="Delete a view"
)
def remove_view(request: HttpRequest, slug: str, pk: int) -> Status[Any]:
    """For admins, and for the user who saved the view. Its images stay."""
    view = view_for(user_of(request), slug, pk, Role.REVIEWER)
    services.delete_view(dataset=view.dataset, user=user_of(request), view=view)
    return Status(204, None)


@router.post(
    "/{slug:slug}/images/acts",
    response={200: BulkActOut, **ERRORS},
    url_name="bulk-acts",
    summary="Act on many images",
)
def add_bulk_act(request: HttpRequest, slug: str, body: BulkActIn) -> dict[str, Any]:
    """For admins. A large act runs in the background; ask for it again by its id."""
    user = user_of(request)
    dataset = dataset_for(user, slug, Role.ADMIN)
    images = services.ImageChoice(
        image_ids=body.images,
        query=body.query,
        view=view_for(user, slug, body.view) if body.view is not None else None,
    )
    return _act_out(
        services.start_bulk_act(
            dataset=dataset, user=user, act=body.act, images=images, tag=body.tag, reason=body.reason
        )
    )


@router.get(
    "/{slug:slug}/images/acts/{int:pk}",
    response={200: BulkActOut, **ERRORS},
    url_name="bulk-act",
    summary="An act on many images",
)
def get_bulk_act(request: HttpRequest, slug: str, pk: int) -> dict[str, Any]:
    """For admins."""
    return _act_out(bulk_act_for(user_of(request), slug, pk))
