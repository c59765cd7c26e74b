"""Three reviewers and an admin act in any order. The invariants of the review hold in every state.

The numbers are those of the invariants in docs/architecture.md.
"""

import contextlib
import uuid
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from mekiki.datasets.models import DEFAULT_DISPLAY_MS
from mekiki.datasets.services import update_settings
from mekiki.labeling.services import archive_label, restore_label
from mekiki.learning.models import Champion
from mekiki.review.errors import ReviewError
from mekiki.review.models import BLIND_STREAMS, ConfirmedLabel, Decision, Lease, QueueItem, Stream
from mekiki.review.own_answers import own_answers
from mekiki.review.services import (
    LeasedItem,
    correct_own_answer,
    fill_queue,
    release_expired_leases,
    renew,
)
from tests.factories import HeadFactory, PredictionFactory
from tests.review_setup import Station
from tests.roles import set_fixed

pytestmark = pytest.mark.django_db

REVIEWERS = st.integers(0, 2)
LABELS = st.integers(0, 2)
IMAGES = 6


class ReviewMachine(RuleBasedStateMachine):
    """A station of six images, two of which are in the audit reserve."""

    def __init__(self) -> None:
        super().__init__()
        self.transaction = transaction.atomic()
        self.transaction.__enter__()
        self.station = Station(labels=3, audit_fraction=0.4, queue_target=0)
        self.dataset = self.station.dataset
        self.admin = self.station.reviewer("admin")
        self.reviewers = [self.station.reviewer() for _ in range(3)]
        self.images = []
        for number in range(IMAGES):
            item = self.station.item(stream=Stream.AUDIT if number < 2 else Stream.UNCERTAIN)
            set_fixed(item.image, audit_key=number / IMAGES)
            self.images.append(item.image)
        # What each browser has received, also after the lease has expired.
        self.received: list[dict[int, LeasedItem]] = [{}, {}, {}]
        self.decisions: dict[int, tuple[Any, ...]] = {}

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.transaction.__exit__(None, None, None)

    @rule(reviewer=REVIEWERS, count=st.integers(1, 3))
    def lease(self, reviewer: int, count: int) -> None:
        for leased in self.station.next(self.reviewers[reviewer], count):
            self.received[reviewer][leased.item.pk] = leased

    @rule(
        reviewer=REVIEWERS,
        choice=st.integers(0, 9),
        kind=st.sampled_from(["confirm", "correct", "correct", "skip", "flag"]),
        label=LABELS,
        milliseconds=st.sampled_from([0, DEFAULT_DISPLAY_MS - 1, DEFAULT_DISPLAY_MS, 900]),
        sent=st.integers(1, 2),
    )
    def answer(self, reviewer: int, choice: int, kind: str, label: int, milliseconds: int, sent: int) -> None:
        held = list(self.received[reviewer].values())
        if not held:
            return
        leased = held[choice % len(held)]
        chosen = self.station.labels[label].pk if kind == "correct" else None
        key, before = uuid.uuid4(), Decision.objects.count()
        for _ in range(sent):
            try:
                decision = self.station.answer(
                    self.reviewers[reviewer],
                    leased,
                    kind,
                    label=chosen,
                    client_key=key,
                    milliseconds=milliseconds,
                )
            except ReviewError:
                assert Decision.objects.count() == before, "a refused answer was recorded"
                continue
            # 10: only an image that was seen, with the label that the reviewer chose or saw.
            assert milliseconds >= DEFAULT_DISPLAY_MS
            assert decision.label_id == (
                chosen if kind == "correct" else leased.lease.shown.get("label")
            ) or (kind in ("skip", "flag") and decision.label_id is None)
            assert Decision.objects.count() == before + 1, "an answer that was sent twice was recorded twice"

    @rule(reviewer=REVIEWERS)
    def undo(self, reviewer: int) -> None:
        with contextlib.suppress(ReviewError):
            self.station.undo(self.reviewers[reviewer])

    @rule(
        reviewer=REVIEWERS,
        choice=st.integers(0, 9),
        label=LABELS,
        milliseconds=st.sampled_from([None, DEFAULT_DISPLAY_MS - 1, 900]),
    )
    def correct(self, reviewer: int, choice: int, label: int, milliseconds: int | None) -> None:
        """Correct one of the reviewer's answers from the history of the station."""
        user = self.reviewers[reviewer]
        answers, _before = own_answers(self.dataset, user, before=None, size=20)
        if not answers:
            return
        target, before = answers[choice % len(answers)].decision, Decision.objects.count()
        with contextlib.suppress(ReviewError):
            decision = correct_own_answer(
                dataset=self.dataset,
                user=user,
                decision_id=target.pk,
                label_id=self.station.labels[label].pk,
                client_key=uuid.uuid4(),
                milliseconds=milliseconds,
            )
            assert milliseconds is None or milliseconds >= DEFAULT_DISPLAY_MS
            assert (decision.item_id, decision.supersedes_id) == (target.item_id, target.pk)
            before += 1
        assert Decision.objects.count() == before

    @rule(reviewer=REVIEWERS)
    def renew(self, reviewer: int) -> None:
        ids = [leased.lease.pk for leased in self.received[reviewer].values()]
        renewed = renew(dataset=self.dataset, user=self.reviewers[reviewer], lease_ids=ids)
        assert all(lease.user_id == self.reviewers[reviewer].pk for lease in renewed)

    @rule(reviewer=REVIEWERS, swept=st.booleans())
    def expire(self, reviewer: int, swept: bool) -> None:
        mine = Lease.objects.filter(user=self.reviewers[reviewer], ended_at__isnull=True)
        mine.update(expires_at=timezone.now() - timezone.timedelta(hours=1))
        if swept:
            release_expired_leases()

    @rule(overlap=st.integers(1, 3))
    def change_overlap(self, overlap: int) -> None:
        update_settings(dataset=self.dataset, user=self.admin, overlap=overlap)

    @rule(shuffled=st.permutations(range(IMAGES)))
    def refill(self, shuffled: list[int]) -> None:
        images = [self.images[n] for n in shuffled]
        fill_queue(
            dataset=self.dataset,
            head=Champion.objects.get(dataset=self.dataset).head,
            image_ids=[image.pk for image in images],
            streams=[Stream.AUDIT if image in self.images[:2] else Stream.DIVERSE for image in images],
            propensities=[0.5] * IMAGES,
        )

    @rule(label=LABELS)
    def retrain(self, label: int) -> None:
        """Put another head in use, which predicts another label."""
        head = HeadFactory(dataset=self.dataset, prompt_set=self.station.head.prompt_set)
        for image in self.images:
            PredictionFactory(head=head, image=image, label=self.station.labels[label])
        Champion.objects.filter(dataset=self.dataset).update(head=head)

    @rule(label=LABELS)
    def archive_or_restore(self, label: int) -> None:
        chosen = self.station.labels[label]
        chosen.refresh_from_db()
        with contextlib.suppress(ValidationError):  # the last label
            if chosen.archived_at is None:
                archive_label(label=chosen, user=self.admin, confirmed=True)
            else:
                restore_label(label=chosen, user=self.admin)

    @invariant()
    def decisions_are_never_changed(self) -> None:
        """1: all former decisions are as they were."""
        rows = {row[0]: row for row in Decision.objects.order_by("pk").values_list()}
        assert {pk: rows.get(pk) for pk in self.decisions} == self.decisions
        self.decisions = rows
        undone = [row.supersedes_id for row in Decision.objects.filter(supersedes__isnull=False)]
        assert len(undone) == len(set(undone))

    @invariant()
    def no_two_reviewers_hold_one_place(self) -> None:
        """2: of each item, at most as many reviewers hold a lease as its overlap asks for."""
        active = Lease.objects.filter(ended_at__isnull=True, expires_at__gt=timezone.now())
        held: dict[int, list[tuple[int, int]]] = {}
        for lease in active.select_related("item"):
            held.setdefault(lease.item_id, []).append((lease.slot, lease.user_id))
            assert lease.slot < lease.item.overlap
        for places in held.values():
            assert (
                len({slot for slot, _user in places}) == len({user for _slot, user in places}) == len(places)
            )
        waiting = QueueItem.objects.filter(state="waiting").values_list("image", flat=True)
        assert len(waiting) == len(set(waiting))

    @invariant()
    def audits_are_blind_and_not_trained_on(self) -> None:
        """4: no prediction was shown for an audit image, and its label is not in training."""
        for shown in (
            *Lease.objects.filter(item__stream__in=BLIND_STREAMS).values_list("shown", flat=True),
            *Decision.objects.filter(item__stream__in=BLIND_STREAMS)
            .exclude(kind="undo")
            .values_list("shown", flat=True),
        ):
            assert shown["blind"] and "label" not in shown and "confidence" not in shown
        assert not ConfirmedLabel.objects.filter(stream=Stream.AUDIT, in_training=True).exists()

    @invariant()
    def confirmed_labels_follow_from_decisions(self) -> None:
        for confirmed in ConfirmedLabel.objects.select_related("decision"):
            decision = confirmed.decision
            assert (confirmed.image_id, confirmed.label_id) == (decision.image_id, decision.label_id)
            assert decision.kind in ("confirm", "correct")
            assert not Decision.objects.filter(supersedes=decision).exists()


def test_invariants_hold_after_any_acts_of_reviewers_and_admins() -> None:
    run_state_machine_as_test(
        ReviewMachine,
        settings=settings(
            max_examples=12,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
