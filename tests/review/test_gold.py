"""Gold images and hidden repeats: who is asked, that nobody can tell, and that they change no label."""

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from mekiki.audit.models import Event
from mekiki.datasets.models import Dataset
from mekiki.exports.selectors import machine_label_count
from mekiki.exports.services import freeze
from mekiki.exports.snapshot import take_snapshot
from mekiki.review import selectors, services
from mekiki.review.blinding import hidden_ids
from mekiki.review.empty_queue import empty_queue_reason
from mekiki.review.errors import ReviewError
from mekiki.review.models import ConfirmedLabel, Decision, GoldImage, Lease, QueueItem, Stream
from mekiki.review.reviewer_measures import (
    GoldAnswer,
    GoldCounts,
    gold_answers,
    gold_counts,
    period_with_newest,
    repeat_share,
)
from mekiki.review.services import mixing
from mekiki.review.unresolved import unresolved_decisions
from tests.factories import ImageFactory, PredictionFactory
from tests.review_setup import Station
from tests.roles import as_owner, set_fixed

pytestmark = pytest.mark.django_db


class Gold(Station):
    """A station whose first images were labelled by an `author`, and marked as gold by an `admin`."""

    def __init__(self, gold: int = 3, **settings: Any) -> None:
        super().__init__(items=gold, **{"gold_share": 0.2, **settings})
        self.admin, self.author = self.reviewer("admin"), self.reviewer()
        for _ in range(gold):
            self.answer(self.author, self.next(self.author)[0], "correct", label=self.labels[1].pk)
        self.known = [item.image for item in self.items]
        self.rows = [
            services.mark_gold(dataset=self.dataset, user=self.admin, image_id=image.pk, expert=True)
            for image in self.known
        ]

    def present(self) -> Any:
        """Return a new reviewer who has logged in lately."""
        user = self.reviewer()
        user.last_login = timezone.now()
        user.save()
        return user

    def fill(self, n: int = 40) -> list[QueueItem]:
        """Fill the queue with n new images, and return the waiting items in their order."""
        images = [ImageFactory(dataset=self.dataset) for _ in range(n)]
        for image in images:
            PredictionFactory(head=self.head, image=image, label=self.labels[0], runner_up=self.labels[1])
        services.fill_queue(
            dataset=Dataset.objects.get(pk=self.dataset.pk),
            head=self.head,
            image_ids=[image.pk for image in images],
            streams=["audit" if i % 3 == 0 else "uncertain" for i in range(n)],
            propensities=[0.5] * n,
        )
        return list(QueueItem.objects.filter(dataset=self.dataset, state="waiting").order_by("position"))

    def tests(self, **where: Any) -> Any:
        return QueueItem.objects.filter(dataset=self.dataset, stream__in=["gold", "repeat"], **where)

    def take(self, user: Any, item: QueueItem) -> services.LeasedItem:
        """Lease everything before the item, as the reviewer would, and return the item's lease."""
        while True:
            for leased in self.next(user):
                if leased.item == item:
                    return leased
                self.answer(user, leased, "correct", label=self.labels[0].pk)


def newest_gold_answers(station: Station, user: Any) -> list[GoldAnswer]:
    """Return the counted answers on gold images, also those that can still be undone."""
    return gold_answers(station.dataset, [user.pk], period_with_newest())


def test_tests_wait_for_one_reviewer_each_who_did_not_make_the_label() -> None:
    station = Gold()
    user = station.reviewer()
    user.last_login = timezone.now()
    user.save()
    waiting = station.fill()
    tests = [item for item in waiting if item.stream == Stream.GOLD]
    assert tests and {item.assigned_to_id for item in tests} == {user.pk}, "author and admin know the label"
    assert all(item.overlap == 1 and item.gold_id for item in tests)
    assert [item.pk for item in waiting] == sorted(item.pk for item in waiting), "an id tells the test"
    other = station.reviewer()
    for _ in range(len(waiting)):
        for leased in station.next(other, 5):
            assert leased.item not in tests, "a test was given to another reviewer"
            station.answer(other, leased, "correct", label=station.labels[0].pk)
    assert station.next(other) == []
    assert empty_queue_reason(station.dataset, other).code != "sent_to_others"
    assert selectors.waiting_count(station.dataset, other) == 0
    assert selectors.waiting_count(station.dataset, user) == len(tests)
    assert station.next(user)[0].item in tests


