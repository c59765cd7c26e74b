"""Writes to training runs and training schedules."""

import hashlib
import logging
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from mekiki.accounts import site
from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.config import clock
from mekiki.datasets.models import Dataset
from mekiki.datasets.services import update_settings
from mekiki.jobs.models import Job, Kind
from mekiki.jobs.payloads import TrainPayload
from mekiki.jobs.services import enqueue
from mekiki.labeling.selectors import active_labels, current_prompt_set
from mekiki.learning import reasons
from mekiki.learning.cron import cron_fields
from mekiki.learning.models import (
    TrainingRun,
)
from mekiki.learning.selectors import SCHEDULED_TASK, schedule_name

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LeftOutView:
    """The images that a training leaves out: the query string of their filters, and the name of a saved view.

    The name is empty for a filter or a selection without a view.
    """

    name: str
    query: str


def request_training(
    *, dataset: Dataset, trigger: str, user: User | None = None, without: LeftOutView | None = None
) -> TrainingRun:
    """Start a training run. If a run without the same images is already active, return that run.

    trigger: a TrainingRun.Trigger. user: an admin of the dataset, or None for the platform and for commands.
    Raises PermissionDenied for other users. Raises ValidationError if there are no labels or prompts, or no
    image to train on.
    """
    if user is not None:
        require_role(user, dataset, Role.ADMIN)
    return start_training(dataset=dataset, trigger=trigger, user=user, without=without)


@transaction.atomic
def start_training(
    *, dataset: Dataset, trigger: str, user: User | None, without: LeftOutView | None = None
) -> TrainingRun:
    """Start a training run as the result of a job. The permission was checked when the job was requested.

    user: who requested the job, None for the platform. Raises ValidationError as request_training does.
    """
    if not active_labels(dataset).exists() or current_prompt_set(dataset) is None:
        raise ValidationError(
            _("There is nothing to train yet: write labels and prompts first."), code="no_labels"
        )
    if not can_learn(dataset):
        raise ValidationError(
            _(
                "Training is not possible yet: no image outside the audit sample has a label. "
                "Nothing was started; review some images first."
            ),
            code="nothing_confirmed",
        )
    payload = TrainPayload(trigger=str(trigger)).as_json()
    # The images that are left out belong to the run, so such a training is never joined with another.
    digest = hashlib.sha256(without.query.encode()).hexdigest()[:16] if without is not None else ""
    key = f"{Kind.TRAIN}:{dataset.pk}:without:{digest}" if without is not None else ""
    job = enqueue(kind=Kind.TRAIN, dataset=dataset, key=key, payload=payload, user=user)
    return get_or_create_run(job, trigger=trigger, user=user, without=without)


def request_scheduled_training(*, dataset_id: int) -> str:
    """Start the scheduled training of a dataset that is not archived, and return the outcome as text."""
    dataset = Dataset.objects.filter(pk=dataset_id, archived_at__isnull=True).first()
    if dataset is None:
        return "no such dataset"
    try:
        run = request_training(dataset=dataset, trigger=TrainingRun.Trigger.SCHEDULE)
    except ValidationError as error:
        logger.info("No training of %s on schedule: %s", dataset.slug, " ".join(error.messages))
        return "nothing to train"
    return f"run {run.pk}"


def can_learn(dataset: Dataset) -> bool:
    """Return whether there is an image to train on.

    This is an image outside the audit sample with an active label that is not excluded, an image with an
    overlap above 1 whose review is complete, or an image with an imported label on which heads may be
    trained.
    """
    confirmed = dataset.confirmed_labels.filter(
        in_training=True, label__archived_at__isnull=True, image__exclusion__isnull=True
    )
    imported = dataset.imports.filter(
        label_use="train", label_names__label__isnull=False, label_names__label__archived_at__isnull=True
    )
    return (
        confirmed.exists()
        or dataset.queue_items.filter(overlap__gt=1, state="done").exists()
        or imported.exists()
    )


