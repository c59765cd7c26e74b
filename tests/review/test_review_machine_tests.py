"""The state machine of the review with gold images, hidden repeats, pages of the grid and acts of admins.

`pytest -s --hypothesis-profile=long` prints how often each act had an effect.
"""

import contextlib
import uuid
from collections import Counter
from random import Random
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from mekiki.datasets.models import Dataset
from mekiki.review import services
from mekiki.review.errors import ReviewError
from mekiki.review.models import TEST_STREAMS, ConfirmedLabel, Decision, GoldImage, QueueItem, Stream
from mekiki.review.overlap import least_overlap
from mekiki.review.services import GridPage, TileAnswer, known_answers, mixing
from mekiki.review.unresolved import unresolved_decisions
from tests.review.test_review_machine import IMAGES, LABELS, REVIEWERS, ReviewMachine, run_machine

pytestmark = pytest.mark.django_db

# What the machine did with an effect, for the report of a long run.
REACHED: Counter[str] = Counter()


class MeasuredReviewMachine(ReviewMachine):
    """The station of ReviewMachine whose reviewers are measured, also on pages of the grid."""

    def __init__(self) -> None:
        super().__init__()
        # A failing example must be repeatable.
        self.randoms = mixing._random, known_answers._random
        mixing._random = known_answers._random = Random(0)  # type: ignore[assignment]
        self.pages: list[GridPage | None] = [None, None, None]
        # Decision id → the least overlap of its label at the time of the decision.
        self.least: dict[int, int] = {}

    def teardown(self) -> None:
        mixing._random, known_answers._random = self.randoms
        REACHED.update(self._reached())
        super().teardown()

    def _reached(self) -> Counter[str]:
        kinds = Counter(
            f"{'late ' if late else ''}{kind} ({stream})"
            for kind, late, stream in Decision.objects.values_list("kind", "late", "item__stream")
        )
        kinds["examples"] = 1
        kinds["decisions on pages of the grid"] = Decision.objects.filter(shown__has_key="grid").count()
        kinds["known answers on pages"] = Decision.objects.filter(shown__has_key="staged").count()
        kinds["corrections from the history"] = Decision.objects.filter(shown__has_key="history").count()
        kinds["gold images"] = GoldImage.objects.count()
        return kinds

    @initialize(
        shares=st.sampled_from([(0.0, 0.0), (0.2, 0.0), (0.0, 0.2), (0.2, 0.2)]), days=st.integers(1, 2)
    )
    def measure(self, shares: tuple[float, float], days: int) -> None:
        gold, repeat = shares
        Dataset.objects.filter(pk=self.dataset.pk).update(gold_share=gold, repeat_share=repeat)
        self.dataset.refresh_from_db()
        for user in self.reviewers:
            user.last_login = timezone.now()
            user.save()

    @rule(image=st.integers(0, IMAGES - 1), expert=st.booleans())
    def mark(self, image: int, expert: bool) -> None:
        with contextlib.suppress(ReviewError):
            services.mark_gold(
                dataset=self.dataset, user=self.admin, image_id=self.images[image].pk, expert=expert
            )

    @rule(choice=st.integers(0, 5))
    def end(self, choice: int) -> None:
        rows = list(GoldImage.objects.filter(ended_at=None).order_by("pk"))
        if rows:
            services.end_gold(dataset=self.dataset, user=self.admin, gold_id=rows[choice % len(rows)].pk)

    @rule()
    def let_time_pass(self) -> None:
        """Let the answers to tests become final, so that their images are not hidden any more."""
        QueueItem.objects.filter(state="done", stream__in=TEST_STREAMS).update(
            finished_at=timezone.now() - timezone.timedelta(hours=1)
        )

    @rule(reviewer=REVIEWERS, label=LABELS)
    def open_page(self, reviewer: int, label: int) -> None:
        page = services.next_page(
            dataset=self.dataset,
            user=self.reviewers[reviewer],
            label_id=self.station.labels[label].pk,
            count=6,
        )
        assert all(not tile.blind for tile in page.tiles), "a page has an image that must be judged blind"
        assert not [tile for tile in page.tiles if tile.item.stream == Stream.AUDIT]
        self.pages[reviewer] = page
        for tile in page.tiles:
            self.received[reviewer][tile.item.pk] = tile

    @rule(
        reviewer=REVIEWERS,
        marks=st.dictionaries(st.integers(0, 5), st.sampled_from([0, 1, 2, "skip", "flag"]), max_size=3),
        sent=st.integers(1, 2),
    )
    def answer_page(self, reviewer: int, marks: dict[int, Any], sent: int) -> None:
        shown = self.pages[reviewer]
        if shown is None or not shown.tiles:
            return
        tiles = [self._tile(tile, marks.get(place)) for place, tile in enumerate(shown.tiles)]
        page, before = uuid.uuid4(), Decision.objects.count()
        for _ in range(sent):
            results = services.answer_page(
                dataset=self.dataset,
                user=self.reviewers[reviewer],
                page=page,
                tiles=tiles,
                milliseconds=60_000,
            )
            recorded = [result.decision for result in results if result.decision is not None]
            assert Decision.objects.count() == before + len(recorded)

    def _tile(self, tile: Any, mark: Any) -> TileAnswer:
        if mark is None:
            return TileAnswer(tile.item.pk, tile.lease.pk, "confirm")
        if isinstance(mark, str):
            return TileAnswer(tile.item.pk, tile.lease.pk, mark)
        return TileAnswer(tile.item.pk, tile.lease.pk, "correct", self.station.labels[mark].pk)

    @rule(reviewer=REVIEWERS)
    def undo_page(self, reviewer: int) -> None:
        with contextlib.suppress(ReviewError):
            services.undo_page(dataset=self.dataset, user=self.reviewers[reviewer], client_key=uuid.uuid4())

    @rule(reviewer=REVIEWERS, image=st.integers(0, IMAGES - 1), label=LABELS)
    def correct_label(self, reviewer: int, image: int, label: int) -> None:
        """Correct the label on the page of an image."""
        for version in (self.dataset.champion.head.version, None):
            with contextlib.suppress(ReviewError, PermissionError):
                services.correct_label(
                    dataset=self.dataset,
                    user=self.reviewers[0] if reviewer == 0 else self.admin,
                    image_id=self.images[image].pk,
                    label_id=self.station.labels[label].pk,
                    client_key=uuid.uuid4(),
                    head_version=version,
                )

    @rule(act=st.sampled_from(["answer", "return", "send", "aside"]), choice=st.integers(0, 5), label=LABELS)
    def resolve(self, act: str, choice: int, label: int) -> None:
        """Let the admin decide about a skipped or flagged image."""
        rows = list(unresolved_decisions(self.dataset).order_by("pk"))
        if not rows:
            return
        common = {
            "dataset": self.dataset,
            "user": self.admin,
            "decision_id": rows[choice % len(rows)].pk,
        }
        with contextlib.suppress(ReviewError):
            if act == "answer":
                services.answer_unresolved(
                    **common, label_id=self.station.labels[label].pk, client_key=uuid.uuid4()
                )
            elif act == "return":
                services.return_to_queue(**common)
            elif act == "send":
                services.send_to_reviewer(**common, reviewer_id=self.reviewers[label].pk)
            else:
                services.set_aside(**common)

    @invariant()
    def tests_set_no_label(self) -> None:
        """An answer to a gold image or a hidden repeat never sets, disputes or trains a label."""
        of_tests = {"decision__item__stream__in": TEST_STREAMS}
        assert not ConfirmedLabel.objects.filter(**of_tests).exists()
        assert not QueueItem.objects.filter(stream__in=TEST_STREAMS, disputed_at__isnull=False).exists()
        for item in QueueItem.objects.filter(stream__in=TEST_STREAMS):
            assert item.overlap == 1 and item.assigned_to_id is not None
            given = item.decisions.exclude(kind="undo")
            assert set(given.values_list("user", flat=True)) <= {item.assigned_to_id}

    @invariant()
    def critical_labels_need_their_reviewers(self) -> None:
        """A label that follows from answers has the least overlap that it had when it was given."""
        REACHED["steps"] += 1
        labels = {label.pk: label for label in self.station.labels}
        for label in labels.values():
            label.refresh_from_db()
        self.dataset.refresh_from_db()
        for decision in Decision.objects.exclude(pk__in=list(self.least)):
            self.least[decision.pk] = (
                least_overlap(self.dataset, labels[decision.label_id]) if decision.label_id else 1
            )
        rows = ConfirmedLabel.objects.exclude(decision__kind="rule").exclude(decision__item__stream="audit")
        for decision, overlap in rows.values_list("decision", "decision__item__overlap"):
            assert overlap >= self.least[decision], "too few reviewers set the label"


def test_invariants_hold_with_tests_of_reviewers_and_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixing, "REPEAT_AFTER_ANSWERS", 3)
    run_machine(MeasuredReviewMachine, examples=6)
    if settings.get_current_profile_name() == "long":
        print("\n".join(f"{n:8} {what}" for what, n in sorted(REACHED.items())))
