"""Temperature, label noise and calibration error."""

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


def sample_labels(n: int, seed: int, spread: float = 3.0):
    """Return logits (n, 4), their softmax, and labels drawn from it."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 4)) * spread
    p = np.exp(z)
    p /= p.sum(axis=1, keepdims=True)
    y = (p.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=3)
    return z, p, y


@given(st.floats(0.1, 10.0), st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_fitted_temperature_is_the_applied_one(true: float, seed: int) -> None:
    z, _, y = sample_labels(4000, seed)
    fitted = fit_calibration(z * true, y)
    assert fitted.temperature == pytest.approx(true, rel=0.1)
    assert fitted.label_noise < 0.03


@given(st.floats(0.0, 0.3), st.floats(0.3, 3.0), st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_label_noise_and_temperature_are_separated(noise: float, true: float, seed: int) -> None:
    """Wrong labels raise the label noise, not the temperature."""
    z, p, y = sample_labels(6000, seed)
    rng = np.random.default_rng([seed, 1])
    wrong = rng.random(len(y)) < noise
    labels = np.where(wrong, rng.integers(0, 4, len(y)), y)
    fitted = fit_calibration(z * true, labels)
    assert fitted.label_noise == pytest.approx(noise, abs=0.04)
    assert fitted.temperature == pytest.approx(true, rel=0.15)
    truth = np.exp(z * true / fitted.temperature)
    truth /= truth.sum(axis=1, keepdims=True)
    assert np.abs(truth - p).mean() < 0.02


def test_fitted_values_are_a_minimum() -> None:
    """Checks the hand-written gradient: no nearby point has a lower objective."""
    z, _, y = sample_labels(300, 5)
    y = np.where(np.arange(300) % 9 == 0, (y + 1) % 4, y)
    fitted = fit_calibration(z, y)

    def objective(temperature: float, noise: float) -> float:
        log_proba = Calibration(temperature, noise).observed_log_proba(z)[np.arange(300), y]
        return -log_proba.sum() + 0.5 * np.log(temperature) ** 2 - 9.0 * np.log1p(-noise)

    lowest = objective(fitted.temperature, fitted.label_noise)
    for dt in (0.98, 1.0, 1.02):
        for ds in (-0.01, 0.0, 0.01):
            assert objective(fitted.temperature * dt, max(0.0, fitted.label_noise + ds)) >= lowest - 1e-6


def test_soft_labels_and_weights_are_used() -> None:
    z, _, y = sample_labels(500, 1)
    soft, hard = fit_calibration(z, np.eye(4)[y]), fit_calibration(z, y)
    assert soft.temperature == pytest.approx(hard.temperature, rel=1e-6)
    half = np.where(np.arange(500) < 250, 1.0, 0.0)
    weighted, cut = fit_calibration(z, y, sample_weight=half), fit_calibration(z[:250], y[:250])
    assert weighted.temperature == pytest.approx(cut.temperature, rel=1e-4)
    assert weighted.label_noise == pytest.approx(cut.label_noise, abs=1e-4)


def test_temperature_stays_above_zero_for_few_separated_labels() -> None:
    z = np.eye(3) * 4.0
    assert 0.1 < fit_calibration(z, [0, 1, 2]).temperature < 1.0


def test_one_wrong_label_of_twelve_raises_the_temperature() -> None:
    z = np.eye(3)[np.arange(12) % 3] * 6.0
    y = np.arange(12) % 3
    y[0] = 1
    fitted = fit_calibration(z, y)
    assert fitted.label_noise < 0.08
    assert fitted.temperature > 1.0


def test_no_rows_or_one_label_give_the_default() -> None:
    assert fit_calibration(np.empty((0, 3)), np.empty(0, int)) == Calibration(1.0, 0.0)
    assert fit_calibration(np.zeros((5, 1)), np.zeros(5, int)) == Calibration(1.0, 0.0)


@pytest.mark.parametrize("logits", [np.zeros(3), np.zeros((2, 3, 4))])
def test_logits_of_other_shapes_are_refused(logits: np.ndarray) -> None:
    with pytest.raises(ValueError, match="must be"):
        fit_calibration(logits, [0])


def test_extreme_scores_stay_finite() -> None:
    z = np.array([[1e6, -1e6, 0.0], [0.0, 1e6, -1e6]] * 10)
    fitted = fit_calibration(z, [1, 1] * 10)
    assert np.isfinite([fitted.temperature, fitted.label_noise]).all()
    assert np.isfinite(fitted.observed_log_proba(z)[np.arange(20), [1, 1] * 10]).all()


def test_perfect_calibration_has_almost_no_error() -> None:
    _, p, y = sample_labels(60_000, 2, spread=1.5)
    assert expected_calibration_error(p, y) < 0.01


def test_error_of_overconfidence_is_exact() -> None:
    p = np.tile([0.9, 0.1], (100, 1))
    y = np.array([0] * 60 + [1] * 40)
    assert expected_calibration_error(p, y) == pytest.approx(0.3)
    assert expected_calibration_error(p, y, bins=1) == pytest.approx(0.3)


@given(st.integers(1, 200), st.integers(1, 30), st.integers(0, 99))
def test_reliability_counts_each_row_once(n: int, bins: int, seed: int) -> None:
    _, p, y = sample_labels(n, seed)
    r = reliability(p, y, bins=bins)
    assert r.count.sum() == n
    filled = r.count > 0
    assert (r.confidence[filled] >= r.lower[filled] - 1e-9).all()
    assert (r.confidence[filled] <= r.upper[filled] + 1e-9).all()
    assert (r.count[filled] * r.frequency[filled]).sum() == pytest.approx((p.argmax(axis=1) == y).sum())
    assert 0 <= r.error <= 1


def test_no_rows_have_no_error() -> None:
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
