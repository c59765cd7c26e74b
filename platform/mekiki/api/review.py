"""The review API of the station: next, answer, undo, renew and release, for reviewers of the dataset.

Every call answers 404 to a user without a role, 403 to a viewer, 409 if the state forbids it and 422 if it is
malformed.
"""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from ninja import Router

from mekiki.accounts.access import includes_role
from mekiki.accounts.http import user_of
from mekiki.accounts.models import Role, User
from mekiki.api.review_schemas import (
    ERRORS,
    AnswerIn,
    AnswerOut,
    GuidesOut,
    LeasesIn,
    NextIn,
    NextOut,
    ReleaseOut,
    RenewOut,
    UndoIn,
    UndoOut,
)
from mekiki.datasets.access import dataset_for
from mekiki.datasets.models import Dataset
from mekiki.labeling.keys import key_of
from mekiki.review import selectors, services
from mekiki.review.adjustments import ViewAdjustments
from mekiki.review.blinding import neutral_name
from mekiki.review.empty_queue import EmptyQueue
from mekiki.review.references import guides_of
from mekiki.review.services import LeasedItem

router = Router(tags=["review"])


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
            # Leases of an earlier version do not have it.
            "runner_up_confidence": predicted.get("runner_up_confidence"),
            "head": predicted["head"],
        },
    }


def _following(
    dataset: Dataset, user: User, leased: list[LeasedItem], empty: EmptyQueue | None
) -> dict[str, Any]:
    items = [item_out(dataset, one) for one in leased]
    return {"items": items, "empty": empty and empty_out(dataset, user, empty)}


def empty_out(dataset: Dataset, user: User, empty: EmptyQueue) -> dict[str, Any]:
    """Return why there is no image, with the link only for those who may use its page (EmptyOut)."""
    may_open = includes_role(dataset.role, Role.ADMIN) or empty.url_name in ("review", "requalification")
    return {
        "code": empty.code,
        "text": empty.text,
        "url": reverse(empty.url_name, args=[dataset.slug]) if empty.url_name and may_open else "",
        "link": empty.link if may_open else "",
        "progress": empty.progress,
        "may_undo": selectors.can_undo(dataset, user),
    }


@router.post(
    "/{slug:slug}/review/next",
    response={200: NextOut, **ERRORS},
    url_name="review-next",
    summary="Images to judge",
)
def next_items(request: HttpRequest, slug: str, body: NextIn) -> dict[str, Any]:
    """Hold up to `count` images: first those held already, then the next free ones."""
    dataset, user = dataset_for_review(request, slug), user_of(request)
    leased, empty = services.next_or_reason(dataset=dataset, user=user, count=body.count)
    return {
        **_following(dataset, user, leased, empty),
        "waiting": selectors.waiting_count(dataset, user),
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
    dataset, user = dataset_for_review(request, slug), user_of(request)
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
        why=body.why,
    )
    following = body.next and services.next_after_answer(dataset=dataset, user=user, count=body.next)
    return {
        "decision": decision.pk,
        "kind": decision.kind,
        "label": decision.label_id,
        "late": decision.late,
        "duplicate": decision.duplicate,
        "waiting": selectors.waiting_count(dataset, user) if decision.waiting is None else decision.waiting,
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
    dataset, user = dataset_for_review(request, slug), user_of(request)
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
    dataset = dataset_for_review(request, slug)
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
    dataset = dataset_for_review(request, slug)
    return {
        "labels": [
            {
                "id": guide.label.pk,
                "name": guide.label.name,
                "code": guide.label.code,
                "key": key_of(guide.label.position),
                "guideline": guide.label.shown_guideline,
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
