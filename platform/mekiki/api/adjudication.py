"""The API of the adjudicator's queue, for adjudicators and admins.

Every call answers 404 to a user without a role, 403 to a user who may not do it, 409 if the state forbids it
and 422 if it is malformed.
"""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from ninja import Query, Router, Schema
from pydantic import AfterValidator, Field

from mekiki.accounts.access import require_adjudicator
from mekiki.accounts.http import user_of
from mekiki.accounts.models import Role
from mekiki.api.review_schemas import ERRORS, Id, Milliseconds, storable
from mekiki.datasets.access import dataset_for
from mekiki.datasets.models import Dataset, Image
from mekiki.review import disputes, services
from mekiki.review.access import item_for
from mekiki.review.blinding import set_shown_attributes
from mekiki.review.errors import NotFoundForReviewerError
from mekiki.review.models import Decision
from mekiki.review.services.adjudicating import MOST_DOUBTED

router = Router(tags=["adjudication"])

Note = Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(storable)]


class DisputesIn(Schema):
    """`own`: the images that the user has answered. `after`: the key of the next page."""

    own: bool = False
    after: Id | None = Field(None, strict=False)


class GivenOut(Schema):
    """A label and how many reviewers gave it."""

    name: str
    reviewers: int


class DisputeOut(Schema):
    """An image on which reviewers disagree."""

    item: int
    sha256: str
    name: str
    thumb_url: str
    labels: list[GivenOut]
    disputed_at: datetime


class DisputesOut(Schema):
    """One page, oldest first. `next` is the key of the next page, or null on the last page."""

    disputes: list[DisputeOut]
    next: int | None
    others: int
    own: int


class ComparedOut(Schema):
    """One answer. `reviewer` is a letter if names are hidden. `shown`: what the reviewer saw.

    `kind` and `shown` are empty if the image must be judged blind.
    """

    decision: int
    reviewer: str
    is_own: bool
    kind: str
    label: int
    name: str
    note: str
    late: bool
    shown: dict[str, Any]
    created_at: datetime


class RulingOut(Schema):
    """The ruling on an image. `duplicate`: it was recorded before, under the same key."""

    decision: int
    label: int
    name: str
    note: str
    adjudicator: str
    created_at: datetime
    duplicate: bool = False


class DisputeDetailOut(Schema):
    """An image with all answers, and the ruling if there is one."""

    item: int
    sha256: str
    name: str
    url: str
    blind: bool
    disputed: bool
    answers: list[ComparedOut]
    ruling: RulingOut | None


class RuleIn(Schema):
    """One ruling. `client_key` is the sender's own: sent again, the ruling is recorded once.

    `milliseconds`: how long the image was on the screen; too short to be seen, it is refused (not_seen).
    """

    label: Id
    note: Note
    client_key: UUID
    milliseconds: Milliseconds | None = None


class UndoRulingIn(Schema):
    """One undo of the user's ruling `decision`; without it, of the user's latest ruling."""

    client_key: UUID
    decision: Id | None = None


class UndoRulingOut(Schema):
    """The undo."""

    decision: int
    duplicate: bool


class DoubtOut(Schema):
    """A similar image with another confirmed label. `similarity` is a cosine."""

    sha256: str
    name: str
    thumb_url: str
    label: str
    similarity: float
    waiting: bool


class DoubtsOut(Schema):
    """The labels that a ruling puts in doubt, the most similar image first. `problem`: why there are none."""

    images: list[DoubtOut]
    problem: str


class RecheckIn(Schema):
    """Images, by SHA-256, that are reviewed again because of a ruling."""

    images: list[Annotated[str, Field(pattern="^[0-9a-f]{64}$")]] = Field(
        min_length=1, max_length=MOST_DOUBTED
    )


class RecheckOut(Schema):
    """How many images wait now."""

    queued: int


class ReferenceIn(Schema):
    """Add the image as an accepted example of the label of the ruling, or as a rejected one of `label`."""

    accepted: bool
    label: Id | None = None


