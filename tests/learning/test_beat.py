"""Schedules continue when the clock of beat's machine is changed."""

import time
from datetime import timedelta

import pytest
from celery.beat import event_t
from django.db import OperationalError
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from mekiki.config.celery import app
from mekiki.datasets.models import Dataset
from mekiki.jobs.models import Job, Kind, State
from mekiki.labeling.services import set_schema
from mekiki.learning import beat
from mekiki.learning.beat import SiteEntry, SiteScheduler
from mekiki.learning.models import TrainingRun
from mekiki.learning.selectors import SCHEDULED_TASK
from tests.factories import ConfirmedLabelFactory, DatasetFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def task() -> PeriodicTask:
    every = IntervalSchedule.objects.create(every=600, period="seconds")
    return PeriodicTask.objects.create(name="training", task="nobody.listens", interval=every)


def test_a_last_run_in_the_future_counts_as_now(task: PeriodicTask) -> None:
    task.last_run_at = timezone.now() + timedelta(days=30)
    schedule_state = SiteEntry(task, app=app).is_due()
    assert not schedule_state.is_due and 0 < schedule_state.next <= 600


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("hours", [-1, 1])
def test_schedules_are_recomputed_after_a_clock_change(task: PeriodicTask, hours: int) -> None:
    """Celery keeps the schedules in the order of the times of day of their next runs."""
    scheduler = SiteScheduler(app=app, lazy=True)
    scheduler.tick()
    far = time.time() - hours * 3600
    scheduler._heap = [event_t(far, event.priority, event.entry) for event in scheduler._heap]
    scheduler._offset -= hours * 3600
    assert scheduler.tick() <= 600
    assert all(abs(event.time - time.time()) < 24 * 3600 and event.time != far for event in scheduler._heap)
    assert {event.entry.name for event in scheduler._heap} >= {"training"}


@pytest.fixture
def due_dataset(task: PeriodicTask) -> Dataset:
    """Create a dataset that can be trained and whose schedule is due."""
    admin = UserFactory()
    dataset = DatasetFactory(admin=admin)
    set_schema(dataset=dataset, labels=[{"name": "good", "prompts": ["good"]}], user=admin)
    ConfirmedLabelFactory(dataset=dataset, image__dataset=dataset, label=dataset.labels.get())
    task.task, task.args, task.last_run_at = SCHEDULED_TASK, f"[{dataset.pk}]", timezone.now() - timedelta(1)
    task.save()
    return dataset


@pytest.mark.django_db(transaction=True)
def test_a_scheduled_training_needs_no_broker(due_dataset: Dataset, silent_broker: None) -> None:
    scheduler = SiteScheduler(app=app, lazy=True)
    start = time.monotonic()
    while not Job.objects.filter(kind=Kind.TRAIN).exists() and time.monotonic() - start < 5:
        scheduler.tick()
    assert time.monotonic() - start < 2.0
    assert Job.objects.get(kind=Kind.TRAIN).state == State.QUEUED
    assert TrainingRun.objects.get().trigger == TrainingRun.Trigger.SCHEDULE
    # The request is stored at once, so a beat that is killed now does not repeat it.
    last = PeriodicTask.objects.get(name="training").last_run_at
    assert last is not None and timezone.now() - last < timedelta(minutes=1)


@pytest.mark.django_db(transaction=True)
def test_a_scheduled_training_waits_for_the_database(
    due_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = beat.request_scheduled_training
    errors = iter([OperationalError("the server closed the connection"), None])

    def fail_once(*, dataset_id: int) -> str:
        if error := next(errors):
            raise error
        return real(dataset_id=dataset_id)

    monkeypatch.setattr(beat, "request_scheduled_training", fail_once)
    scheduler = SiteScheduler(app=app, lazy=True)
    scheduler.tick()
    assert not Job.objects.filter(kind=Kind.TRAIN).exists()
    scheduler.tick()
    assert Job.objects.filter(kind=Kind.TRAIN).exists()
