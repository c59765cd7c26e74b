"""Reviewers: their measures, daily goals, assigned parts of the queue, and requalification."""

from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema
from pydantic import BeforeValidator

from mekiki.accounts.http import parse_number, user_of
from mekiki.accounts.models import MAX_DAILY_GOAL, Role, User
from mekiki.accounts.services import set_daily_goal
from mekiki.api.errors import ErrorOut
from mekiki.datasets.access import dataset_for
from mekiki.datasets.models import Dataset
from mekiki.review import services
from mekiki.review.access import reviewer_for
from mekiki.review.assignments import assignments_of
from mekiki.review.daily_goals import daily_goal
from mekiki.review.models import Assignment, Requalification
from mekiki.review.models.reviewers import KEY_LENGTH, VALUE_LENGTH
from mekiki.review.reviewer_measures import Median, Share, measures_of, since_of, summaries
from mekiki.review.selectors import answered_today

router = Router(tags=["reviewers"])

ERRORS = dict.fromkeys((401, 403, 404, 409, 422), ErrorOut)
# Ids of the database are below 2⁶³.
LARGEST_ID = 2**63 - 1


def _as_number(text: Any) -> Any:
    """Return the number of a query parameter. A Literal of numbers refuses its text."""
    return parse_number(text) if isinstance(text, str) else text


Days = Annotated[Literal[0, 7, 30, 90], BeforeValidator(_as_number)]


class ShareOut(Schema):
    """k of n answers, with Wilson's 95 % interval. The values are null if there are too few answers."""

    k: int
    n: int
    value: float | None
    low: float | None
    high: float | None


class SecondsOut(Schema):
    """A median time with its 95 % interval. The values are null if there are too few answers."""

    n: int
    seconds: float | None
    low: float | None
    high: float | None


class DifferenceOut(Schema):
    """Agreement with a shown prediction minus agreement with a hidden one, at the same confidence.

    The values are null if there are too few answers on one side.
    """

    shown_n: int
    blind_n: int
    value: float | None
    low: float | None
    high: float | None


class ReviewerOut(Schema):
    """One reviewer in the list."""

    id: int
    name: str
    role: str
    daily_goal: int | None
    decisions: int
    capped: bool
    gold: ShareOut


class ReviewersOut(Schema):
    """A page of reviewers by name. `after` continues the list and is empty at the end."""

    reviewers: list[ReviewerOut]
    after: str


class MeasuresOut(Schema):
    """All measures of one reviewer. docs/how-to/reviewers.md explains them."""

    id: int
    name: str
    decisions: int
    capped: bool
    kinds: dict[str, int]
    streams: dict[str, int]
    gold: ShareOut
    repeats: ShareOut
    others: ShareOut
    foreign_tiles: ShareOut
    model_shown: ShareOut
    model_blind: ShareOut
    automation_bias: DifferenceOut
    pace: SecondsOut
    grid_pace: SecondsOut


class GoalIn(Schema):
    """Answers for each day; null removes the goal."""

    goal: int | None = Field(..., ge=1, le=MAX_DAILY_GOAL, strict=True)


class GoalOut(Schema):
    """The daily goal, null without one, and the answers of today without skips and undone answers."""

    goal: int | None
    answered_today: int


class AssignmentIn(Schema):
    """A part of the queue for a reviewer: a label, or a name and a value of the metadata."""

    reviewer: int = Field(..., ge=1, le=LARGEST_ID, strict=True)
    label: int | None = Field(None, ge=1, le=LARGEST_ID, strict=True)
    key: str = Field("", max_length=KEY_LENGTH)
    value: str = Field("", max_length=VALUE_LENGTH)
    strict: bool = False


class AssignmentOut(Schema):
    id: int
    reviewer: int
    name: str
    label: int | None
    key: str
    value: str
    strict: bool
    created_at: datetime


class DecideIn(Schema):
    """waive: the reviewer may go on. again: the failed test is offered again."""

    act: Literal["waive", "again"]


class RequalificationOut(Schema):
    state: str
    asked: int
    right: int


def _share(share: Share) -> dict[str, Any]:
    ends = (share.value, share.low, share.high) if share.enough else (None, None, None)
    return {"k": share.k, "n": share.n, **dict(zip(("value", "low", "high"), ends, strict=True))}


def _seconds(median: Median) -> dict[str, Any]:
    ends = (median.value, median.low, median.high) if median.enough else (None, None, None)
    return {"n": median.n, **dict(zip(("seconds", "low", "high"), ends, strict=True))}


def _goal(dataset: Dataset, person: User) -> dict[str, Any]:
    goal = daily_goal(dataset, person)
    done = answered_today(dataset, person) if goal is None else goal.done
    return {"goal": goal and goal.goal, "answered_today": done}


def _assignment(row: Assignment) -> dict[str, Any]:
    return {
        "id": row.pk,
        "reviewer": row.user_id,
        "name": row.user.get_username(),
        "label": row.label_id,
        "key": row.key,
        "value": row.value,
        "strict": row.strict,
        "created_at": row.created_at,
    }


