"""With few images the interval is shown instead of the percentage.

Pages, commands and files use one function.
"""

from types import SimpleNamespace
from typing import Any

import pytest
from django.utils.translation import override

from mekiki.learning.accuracy import MIN_FOR_PERCENTAGE, accuracy_cell, headline, support_sentence
from mekiki.simulation.loop import _line
from mekiki.simulation.scoring import Score


def estimate(n: int, correct: int, low: float, high: float) -> Any:
    return SimpleNamespace(n=n, correct=correct, low=low, high=high, accuracy=correct / n if n else None)


FIVE = estimate(5, 4, 0.376, 0.964)
MANY = estimate(40, 36, 0.769, 0.96)


def test_few_audited_images_show_the_interval_first() -> None:
    with override("en"):
        assert headline(FIVE) == "37.6 % to 96.4 %"
        assert (
            support_sentence(FIVE)
            == "4 of 5 audited images right; the interval becomes narrower with more audited images"
        )
        assert accuracy_cell(FIVE) == "4 of 5"
        assert headline(MANY) == "90.0 %" and accuracy_cell(MANY) == "90.0 %"
        assert support_sentence(MANY) == "95 % interval 76.9 % to 96.0 %, from 40 audited images"
    with override("ja"):
        assert headline(FIVE) == "37.6 %～96.4 %" and "5 枚中 4 枚" in support_sentence(FIVE)


@pytest.mark.parametrize(
    ("n", "shows_interval"), [(1, True), (MIN_FOR_PERCENTAGE - 1, True), (MIN_FOR_PERCENTAGE, False)]
)
def test_interval_is_shown_below_the_minimum_for_percentages(n: int, shows_interval: bool) -> None:
    with override("en"):
        assert (" to " in headline(estimate(n, n, 0.2, 1.0))) is shows_interval


def test_no_accuracy_without_audited_images() -> None:
    assert headline(None) == "–" == headline(estimate(0, 0, 0.0, 1.0))


@pytest.mark.parametrize(
    ("n", "correct", "drawn", "expected"),
    [
        (5, 4, 5, "[37.6% – 96.4%], 4 right, n = 5"),
        (5, 4, 8, "n = 5 of 8 drawn"),
        (40, 36, 40, "90.0%  [37.6% – 96.4%], n = 40"),
    ],
)  # fmt: skip
def test_replay_prints_the_accuracy_in_the_same_way(n: int, correct: int, drawn: int, expected: str) -> None:
    audit = {"estimate": correct / n, "low": 0.376, "high": 0.964, "n": n, "correct": correct, "drawn": drawn}
    score = Score(answers=10, accuracy=0.9, macro_recall=0.9, uncertain=0, audit=audit, head=None)
    line = _line(score, "round 1")
    assert expected in line and ("80.0%" in line) is False
