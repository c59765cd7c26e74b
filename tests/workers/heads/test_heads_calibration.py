"""Temperature, slips of people, and calibration error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.heads.calibration import (
    Calibration,
    expected_calibration_error,
    fit_calibration,
    reliability,
)


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
    found = fit_calibration(z * true, y)
    assert found.temperature == pytest.approx(true, rel=0.1)
    assert found.slips < 0.03


@given(st.floats(0.0, 0.3), st.floats(0.3, 3.0), st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_slips_and_temperature_are_told_apart(slips: float, true: float, seed: int) -> None:
    """A tenth of wrong answers is not taken for a head that is unsure."""
    z, p, y = drawn(6000, seed)
    rng = np.random.default_rng([seed, 1])
    slipped = rng.random(len(y)) < slips
    answers = np.where(slipped, rng.integers(0, 4, len(y)), y)
    found = fit_calibration(z * true, answers)
    assert found.slips == pytest.approx(slips, abs=0.04)
    assert found.temperature == pytest.approx(true, rel=0.15)
    truth = np.exp(z * true / found.temperature)
    truth /= truth.sum(axis=1, keepdims=True)
    assert np.abs(truth - p).mean() < 0.02


def test_the_slope_is_that_of_finite_differences() -> None:
    """The optimum is found by a gradient written by hand: nothing nearby may be more likely."""
    z, _, y = drawn(300, 5)
    y = np.where(np.arange(300) % 9 == 0, (y + 1) % 4, y)
    found = fit_calibration(z, y)

    def value(temperature: float, slips: float) -> float:
        said = Calibration(temperature, slips).log_answers(z)[np.arange(300), y]
        return -said.sum() + 0.5 * np.log(temperature) ** 2 - 9.0 * np.log1p(-slips)

    least = value(found.temperature, found.slips)
    for dt in (0.98, 1.0, 1.02):
        for ds in (-0.01, 0.0, 0.01):
            assert value(found.temperature * dt, max(0.0, found.slips + ds)) >= least - 1e-6


def test_soft_labels_and_weights_count() -> None:
    z, _, y = drawn(500, 1)
    soft, hard = fit_calibration(z, np.eye(4)[y]), fit_calibration(z, y)
    assert soft.temperature == pytest.approx(hard.temperature, rel=1e-6)
    half = np.where(np.arange(500) < 250, 1.0, 0.0)
    weighted, cut = fit_calibration(z, y, sample_weight=half), fit_calibration(z[:250], y[:250])
    assert weighted.temperature == pytest.approx(cut.temperature, rel=1e-4)
    assert weighted.slips == pytest.approx(cut.slips, abs=1e-4)


def test_few_separated_labels_do_not_make_it_certain() -> None:
    z = np.eye(3) * 4.0
    assert 0.1 < fit_calibration(z, [0, 1, 2]).temperature < 1.0


def test_one_surprise_among_few_is_not_laid_to_people() -> None:
    z = np.eye(3)[np.arange(12) % 3] * 6.0
    y = np.arange(12) % 3
    y[0] = 1
    found = fit_calibration(z, y)
    assert found.slips < 0.08
    assert found.temperature > 1.0


def test_nothing_to_fit_is_one() -> None:
    assert fit_calibration(np.empty((0, 3)), np.empty(0, int)) == Calibration(1.0, 0.0)
    assert fit_calibration(np.zeros((5, 1)), np.zeros(5, int)) == Calibration(1.0, 0.0)


@pytest.mark.parametrize("logits", [np.zeros(3), np.zeros((2, 3, 4))])
def test_logits_are_a_table(logits: np.ndarray) -> None:
    with pytest.raises(ValueError, match="must be"):
        fit_calibration(logits, [0])


def test_extreme_scores_stay_finite() -> None:
    z = np.array([[1e6, -1e6, 0.0], [0.0, 1e6, -1e6]] * 10)
    found = fit_calibration(z, [1, 1] * 10)
    assert np.isfinite([found.temperature, found.slips]).all()
    assert np.isfinite(found.log_answers(z)[np.arange(20), [1, 1] * 10]).all()


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
