"""The history of the review station: the reviewer's own last answers, and their correction."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from ninja import Query, Router, Schema
from pydantic import Field

from mekiki.accounts.http import user_of
from mekiki.api.review import dataset_for_review
from mekiki.api.review_schemas import ERRORS, Id, ImageOut, Milliseconds
from mekiki.config import clock
from mekiki.datasets.models import Dataset
from mekiki.review import services
from mekiki.review.blinding import unshown_ids
from mekiki.review.models import ConfirmedLabel, Decision, Lease
from mekiki.review.own_answers import OwnAnswer, describe_answers, own_answers

router = Router(tags=["review"])


class ShownOut(Schema):
    """The prediction that was on the screen at the time of the answer."""

    label: int
    name: str
    confidence: float
    calibrated: bool


class OwnAnswerOut(Schema):
    """One answer of the reviewer. `label_now`: the name of the label of the image, if it is another one now.

    An image that was judged blind has a neutral name, no prediction and no `label_now`.
    """

    decision: int
    kind: str
    label: int | None
    label_name: str
    reason: str
    at: datetime
    time: str
    blind: bool
    shown: ShownOut | None
    label_now: str
    image: ImageOut


class HistoryOut(Schema):
    """Answers of the reviewer, newest first. `before`: the parameter of the next page, null on the last."""

    answers: list[OwnAnswerOut]
    before: int | None


class HistoryIn(Schema):
    """Which page: the answers before this one; without it, the newest."""

    before: int | None = Field(None, ge=1, lt=2**63)
    count: int = Field(20, ge=1, le=50)


class CorrectionIn(Schema):
    """A correction of one answer. `client_key` and `milliseconds` as in an answer."""

    decision: Id
    label: Id
    client_key: UUID
    milliseconds: Milliseconds | None = None


class CorrectionOut(Schema):
    """The new answer, and a sentence that says what became of it."""

    answer: OwnAnswerOut
    duplicate: bool
    text: str


def answer_out(dataset: Dataset, one: OwnAnswer) -> dict[str, Any]:
    decision, image = one.decision, one.decision.image
    shown = decision.shown
    predicted = not shown.get("blind") and shown.get("label") is not None
    return {
        "decision": decision.pk,
        "kind": decision.kind,
        "label": decision.label_id,
        "label_name": decision.label.name if decision.label else "",
        "reason": str(decision.get_reason_display()) if decision.reason else "",
        "at": decision.created_at,
        "time": f"{timezone.localtime(decision.created_at):%Y-%m-%d %H:%M}",
        "blind": bool(shown.get("blind")),
        "shown": {
            "label": shown["label"],
            "name": shown.get("label_name") or "",
            "confidence": shown.get("confidence") or 0.0,
            "calibrated": bool(shown.get("calibrated")),
        }
        if predicted
        else None,
        "label_now": one.label_now,
        "image": {
            "sha256": image.sha256,
            "name": one.name,
            "url": reverse("image-display", args=[dataset.slug, image.sha256]),
            "thumb_url": reverse("image-thumb", args=[dataset.slug, image.sha256]),
            "width": image.width,
            "height": image.height,
            "metadata": {},
        },
    }


def _outcome(decision: Decision, one: OwnAnswer) -> str:
    """Return what became of a correction. For a blind item it says no more than that it is recorded."""
    if decision.shown.get("blind") or unshown_ids(decision.dataset, [decision.image_id]):
        return _("Your correction is recorded.")
    open_leases = Lease.objects.filter(
        item__image=decision.image_id, ended_at__isnull=True, expires_at__gt=clock.now()
    )
    if open_leases.exclude(user=decision.user_id).exists():
        return _(
            "Your correction is recorded. Another reviewer has this image now; the newer answer sets the "
            "label."
        )
    if ConfirmedLabel.objects.filter(image=decision.image_id, label=decision.label_id).exists():
        return _("Corrected. The label of the image is “%(label)s”.") % {
            "label": decision.label.name if decision.label else ""
        }
    if one.label_now:
        return _(
            "Your correction is recorded. The label of the image stays “%(label)s”, which follows from other "
            "decisions."
        ) % {"label": one.label_now}
    return _("Your correction is recorded. The image gets its label after the decisions of other reviewers.")


@router.get(
    "/{slug:slug}/review/history",
    response={200: HistoryOut, **ERRORS},
    url_name="review-history",
    summary="Your last answers",
)
def history(request: HttpRequest, slug: str, query: Query[HistoryIn]) -> dict[str, Any]:
    """Return the reviewer's last answers that were not undone, at most 100, by pages."""
    dataset = dataset_for_review(request, slug)
    rows, before = own_answers(dataset, user_of(request), before=query.before, size=query.count)
    return {"answers": [answer_out(dataset, one) for one in rows], "before": before}


@router.post(
    "/{slug:slug}/review/history/correct",
    response={200: CorrectionOut, **ERRORS},
    url_name="review-history-correct",
    summary="Correct an answer",
)
def correct(request: HttpRequest, slug: str, body: CorrectionIn) -> dict[str, Any]:
    """Replace one of the reviewer's last 100 answers by a new decision, once for each client_key."""
    dataset = dataset_for_review(request, slug)
    decision = services.correct_own_answer(
        dataset=dataset,
        user=user_of(request),
        decision_id=body.decision,
        label_id=body.label,
        client_key=body.client_key,
        milliseconds=body.milliseconds,
    )
    (one,) = describe_answers(dataset, [decision])
    return {
        "answer": answer_out(dataset, one),
        "duplicate": decision.duplicate,
        "text": _outcome(decision, one),
    }