def test_nothing_that_the_browser_receives_differs_from_an_audit_item() -> None:
    station = Gold(gold=6)
    user = station.present()
    client = Client()
    client.force_login(user)
    url = reverse("api:review-next", args=[station.dataset.slug])
    station.fill()
    blind: dict[str, Any] = {}
    counts = []
    while len(blind) < 2:
        reply = client.post(url, {"count": 1}, content_type="application/json").json()
        counts.append(reply["waiting"])
        (item,) = reply["items"]
        row = QueueItem.objects.get(pk=item["item"])
        if item["blind"]:
            blind[row.stream] = item
        station.answer(
            user,
            services.LeasedItem(row, Lease.objects.get(pk=item["lease"])),
            "correct",
            label=station.labels[0].pk,
        )
    assert set(blind) == {"audit", "gold"}
    assert "gold" not in json.dumps(blind["gold"]) and "stream" not in blind["gold"]
    shape = {key: type(value) for key, value in blind["audit"].items()}
    assert {key: type(value) for key, value in blind["gold"].items()} == shape
    for one in blind.values():
        assert one["prediction"] is None and one["image"]["metadata"] == {}
        assert one["image"]["sha256"][:8] in one["image"]["name"]
    assert counts == list(range(counts[0], counts[0] - len(counts), -1)), "the length of the queue tells"


def test_gold_image_is_hidden_while_it_is_judged_and_until_the_answer_is_final() -> None:
    station = Gold()
    user = station.present()
    item = next(item for item in station.fill() if item.stream == Stream.GOLD)
    assert hidden_ids(station.dataset, [item.image_id]) == set(), "a label that nobody judges now is visible"
    leased = station.take(user, item)
    assert hidden_ids(station.dataset, [item.image_id]) == {item.image_id}
    station.answer(user, leased, "correct", label=station.labels[0].pk)
    assert hidden_ids(station.dataset, [item.image_id]) == {item.image_id}
    QueueItem.objects.filter(pk=item.pk).update(finished_at=timezone.now() - timedelta(minutes=3))
    assert hidden_ids(station.dataset, [item.image_id]) == set()


@pytest.mark.parametrize("kind", ["correct", "skip", "flag"])
def test_gold_answer_changes_nothing_but_the_measures(kind: str) -> None:
    station = Gold()
    user = station.present()
    item = next(item for item in station.fill() if item.stream == Stream.GOLD)
    leased = station.take(user, item)
    before = ConfirmedLabel.objects.filter(image=item.image).values().get()
    trained = selectors.training_votes(station.dataset)
    more = {"label": station.labels[2].pk} if kind == "correct" else {}
    decision = station.answer(user, leased, kind, **more)
    item.refresh_from_db()
    assert item.state == "done" and item.assigned_to == user, "a test is asked once, of one reviewer"
    assert ConfirmedLabel.objects.filter(image=item.image).values().get() == before
    assert selectors.training_votes(station.dataset) == trained
    assert not unresolved_decisions(station.dataset).filter(pk=decision.pk).exists()
    answers = newest_gold_answers(station, user)
    assert [(a.decision, a.known, a.right) for a in answers] == (
        [(decision.pk, station.labels[1].pk, False)] if kind == "correct" else []
    ), "a skip or a flag gives no label"
    assert selectors.answered_today(station.dataset, user) >= (kind != "skip")
    undo = station.undo(user)
    assert undo.supersedes == decision
    assert ConfirmedLabel.objects.filter(image=item.image).values().get() == before
    again = station.next(user)[0]
    assert again.item == item and again.blind, "an undo treats a test as any other image"
    station.answer(user, again, "correct", label=station.labels[1].pk)
    (answer,) = newest_gold_answers(station, user)
    assert answer.right is True, "an answer that was undone unseen does not count"
    assert gold_counts(station.dataset, [item.gold_id])[item.gold_id] == GoldCounts(1, 1, 1)


def test_late_undo_does_not_improve_the_answer() -> None:
    station = Gold()
    user = station.present()
    item = next(item for item in station.fill() if item.stream == Stream.GOLD)
    station.answer(user, station.take(user, item), "correct", label=station.labels[0].pk)
    given = Decision.objects.latest("pk")
    set_fixed(station.undo(user), created_at=given.created_at + timedelta(minutes=5))
    station.answer(user, station.next(user)[0], "correct", label=station.labels[1].pk)
    (answer,) = newest_gold_answers(station, user)
    assert answer.decision == given.pk and answer.right is False


def test_label_sets_count_no_test_as_an_opinion() -> None:
    station = Gold()
    user = station.present()
    item = next(item for item in station.fill() if item.stream == Stream.GOLD)
    station.answer(user, station.take(user, item), "correct", label=station.labels[0].pk)
    label_set = take_snapshot(freeze(dataset=station.dataset, user=station.admin))
    entry = label_set.entries.get(image_id=item.image_id)
    assert (entry.label_id, entry.opinions) == (station.labels[1].pk, 1)


