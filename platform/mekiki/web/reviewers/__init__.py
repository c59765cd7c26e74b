"""The pages of reviewers: the list, one reviewer, assignments, daily goals, and the requalification test."""

from mekiki.web.reviewers.requalification import answer_test, begin_requalification, requalification
from mekiki.web.reviewers.setting import (
    add_assignment,
    decide_requalification,
    delete_assignment,
    set_goal,
)
from mekiki.web.reviewers.views import reviewer, reviewers

__all__ = [
    "add_assignment",
    "answer_test",
    "begin_requalification",
    "decide_requalification",
    "delete_assignment",
    "requalification",
    "reviewer",
    "reviewers",
    "set_goal",
]
