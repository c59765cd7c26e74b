"""What happened, by whom: the jobs and events of a dataset, and the events of the whole platform."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from mekiki.accounts import selectors as people
from mekiki.accounts.access import require_platform_admin
from mekiki.accounts.http import UserRequest, number_in
from mekiki.accounts.models import Role
from mekiki.audit.models import Event
from mekiki.datasets.access import dataset_for, job_for
from mekiki.datasets.models import Dataset
from mekiki.exports import services as exports
from mekiki.exports.models import LabelSet
from mekiki.jobs import progress
from mekiki.jobs import services as jobs
from mekiki.jobs.models import ACTIVE_STATES, ENDED_EARLY, Job, Kind
from mekiki.web import events

PAGE = 50
ENDED_JOBS = 10
# The choice of the filter that means the platform itself; no user can have this name.
PLATFORM = "*"


def _events(request: UserRequest, rows: QuerySet[Event], *, names: list[str]) -> dict[str, Any]:
    """A page of events, newest first, by key, as `show` (group or kind) and `actor` narrow them down.

    names: the people offered by the filter; a name that was asked for is offered as well.
    """
    show, actor = request.GET.get("show", ""), request.GET.get("actor", "")[:150].replace("\0", "")
    condition = events.matching(show)
    show = show if condition is not None else ""
    if condition is not None:
        rows = rows.filter(condition)
    if actor:
        rows = rows.filter(actor_name="" if actor == PLATFORM else actor)
    before = number_in(request.GET.get("before", ""))
    if before is not None:
        rows = rows.filter(pk__lt=before)
    page = list(rows.order_by("-pk")[: PAGE + 1])
    more, page = len(page) > PAGE, page[:PAGE]
    narrowed = {name: value for name, value in (("show", show), ("actor", actor)) if value}
    return {
        "events": [(event, events.sentence(event), events.detail(event)) for event in page],
        "show": show,
        "actor": actor,
        "actors": names if actor in {"", PLATFORM, *names} else [*names, actor],
        "before": before,
        "older_url": "?" + urlencode({**narrowed, "before": str(page[-1].pk)}) if more else "",
        "newer_url": "?" + urlencode(narrowed) if before is not None else "",
    }


@require_safe
def activity(request: UserRequest, slug: str) -> HttpResponse:
    """The jobs that run or ran lately, and the events of the dataset."""
    dataset = dataset_for(request.user, slug)
    rows = Job.objects.filter(dataset=dataset).exclude(state__in=ACTIVE_STATES)
    ended = list(rows.select_related("dataset").order_by("-created_at")[:ENDED_JOBS])
    again = progress.worth_retrying(ended, dataset) if dataset.role == Role.ADMIN else set()
    context = {
        "dataset": dataset,
        "section": "activity",
        "jobs": progress.active_of(dataset),
        "ended": [(job, progress.status(job, dataset.role), job.pk in again) for job in ended],
        "may_retry": bool(again),
        "groups": events.choices(with_users=False),
        **_events(
            request,
            Event.objects.filter(dataset_id=dataset.pk),
            names=[member.user.username for member in people.members(dataset)],
        ),
    }
    return render(request, "web/activity.html", context)


@require_safe
def platform_activity(request: UserRequest) -> HttpResponse:
    """The events of all datasets and of none (logins, users), for the platform's admins."""
    require_platform_admin(request.user)
    users, _more = people.users()
    context = {
        "groups": events.choices(with_users=True),
        **_events(request, Event.objects.all(), names=[user.username for user in users]),
    }
    ids = {event.dataset_id for event, _words, _detail in context["events"]} - {None}
    found = Dataset.objects.only("slug", "name", "archived_at").in_bulk(ids)
    context["events"] = [(*row, found.get(row[0].dataset_id)) for row in context["events"]]
    return render(request, "web/platform_activity.html", context)


@require_POST
def cancel_job(request: UserRequest, slug: str, job_id: UUID) -> HttpResponse:
    """Ask a job to stop. What it has stored stays."""
    dataset = dataset_for(request.user, slug, Role.ADMIN)
    job = job_for(request.user, job_id, Role.ADMIN)
    if job.dataset_id != dataset.pk:
        raise Http404
    jobs.cancel(job=job, user=request.user)
    messages.success(request, _("The job stops at its next step. What it has stored stays."))
    return redirect("activity", slug)


@require_POST
def retry_job(request: UserRequest, slug: str, job_id: UUID) -> HttpResponse:
    """Ask again for work that failed or was stopped."""
    dataset = dataset_for(request.user, slug, Role.ADMIN)
    job = job_for(request.user, job_id, Role.ADMIN)
    if job.dataset_id != dataset.pk:
        raise Http404
    try:
        label_set = LabelSet.objects.filter(dataset=dataset, pk=job.payload.get("label_set")).first()
        if job.kind == Kind.FREEZE and job.state in ENDED_EARLY and label_set is not None:
            exports.retry(label_set=label_set, user=request.user)  # which also names its new job
        else:
            jobs.retry(job=job, user=request.user)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, _("It is tried again. What the first attempt stored is used."))
    return redirect("activity", slug)
