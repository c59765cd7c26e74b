"""Reviewers disagree, an adjudicator rules, and the ruling is undone, contested or corrected."""

import uuid
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction

from mekiki.accounts.models import Membership
from mekiki.accounts.services import set_adjudicator, set_role
from mekiki.audit.models import Event
from mekiki.learning.services import store_embeddings
from mekiki.review import blinding, disputes, selectors, services
from mekiki.review.audit_counts import audit_counts
from mekiki.review.errors import InvalidAnswerError, NotFoundForReviewerError, ReviewError
from mekiki.review.models import ConfirmedLabel, Decision, QueueItem, ReferenceImage, Stream
from mekiki.review.services import confirmed
from tests.factories import ConfirmedLabelFactory, ImageFactory
from tests.review_setup import Station
from tests.roles import set_fixed

pytestmark = pytest.mark.django_db


class Case:
    """A station with one image whose reviewers gave the labels of these numbers."""

    def __init__(self, labels: tuple[int, ...] = (0, 1), stream: str = Stream.UNCERTAIN, **more: Any) -> None:
        self.station = Station(overlap=len(labels), **more)
        self.dataset = self.station.dataset
        made = self.station.item(stream=stream)
        if stream == Stream.AUDIT:
            set_fixed(made.image, audit_key=0.01)
        self.image = made.image
        self.reviewers = [self.station.reviewer() for _ in labels]
        for user, number in zip(self.reviewers, labels, strict=True):
            leased = self.station.next(user)[0]
            self.station.answer(user, leased, "correct", label=self.station.labels[number])
        self.judge = self.station.reviewer()
        Membership.objects.filter(user=self.judge).update(is_adjudicator=True)

    @property
    def item(self) -> QueueItem:
        return QueueItem.objects.get(image=self.image)

    def rule(self, user: Any = None, label: int = 2, **more: Any) -> Decision:
        return services.rule(
            **{
                "dataset": self.dataset,
                "user": user or self.judge,
                "item_id": self.item.pk,
                "label_id": self.station.labels[label].pk,
                "note": "the scratch is longer than 2 mm",
                "client_key": uuid.uuid4(),
                **more,
            }
        )

    def undo(self, user: Any = None) -> Decision:
        return services.undo_ruling(dataset=self.dataset, user=user or self.judge, client_key=uuid.uuid4())

    def waiting(self, user: Any = None) -> int:
        counts = disputes.dispute_counts(self.dataset, user or self.judge)
        return counts.others + counts.own


@pytest.mark.parametrize(
    ("labels", "disputed"),
    [((0, 1), True), ((0, 0), False), ((0, 1, 2), True), ((0, 1, 1), False), ((0, 0, 1, 1), True)],
)
def test_item_is_disputed_if_all_answered_without_a_majority(labels: tuple[int, ...], disputed: bool):
    case = Case(labels)
    assert (case.item.disputed_at is not None) is disputed
    assert case.waiting() == disputed
    assert ConfirmedLabel.objects.exists() is not disputed


def test_item_is_not_disputed_before_all_have_answered():
    station = Station(items=1, overlap=3)
    for number in (0, 1):
        user = station.reviewer()
        station.answer(user, station.next(user)[0], "correct", label=station.labels[number])
    assert not disputes.disputed_items(station.dataset).exists()


def test_ruling_sets_the_label_whatever_the_answers_and_records_what_was_compared():
    case = Case()
    decision = case.rule()
    row = ConfirmedLabel.objects.get()
    assert (row.label, row.decision, row.in_training) == (case.station.labels[2], decision, True)
    assert (decision.kind, decision.item, decision.late) == ("rule", case.item, False)
    answers = list(Decision.objects.exclude(kind="rule").values_list("pk", flat=True))
    shown = decision.shown
    assert shown["decisions"] == answers and shown["names_hidden"] is True and shown["own"] is False
    assert case.waiting() == 0 and case.item.disputed_at is None
    event = Event.objects.filter(kind="decision.recorded").latest("pk")
    assert (event.data["kind"], event.data["label"]) == ("rule", case.station.labels[2].pk)
    votes = selectors.training_votes(case.dataset)
    assert [(v.label, v.others) for v in votes] == [(case.station.labels[2].pk, ())], (
        "the ruling alone counts"
    )


def test_undone_ruling_puts_the_image_back_to_the_adjudicators():
    case = Case()
    ruling = case.rule()
    with pytest.raises(ReviewError):  # the station's undo does not take a ruling
        case.station.undo(case.judge)
    undone = case.undo()
    assert undone.kind == "undo" and undone.supersedes == ruling
    assert not ConfirmedLabel.objects.exists() and case.waiting() == 1
    assert not QueueItem.objects.filter(state="waiting").exists()
    with pytest.raises(ReviewError, match="no ruling left"):
        case.undo()
    again = case.rule(label=0)
    assert ConfirmedLabel.objects.get().decision == again


