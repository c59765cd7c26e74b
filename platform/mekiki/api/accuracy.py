"""The API of the accuracy figures of a dataset, and of who set its labels."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema

from mekiki.accounts.http import user_of
from mekiki.api.errors import ErrorOut
from mekiki.datasets.access import dataset_for
from mekiki.learning.accuracy import COUNT_COLUMNS, all_notes
from mekiki.learning.models import Evaluation
from mekiki.learning.pool_figure import PoolFigure, audit_estimate_sentence
from mekiki.learning.selectors import latest_evaluation
from mekiki.quality.label_sources import label_sources_of
from mekiki.quality.outdated_figures import remark_on_age
from mekiki.review.audit_counts import audit_counts

router = Router(tags=["accuracy"])

ERRORS = dict.fromkeys((401, 404), ErrorOut)


class AuditEstimateOut(Schema):
    """The share of right predictions of the head on images that no training used.

    `value`, `low` and `high` (95 % interval) are in [0, 1]. `n`: audited images, `correct` of them right.
    `not_counted`: images that were drawn and are not counted or count as wrong, by reason
    (docs/explanation/evaluation.md). `notes`: the same in words, with what has left the sample since then.
    """

    about: str
    head: int
    computed_at: datetime
    value: float | None
    low: float
    high: float
    n: int
    correct: int
    not_covered: int
    not_counted: dict[str, int]
    notes: list[str]


class RightLabelsOut(Schema):
    """The share of right labels of all images: labels by people, and labels by machine elsewhere.

    `value`, `low` and `high` (95 % interval) are in [0, 1]. `by_people`: images with a label of a person,
    which counts as right. `by_machine`: images with a certified label or only a prediction; `differing` of
    them have a certified label that the head in use does not predict. `not_covered`: images that the figure
    does not cover. `outdated`: why the figure is not up to date, or empty. Images that left the audit sample:
    see the audit estimate, which has the same sample.
    """

    about: str
    outdated: str
    value: float
    low: float
    high: float
    by_people: int
    by_machine: int
    differing: int
    not_covered: int
    notes: list[str]


class LabelSourcesOut(Schema):
    """Who set the labels now: images with a label of a person, with a valid certified label, with neither."""

    images: int
    by_people: int
    by_certified_machine: int
    open: int


class AccuracyOut(Schema):
    """Both figures of the head in use (null before the first audited image), and who set the labels."""

    audit_estimate: AuditEstimateOut | None
    right_labels: RightLabelsOut | None
    labels: LabelSourcesOut


def _audit_estimate(evaluation: Evaluation, notes: list[str]) -> dict[str, Any]:
    return {
        "about": audit_estimate_sentence(),
        "head": evaluation.head.version,
        "computed_at": evaluation.created_at,
        "value": evaluation.accuracy,
        "low": evaluation.low,
        "high": evaluation.high,
        "n": evaluation.n,
        "correct": evaluation.correct,
        "not_covered": evaluation.left_out,
        "not_counted": {name: getattr(evaluation, name) for name in COUNT_COLUMNS},
        "notes": notes,
    }


def _right_labels(pool: PoolFigure, evaluation: Evaluation) -> dict[str, Any]:
    return {
        "about": pool.sentence,
        "outdated": remark_on_age(evaluation),
        "value": pool.share,
        "low": pool.low,
        "high": pool.high,
        "by_people": pool.people,
        "by_machine": pool.machine,
        "differing": pool.differing,
        "not_covered": pool.left_out,
        "notes": pool.notes,
    }


@router.get(
    "/{slug:slug}/accuracy",
    response={200: AccuracyOut, **ERRORS},
    url_name="accuracy",
    summary="Accuracy figures, and who set the labels",
)
def accuracy(request: HttpRequest, slug: str) -> dict[str, Any]:
    """For members of the dataset. The figures were computed by a worker; nothing is computed here."""
    dataset = dataset_for(user_of(request), slug)
    evaluation = latest_evaluation(dataset)
    pool = PoolFigure.of(evaluation)
    sources = label_sources_of(dataset)
    estimate = None
    if evaluation is not None:
        estimate = _audit_estimate(evaluation, all_notes(evaluation, audit_counts(dataset)))
    return {
        "audit_estimate": estimate,
        "right_labels": _right_labels(pool, evaluation) if pool and evaluation else None,
        "labels": {
            "images": sources.images,
            "by_people": sources.people,
            "by_certified_machine": sources.machine,
            "open": sources.open,
        },
    }
