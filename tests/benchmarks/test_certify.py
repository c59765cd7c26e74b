"""The benchmark of certificates measures what it reports."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from benchmarks import certify
from benchmarks.certification import methods, page, plots, supermartingales
from benchmarks.certification.populations import Population, replay
from benchmarks.coverage import figures
from benchmarks.efficiency.data import Data
from workers.evaluation.certificates.plan import make_plan


def create_data(n: int = 300, labels: int = 4) -> Data:
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(labels), n // labels)
    X = np.eye(labels, 8)[y] + 0.5 * rng.normal(size=(n, 8))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    return Data("photographs", X.astype(np.float32), y, np.eye(labels, 8, dtype=np.float32), 10.0, labels)


def population(errors: list[int], m: int = 600) -> Population:
    wrong = np.zeros(m, bool)
    wrong[errors] = True
    confidence = np.linspace(0.999, 0.6, m)
    return Population("made up", "good", 0, confidence, wrong, confidence[::20], ~wrong[::20], 300)


def case(errors: list[int], alpha: float = 0.05) -> methods.Case:
    made = population(errors)
    plan = make_plan(
        made.confidence, made.audited_confidence, made.audited_right,
        alphas=(alpha,), limits=(150,), grid=(0.5, 0.8, 1.0), runs=10,
    )  # fmt: skip
    return methods.prepare(made, alpha, 0.05, plan.best(alpha))


def test_each_method_counts_what_the_machine_labels() -> None:
    ready = case([])
    order = np.random.default_rng(1).permutation(600)
    for name, run in methods.METHODS.items():
        outcome = run(ready, order)
        assert 0 < outcome.left <= 600 and outcome.wrong_left == 0, name
        assert not methods.exceeds(name, ready, outcome)
    assert methods.confidence_threshold(ready, order).audits == 0
    assert methods.point_estimate(ready, order).audits == methods.SAMPLE
    assert methods.point_estimate(ready, order).left == 600 - methods.SAMPLE


def test_a_pool_that_is_worse_than_alpha_is_not_certified() -> None:
    """The confidences claim more than is true: a threshold believes them, a certificate does not."""
    ready = case(list(range(0, 600, 5)))
    order = np.random.default_rng(1).permutation(600)
    assert methods.watched(ready, order).left == 0
    assert methods.planned(ready, order).left == 0
    assert methods.exceeds("confidence ≥ 1 − α", ready, methods.confidence_threshold(ready, order))
    assert methods.exceeds("watched (ours)", ready, methods.Outcome(100, 6, 0))
    assert not methods.exceeds("watched (ours)", ready, methods.Outcome(100, 5, 0))
    assert not methods.exceeds("PAC labels", ready, methods.Outcome(100, 40, 0))


def test_the_benchmark_writes_its_section(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certify.populations, "GOOD", 80)
    monkeypatch.setattr(certify.populations, "BATCH", 40)
    monkeypatch.setattr(certify, "LIMITS", (60,))
    runs = certify.measure(create_data(), 0, 2, (0.05,))
    assert {(run["head"], run["open"], run["pool"]) for run in runs} == {
        ("weak", 260, 300),
        ("good", 220, 300),
    }
    rows = certify.summarise(runs)
    assert {row["method"] for row in rows} == set(methods.METHODS)
    assert {row["head"] for row in rows} == {"weak", "good"}
    made = {
        "rows": rows, "supermartingales": supermartingales.rows(20), "delta": 0.05,
        "measured": "2026-01-01", "machine": "none",
    }  # fmt: skip
    text = page.section(made)
    assert "| good |" in text and plots.NAME in text
    assert page.terminal(made).count("breaks") == len(rows)
    ElementTree.fromstring(plots.plot(made))


def test_supermartingales_keep_their_level() -> None:
    """At exactly D errors each candidate stops in at most δ of the orders."""
    rng = np.random.default_rng(0)
    least = int(supermartingales.ALPHA * supermartingales.SIZE) + 1
    x = np.zeros((400, supermartingales.SIZE), bool)
    x[:, :least] = True
    x = rng.permuted(x, axis=1)[:, : supermartingales.LIMIT]
    for name, test in supermartingales.CANDIDATES.items():
        assert np.isfinite(test(x, least)).mean() <= 0.05 + 3 * (0.05 * 0.95 / 400) ** 0.5, name


def test_rounds_compare_estimates_with_their_truths() -> None:
    budget = 120
    data = create_data()
    now = list(replay(data, 0, budget, 60, "plain"))[-1]
    row = figures(data, now)
    assert row["answers"] == budget and 0 < row["audits"] < 0.3 * budget
    assert row["truth_pool"] >= row["truth_without_decision"]
    assert not (now.audited & ~now.reserve).any()
