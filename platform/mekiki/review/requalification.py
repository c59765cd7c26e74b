"""Requalification: who must read the guidelines and pass a short test before going on."""

from datetime import datetime
from typing import TYPE_CHECKING

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from mekiki.accounts.models import User
from mekiki.config.compiled import CompiledQuery, Parameter
from mekiki.datasets.models import Dataset
from mekiki.review.models.reviewers import BLOCKING_STATES, Requalification, RequalificationQuestion

if TYPE_CHECKING:
    from mekiki.review.reviewer_measures import Share


def _blocking(dataset: Parameter, user: Parameter) -> QuerySet[Requalification]:
    return Requalification.objects.filter(dataset=dataset, user=user, state__in=list(BLOCKING_STATES))


_BLOCKING = CompiledQuery(_blocking)


def blocking_requalification(dataset: Dataset, user: User) -> Requalification | None:
    """Return the requalification that keeps a reviewer from going on, or None.

    Without a bound nobody must requalify. Then the database is not asked.
    """
    if dataset.gold_bound is None:
        return None
    return _BLOCKING.first(dataset=dataset.pk, user=user.pk)


def test_due_text() -> str:
    """Return the sentence for a reviewer who gets no images before a test."""
    return _(
        "Please read the guidelines and answer a short test before you go on. All your answers are kept."
    )


def measured_since(dataset: Dataset, user: User) -> datetime | None:
    """Return since when the answers on gold images count for the bound: the last test passed or waived."""
    passed = [Requalification.State.PASSED, Requalification.State.WAIVED]
    rows = Requalification.objects.filter(dataset=dataset, user=user, state__in=passed)
    return rows.order_by("-ended_at").values_list("ended_at", flat=True).first()


def gold_share_since_test(dataset: Dataset, user: User) -> "Share":
    """Return the right answers on gold images since the last test."""
    from mekiki.review.reviewer_measures import Share as ShareOf
    from mekiki.review.reviewer_measures import gold_answers, gold_shares, period_of

    period = period_of(measured_since(dataset, user))
    return gold_shares(gold_answers(dataset, [user.pk], period)).get(user.pk, ShareOf(0, 0))


def is_below_bound(dataset: Dataset, share: "Share") -> bool:
    """Return whether the upper end of the interval is below the bound of the dataset."""
    if dataset.gold_bound is None or share.n < dataset.gold_bound_answers:
        return False
    return share.high < dataset.gold_bound


def newest_requalifications(dataset: Dataset, users: list[int]) -> dict[int, Requalification]:
    """Return user id → the newest requalification, in one query."""
    rows = Requalification.objects.filter(dataset=dataset, user__in=users).order_by("user_id", "-id")
    return {row.user_id: row for row in rows.distinct("user_id")}


def failed_tests(dataset: Dataset) -> QuerySet[Requalification]:
    """Return the tests that were not passed and wait for an admin, with the reviewer, oldest first."""
    rows = Requalification.objects.filter(dataset=dataset, state=Requalification.State.FAILED)
    return rows.select_related("user").order_by("pk")


def next_question(requalification: Requalification) -> RequalificationQuestion | None:
    """Return the first question without an answer, with its image, or None."""
    rows = requalification.questions.filter(answer__isnull=True).select_related("image")
    return rows.order_by("position").first()


def missed_labels(requalification: Requalification) -> list[str]:
    """Return the names of the labels, known or answered, of the questions with a wrong answer."""
    rows = requalification.questions.filter(answer__isnull=False).select_related("label", "answer")
    names = {
        label.name
        for row in rows
        if row.answer_id != row.label_id
        for label in (row.label, row.answer)
        if label is not None
    }
    return sorted(names)
