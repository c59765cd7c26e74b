"""Confidence intervals of differences and medians. Those of proportions: tests/workers/evaluation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from intervals import median_ranks, newcombe, stratified_difference, wilson

COUNTS = st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        # Newcombe (1998), table II, method 10.
        ((56, 70, 48, 80), 0.0524, 0.3339),
        ((9, 10, 3, 10), 0.1705, 0.8090),
        ((10, 10, 0, 20), 0.6791, 1.0),
        ((10, 10, 0, 10), 0.6075, 1.0),
    ],
)
def test_newcombe_equals_the_published_examples(counts: tuple[int, int, int, int], low: float, high: float):
    found = newcombe(*counts)
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@given(COUNTS, COUNTS)
def test_newcombe_contains_the_difference_and_changes_its_sign_with_the_sides(
    first: tuple[int, int], second: tuple[int, int]
):
    one, other = newcombe(*first, *second), newcombe(*second, *first)
    assert -1 <= one.low <= one.value <= one.high <= 1
    assert (one.low, one.high) == (pytest.approx(-other.high), pytest.approx(-other.low))


@given(COUNTS, COUNTS)
def test_one_stratum_is_the_plain_difference(first: tuple[int, int], second: tuple[int, int]):
    found = stratified_difference([(*first, *second), (3, 4, 0, 0), (0, 0, 1, 2)])
    plain = newcombe(*first, *second)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((plain.value, plain.low, plain.high))


@given(st.lists(st.tuples(COUNTS, COUNTS), min_size=2, max_size=5))
def test_strata_lie_between_the_smallest_and_the_largest_difference(
    strata: list[tuple[tuple[int, int], tuple[int, int]]],
):
    found = stratified_difference([(*a, *b) for a, b in strata])
    values = [newcombe(*a, *b).value for a, b in strata]
    assert found is not None
    assert min(values) - 1e-9 <= found.value <= max(values) + 1e-9
    assert found.low <= found.value <= found.high


def test_strata_without_a_common_one_have_no_difference():
    assert stratified_difference([(1, 2, 0, 0), (0, 0, 3, 4)]) is None


@given(st.integers(6, 3000))
def test_median_ranks_cover_the_median_and_are_not_wider_than_needed(n: int):
    low, high = median_ranks(n)
    assert 0 <= low <= high == n - 1 - low

    def coverage(rank: int) -> float:
        return float(1 - 2 * binom.cdf(rank, n, 0.5))

    tolerance = 0 if n <= 1000 else 0.001  # above, the normal approximation is used
    assert coverage(low) >= 0.95 - tolerance
    assert coverage(low + 1) < 0.95 + tolerance


@pytest.mark.parametrize("n", [1, 2, 5])
def test_median_ranks_of_few_values_are_the_ends(n: int):
    assert median_ranks(n) == (0, n - 1)


def test_bad_numbers_are_refused():
    for call in (
        lambda: newcombe(1, 0, 1, 2),
        lambda: newcombe(3, 2, 1, 2),
        lambda: median_ranks(0),
        lambda: wilson(1, 2, 1.0),
    ):
        with pytest.raises(ValueError):
            call()
