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
from pydantic import AfterValidator, ConfigDict, Field

from mekiki.accounts.access import includes_role
from mekiki.accounts.http import user_of
from mekiki.accounts.models import Role, User
from mekiki.api.errors import ErrorOut
from mekiki.datasets.access import dataset_for
from mekiki.datasets.models import Dataset
from mekiki.labeling.keys import key_of
from mekiki.review import selectors, services
from mekiki.review.adjustments import LEAST, MOST, ViewAdjustments
from mekiki.review.blinding import neutral_name
from mekiki.review.references import guides_of
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
    runner_up_confidence: float | None
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


Factor = Annotated[float, Field(ge=LEAST, le=MOST, allow_inf_nan=False)]


class ViewIn(Schema):
    """How the picture was adjusted on the screen: factors (1 is the original), inverted, one channel."""

    model_config = ConfigDict(extra="forbid")

    brightness: Factor = 1.0
    contrast: Factor = 1.0
    gamma: Factor = 1.0
    invert: Annotated[bool, Field(strict=True)] = False
    channel: Literal["red", "green", "blue"] | None = None


class AnswerIn(Schema):
    """One answer. `client_key` is the sender's own: sent again, the answer is recorded once.

    `reason` says why the image was skipped (unclear, not_in_list, expert, other) or flagged (bad_image,
    wrong_object, duplicate, other); it may be empty. `milliseconds`: how long the image was on the screen; \
too short to be seen, the answer is refused (not_seen).
    `view`: how the picture was adjusted on the screen, null for the original.
    `next`: how many images to hold afterwards.
    """

    item: Id
    lease: Id
    kind: Literal["confirm", "correct", "skip", "flag"]
    label: Id | None = None
    reason: Literal[
        "", "unclear", "not_in_list", "expert", "bad_image", "wrong_object", "duplicate", "other"
    ] = ""
    note: Annotated[str, Field(max_length=2000), AfterValidator(_storable)] = ""
    client_key: UUID
    milliseconds: int | None = Field(None, ge=0, lt=2**31)
    view: ViewIn | None = None
    next: int | None = Field(None, ge=1, le=5)


class FollowingOut(Schema):
    """The images to judge after an answer, those held already first."""

    items: list[ItemOut]
    empty: EmptyOut | None


class AnswerOut(Schema):
    """What was recorded. `late`: kept as a decision, because the hold had run out.

    `next` is null if it was not asked for, or if no image could be held; ask for the next images then.
    """

    decision: int
    kind: str
    label: int | None
    late: bool
    duplicate: bool
    waiting: int
    next: FollowingOut | None = None


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
    """The holds that go on; the others were lost. `answered_today` as in review/next."""

    renewed: list[RenewedOut]
    answered_today: int


class ReleaseOut(Schema):
    """How many holds ended."""

    released: int


class ReferenceOut(Schema):
    """An image that shows what a label includes (accepted), or what it does not include."""

    url: str
    width: int
    height: int
    accepted: bool
    note: str


class GuideOut(Schema):
    """The guideline and the reference images of a label. `key`: its key in the station, if it has one."""

    id: int
    name: str
    key: int | None
    guideline: str
    references: list[ReferenceOut]


class GuidesOut(Schema):
    """The guides of all labels in use, in the order of the labels."""

    labels: list[GuideOut]


def _dataset_for_review(request: HttpRequest, slug: str) -> Dataset:
    return dataset_for(user_of(request), slug, Role.REVIEWER)


def _item(dataset: Dataset, leased: LeasedItem) -> dict[str, Any]:
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
            # Leases of an earlier version do not have it.
            "runner_up_confidence": predicted.get("runner_up_confidence"),
            "head": predicted["head"],
        },
    }