class ReferenceMadeOut(Schema):
    """The reference image."""

    reference: int
    label: int
    accepted: bool
    note: str


def _dataset(request: HttpRequest, slug: str) -> Dataset:
    """Return the dataset for an adjudicator."""
    dataset = dataset_for(user_of(request), slug, Role.REVIEWER)
    require_adjudicator(user_of(request), dataset)
    return dataset


def _ruling(ruling: Decision) -> dict[str, Any]:
    return {
        "decision": ruling.pk,
        "label": ruling.label_id,
        "name": ruling.label.name if ruling.label else "",
        "note": ruling.note,
        "adjudicator": ruling.user.get_username(),
        "created_at": ruling.created_at,
        "duplicate": ruling.duplicate,
    }


def _ruling_of(dataset: Dataset, decision_id: int) -> Decision:
    """Return a ruling of the dataset. Raises NotFoundForReviewerError if there is none."""
    rows = Decision.objects.filter(dataset=dataset, kind=Decision.Kind.RULE, superseded_by__isnull=True)
    ruling = rows.select_related("image").filter(pk=min(decision_id, 2**63 - 1)).first()
    if ruling is None:
        raise NotFoundForReviewerError("unknown_ruling", _("There is no such ruling in this dataset."))
    return ruling


@router.get(
    "/{slug:slug}/adjudication",
    response={200: DisputesOut, **ERRORS},
    url_name="adjudication",
    summary="Images on which reviewers disagree",
)
def list_disputes(request: HttpRequest, slug: str, query: Annotated[DisputesIn, Query()]) -> dict[str, Any]:
    """For adjudicators. The images that the user has answered are listed with `own` only."""
    dataset, user = _dataset(request, slug), user_of(request)
    rows, key = disputes.dispute_page(dataset, user, own=query.own, after=query.after)
    counts = disputes.dispute_counts(dataset, user)
    return {
        "disputes": [
            {
                "item": row.item.pk,
                "sha256": row.item.image.sha256,
                "name": row.item.image.shown_name,  # type: ignore[attr-defined]
                "thumb_url": reverse("image-thumb", args=[dataset.slug, row.item.image.sha256]),
                "labels": [{"name": name, "reviewers": n} for name, n in row.labels],
                "disputed_at": row.item.disputed_at,
            }
            for row in rows
        ],
        "next": key,
        "others": counts.others,
        "own": counts.own,
    }


@router.get(
    "/{slug:slug}/adjudication/{int:item}",
    response={200: DisputeDetailOut, **ERRORS},
    url_name="dispute",
    summary="One image with all answers",
)
def dispute(request: HttpRequest, slug: str, item: int) -> dict[str, Any]:
    """For adjudicators. Names of reviewers are hidden if the dataset says so."""
    dataset, user = _dataset(request, slug), user_of(request)
    row = item_for(user, slug, item)
    set_shown_attributes(dataset, [row.image])
    ruling = disputes.ruling_of_item(row)
    visible = disputes.may_see_answers(dataset, row, user, ruling)
    return {
        "item": row.pk,
        "sha256": row.image.sha256,
        "name": row.image.shown_name,  # type: ignore[attr-defined]
        "url": reverse("image-display", args=[dataset.slug, row.image.sha256]),
        "blind": disputes.is_blind(dataset, row),
        "disputed": disputes.is_disputed(row),
        "answers": [
            {
                "decision": answer.decision.pk,
                "reviewer": answer.reviewer,
                "is_own": answer.is_own,
                "kind": answer.decision.kind if answer.kind else "",
                "label": answer.decision.label_id,
                "name": answer.decision.label.name if answer.decision.label else "",
                "note": answer.decision.note,
                "late": answer.decision.late,
                "shown": answer.shown,
                "created_at": answer.decision.created_at,
            }
            for answer in (disputes.compared_answers(dataset, row, user) if visible else [])
        ],
        "ruling": _ruling(ruling) if ruling is not None and visible else None,
    }


