"""An admin works through skipped and flagged images: answer, send, set aside, return."""

import threading
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.utils import timezone

from mekiki.accounts.models import Membership
from mekiki.audit.models import Event
from mekiki.review import selectors, services
from mekiki.review.audit_counts import audit_counts
from mekiki.review.empty_queue import empty_queue_reason
from mekiki.review.errors import InvalidAnswerError, NotFoundForReviewerError, ReviewError
from mekiki.review.models import ConfirmedLabel, Decision, Lease, QueueItem, Stream
from mekiki.review.unresolved import unresolved_decisions, unresolved_groups, unresolved_page
from tests.factories import ImageFactory, UserFactory
from tests.review_setup import Station

pytestmark = pytest.mark.django_db
State = QueueItem.State


class Case:
    """A station with one image that a reviewer skipped or flagged."""

    def __init__(self, kind: str = "skip", items: int = 1, **station: Any) -> None:
        self.station = Station(items=items, **station)
        self.dataset = self.station.dataset
        self.user, self.admin = self.station.reviewer(), self.station.reviewer("admin")
        self.leased = self.station.next(self.user)[0]
        self.decision = self.station.answer(self.user, self.leased, kind)

    @property
    def item(self) -> QueueItem:
        return QueueItem.objects.get(pk=self.leased.item.pk)

    def act(self, service: Callable[..., Any], user: Any = None, **more: Any) -> Any:
        return service(dataset=self.dataset, user=user or self.admin, decision_id=self.decision.pk, **more)

    def answer(self, label: Any = None, key: uuid.UUID | None = None, **more: Any) -> Decision:
        label_id = (label or self.station.labels[1]).pk
        return self.act(services.answer_unresolved, label_id=label_id, client_key=key or uuid.uuid4(), **more)

    def send(self, reviewer: Any, **more: Any) -> QueueItem:
        return self.act(services.send_to_reviewer, reviewer_id=reviewer.pk, **more)

    def groups(self) -> dict[str, int]:
        return {g.code: g.count for g in unresolved_groups(self.dataset, show_hidden=True)}


@pytest.mark.parametrize("kind", ["skip", "flag"])
def test_answer_of_an_admin_is_a_new_decision_that_ends_the_review(kind: str):
    case = Case(kind)
    other = case.station.reviewer()
    assert case.groups() == {f"{kind}-": 1}
    answer = case.answer()
    assert (answer.user, answer.kind, answer.label) == (case.admin, "correct", case.station.labels[1])
    assert answer.shown["blind"] is False and answer.shown["label"] is None, "the page shows no prediction"
    row = ConfirmedLabel.objects.get()
    assert (row.label, row.decision, row.in_training) == (case.station.labels[1], answer, True)
    assert Decision.objects.filter(pk=case.decision.pk, superseded_by__isnull=True).exists()
    assert case.groups() == {} and case.station.next(other) == []
    assert Event.objects.filter(kind="decision.recorded", actor_name=case.admin.username).count() == 1
    services.take_back_correction(dataset=case.dataset, user=case.admin, image_id=answer.image_id)
    assert case.groups() == {f"{kind}-": 1}, "the image is listed again"


def test_answer_sent_twice_is_recorded_once_and_a_second_answer_is_refused():
    case, key = Case(), uuid.uuid4()
    first = case.answer(key=key)
    again = case.answer(key=key)
    assert again == first and again.duplicate
    with pytest.raises(ReviewError, match="answered or returned to the queue in the meantime"):
        case.answer()
    with pytest.raises(ReviewError, match="same key"):
        case.answer(label=case.station.labels[2], key=key)
    assert Decision.objects.filter(kind="correct").count() == 1


def test_blind_image_is_not_answered_by_an_admin_who_has_read_the_reason():
    station = Station(items=0)
    station.item(stream=Stream.AUDIT)
    user, admin = station.reviewer(), station.reviewer("admin")
    skip = station.answer(user, station.next(user)[0], "skip", reason="not_in_list")
    with pytest.raises(ReviewError, match="return it to the queue or send it to a reviewer") as refused:
        services.answer_unresolved(
            dataset=station.dataset,
            user=admin,
            decision_id=skip.pk,
            label_id=station.labels[0].pk,
            client_key=uuid.uuid4(),
        )
    assert refused.value.code == "blind"
    assert not ConfirmedLabel.objects.exists()


def test_answer_on_its_way_is_kept_as_a_late_answer():
    case = Case()
    other = case.station.reviewer()
    leased = case.station.next(other)[0]
    case.answer()
    late = case.station.answer(other, leased, "correct", label=case.station.labels[2])
    assert late.late
    assert ConfirmedLabel.objects.get().label == case.station.labels[1]


