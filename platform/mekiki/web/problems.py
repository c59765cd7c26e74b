"""Problems of a dataset and what to do about them, as notices on its overview."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Max, Q

from mekiki.config import clock
from mekiki.datasets.models import Dataset
from mekiki.jobs.models import ACTIVE_STATES, Job, Kind, State
from mekiki.jobs.payloads import ImportImagesPayload
from mekiki.learning.models import EncoderChange
from mekiki.learning.selectors import encoding_problems, has_champion, long_prompts_in_use, open_change
from mekiki.web.messages import NOTICES


@dataclass(frozen=True)
class Problem:
    """One notice. `level` is "warn" or "bad". `url_name` takes the dataset's slug."""

    code: str
    level: str
    title: str
    text: str
    action: str
    url_name: str


def _problem(code: str, level: str, url_name: str, **values: Any) -> Problem:
    title, text, action = NOTICES.sentences(code, values)
    return Problem(code, level, title, text, action, url_name)


def problems_of(dataset: Dataset) -> list[Problem]:
    """Return the problems of a dataset, the worst first, with four or five queries."""
    return [
        *_failed_jobs(dataset),
        *_prepared_encoder(dataset),
        *_unreadable(dataset),
        *_long_prompts(dataset),
    ]


# A later success of one of these kinds does the work of the failed job: training and predicting also fill the
# queue.
RESOLVED_BY_KINDS: dict[str, tuple[Kind, ...]] = {Kind.REFILL: (Kind.REFILL, Kind.PREDICT, Kind.TRAIN)}
# Kinds that a person requests and no other work waits for. Their failure is a notice for REMEMBERED only,
# then it is only in the list of activity.
EXPIRING_KINDS = (Kind.FREEZE, Kind.VERIFY_HEAD, Kind.CHANGE_ENCODER, Kind.REMOVE_EMBEDDINGS)
REMEMBERED = timedelta(days=7)


def _failed_jobs(dataset: Dataset) -> list[Problem]:
    """Return the newest failure of each kind of work while it matters.

    A failure no longer matters after a later success, while the same work waits or runs again, or once its
    cause is gone.
    """
    now = clock.now()
    ended = Job.objects.filter(dataset=dataset, finished_at__isnull=False).order_by()
    good = Q(state=State.SUCCEEDED)
    rows = ended.values_list("kind").annotate(
        newest=Max("number", filter=Q(state=State.FAILED)),
        good=Max("finished_at", filter=good & Q(finished_at__lte=now)),
        newest_good=Max("number", filter=good),
    )
    facts = {kind: (newest, at, number) for kind, newest, at, number in rows}
    active = set(Job.objects.filter(dataset=dataset, state__in=ACTIVE_STATES).values_list("kind", flat=True))

    def mends(kind: str, job: Job) -> bool:
        _newest, at, number = facts.get(kind, (None, None, None))
        assert job.finished_at is not None
        if job.finished_at > now:  # The clock was set back since: compare the job numbers instead.
            return number is not None and number > job.number
        return at is not None and at > job.finished_at

    newest = [newest for newest, _at, _number in facts.values() if newest is not None]
    failed = [
        job
        for job in Job.objects.filter(dataset=dataset, number__in=newest).order_by("-number")
        if not any(
            kind in active or mends(kind, job) for kind in RESOLVED_BY_KINDS.get(job.kind, (job.kind,))
        )
        and not _is_past(dataset, job)
    ]
    return [
        _problem("failed_job", "bad", "activity", work=job.get_kind_display(), error=job.error_for_reader)
        for job in failed
    ]


def _is_past(dataset: Dataset, job: Job) -> bool:
    """Return whether a failure no longer matters."""
    if job.kind == Kind.IMPORT_IMAGES:
        # The import was finished in another way or discarded.
        batch = ImportImagesPayload.of(job).batch
        return not dataset.imports.filter(pk=batch, finished_at__isnull=True).exists()
    if job.kind == Kind.REFILL:
        return not has_champion(dataset)
    return (
        job.kind in EXPIRING_KINDS
        and job.finished_at is not None
        and clock.has_passed(REMEMBERED, job.finished_at)
    )


def _prepared_encoder(dataset: Dataset) -> list[Problem]:
    """Return the notice about a prepared encoder that waits for an admin to check its figures."""
    change = open_change(dataset)
    if change is None or change.state != EncoderChange.State.READY:
        return []
    return [_problem("prepared_encoder", "warn", "encoder", name=change.to_name)]


def _unreadable(dataset: Dataset) -> list[Problem]:
    n = encoding_problems(dataset).order_by().values("image").distinct().count()
    return [_problem("unreadable", "warn", "models", n=n)] if n else []


def _long_prompts(dataset: Dataset) -> list[Problem]:
    long = long_prompts_in_use(dataset)
    if not long:
        return []
    named = ", ".join(f"“{item.label}”" for item in long[:5])
    return [_problem("long_prompts", "warn", "labels", n=len(long), labels=named)]
