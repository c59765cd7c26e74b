"""Real threads on real connections: nothing is shared, lost, or done twice."""

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import Count

from mekiki.datasets.models import Image
from mekiki.review import services
from mekiki.review.errors import ReviewError
from mekiki.review.models import ConfirmedLabel, Decision, Lease, QueueItem
from tests.review_setup import Station

pytestmark = pytest.mark.django_db(transaction=True)


def together(*acts: Callable[[], Any]) -> list[Any]:
    """Run the functions at once, each on its own connection. Return their results and raise their errors."""
    results: list[Any] = [None] * len(acts)
    start = threading.Barrier(len(acts))

    def run(place: int, act: Callable[[], Any]) -> None:
        try:
            start.wait()
            results[place] = act()
        except Exception as error:
            results[place] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    return results


def raised(results: list[Any]) -> list[Exception]:
    return [x for x in results if isinstance(x, Exception)]


def test_twenty_reviewers_share_no_image_and_lose_none():
    station = Station(items=200, queue_target=0)
    seen: list[tuple[int, int]] = []  # (item, reviewer), in the order of leasing

    def review(user: Any) -> Callable[[], None]:
        def work() -> None:
            while leased := station.next(user, 2):
                for one in leased:
                    seen.append((one.item.pk, user.pk))
                for one in leased:
                    assert not station.answer(user, one).late

        return work

    results = together(*(review(station.reviewer()) for _ in range(20)))
    assert not raised(results)
    assert Counter(item for item, _user in set(seen)).most_common(1)[0][1] == 1
    assert Decision.objects.count() == 200
    assert ConfirmedLabel.objects.count() == 200
    assert not QueueItem.objects.exclude(state="done").exists()


def test_overlap_under_load_leases_to_different_reviewers():
    station = Station(items=10, overlap=3, queue_target=0)
    people = [station.reviewer() for _ in range(12)]

    def review(user: Any) -> Callable[[], None]:
        def work() -> None:
            while leased := station.next(user, 1):
                station.answer(user, leased[0])

        return work

    assert not raised(together(*(review(user) for user in people)))
    per_item = Decision.objects.values("item").annotate(n=Count("pk"), people=Count("user", distinct=True))
    assert {(row["n"], row["people"]) for row in per_item} == {(3, 3)}
    assert per_item.count() == 10


def test_expired_leases_under_load_go_to_one_reviewer(settings):
    station = Station(items=5)
    sleeper = station.reviewer()
    settings.LEASE_SECONDS = -1
    station.next(sleeper, 5)
    settings.LEASE_SECONDS = 60
    people = [station.reviewer() for _ in range(10)]
    results = together(*(lambda u=user: station.next(u, 1) for user in people))
    assert not raised(results)
    given = [x.item.pk for leased in results for x in leased]
    assert sorted(given) == sorted(item.pk for item in station.items)
    assert Lease.objects.filter(ended_at__isnull=True).count() == 5


def test_one_answer_sent_ten_times_at_once_is_one_decision():
    station = Station(items=1)
    user = station.reviewer()
    held = station.next(user)[0]
    key = uuid.uuid4()
    results = together(*(lambda: station.answer(user, held, client_key=key) for _ in range(10)))
    assert not raised(results)
    assert len({decision.pk for decision in results}) == 1
    assert sum(not decision.duplicate for decision in results) == 1


def test_two_undos_at_once_undo_two_answers_not_one_twice():
    station = Station(items=3)
    user = station.reviewer()
    for held in station.next(user, 3):
        station.answer(user, held)
    results = together(*(lambda: station.undo(user) for _ in range(5)))
    assert [e.code for e in raised(results) if isinstance(e, ReviewError)] == ["nothing_to_undo"] * 2
    assert not [e for e in raised(results) if not isinstance(e, ReviewError)]
    undone = [x.supersedes_id for x in results if not isinstance(x, Exception)]
    assert len(set(undone)) == 3
    assert not ConfirmedLabel.objects.exists()


def test_filling_the_queue_while_people_take_from_it_loses_nothing():
    station = Station(items=60, queue_target=0)
    images = [item.image_id for item in station.items]
    stop = threading.Event()

    def review(user: Any) -> Callable[[], int]:
        def work() -> int:
            given = 0
            for _ in range(12):
                for one in station.next(user, 1):
                    assert not station.answer(user, one).late, "an item was withdrawn from under its holder"
                    given += 1
            stop.set()
            return given

        return work

    def refill() -> int:
        rounds = 0
        while not stop.is_set() and rounds < 50:
            services.fill_queue(
                dataset=station.dataset,
                head=station.head,
                image_ids=images,
                streams=["uncertain"] * len(images),
                propensities=[1.0] * len(images),
            )
            rounds += 1
        return rounds

    results = together(*(review(station.reviewer()) for _ in range(6)), refill)
    assert not raised(results)
    assert Decision.objects.count() == sum(results[:-1])
    assert ConfirmedLabel.objects.count() == Decision.objects.values("image").distinct().count()
    waiting = QueueItem.objects.filter(state="waiting").values("image").annotate(n=Count("pk"))
    assert all(row["n"] == 1 for row in waiting)


def test_answer_waits_for_the_image_lock_without_other_locks():
    """An undo locks an image and requests another item of it.

    An answer must not have locked that item already.
    """
    station = Station(items=1, queue_target=0)
    user = station.reviewer()
    held = station.next(user)[0]
    results: list[Any] = []

    def act() -> None:
        results.extend(together(lambda: station.answer(user, held)))

    beside = threading.Thread(target=act)
    with transaction.atomic():
        Image.objects.select_for_update(no_key=True).get(pk=held.item.image_id)
        beside.start()
        time.sleep(0.5)
        assert QueueItem.objects.select_for_update(nowait=True).get(pk=held.item.pk)
    beside.join(30)
    assert raised(results) == [] and Decision.objects.count() == 1


def test_an_undo_while_a_refill_chooses_the_image_waits_under_the_new_item():
    station = Station(items=1, queue_target=0)
    user = station.reviewer()
    station.answer(user, station.next(user)[0])
    image = station.items[0].image
    results: list[Any] = []

    def act() -> None:
        results.extend(together(lambda: station.undo(user)))

    beside = threading.Thread(target=act)
    with transaction.atomic():
        chosen = station.item(image=image)
        beside.start()
        time.sleep(0.5)
    beside.join(30)
    assert raised(results) == []
    assert [held.item for held in station.next(user)] == [chosen]
