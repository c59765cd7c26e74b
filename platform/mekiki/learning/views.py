"""Heads, training runs and the schedule."""

import csv
from collections.abc import Iterator
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from mekiki.accounts.access import at_least
from mekiki.accounts.http import UserRequest, number_in
from mekiki.accounts.models import Role
from mekiki.datasets.access import dataset_for
from mekiki.datasets.models import Dataset
from mekiki.datasets.services import update_settings
from mekiki.jobs import progress
from mekiki.jobs.models import Kind
from mekiki.labeling.models import Label
from mekiki.labeling.selectors import active_labels, current_prompt_set
from mekiki.learning import selectors
from mekiki.learning.forms import ScheduleForm, in_words
from mekiki.learning.models import Champion, Evaluation, Head, TrainingRun
from mekiki.learning.reasons import parse, sentence
from mekiki.learning.services import obstacle, request_training, set_schedule, use_head

PAGE = 20
# A cell that begins so is read as a formula by spreadsheets (OWASP, "CSV Injection").
_FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠'")  # the apostrophe too: taking one away gives the text back


@require_safe
def models(request: UserRequest, slug: str) -> HttpResponse:
    """The head in use, all heads, all runs, and when the next is trained."""
    dataset = dataset_for(request.user, slug)
    return _models_page(request, dataset, _schedule_form(dataset))


def _models_page(
    request: UserRequest, dataset: Dataset, form: ScheduleForm, status: int = 200
) -> HttpResponse:
    champion, since = selectors.champion(dataset), selectors.champion_since(dataset)
    heads, older_heads = _page(selectors.heads(dataset), "version", request.GET.get("heads", ""))
    runs, older_runs = _page(selectors.training_runs(dataset), "pk", request.GET.get("runs", ""))
    evaluations = {
        e.head_id: e
        for e in Evaluation.objects.filter(head__in=[head.pk for head in heads])
        .order_by("head_id", "-id")
        .distinct("head_id")
    }
    context = {
        "dataset": dataset,
        "section": "models",
        "may_train": at_least(dataset.role, Role.ADMIN),
        "champion": champion,
        "open_change": selectors.open_change(dataset),
        "since": since,
        "evaluation": evaluations.get(champion.pk) or selectors.evaluation_of(champion) if champion else None,
        "champion_reason": _reason_of(champion, since) if champion else "",
        "heads": [(head, evaluations.get(head.pk), _run_of(head)) for head in heads],
        "older_heads": f"?heads={older_heads}#heads" if older_heads else "",
        "newer_heads": "?#heads" if request.GET.get("heads") else "",
        "runs": [(run, sentence(run.reason)) for run in runs],
        "older_runs": f"?runs={older_runs}#runs" if older_runs else "",
        "newer_runs": "?#runs" if request.GET.get("runs") else "",
        "jobs": [
            job
            for job in progress.active_of(dataset)
            if job.kind in {Kind.TRAIN, Kind.PREDICT, Kind.ENCODE, Kind.CHANGE_ENCODER}
        ],
        "problems": selectors.encoding_problems(dataset)[:PAGE],
        "form": form,
        "schedule": in_words(_cron_of(dataset)),
        "has_labels": active_labels(dataset).exists() and current_prompt_set(dataset) is not None,
    }
    return render(request, "learning/models.html", context, status=status)


def _page(rows: Any, key: str, before: str) -> tuple[list[Any], int | None]:
    """PAGE rows in falling order of `key`, below `before` when given; and where the next page begins."""
    start = number_in(before)
    if start is not None:
        rows = rows.filter(**{f"{key}__lt": start})
    found = list(rows[: PAGE + 1])
    return found[:PAGE], (getattr(found[PAGE - 1], key) if len(found) > PAGE else None)


def _run_of(head: Head) -> TrainingRun | None:
    """The run that made a head; None for a zero-shot head."""
    return getattr(head, "run", None)


def _reason_of(head: Head, in_use: Champion | None = None) -> str:
    """Why a head was or was not put in use; why it is in use, where that was somebody's choice."""
    chosen = {"by_hand", "new_encoder", "taken_back"}
    if in_use is not None and in_use.head_id == head.pk and in_use.reason.get("code") in chosen:
        return sentence(in_use.reason)
    run = _run_of(head)
    if run is not None:
        return sentence(run.reason)
    # A zero-shot head, or one that a change of the encoder made: the first head of an encoder is one of the two.
    first = not Head.objects.filter(
        dataset_id=head.dataset_id, encoder_id=head.encoder_id, version__lt=head.version
    ).exists()
    if head.version > 1 and (first or head.taught):
        return sentence({"code": "for_encoder", "encoder": head.encoder.name})
    return sentence({"code": "first_head" if head.version == 1 else "new_prompts"})


@require_POST
def train(request: UserRequest, slug: str) -> HttpResponse:
    """Ask for a new head now."""
    dataset = dataset_for(request.user, slug, Role.ADMIN)
    try:
        request_training(dataset=dataset, trigger=TrainingRun.Trigger.BUTTON, user=request.user)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(
            request,
            _(
                "A new head is being trained. It replaces the one in use when it does better; this page says why."
            ),
        )
    return redirect("models", slug)


