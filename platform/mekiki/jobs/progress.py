"""The progress of a job in words, the same for pages and for the API."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db.models.functions import Now
from django.utils import formats
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from mekiki.accounts.access import DatasetLike, includes_role
from mekiki.accounts.models import Role
from mekiki.jobs.messages import STAGES, UNITS
from mekiki.jobs.models import ACTIVE_STATES, UNSUCCESSFUL_STATES, Job, State
from mekiki.jobs.services import PAUSABLE
from mekiki.jobs.waiting import reason_text

# An ended job is still listed for this time, so that a page that watches the job can show how it ended.
RECENTLY = timedelta(seconds=60)


@dataclass(frozen=True)
class JobStatus:
    """A job as users see it. `percent`: 0 to 100, None while unknown. `rate`: units per second."""

    id: str
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


def job_status(job: Job, role: str | None = None) -> JobStatus:
    """Return what a user with this role in the job's dataset sees of the job."""
    return _status(job, job.dataset.slug if job.dataset else None, role)


def _status(job: Job, slug: str | None, role: str | None) -> JobStatus:
    active = job.state in ACTIVE_STATES
    running = job.state == State.RUNNING
    # A worker counts the items that it processes. 100 % is shown only after the job has succeeded.
    percent = min(99, job.done * 100 // job.total) if running and job.total > 0 else None
    if job.state == State.SUCCEEDED:
        percent = 100
    may_change = active and not job.cancel_requested and includes_role(role, Role.ADMIN)
    left = max(0, job.total - job.done)
    eta = round(left / job.rate) if running and job.rate > 0 and job.total > 0 else None
    return JobStatus(
        id=str(job.pk),
        kind=job.kind,
        kind_label=job.get_kind_display(),
        dataset=slug,
        state=job.state,
        state_label=_state_label(job, active=active),
        active=active,
        stage=STAGES.render(job.stage) if job.stage else "",
        done=job.done,
        total=job.total,
        percent=percent,
        rate=job.rate,
        unit=UNITS.render(job.unit) if job.unit else "",
        eta_seconds=eta,
        detail=_detail(job, percent, eta),
        error=job.error_for_reader,
        can_cancel=may_change,
        can_pause=may_change and job.kind in PAUSABLE and not job.paused,
        can_resume=may_change and job.paused,
    )


def _state_label(job: Job, *, active: bool) -> str:
    if active and job.cancel_requested:
        return _("stopping")
    if active and job.paused:
        return _("paused") if job.state == State.QUEUED else _("pausing")
    return str(State(job.state).label)


def waits_for_broker(job_id: UUID | None) -> bool:
    """Return whether a job waits because the broker did not take its message.

    The sweeper sends the message later.
    """
    if job_id is None:
        return False
    return Job.objects.filter(pk=job_id, state=State.QUEUED, sent_at__isnull=True).exists()


def _number(value: float) -> str:
    digits = 1 if 0 < value < 10 else 0
    return formats.number_format(round(value, digits), digits, use_l10n=True, force_grouping=True)


def _detail(job: Job, percent: int | None, eta: int | None) -> str:
    """Return one line: stage · 43 % · 120 of 300 images · 52 images/s · about 4 seconds left."""
    if job.state == State.QUEUED:
        if job.waiting_for:
            return reason_text(job.waiting_for)
        if job.sent_at is None:
            return _("The job is stored and waits for a worker. It starts automatically.")
        return _("Waits for a worker.")
    if job.state != State.RUNNING:
        return ""
    unit = UNITS.render(job.unit) if job.unit else ""
    parts = [STAGES.render(job.stage) if job.stage else ""]
    if percent is not None:
        parts.append(f"{percent} %")
        parts.append(
            _("%(done)s of %(total)s %(unit)s")
            % {"done": _number(job.done), "total": _number(job.total), "unit": unit}
        )
    if job.rate > 0:
        parts.append(_("%(rate)s %(unit)s/s") % {"rate": _number(job.rate), "unit": unit})
    if eta is not None:
        parts.append(_remaining_time_text(eta))
    return " · ".join(part.strip() for part in parts if part.strip())


def _remaining_time_text(seconds: int) -> str:
    if seconds < 60:
        return ngettext("about %(n)s second left", "about %(n)s seconds left", seconds) % {"n": seconds}
    minutes = round(seconds / 60)
    if minutes < 60:
        return ngettext("about %(n)s minute left", "about %(n)s minutes left", minutes) % {"n": minutes}
    hours = round(minutes / 60)
    return ngettext("about %(n)s hour left", "about %(n)s hours left", hours) % {"n": hours}


def _first_running(job: Job) -> tuple[bool, int]:
    return (job.state != State.RUNNING, job.number)


def active_jobs_of(dataset: DatasetLike) -> list[JobStatus]:
    """Return the active jobs of a dataset, the running ones first, in one query.

    The dataset must have its `role` attribute.
    """
    jobs = Job.objects.filter(dataset_id=dataset.pk, state__in=ACTIVE_STATES)
    return job_statuses(jobs, dataset)


def recent_jobs_of(dataset: DatasetLike) -> list[JobStatus]:
    """Return the active jobs of a dataset and those that ended within the last minute, in one query."""
    # A job with an end in the future ended before the clock was set back. It is left out too.
    jobs = Job.objects.filter(dataset_id=dataset.pk, state__in=ACTIVE_STATES) | Job.objects.filter(
        dataset_id=dataset.pk, finished_at__range=(Now() - RECENTLY, Now())
    )
    return job_statuses(jobs, dataset)


def job_statuses(jobs: Iterable[Job], dataset: DatasetLike) -> list[JobStatus]:
    """Return the status of jobs of one dataset, the running ones first.

    The `role` of the dataset decides whether the user may stop a job.
    """
    role = getattr(dataset, "role", None)
    return [_status(job, dataset.slug, role) for job in sorted(jobs, key=_first_running)]


def ids_to_retry(jobs: list[Job], dataset: DatasetLike) -> set[UUID]:
    """Return the ids of jobs that ended early and whose work nobody has requested again since.

    All jobs must belong to `dataset`.
    """
    keys = {job.key for job in jobs if job.state in UNSUCCESSFUL_STATES}
    if not keys:
        return set()
    newest = (
        Job.objects.filter(dataset_id=dataset.pk, key__in=keys).order_by("key", "-number").distinct("key")
    )
    return {pk for pk, state in newest.values_list("pk", "state") if state in UNSUCCESSFUL_STATES}
