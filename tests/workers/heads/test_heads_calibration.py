"""Temperature and calibration error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.heads.calibration import expected_calibration_error, fit_temperature, reliability


def drawn(n: int, seed: int, spread: float = 3.0):
    """Logits, and labels drawn from their softmax."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 4)) * spread
    p = np.exp(z)
    p /= p.sum(axis=1, keepdims=True)
    y = (p.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=3)
    return z, p, y


@given(st.floats(0.1, 10.0), st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_temperature_recovers_the_one_that_was_applied(true: float, seed: int) -> None:
    z, _, y = drawn(4000, seed)
    assert fit_temperature(z * true, y) == pytest.approx(true, rel=0.1)


def test_soft_labels_and_weights_count() -> None:
    z, _, y = drawn(500, 1)
    assert fit_temperature(z, np.eye(4)[y]) == pytest.approx(fit_temperature(z, y), rel=1e-6)
    half = np.where(np.arange(500) < 250, 1.0, 0.0)
    assert fit_temperature(z, y, sample_weight=half) == pytest.approx(
        fit_temperature(z[:250], y[:250]), rel=1e-4
    )


def test_few_separated_labels_do_not_make_it_certain() -> None:
    z = np.eye(3) * 4.0
    assert 0.1 < fit_temperature(z, [0, 1, 2]) < 1.0


def test_nothing_to_fit_is_one() -> None:
    assert fit_temperature(np.empty((0, 3)), []) == 1.0
    assert fit_temperature(np.zeros((5, 1)), np.zeros(5, int)) == 1.0


def test_perfect_calibration_has_almost_no_error() -> None:
    _, p, y = drawn(60_000, 2, spread=1.5)
    assert expected_calibration_error(p, y) < 0.01


def test_overconfidence_is_measured_exactly() -> None:
    p = np.tile([0.9, 0.1], (100, 1))
    y = np.array([0] * 60 + [1] * 40)
    assert expected_calibration_error(p, y) == pytest.approx(0.3)
    assert expected_calibration_error(p, y, bins=1) == pytest.approx(0.3)


@given(st.integers(1, 200), st.integers(1, 30), st.integers(0, 99))
def test_reliability_counts_everything_once(n: int, bins: int, seed: int) -> None:
    _, p, y = drawn(n, seed)
    r = reliability(p, y, bins=bins)
    assert r.count.sum() == n
    filled = r.count > 0
    assert (r.confidence[filled] >= r.lower[filled] - 1e-9).all()
    assert (r.confidence[filled] <= r.upper[filled] + 1e-9).all()
    assert (r.count[filled] * r.frequency[filled]).sum() == pytest.approx((p.argmax(axis=1) == y).sum())
    assert 0 <= r.error <= 1


def test_nothing_counted_has_no_error() -> None:
    assert expected_calibration_error(np.empty((0, 3)), np.empty(0, int)) == 0.0
    with pytest.raises(ValueError, match="probs"):
        reliability(np.ones((2, 2)), [0])


def test_a_row_of_weight_two_counts_as_two_rows() -> None:
    rng = np.random.default_rng(0)
    p, y, weight = rng.dirichlet(np.ones(3), 400), rng.integers(0, 3, 400), rng.integers(1, 4, 400)
    twice = np.repeat(np.arange(400), weight)
    weighted = expected_calibration_error(p, y, sample_weight=weight)
    assert weighted == pytest.approx(expected_calibration_error(p[twice], y[twice]))
    assert weighted != pytest.approx(expected_calibration_error(p, y))
    assert expected_calibration_error(p, y, sample_weight=np.ones(400)) == pytest.approx(
        expected_calibration_error(p, y)
    )
    with pytest.raises(ValueError, match="sample_weight"):
        reliability(p, y, sample_weight=np.ones(3))