def test_image_with_only_a_test_answer_can_still_be_labelled() -> None:
    """Its label was undone, so a head may label it and a reviewer may get it."""
    station = Gold(gold=1)
    set_fixed(station.head, calibrated=True)
    image = station.known[0]
    QueueItem.objects.create(
        dataset=station.dataset,
        image=image,
        stream="repeat",
        propensity=1,
        head=station.head,
        position=0,
        assigned_to=station.author,
        state="waiting",
    )
    leased = station.next(station.author)[0]
    assert leased.blind
    station.answer(station.author, leased, "correct", label=station.labels[2].pk)
    first = Decision.objects.earliest("pk")
    services.undoing.record_undo(
        dataset=station.dataset,
        user=station.author,
        target=first,
        client_key=uuid.uuid4(),
    )
    assert not ConfirmedLabel.objects.filter(image=image).exists(), "a test became the label"
    QueueItem.objects.filter(image=image, state="waiting").update(state="withdrawn")
    assert image.pk not in selectors.reviewed_image_ids(station.dataset) - {
        i.image_id for i in QueueItem.objects.filter(state="done").exclude(stream__in=["gold", "repeat"])
    }
    assert machine_label_count(station.dataset, 0.5) == 1


def test_gold_needs_a_label_that_is_known() -> None:
    station = Station(items=3, overlap=2)
    admin, one, two = station.reviewer("admin"), station.reviewer(), station.reviewer()
    for user, label in ((one, 0), (two, 0)):
        station.answer(user, station.next(user)[0], "correct", label=station.labels[label].pk)
    agreed = station.items[0].image

    def mark(image: Any, **more: Any) -> GoldImage:
        return services.mark_gold(dataset=station.dataset, user=admin, image_id=image.pk, **more)

    with pytest.raises(ReviewError, match="no confirmed label"):
        mark(station.items[1].image)
    with pytest.raises(PermissionDenied):
        services.mark_gold(dataset=station.dataset, user=one, image_id=agreed.pk)
    gold = mark(agreed)
    assert (gold.source, gold.label) == ("agreement", station.labels[0])
    with pytest.raises(ReviewError, match="already"):
        mark(agreed)
    single = station.item(image=ImageFactory(dataset=station.dataset))
    QueueItem.objects.filter(pk=single.pk).update(overlap=1, position=-5)
    station.answer(one, station.next(one)[0], "correct", label=station.labels[1].pk)
    with pytest.raises(ReviewError, match="Only one reviewer") as refused:
        mark(single.image)
    assert refused.value.code == "not_known"
    assert mark(single.image, expert=True).source == "expert"
    audited = station.item(stream="audit")
    QueueItem.objects.filter(pk=audited.pk).update(overlap=1, position=-9)
    station.answer(one, station.next(one)[0], "correct", label=station.labels[1].pk)
    with pytest.raises(ReviewError) as refused:
        mark(audited.image, expert=True)
    assert refused.value.code in ("blind", "audit_sample")
    ConfirmedLabel.objects.filter(image=audited.image).update(audited_at=timezone.now() - timedelta(hours=1))
    with pytest.raises(ReviewError) as refused:
        mark(audited.image, expert=True)
    assert refused.value.code == "audit_sample"
    kinds = list(Event.objects.filter(kind="gold_image.added").values_list("data", flat=True))
    assert all("image" not in data for data in kinds), "reviewers read the audit log"


def test_all_known_images_are_marked_at_once() -> None:
    station = Station(items=3, overlap=2)
    admin, one, two = station.reviewer("admin"), station.reviewer(), station.reviewer()
    for labels in ((0, 0), (0, 1), (2, 2)):
        for user, label in zip((one, two), labels):
            station.answer(user, station.next(user)[0], "correct", label=station.labels[label].pk)
    assert services.mark_known_as_gold(dataset=station.dataset, user=admin) == 2
    assert {row.image_id for row in GoldImage.objects.all()} == {
        station.items[0].image_id, station.items[2].image_id,
    }  # fmt: skip
    assert services.mark_known_as_gold(dataset=station.dataset, user=admin) == 0


