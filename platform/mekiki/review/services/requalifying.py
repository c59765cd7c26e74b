"""Requalification of reviewers: it becomes due, is tested, passed or not, waived or offered again.

States: due → running → passed, or failed. A failed test stays open until an admin waives it or offers it
again. A passed or waived one ends, and the measurement on gold images starts again.
"""

from math import ceil
from typing import Any

from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from mekiki.accounts import notices, outbox
from mekiki.accounts.access import require_role
from mekiki.accounts.models import Membership, OutgoingMail, Role, User
from mekiki.audit.services import record
from mekiki.config import clock
from mekiki.datasets.models import Dataset
from mekiki.review.errors import NotFoundForReviewerError, ReviewError
from mekiki.review.models import Requalification, RequalificationQuestion
from mekiki.review.requalification import (
    blocking_requalification,
    gold_share_since_test,
    is_below_bound,
    next_question,
)
from mekiki.review.reviewer_measures import known_images
from mekiki.review.services.decisions import active_label
from mekiki.review.services.locks import lock_reviewer

_State = Requalification.State


def needed_right(bound: float, asked: int) -> int:
    """Return how many of the questions must be right: at least the share of the bound."""
    return max(1, ceil(bound * asked - 1e-9))


@transaction.atomic
def check_requalification(*, dataset: Dataset, user: User) -> Requalification | None:
    """Return the open requalification of a reviewer, and begin one if the answers on gold images ask for it.

    It is due if the upper end of the 95 % interval of the share of right answers is below the bound of the
    dataset. None: the reviewer may go on. Raises PermissionDenied if the user is not a reviewer.
    """
    require_role(user, dataset, Role.REVIEWER)
    if dataset.gold_bound is None:
        return None
    if (open_test := blocking_requalification(dataset, user)) is not None:
        return open_test
    share = gold_share_since_test(dataset, user)
    if not is_below_bound(dataset, share):
        return None
    lock_reviewer(user.pk)
    if (open_test := blocking_requalification(dataset, user)) is not None:  # of another tab
        return open_test
    due = Requalification.objects.create(
        dataset=dataset, user=user, gold_right=share.k, gold_answers=share.n, bound=dataset.gold_bound
    )
    record(kind="requalification.due", actor=None, **_facts(due))
    return due


@transaction.atomic
def begin_test(*, dataset: Dataset, user: User) -> Requalification:
    """Begin the test that is due, with gold images that the reviewer has not seen recently.

    A test that has begun is returned as it is. Raises PermissionDenied if the user is not a reviewer. Raises
    ReviewError if no test is due, or if no gold image has an answer that the reviewer did not give.
    """
    require_role(user, dataset, Role.REVIEWER)
    lock_reviewer(user.pk)
    test = _locked_open(dataset, user)
    if test.state == _State.RUNNING:
        return test
    if test.state == _State.FAILED:
        raise ReviewError(
            "test_failed",
            _("The test was not passed. An admin offers it again or lets you go on. Your answers are kept."),
        )
    images = known_images(dataset, user, dataset.requalification_questions)
    if not images:
        raise ReviewError(
            "no_known_images",
            _("There are no images for a test now. Nothing was changed; ask an admin of the dataset."),
        )
    test.state, test.begun_at, test.asked = _State.RUNNING, clock.now(), len(images)
    test.save(update_fields=["state", "begun_at", "asked"])
    RequalificationQuestion.objects.bulk_create(
        RequalificationQuestion(requalification=test, position=n, image_id=image, label_id=label)
        for n, (image, label) in enumerate(images, 1)
    )
    record(kind="requalification.begun", actor=user, **_facts(test))
    return test


@transaction.atomic
def answer_question(*, dataset: Dataset, user: User, question_id: int, label_id: int) -> Requalification:
    """Record the answer to a question of the reviewer's test. After the last, the test is passed or not.

    An answer that is sent again changes nothing. Raises PermissionDenied if the user is not a reviewer.
    Raises NotFoundForReviewerError if the open test has no such question, or the dataset no such label.
    Raises ReviewError if no test is open or the label is archived.
    """
    require_role(user, dataset, Role.REVIEWER)
    lock_reviewer(user.pk)
    test = _locked_open(dataset, user)
    question = test.questions.filter(pk=question_id).first()
    if question is None:
        raise NotFoundForReviewerError(
            "unknown_question",
            _("This image is not part of your test. Nothing was recorded; reload the page."),
        )
    if question.answer_id is not None or test.state != _State.RUNNING:
        return test
    question.answer, question.answered_at = active_label(dataset, label_id), clock.now()
    question.save(update_fields=["answer", "answered_at"])
    if next_question(test) is None:
        _finish(test, user)
    return test


