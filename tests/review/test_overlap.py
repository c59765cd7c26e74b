"""Overlap by dataset, stream and label: who else is asked, and what stays as it is."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mekiki.accounts.services import set_adjudicator
from mekiki.audit.models import Event
from mekiki.datasets.services import update_settings
from mekiki.labeling.services import update_label
from mekiki.learning.models import Prediction
from mekiki.review import blinding, selectors, services
from mekiki.review.models import ConfirmedLabel, Lease, QueueItem, Stream, StreamOverlap
from mekiki.review.overlap import overlap_rules
from mekiki.review.services import confirmed
from tests.factories import ImageFactory, LabelFactory, PredictionFactory
from tests.review_setup import Station
from tests.roles import set_fixed

pytestmark = pytest.mark.django_db


def set_least(station: Station, number: int, overlap: int) -> None:
    type(station.labels[number]).objects.filter(pk=station.labels[number].pk).update(min_overlap=overlap)
    station.labels[number].refresh_from_db()


def fill(station: Station, streams: list[str], predicted: list[int]) -> list[QueueItem]:
    """Fill the queue with new images of these streams, predicted as the labels of these numbers."""
    images = [ImageFactory(dataset=station.dataset) for _ in streams]
    for image, number in zip(images, predicted, strict=True):
        PredictionFactory(head=station.head, image=image, label=station.labels[number])
    services.fill_queue(
        dataset=station.dataset,
        head=station.head,
        image_ids=[image.pk for image in images],
        streams=streams,
        propensities=[0.5] * len(streams),
    )
    return [QueueItem.objects.get(image=image) for image in images]


def test_stream_replaces_the_overlap_of_the_dataset_and_a_label_raises_it():
    station = Station(overlap=2)
    set_least(station, 1, 3)
    for stream, overlap in (("diverse", 1), ("audit", 4)):
        StreamOverlap.objects.create(dataset=station.dataset, stream=stream, overlap=overlap)
    streams = ["uncertain", "diverse", "audit", "uncertain", "diverse", "audit", "gold"]
    items = fill(station, streams, [0, 0, 0, 1, 1, 1, 1])
    assert [item.overlap for item in items] == [2, 1, 4, 3, 3, 4, 1]


def test_overlap_of_a_blind_item_does_not_depend_on_its_prediction():
    station = Station()
    set_least(station, 1, 3)
    blind, seen = fill(station, ["audit", "uncertain"], [1, 1])
    assert (blind.overlap, seen.overlap) == (1, 3)


def test_first_answer_with_a_label_of_larger_overlap_asks_a_second_reviewer():
    station = Station(items=1)
    set_least(station, 1, 2)
    first, second = station.reviewer(), station.reviewer()
    leased = station.next(first)[0]
    assert station.next(second) == [], "one reviewer holds the item"
    station.answer(first, leased, "correct", label=station.labels[1])
    item = QueueItem.objects.get()
    assert (item.overlap, item.state) == (2, "waiting") and not ConfirmedLabel.objects.exists()
    assert station.next(first) == [], "the same reviewer is not asked again"
    again = station.next(second)[0]
    assert again.item == item
    station.answer(second, again, "correct", label=station.labels[1])
    assert ConfirmedLabel.objects.get().label == station.labels[1]
    assert QueueItem.objects.get().state == "done"


def test_confirmation_of_the_prediction_raises_the_overlap_too():
    station = Station(items=1)
    set_least(station, 0, 2)
    user = station.reviewer()
    station.answer(user, station.next(user)[0], "confirm")
    assert QueueItem.objects.get().overlap == 2 and not ConfirmedLabel.objects.exists()


def test_setting_for_critical_labels_applies_to_all_of_them_also_later():
    station = Station(items=2)
    admin, user = station.reviewer("admin"), station.reviewer()
    update_settings(dataset=station.dataset, user=admin, critical_overlap=2)
    station.dataset.refresh_from_db()
    station.answer(user, station.next(user)[0], "correct", label=station.labels[2])
    assert ConfirmedLabel.objects.count() == 1, "the label is not critical"
    update_label(label=station.labels[2], user=admin, critical=True)
    station.answer(user, station.next(user)[0], "correct", label=station.labels[2])
    assert ConfirmedLabel.objects.count() == 1 and QueueItem.objects.filter(overlap=2).count() == 1
    assert overlap_rules(station.dataset).labels == {station.labels[2].pk: 2}


def test_answer_with_a_usual_label_reads_and_writes_no_overlap():
    station = Station(items=1)
    user = station.reviewer()
    leased = station.next(user)[0]
    with CaptureQueriesContext(connection) as queries:
        station.answer(user, leased, "correct", label=station.labels[1])
    assert not [q for q in queries if "streamoverlap" in q["sql"]]
    assert not [q for q in queries if q["sql"].startswith("UPDATE") and '"overlap"' in q["sql"]]


def test_audit_waits_for_the_second_reviewer_and_stays_blind():
    station = Station(audit_fraction=0.5)
    set_least(station, 1, 2)
    item = station.item(stream=Stream.AUDIT)
    set_fixed(item.image, audit_key=0.1)
    first, second = station.reviewer(), station.reviewer()
    station.answer(first, station.next(first)[0], "correct", label=station.labels[1])
    assert selectors.audit_sample(station.dataset) == []
    assert blinding.hidden_ids(station.dataset, [item.image_id])
    leased = station.next(second)[0]
    assert leased.blind
    station.answer(second, leased, "correct", label=station.labels[1])
    assert [label for _i, label, _b in selectors.audit_sample(station.dataset)] == [station.labels[1].pk]


def test_audit_label_stays_when_its_answer_is_undone_later_and_a_critical_label_follows(
    monkeypatch: pytest.MonkeyPatch,
):
    for module in (confirmed, blinding):
        monkeypatch.setattr(module, "AUDIT_UNDO_PERIOD", timedelta(microseconds=-1))
    station = Station(audit_fraction=0.5)
    set_least(station, 1, 2)
    item = station.item(stream=Stream.AUDIT)
    set_fixed(item.image, audit_key=0.1)
    user = station.reviewer()
    station.answer(user, station.next(user)[0], "correct", label=station.labels[0])
    station.undo(user)
    station.answer(user, station.next(user)[0], "correct", label=station.labels[1])
    item.refresh_from_db()
    row = ConfirmedLabel.objects.get()
    assert (item.overlap, row.audit_label, row.label) == (1, station.labels[0], station.labels[1])


def test_correction_to_a_critical_label_waits_for_a_second_reviewer():
    station = Station(items=1)
    set_least(station, 1, 2)
    first, second = station.reviewer(), station.reviewer()
    station.answer(first, station.next(first)[0], "confirm")
    image = QueueItem.objects.get().image
    services.correct_label(
        dataset=station.dataset, user=first, image_id=image.pk, label_id=station.labels[1].pk,
        client_key=uuid.uuid4(), head_version=station.head.version,
    )  # fmt: skip
    assert ConfirmedLabel.objects.get().label == station.labels[0], "the label stays until then"
    leased = station.next(second)[0]
    assert leased.item.overlap == 2 and station.next(first) == []
    station.answer(second, leased, "correct", label=station.labels[1])
    assert ConfirmedLabel.objects.get().label == station.labels[1]


def correct_own(station: Station, user: Any, target: Any, label: int) -> Any:
    return services.correct_own_answer(
        dataset=station.dataset, user=user, decision_id=target.pk, label_id=station.labels[label].pk,
        client_key=uuid.uuid4(),
    )  # fmt: skip


def test_correction_of_an_own_answer_to_a_critical_label_asks_a_second_reviewer():
    station = Station(items=1)
    set_least(station, 1, 2)
    first, second = station.reviewer(), station.reviewer()
    target = station.answer(first, station.next(first)[0], "confirm")
    decision = correct_own(station, first, target, 1)
    item = QueueItem.objects.get()
    assert (item.overlap, item.state, item.finished_at) == (2, "waiting", None)
    assert not ConfirmedLabel.objects.exists(), "one reviewer alone does not set this label"
    assert station.next(first) == [], "the same reviewer is not asked again"
    leased = station.next(second)[0]
    assert leased.item == item
    station.answer(second, leased, "correct", label=station.labels[1])
    assert ConfirmedLabel.objects.get().decision == decision
    assert QueueItem.objects.get().state == "done"


def test_correction_that_makes_answers_differ_waits_for_an_adjudicator():
    station = Station(items=1, overlap=2)
    one, two = station.reviewer(), station.reviewer()
    target = station.answer(one, station.next(one)[0])
    station.answer(two, station.next(two)[0])
    correct_own(station, one, target, 1)
    item = QueueItem.objects.get()
    assert item.state == "done" and item.disputed_at is not None
    assert not ConfirmedLabel.objects.exists()


def test_correction_to_a_label_of_larger_overlap_asks_further_reviewers_before_an_adjudicator():
    station = Station(items=1, overlap=2)
    set_least(station, 1, 3)
    one, two, three = (station.reviewer() for _ in range(3))
    target = station.answer(one, station.next(one)[0])
    station.answer(two, station.next(two)[0])
    correct_own(station, one, target, 1)
    item = QueueItem.objects.get()
    assert (item.overlap, item.state, item.disputed_at) == (3, "waiting", None)
    station.answer(three, station.next(three)[0], "correct", label=station.labels[2])
    assert QueueItem.objects.get().disputed_at is not None


def test_critical_correction_while_the_item_waits_raises_its_overlap():
    station = Station(items=1, overlap=2)
    set_least(station, 1, 3)
    one, two = station.reviewer(), station.reviewer()
    target = station.answer(one, station.next(one)[0])
    held = station.next(two)[0]
    correct_own(station, one, target, 1)
    assert (QueueItem.objects.get().overlap, QueueItem.objects.get().state) == (3, "waiting")
    station.answer(two, held, "correct", label=station.labels[1])
    assert QueueItem.objects.get().state == "waiting", "a third reviewer is needed"


def test_flag_that_becomes_a_critical_label_asks_a_second_reviewer():
    station = Station(items=1)
    set_least(station, 1, 2)
    one, two = station.reviewer(), station.reviewer()
    correct_own(station, one, station.answer(one, station.next(one)[0], "flag"), 1)
    assert not ConfirmedLabel.objects.exists()
    station.answer(two, station.next(two)[0], "correct", label=station.labels[1])
    assert ConfirmedLabel.objects.get().label == station.labels[1]


def late_answer(station: Station, user: Any, leased: Any, label: int) -> Any:
    Lease.objects.filter(pk=leased.lease.pk).update(ended_at=timezone.now())
    return station.answer(user, leased, "correct", label=station.labels[label])


def test_correction_of_a_late_answer_that_does_not_count_changes_no_overlap():
    station = Station(items=1)
    set_least(station, 1, 2)
    one, two = station.reviewer(), station.reviewer()
    held = station.next(one)[0]
    Lease.objects.update(ended_at=timezone.now())
    station.answer(two, station.next(two)[0])
    late = late_answer(station, one, held, 2)
    assert late.late
    correct_own(station, one, late, 1)
    assert (QueueItem.objects.get().overlap, QueueItem.objects.get().state) == (1, "done")
    assert ConfirmedLabel.objects.get().label == station.labels[0]


def test_late_critical_answer_that_an_undo_makes_count_asks_a_second_reviewer():
    station = Station(items=1)
    set_least(station, 1, 2)
    one, two = station.reviewer(), station.reviewer()
    held = station.next(one)[0]
    Lease.objects.update(ended_at=timezone.now())
    station.answer(two, station.next(two)[0])
    late_answer(station, one, held, 1)
    station.undo(two)
    assert not ConfirmedLabel.objects.exists()
    assert (QueueItem.objects.get().overlap, QueueItem.objects.get().state) == (2, "waiting")
    assert [one.item for one in station.next(two)] == list(QueueItem.objects.all())


def test_late_answer_that_raises_the_overlap_asks_no_reviewer_too_many():
    station = Station(items=1)
    set_least(station, 1, 2)
    one, two, three = (station.reviewer() for _ in range(3))
    held = station.next(one)[0]
    Lease.objects.update(ended_at=timezone.now())
    other = station.next(two)[0]
    late_answer(station, one, held, 1)
    assert (QueueItem.objects.get().overlap, QueueItem.objects.get().state) == (2, "waiting")
    assert station.next(three) == [], "the late answer and the reviewer who holds the image are enough"
    station.answer(two, other, "correct", label=station.labels[1])
    assert QueueItem.objects.get().state == "done" and ConfirmedLabel.objects.get().label == station.labels[1]


@pytest.mark.parametrize("overlap", [1, 2])
def test_late_answers_are_enough_if_the_last_reviewer_gives_the_image_back(overlap: int):
    station = Station(items=2, overlap=overlap)
    late = [station.reviewer() for _ in range(overlap)]
    last, other = station.reviewer(), station.reviewer()
    held = [station.next(user)[0] for user in late]
    Lease.objects.update(ended_at=timezone.now())
    given_back = station.next(last)[0]
    for user, leased in zip(late, held, strict=True):
        late_answer(station, user, leased, 1)
    item = given_back.item
    assert station.next(other)[0].item != item
    services.release(dataset=station.dataset, user=last, lease_ids=[given_back.lease.pk])
    assert [one.item for one in station.next(other, 5)] == [station.items[1]]
    item.refresh_from_db()
    assert item.state == "done" and ConfirmedLabel.objects.get(image=item.image).label == station.labels[1]


def test_late_critical_answer_to_a_withdrawn_item_does_not_set_the_label_alone():
    station = Station(items=1)
    set_least(station, 1, 2)
    user = station.reviewer()
    held = station.next(user)[0]
    QueueItem.objects.update(state="withdrawn", finished_at=timezone.now())
    assert late_answer(station, user, held, 1).late
    assert not ConfirmedLabel.objects.exists()


def test_correction_after_a_ruling_keeps_the_ruling_and_asks_nobody():
    station = Station(items=1, overlap=2)
    set_least(station, 2, 3)
    one, two, judge = station.reviewer(), station.reviewer(), station.reviewer("admin")
    target = station.answer(one, station.next(one)[0])
    station.answer(two, station.next(two)[0], "correct", label=station.labels[1])
    set_adjudicator(dataset=station.dataset, user=judge, adjudicator=True, actor=judge)
    services.rule(
        dataset=station.dataset, user=judge, item_id=QueueItem.objects.get().pk,
        label_id=station.labels[0].pk, note="because", client_key=uuid.uuid4(),
    )  # fmt: skip
    correct_own(station, one, target, 2)
    assert ConfirmedLabel.objects.get().label == station.labels[0]
    assert QueueItem.objects.get().state == "done"


def test_admin_sets_overlaps_with_events_and_others_are_refused():
    station = Station()
    admin = station.reviewer("admin")
    label = station.labels[0]

    def change(user: Any = admin, **more: Any) -> None:
        values = {"streams": {"audit": 2, "recheck": None}, "labels": {label.pk: 3}, **more}
        services.set_overlaps(dataset=station.dataset, user=user, **values)

    change()
    change()
    assert StreamOverlap.objects.get().overlap == 2
    label.refresh_from_db()
    assert label.min_overlap == 3
    assert Event.objects.filter(kind="queue.overlap_changed").count() == 1
    assert Event.objects.filter(kind="label.changed").count() == 1
    change(streams={"audit": None}, labels={})
    assert not StreamOverlap.objects.exists()
    for more in (
        {"streams": {"audit": 0}}, {"streams": {"audit": 10}}, {"streams": {"gold": 2}},
        {"streams": {"\x00": 2}}, {"labels": {label.pk: 0}}, {"labels": {LabelFactory().pk: 2}},
    ):  # fmt: skip
        with pytest.raises(ValidationError):
            change(**more)
    for role in ("reviewer", "viewer"):
        with pytest.raises(PermissionDenied):
            change(station.reviewer(role))
    for wrong in ({"stream": "gold", "overlap": 2}, {"stream": "audit", "overlap": 0}):
        with pytest.raises(IntegrityError), transaction.atomic():
            StreamOverlap.objects.create(dataset=station.dataset, **wrong)
    assert Prediction.objects.count() == 0
