"""The review API of the station: next, answer, undo, renew and release, for reviewers of the dataset.

Every call answers 404 to a user without a role, 403 to a viewer, 409 if the state forbids it and 422 if it is
malformed.
"""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse
from ninja import Router, Schema
from pydantic import AfterValidator, Field

from mekiki.accounts.access import includes_role
from mekiki.accounts.http import user_of
from mekiki.accounts.models import Role
from mekiki.api.errors import ErrorOut
from mekiki.datasets.access import dataset_for
from mekiki.datasets.models import Dataset
from mekiki.review import selectors, services
from mekiki.review.blinding import neutral_name
from mekiki.review.services import LeasedItem

router = Router(tags=["review"])

Id = Annotated[int, Field(ge=1, lt=2**63, strict=True)]
ERRORS = dict.fromkeys((401, 403, 404, 409, 422), ErrorOut)


def _storable(text: str) -> str:
    """Return the text if PostgreSQL can store it: without NUL and without half of a surrogate pair."""
    if "\x00" in text or any(0xD800 <= ord(c) <= 0xDFFF for c in text):
        raise ValueError("no text")
    return text


class NextIn(Schema):
    """How many images to hold at once."""

    count: int = Field(1, ge=1, le=5)


class ImageOut(Schema):
    """An image to judge. Asked about blind, it has a neutral name and no metadata."""

    sha256: str
    name: str
    url: str
    thumb_url: str
    width: int
    height: int
    metadata: dict[str, Any]


class PredictionOut(Schema):
    """What the head in use says of the image, as it is shown. Absent when the image is asked about blind."""

    label: int
    name: str
    confidence: float
    calibrated: bool
    runner_up: int | None
    head: int


class ItemOut(Schema):
    """A queue item in the reviewer's hands."""

    item: int
    lease: int
    expires_at: datetime
    image: ImageOut
    blind: bool
    prediction: PredictionOut | None


class EmptyOut(Schema):
    """Why there is no image, and where to go."""

    code: str
    text: str
    url: str
    link: str
    progress: float | None
    may_undo: bool


class NextOut(Schema):
    """What to ask the reviewer next."""

    items: list[ItemOut]
    waiting: int
    answered_today: int
    empty: EmptyOut | None


class AnswerIn(Schema):
    """One answer. `client_key` is the sender's own: sent again, the answer is recorded once.

    `milliseconds`: how long the image was on the screen; \
too short to be seen, the answer is refused (not_seen).
    """

    item: Id
    lease: Id
    kind: Literal["confirm", "correct", "skip", "flag"]
    label: Id | None = None
    note: Annotated[str, Field(max_length=2000), AfterValidator(_storable)] = ""
    client_key: UUID
    milliseconds: int | None = Field(None, ge=0, lt=2**31)


class AnswerOut(Schema):
    """What was recorded. `late`: kept as a decision, because the hold had run out."""

    decision: int
    kind: str
    label: int | None
    late: bool
    duplicate: bool
    waiting: int


class UndoIn(Schema):
    """One undo of the reviewer's latest answer; `client_key` as in an answer."""

    client_key: UUID


class UndoOut(Schema):
    """The undo, and the image again when it still needs a decision."""

    decision: int
    undone: str
    duplicate: bool
    item: ItemOut | None


class LeasesIn(Schema):
    """Holds of the reviewer."""

    leases: list[Id] = Field(max_length=100)


class RenewedOut(Schema):
    """A hold that goes on."""

    lease: int
    expires_at: datetime


class RenewOut(Schema):
    """The holds that go on; the others were lost."""

    renewed: list[RenewedOut]


class ReleaseOut(Schema):
    """How many holds ended."""

    released: int


def dataset_for_review(request: HttpRequest, slug: str) -> Dataset:
    return dataset_for(user_of(request), slug, Role.REVIEWER)


def item_out(dataset: Dataset, leased: LeasedItem) -> dict[str, Any]:
    image, predicted = leased.item.image, leased.prediction
    return {
        "item": leased.item.pk,
        "lease": leased.lease.pk,
        "expires_at": leased.lease.expires_at,
        "image": {
            "sha256": image.sha256,
            "name": neutral_name(image.sha256) if leased.blind else image.name,
            "url": reverse("image-display", args=[dataset.slug, image.sha256]),
            "thumb_url": reverse("image-thumb", args=[dataset.slug, image.sha256]),
            "width": image.width,
            "height": image.height,
            "metadata": {} if leased.blind else image.metadata,
        },
        "blind": leased.blind,
        "prediction": predicted
        and {
            "label": predicted["label"],
            "name": predicted["label_name"],
            "confidence": predicted["confidence"],
            "calibrated": predicted["calibrated"],
            "runner_up": predicted["runner_up"],
            "head": predicted["head"],
        },
    }


