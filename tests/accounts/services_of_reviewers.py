"""Cases of test_services_refuse.py: services about reviewers, goals, assignments and requalification."""

from collections.abc import Callable
from typing import Any

from mekiki.accounts import services as accounts
from mekiki.review import services as review


def _dataset(**more: Any) -> Callable[[Any], dict[str, Any]]:
    return lambda w: {"dataset": w.dataset, **more}


def _of_reviewer(w: Any) -> dict[str, Any]:
    return {"dataset": w.dataset, "reviewer_id": w.reviewer.pk}


_REQUALIFYING = "review/services/requalifying.py"

# For each service: the user of too low a role, and the other arguments.
OF_REVIEWERS: dict[str, tuple[Callable[..., Any], str, Callable[[Any], dict[str, Any]]]] = {
    "accounts/services.py:set_daily_goal": (
        accounts.set_daily_goal,
        "reviewer",
        lambda w: {"dataset": w.dataset, "user": w.other, "goal": 5},
    ),
    "review/services/assignments.py:assign_part": (
        review.assign_part,
        "reviewer",
        lambda w: {**_of_reviewer(w), "label_id": w.label.pk},
    ),
    "review/services/assignments.py:remove_assignment": (
        review.remove_assignment,
        "reviewer",
        _dataset(assignment_id=1),
    ),
    f"{_REQUALIFYING}:check_requalification": (review.check_requalification, "viewer", _dataset()),
    f"{_REQUALIFYING}:begin_test": (review.begin_test, "viewer", _dataset()),
    f"{_REQUALIFYING}:answer_question": (
        review.answer_question,
        "viewer",
        lambda w: {"dataset": w.dataset, "question_id": 1, "label_id": w.label.pk},
    ),
    f"{_REQUALIFYING}:waive_requalification": (review.waive_requalification, "reviewer", _of_reviewer),
    f"{_REQUALIFYING}:offer_test_again": (review.offer_test_again, "reviewer", _of_reviewer),
}