def _following(
    dataset: Dataset, user: User, leased: list[LeasedItem], empty: selectors.EmptyQueue | None
) -> dict[str, Any]:
    may_act = includes_role(dataset.role, Role.ADMIN)
    return {
        "items": [_item(dataset, one) for one in leased],
        "empty": empty
        and {
            "code": empty.code,
            "text": empty.text,
            "url": reverse(empty.url_name, args=[dataset.slug]) if empty.url_name and may_act else "",
            "link": empty.link if may_act else "",
            "progress": empty.progress,
            "may_undo": selectors.can_undo(dataset, user),
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
    dataset, user = _dataset_for_review(request, slug), user_of(request)
    leased, empty = services.next_or_reason(dataset=dataset, user=user, count=body.count)
    return {
        **_following(dataset, user, leased, empty),
        "waiting": selectors.waiting_count(dataset),
        "answered_today": selectors.answered_today(dataset, user),
    }


@router.post(
    "/{slug:slug}/review/answer",
    response={200: AnswerOut, **ERRORS},
    url_name="review-answer",
    summary="Answer",
)
def answer(request: HttpRequest, slug: str, body: AnswerIn) -> dict[str, Any]:
    """Record an answer, once for each client_key. A late one is kept as a decision.

    With `next`, images are held as by review/next. The answer is kept even if that fails.
    """
    dataset, user = _dataset_for_review(request, slug), user_of(request)
    decision = services.answer(
        dataset=dataset,
        user=user,
        item_id=body.item,
        lease_id=body.lease,
        kind=body.kind,
        label=body.label,
        reason=body.reason,
        note=body.note,
        client_key=body.client_key,
        milliseconds=body.milliseconds,
        view=None if body.view is None else ViewAdjustments(**body.view.model_dump()),
    )
    following = body.next and services.next_after_answer(dataset=dataset, user=user, count=body.next)
    return {
        "decision": decision.pk,
        "kind": decision.kind,
        "label": decision.label_id,
        "late": decision.late,
        "duplicate": decision.duplicate,
        "waiting": selectors.waiting_count(dataset) if decision.waiting is None else decision.waiting,
        "next": following and _following(dataset, user, *following),
    }


@router.post(
    "/{slug:slug}/review/undo",
    response={200: UndoOut, **ERRORS},
    url_name="review-undo",
    summary="Undo the last answer",
)
def undo(request: HttpRequest, slug: str, body: UndoIn) -> dict[str, Any]:
    """Take back the reviewer's latest answer that stands; its image comes back first."""
    dataset = _dataset_for_review(request, slug)
    decision = services.undo(dataset=dataset, user=user_of(request), client_key=body.client_key)
    held = services.held_item(dataset=dataset, user=user_of(request), image_id=decision.image_id)
    return {
        "decision": decision.pk,
        "undone": decision.shown["undone"],
        "duplicate": decision.duplicate,
        "item": held and _item(dataset, held),
    }


@router.post(
    "/{slug:slug}/review/renew",
    response={200: RenewOut, **ERRORS},
    url_name="review-renew",
    summary="Keep holding",
)
def renew(request: HttpRequest, slug: str, body: LeasesIn) -> dict[str, Any]:
    """Prolong holds that have not run out."""
    dataset, user = _dataset_for_review(request, slug), user_of(request)
    kept = services.renew(dataset=dataset, user=user, lease_ids=body.leases)
    return {
        "renewed": [{"lease": lease.pk, "expires_at": lease.expires_at} for lease in kept],
        "answered_today": selectors.answered_today(dataset, user),
    }


@router.post(
    "/{slug:slug}/review/release",
    response={200: ReleaseOut, **ERRORS},
    url_name="review-release",
    summary="Give back",
)
def release(request: HttpRequest, slug: str, body: LeasesIn) -> dict[str, Any]:
    """End holds that will not be answered, so that others get the images at once."""
    dataset = _dataset_for_review(request, slug)
    ended = services.release(dataset=dataset, user=user_of(request), lease_ids=body.leases)
    return {"released": ended}


@router.get(
    "/{slug:slug}/review/guides",
    response={200: GuidesOut, **ERRORS},
    url_name="review-guides",
    summary="Guidelines and reference images",
)
def guides(request: HttpRequest, slug: str) -> dict[str, Any]:
    """Return what reviewers compare an image with. Images that must be judged blind are not among it."""
    dataset = _dataset_for_review(request, slug)
    return {
        "labels": [
            {
                "id": guide.label.pk,
                "name": guide.label.name,
                "key": key_of(guide.label.position),
                "guideline": guide.label.guideline,
                "references": [
                    {
                        "url": reverse("image-display", args=[dataset.slug, row.image.sha256]),
                        "width": row.image.width,
                        "height": row.image.height,
                        "accepted": row.accepted,
                        "note": row.note,
                    }
                    for row in [*guide.accepted, *guide.rejected]
                ],
            }
            for guide in guides_of(dataset)
        ]
    }