def test_answer_that_is_undone_ends_the_dispute_and_leaves_a_ruling_valid():
    case = Case()
    first, second = case.reviewers
    case.station.undo(first)
    assert case.waiting() == 0 and case.item.state == "waiting"
    case.station.answer(first, case.station.next(first)[0], "correct", label=case.station.labels[0])
    assert case.waiting() == 1
    ruling = case.rule()
    case.station.undo(second)
    assert ConfirmedLabel.objects.get().decision == ruling and case.item.state == "done"
    case.undo()  # now one answer is missing, so a reviewer is asked again
    assert case.item.state == "waiting" and case.waiting() == 0
    assert case.station.next(second)[0].item == case.item
    assert case.station.next(case.judge) == [], "the one place is taken"


def test_ruling_sent_twice_is_recorded_once_and_a_second_adjudicator_gets_a_reason():
    case, key = Case(), uuid.uuid4()
    admin = case.station.reviewer("admin")
    first = case.rule(client_key=key)
    again = case.rule(client_key=key)
    assert again == first and again.duplicate
    with pytest.raises(ReviewError) as used:
        case.rule(label=1, client_key=key)
    with pytest.raises(ReviewError, match=f"{case.judge.username} has ruled") as late:
        case.rule(admin)
    assert (used.value.code, late.value.code) == ("key_used", "already_ruled")
    assert Decision.objects.filter(kind="rule").count() == 1


def test_invalid_rulings_are_refused_and_change_nothing():
    case, agreed = Case(), Case((0, 0))
    case.station.labels[1].archived_at = case.image.created_at
    case.station.labels[1].save()
    for code, kind, more in (
        ("no_note", InvalidAnswerError, {"note": " \n"}),
        ("note_too_long", InvalidAnswerError, {"note": "x" * 2001}),
        ("bad_note", InvalidAnswerError, {"note": "a\x00b"}),
        ("not_seen", InvalidAnswerError, {"milliseconds": 199}),
        ("unknown_item", NotFoundForReviewerError, {"item_id": agreed.item.pk}),
        ("unknown_label", NotFoundForReviewerError, {"label_id": agreed.station.labels[0].pk}),
        ("label_archived", ReviewError, {"label": 1}),
    ):
        with pytest.raises(kind) as error:
            case.rule(**more)
        assert error.value.code == code
    with pytest.raises(ReviewError, match="do not disagree any more"):
        agreed.rule()
    for user in (case.reviewers[0], case.station.reviewer("viewer"), agreed.judge):
        with pytest.raises(PermissionDenied):
            case.rule(user)
    assert not Decision.objects.filter(kind="rule").exists() and case.waiting() == 1
    for wrong in ({"note": ""}, {"label": None}, {"item": None}):
        values = {"item": case.item, "label": case.station.labels[0], "note": "x", **wrong}
        with pytest.raises(IntegrityError), transaction.atomic():
            Decision.objects.create(
                dataset=case.dataset, image=case.image, user=case.judge, kind="rule",
                client_key=uuid.uuid4(), **values,
            )  # fmt: skip


def test_own_disputes_come_last_and_a_ruling_on_them_says_so():
    case = Case()
    party = case.reviewers[0]
    Membership.objects.filter(user=party).update(is_adjudicator=True)
    other = case.station.item()
    for number, user in enumerate((case.reviewers[1], case.station.reviewer())):
        case.station.answer(user, case.station.next(user)[0], "correct", label=case.station.labels[number])
    assert disputes.next_dispute(case.dataset, party).image == other.image
    assert disputes.next_dispute(case.dataset, case.judge) == case.item
    case.rule(item_id=other.pk)
    assert disputes.next_dispute(case.dataset, party) == case.item
    answers = disputes.compared_answers(case.dataset, case.item, party)
    assert [answer.is_own for answer in answers] == [True, False]
    assert not {answer.reviewer for answer in answers} & {user.username for user in case.reviewers}
    assert case.rule(party).shown["own"] is True


