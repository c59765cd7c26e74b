"""What happened in a dataset, by whom: jobs and the audit log."""

from uuid import UUID

from django.contrib import messages
from django.db.models import Q
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from mekiki.accounts.http import UserRequest
from mekiki.accounts.models import Role
from mekiki.audit.models import Event
from mekiki.datasets.access import dataset_for, job_for
from mekiki.jobs import progress
from mekiki.jobs.models import ACTIVE_STATES, Job
from mekiki.jobs.services import cancel
from mekiki.web import events

PAGE = 50
ENDED_JOBS = 10


@require_safe
def activity(request: UserRequest, slug: str) -> HttpResponse:
    """The jobs that run or ran lately, and the events, newest first, by key."""
    dataset = dataset_for(request.user, slug)
    group = request.GET.get("show", "")
    group = group if group in events.GROUPS else ""
    rows = Event.objects.filter(dataset_id=dataset.pk)
    if group:
        beginnings = Q()
        for beginning in events.GROUPS[group]:
            beginnings |= Q(kind__startswith=beginning)
        rows = rows.filter(beginnings)
    before = request.GET.get("before", "")
    if before.isdigit() and len(before) < 19:
        rows = rows.filter(pk__lt=int(before))
    page = list(rows.order_by("-pk")[: PAGE + 1])
    more = len(page) > PAGE
    page = page[:PAGE]
    ended = Job.objects.filter(dataset=dataset).exclude(state__in=ACTIVE_STATES)
    context = {
        "dataset": dataset,
        "section": "activity",
        "jobs": progress.active_of(dataset),
        "ended": [
            (job, progress.status(job, dataset.role))
            for job in ended.select_related("dataset").order_by("-created_at")[:ENDED_JOBS]
        ],
        "events": [(event, events.sentence(event), events.detail(event)) for event in page],
        "groups": [(code, events.group_label(code)) for code in events.GROUPS],
        "group": group,
        "before": before,
        "older_url": "?" + urlencode({"show": group, "before": str(page[-1].pk)}) if more else "",
        "newer_url": "?" + urlencode({"show": group}) if before else "",
    }
    return render(request, "web/activity.html", context)


@require_POST
def cancel_job(request: UserRequest, slug: str, job_id: UUID) -> HttpResponse:
    """Ask a job to stop. What it has stored stays."""
    dataset = dataset_for(request.user, slug, Role.ADMIN)
    job = job_for(request.user, job_id, Role.ADMIN)
    if job.dataset_id != dataset.pk:
        raise Http404
    cancel(job=job, user=request.user)
    messages.success(request, _("The job stops at its next step. What it has stored stays."))
    return redirect("activity", slug)
