"""The page of one head: training data, choice of kind, accuracy, and whether its training is repeatable."""

from dataclasses import asdict
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_safe

from mekiki.accounts.access import includes_role
from mekiki.accounts.http import user_of
from mekiki.accounts.models import Role
from mekiki.datasets.models import Dataset
from mekiki.jobs import progress
from mekiki.jobs.models import Job, Kind, State
from mekiki.labeling.models import Label
from mekiki.learning import repeating, selectors
from mekiki.learning.access import head_for
from mekiki.learning.accuracy import unknown_labels
from mekiki.learning.models import Evaluation, Head
from mekiki.learning.reasons import parse, reason_of
from mekiki.learning.reports import EvaluationReport
from mekiki.learning.services import promotion_obstacle
from mekiki.web.heads import confusion
from mekiki.web.heads.choice import choice_of, strengths_of
from mekiki.web.heads.reliability import reliability_of
from mekiki.web.views.datasets import curve_chart


@require_safe
def head(request: HttpRequest, slug: str, version: int) -> HttpResponse:
    """Show the page of a head.

    Accuracy figures come from the audit sample only. Figures from reviewed labels are marked as such.
    """
    dataset, shown = head_for(user_of(request), slug, version)
    run = selectors.training_run_of(shown)
    in_use = selectors.champion_since(dataset)
    evaluation = selectors.evaluation_of(shown)
    facts = parse(run.reason) if run is not None else {}
    before = _before(dataset, facts)
    labels = Label.objects.in_bulk(shown.label_ids)
    cross = shown.metrics.cross_validated_on_reviewed_labels
    curve = [point for point in selectors.learning_curve(dataset, until=shown) if point.n]
    is_used = in_use is not None and in_use.head_id == shown.pk
    context = {
        "dataset": dataset,
        "section": "models",
        "head": shown,
        "in_use": is_used,
        "may_choose": includes_role(dataset.role, Role.ADMIN),
        "obstacle": promotion_obstacle(dataset, shown),
        "jobs": _jobs(dataset, shown),
        "run": run,
        "reason": reason_of(shown, in_use),
        "facts": facts,
        "before": before,
        "before_evaluation": selectors.evaluation_of(before) if before is not None else None,
        "evaluation": evaluation,
        "report": evaluation.report if evaluation is not None else EvaluationReport(),
        "imported_labels": selectors.imported_label_count(shown),
        "unknown_labels": unknown_labels(evaluation) if evaluation is not None else 0,
        "strata": _strata(evaluation),
        "confusion": confusion.confusion_on_audit(evaluation, labels, dataset.slug if is_used else ""),
        "curve": curve,
        "curve_svg": curve_chart(dataset, curve),
        "classes": _classes(shown, labels),
        "cross": cross,
        "choice": choice_of(shown),
        "strengths": strengths_of(shown),
        "reliability": reliability_of(cross),
        "reviewed_confusion": confusion.confusion_on_reviewed(shown, labels),
        "repeated": _repeated(shown),
    }
    return render(request, "web/head.html", context)


def _before(dataset: Dataset, facts: dict[str, Any]) -> Head | None:
    """Return the head that was in use when this head was trained, if the two were compared."""
    if not facts.get("compared_with"):
        return None
    return Head.objects.filter(dataset=dataset, version=facts["compared_with"]).defer("weights").first()


def _jobs(dataset: Dataset, head: Head) -> list[progress.JobStatus]:
    """Return the active jobs that concern this page, without the repetitions of other heads."""
    active = [
        job
        for job in progress.active_jobs_of(dataset)
        if job.kind in {Kind.TRAIN, Kind.PREDICT, Kind.VERIFY_HEAD}
    ]
    if not any(job.kind == Kind.VERIFY_HEAD for job in active):
        return active
    of_others = Job.objects.filter(pk__in=[job.id for job in active if job.kind == Kind.VERIFY_HEAD])
    others = {
        str(pk) for pk in of_others.exclude(key=selectors.verification_key(head)).values_list("pk", flat=True)
    }
    return [job for job in active if job.id not in others]


def _strata(evaluation: Evaluation | None) -> list[dict[str, Any]]:
    """Return the arrival times of the images and the number audited in each stratum.

    The result is empty if all images arrived together.
    """
    strata = evaluation.report.strata if evaluation is not None else ()
    if len(strata) < 2:
        return []
    lines = []
    for stratum in strata:
        since, until = (parse_datetime(text) if text else None for text in (stratum.since, stratum.until))
        several = since is not None and until is not None and (until - since).total_seconds() >= 60
        lines.append(asdict(stratum) | {"since": since, "until": until, "several": several})
    return lines


def _classes(head: Head, labels: dict[int, Label]) -> list[dict[str, Any]]:
    """Return the name, the number of training labels and the trust in the text of each label of the head."""
    counts = selectors.label_counts(head)
    trust = head.metrics.trust_in_text
    return [
        {
            "name": labels[label_id].name if label_id in labels else "?",
            "labels": counts.get(label_id, 0),
            "trust": trust[i] if i < len(trust) else None,
        }
        for i, label_id in enumerate(head.label_ids)
    ]


def _repeated(head: Head) -> dict[str, Any] | None:
    """Return when, by whom and with which result the training was last repeated.

    Return None before the first time.
    """
    job = selectors.last_verification(head)
    if job is None:
        return None
    done = job.state == State.SUCCEEDED
    return {
        "job": job,
        "sentence": repeating.sentence(job.result) if done else job.error_for_reader,
        "level": {repeating.SAME: "good", repeating.DIFFERENT: "bad"}.get(
            job.result.get("outcome", ""), "warn"
        ),
    }