def test_members_become_adjudicators_and_lose_it_with_the_role():
    case = Case()
    admin, user = case.station.reviewer("admin"), case.reviewers[0]

    def name(user: Any = user, *, adjudicator: bool = True, actor: Any = admin) -> Membership:
        return set_adjudicator(dataset=case.dataset, user=user, adjudicator=adjudicator, actor=actor)

    assert name().is_adjudicator and name().is_adjudicator
    assert Event.objects.filter(kind="member.made_adjudicator").count() == 1
    set_role(dataset=case.dataset, user=user, role="viewer", actor=admin)
    assert not Membership.objects.get(dataset=case.dataset, user=user).is_adjudicator
    with pytest.raises(Exception, match="needs the role"):
        name()
    with pytest.raises(PermissionDenied):
        name(actor=case.judge)
    assert not name(case.judge, adjudicator=False).is_adjudicator
    with pytest.raises(PermissionDenied):
        case.rule()
    case.rule(admin)


def test_label_of_a_ruling_is_corrected_by_adjudicators_and_rechecked_by_two():
    case = Case()
    case.rule()

    def correct(user: Any) -> Decision:
        return services.correct_label(
            dataset=case.dataset, user=user, image_id=case.image.pk, label_id=case.station.labels[0].pk,
            client_key=uuid.uuid4(), head_version=case.station.head.version,
        )  # fmt: skip

    with pytest.raises(PermissionDenied):
        correct(case.reviewers[0])
    type(case.dataset).objects.filter(pk=case.dataset.pk).update(overlap=1)
    case.dataset.refresh_from_db()
    item = services.request_recheck(dataset=case.dataset, user=case.reviewers[0], image_id=case.image.pk)
    assert item.overlap == 2
    user = case.reviewers[0]
    case.station.answer(user, case.station.next(user)[0], "correct", label=case.station.labels[0])
    assert ConfirmedLabel.objects.get().label == case.station.labels[2], "one answer replaces no ruling"
    QueueItem.objects.filter(pk=item.pk).update(state="done")
    correct(case.judge)
    assert ConfirmedLabel.objects.get().label == case.station.labels[0]


