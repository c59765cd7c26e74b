"""The label of an audited image, from the answers of its reviewers.

It is the label that more than half of the wanted reviewers gave first. Where they did not agree, it is the
first ruling of an adjudicator. What follows the settled label changes nothing.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """An answer or a ruling about an audited image. Numbers are ids."""

    number: int
    reviewer: int
    label: int
    late: bool  # after the lease had expired
    ruling: bool


def settled_label(answers: Sequence[Answer], wanted: int) -> int | None:
    """Return the label that the answers settle, or None. answers: in the order in which they were given."""
    given: list[Answer] = []
    for answer in answers:
        if answer.ruling:
            return answer.label
        given.append(answer)
        counted = _first_by_reviewer(given)[:wanted]
        label, votes = Counter(one.label for one in counted).most_common(1)[0]
        if 2 * votes > wanted:
            return label
        if len(counted) >= wanted:
            return next((one.label for one in answers if one.ruling), None)
    return None


def _first_by_reviewer(answers: Iterable[Answer]) -> list[Answer]:
    """Return one answer of each reviewer. An answer in time is preferred to a late answer."""
    first: dict[int, Answer] = {}
    for answer in sorted(answers, key=lambda one: (one.late, one.number)):
        first.setdefault(answer.reviewer, answer)
    return list(first.values())