@router.post(
    "/{slug:slug}/review/next",
    response={200: NextOut, **ERRORS},
    url_name="review-next",
    summary="Images to judge",
)
def next_items(request: HttpRequest, slug: str, body: NextIn) -> dict[str, Any]:
    """Hold up to `count` images: first those held already, then the next free ones."""
    dataset = dataset_for_review(request, slug)
    leased = services.next_items(dataset=dataset, user=user_of(request), count=body.count)
    waiting = selectors.waiting_count(dataset)
    empty = None
    if not leased:
        services.request_refill(dataset=dataset, waiting=waiting)
        empty = selectors.empty_queue_reason(dataset, user_of(request))
    may_act = includes_role(dataset.role, Role.ADMIN)
    return {
        "items": [item_out(dataset, one) for one in leased],
        "waiting": waiting,
        "answered_today": selectors.answered_today(dataset, user_of(request)),
        "empty": empty
        and {
            "code": empty.code,
            "text": empty.text,
            "url": reverse(empty.url_name, args=[dataset.slug]) if empty.url_name and may_act else "",
            "link": empty.link if may_act else "",
            "progress": empty.progress,
            "may_undo": selectors.can_undo(dataset, user_of(request)),
        },
    }


@router.post(
    "/{slug:slug}/review/answer",
    response={200: AnswerOut, **ERRORS},
    url_name="review-answer",
    summary="Answer",
)
def answer(request: HttpRequest, slug: str, body: AnswerIn) -> dict[str, Any]:
    """Record an answer, once for each client_key. A late one is kept as a decision."""
    dataset = dataset_for_review(request, slug)
    decision = services.answer(
        dataset=dataset,
        user=user_of(request),
        item_id=body.item,
        lease_id=body.lease,
        kind=body.kind,
        label=body.label,
        note=body.note,
        client_key=body.client_key,
        milliseconds=body.milliseconds,
    )
    return {
        "decision": decision.pk,
        "kind": decision.kind,
        "label": decision.label_id,
        "late": decision.late,
        "duplicate": decision.duplicate,
        "waiting": selectors.waiting_count(dataset),
    }


@router.post(
    "/{slug:slug}/review/undo",
    response={200: UndoOut, **ERRORS},
    url_name="review-undo",
    summary="Undo the last answer",
)
def undo(request: HttpRequest, slug: str, body: UndoIn) -> dict[str, Any]:
    """Take back the reviewer's latest answer that stands; its image comes back first."""
    dataset = dataset_for_review(request, slug)
    decision = services.undo(dataset=dataset, user=user_of(request), client_key=body.client_key)
    held = services.held_item(dataset=dataset, user=user_of(request), image_id=decision.image_id)
    return {
        "decision": decision.pk,
        "undone": decision.shown["undone"],
        "duplicate": decision.duplicate,
        "item": held and item_out(dataset, held),
    }


@router.post(
    "/{slug:slug}/review/renew",
    response={200: RenewOut, **ERRORS},
    url_name="review-renew",
    summary="Keep holding",
)
def renew(request: HttpRequest, slug: str, body: LeasesIn) -> dict[str, Any]:
    """Prolong holds that have not run out."""
    dataset = dataset_for_review(request, slug)
    kept = services.renew(dataset=dataset, user=user_of(request), lease_ids=body.leases)
    return {"renewed": [{"lease": lease.pk, "expires_at": lease.expires_at} for lease in kept]}


@router.post(
    "/{slug:slug}/review/release",
    response={200: ReleaseOut, **ERRORS},
    url_name="review-release",
    summary="Give back",
)
def release(request: HttpRequest, slug: str, body: LeasesIn) -> dict[str, Any]:
    """End holds that will not be answered, so that others get the images at once."""
    dataset = dataset_for_review(request, slug)
    ended = services.release(dataset=dataset, user=user_of(request), lease_ids=body.leases)
    return {"released": ended}