class TestAudit:
    """The audit label follows the ruling only if the reviewers disagreed, and the adjudicator rules blind."""

    @pytest.fixture
    def grace_is_over(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for module in (confirmed, blinding):
            monkeypatch.setattr(module, "AUDIT_UNDO_PERIOD", timedelta(0))

    def test_audit_label_follows_the_ruling(self, grace_is_over: None):
        case = Case(stream=Stream.AUDIT)
        assert (
            blinding.hidden_ids(case.dataset, [case.image.pk])
            and audit_counts(case.dataset).without_label == 1
        )
        decision = case.rule()
        assert decision.shown["blind"] is True and "label" not in decision.shown
        row = ConfirmedLabel.objects.get()
        assert (row.label, row.audit_label, row.stream, row.in_training) == (
            case.station.labels[2], case.station.labels[2], "audit", False,
        )  # fmt: skip
        assert row.audited_at == decision.created_at
        assert [label for _i, label, _b in selectors.audit_sample(case.dataset)] == [
            case.station.labels[2].pk
        ]
        assert audit_counts(case.dataset).counted == 1

    def test_ruling_undone_at_once_is_replaced_and_undone_later_is_not(self, monkeypatch: pytest.MonkeyPatch):
        case = Case(stream=Stream.AUDIT)
        case.rule(label=2)
        case.undo()
        assert audit_counts(case.dataset).taken_back == 1
        case.rule(label=1)
        assert ConfirmedLabel.objects.get().audit_label == case.station.labels[1]
        monkeypatch.setattr(confirmed, "AUDIT_UNDO_PERIOD", timedelta(microseconds=-1))
        case.undo()
        case.rule(label=0)
        row = ConfirmedLabel.objects.get()
        assert (row.label, row.audit_label) == (case.station.labels[0], case.station.labels[2]), (
            "the first ruling, because the prediction was visible after it"
        )

    def test_late_answer_after_the_ruling_does_not_change_the_audit_label(self, grace_is_over: None):
        case = Case(stream=Stream.AUDIT)
        first = case.reviewers[0]
        lease = first.lease_set.get()
        case.rule()
        late = services.answer(
            dataset=case.dataset, user=first, item_id=case.item.pk, lease_id=lease.pk, kind="correct",
            label=case.station.labels[1], client_key=uuid.uuid4(),
        )  # fmt: skip
        assert late.late
        row = ConfirmedLabel.objects.get()
        assert (row.label, row.audit_label) == (case.station.labels[2], case.station.labels[2])

    def test_answer_undone_and_given_again_after_the_ruling_does_not_change_the_audit_label(self):
        case = Case(stream=Stream.AUDIT)
        first = case.reviewers[0]
        lease = first.lease_set.get()
        case.rule()
        case.station.undo(first)
        services.answer(
            dataset=case.dataset,
            user=first,
            item_id=case.item.pk,
            lease_id=lease.pk,
            kind="correct",
            label=case.station.labels[1],  # as the second reviewer
            client_key=uuid.uuid4(),
        )
        row = ConfirmedLabel.objects.get()
        assert (row.label, row.audit_label) == (case.station.labels[2], case.station.labels[2])

    def test_similar_images_are_hidden_until_the_ruling_cannot_be_undone_blind(self):
        case = Case(stream=Stream.AUDIT)
        doubts = disputes.doubted_by(case.dataset, case.rule())
        assert doubts.rows == [] and "audit sample" in doubts.problem
        ruling = Decision.objects.get(kind="rule")
        with pytest.raises(ReviewError, match="without seeing a label"):
            services.add_ruled_image_to_guideline(
                dataset=case.dataset, user=case.judge, decision_id=ruling.pk, accepted=True
            )


class TestAfterTheRuling:
    """The image becomes a reference image, and similar images with another label are reviewed again."""

    def embed(self, case: Case, image: Any, angle: float) -> Any:
        encoder = case.station.head.encoder
        vector = np.zeros(encoder.dim, np.float32)
        vector[:2] = np.cos(angle), np.sin(angle)
        store_embeddings(encoder=encoder, image_ids=[image.pk], vectors=vector[None])
        return image

    def near(self, case: Case, angle: float, label: int) -> Any:
        image = ImageFactory(dataset=case.dataset)
        set_fixed(image, audit_key=0.99)
        ConfirmedLabelFactory(dataset=case.dataset, image=image, label=case.station.labels[label])
        return self.embed(case, image, angle)

    def test_similar_images_with_another_label_are_sent_to_review(self):
        case = Case()
        set_fixed(case.image, audit_key=0.99)
        self.embed(case, case.image, 0.0)
        ruling = case.rule()
        far, near, same = self.near(case, 1.0, 0), self.near(case, 0.1, 1), self.near(case, 0.05, 2)
        doubts = disputes.doubted_by(case.dataset, ruling)
        assert [row.image for row in doubts.rows] == [near, far], "nearest first, without the same label"
        assert doubts.rows[0].similarity > doubts.rows[1].similarity
        items = services.recheck_doubted(
            dataset=case.dataset, user=case.judge, decision_id=ruling.pk, image_ids=[near.pk, far.pk, near.pk]
        )
        assert {item.image for item in items} == {near, far}
        assert {item.stream for item in items} == {"recheck"} and same not in [item.image for item in items]
        events = Event.objects.filter(kind="queue.asked_again")
        assert [event.data["ruling"] for event in events] == [ruling.pk, ruling.pk]
        assert [row.waiting for row in disputes.doubted_by(case.dataset, ruling).rows] == [True, True]

    def test_rechecks_of_foreign_many_or_undone_are_refused(self):
        case, other = Case(), Case()
        ruling = case.rule()
        send = {"dataset": case.dataset, "user": case.judge, "decision_id": ruling.pk}
        with pytest.raises(NotFoundForReviewerError):
            services.recheck_doubted(**send, image_ids=[other.image.pk])
        with pytest.raises(InvalidAnswerError):
            services.recheck_doubted(**send, image_ids=list(range(1, 102)))
        with pytest.raises(NotFoundForReviewerError):
            services.recheck_doubted(**{**send, "decision_id": ruling.pk + 10**6}, image_ids=[])
        with pytest.raises(PermissionDenied):
            services.recheck_doubted(**{**send, "user": case.reviewers[0]}, image_ids=[])
        case.undo()
        with pytest.raises(ReviewError, match="undone"):
            services.recheck_doubted(**send, image_ids=[case.image.pk])
        assert not Event.objects.filter(kind="queue.asked_again").exists()

    def test_image_becomes_an_accepted_or_rejected_reference(self):
        case = Case()
        set_fixed(case.image, audit_key=0.99)
        add = {"dataset": case.dataset, "user": case.judge, "decision_id": case.rule().pk}
        mine = services.add_ruled_image_to_guideline(**add, accepted=True)
        other = services.add_ruled_image_to_guideline(
            **add, accepted=False, label_id=case.station.labels[0].pk
        )
        assert (mine.label, mine.accepted, mine.note) == (
            case.station.labels[2], True, "the scratch is longer than 2 mm",
        )  # fmt: skip
        assert (other.label, other.accepted) == (case.station.labels[0], False)
        for accepted, label in ((False, None), (True, case.station.labels[0].pk)):
            with pytest.raises(InvalidAnswerError):
                services.add_ruled_image_to_guideline(**add, accepted=accepted, label_id=label)
        with pytest.raises(PermissionDenied):
            services.add_ruled_image_to_guideline(**{**add, "user": case.reviewers[0]}, accepted=True)
        assert ReferenceImage.objects.count() == 2