@transaction.atomic
def get_or_create_run(
    job: Job, *, trigger: str = "", user: User | None = None, without: LeftOutView | None = None
) -> TrainingRun:
    """Return the training run of a TRAIN job.

    The run is created if the job has none, for example if the platform requested the job. `user` is None if
    the platform requested it.
    """
    user = user if getattr(user, "pk", None) else job.created_by
    dataset = job.dataset
    assert dataset is not None
    run, made = TrainingRun.objects.get_or_create(
        job=job,
        defaults={
            "dataset": dataset,
            "trigger": trigger or TrainPayload.of(job).trigger or TrainingRun.Trigger.BUTTON,
            "without_view": without.name if without is not None else "",
            "without_query": without.query if without is not None else "",
            "created_by": user,
        },
    )
    if made:
        record(
            kind="training.requested",
            actor=user,
            dataset=dataset,
            target=run,
            data={
                "trigger": run.trigger,
                **({"without_view": run.without_view, "query": run.without_query} if without else {}),
            },
        )
    return run


def write_log(*, run: TrainingRun, attempt: int, log: str) -> None:
    """Store the log of a run so far. Users can read it during the run and after its worker has died.

    Only the current attempt of the job can write, so a worker that lost the job does not overwrite later
    lines.
    """
    TrainingRun.objects.filter(pk=run.pk, job__attempt=attempt).update(log=log)


@transaction.atomic
def finish_run(*, run: TrainingRun, promoted: bool, reason: dict[str, Any], log: str) -> None:
    """Record how a training run ended."""
    run.promoted = promoted
    run.reason = reasons.dump(reason)
    run.log = log
    run.finished_at = clock.now()
    run.save(update_fields=["promoted", "reason", "log", "finished_at"])
    record(
        kind="training.finished",
        dataset=run.dataset,
        target=run,
        data={
            "head": run.head.version if run.head else None,
            "promoted": promoted,
            "code": reason.get("code", ""),
        },
    )


@transaction.atomic
def set_schedule(*, dataset: Dataset, cron: str | None, user: User) -> None:
    """Set the retraining schedule of a dataset, or delete it if `cron` is None or blank.

    cron: a crontab line (minute hour day month weekday) in the site's time zone. Raises ValidationError with
    the reason if it is not a valid crontab line. Raises PermissionDenied unless the user is an admin of the
    dataset.
    """
    require_role(user, dataset, Role.ADMIN)
    name = schedule_name(dataset)
    cron = " ".join((cron or "").split())
    if not cron:
        if PeriodicTask.objects.filter(name=name).delete()[0]:
            record(kind="schedule.cleared", actor=user, dataset=dataset, target=dataset)
        return
    minute, hour, day, month, weekday = cron_fields(cron)
    times, _made = CrontabSchedule.objects.get_or_create(
        minute=minute,
        hour=hour,
        day_of_month=day,
        month_of_year=month,
        day_of_week=weekday,
        timezone=site.zone_name(),
    )
    PeriodicTask.objects.update_or_create(
        name=name,
        defaults={
            "task": SCHEDULED_TASK,
            "crontab": times,
            "args": f"[{dataset.pk}]",
            "enabled": True,
            "description": dataset.slug,
        },
    )
    record(kind="schedule.set", actor=user, dataset=dataset, target=dataset, data={"cron": cron})


@transaction.atomic
def set_retraining(*, dataset: Dataset, user: User, cron: str | None, retrain_every: int) -> None:
    """Set when heads are retrained: on a schedule (as `set_schedule`) and after a number of answers.

    Both are stored, or neither. Raises PermissionDenied unless the user is an admin of the dataset, and
    ValidationError if a value is refused.
    """
    set_schedule(dataset=dataset, cron=cron, user=user)
    update_settings(dataset=dataset, user=user, retrain_every=retrain_every)
