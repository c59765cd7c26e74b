"""The clock is set back by an hour. Stored times lie in the future, and nothing waits for that hour."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from mekiki.jobs.models import Job, Kind, State
from mekiki.learning.models import TrainingRun
from mekiki.review import services
from mekiki.review.blinding import hidden_ids
from mekiki.review.models import Lease, QueueItem, Stream
from mekiki.review.services import queue
from mekiki.review.services.leases import lease_time
from tests.factories import (
    ChampionFactory,
    ConfirmedLabelFactory,
    DatasetFactory,
    DecisionFactory,
    ImageFactory,
    JobFactory,
    MembershipFactory,
    QueueItemFactory,
    TrainingRunFactory,
)

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


def test_lease_with_a_future_time_counts_as_renewed_now() -> None:
    dataset = DatasetFactory()
    user = MembershipFactory(dataset=dataset).user
    QueueItemFactory(dataset=dataset)
    (leased,) = services.next_items(dataset=dataset, user=user)
    Lease.objects.update(expires_at=leased.lease.expires_at + HOUR)
    assert services.release_expired_leases() == 0
    remaining = Lease.objects.get().expires_at - timezone.now()
    assert timedelta(0) < remaining <= lease_time()
    (again,) = services.next_items(dataset=dataset, user=user)
    assert again.lease.pk == leased.lease.pk, "the reviewer keeps the lease"


def test_skipped_image_returns_to_its_reviewer_after_a_clock_change() -> None:
    dataset = DatasetFactory()
    user = MembershipFactory(dataset=dataset).user
    item = QueueItemFactory(dataset=dataset)
    skip = {
        "dataset": dataset,
        "item": item,
        "image": item.image,
        "user": user,
        "kind": "skip",
        "label": None,
    }
    DecisionFactory(**skip)
    assert services.next_items(dataset=dataset, user=user) == []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mekiki.config.clock.now", lambda *_: timezone.now() - HOUR)
        assert len(services.next_items(dataset=dataset, user=user)) == 1


def test_refill_is_requested_once_after_a_clock_change() -> None:
    dataset = DatasetFactory(queue_target=10)
    ImageFactory(dataset=dataset)
    ChampionFactory(dataset=dataset)
    moment = timezone.now() + HOUR
    last = JobFactory(dataset=dataset, kind=Kind.REFILL, state=State.SUCCEEDED)
    Job.objects.filter(pk=last.pk).update(created_at=moment, started_at=moment, finished_at=moment)
    DecisionFactory(dataset=dataset)
    assert queue.request_refill(dataset=dataset, waiting=0)
    assert not queue.request_refill(dataset=dataset, waiting=0), "the new job is the latest job"


def test_training_is_requested_after_a_clock_change() -> None:
    dataset = DatasetFactory(retrain_every=2)
    last = TrainingRunFactory(dataset=dataset)
    TrainingRun.objects.filter(pk=last.pk).update(created_at=timezone.now() + HOUR)
    ConfirmedLabelFactory(dataset=dataset)
    assert not queue._enough_for_training(dataset)
    ConfirmedLabelFactory(dataset=dataset)
    assert queue._enough_for_training(dataset)


def test_undo_period_after_an_audit_answer_ends(django_assert_num_queries: Any) -> None:
    dataset = DatasetFactory(audit_fraction=0.5)
    image = ImageFactory(dataset=dataset, audit_key=0.1)
    label = ConfirmedLabelFactory(dataset=dataset, image=image, stream=Stream.AUDIT)
    for moment, is_hidden in ((timedelta(0), True), (-HOUR, False), (HOUR, False)):
        type(label).objects.update(audited_at=timezone.now() - timedelta(seconds=1) + moment)
        assert bool(hidden_ids(dataset, [image.pk])) is is_hidden, moment
    assert not QueueItem.objects.exists()
