"""Three reviewers and an admin act in any order. The invariants of the review hold in every state.

The numbers are those of the invariants in docs/architecture.md.
"""

import contextlib
import uuid
from collections import Counter
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from mekiki.accounts.services import set_adjudicator
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
    release,
    release_expired_leases,
    renew,
    set_overlaps,
    undo_ruling,
)
from mekiki.review.services import (
    rule as rule_on,
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
        # The second adjudicator also reviews.
        self.judges = [self.admin, self.reviewers[0]]
        set_adjudicator(dataset=self.dataset, user=self.reviewers[0], adjudicator=True, actor=self.admin)
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

    @initialize(overlap=st.integers(1, 3))
    def begin(self, overlap: int) -> None:
        QueueItem.objects.update(overlap=overlap)

    @rule(reviewer=REVIEWERS, count=st.integers(1, 3))
    def lease(self, reviewer: int, count: int) -> None:
        for leased in self.take(reviewer, count):
            self.received[reviewer][leased.item.pk] = leased

    def take(self, reviewer: int, count: int = 1) -> list[LeasedItem]:
        """Return the next images of a reviewer. Nobody is asked about an image that has enough reviewers."""
        last = Lease.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        leased = self.station.next(self.reviewers[reviewer], count)
        for lease in Lease.objects.filter(pk__gt=last, ended_at__isnull=True).select_related("item"):
            held = Lease.objects.filter(item=lease.item, ended_at__isnull=True, expires_at__gt=timezone.now())
            given = Decision.objects.filter(
                item=lease.item, kind__in=["confirm", "correct"], superseded_by__isnull=True
            )
            asked = {*held.values_list("user", flat=True), *given.values_list("user", flat=True)}
            assert len(asked) <= lease.item.overlap, "one reviewer too many is asked"
        return leased

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

    @rule(labels=st.tuples(LABELS, LABELS, LABELS))
    def review(self, labels: tuple[int, int, int]) -> None:
        """Let each reviewer answer the next image, so that they meet on the same images."""
        for reviewer, label in enumerate(labels):
            for leased in self.take(reviewer):
                self.received[reviewer][leased.item.pk] = leased
                with contextlib.suppress(ReviewError):  # an archived label
                    self.station.answer(
                        self.reviewers[reviewer], leased, "correct", label=self.station.labels[label]
                    )

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

    @rule(reviewer=REVIEWERS)
    def give_back(self, reviewer: int) -> None:
        ids = [leased.lease.pk for leased in self.received[reviewer].values()]
        release(dataset=self.dataset, user=self.reviewers[reviewer], lease_ids=ids)

    @rule(reviewer=REVIEWERS, swept=st.booleans())
    def expire(self, reviewer: int, swept: bool) -> None:
        mine = Lease.objects.filter(user=self.reviewers[reviewer], ended_at__isnull=True)
        mine.update(expires_at=timezone.now() - timezone.timedelta(hours=1))
        if swept:
            release_expired_leases()

    @rule(overlap=st.integers(1, 3))
    def change_overlap(self, overlap: int) -> None:
        update_settings(dataset=self.dataset, user=self.admin, overlap=overlap)

    @rule(
        stream=st.sampled_from([Stream.UNCERTAIN, Stream.DIVERSE, Stream.AUDIT]),
        overlap=st.one_of(st.none(), st.integers(1, 3)),
        label=LABELS,
        least=st.integers(1, 3),
        critical=st.integers(1, 2),
    )
    def change_overlaps(
        self, stream: Stream, overlap: int | None, label: int, least: int, critical: int
    ) -> None:
        """Change the overlap of a stream, the least overlap of a label, and that of critical labels."""
        chosen = self.station.labels[label]
        chosen.refresh_from_db()
        labels = {chosen.pk: least} if chosen.archived_at is None else {}
        set_overlaps(dataset=self.dataset, user=self.admin, streams={stream: overlap}, labels=labels)
        update_settings(dataset=self.dataset, user=self.admin, critical_overlap=critical)
        self.dataset.refresh_from_db()

    @rule(judge=st.integers(0, 1), choice=st.sampled_from([0, 0, 1, 5]), label=LABELS, sent=st.integers(1, 2))
    def adjudicate(self, judge: int, choice: int, label: int, sent: int) -> None:
        """Let reviewers disagree, and rule on an item that is disputed, or not any more."""
        if not QueueItem.objects.filter(disputed_at__isnull=False).exists():
            QueueItem.objects.filter(overlap=1, state="waiting").update(overlap=2)
            self.review((label, (label + 1) % 3, label))
        items = list(QueueItem.objects.order_by(F("disputed_at").asc(nulls_last=True), "pk"))
        item, user = items[choice % len(items)], self.judges[judge]
        disputed, before, key = item.disputed_at is not None, Decision.objects.count(), uuid.uuid4()
        for _ in range(sent):
            try:
                decision = rule_on(
                    dataset=self.dataset,
                    user=user,
                    item_id=item.pk,
                    label_id=self.station.labels[label].pk,
                    note="because",
                    client_key=key,
                    milliseconds=DEFAULT_DISPLAY_MS,
                )
            except ReviewError:
                assert Decision.objects.count() == before, "a refused ruling was recorded"
                continue
            assert disputed, "an item without a dispute got a ruling"
            assert Decision.objects.count() == before + 1, "a ruling that was sent twice was recorded twice"
            assert ConfirmedLabel.objects.get(image=item.image).label_id == decision.label_id

    @rule(judge=st.integers(0, 1))
    def undo_a_ruling(self, judge: int) -> None:
        with contextlib.suppress(ReviewError):
            undo_ruling(dataset=self.dataset, user=self.judges[judge], client_key=uuid.uuid4())

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
        for shown, stream in (
            *Lease.objects.filter(item__stream__in=BLIND_STREAMS).values_list("shown", "item__stream"),
            *Decision.objects.filter(item__stream__in=BLIND_STREAMS)
            .exclude(kind="undo")
            .values_list("shown", "item__stream"),
        ):
            # A gold image on a page of the grid shows the label of the page, which is no prediction.
            if not (stream == Stream.GOLD and shown.get("staged")):
                assert shown["blind"] and "label" not in shown and "confidence" not in shown
        assert not ConfirmedLabel.objects.filter(stream=Stream.AUDIT, in_training=True).exists()
        assert not ConfirmedLabel.objects.exclude(audit_label=None).exclude(
            image__decisions__item__stream=Stream.AUDIT
        )

    @invariant()
    def confirmed_labels_follow_from_decisions(self) -> None:
        for confirmed in ConfirmedLabel.objects.select_related("decision"):
            decision = confirmed.decision
            assert (confirmed.image_id, confirmed.label_id) == (decision.image_id, decision.label_id)
            assert decision.kind in ("confirm", "correct", "rule")
            assert not Decision.objects.filter(supersedes=decision).exists()
            rulings = Decision.objects.filter(item=decision.item_id, kind="rule", superseded_by__isnull=True)
            assert decision.kind == "rule" or not rulings.exists(), "a ruling does not set the label"

    @invariant()
    def disputes_follow_from_decisions(self) -> None:
        """An item is disputed if and only if all have answered, none has a majority, and nobody has ruled."""
        votes: dict[int | None, dict[int, int | None]] = {}
        ruled = set()
        for d in Decision.objects.filter(superseded_by__isnull=True).order_by("late", "pk"):
            if d.kind in ("confirm", "correct"):
                votes.setdefault(d.item_id, {}).setdefault(d.user_id, d.label_id)
            elif d.kind == "rule":
                ruled.add(d.item_id)
        settled_by = dict(ConfirmedLabel.objects.values_list("image", "decision__item"))
        newest: dict[int, int] = {}  # image → its newest item that needs a ruling
        items = list(QueueItem.objects.order_by("pk"))
        for item in items:
            counted = list(votes.get(item.pk, {}).values())[: item.overlap]
            if (
                item.state == "done"
                and len(counted) == item.overlap
                and max(Counter(counted).values()) * 2 <= item.overlap
                and item.pk not in ruled
                and settled_by.get(item.image_id, 0) <= item.pk
            ):
                newest[item.image_id] = item.pk
        assert {item.pk for item in items if item.disputed_at is not None} == set(newest.values())

    @invariant()
    def overlap_asks_for_enough_reviewers(self) -> None:
        """2: a label that follows from answers has more than half of the overlap of its item."""
        rows = ConfirmedLabel.objects.exclude(decision__kind="rule")
        for confirmed in rows.select_related("decision__item"):
            item = confirmed.decision.item
            assert item is not None
            named = Decision.objects.filter(
                item=item,
                kind__in=["confirm", "correct"],
                label=confirmed.label_id,
                superseded_by__isnull=True,
            )
            assert named.values("user").distinct().count() * 2 > item.overlap


def run_machine(machine: type[RuleBasedStateMachine], examples: int) -> None:
    """Run the machine with few examples, or with those of the profile `long` (tests/conftest.py)."""
    is_long = settings.get_current_profile_name() == "long"
    run_state_machine_as_test(
        machine,
        settings=settings()
        if is_long
        else settings(
            max_examples=examples,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_invariants_hold_after_any_acts_of_reviewers_and_admins() -> None:
    run_machine(ReviewMachine, examples=10)
