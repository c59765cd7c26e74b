"""Schedules: stored for beat as the admin selected them."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django_celery_beat.models import PeriodicTask
from hypothesis import given
from hypothesis import strategies as st

from mekiki.audit.models import Event
from mekiki.learning import selectors
from mekiki.learning.cron import HOURS, Plan, from_cron, to_cron
from mekiki.learning.services import set_schedule
from tests.factories import DatasetFactory, UserFactory


@pytest.mark.django_db
def test_a_schedule_is_set_changed_and_cleared() -> None:
    user = UserFactory()
    dataset, other = DatasetFactory(admin=user), DatasetFactory(admin=user)
    set_schedule(dataset=dataset, cron="30 6 * * 1-5", user=user)
    set_schedule(dataset=other, cron="30 6 * * 1-5", user=user)
    task = selectors.schedule_of(dataset)
    assert task is not None and task.task == "workers.tasks.scheduled_training"
    assert task.args == f"[{dataset.pk}]" and task.enabled
    assert task.crontab is not None and task.crontab.minute == "30" and task.crontab.day_of_week == "1-5"
    # Beat itself reads the schedule: due at 06:30 on a Monday.
    assert task.schedule.is_due(datetime(2026, 11, 16, 6, 30, tzinfo=UTC)) is not None
    set_schedule(dataset=dataset, cron="0 */6 * * *", user=user)
    assert PeriodicTask.objects.filter(task=task.task).count() == 2
    set_schedule(dataset=dataset, cron=None, user=user)
    assert selectors.schedule_of(dataset) is None and selectors.schedule_of(other) is not None
    kinds = list(Event.objects.filter(dataset_id=dataset.pk).order_by("id").values_list("kind", flat=True))
    assert kinds == ["schedule.set", "schedule.set", "schedule.cleared"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "cron",
    [
        *("every day", "61 * * * *", "* * * *", "0 0 0 0 0 0", "0 25 * * *", "a b c d e"),
        *(", * * * *", "*/ * * * *", "- * * * *", "0 0 31 2 *", f"0 0 * * {','.join('1' * 33)}"),
    ],
)
def test_invalid_schedules_are_refused(cron: str) -> None:
    user = UserFactory()
    dataset = DatasetFactory(admin=user)
    with pytest.raises(ValidationError) as refused:
        set_schedule(dataset=dataset, cron=cron, user=user)
    assert cron in refused.value.messages[0]
    assert selectors.schedule_of(dataset) is None and not Event.objects.exists()


@given(
    st.one_of(
        st.builds(Plan, st.just("daily"), st.integers(0, 23), st.integers(0, 59)),
        st.builds(Plan, st.just("weekly"), st.integers(0, 23), st.integers(0, 59), weekday=st.integers(0, 6)),
        st.builds(Plan, st.just("hours"), hours=st.sampled_from(HOURS)),
        st.just(Plan()),
        st.builds(
            Plan, st.just("advanced"), cron=st.sampled_from(["5 4 1 * *", "*/10 * * * *", "0 */5 * * *"])
        ),
    )
)
def test_schedule_is_unchanged_after_storing_as_crontab(plan: Any) -> None:
    parsed = from_cron(to_cron(plan))
    assert (parsed.mode, to_cron(parsed)) == (plan.mode, to_cron(plan))
