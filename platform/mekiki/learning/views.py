"""Views of heads, training runs and the schedule. The page of one head is in web.heads."""

from contextlib import suppress

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.html import escape
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import HTMX_STOP_POLLING

from mekiki.accounts import site
from mekiki.accounts.access import includes_role
from mekiki.accounts.http import parse_number, user_of
from mekiki.accounts.models import Role
from mekiki.config.keyset import page_by
from mekiki.datasets.access import dataset_for
from mekiki.datasets.models import Dataset
from mekiki.jobs import progress
from mekiki.jobs.models import ACTIVE_STATES, Kind
from mekiki.jobs.progress import waits_for_broker
from mekiki.labeling.selectors import active_labels, current_prompt_set
from mekiki.learning import selectors
from mekiki.learning.access import head_for, run_for
from mekiki.learning.cron import cron_fields, next_runs
from mekiki.learning.forms import ScheduleForm, schedule_phrase
from mekiki.learning.models import Evaluation, TrainingRun
from mekiki.learning.reasons import reason_of, sentence
from mekiki.learning.services import request_promotion, request_training, request_verification, set_retraining
from mekiki.learning.training_log import log_in_words

PAGE = 20


@require_safe
def models(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the head in use, all heads, all training runs, and the next scheduled trainings."""
    dataset = dataset_for(user_of(request), slug)
    return _models_page(request, dataset, _schedule_form(dataset))


def _models_page(
    request: HttpRequest, dataset: Dataset, form: ScheduleForm, status: int = 200
) -> HttpResponse:
    champion, since = selectors.champion(dataset), selectors.champion_since(dataset)
    before = {name: parse_number(request.GET.get(name, "")) for name in ("heads", "runs")}
    heads, older_heads = page_by(
        selectors.heads(dataset), "version", PAGE, after=before["heads"], descending=True
    )
    runs, older_runs = page_by(
        selectors.training_runs(dataset), "pk", PAGE, after=before["runs"], descending=True
    )
    evaluations = {
        e.head_id: e
        for e in Evaluation.objects.filter(head__in=[head.pk for head in heads])
        .order_by("head_id", "-id")
        .distinct("head_id")
    }
    context = {
        "dataset": dataset,
        "section": "models",
        "may_train": includes_role(dataset.role, Role.ADMIN),
        "champion": champion,
        "open_change": selectors.open_change(dataset),
        "since": since,
        "evaluation": evaluations.get(champion.pk) or selectors.evaluation_of(champion) if champion else None,
        "champion_reason": reason_of(champion, since) if champion else "",
        "heads": [(head, evaluations.get(head.pk), selectors.training_run_of(head)) for head in heads],
        "older_heads": f"?heads={older_heads}#heads" if older_heads else "",
        "newer_heads": "?#heads" if request.GET.get("heads") else "",
        "runs": [(run, sentence(run.reason)) for run in runs],
        "live_run": _live_run(runs),
        "older_runs": f"?runs={older_runs}#runs" if older_runs else "",
        "newer_runs": "?#runs" if request.GET.get("runs") else "",
        "jobs": [
            job
            for job in progress.active_jobs_of(dataset)
            if job.kind in {Kind.TRAIN, Kind.PREDICT, Kind.ENCODE, Kind.CHANGE_ENCODER}
        ],
        "problems": selectors.encoding_problems(dataset)[:PAGE],
        "form": form,
        "schedule": schedule_phrase(_cron_of(dataset)),
        "next_runs": next_runs(_cron_of(dataset), site.zone_name()),
        "has_labels": active_labels(dataset).exists() and current_prompt_set(dataset) is not None,
    }
    return render(request, "learning/models.html", context, status=status)


def _live_run(runs: list[TrainingRun]) -> TrainingRun | None:
    """Return the active run, whose log is shown beside its progress. At most one run is active."""
    return next((run for run in runs if _under_way(run)), None)


def _under_way(run: TrainingRun) -> bool:
    return run.finished_at is None and run.job is not None and run.job.state in ACTIVE_STATES


@require_safe
def run_log(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Return the current log of a run. When the run has ended, the response stops the page's polling."""
    run = run_for(user_of(request), slug, pk)
    return HttpResponse(escape(log_in_words(run.log)), status=200 if _under_way(run) else HTMX_STOP_POLLING)


@require_POST
def train(request: HttpRequest, slug: str) -> HttpResponse:
    """Start a training run now."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    try:
        run = request_training(dataset=dataset, trigger=TrainingRun.Trigger.BUTTON, user=user_of(request))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        if waits_for_broker(run.job_id):
            text = _(
                "The training is queued. Workers cannot be reached now; it starts automatically when "
                "they can be reached."
            )
        else:
            text = _(
                "A new head is being trained. It replaces the head in use if it is better; this page "
                "shows the reason."
            )
        messages.success(request, text)
    return redirect("models", slug)


@require_POST
def schedule(request: HttpRequest, slug: str) -> HttpResponse:
    """Save the retraining schedule."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    form = ScheduleForm(request.POST)
    if form.is_valid():
        try:
            set_retraining(
                dataset=dataset,
                user=user_of(request),
                cron=form.cron_line(),
                retrain_every=form.cleaned_data["retrain_every"],
            )
        except ValidationError as error:
            # The settings of a dataset name their fields, which are not fields of this form.
            form.add_error(None if hasattr(error, "error_dict") else "cron", error.messages)
        else:
            messages.success(
                request, _("Saved. Retraining: %(when)s.") % {"when": schedule_phrase(form.cron_line())}
            )
            return redirect("models", slug)
    return _models_page(request, dataset, form, status=422)


@require_safe
def schedule_preview(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the next runs of the schedule in the form before it is saved."""
    dataset_for(user_of(request), slug, Role.ADMIN)
    form = ScheduleForm({"retrain_every": "0", **request.GET.dict()})
    runs = []
    if form.is_valid():
        with suppress(ValidationError):  # the error is shown when the form is saved
            cron = form.cron_line()
            runs = next_runs(" ".join(cron_fields(cron)), site.zone_name()) if cron else []
    return render(request, "learning/_next_runs.html", {"next_runs": runs})


def _cron_of(dataset: Dataset) -> str:
    task = selectors.schedule_of(dataset)
    if task is None or not task.enabled or task.crontab is None:
        return ""
    times = task.crontab
    return " ".join([times.minute, times.hour, times.day_of_month, times.month_of_year, times.day_of_week])


def _schedule_form(dataset: Dataset) -> ScheduleForm:
    return ScheduleForm(initial=ScheduleForm.values_of(_cron_of(dataset), dataset.retrain_every))


@require_POST
def use(request: HttpRequest, slug: str, version: int) -> HttpResponse:
    """Start the promotion of this head by an admin."""
    dataset, head = head_for(user_of(request), slug, version, Role.ADMIN)
    try:
        request_promotion(dataset=dataset, head=head, user=user_of(request))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(
            request,
            _("Head #%(version)s predicts all images now. After that it is promoted.") % {"version": version},
        )
    return redirect("head", slug, version)


@require_POST
def verify(request: HttpRequest, slug: str, version: int) -> HttpResponse:
    """Start a job that trains this head again from its own inputs and compares the digests."""
    dataset, head = head_for(user_of(request), slug, version, Role.ADMIN)
    request_verification(dataset=dataset, head=head, user=user_of(request))
    messages.success(
        request,
        _("The training of head #%(version)s is being repeated; this page shows the result.")
        % {"version": version},
    )
    return redirect("head", slug, version)