@require_POST
def schedule(request: UserRequest, slug: str) -> HttpResponse:
    """Save when heads are retrained."""
    dataset = dataset_for(request.user, slug, Role.ADMIN)
    form = ScheduleForm(request.POST)
    if form.is_valid():
        try:
            set_schedule(dataset=dataset, cron=form.cron_line(), user=request.user)
        except ValidationError as error:
            form.add_error("cron", error)
        else:
            update_settings(
                dataset=dataset, user=request.user, retrain_every=form.cleaned_data["retrain_every"]
            )
            messages.success(
                request, _("Saved. Retraining: %(when)s.") % {"when": in_words(form.cron_line())}
            )
            return redirect("models", slug)
    return _models_page(request, dataset, form, status=422)


def _cron_of(dataset: Dataset) -> str:
    task = selectors.schedule_of(dataset)
    if task is None or not task.enabled or task.crontab is None:
        return ""
    times = task.crontab
    return " ".join([times.minute, times.hour, times.day_of_month, times.month_of_year, times.day_of_week])


def _schedule_form(dataset: Dataset) -> ScheduleForm:
    return ScheduleForm(initial=ScheduleForm.values_of(_cron_of(dataset), dataset.retrain_every))


def _head(dataset: Dataset, version: int) -> Head:
    head = selectors.heads(dataset).filter(version=version).first()
    if head is None:
        raise Http404
    return head


@require_safe
def head(request: UserRequest, slug: str, version: int) -> HttpResponse:
    """What one head was trained on, how good it is, and how it compares with the one before."""
    dataset = dataset_for(request.user, slug)
    found = _head(dataset, version)
    run = _run_of(found)
    in_use = selectors.champion_since(dataset)
    evaluation = selectors.evaluation_of(found)
    facts = parse(run.reason) if run is not None else {}
    before = (
        Head.objects.filter(dataset=dataset, version=facts["compared_with"]).defer("weights").first()
        if facts.get("compared_with")
        else None
    )
    context = {
        "dataset": dataset,
        "section": "models",
        "head": found,
        "in_use": in_use is not None and in_use.head_id == found.pk,
        "may_choose": at_least(dataset.role, Role.ADMIN),
        "obstacle": obstacle(dataset, found),
        "jobs": [job for job in progress.active_of(dataset) if job.kind in {Kind.TRAIN, Kind.PREDICT}],
        "run": run,
        "reason": _reason_of(found, in_use),
        "facts": facts,
        "before": before,
        "before_evaluation": selectors.evaluation_of(before) if before is not None else None,
        "evaluation": evaluation,
        "report": evaluation.report if evaluation is not None else {},
        "classes": _classes(found),
        "cross": found.metrics.get("cross_validated_on_reviewed_labels"),
        "trained_at": found.created_at,
    }
    return render(request, "learning/head.html", context)


@require_POST
def use(request: UserRequest, slug: str, version: int) -> HttpResponse:
    """Put this head in use instead of the one that is."""
    dataset = dataset_for(request.user, slug, Role.ADMIN)
    try:
        use_head(dataset=dataset, head=_head(dataset, version), user=request.user)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(
            request,
            _("Head #%(version)s predicts all images now; when it is done it is put in use.")
            % {"version": version},
        )
    return redirect("head", slug, version)


def _classes(head: Head) -> list[dict[str, Any]]:
    """Per label of the head: its name, labels it was trained on, trust in its text."""
    names = dict(Label.objects.filter(pk__in=head.label_ids).values_list("pk", "name"))
    counts = selectors.label_counts(head)
    trust = head.metrics.get("trust_in_text") or []
    return [
        {
            "name": names.get(label_id, "?"),
            "labels": counts.get(label_id, 0),
            "trust": trust[i] if i < len(trust) else None,
        }
        for i, label_id in enumerate(head.label_ids)
    ]


class _Echo:
    """A file that hands back what is written to it."""

    def write(self, text: str) -> str:
        return text


@require_safe
def training_labels(request: UserRequest, slug: str, version: int) -> StreamingHttpResponse:
    """The labels a head was trained on, as CSV, streamed."""
    dataset = dataset_for(request.user, slug)
    found = _head(dataset, version)
    rows = (
        found.training_labels.order_by("image_id")
        .values_list("image__sha256", "label__name", "decision_id")
        .iterator(chunk_size=5000)
    )
    response = StreamingHttpResponse(_lines(rows), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = (
        f'attachment; filename="{dataset.slug}-head-{found.version}-training-labels.csv"'
    )
    return response


def _lines(rows: Any) -> Iterator[str]:
    writer = csv.writer(_Echo())
    # With a byte order mark Excel reads UTF-8.
    yield "\ufeff" + writer.writerow(["image_sha256", "label", "decision"])  # type: ignore[operator]
    for sha256, name, decision in rows:
        safe = f"'{name}" if name.startswith(_FORMULA_STARTS) else name
        yield writer.writerow([sha256, safe, decision])  # type: ignore[misc]
