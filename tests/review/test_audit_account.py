"""Every image drawn for the audit is counted, or its reason not to be counted is known.

This holds for any order of actions. No change of labels or settings improves the accuracy of a head.
"""

import contextlib
import random
import uuid
from collections.abc import Callable

import pytest
from django.core.exceptions import ValidationError
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mekiki.datasets.services import update_settings
from mekiki.labeling.services import archive_label, restore_label, update_label
from mekiki.learning.accuracy import COUNT_COLUMNS
from mekiki.review.audit_counts import audit_counts
from mekiki.review.errors import ReviewError
from mekiki.review.models import Decision, Stream
from mekiki.review.selectors import audit_sample
from mekiki.review.services import (
    answer_unresolved,
    fill_queue,
    retire_audit,
    return_to_queue,
    send_to_reviewer,
    set_aside,
)
from mekiki.review.unresolved import unresolved_decisions
from tests.review_setup import Station
from tests.roles import set_fixed

pytestmark = pytest.mark.django_db

ANSWERING = ("answer", "answer", "answer", "skip", "flag", "undo", "put_back", "refill")
WITH_LISTED = ("set_aside", "send", "answer_listed")
ACTS = (*ANSWERING, *WITH_LISTED, "archive", "restore", "rename", "critical", "retire", "share", "overlap")
# Actions in which nobody judges an image. A stated accuracy may not improve after them.
NO_BETTER = ("archive", "rename", "critical", "share", "overlap", "skip", "refill", "set_aside", "send")