@router.post(
    "/{slug:slug}/adjudication/{int:item}/rule",
    response={200: RulingOut, **ERRORS},
    url_name="rule",
    summary="Rule",
)
def rule(request: HttpRequest, slug: str, item: int, body: RuleIn) -> dict[str, Any]:
    """Record a ruling, once for each client_key. It sets the label whatever the answers."""
    dataset = _dataset(request, slug)
    decision = services.rule(
        dataset=dataset,
        user=user_of(request),
        item_id=min(item, 2**63 - 1),
        label_id=body.label,
        note=body.note,
        client_key=body.client_key,
        milliseconds=body.milliseconds,
    )
    return _ruling(decision)


@router.post(
    "/{slug:slug}/adjudication/undo",
    response={200: UndoRulingOut, **ERRORS},
    url_name="rule-undo",
    summary="Undo a ruling",
)
def undo(request: HttpRequest, slug: str, body: UndoRulingIn) -> dict[str, Any]:
    """Take back a ruling of the user. Its image waits for an adjudicator again."""
    decision = services.undo_ruling(
        dataset=_dataset(request, slug),
        user=user_of(request),
        client_key=body.client_key,
        decision_id=body.decision,
    )
    return {"decision": decision.pk, "duplicate": decision.duplicate}


@router.get(
    "/{slug:slug}/adjudication/rulings/{int:decision}/doubts",
    response={200: DoubtsOut, **ERRORS},
    url_name="rule-doubts",
    summary="Labels that a ruling puts in doubt",
)
def doubts(request: HttpRequest, slug: str, decision: int) -> dict[str, Any]:
    """Return the most similar images with another confirmed label, for adjudicators."""
    dataset = _dataset(request, slug)
    doubted = disputes.doubted_by(dataset, _ruling_of(dataset, decision))
    return {
        "images": [
            {
                "sha256": row.image.sha256,
                "name": row.image.shown_name,  # type: ignore[attr-defined]
                "thumb_url": reverse("image-thumb", args=[dataset.slug, row.image.sha256]),
                "label": row.label,
                "similarity": row.similarity,
                "waiting": row.waiting,
            }
            for row in doubted.rows
        ],
        "problem": doubted.problem,
    }


@router.post(
    "/{slug:slug}/adjudication/rulings/{int:decision}/recheck",
    response={200: RecheckOut, **ERRORS},
    url_name="rule-recheck",
    summary="Review images again because of a ruling",
)
def recheck(request: HttpRequest, slug: str, decision: int, body: RecheckIn) -> dict[str, Any]:
    """Put images first in the queue. Their labels stay until the new answers."""
    dataset = _dataset(request, slug)
    images = Image.objects.filter(dataset=dataset, sha256__in=body.images).values_list("pk", flat=True)
    if len(images) != len(set(body.images)):
        raise NotFoundForReviewerError("unknown_image", _("There is no such image in this dataset."))
    items = services.recheck_doubted(
        dataset=dataset,
        user=user_of(request),
        decision_id=min(decision, 2**63 - 1),
        image_ids=list(images),
    )
    return {"queued": len(items)}


@router.post(
    "/{slug:slug}/adjudication/rulings/{int:decision}/reference",
    response={200: ReferenceMadeOut, **ERRORS},
    url_name="rule-reference",
    summary="Add the image of a ruling to a guideline",
)
def reference(request: HttpRequest, slug: str, decision: int, body: ReferenceIn) -> dict[str, Any]:
    """Make the image a reference image, with the reason of the ruling as its note."""
    made = services.add_ruled_image_to_guideline(
        dataset=_dataset(request, slug),
        user=user_of(request),
        decision_id=min(decision, 2**63 - 1),
        accepted=body.accepted,
        label_id=body.label,
    )
    return {
        "reference": made.pk,
        "label": made.label_id,
        "accepted": made.accepted,
        "note": made.note,
    }
