"""An answer: recorded once, late answers kept, labels derived, undo, audit, follow-up work."""

import uuid
from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mekiki.audit.models import Event
from mekiki.datasets.models import DEFAULT_DISPLAY_MS
from mekiki.jobs.models import Job, Kind
from mekiki.review import selectors, services
from mekiki.review.adjustments import ViewAdjustments
from mekiki.review.errors import InvalidAnswerError, NotFoundForReviewerError, ReviewError
from mekiki.review.models import ConfirmedLabel, Decision, Lease, QueueItem, Stream
from mekiki.review.unresolved import unresolved_decisions
from tests.factories import LabelFactory
from tests.review_setup import Station
from tests.roles import as_owner, set_fixed

pytestmark = pytest.mark.django_db


def confirmed_label_of(item: QueueItem) -> ConfirmedLabel | None:
    return ConfirmedLabel.objects.filter(image=item.image).first()


def expire(lease: Lease) -> None:
    Lease.objects.filter(pk=lease.pk).update(expires_at=timezone.now() - timedelta(seconds=1))


def test_confirm_records_the_shown_label_and_finishes_the_item():
    station = Station(items=1)
    user = station.reviewer()
    decision = station.answer(user, station.next(user)[0], milliseconds=740)
    assert (decision.kind, decision.label, decision.late) == ("confirm", station.labels[0], False)
    assert decision.milliseconds == 740
    assert confirmed_label_of(station.items[0]).label == station.labels[0]
    assert confirmed_label_of(station.items[0]).in_training
    assert selectors.training_labels(station.dataset) == [
        (station.items[0].image_id, station.labels[0].pk, decision.pk)
    ]
    assert QueueItem.objects.get().state == "done"
    assert station.next(user) == []
    event = Event.objects.get(kind="decision.recorded")
    assert (event.actor_id, event.data["kind"], event.data["label"]) == (
        user.pk,
        "confirm",
        station.labels[0].pk,
    )


def test_answer_with_the_predicted_label_is_a_confirmation():
    station = Station(items=2)
    user = station.reviewer()
    one, two = station.next(user, 2)
    assert station.answer(user, one, "correct", label=station.labels[0].pk).kind == "confirm"
    assert station.answer(user, two, "correct", label=station.labels[2]).kind == "correct"
    assert confirmed_label_of(station.items[1]).label == station.labels[2]


def test_answer_with_the_same_key_returns_the_first_decision():
    station = Station(items=2)
    user = station.reviewer()
    leased = station.next(user)[0]
    key = uuid.uuid4()
    first = station.answer(user, leased, client_key=key)
    station.undo(user)
    again = station.answer(user, leased, client_key=key)
    assert (again.pk, again.duplicate, first.duplicate) == (first.pk, True, False)
    assert Decision.objects.exclude(kind="undo").count() == 1
    other = station.next(user, 2)[1]
    with pytest.raises(ReviewError) as error:
        station.answer(user, other, client_key=key)
    assert error.value.code == "key_used"


def test_late_answer_does_not_decide_while_another_reviewer_has_the_lease():
    station = Station(items=1)
    slow, quick = station.reviewer(), station.reviewer()
    expired = station.next(slow)[0]
    expire(expired.lease)
    current = station.next(quick)[0]
    late = station.answer(slow, expired, "correct", label=station.labels[2])
    assert late.late
    assert late.shown["head"] == station.head.version, "the late answer keeps the shown prediction"
    assert confirmed_label_of(station.items[0]).label == station.labels[2], (
        "a late answer sets the label while there is none"
    )
    assert QueueItem.objects.get().state == "waiting", "the item waits for the reviewer with the lease"
    assert station.next(quick)[0].lease.pk == current.lease.pk
    station.answer(quick, current)
    assert confirmed_label_of(station.items[0]).label == station.labels[0], "the answer in time decides"
    assert Decision.objects.count() == 2


