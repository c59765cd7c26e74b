"""Weights of audited images, and weighted estimates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from workers.evaluation.metrics import accuracy, macro_recall, per_label, proportion, weighted_proportion
from workers.evaluation.strata import weigh

labelled_rows = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=60
)


@given(labelled_rows, st.lists(st.integers(60, 5000), min_size=3, max_size=3))
def test_weighted_measures_equal_those_of_scikit_learn(
    rows: list[tuple[int, int, int]], sizes: list[int]
) -> None:
    truth, predicted, stratum = (np.array(side) for side in zip(*rows, strict=True))
    weighting = weigh(stratum, sizes)
    sampled = np.unique(stratum)
    assert weighting.covered == sum(sizes[h] for h in sampled)
    assert weighting.covered + weighting.left_out == sum(sizes)
    assert weighting.weights.mean() == pytest.approx(1)
    # A stratum has the same share of the weights as of the images.
    for h in sampled:
        assert weighting.weights[stratum == h].sum() / len(rows) == pytest.approx(
            sizes[h] / weighting.covered
        )
    total = accuracy(truth, predicted, weights=weighting.weights)
    by_hand = sum(sizes[h] / weighting.covered * (truth == predicted)[stratum == h].mean() for h in sampled)
    assert total.value == pytest.approx(by_hand)
    assert total.value == pytest.approx(sk.accuracy_score(truth, predicted, sample_weight=weighting.weights))
    assert (total.k, total.n) == ((truth == predicted).sum(), len(rows))
    assert 0 <= total.low <= total.value + 1e-9 and total.value - 1e-9 <= total.high <= 1
    assert total.trials <= len(rows) + 1e-9
    precision, recall, _, _ = sk.precision_recall_fscore_support(
        truth, predicted, labels=range(4), sample_weight=weighting.weights, zero_division=0.0
    )
    for row in per_label(truth, predicted, 4, weights=weighting.weights):
        assert (row.precision.value or 0.0) == pytest.approx(precision[row.label])
        assert (row.recall.value or 0.0) == pytest.approx(recall[row.label])
    macro = macro_recall(truth, predicted, 4, weights=weighting.weights)
    assert macro.value == pytest.approx(recall[np.unique(truth)].mean())


@given(st.integers(0, 40), st.integers(1, 40), st.floats(0.1, 9))
def test_equal_weights_give_exactly_wilsons_interval(k: int, more: int, weight: float) -> None:
    hits = np.array([True] * k + [False] * more)
    plain = proportion(k, k + more)
    assert weighted_proportion(hits, np.full(len(hits), weight)) == weighted_proportion(hits) == plain
    one_stratum = weigh(np.zeros(len(hits), int), [1000])
    assert (one_stratum.weights == 1).all() and one_stratum.left_out == 0


def test_a_biased_sample_is_corrected_and_its_interval_covers() -> None:
    """Early images are easy and audited more often: the unweighted estimate is 17 points too high."""
    rng = np.random.default_rng(3)
    sizes, audited, right = [1000, 9000], [120, 30], [0.97, 0.75]
    true = sum(n * p for n, p in zip(sizes, right, strict=True)) / sum(sizes)
    stratum = np.repeat([0, 1], audited)
    weights = weigh(stratum, sizes).weights
    covered, plain_covered, estimates = 0, 0, []
    for _ in range(2000):
        hits = rng.random(150) < np.array(right)[stratum]
        interval, plain = weighted_proportion(hits, weights), weighted_proportion(hits)
        covered += interval.low <= true <= interval.high
        plain_covered += plain.low <= true <= plain.high
        estimates.append(interval.value)
    assert np.mean(estimates) == pytest.approx(true, abs=0.005)
    assert 0.93 < covered / 2000 <= 1.0
    assert plain_covered / 2000 < 0.05


@pytest.mark.parametrize(
    ("sizes", "audited", "right"),
    [
        ([500, 500], [10, 1000], [0.5, 1.0]),  # only images of large weight vary
        ([100] * 60, [1, 2, 3] * 20, [0.9] * 60),  # many small imports
        ([2000, 100], [200, 40], [0.99, 0.9]),
    ],
)
def test_intervals_cover_the_truth(sizes: list[int], audited: list[int], right: list[float]) -> None:
    rng = np.random.default_rng(4)
    sizes = [max(size, n) for size, n in zip(sizes, audited, strict=True)]
    true = sum(n * p for n, p in zip(sizes, right, strict=True)) / sum(sizes)
    stratum = np.repeat(range(len(sizes)), audited)
    weights, chance = weigh(stratum, sizes).weights, np.array(right)[stratum]
    covered = 0
    for _ in range(2000):
        interval = weighted_proportion(rng.random(len(stratum)) < chance, weights)
        covered += interval.low <= true <= interval.high
    assert covered / 2000 > 0.92


def test_empty_input_is_accepted_and_invalid_input_refused() -> None:
    empty = weigh([], [100])
    assert len(empty.weights) == 0 and (empty.covered, empty.left_out) == (0, 100)
    assert weighted_proportion([], []).value is None
    assert weigh([1], [500, 20]).left_out == 500
    for bad in (([2], [1, 1]), ([-1], [1]), ([0, 0], [1])):
        with pytest.raises(ValueError, match="strat"):
            weigh(*bad)
    for weights in ([1.0], [1.0, 0.0], [1.0, np.nan], [1.0, -1.0]):
        with pytest.raises(ValueError, match="weights"):
            weighted_proportion([True, False], weights)