class ReviewSimulation:
    """A station with some reviewers, and a head that always predicts the first label."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.station = Station(labels=3, audit_fraction=0.9, queue_target=0)
        self.dataset = self.station.dataset
        self.admin = self.station.reviewer("admin")
        self.reviewers = [self.station.reviewer() for _ in range(2)]
        for number in range(8):
            item = self.station.item(stream=Stream.AUDIT if number < 6 else Stream.UNCERTAIN)
            set_fixed(item.image, audit_key=number / 8)
        self.seen: set[int] = set()

    def act(self, name: str) -> None:
        getattr(self, name)()
        self.dataset.refresh_from_db()

    def _answer(self, kind: str) -> None:
        user = self.dice.choice(self.reviewers)
        for leased in self.station.next(user):
            labels = list(self.dataset.labels.filter(archived_at__isnull=True))
            label = self.dice.choice(labels).pk if kind == "correct" else None
            self.station.answer(user, leased, kind, label=label)
            if leased.item.stream == Stream.AUDIT:
                self.seen.add(leased.item.image_id)

    def answer(self) -> None:
        self._answer("correct")

    def skip(self) -> None:
        self._answer("skip")

    def flag(self) -> None:
        self._answer("flag")

    def undo(self) -> None:
        with contextlib.suppress(ReviewError):
            self.station.undo(self.dice.choice(self.reviewers), uuid.uuid4())

    def _act_on_listed(self, service: Callable[..., object], **more: object) -> None:
        decision = unresolved_decisions(self.dataset).first()
        if decision is not None:
            with contextlib.suppress(ReviewError):
                service(dataset=self.dataset, user=self.admin, decision_id=decision.pk, **more)

    def put_back(self) -> None:
        self._act_on_listed(return_to_queue)

    def set_aside(self) -> None:
        self._act_on_listed(set_aside)

    def send(self) -> None:
        self._act_on_listed(send_to_reviewer, reviewer_id=self.dice.choice(self.reviewers).pk)

    def answer_listed(self) -> None:
        label = self.dice.choice(list(self.dataset.labels.filter(archived_at__isnull=True)))
        self._act_on_listed(answer_unresolved, label_id=label.pk, client_key=uuid.uuid4())

    def refill(self) -> None:
        images = list(self.dataset.images.values_list("pk", "audit_key"))
        self.dice.shuffle(images)
        fill_queue(
            dataset=self.dataset,
            head=self.station.head,
            image_ids=[pk for pk, _key in images],
            streams=[Stream.AUDIT if key < 0.7 else Stream.UNCERTAIN for _pk, key in images],
            propensities=[0.5] * len(images),
        )

    def archive(self) -> None:
        label = self.dice.choice(list(self.dataset.labels.all()))
        with contextlib.suppress(ValidationError):  # the last label
            archive_label(label=label, user=self.admin, confirmed=True)

    def restore(self) -> None:
        label = self.dataset.labels.filter(archived_at__isnull=False).first()
        if label is not None:
            restore_label(label=label, user=self.admin)

    def rename(self) -> None:
        label = self.dice.choice(list(self.dataset.labels.filter(archived_at__isnull=True)))
        update_label(label=label, user=self.admin, name=f"named {uuid.uuid4().hex[:8]}")

    def critical(self) -> None:
        label = self.dice.choice(list(self.dataset.labels.filter(archived_at__isnull=True)))
        update_label(label=label, user=self.admin, critical=not label.critical)

    def retire(self) -> None:
        retire_audit(dataset=self.dataset, user=self.admin)

    def share(self) -> None:
        update_settings(
            dataset=self.dataset, user=self.admin, audit_fraction=self.dice.choice([0.1, 0.3, 0.6, 0.9])
        )

    def overlap(self) -> None:
        update_settings(dataset=self.dataset, user=self.admin, overlap=self.dice.choice([1, 2, 3]))

    def figures(self) -> tuple[int, int]:
        """Return (right, counted) of the head, as workers.steps.auditing counts them."""
        archived = set(self.dataset.labels.filter(archived_at__isnull=False).values_list("pk", flat=True))
        sample = audit_sample(self.dataset)
        predicted = self.station.labels[0].pk
        return sum(label == predicted and label not in archived for _i, label, _b in sample), len(sample)


@settings(
    max_examples=25, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(st.lists(st.sampled_from(ACTS), min_size=4, max_size=24), st.integers(0, 2**16))
def test_drawn_images_stay_accounted_for_after_any_actions(acts: list[str], seed: int) -> None:
    with transaction.atomic():
        simulation = ReviewSimulation(random.Random(seed))
        now_right, now_n = simulation.figures()
        counts = audit_counts(simulation.dataset)
        for name in [*["answer"] * 4, *acts]:
            right, n, before = now_right, now_n, counts
            simulation.act(name)
            now_right, now_n = simulation.figures()
            counts = audit_counts(simulation.dataset)
            shown = Decision.objects.filter(item__stream=Stream.AUDIT).exclude(kind="undo")
            drawn = set(shown.values_list("image_id", flat=True))
            assert drawn == simulation.seen
            assert counts.drawn == len(drawn), (name, counts)
            assert counts.drawn >= before.drawn, (name, "no action lowers the number of drawn images")
            assert counts.counted == now_n, (name, counts)
            assert 0 <= counts.archived_label <= counts.counted
            better = n and now_n and now_right / now_n > right / n
            more_left_out = counts.left_out > before.left_out
            if name in NO_BETTER and better:
                assert more_left_out, (name, before, counts, "an accuracy improved without a recorded reason")
            if name in ("archive", "rename", "critical", "overlap"):
                assert not better and now_n == n, (name, before, counts)
        transaction.set_rollback(True)


def test_the_notes_name_every_reason() -> None:
    from mekiki.learning.accuracy import AuditCounts, notes_on_counts

    for n in (1, 2):
        counts = AuditCounts(10, **dict.fromkeys(COUNT_COLUMNS, n))
        assert len(notes_on_counts(counts)) == len(COUNT_COLUMNS) == len(set(notes_on_counts(counts)))
        assert all(str(n) in note for note in notes_on_counts(counts))
    assert notes_on_counts(AuditCounts(10)) == [] and not AuditCounts(10)