def test_late_answer_after_another_answer_changes_no_label():
    station = Station(items=1)
    slow, quick = station.reviewer(), station.reviewer()
    leased = station.next(slow)[0]
    expire(leased.lease)
    station.answer(quick, station.next(quick)[0])
    assert station.answer(slow, leased, "correct", label=station.labels[2]).late
    assert confirmed_label_of(station.items[0]).label == station.labels[0]


def test_late_answer_without_another_answer_finishes_the_item():
    station = Station(items=1)
    user = station.reviewer()
    leased = station.next(user)[0]
    expire(leased.lease)
    assert station.answer(user, leased).late
    assert confirmed_label_of(station.items[0]).label == station.labels[0]
    assert QueueItem.objects.get().state == "done"


def test_answer_to_a_withdrawn_item_is_recorded_as_late():
    station = Station(items=1)
    user = station.reviewer()
    leased = station.next(user)[0]
    expire(leased.lease)
    services.fill_queue(dataset=station.dataset, head=station.head, image_ids=[], streams=[], propensities=[])
    assert QueueItem.objects.get().state == "withdrawn"
    assert station.answer(user, leased).late
    assert confirmed_label_of(station.items[0]).label == station.labels[0]


@pytest.mark.parametrize(
    ("votes", "label"), [((0, 0, 1), 0), ((1, 0, 1), 1), ((0, 1, 2), None), ((2, 2), 2), ((0, 1), None)]
)
def test_majority_decides_with_overlap(votes, label):
    station = Station(items=1, overlap=len(votes))
    for vote in votes:
        user = station.reviewer()
        station.answer(user, station.next(user)[0], "correct", label=station.labels[vote])
    row = confirmed_label_of(station.items[0])
    assert (row.label if row else None) == (station.labels[label] if label is not None else None)
    assert QueueItem.objects.get().state == "done"


def test_a_flag_ends_the_item_without_a_label_and_is_listed():
    station = Station(items=1)
    user = station.reviewer()
    decision = station.answer(user, station.next(user)[0], "flag", note="two parts in one picture")
    assert list(unresolved_decisions(station.dataset)) == [decision]
    assert confirmed_label_of(station.items[0]) is None
    assert station.items[0].image_id in selectors.reviewed_image_ids(station.dataset)
    station.undo(user)
    assert not unresolved_decisions(station.dataset).exists()
    assert selectors.reviewed_image_ids(station.dataset) == set()


def test_blind_items_need_a_label_and_are_not_trained_on_until_retired():
    station = Station()
    item = station.item(stream=Stream.AUDIT)
    user, admin = station.reviewer(), station.reviewer("admin")
    leased = station.next(user)[0]
    with pytest.raises(ReviewError) as error:
        station.answer(user, leased)
    assert error.value.code == "blind"
    assert Decision.objects.count() == 0
    decision = station.answer(user, leased, "correct", label=station.labels[0])
    assert decision.kind == "correct", "a blind answer confirms nothing"
    assert "label" not in decision.shown
    assert selectors.training_labels(station.dataset) == []
    assert selectors.audit_sample(station.dataset) == [(item.image_id, station.labels[0].pk, None)]
    with pytest.raises(PermissionDenied):
        services.retire_audit(dataset=station.dataset, user=user)
    assert services.retire_audit(dataset=station.dataset, user=admin) == 1
    assert selectors.audit_sample(station.dataset) == []
    assert len(selectors.training_labels(station.dataset)) == 1
    assert Event.objects.get(kind="audit.retired").data == {"labels": 1}


def test_retired_label_stays_in_training_after_undo_and_new_answer():
    station = Station()
    station.item(stream=Stream.AUDIT)
    user, admin = station.reviewer(), station.reviewer("admin")
    station.answer(user, station.next(user)[0], "correct", label=station.labels[0])
    services.retire_audit(dataset=station.dataset, user=admin)
    station.undo(user)
    station.answer(user, station.next(user)[0], "correct", label=station.labels[1])
    assert selectors.audit_sample(station.dataset) == [], "a head has seen this image's label"
    assert len(selectors.training_labels(station.dataset)) == 1


