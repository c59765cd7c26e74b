"""The API of studies: a study with its report, the next images of a reviewer, and an answer."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse
from ninja import Router, Schema
from pydantic import Field

from mekiki.accounts.http import user_of
from mekiki.api.review_schemas import ERRORS, Id, Milliseconds, ViewIn
from mekiki.quality import services
from mekiki.quality.access import invitation_for, study_for
from mekiki.quality.messages import ENDINGS
from mekiki.quality.models import Study, StudyReviewer
from mekiki.quality.progress import Progress
from mekiki.quality.progress import next_images as next_images_of
from mekiki.quality.report_parts import moment
from mekiki.quality.selectors import reviewer_progress
from mekiki.review.adjustments import ViewAdjustments

router = Router(tags=["studies"])

MOST_AHEAD = 10


class StudyNextIn(Schema):
    """How many images to show next."""

    count: int = Field(3, ge=1, le=MOST_AHEAD, strict=True)


class StudyImageOut(Schema):
    """An image of the study to judge in a run. It has no name, and no earlier answer."""

    image: int
    run: int
    url: str
    width: int
    height: int


class StudyProgressOut(Schema):
    """The present run of the reviewer, and how many of its images are answered."""

    run: int
    runs: int
    answered: int
    images: int


class StudyEndOut(Schema):
    """Why there is no image: done, pause, finished or cancelled, with a sentence for people."""

    code: str
    text: str


class StudyNextOut(Schema):
    """The next images in the order of the run, or why there is none."""

    items: list[StudyImageOut]
    progress: StudyProgressOut
    end: StudyEndOut | None


class StudyAnswerIn(Schema):
    """An answer about an image in a run.

    Without `label`, the reviewer could not judge the image. `client_key` is the sender's own: sent again, the
    answer is recorded once. `milliseconds`: how long the image was on the screen; too short to be seen, the
    answer is refused (not_seen). `next`: how many images to return.
    """

    image: Id
    run: int = Field(ge=1, le=3, strict=True)
    label: Id | None = None
    client_key: UUID
    milliseconds: Milliseconds | None = None
    view: ViewIn | None = None
    next: int = Field(0, ge=0, le=MOST_AHEAD, strict=True)


class StudyAnswerOut(Schema):
    """What became of the answer, and the next images."""

    duplicate: bool
    next: StudyNextOut


def _next(reviewer: StudyReviewer, count: int) -> dict[str, Any]:
    images, progress = next_images_of(reviewer, count)
    slug = reviewer.study.dataset.slug
    return {
        "items": [
            {
                "image": row.pk,
                "run": progress.run,
                "url": reverse("image-display", args=[slug, row.image.sha256]),
                "width": row.image.width,
                "height": row.image.height,
            }
            for row in images
        ],
        "progress": vars(progress),
        "end": _end(reviewer.study, progress),
    }


def _end(study: Study, progress: Progress) -> dict[str, str] | None:
    if progress.done:
        code = "done"
    elif study.state != Study.State.RUNNING:
        code = "cancelled" if study.state == Study.State.CANCELLED else "finished"
    elif progress.waits_until is not None:
        code = "pause"
    else:
        return None
    return {"code": code, "text": ENDINGS.render(code, {"until": moment(progress.waits_until)})}


class StudyPersonOut(Schema):
    """Somebody who is invited to a study, and how many answers this person has given."""

    name: str
    is_reference: bool
    member: bool
    answered: int
    wanted: int


class StudyReportOut(Schema):
    """The newest report of a study. `figures`: see docs/explanation/agreement.md."""

    version: int
    digest: str
    software: str
    figures: dict[str, Any]


class StudyOut(Schema):
    """A study for an admin. No answer is part of it before the study has finished."""

    number: int
    name: str
    state: str
    people: list[StudyPersonOut]
    report: StudyReportOut | None


@router.get(
    "/{slug:slug}/studies/{int:number}",
    response={200: StudyOut, **ERRORS},
    url_name="study",
    summary="A study with its report",
)
def study(request: HttpRequest, slug: str, number: int) -> dict[str, Any]:
    """Return the state of a study, the progress of its reviewers, and its newest report. For admins."""
    shown = study_for(user_of(request), slug, number)
    report = shown.reports.order_by("-version").first()
    return {
        "number": shown.number,
        "name": shown.name,
        "state": shown.state,
        "people": [vars(person) for person in reviewer_progress(shown)],
        "report": report
        and {
            "version": report.version,
            "digest": report.digest,
            "software": report.software,
            "figures": report.figures,
        },
    }


@router.post(
    "/{slug:slug}/studies/{int:number}/next",
    response={200: StudyNextOut, **ERRORS},
    url_name="study-next",
    summary="Images of a study to judge",
)
def next_images(request: HttpRequest, slug: str, number: int, body: StudyNextIn) -> dict[str, Any]:
    """Return the next images of the reviewer's present run, in the order of this reviewer and run."""
    return _next(invitation_for(user_of(request), slug, number), body.count)


@router.post(
    "/{slug:slug}/studies/{int:number}/answer",
    response={200: StudyAnswerOut, **ERRORS},
    url_name="study-answer",
    summary="Answer in a study",
)
def answer(request: HttpRequest, slug: str, number: int, body: StudyAnswerIn) -> dict[str, Any]:
    """Record an answer, once for each client_key. It sets no label of the dataset. There is no undo."""
    reviewer = invitation_for(user_of(request), slug, number)
    stored = services.record_answer(
        reviewer=reviewer,
        user=user_of(request),
        image_id=body.image,
        run=body.run,
        label_id=body.label,
        client_key=body.client_key,
        milliseconds=body.milliseconds,
        view=None if body.view is None else ViewAdjustments(**body.view.model_dump()),
    )
    reviewer = invitation_for(user_of(request), slug, number)
    return {"duplicate": stored.duplicate, "next": _next(reviewer, max(1, body.next))}