@router.get(
    "/{slug:slug}/reviewers",
    response={200: ReviewersOut, **ERRORS},
    url_name="reviewers",
    summary="Reviewers of a dataset",
)
def list_reviewers(
    request: HttpRequest, slug: str, days: Days = 30, after: str = Query("", max_length=150)
) -> dict[str, Any]:
    """For admins. `days` is the time range; 0 means all decisions."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    rows, more = summaries(dataset, since=since_of(days), after=after.replace("\0", ""))
    return {
        "reviewers": [
            {
                "id": row.user.pk,
                "name": row.user.get_username(),
                "role": row.role,
                "daily_goal": row.daily_goal,
                "decisions": row.decisions,
                "capped": row.capped,
                "gold": _share(row.gold),
            }
            for row in rows
        ],
        "after": more,
    }


@router.get(
    "/{slug:slug}/reviewers/{int:user_id}",
    response={200: MeasuresOut, **ERRORS},
    url_name="reviewer",
    summary="Measures of a reviewer",
)
def get_reviewer(request: HttpRequest, slug: str, user_id: int, days: Days = 30) -> dict[str, Any]:
    """For admins, and for the reviewer. `days` is the time range; 0 means all decisions."""
    dataset, person = reviewer_for(user_of(request), slug, user_id)
    measures = measures_of(dataset, person, since=since_of(days))
    shown, blind = measures.model.compared
    difference = measures.model.difference if measures.model.enough else None
    return {
        "id": person.pk,
        "name": person.get_username(),
        "decisions": measures.decisions,
        "capped": measures.capped,
        "kinds": measures.kinds,
        "streams": measures.streams,
        "gold": _share(measures.gold),
        "repeats": _share(measures.repeats),
        "others": _share(measures.others),
        "foreign_tiles": _share(measures.foreign_tiles),
        "model_shown": _share(measures.model.shown),
        "model_blind": _share(measures.model.blind),
        "automation_bias": {
            "shown_n": shown,
            "blind_n": blind,
            "value": difference and difference.value,
            "low": difference and difference.low,
            "high": difference and difference.high,
        },
        "pace": _seconds(measures.pace),
        "grid_pace": _seconds(measures.grid_pace),
    }


@router.get(
    "/{slug:slug}/reviewers/{int:user_id}/goal",
    response={200: GoalOut, **ERRORS},
    url_name="reviewer-goal",
    summary="Daily goal of a reviewer",
)
def get_goal(request: HttpRequest, slug: str, user_id: int) -> dict[str, Any]:
    """For admins, and for the reviewer."""
    dataset, person = reviewer_for(user_of(request), slug, user_id)
    return _goal(dataset, person)


@router.put(
    "/{slug:slug}/reviewers/{int:user_id}/goal",
    response={200: GoalOut, **ERRORS},
    url_name="reviewer-goal",
    summary="Set a daily goal",
)
def set_goal(request: HttpRequest, slug: str, user_id: int, body: GoalIn) -> dict[str, Any]:
    """For admins of the dataset."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    _dataset, person = reviewer_for(user_of(request), slug, user_id)
    set_daily_goal(dataset=dataset, user=person, goal=body.goal, actor=user_of(request))
    return _goal(dataset, person)


@router.post(
    "/{slug:slug}/reviewers/{int:user_id}/requalification",
    response={200: RequalificationOut, **ERRORS},
    url_name="reviewer-requalification",
    summary="Decide about a requalification",
)
def decide(request: HttpRequest, slug: str, user_id: int, body: DecideIn) -> Requalification:
    """For admins: let a reviewer go on without a passed test, or offer the test again."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    _dataset, person = reviewer_for(user_of(request), slug, user_id)
    service = services.waive_requalification if body.act == "waive" else services.offer_test_again
    return service(dataset=dataset, user=user_of(request), reviewer_id=person.pk)


@router.get(
    "/{slug:slug}/assignments",
    response={200: list[AssignmentOut], **ERRORS},
    url_name="assignments",
    summary="Assigned parts of the queue",
)
def list_assignments(request: HttpRequest, slug: str) -> list[dict[str, Any]]:
    """For admins. A dataset has at most 500."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    return [_assignment(row) for row in assignments_of(dataset)]


@router.post(
    "/{slug:slug}/assignments",
    response={200: AssignmentOut, **ERRORS},
    url_name="assignments",
    summary="Assign a part of the queue",
)
def add_assignment(request: HttpRequest, slug: str, body: AssignmentIn) -> dict[str, Any]:
    """For admins. The reviewer gets the images of the part first; with `strict`, nobody else gets them."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    row = services.assign_part(
        dataset=dataset,
        user=user_of(request),
        reviewer_id=body.reviewer,
        label_id=body.label,
        key=body.key,
        value=body.value,
        strict=body.strict,
    )
    return _assignment(row)


@router.delete(
    "/{slug:slug}/assignments/{int:pk}",
    response={204: None, **ERRORS},
    url_name="assignment",
    summary="Take a part back",
)
def remove_assignment(request: HttpRequest, slug: str, pk: int) -> tuple[int, None]:
    """For admins. Leases and answers stay."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    services.remove_assignment(dataset=dataset, user=user_of(request), assignment_id=pk if pk < 2**63 else 0)
    return 204, None