def test_an_answer_undone_before_others_were_retired_stays_out_of_training():
    station = Station()
    item = station.item(stream=Stream.AUDIT)
    station.item(stream=Stream.AUDIT)
    user, admin = station.reviewer(), station.reviewer("admin")
    first, second = station.next(user, 2)
    station.answer(user, first, "correct", label=station.labels[0])
    station.undo(user)
    station.answer(user, second, "correct", label=station.labels[0])
    assert services.retire_audit(dataset=station.dataset, user=admin) == 1
    again = next(leased for leased in station.next(user, 2) if leased.item == item)
    station.answer(user, again, "correct", label=station.labels[0])
    assert selectors.audit_sample(station.dataset) == [(item.image_id, station.labels[0].pk, None)]
    assert [image for image, _l, _d in selectors.training_labels(station.dataset)] == [second.item.image_id]


def test_undo_returns_the_image_first_and_removes_the_label():
    station = Station(items=3)
    user = station.reviewer()
    leased = station.next(user)[0]
    decision = station.answer(user, leased)
    undone = station.undo(user)
    assert undone.supersedes == decision
    assert confirmed_label_of(station.items[0]) is None
    again = station.next(user)[0]
    assert again.item == station.items[0]
    assert again.lease.pk != leased.lease.pk
    station.answer(user, again, "correct", label=station.labels[1])
    assert confirmed_label_of(station.items[0]).label == station.labels[1]
    assert Decision.objects.count() == 3


def test_newest_decision_is_read_by_an_index():
    station = Station(items=1)
    user = station.reviewer()
    station.answer(user, station.next(user)[0])
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO review_decision"
            " (dataset_id, image_id, user_id, kind, label_id, note, shown, client_key, late, created_at)"
            " SELECT dataset_id, image_id, user_id, kind, label_id, '', '{}', gen_random_uuid(), false,"
            " created_at FROM review_decision, generate_series(1, 30000)"
        )
        with as_owner():
            cursor.execute("ANALYZE review_decision")
    with CaptureQueriesContext(connection) as queries:
        selectors.recent_decisions(station.dataset, user)
        station.undo(user)
    newest = [q["sql"] for q in queries if 'BY "review_decision"."id" DESC LIMIT' in q["sql"]]
    assert len(newest) == 2
    for query in newest:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN {query}")
            plan = "\n".join(line for (line,) in cursor.fetchall())
        assert "Seq Scan on review_decision" not in plan, plan


def test_repeated_undo_reverts_earlier_answers_until_none_is_left():
    station = Station(items=2)
    user = station.reviewer()
    for leased in station.next(user, 2):
        station.answer(user, leased)
    undone = [station.undo(user).supersedes.image_id for _ in range(2)]
    assert undone == [station.items[1].image_id, station.items[0].image_id]
    assert [x.item for x in station.next(user, 2)] == station.items
    with pytest.raises(ReviewError) as error:
        station.undo(user)
    assert error.value.code == "nothing_to_undo"


def test_undo_reverts_own_answers_once_per_key():
    station = Station(items=2)
    user, other = station.reviewer(), station.reviewer()
    station.answer(user, station.next(user)[0])
    station.answer(other, station.next(other)[0])
    key = uuid.uuid4()
    first = station.undo(user, key)
    assert first.supersedes.user == user
    again = station.undo(user, key)
    assert (again.pk, again.duplicate) == (first.pk, True)
    with pytest.raises(ReviewError):
        station.undo(user)


def test_undo_of_a_skip_returns_the_image():
    station = Station(items=2)
    user = station.reviewer()
    station.answer(user, station.next(user)[0], "skip")
    station.undo(user)
    assert station.next(user)[0].item == station.items[0]


def test_undo_of_a_late_answer_keeps_the_confirmed_label():
    station = Station(items=1)
    slow, quick = station.reviewer(), station.reviewer()
    leased = station.next(slow)[0]
    expire(leased.lease)
    station.answer(quick, station.next(quick)[0])
    station.answer(slow, leased, "correct", label=station.labels[2])
    station.undo(slow)
    assert QueueItem.objects.get().state == "done"
    assert confirmed_label_of(station.items[0]).label == station.labels[0]


