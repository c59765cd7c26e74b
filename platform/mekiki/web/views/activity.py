"""Views of what happened and who did it: jobs and events of a dataset, events of the whole platform."""

import json
from collections.abc import Callable
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from mekiki.accounts import selectors as people
from mekiki.accounts.access import require_platform_admin
from mekiki.accounts.http import user_of
from mekiki.accounts.models import Role
from mekiki.audit.models import Event
from mekiki.config.csv_files import csv_response
from mekiki.datasets.access import dataset_for, job_for
from mekiki.datasets.left_out import skipped_images_of
from mekiki.datasets.models import Dataset
from mekiki.exports import services as exports
from mekiki.jobs import progress
from mekiki.jobs import services as jobs
from mekiki.jobs.models import ACTIVE_STATES, UNSUCCESSFUL_STATES, Job, Kind
from mekiki.jobs.payloads import FreezePayload
from mekiki.web import activity_log, events

ENDED_JOBS = 10


@require_safe
def activity(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the active and recent jobs and the events of the dataset."""
    dataset = dataset_for(user_of(request), slug)
    rows = Job.objects.filter(dataset=dataset).exclude(state__in=ACTIVE_STATES)
    ended = list(rows.select_related("dataset").order_by("-number")[:ENDED_JOBS])
    again = progress.ids_to_retry(ended, dataset) if dataset.role == Role.ADMIN else set()
    left_out = skipped_images_of(dataset, ended)
    context = {
        "dataset": dataset,
        "section": "activity",
        "jobs": progress.active_jobs_of(dataset),
        "ended": [
            (job, progress.job_status(job, dataset.role), job.pk in again, left_out.get(job.pk, []))
            for job in ended
        ],
        "left_out": [item for rows in left_out.values() for item in rows],
        "may_retry": bool(again),
        "groups": events.filter_choices(with_users=False),
        **activity_log.event_page_context(
            request,
            Event.objects.filter(dataset_id=dataset.pk),
            names=[member.user.username for member in people.members(dataset)],
        ),
    }
    return render(request, "web/activity.html", context)


@require_safe
def platform_activity(request: HttpRequest) -> HttpResponse:
    """Show the events of all datasets and of none (logins, users), for platform admins."""
    require_platform_admin(user_of(request))
    users, _more = people.users()
    context = {
        "groups": events.filter_choices(with_users=True),
        **activity_log.event_page_context(
            request, Event.objects.all(), names=[user.username for user in users]
        ),
    }
    ids = {line.event.dataset_id for line in context["events"]} - {None}
    datasets = Dataset.objects.only("slug", "name", "archived_at").in_bulk(ids)
    for line in context["events"]:
        line.dataset = datasets.get(line.event.dataset_id)
    return render(request, "web/platform_activity.html", context)


@require_safe
def download_events(request: HttpRequest, slug: str, form: str) -> HttpResponseBase:
    """Download the events of the dataset that match the page's filter, as CSV or JSON Lines."""
    dataset = dataset_for(user_of(request), slug)
    return _download(request, Event.objects.filter(dataset_id=dataset.pk), f"{dataset.slug}-events", form)


@require_safe
def download_platform_events(request: HttpRequest, form: str) -> HttpResponseBase:
    """Download the events of the whole platform, for its admins."""
    require_platform_admin(user_of(request))
    return _download(request, Event.objects.all(), "mekiki-events", form)


def _download(request: HttpRequest, rows: QuerySet[Event], name: str, form: str) -> HttpResponseBase:
    """Stream the events, oldest first, with constant memory."""
    rows = activity_log.Filter.of(request).apply(rows)
    if form == "csv":
        return csv_response(f"{name}.csv", activity_log.csv_rows(rows))
    if form != "jsonl":
        raise Http404
    lines = (json.dumps(event, ensure_ascii=False) + "\n" for event in activity_log.json_objects(rows))
    response = StreamingHttpResponse(lines, content_type="application/jsonl; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.jsonl"'
    return response


@require_POST
def cancel_job(request: HttpRequest, slug: str, job_id: UUID) -> HttpResponse:
    """Request that a job stops. Everything that it has stored stays."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    job = job_for(user_of(request), job_id, Role.ADMIN)
    if job.dataset_id != dataset.pk:
        raise Http404
    jobs.cancel(job=job, user=user_of(request))
    messages.success(request, _("The job stops at its next step. Stored results stay."))
    return redirect("activity", slug)


@require_POST
def pause_job(request: HttpRequest, slug: str, job_id: UUID) -> HttpResponse:
    """Pause an import. Everything that it has stored stays."""
    return _change_job(request, slug, job_id, jobs.pause, _("The import pauses. Stored images stay."))


@require_POST
def resume_job(request: HttpRequest, slug: str, job_id: UUID) -> HttpResponse:
    """Resume a paused import."""
    return _change_job(request, slug, job_id, jobs.resume, _("The import goes on."))


def _change_job(
    request: HttpRequest, slug: str, job_id: UUID, act: Callable[..., None], done: str
) -> HttpResponse:
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    job = job_for(user_of(request), job_id, Role.ADMIN)
    if job.dataset_id != dataset.pk:
        raise Http404
    try:
        act(job=job, user=user_of(request))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, done)
    return redirect("activity", slug)


@require_POST
def retry_job(request: HttpRequest, slug: str, job_id: UUID) -> HttpResponse:
    """Request again work that failed or was stopped."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    job = job_for(user_of(request), job_id, Role.ADMIN)
    if job.dataset_id != dataset.pk:
        raise Http404
    try:
        if job.kind == Kind.FREEZE and job.state in UNSUCCESSFUL_STATES:
            # This also stores the new job in the label set.
            label_set = dataset.label_sets.get(pk=FreezePayload.of(job).label_set)
            exports.retry(label_set=label_set, user=user_of(request))
        else:
            jobs.retry(job=job, user=user_of(request))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, _("The job runs again. Results stored by the first attempt are used."))
    return redirect("activity", slug)
