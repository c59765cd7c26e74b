"""Which reviewer gets which image: order, expiry with fencing, overlap, skip, release, renewal."""

from datetime import timedelta

import pytest
from django.utils import timezone

from mekiki.learning.models import Champion, Prediction
from mekiki.review import services
from mekiki.review.models import Lease, QueueItem, Stream
from mekiki.review.services.leases import SKIP_COOLDOWN
from tests.factories import HeadFactory
from tests.review_setup import Station
from tests.roles import as_owner

pytestmark = pytest.mark.django_db


def expire(*leases: Lease) -> None:
    Lease.objects.filter(pk__in=[lease.pk for lease in leases]).update(
        expires_at=timezone.now() - timedelta(seconds=1)
    )


def test_items_come_in_queue_order_and_reviewers_get_different_items():
    station = Station(items=4)
    one, two = station.reviewer(), station.reviewer()
    assert [x.item for x in station.next(one, 2)] == station.items[:2]
    assert [x.item for x in station.next(two, 2)] == station.items[2:]
    assert station.next(station.reviewer(), 2) == []


def test_a_reload_shows_the_same_image_under_the_same_lease():
    station = Station(items=4)
    user = station.reviewer()
    first = station.next(user, 2)
    again = station.next(user, 3)
    assert [x.lease.pk for x in again[:2]] == [x.lease.pk for x in first]
    assert again[2].item == station.items[2]


def test_reviewer_holds_at_most_five_leases():
    station = Station(items=8)
    user = station.reviewer()
    assert len(station.next(user, 50)) == 5
    assert Lease.objects.filter(user=user).count() == 5


def test_expired_lease_passes_to_the_next_reviewer_with_a_new_token():
    station = Station(items=1)
    slow, quick = station.reviewer(), station.reviewer()
    expired = station.next(slow)[0]
    assert station.next(quick) == []
    expire(expired.lease)
    current = station.next(quick)[0]
    assert current.item == expired.item
    assert current.lease.pk > expired.lease.pk
    assert Lease.objects.filter(item=expired.item, ended_at__isnull=True).count() == 1


def test_renewal_extends_active_leases_but_not_expired_ones():
    station = Station(items=2)
    user, other = station.reviewer(), station.reviewer()
    active, expired = station.next(user, 2)
    expire(expired.lease)
    before = active.lease.expires_at
    renewed = services.renew(
        dataset=station.dataset, user=user, lease_ids=[active.lease.pk, expired.lease.pk]
    )
    assert [lease.pk for lease in renewed] == [active.lease.pk]
    assert renewed[0].expires_at >= before
    assert services.renew(dataset=station.dataset, user=other, lease_ids=[active.lease.pk]) == []


def test_a_released_image_goes_to_the_next_reviewer_at_once():
    station = Station(items=1)
    user, other = station.reviewer(), station.reviewer()
    leased = station.next(user)[0]
    assert services.release(dataset=station.dataset, user=other, lease_ids=[leased.lease.pk]) == 0
    assert station.next(other) == []
    assert services.release(dataset=station.dataset, user=user, lease_ids=[leased.lease.pk]) == 1
    assert station.next(other)[0].item == leased.item


def test_expired_leases_are_ended_and_old_leases_deleted():
    station = Station(items=2)
    user = station.reviewer()
    leased = station.next(user, 2)
    expire(leased[0].lease)
    old = Lease.objects.create(
        item=leased[0].item,
        user=station.reviewer(),
        slot=1,
        expires_at=timezone.now(),
        ended_at=timezone.now() - timedelta(days=60),
    )
    assert services.release_expired_leases() == 1
    assert not Lease.objects.filter(pk=old.pk).exists()
    assert [x.lease.pk for x in station.next(user, 1)] == [leased[1].lease.pk]