def _finish(test: Requalification, user: User) -> None:
    answers = test.questions.values_list("label_id", "answer_id")
    test.right = sum(label == answer for label, answer in answers)
    passed = test.right >= needed_right(test.bound, test.asked)
    test.state, test.ended_at = _State.PASSED if passed else _State.FAILED, clock.now()
    test.save(update_fields=["right", "state", "ended_at"])
    kind = "requalification.passed" if passed else "requalification.failed"
    record(kind=kind, actor=user, **_facts(test))
    if not passed:
        _mail_admins(test)


@transaction.atomic
def waive_requalification(*, dataset: Dataset, user: User, reviewer_id: int) -> Requalification:
    """Let a reviewer go on without a passed test. The measurement starts again.

    Raises PermissionDenied if the user is not an admin. Raises ReviewError if no requalification is open.
    """
    require_role(user, dataset, Role.ADMIN)
    lock_reviewer(reviewer_id)
    test = _locked_open(dataset, reviewer_id)
    test.state, test.ended_at, test.closed_by = _State.WAIVED, clock.now(), user
    test.save(update_fields=["state", "ended_at", "closed_by"])
    record(kind="requalification.waived", actor=user, **_facts(test))
    return test


@transaction.atomic
def offer_test_again(*, dataset: Dataset, user: User, reviewer_id: int) -> Requalification:
    """Offer a reviewer who did not pass a new test, and return the new requalification.

    Raises PermissionDenied if the user is not an admin. Raises ReviewError if there is no failed test.
    """
    require_role(user, dataset, Role.ADMIN)
    lock_reviewer(reviewer_id)
    test = _locked_open(dataset, reviewer_id)
    if test.state != _State.FAILED:
        raise ReviewError("test_not_failed", _("The test is still open. Nothing was changed."))
    test.state, test.closed_by = _State.REPEATED, user
    test.save(update_fields=["state", "closed_by"])
    again = Requalification.objects.create(
        dataset=dataset,
        user_id=reviewer_id,
        gold_right=test.gold_right,
        gold_answers=test.gold_answers,
        bound=dataset.gold_bound or test.bound,
    )
    record(kind="requalification.offered", actor=user, **_facts(again))
    return again


def _locked_open(dataset: Dataset, user: User | int) -> Requalification:
    """Lock and return the open requalification of a reviewer. Raises ReviewError if there is none."""
    pk = user if isinstance(user, int) else user.pk
    rows = Requalification.objects.filter(
        dataset=dataset, user_id=pk, state__in=[_State.DUE, _State.RUNNING, _State.FAILED]
    )
    test = rows.select_for_update(no_key=True, of=("self",)).select_related("user").first()
    if test is None:
        raise ReviewError(
            "no_requalification", _("No requalification is open for this reviewer. Nothing was changed.")
        )
    return test


def _facts(test: Requalification) -> dict[str, Any]:
    """Return the arguments of an event about a test."""
    return {
        "dataset": test.dataset,
        "target": test,
        "data": {
            "user": test.user.get_username(),
            "gold_right": test.gold_right,
            "gold_answers": test.gold_answers,
            "bound": test.bound,
            "right": test.right,
            "asked": test.asked,
        },
    }


def _mail_admins(test: Requalification) -> None:
    """Put a mail to the admins of the dataset into the outbox, if the site sends mail."""
    if not outbox.is_mail_set_up():
        return
    rows = Membership.objects.filter(dataset=test.dataset, role=Role.ADMIN, user__is_active=True)
    for membership in rows.exclude(user__email="").select_related("user"):
        admin = membership.user
        with translation.override(notices.language_of(admin)):
            body = _(
                "%(name)s did not pass the test of the dataset %(dataset)s: %(right)d of %(asked)d answers "
                "were right. The reviewer gets no images until you offer the test again or let the reviewer "
                "go on, on the page “Reviewers”."
            ) % {
                "name": test.user.get_username(),
                "dataset": test.dataset.name,
                "right": test.right,
                "asked": test.asked,
            }
            outbox.queue_mail(
                kind=OutgoingMail.Kind.NOTICE,
                to=admin.email,
                subject=_("A reviewer did not pass a test"),
                body=body,
                user=admin,
            )
