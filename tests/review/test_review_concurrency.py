"""Real threads on real connections: nothing is shared, lost, or done twice."""

import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import Count
from django.test import Client

from mekiki.datasets.models import Image
from mekiki.review import services
from mekiki.review.errors import ReviewError
from mekiki.review.models import ConfirmedLabel, Decision, Lease, QueueItem
from tests.review_setup import Station

pytestmark = pytest.mark.django_db(transaction=True)


def run_concurrently(*acts: Callable[[], Any]) -> list[Any]:
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


def errors_of(results: list[Any]) -> list[Exception]:
    return [x for x in results if isinstance(x, Exception)]


def test_twenty_reviewers_share_no_image_and_lose_none():
    station = Station(items=200, queue_target=0)
    leases: list[tuple[int, int]] = []  # (item, reviewer), in the order of leasing

    def review(user: Any) -> Callable[[], None]:
        def work() -> None:
            while leased := station.next(user, 2):
                for leased_item in leased:
                    leases.append((leased_item.item.pk, user.pk))
                for leased_item in leased:
                    assert not station.answer(user, leased_item).late

        return work

    results = run_concurrently(*(review(station.reviewer()) for _ in range(20)))
    assert not errors_of(results)
    assert Counter(item for item, _user in set(leases)).most_common(1)[0][1] == 1
    assert Decision.objects.count() == 200
    assert ConfirmedLabel.objects.count() == 200
    assert not QueueItem.objects.exclude(state="done").exists()


def post(client: Client, station: Station, action: str, body: dict[str, Any]) -> Any:
    """Send a request to the review API and return its reply."""
    address = f"/api/v1/datasets/{station.dataset.slug}/review/{action}"
    reply = client.post(address, json.dumps(body), content_type="application/json")
    assert reply.status_code == 200, reply.content[:300]
    return reply.json()


def logged_in(user: Any) -> Client:
    """Return a client with the session of the user."""
    client = Client()
    client.force_login(user)
    return client


def test_reviewers_who_answer_and_lease_in_one_request_share_no_image():
    station = Station(items=90, queue_target=0)
    leased: set[tuple[int, int]] = set()  # (item, reviewer)

    def review(user: Any) -> Callable[[], None]:
        client = logged_in(user)

        def work() -> None:
            items = post(client, station, "next", {"count": 3})["items"]
            while items:
                leased.update((item["item"], user.pk) for item in items)
                first = items[0]
                body = {"item": first["item"], "lease": first["lease"], "kind": "confirm", "next": 3}
                reply = post(client, station, "answer", body | {"client_key": str(uuid.uuid4())})
                assert not reply["late"]
                items = reply["next"]["items"]

        return work

    assert not errors_of(run_concurrently(*(review(station.reviewer()) for _ in range(10))))
    assert Counter(item for item, _user in leased).most_common(1)[0][1] == 1
    assert Decision.objects.count() == ConfirmedLabel.objects.count() == 90
    assert not QueueItem.objects.exclude(state="done").exists()


def test_answer_sent_six_times_concurrently_leases_the_next_images_once():
    station = Station(items=30, queue_target=0)
    user = station.reviewer()
    leased = station.next(user)[0]
    body = {"item": leased.item.pk, "lease": leased.lease.pk, "kind": "confirm", "next": 3}
    body["client_key"] = str(uuid.uuid4())
    clients = [logged_in(user) for _ in range(6)]
    results = run_concurrently(*(lambda c=client: post(c, station, "answer", body) for client in clients))
    assert not errors_of(results)
    assert len({reply["decision"] for reply in results}) == 1
    assert len({tuple(item["lease"] for item in reply["next"]["items"]) for reply in results}) == 1
    assert Decision.objects.count() == 1
    assert Lease.objects.filter(user=user, ended_at__isnull=True).count() == 3


def test_overlap_under_load_leases_to_different_reviewers():
    station = Station(items=10, overlap=3, queue_target=0)
    people = [station.reviewer() for _ in range(12)]

    def review(user: Any) -> Callable[[], None]:
        def work() -> None:
            # For a moment, other reviewers can hold all items that this reviewer could get.
            while QueueItem.objects.filter(state="waiting").exists():
                for leased in station.next(user, 1):
                    station.answer(user, leased)

        return work

    assert not errors_of(run_concurrently(*(review(user) for user in people)))
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
    results = run_concurrently(*(lambda u=user: station.next(u, 1) for user in people))
    assert not errors_of(results)
    leased_ids = [x.item.pk for leased in results for x in leased]
    assert sorted(leased_ids) == sorted(item.pk for item in station.items)
    assert Lease.objects.filter(ended_at__isnull=True).count() == 5


