"""The measures of reviewers: counts, pace, known answers, agreement with others and with the head."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mekiki.review.models import Decision, GoldImage, QueueItem, Stream
from mekiki.review.reviewer_measures import LEAST, Measures, measures_of
from mekiki.review.reviewer_measures.team import summaries
from tests.factories import (
    ConfirmedLabelFactory,
    DecisionFactory,
    ImageFactory,
    PredictionFactory,
    QueueItemFactory,
)
from tests.review_setup import Station
from tests.roles import as_owner

pytestmark = pytest.mark.django_db

LONG_AGO = timedelta(hours=1)


def decide(station: Station, user: Any, label: Any, item: QueueItem, /, **shown: Any) -> Decision:
    """Record an answer of an hour ago, as the services store it."""
    with as_owner(triggers=False):
        return DecisionFactory(
            dataset=station.dataset,
            image=item.image,
            item=item,
            user=user,
            label=label,
            kind=shown.pop("kind", "correct" if label else "skip"),
            milliseconds=shown.pop("milliseconds", None),
            supersedes=shown.pop("supersedes", None),
            created_at=timezone.now() - shown.pop("ago", LONG_AGO),
            shown={"stream": str(item.stream), "blind": False, **shown},
        )


def gold_item(station: Station, label: Any, **more: Any) -> QueueItem:
    """Return an answered item of a new gold image of the dataset."""
    image = more.pop("image", None) or ImageFactory(dataset=station.dataset)
    by = more.pop("by", None)
    decided = {"decision__user": by} if by is not None else {}
    confirmed = ConfirmedLabelFactory(dataset=station.dataset, image=image, label=label, **decided)
    gold = GoldImage.objects.create(
        dataset=station.dataset,
        image=image,
        label=label,
        source="expert",
        decision=confirmed.decision,
        created_by=confirmed.decision.user,
    )
    values = {"stream": Stream.GOLD, "state": "done", "gold": gold, **more}
    return QueueItemFactory(dataset=station.dataset, image=image, **values)


def measured(station: Station, user: Any, since: Any = None) -> Measures:
    return measures_of(station.dataset, user, since=since)


def test_decisions_are_counted_by_kind_stream_and_day_without_undone_ones():
    station = Station(items=4)
    user = station.reviewer()
    decide(station, user, station.labels[0], station.items[0], kind="confirm")
    decide(station, user, station.labels[1], station.items[1])
    undone = decide(station, user, None, station.items[2])
    decide(station, user, None, station.items[2], kind="undo", supersedes=undone)
    decide(station, station.reviewer(), station.labels[0], station.items[3])
    result = measured(station, user)
    assert result.decisions == 2 and not result.capped
    assert result.kinds == {"confirm": 1, "correct": 1} and result.streams == {"uncertain": 2}
    assert sum(result.days.values()) == 2


def test_period_limits_the_decisions():
    station = Station(items=2)
    user = station.reviewer()
    decide(station, user, station.labels[0], station.items[0], ago=timedelta(days=8))
    decide(station, user, station.labels[0], station.items[1])
    assert measured(station, user, timezone.now() - timedelta(days=7)).decisions == 1
    assert measured(station, user).decisions == 2


def test_pace_ignores_pauses_and_counts_the_grid_separately():
    station = Station(items=6)
    user = station.reviewer()
    for item, ms in zip(station.items[:4], [1000, 2000, 4000, 61_000], strict=True):
        decide(station, user, station.labels[0], item, milliseconds=ms)
    decide(station, user, station.labels[0], station.items[4], milliseconds=12_000, grid={"tiles": 24})
    result = measured(station, user)
    assert (result.pace.n, result.pace.value) == (3, 2.0)
    assert (result.grid_pace.n, result.grid_pace.value) == (1, 0.5)


def test_gold_answers_are_compared_with_the_known_label():
    station = Station()
    user = station.reviewer()
    right, wrong = gold_item(station, station.labels[0]), gold_item(station, station.labels[0])
    decide(station, user, station.labels[0], right, blind=True)
    miss = decide(station, user, station.labels[1], wrong, blind=True)
    result = measured(station, user)
    assert (result.gold.k, result.gold.n) == (1, 2)
    assert [one.decision for one in result.misses] == [miss.pk]
    assert result.misses[0].known == station.labels[0].pk


def test_an_answer_that_can_still_be_undone_is_not_measured():
    """Otherwise a reviewer could look at the figure, undo the answer and give the right one."""
    station = Station(overlap=2)
    user, other = station.reviewer(), station.reviewer()
    decide(
        station,
        user,
        station.labels[1],
        gold_item(station, station.labels[0]),
        blind=True,
        ago=timedelta(seconds=90),
    )
    audit = station.item(stream=Stream.AUDIT)
    decide(station, user, station.labels[0], audit, blind=True, ago=timedelta(seconds=90))
    decide(station, other, station.labels[0], audit, blind=True)
    result = measured(station, user)
    assert result.decisions == 2
    assert result.gold.n == result.model.blind.n == result.others.n == 0 and not result.misses


def test_first_gold_answer_counts_unless_it_was_undone_within_two_minutes():
    """The page shows the known label later, so a second answer would measure nothing."""
    station = Station()
    user = station.reviewer()
    for gap in (timedelta(minutes=1), timedelta(minutes=30)):
        item = gold_item(station, station.labels[0])
        wrong = decide(station, user, station.labels[1], item, blind=True)
        undone_at = LONG_AGO - gap
        decide(station, user, None, item, kind="undo", supersedes=wrong, ago=undone_at)
        decide(station, user, station.labels[0], item, blind=True, ago=undone_at)
    result = measured(station, user)
    assert (result.gold.k, result.gold.n) == (1, 2)


def test_tiles_of_the_grid_that_do_not_belong_there_are_counted_separately():
    station = Station()
    user = station.reviewer()
    page = {"grid": {"page": str(uuid.uuid4()), "tiles": 12}, "label": station.labels[0].pk}
    decide(station, user, station.labels[0], gold_item(station, station.labels[0]), kind="confirm", **page)
    decide(station, user, station.labels[0], gold_item(station, station.labels[1]), kind="confirm", **page)
    decide(station, user, station.labels[2], gold_item(station, station.labels[1]), **page)
    result = measured(station, user)
    assert (result.foreign_tiles.k, result.foreign_tiles.n) == (1, 2)
    assert result.gold.n == 0


def test_repeats_are_compared_with_the_answer_before():
    station = Station(items=3)
    user, other = station.reviewer(), station.reviewer()
    for item, first, again in zip(station.items, (0, 0, None), (0, 1, 0), strict=True):
        if first is None:
            decide(station, other, station.labels[again], item)
            continue
        before = decide(station, user, station.labels[first], item)
        repeat = QueueItemFactory(
            dataset=station.dataset, image=item.image, stream=Stream.REPEAT, repeats=before, state="done"
        )
        decide(station, user, station.labels[again], repeat, stream="repeat")
    result = measured(station, user)
    assert (result.repeats.k, result.repeats.n) == (1, 2)


def test_agreement_with_others_needs_half_of_them():
    station = Station(items=3, overlap=3)
    user, second, third = (station.reviewer() for _ in range(3))
    for item, labels in zip(station.items, ((0, 0, 1), (0, 1, 1), (0, None, None)), strict=True):
        for person, label in zip((user, second, third), labels, strict=True):
            if label is not None:
                decide(station, person, station.labels[label], item)
    result = measured(station, user)
    assert (result.others.k, result.others.n) == (1, 2)


def test_agreement_with_the_head_is_compared_at_the_same_confidence():
    """The head is unsure of shown images and sure of blind ones, and the reviewer copies nothing."""
    station = Station()
    user = station.reviewer()
    for number in range(40):
        sure = number % 2 == 0
        item = station.item()
        label = station.labels[0 if number % 4 else 1]
        decide(station, user, label, item, label=station.labels[0].pk, confidence=0.95 if sure else 0.4)
    for number in range(30):
        image = ImageFactory(dataset=station.dataset)
        PredictionFactory(head=station.head, image=image, label=station.labels[0], confidence=0.95)
        item = station.item(stream=Stream.AUDIT, image=image)
        decide(station, user, station.labels[0 if number % 2 else 1], item, blind=True)
    model = measured(station, user).model
    assert (model.shown.k, model.shown.n) == (30, 40) and (model.blind.k, model.blind.n) == (15, 30)
    assert model.compared == (20, 30) and model.enough
    difference = model.difference
    assert difference is not None
    # Of the sure ones 10 of 20 when shown, 15 of 30 when blind: no difference. The raw shares suggest 25 %.
    assert difference.value == pytest.approx(0.0) and difference.low < -0.2 and difference.high > 0.2


def test_too_few_answers_give_no_figure():
    station = Station()
    user = station.reviewer()
    for number in range(LEAST):
        assert not measured(station, user).gold.enough
        decide(station, user, station.labels[number % 2], gold_item(station, station.labels[0]), blind=True)
    result = measured(station, user)
    assert result.gold.enough and result.gold.low < 0.5 < result.gold.high


def test_list_of_reviewers_is_alphabetical_with_the_same_number_of_queries():
    station = Station(items=1)
    numbers = []
    for more in (2, 4):
        for _ in range(more):
            decide(station, station.reviewer(), station.labels[0], station.items[0])
        with CaptureQueriesContext(connection) as queries:
            rows, after = summaries(station.dataset, since=None)
        numbers.append(len(queries))
    assert len(rows) == 6 and after == ""
    assert [row.user.username for row in rows] == sorted(row.user.username for row in rows)
    assert {row.decisions for row in rows} == {1}
    assert numbers[0] == numbers[1]
    station.reviewer("viewer")
    assert len(summaries(station.dataset, since=None)[0]) == 6


def test_measures_are_few_queries():
    station = Station(items=1)
    user = station.reviewer()
    decide(station, user, station.labels[0], station.items[0])
    with CaptureQueriesContext(connection) as queries:
        measured(station, user)
    assert len(queries) <= 5
