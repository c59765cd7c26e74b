"""Jobs: show their progress, and cancel them."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Router, Schema

from mekiki.accounts.http import user_of
from mekiki.accounts.models import Role
from mekiki.api.errors import ErrorOut
from mekiki.datasets.access import dataset_for, job_for
from mekiki.jobs import progress, services
from mekiki.jobs.models import Job

router = Router(tags=["jobs"])

ERRORS = dict.fromkeys((401, 403, 404, 422), ErrorOut)


class JobOut(Schema):
    """A job as people see it."""

    id: UUID
    kind: str
    kind_label: str
    dataset: str | None
    state: str
    state_label: str
    active: bool
    stage: str
    done: int
    total: int
    percent: int | None
    rate: float
    unit: str
    eta_seconds: int | None
    detail: str
    error: str
    can_cancel: bool
    can_pause: bool
    can_resume: bool


def role_for_job(job: Job) -> str | None:
    """Return the user's role in the dataset of a job that `job_for` returned.

    A job without a dataset is for admins only.
    """
    return job.dataset.role if job.dataset else Role.ADMIN


@router.get("", response=list[JobOut], url_name="jobs", summary="Active and just ended jobs of a dataset")
def jobs(request: HttpRequest, dataset: str) -> list[dict[str, Any]]:
    """404 unless the user is a member of the dataset."""
    return [asdict(status) for status in progress.recent_jobs_of(dataset_for(user_of(request), dataset))]


@router.get("/{uuid:job_id}", response=JobOut, url_name="job", summary="One job")
def job(request: HttpRequest, job_id: UUID) -> dict[str, Any]:
    """404 unless the user is a member of the job's dataset."""
    row = job_for(user_of(request), job_id)
    return asdict(progress.job_status(row, role_for_job(row)))


@router.post("/{uuid:job_id}/cancel", response=JobOut, url_name="job-cancel", summary="Ask a job to stop")
def cancel(request: HttpRequest, job_id: UUID) -> dict[str, Any]:
    """For admins of the dataset. What the job has stored stays."""
    row = job_for(user_of(request), job_id, Role.ADMIN)
    services.cancel(job=row, user=user_of(request))
    return asdict(progress.job_status(job_for(user_of(request), job_id), Role.ADMIN))


@router.post(
    "/{uuid:job_id}/pause",
    response={200: JobOut, **ERRORS},
    url_name="job-pause",
    summary="Pause an import",
)
def pause(request: HttpRequest, job_id: UUID) -> dict[str, Any]:
    """For admins of the dataset. What the import has stored stays; 422 for other jobs."""
    return _change(request, job_id, services.pause)


@router.post(
    "/{uuid:job_id}/resume",
    response={200: JobOut, **ERRORS},
    url_name="job-resume",
    summary="Resume a paused import",
)
def resume(request: HttpRequest, job_id: UUID) -> dict[str, Any]:
    """For admins of the dataset. The import goes on after what it has stored."""
    return _change(request, job_id, services.resume)


def _change(request: HttpRequest, job_id: UUID, act: Callable[..., None]) -> dict[str, Any]:
    row = job_for(user_of(request), job_id, Role.ADMIN)
    act(job=row, user=user_of(request))
    return asdict(progress.job_status(job_for(user_of(request), job_id), Role.ADMIN))
