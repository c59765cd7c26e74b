"""The history of the station: a reviewer corrects one of the last answers by a new decision."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.test.utils import CaptureQueriesContext

from mekiki.datasets.models import DEFAULT_DISPLAY_MS
from mekiki.learning.models import Champion
from mekiki.review import services
from mekiki.review.errors import InvalidAnswerError, NotFoundForReviewerError, ReviewError
from mekiki.review.models import ConfirmedLabel, Decision, Lease, QueueItem, Stream
from mekiki.review.own_answers import LAST, own_answers
from mekiki.review.selectors import answered_today
from mekiki.review.services import update_confirmed_label
from mekiki.review.unresolved import unresolved_decisions
from tests.factories import EvaluationFactory, HeadFactory, PredictionFactory
from tests.review_setup import Station

pytestmark = pytest.mark.django_db


def correct(station: Station, user: Any, target: Decision, label: int = 2, **more: Any) -> Decision:
    return services.correct_own_answer(
        **{
            "dataset": station.dataset,
            "user": user,
            "decision_id": target.pk,
            "label_id": station.labels[label].pk,
            "client_key": uuid.uuid4(),
            **more,
        }
    )


def test_correction_supersedes_the_answer_and_changes_no_row():
    station = Station(items=2)
    user = station.reviewer()
    first = station.answer(user, station.next(user)[0])
    station.answer(user, station.next(user)[0])
    before = Decision.objects.filter(pk=first.pk).values().get()
    decision = correct(station, user, first, milliseconds=900)
    assert Decision.objects.filter(pk=first.pk).values().get() == before
    assert (decision.supersedes, decision.kind, decision.label) == (first, "correct", station.labels[2])
    assert (decision.item, decision.late, decision.milliseconds) == (first.item, False, 900)
    assert decision.shown == {**first.shown, "history": True}
    confirmed = ConfirmedLabel.objects.get(image=first.image)
    assert (confirmed.label, confirmed.decision) == (station.labels[2], decision)
    assert answered_today(station.dataset, user) == 2
    rows, _before = own_answers(station.dataset, user, before=None, size=10)
    assert rows[0].decision == decision and len(rows) == 2
    # Back to the predicted label: that is a confirmation, and a correction can be corrected.
    assert correct(station, user, decision, label=0).kind == "confirm"


def test_correction_works_after_a_retrain_and_records_what_was_shown_then():
    station = Station(items=1)
    user = station.reviewer()
    first = station.answer(user, station.next(user)[0])
    head = HeadFactory(dataset=station.dataset, prompt_set=station.head.prompt_set)
    PredictionFactory(head=head, image=first.image, label=station.labels[1])
    Champion.objects.filter(dataset=station.dataset).update(head=head)
    decision = correct(station, user, first)
    assert decision.shown["head"] == station.head.version != head.version
    assert decision.shown["label"] == station.labels[0].pk


def test_correction_sent_twice_is_recorded_once_and_a_second_tab_is_refused():
    station = Station(items=1)
    user = station.reviewer()
    first = station.answer(user, station.next(user)[0])
    key = uuid.uuid4()
    decision = correct(station, user, first, client_key=key)
    again = correct(station, user, first, client_key=key)
    assert again == decision and again.duplicate
    with pytest.raises(ReviewError) as other_label:
        correct(station, user, first, label=1, client_key=key)
    assert other_label.value.code == "key_used"
    with pytest.raises(ReviewError) as second_tab:
        correct(station, user, first, label=1)
    assert second_tab.value.code == "superseded"
    assert Decision.objects.count() == 2


def test_refused_corrections_record_nothing():
    station = Station(items=3)
    user, other = station.reviewer(), station.reviewer()
    first = station.answer(user, station.next(user)[0])
    undone = station.answer(user, station.next(user)[0])
    undo = station.undo(user)
    elsewhere = Station(items=1)
    count = Decision.objects.count()
    for who, target, more, error in [
        (other, first, {}, NotFoundForReviewerError),  # the answer of another reviewer
        (user, undo, {}, NotFoundForReviewerError),
        (user, undone, {}, ReviewError),
        (user, first, {"decision_id": 2**62}, NotFoundForReviewerError),
        (user, first, {"label_id": elsewhere.labels[0].pk}, NotFoundForReviewerError),
        (user, first, {"label": 0}, ReviewError),  # unchanged
        (user, first, {"milliseconds": DEFAULT_DISPLAY_MS - 1}, InvalidAnswerError),
        (station.reviewer("viewer"), first, {}, PermissionDenied),
    ]:
        with pytest.raises(error):
            correct(station, who, target, **more)
    assert Decision.objects.count() == count


def test_only_the_last_answers_are_listed_and_corrected(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("mekiki.review.own_answers.LAST", 3)
    station = Station(items=5)
    user = station.reviewer()
    given = [station.answer(user, station.next(user)[0]) for _ in range(5)]
    first, before = own_answers(station.dataset, user, before=None, size=2)
    second, end = own_answers(station.dataset, user, before=before, size=2)
    assert [row.decision for row in (*first, *second)] == given[:1:-1]
    assert end is None
    with pytest.raises(NotFoundForReviewerError):
        correct(station, user, given[1])
    assert correct(station, user, given[2]).supersedes == given[2]
    assert LAST == 100


def test_vote_changes_and_the_votes_of_others_stay():
    station = Station(items=1, overlap=2)
    one, two = station.reviewer(), station.reviewer()
    first = station.answer(one, station.next(one)[0])
    station.answer(two, station.next(two)[0], "correct", label=station.labels[2])
    assert not ConfirmedLabel.objects.exists()
    correct(station, one, first)
    assert ConfirmedLabel.objects.get().label == station.labels[2]


def test_later_decision_of_another_reviewer_stays():
    station = Station(items=1)
    user, other = station.reviewer(), station.reviewer()
    first = station.answer(user, station.next(user)[0])
    services.correct_label(
        dataset=station.dataset,
        user=other,
        image_id=first.image_id,
        label_id=station.labels[1].pk,
        client_key=uuid.uuid4(),
        head_version=station.head.version,
    )
    correct(station, user, first)
    assert ConfirmedLabel.objects.get().label == station.labels[1]


@pytest.mark.parametrize("kind", ["skip", "flag"])
def test_skip_or_flag_becomes_a_label(kind: str):
    station = Station(items=1)
    user = station.reviewer()
    first = station.answer(user, station.next(user)[0], kind)
    decision = correct(station, user, first)
    assert not decision.late
    assert ConfirmedLabel.objects.get().label == station.labels[2]
    assert QueueItem.objects.get().state == "done"
    assert not unresolved_decisions(station.dataset).exists()


def test_label_of_a_skip_that_another_reviewer_holds_is_late_and_does_not_take_the_image_away():
    station = Station(items=1)
    user, other = station.reviewer(), station.reviewer()
    first = station.answer(user, station.next(user)[0], "skip")
    (held,) = station.next(other)
    decision = correct(station, user, first)
    assert decision.late
    assert QueueItem.objects.get().state == "waiting"
    assert Lease.objects.get(pk=held.lease.pk).ended_at is None
    station.answer(other, held)
    assert ConfirmedLabel.objects.get().label == station.labels[0]


def test_flag_of_several_reviewers_waits_for_the_others_again():
    station = Station(items=1, overlap=2)
    user, other = station.reviewer(), station.reviewer()
    first = station.answer(user, station.next(user)[0], "flag")
    correct(station, user, first)
    assert not ConfirmedLabel.objects.exists()
    assert station.next(user) == []
    station.answer(other, station.next(other)[0], "correct", label=station.labels[2])
    assert ConfirmedLabel.objects.get().label == station.labels[2]


def test_image_that_an_admin_sent_to_another_reviewer_is_not_corrected():
    station = Station(items=1)
    user, other, admin = station.reviewer(), station.reviewer(), station.reviewer("admin")
    first = station.answer(user, station.next(user)[0], "skip")
    services.send_to_reviewer(dataset=station.dataset, user=admin, decision_id=first.pk, reviewer_id=other.pk)
    with pytest.raises(ReviewError, match="sent it to a reviewer"):
        correct(station, user, first)
    assert Decision.objects.count() == 1


def test_audit_keeps_its_first_answer_once_the_prediction_could_be_seen(monkeypatch: pytest.MonkeyPatch):
    station = Station()
    user = station.reviewer()
    station.item(stream=Stream.AUDIT)
    first = station.answer(user, station.next(user)[0], "correct", label=station.labels[1])
    soon = correct(station, user, first)
    assert soon.shown["blind"] and "label" not in soon.shown
    assert ConfirmedLabel.objects.get().audit_label == station.labels[2]
    # From now on, the prediction was visible before each correction.
    monkeypatch.setattr("mekiki.review.services.confirmed.AUDIT_UNDO_PERIOD", timedelta(seconds=-1))
    update_confirmed_label(dataset=station.dataset, image=first.image)
    assert ConfirmedLabel.objects.get().audit_label == station.labels[1]  # the first answer
    late = correct(station, user, soon, label=0)
    confirmed = ConfirmedLabel.objects.get()
    assert (confirmed.label, confirmed.decision) == (station.labels[0], late)
    assert (confirmed.audit_label, confirmed.stream) == (station.labels[1], "audit")
    assert not confirmed.in_training


def test_audit_keeps_its_first_answer_if_an_accuracy_was_computed_in_between():
    station = Station()
    user = station.reviewer()
    station.item(stream=Stream.AUDIT)
    first = station.answer(user, station.next(user)[0], "correct", label=station.labels[1])
    EvaluationFactory(head=station.head)
    correct(station, user, first)
    assert ConfirmedLabel.objects.get().audit_label == station.labels[1]


def test_history_reads_a_fixed_number_of_queries():
    counts = []
    for n in (2, 8):
        station = Station(items=n)
        user = station.reviewer()
        for _ in range(n):
            station.answer(user, station.next(user)[0])
        with CaptureQueriesContext(connection) as queries:
            rows, _before = own_answers(station.dataset, user, before=None, size=20)
        assert len(rows) == n
        counts.append(len(queries))
    assert counts[0] == counts[1]
