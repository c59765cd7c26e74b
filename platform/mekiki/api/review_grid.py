"""The API of the grid review: a page of images with one predicted label, its answers, its undo.

Holds are renewed and given back by the calls of the review station.
"""

from base64 import b64encode
from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from mekiki.accounts.http import user_of
from mekiki.accounts.models import User
from mekiki.api.review import dataset_for_review, empty_out, item_out
from mekiki.api.review_schemas import ERRORS, AnswerReason, EmptyOut, Id, ItemOut, Milliseconds, Note
from mekiki.datasets import storage
from mekiki.datasets.models import Dataset
from mekiki.review import selectors, services
from mekiki.review.grid import describe_undo, empty_grid_reason
from mekiki.review.services import GridPage, LeasedItem, TileAnswer

router = Router(tags=["review"])


class GridNextIn(Schema):
    """Which page to hold: the images predicted as `label`; without it, the label with most images.

    `inline`: each `thumb_url` holds the thumbnail itself (a data URL). This spares a request for each image.
    """

    label: Id | None = None
    count: int = Field(24, ge=services.MIN_TILES, le=services.MAX_TILES, strict=True)
    inline: Annotated[bool, Field(strict=True)] = False


class GridLabelOut(Schema):
    """A label with the number of images that the reviewer can see in the grid."""

    label: int
    name: str
    waiting: int


class GridNextOut(Schema):
    """A page of images, the least typical first.

    `needed_ms`: how long to look at it before an answer.
    """

    label: int | None
    tiles: list[ItemOut]
    needed_ms: int
    labels: list[GridLabelOut]
    waiting: int
    answered_today: int
    empty: EmptyOut | None


class TileIn(Schema):
    """The answer about one image of the page."""

    item: Id
    lease: Id
    kind: Literal["confirm", "correct", "skip", "flag"]
    label: Id | None = None
    reason: AnswerReason = ""
    note: Note = ""


class GridAnswerIn(Schema):
    """The answers about a page. `page` is the sender's own: sent again, the page is recorded once.

    `milliseconds`: how long the images were on the screen; \
too short to be seen, the page is refused (not_seen). `next`: hold the next page in the same request.
    """

    page: UUID
    milliseconds: Milliseconds
    tiles: list[TileIn] = Field(min_length=1, max_length=services.MAX_TILES)
    next: GridNextIn | None = None


class TileOut(Schema):
    """What became of the answer about one image. `code` and `detail`: why nothing was recorded for it."""

    item: int
    decision: int | None
    kind: str
    label: int | None
    late: bool
    duplicate: bool
    code: str
    detail: str


class GridAnswerOut(Schema):
    """What became of the page, in the order of its images.

    `next`: the page that was asked for with the answers, or null if none was, or if that failed.
    """

    tiles: list[TileOut]
    waiting: int
    next: GridNextOut | None


class GridUndoIn(Schema):
    """One undo of the reviewer's latest page; `client_key` as in an answer."""

    client_key: UUID


class GridUndoOut(Schema):
    """How many answers were undone, and the label that was predicted for their images.

    `returned`: images that are leased to the reviewer again. `kept`: answers that stay, because an admin has
    acted on their images. `ruled`: images whose label stays, because an adjudicator has ruled on them. `text`
    says the same.
    """

    undone: int
    returned: int
    kept: int
    ruled: int
    label: int | None
    text: str
    duplicate: bool


@router.post(
    "/{slug:slug}/review/grid/next",
    response={200: GridNextOut, **ERRORS},
    url_name="review-grid-next",
    summary="A page of images to judge",
)
def next_page(request: HttpRequest, slug: str, body: GridNextIn) -> dict[str, Any]:
    """Hold up to `count` images with one predicted label. Images of the audit are never among them."""
    dataset = dataset_for_review(request, slug)
    user = user_of(request)
    page = services.next_page(dataset=dataset, user=user, label_id=body.label, count=body.count)
    return _page_out(dataset, user, page, inline=body.inline)


def _page_out(dataset: Dataset, user: User, page: GridPage, *, inline: bool) -> dict[str, Any]:
    waiting = selectors.waiting_count(dataset, user)
    empty = None
    if not page.tiles:
        services.request_refill(dataset=dataset, waiting=waiting)
        empty = empty_grid_reason(dataset, user)
    return {
        "label": page.label and page.label.label,
        "tiles": [_tile_out(dataset, tile, inline=inline) for tile in page.tiles],
        "needed_ms": services.needed_ms(dataset, len(page.tiles)),
        "labels": [vars(label) for label in page.labels],
        "waiting": waiting,
        "answered_today": selectors.answered_today(dataset, user),
        "empty": empty and empty_out(dataset, user, empty),
    }


def _tile_out(dataset: Dataset, tile: LeasedItem, *, inline: bool) -> dict[str, Any]:
    shown = item_out(dataset, tile)
    if inline:
        image = tile.item.image
        try:
            with storage.open_named(storage.thumb_name(image.dataset_id, image.sha256)) as file:
                encoded = b64encode(file.read()).decode()
        except FileNotFoundError:
            return shown  # The browser asks for it and shows why it is missing.
        shown["image"]["thumb_url"] = f"data:image/webp;base64,{encoded}"
    return shown


@router.post(
    "/{slug:slug}/review/grid/answer",
    response={200: GridAnswerOut, **ERRORS},
    url_name="review-grid-answer",
    summary="Answer a page",
)
def answer_page(request: HttpRequest, slug: str, body: GridAnswerIn) -> dict[str, Any]:
    """Record all answers of a page at once, each as its own decision, once for each `page`.

    With `next`, a page is held as by review/grid/next. The answers are kept even if that fails.
    """
    dataset, user = dataset_for_review(request, slug), user_of(request)
    results = services.answer_page(
        dataset=dataset,
        user=user,
        page=body.page,
        milliseconds=body.milliseconds,
        tiles=[TileAnswer(**tile.dict()) for tile in body.tiles],
    )
    wanted = body.next
    following = wanted and services.page_after_answers(
        dataset=dataset, user=user, label_id=wanted.label, count=wanted.count
    )
    page = following and wanted and _page_out(dataset, user, following, inline=wanted.inline)
    return {
        "tiles": [
            {
                "item": result.item,
                "decision": result.decision and result.decision.pk,
                "kind": result.decision.kind if result.decision else "",
                "label": result.decision and result.decision.label_id,
                "late": bool(result.decision and result.decision.late),
                "duplicate": bool(result.decision and result.decision.duplicate),
                "code": result.error.code if result.error else "",
                "detail": result.error.message if result.error else "",
            }
            for result in results
        ],
        "waiting": page["waiting"] if page else selectors.waiting_count(dataset, user),
        "next": page,
    }


@router.post(
    "/{slug:slug}/review/grid/undo",
    response={200: GridUndoOut, **ERRORS},
    url_name="review-grid-undo",
    summary="Undo the last page",
)
def undo_page(request: HttpRequest, slug: str, body: GridUndoIn) -> dict[str, Any]:
    """Take back the answers of the reviewer's latest page that stand; its images come back first."""
    dataset = dataset_for_review(request, slug)
    page = services.undo_page(dataset=dataset, user=user_of(request), client_key=body.client_key)
    return {
        "undone": len(page.undos),
        "returned": page.returned,
        "kept": page.kept,
        "ruled": page.ruled,
        "label": page.label,
        "text": describe_undo(page),
        "duplicate": page.duplicate,
    }