def test_undo_uses_a_newer_waiting_item_of_the_image():
    station = Station(items=1)
    user = station.reviewer()
    station.answer(user, station.next(user)[0])
    newer = station.item(image=station.items[0].image, stream=Stream.RECHECK)
    station.undo(user)
    assert [x.item for x in station.next(user, 5)] == [newer]


def test_decisions_cannot_be_changed():
    station = Station(items=1)
    user = station.reviewer()
    decision = station.answer(user, station.next(user)[0])
    for act in (lambda: Decision.objects.update(kind="skip", label=None), decision.delete):
        with pytest.raises(DatabaseError), transaction.atomic():
            act()


@pytest.mark.parametrize(
    ("answer", "error", "code"),
    [
        ({"kind": "undo"}, InvalidAnswerError, "unknown_kind"),
        ({"kind": "correct"}, InvalidAnswerError, "no_label"),
        ({"kind": "correct", "label": 2**62}, NotFoundForReviewerError, "unknown_label"),
        ({"kind": "flag", "note": "x" * 2001}, InvalidAnswerError, "note_too_long"),
        ({"kind": "flag", "note": "a\x00b"}, InvalidAnswerError, "bad_note"),
        ({"kind": "flag", "note": "\ud800"}, InvalidAnswerError, "bad_note"),
        ({"kind": "skip", "lease_id": 2**62}, NotFoundForReviewerError, "unknown_lease"),
        ({"kind": "skip", "item_id": 2**62}, NotFoundForReviewerError, "unknown_item"),
    ],
)
def test_invalid_answer_is_refused_and_the_lease_kept(answer, error, code):
    station = Station(items=1)
    user = station.reviewer()
    leased = station.next(user)[0]
    with pytest.raises(error) as raised:
        station.answer(user, leased, **answer)
    assert raised.value.code == code
    assert Decision.objects.count() == 0
    assert station.next(user)[0].lease.pk == leased.lease.pk


def test_labels_of_another_dataset_and_archived_ones_are_refused():
    station = Station(items=1)
    user = station.reviewer()
    leased = station.next(user)[0]
    with pytest.raises(NotFoundForReviewerError):
        station.answer(user, leased, "correct", label=LabelFactory())
    station.labels[2].archived_at = timezone.now()
    station.labels[2].save()
    with pytest.raises(ReviewError) as error:
        station.answer(user, leased, "correct", label=station.labels[2])
    assert error.value.code == "label_archived"


def test_confirmation_of_a_label_that_was_not_shown_is_refused():
    station = Station()
    station.item(predicted=False)
    station.item()
    user = station.reviewer()
    bare, predicted = station.next(user, 2)
    with pytest.raises(ReviewError) as error:
        station.answer(user, bare)
    assert error.value.code == "no_prediction"
    with pytest.raises(ReviewError) as error:
        station.answer(user, predicted, label=station.labels[1])
    assert error.value.code == "not_what_was_shown"


def test_answer_with_the_lease_of_another_reviewer_is_refused():
    station = Station(items=1)
    user, other = station.reviewer(), station.reviewer()
    leased = station.next(user)[0]
    with pytest.raises(NotFoundForReviewerError):
        station.answer(other, leased)


def test_short_queue_requests_one_refill(django_capture_on_commit_callbacks):
    station = Station(items=6, queue_target=10)
    user = station.reviewer()
    for leased in station.next(user, 1):
        with django_capture_on_commit_callbacks(execute=True):
            station.answer(user, leased)
    assert Job.objects.filter(kind=Kind.REFILL).count() == 0, "half of the wanted number still waits"
    for leased in station.next(user, 3):
        with django_capture_on_commit_callbacks(execute=True):
            station.answer(user, leased)
    assert Job.objects.filter(kind=Kind.REFILL).count() == 1
    assert not Job.objects.get(kind=Kind.REFILL).rerun_requested