def test_answer_sent_ten_times_concurrently_is_one_decision():
    station = Station(items=1)
    user = station.reviewer()
    leased = station.next(user)[0]
    key = uuid.uuid4()
    results = run_concurrently(*(lambda: station.answer(user, leased, client_key=key) for _ in range(10)))
    assert not errors_of(results)
    assert len({decision.pk for decision in results}) == 1
    assert sum(not decision.duplicate for decision in results) == 1


def test_concurrent_undos_revert_different_answers():
    station = Station(items=3)
    user = station.reviewer()
    for leased in station.next(user, 3):
        station.answer(user, leased)
    results = run_concurrently(*(lambda: station.undo(user) for _ in range(5)))
    assert [e.code for e in errors_of(results) if isinstance(e, ReviewError)] == ["nothing_to_undo"] * 2
    assert not [e for e in errors_of(results) if not isinstance(e, ReviewError)]
    undone = [x.supersedes_id for x in results if not isinstance(x, Exception)]
    assert len(set(undone)) == 3
    assert not ConfirmedLabel.objects.exists()


def test_refill_during_the_review_loses_no_answer():
    station = Station(items=60, queue_target=0)
    images = [item.image_id for item in station.items]
    stop = threading.Event()

    def review(user: Any) -> Callable[[], int]:
        def work() -> int:
            n_answers = 0
            for _ in range(12):
                for leased_item in station.next(user, 1):
                    assert not station.answer(user, leased_item).late, (
                        "an item was withdrawn while it was leased"
                    )
                    n_answers += 1
            stop.set()
            return n_answers

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

    results = run_concurrently(*(review(station.reviewer()) for _ in range(6)), refill)
    assert not errors_of(results)
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
    leased = station.next(user)[0]
    results: list[Any] = []

    def act() -> None:
        results.extend(run_concurrently(lambda: station.answer(user, leased)))

    thread = threading.Thread(target=act)
    with transaction.atomic():
        Image.objects.select_for_update(no_key=True).get(pk=leased.item.image_id)
        thread.start()
        time.sleep(0.5)
        assert QueueItem.objects.select_for_update(nowait=True).get(pk=leased.item.pk)
    thread.join(30)
    assert errors_of(results) == [] and Decision.objects.count() == 1


def test_undo_during_a_refill_uses_the_new_item_of_the_image():
    station = Station(items=1, queue_target=0)
    user = station.reviewer()
    station.answer(user, station.next(user)[0])
    image = station.items[0].image
    results: list[Any] = []

    def act() -> None:
        results.extend(run_concurrently(lambda: station.undo(user)))

    thread = threading.Thread(target=act)
    with transaction.atomic():
        chosen = station.item(image=image)
        thread.start()
        time.sleep(0.5)
    thread.join(30)
    assert errors_of(results) == []
    assert [leased.item for leased in station.next(user)] == [chosen]


def refill_while_an_answer_is_saved(station: Station, user: Any, number: int) -> list[str]:
    """Refill the queue with the image of an answer that begins before and is saved after a statement.

    `number` is the place of the statement. Return the statements of the refill.
    """
    image = station.item().image
    leased = station.next(user)[0]
    begun, save, saved = threading.Event(), threading.Event(), threading.Event()
    statements: list[str] = []

    def answer() -> None:
        with transaction.atomic():
            station.answer(user, leased)
            begun.set()
            save.wait(30)
        saved.set()

    def save_after(execute: Any, sql: str, *rest: Any) -> Any:
        result = execute(sql, *rest)
        if len(statements) == number:
            save.set()
            assert saved.wait(30)
        statements.append(sql)
        return result

    thread = threading.Thread(target=lambda: run_concurrently(answer))
    thread.start()
    assert begun.wait(30)
    with connection.execute_wrapper(save_after):
        services.fill_queue(
            dataset=station.dataset,
            head=station.head,
            image_ids=[image.pk],
            streams=["uncertain"],
            propensities=[1.0],
        )
    save.set()
    thread.join(30)
    assert ConfirmedLabel.objects.filter(image=image).exists()
    return statements


def test_answer_saved_during_a_refill_is_not_requested_again():
    station = Station(queue_target=0)
    user = station.reviewer()
    number, statements = 0, [""]
    while number < len(statements):
        statements = refill_while_an_answer_is_saved(station, user, number)
        assert not QueueItem.objects.filter(state="waiting").exists(), statements[: number + 1]
        number += 1
    assert number > 5
