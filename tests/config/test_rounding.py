"""Rounded numbers add up to their rounded sum, and none is off by a unit or more."""

from hypothesis import given
from hypothesis import strategies as st

from mekiki.config.rounding import round_to_sum


@given(st.lists(st.floats(-1000, 1000), min_size=1, max_size=30))
def test_rounded_numbers_add_up(values: list[float]) -> None:
    total = round(sum(values), 2)
    rounded = round_to_sum(values, total)
    assert round(sum(rounded), 2) == total
    assert all(abs(a - b) < 0.011 for a, b in zip(values, rounded, strict=True))


def test_no_numbers_have_no_sum() -> None:
    assert round_to_sum([], 0.0) == []