def test_sent_image_waits_for_its_reviewer_only_and_comes_first():
    case = Case("flag", items=3)
    expert, other = case.station.reviewer(), case.station.reviewer()
    item = case.send(expert)
    assert (item.state, item.assigned_to) == (State.WAITING, expert)
    QueueItem.objects.filter(pk=item.pk).update(
        position=1e6
    )  # An image that was returned later is before it.
    assert case.groups() == {"sent": 1}
    assert [leased.item for leased in case.station.next(expert)] == [item]
    services.release(
        dataset=case.dataset,
        user=expert,
        lease_ids=[leased.lease.pk for leased in case.station.next(expert)],
    )
    assert item.image_id not in [leased.item.image_id for leased in case.station.next(other, 5)]
    event = Event.objects.get(kind="queue.sent")
    assert (event.actor_name, event.data["to"]) == (case.admin.username, expert.username)
    case.station.answer(expert, case.station.next(expert)[0], "confirm")
    assert case.groups() == {} and ConfirmedLabel.objects.filter(image=item.image).exists()


def test_sent_image_is_for_everybody_after_a_skip_of_its_reviewer():
    case = Case("flag")
    expert, other = case.station.reviewer(), case.station.reviewer()
    case.send(expert)
    case.station.answer(expert, case.station.next(expert)[0], "skip", reason="unclear")
    assert case.item.assigned_to is None
    assert case.groups() == {"skip-unclear": 1}
    assert [leased.item for leased in case.station.next(other)] == [case.item]


def end_membership(membership: Membership) -> None:
    membership.delete()


def make_viewer(membership: Membership) -> None:
    Membership.objects.filter(pk=membership.pk).update(role="viewer")


def deactivate(membership: Membership) -> None:
    membership.user.is_active = False
    membership.user.save()


@pytest.mark.parametrize("end", [end_membership, make_viewer, deactivate])
def test_sent_image_is_for_everybody_when_the_membership_ends(end: Callable[[Membership], None]):
    case = Case("flag")
    expert, other = case.station.reviewer(), case.station.reviewer()
    case.send(expert)
    assert case.station.next(other) == []
    assert empty_queue_reason(case.dataset, other).code == "sent_to_others"
    end(Membership.objects.get(dataset=case.dataset, user=expert))
    assert [leased.item for leased in case.station.next(other)] == [case.item]


def test_image_is_sent_only_to_a_reviewer_who_has_not_judged_it():
    case = Case()
    with pytest.raises(ReviewError, match="has already answered, skipped or flagged"):
        case.send(case.user)
    for stranger in (UserFactory(), case.station.reviewer("viewer"), Station().reviewer()):
        with pytest.raises(InvalidAnswerError, match="does not review the dataset"):
            case.send(stranger)
    expert = case.station.reviewer()
    case.send(expert)
    with pytest.raises(ReviewError, match="already waits for"):
        case.send(expert)
    assert Event.objects.filter(kind="queue.sent").count() == 1
    assert case.item.assigned_to == expert


def test_sending_ends_the_lease_of_another_reviewer():
    case = Case()
    other, expert = case.station.reviewer(), case.station.reviewer()
    leased = case.station.next(other)[0]
    case.send(expert)
    assert case.station.next(other) == []
    assert [one.item for one in case.station.next(expert)] == [case.item]
    assert case.station.answer(other, leased, "confirm").late


def test_refill_keeps_a_sent_image():
    case = Case()
    case.send(case.station.reviewer())
    services.fill_queue(
        dataset=case.dataset,
        head=case.station.head,
        image_ids=[ImageFactory(dataset=case.dataset).pk],
        streams=["uncertain"],
        propensities=[0.5],
    )
    assert case.item.state == State.WAITING


@pytest.mark.parametrize("kind", ["skip", "flag"])
def test_image_that_was_set_aside_is_not_reviewed_until_an_admin_returns_it(kind: str):
    case = Case(kind)
    other = case.station.reviewer()
    item = case.act(services.set_aside)
    assert item.state == State.SET_ASIDE and case.groups() == {"set_aside": 1}
    assert item.image_id in selectors.reviewed_image_ids(case.dataset), "no refill chooses it"
    assert case.station.next(other) == []
    assert Event.objects.get(kind="queue.set_aside").actor_name == case.admin.username
    with pytest.raises(ReviewError, match="already set aside"):
        case.act(services.set_aside)
    with pytest.raises(ReviewError, match="Your answer stays"):
        case.station.undo(case.user)
    assert case.act(services.return_to_queue) == item
    assert case.groups() == {}
    assert [leased.item for leased in case.station.next(case.user)] == [case.item]