def test_overlap_leases_to_different_reviewers():
    station = Station(items=1, overlap=3)
    people = [station.reviewer() for _ in range(4)]
    leased = [station.next(user) for user in people]
    assert [len(x) for x in leased] == [1, 1, 1, 0]
    assert sorted(x[0].lease.slot for x in leased[:3]) == [0, 1, 2]
    station.answer(people[0], leased[0][0])
    assert station.next(people[0]) == [], "the image returned to a reviewer who had judged it"
    assert station.next(people[3]) == [], "a fourth reviewer was asked for the third decision"
    services.release(dataset=station.dataset, user=people[1], lease_ids=[leased[1][0].lease.pk])
    assert station.next(people[3])[0].item == station.items[0]


def test_skipped_image_comes_last_for_others_and_later_for_its_reviewer():
    station = Station(items=3)
    user, other = station.reviewer(), station.reviewer()
    station.answer(user, station.next(user)[0], "skip")
    assert [x.item for x in station.next(user, 3)] == station.items[1:]
    services.release(
        dataset=station.dataset, user=user, lease_ids=[x.pk for x in Lease.objects.filter(user=user)]
    )
    assert [x.item for x in station.next(other, 3)] == [*station.items[1:], station.items[0]]


def test_skipped_image_returns_after_the_cooldown(monkeypatch):
    station = Station(items=1)
    user = station.reviewer()
    station.answer(user, station.next(user)[0], "skip")
    assert station.next(user) == []
    later = timezone.now() + SKIP_COOLDOWN + timedelta(seconds=1)
    monkeypatch.setattr("mekiki.config.clock.now", lambda *_: later)
    assert len(station.next(user)) == 1


def test_shown_prediction_is_fixed_when_the_lease_is_created():
    station = Station(items=1)
    user = station.reviewer()
    leased = station.next(user)[0]
    newer = HeadFactory(dataset=station.dataset, prompt_set=station.head.prompt_set)
    Champion.objects.filter(dataset=station.dataset).update(head=newer)
    Prediction.objects.all().delete()
    again = station.next(user)[0]
    assert again.prediction["label"] == station.labels[0].pk
    assert again.prediction["head"] == station.head.version
    decision = station.answer(user, again)
    assert decision.shown == leased.lease.shown
    assert decision.shown["head_digest"] == station.head.digest
    assert decision.shown["prompt_set"] == station.head.prompt_set.version


def test_audit_items_show_no_prediction():
    station = Station()
    station.item(stream=Stream.AUDIT)
    leased = station.next(station.reviewer())[0]
    assert leased.blind
    assert leased.prediction is None
    assert leased.lease.shown == {"stream": "audit", "propensity": 0.5, "blind": True}


def test_fill_replaces_unstarted_items_and_keeps_leased_ones():
    station = Station(items=3)
    user = station.reviewer()
    leased = station.next(user)[0]
    fresh = [station.item().image for _ in range(2)]
    with as_owner(triggers=False):
        QueueItem.objects.filter(image__in=fresh).delete()
    foreign = Station(items=1).items[0].image
    added = services.fill_queue(
        dataset=station.dataset,
        head=station.head,
        image_ids=[fresh[1].pk, fresh[0].pk, leased.item.image_id, foreign.pk, fresh[0].pk],
        streams=["uncertain", "audit", "uncertain", "uncertain", "diverse"],
        propensities=[1.0, 0.25, 1.0, 1.0, 1.0],
    )
    assert added == 2
    waiting = QueueItem.objects.filter(dataset=station.dataset, state="waiting").order_by("position")
    assert [x.image_id for x in waiting] == [leased.item.image_id, fresh[1].pk, fresh[0].pk]
    assert [x.stream for x in waiting][1:] == ["uncertain", "audit"]
    assert QueueItem.objects.filter(dataset=station.dataset, state="withdrawn").count() == 2
    station.answer(user, leased)


def test_fill_ignores_labelled_images_except_for_rechecks():
    station = Station(items=2)
    user = station.reviewer()
    for leased in station.next(user, 2):
        station.answer(user, leased)
    images = [x.image_id for x in station.items]
    for stream, added in (("uncertain", 0), ("recheck", 2)):
        assert added == services.fill_queue(
            dataset=station.dataset,
            head=station.head,
            image_ids=images,
            streams=[stream] * 2,
            propensities=[1.0] * 2,
        )
