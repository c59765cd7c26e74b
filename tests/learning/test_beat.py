"""Schedules run on when the clock of beat's machine is set."""

import time
from datetime import timedelta

import pytest
from celery.beat import event_t
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from mekiki.config.celery import app
from mekiki.learning.beat import SiteEntry, SiteScheduler

pytestmark = pytest.mark.django_db


@pytest.fixture
def task() -> PeriodicTask:
    every = IntervalSchedule.objects.create(every=600, period="seconds")
    return PeriodicTask.objects.create(name="training", task="nobody.listens", interval=every)


def test_a_last_run_in_the_future_counts_as_now(task: PeriodicTask) -> None:
    task.last_run_at = timezone.now() + timedelta(days=30)
    due = SiteEntry(task, app=app).is_due()
    assert not due.is_due and 0 < due.next <= 600


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("hours", [-1, 1])
def test_schedules_are_reckoned_anew_when_the_clock_was_set(task: PeriodicTask, hours: int) -> None:
    """Celery keeps the schedules in the order of the times of day at which they are due next."""
    scheduler = SiteScheduler(app=app, lazy=True)
    scheduler.tick()
    far = time.time() - hours * 3600
    scheduler._heap = [event_t(far, event.priority, event.entry) for event in scheduler._heap]
    scheduler._offset -= hours * 3600
    assert scheduler.tick() <= 600
    assert all(abs(event.time - time.time()) < 24 * 3600 and event.time != far for event in scheduler._heap)
    assert {event.entry.name for event in scheduler._heap} >= {"training"}
