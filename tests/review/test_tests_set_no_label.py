"""An answer to a gold image or a hidden repeat never sets, keeps or locks a label."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from mekiki.review import services
from mekiki.review.models import ConfirmedLabel, Decision, QueueItem, Stream
from mekiki.review.services import known_answers
from tests.factories import ImageFactory, PredictionFactory
from tests.review.test_gold import Gold
from tests.review.test_grid import Grid
from tests.review.test_known_answers import Always, known
from tests.review_setup import Station

pytestmark = pytest.mark.django_db


def _test_item(station: Station, first: Decision, reviewer: Any, stream: str) -> QueueItem:
    """Return a waiting test of the reviewer about the image of a decision, first in the queue."""
    gold = None
    if stream == Stream.GOLD:
        admin = station.reviewer("admin")
        gold = services.mark_gold(dataset=station.dataset, user=admin, image_id=first.image_id, expert=True)
    return QueueItem.objects.create(
        dataset=station.dataset,
        image=first.image,
        stream=stream,
        propensity=0.5,
        head=station.head,
        position=-1.0,
        overlap=1,
        assigned_to=reviewer,
        gold=gold,
        repeats=first if stream == Stream.REPEAT else None,
    )


@pytest.mark.parametrize("stream", [Stream.GOLD, Stream.REPEAT])
def test_answer_to_a_test_is_no_vote_when_the_other_answers_are_undone(stream: str):
    station = Station(items=1)
    author = station.reviewer()
    first = station.answer(author, station.next(author)[0])
    tested = author if stream == Stream.REPEAT else station.reviewer()
    item = _test_item(station, first, tested, stream)
    station.answer(tested, station.next(tested)[0], "correct", label=station.labels[2])
    item.refresh_from_db()
    assert item.state == "done" and ConfirmedLabel.objects.get().decision == first
    services.correct_own_answer(
        dataset=station.dataset,
        user=author,
        decision_id=first.pk,
        label_id=station.labels[1].pk,
        client_key="00000000-0000-4000-8000-000000000001",
    )
    assert ConfirmedLabel.objects.get().label == station.labels[1]
    if stream == Stream.GOLD:
        station.undo(author)
        assert not ConfirmedLabel.objects.exists(), "the answer to a test set the label"


@pytest.mark.parametrize("stream", [Stream.GOLD, Stream.REPEAT])
def test_answer_to_a_test_does_not_touch_the_label_of_its_image(stream: str):
    station = Station(items=1)
    author = station.reviewer()
    first = station.answer(author, station.next(author)[0])
    tested = author if stream == Stream.REPEAT else station.reviewer()
    _test_item(station, first, tested, stream)
    (leased,) = station.next(tested)
    with CaptureQueriesContext(connection) as queries:
        station.answer(tested, leased, "correct", label=station.labels[2])
    locks = [q["sql"] for q in queries if "review_confirmedlabel" in q["sql"] and "FOR NO KEY" in q["sql"]]
    assert not locks, "the label of the image was locked and derived again"


def test_known_answer_on_a_page_does_not_touch_the_label_of_its_image(monkeypatch: pytest.MonkeyPatch):
    grid = Gold(gold=4)
    user = grid.present()
    grid.fill()
    QueueItem.objects.filter(stream="audit", state="waiting").update(state="withdrawn")
    grid.dataset.refresh_from_db()
    monkeypatch.setattr(known_answers, "_random", Always(2))
    page = Grid.page.__get__(grid)(user, count=12)
    derived: list[int] = []
    monkeypatch.setattr(
        "mekiki.review.services.grid_answers.update_confirmed_labels",
        lambda *, dataset, images, given: derived.extend(image.pk for image in images),
    )
    Grid.confirm.__get__(grid)(user, page)
    assert len(derived) == 10 and not {tile.item.image_id for tile in known(page)} & set(derived)


def test_image_with_an_answer_to_a_test_alone_has_no_label():
    station = Station()
    user = station.reviewer()
    image = ImageFactory(dataset=station.dataset)
    PredictionFactory(head=station.head, image=image, label=station.labels[0])
    earlier = station.item(image=image)
    first = station.answer(user, station.next(user)[0], "skip")
    QueueItem.objects.filter(pk=earlier.pk).update(state="withdrawn")
    _test_item(station, first, user, Stream.REPEAT)
    station.answer(user, station.next(user)[0], "correct", label=station.labels[2])
    services.update_confirmed_label(dataset=station.dataset, image=image)
    assert not ConfirmedLabel.objects.exists()
