"""What happened in a dataset, by whom: jobs and the audit log."""

from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from mekiki.accounts.models import Role
from mekiki.datasets.access import dataset_for, job_for
from mekiki.jobs import progress
from mekiki.jobs.services import cancel


@require_safe
def activity(request: HttpRequest, slug: str) -> HttpResponse:
    """The jobs that run or ran, and the events, newest first."""
    dataset = dataset_for(request.user, slug)
    context = {"dataset": dataset, "section": "activity", "jobs": progress.active_of(dataset)}
    return render(request, "web/activity.html", context)


@require_POST
def cancel_job(request: HttpRequest, slug: str, job_id: UUID) -> HttpResponse:
    """Ask a job to stop. What it has stored stays."""
    dataset = dataset_for(request.user, slug, Role.ADMIN)
    job = job_for(request.user, job_id, Role.ADMIN)
    if job.dataset_id != dataset.pk:
        raise Http404
    cancel(job=job, user=request.user)
    messages.success(request, _("The job stops at its next step. What it has stored stays."))
    return redirect("activity", slug)