def test_enough_new_labels_request_one_training(django_capture_on_commit_callbacks):
    station = Station(items=5, retrain_every=3, queue_target=0)
    user = station.reviewer()
    runs = station.dataset.training_runs
    for number, leased in enumerate(station.next(user, 5), start=1):
        with django_capture_on_commit_callbacks(execute=True):
            station.answer(user, leased)
        assert runs.count() == (1 if number >= 3 else 0)
    assert runs.get().trigger == "count"


@pytest.mark.parametrize("kind", ["confirm", "correct", "skip", "flag"])
def test_answer_faster_than_the_minimum_display_time_is_refused(kind: str):
    station = Station(items=1)
    user = station.reviewer()
    leased = station.next(user)[0]
    more = {"label": station.labels[1].pk} if kind == "correct" else {}
    for milliseconds in (0, DEFAULT_DISPLAY_MS - 1):
        with pytest.raises(InvalidAnswerError) as error:
            station.answer(user, leased, kind, milliseconds=milliseconds, **more)
        assert error.value.code == "not_seen"
        assert "Nothing was recorded" in error.value.message
    assert not Decision.objects.exists()
    assert station.answer(user, leased, kind, milliseconds=DEFAULT_DISPLAY_MS, **more).late is False


def test_answer_without_a_time_is_accepted_once():
    station = Station(items=1)
    user = station.reviewer()
    leased = station.next(user)[0]
    key = uuid.uuid4()
    first = station.answer(user, leased, client_key=key)
    assert first.milliseconds is None
    again = station.answer(user, leased, client_key=key, milliseconds=1)
    assert again.duplicate and again.pk == first.pk


def test_count_of_today_ignores_the_undo_of_an_older_answer():
    station = Station(items=2)
    user, admin = station.reviewer(), station.reviewer("admin")
    of_yesterday = station.answer(user, station.next(user)[0])
    set_fixed(of_yesterday, created_at=timezone.now() - timedelta(days=1))
    station.undo(user)
    assert selectors.answered_today(station.dataset, user) == 0
    flag = station.answer(user, station.next(user)[0], "flag")
    assert selectors.answered_today(station.dataset, user) == 1
    services.return_to_queue(dataset=station.dataset, user=admin, decision_id=flag.pk)
    assert selectors.answered_today(station.dataset, user) == 1, "the reviewer did not undo the flag"
    station.answer(user, station.next(user)[0])
    station.undo(user)
    assert selectors.answered_today(station.dataset, user) == 1


def test_decision_records_the_confidence_of_the_runner_up_that_was_shown():
    station = Station(items=2)
    user = station.reviewer()
    first, second = station.next(user, 2)
    assert station.answer(user, first).shown["runner_up_confidence"] == 0.2
    blind = station.item(stream=Stream.AUDIT)
    station.answer(user, second)
    (leased,) = station.next(user)
    assert leased.item == blind
    decision = station.answer(user, leased, "correct", label=station.labels[1])
    assert not set(decision.shown) & {"runner_up", "runner_up_confidence", "confidence"}


def test_archived_runner_up_is_not_recorded_as_shown():
    station = Station(items=1)
    user = station.reviewer()
    set_fixed(station.labels[1], archived_at=timezone.now())
    shown = station.next(user)[0].lease.shown
    assert (shown["runner_up"], shown["runner_up_confidence"]) == (None, None)
    assert shown["label"] == station.labels[0].pk


@pytest.mark.parametrize("view", [{"brightness": 5.0}, {"gamma": float("nan")}, {"channel": "alpha"}])
def test_invalid_adjustments_of_the_view_are_refused_and_the_lease_kept(view):
    station = Station(items=1)
    user = station.reviewer()
    (leased,) = station.next(user)
    with pytest.raises(InvalidAnswerError) as refused:
        station.answer(user, leased, view=ViewAdjustments(**view))
    assert refused.value.code == "bad_view"
    assert not Decision.objects.exists()
    assert station.answer(user, leased, view=ViewAdjustments()).shown == leased.lease.shown