def test_ended_gold_is_not_asked_and_never_changes_again() -> None:
    station = Gold(gold=1)
    station.present()
    station.fill()
    assert station.tests(state="waiting").exists()
    row = services.end_gold(dataset=station.dataset, user=station.admin, gold_id=station.rows[0].pk)
    assert not station.tests(state="waiting").exists()
    with pytest.raises(ReviewError, match="ended"):
        services.end_gold(dataset=station.dataset, user=station.admin, gold_id=row.pk)
    for change in ({"ended_at": None}, {"label": station.labels[2]}):
        with pytest.raises(DatabaseError), transaction.atomic(), as_owner():
            GoldImage.objects.filter(pk=row.pk).update(**change)
    station.fill()
    assert not station.tests(state="waiting").exists()


def test_gold_image_is_asked_of_a_reviewer_once_in_the_given_days() -> None:
    station = Gold(gold=1)
    user = station.present()
    item = next(item for item in station.fill() if item.stream == Stream.GOLD)
    station.answer(user, station.take(user, item), "correct", label=station.labels[1].pk)
    station.fill()
    assert not station.tests(state="waiting").exists()
    long_ago = timezone.now() - timedelta(days=31)
    with as_owner():
        QueueItem.objects.filter(pk=item.pk).update(created_at=long_ago, finished_at=long_ago)
    station.fill(80)
    assert station.tests(state="waiting", assigned_to=user).exists()


def test_seen_test_stays_and_unseen_test_is_drawn_again() -> None:
    station = Gold(gold=2)
    user = station.present()
    first, second = [item for item in station.fill(60) if item.stream == Stream.GOLD][:2]
    leased = station.take(user, first)
    services.release(dataset=station.dataset, user=user, lease_ids=[leased.lease.pk])
    station.fill()
    first.refresh_from_db()
    second.refresh_from_db()
    assert first.state == "waiting", "a reviewer could release the hard images and get others"
    assert second.state == "withdrawn"


def test_changed_label_is_not_asked() -> None:
    station = Gold(gold=1)
    station.present()
    services.correct_label(
        dataset=station.dataset, user=station.author, image_id=station.known[0].pk,
        label_id=station.labels[2].pk, client_key=uuid.uuid4(),
        head_version=station.head.version,
    )  # fmt: skip
    station.fill()
    assert not station.tests().exists()


def test_other_acts_withdraw_a_waiting_test() -> None:
    station = Gold(gold=1)
    station.present()
    station.fill()
    test = station.tests(state="waiting").get()
    item = services.request_recheck(dataset=station.dataset, user=station.admin, image_id=test.image_id)
    test.refresh_from_db()
    assert test.state == "withdrawn" and item.stream == "recheck" and item.assigned_to is None


def test_hidden_repeats_are_own_decisions_of_long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixing, "REPEAT_AFTER_ANSWERS", 3)
    station = Gold(gold=6, gold_share=0, repeat_share=0.2, repeat_days=0)
    waiting = station.fill()
    repeats = [item for item in waiting if item.stream == Stream.REPEAT]
    assert {item.assigned_to for item in repeats} == {station.author}
    old = set(Decision.objects.order_by("pk").values_list("pk", flat=True)[:3])
    assert repeats and {item.repeats_id for item in repeats} <= old, "three decisions must lie between"
    before = list(ConfirmedLabel.objects.order_by("pk").values())
    item = repeats[0]
    leased = station.take(station.author, item)
    assert leased.blind
    decision = station.answer(station.author, leased, "correct", label=station.labels[2].pk)
    ids = [row["id"] for row in before]
    assert list(ConfirmedLabel.objects.filter(pk__in=ids).order_by("pk").values()) == before
    share = repeat_share(station.dataset, station.author, period_with_newest())
    assert (share.k, share.n) == (0, 1), "the label differs from that of the time before"
    assert decision.item == item
    Dataset.objects.filter(pk=station.dataset.pk).update(repeat_days=5)
    station.fill()
    fresh = station.tests(state="waiting").exclude(pk__in=[item.pk for item in repeats])
    assert not fresh.exists(), "five days must lie between"


def test_without_shares_the_queue_holds_no_test() -> None:
    station = Gold(gold_share=0)
    station.present()
    station.fill()
    assert not station.tests().exists()


def test_share_is_reached_over_many_fills() -> None:
    station = Gold(gold=30, gold_share=0.1)
    station.present()
    drawn = sum(len(mixing.draw_tests(
        dataset=Dataset.objects.get(pk=station.dataset.pk), head=station.head, normal=normal,
    )) for normal in [[QueueItem(image_id=-i, position=i) for i in range(1, 91)]] * 20)  # fmt: skip
    # The author and the admin know the label, and one reviewer of two takes half of the queue: 5 of 90.
    assert drawn >= 20
