"""Measures and their intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn import metrics as sk

from workers.evaluation.metrics import accuracy, confusion_matrix, macro_recall, per_label, proportion, wilson


@given(st.integers(1, 500), st.data(), st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_wilson_equals_scipy(n: int, data: st.DataObject, confidence: float) -> None:
    k = data.draw(st.integers(0, n))
    truth = binomtest(k, n).proportion_ci(confidence, method="wilson")
    assert wilson(k, n, confidence) == pytest.approx((truth.low, truth.high), abs=1e-9)


def test_wilson_at_zero_and_all_successes() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(0, 10)[0] == 0.0
    assert wilson(10, 10)[1] == 1.0
    for bad in [(3, 2, 0.95), (-1, 2, 0.95), (1, 2, 1.0), (0, -1, 0.95)]:
        with pytest.raises(ValueError):
            wilson(*bad)


pairs = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=80)


@given(pairs)
def test_measures_equal_scikit_learn(rows: list[tuple[int, int]]) -> None:
    truth, predicted = (np.array(side) for side in zip(*rows, strict=True))
    matrix = confusion_matrix(truth, predicted, 5)
    np.testing.assert_array_equal(matrix, sk.confusion_matrix(truth, predicted, labels=range(5)))
    assert accuracy(truth, predicted).value == pytest.approx(sk.accuracy_score(truth, predicted))
    precision, recall, _, support = sk.precision_recall_fscore_support(
        truth, predicted, labels=range(5), zero_division=0.0
    )
    for row in per_label(truth, predicted, 5):
        assert row.recall.n == support[row.label]
        assert (row.recall.value or 0.0) == pytest.approx(recall[row.label])
        assert (row.precision.value or 0.0) == pytest.approx(precision[row.label])
        assert row.recall.low <= (row.recall.value or 0.0) <= row.recall.high
    macro = macro_recall(truth, predicted, 5)
    assert macro.labels == len(np.unique(truth))
    assert macro.value == pytest.approx(recall[support > 0].mean())
    assert 0.0 <= macro.low <= macro.value + 1e-12
    assert macro.value - 1e-12 <= macro.high <= 1.0


def test_macro_recall_interval_covers_the_truth() -> None:
    rng = np.random.default_rng(0)
    recall = np.array([0.95, 0.8, 0.6])
    hits = 0
    for _ in range(2000):
        truth = np.repeat([0, 1, 2], [200, 40, 15])
        right = rng.random(len(truth)) < recall[truth]
        m = macro_recall(truth, np.where(right, truth, (truth + 1) % 3), 3)
        hits += m.low <= recall.mean() <= m.high
    assert 0.92 < hits / 2000 <= 1.0


def test_macro_recall_of_one_class_is_about_its_recall() -> None:
    m, p = macro_recall([1] * 50, [1] * 40 + [0] * 10, 3), proportion(40, 50)
    assert (m.value, m.labels) == (0.8, 1)
    assert (m.low, m.high) == pytest.approx((p.low, p.high), abs=0.01)


def test_measures_of_no_images() -> None:
    assert macro_recall([], [], 3).value is None
    assert accuracy([], []).value is None
    assert (accuracy([], []).low, accuracy([], []).high) == (0.0, 1.0)
    assert all(row.recall.value is None for row in per_label([], [], 2))


@pytest.mark.parametrize(("truth", "predicted"), [([0], [0, 1]), ([3], [0]), ([0], [-1]), ([[0]], [[0]])])
def test_invalid_labels_are_refused(truth: list, predicted: list) -> None:
    with pytest.raises(ValueError, match=r"truth|predictions"):
        confusion_matrix(truth, predicted, 3)


def test_a_prediction_for_a_label_outside_the_schema_is_wrong() -> None:
    """A truth of −1 is in no label's recall and lowers the precision of the predicted label."""
    first, second = per_label([-1, 0, 1], [0, 0, 1], 2)
    assert (first.precision.k, first.precision.n) == (1, 2)
    assert (first.recall.k, first.recall.n) == (second.recall.k, second.recall.n) == (1, 1)