def test_returned_skip_is_superseded_and_a_refill_keeps_the_image():
    case = Case()
    case.act(services.return_to_queue)
    undo = Decision.objects.get(kind="undo")
    assert (undo.user, undo.supersedes) == (case.admin, case.decision)
    services.fill_queue(
        dataset=case.dataset, head=case.station.head, image_ids=[], streams=[], propensities=[]
    )
    assert case.item.state == State.WAITING
    with pytest.raises(ReviewError, match="already undone"):
        case.act(services.return_to_queue)


@pytest.mark.parametrize("labels", [(0, 1), (0, 0)], ids=["disputed", "labelled"])
def test_image_with_all_its_answers_is_not_set_aside_by_a_late_flag(labels: tuple[int, int]):
    station = Station(items=1, overlap=3)
    admin, late = station.reviewer("admin"), station.reviewer()
    held = station.next(late)[0]
    QueueItem.objects.update(overlap=2)
    for number in labels:
        user = station.reviewer()
        Lease.objects.exclude(user=user).update(ended_at=timezone.now())
        station.answer(user, station.next(user)[0], "correct", label=station.labels[number])
    flag = station.answer(late, held, "flag")
    before = QueueItem.objects.values().get()
    assert flag.late and before["state"] == State.DONE
    assert (before["disputed_at"] is not None) == (labels == (0, 1))
    # It could never be returned to the queue: it needs no further answer.
    with pytest.raises(ReviewError, match="already answered"):
        services.set_aside(dataset=station.dataset, user=admin, decision_id=flag.pk)
    assert QueueItem.objects.values().get() == before


def test_image_of_the_audit_sample_that_was_set_aside_is_counted_as_without_label():
    station = Station(items=0)
    station.item(stream=Stream.AUDIT)
    user, admin = station.reviewer(), station.reviewer("admin")
    skip = station.answer(user, station.next(user)[0], "skip")
    services.set_aside(dataset=station.dataset, user=admin, decision_id=skip.pk)
    assert audit_counts(station.dataset).without_label == 1


def test_image_is_listed_once_by_its_newest_reason():
    case = Case()
    other = case.station.reviewer()
    newer = case.station.answer(other, case.station.next(other)[0], "flag", reason="wrong_object")
    assert case.groups() == {"flag-wrong_object": 1}
    page, more = unresolved_page(case.dataset, "flag-wrong_object", show_hidden=True)
    assert (page, more) == ([newer], None)
    case.act(services.return_to_queue)
    assert not unresolved_decisions(case.dataset).exists(), "both answers are superseded"


def test_decisions_of_other_datasets_and_of_other_kinds_are_not_found():
    case, elsewhere = Case(), Case()
    answered = case.answer()
    for pk in (elsewhere.decision.pk, answered.pk, 2**62):
        for service, more in (
            (services.set_aside, {}),
            (services.return_to_queue, {}),
            (services.send_to_reviewer, {"reviewer_id": case.user.pk}),
            (services.answer_unresolved, {"label_id": case.station.labels[0].pk, "client_key": uuid.uuid4()}),
        ):
            with pytest.raises(NotFoundForReviewerError):
                service(dataset=case.dataset, user=case.admin, decision_id=pk, **more)


def test_reviewer_is_refused_every_act():
    case = Case()
    with pytest.raises(PermissionDenied):
        case.act(services.set_aside, user=case.user)
    with pytest.raises(PermissionDenied):
        case.send(case.user, user=case.user)
    with pytest.raises(PermissionDenied):
        case.answer(user=case.user)
    assert case.groups() == {"skip-": 1}


@pytest.mark.django_db(transaction=True)
def test_of_two_admins_who_act_at_the_same_time_one_is_refused():
    case = Case("flag")
    second = case.station.reviewer("admin")
    start, outcomes = threading.Barrier(2), []

    def run(act: Callable[[], Any]) -> None:
        try:
            start.wait()
            act()
            outcomes.append("done")
        except ReviewError as error:
            outcomes.append(error.code)
        finally:
            connection.close()

    acts = [lambda: case.answer(), lambda: case.answer(user=second, label=case.station.labels[2])]
    threads = [threading.Thread(target=run, args=[act]) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["done", "resolved"]
    assert Decision.objects.filter(kind="correct").count() == ConfirmedLabel.objects.count() == 1
