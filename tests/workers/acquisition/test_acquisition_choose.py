"""The batch of `choose_batch`: which images, in which order, with which propensity."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from workers.acquisition.mix import STRATEGIES, Choice, choose_batch
from workers.heads.logistic import LogisticTextPriorHead
from workers.heads.scoring import Scores, score
from workers.heads.zero_shot import ZeroShotHead


def score_random_images(n: int, labels: int, seed: int) -> Scores:
    rng = np.random.default_rng(seed)
    return score(ZeroShotHead(rng.normal(size=(labels, 4)), 3.0), rng.normal(size=(n, 4)).astype(np.float32))


def choose_for_random_images(n: int = 200, labels: int = 4, seed: int = 0, **changes: object) -> Choice:
    rng = np.random.default_rng(seed)
    arguments = {
        "X": rng.normal(size=(n, 4)).astype(np.float32),
        "scores": score_random_images(n, labels, seed),
        "candidate": np.ones(n, bool),
        "reserve": rng.random(n) < 0.3,
        "batch": 40,
        "labelled_counts": np.arange(labels),
        "seed": seed,
        "cold": False,
    }
    return choose_batch(**{**arguments, **changes})  # type: ignore[arg-type]


@given(
    n=st.integers(0, 60),
    labels=st.integers(1, 5),
    batch=st.integers(0, 80),
    fraction=st.sampled_from([0.0, 0.15, 0.5, 1.0]),
    strategy=st.sampled_from(STRATEGIES),
    cold=st.booleans(),
    blind=st.booleans(),
    share=st.sampled_from([0.0, 0.2, 1.0]),
    seed=st.integers(0, 10_000),
)
@settings(max_examples=120, deadline=None)
def test_invariants_of_a_batch(n, labels, batch, fraction, strategy, cold, blind, share, seed) -> None:
    rng = np.random.default_rng(seed)
    candidate, reserve = rng.random(n) < 0.7, rng.random(n) < share
    c = choose_for_random_images(
        n, labels, seed, candidate=candidate, reserve=reserve, batch=batch, audit_fraction=fraction,
        strategy=strategy, cold=cold or blind, scores=None if blind else score_random_images(n, labels, seed),
    )  # fmt: skip
    assert len(c) == min(batch, int(candidate.sum()))
    assert len(np.unique(c.index)) == len(c)
    assert candidate[c.index].all()
    audit = c.stream == "audit"
    assert reserve[c.index[audit]].all()
    assert not reserve[c.index[~audit]].any()
    assert set(c.stream) <= {"uncertain", "diverse", "audit"}
    assert ((c.propensity > 0) & (c.propensity <= 1)).all()
    assert (np.diff(c.priority) < 0).all()
    assert ((c.priority > 0) & (c.priority <= 1)).all()
    assert (c.index.dtype, c.propensity.dtype, c.priority.dtype) == (np.int64, np.float32, np.float32)


@pytest.mark.parametrize("batch", [1, 3, 20, 100])
def test_audit_share_is_exact_in_expectation(batch: int) -> None:
    share = [
        np.mean(choose_for_random_images(400, seed=s, batch=batch, strategy="random").stream == "audit")
        for s in range(1500)
    ]
    spread = np.std(share) / np.sqrt(1500) + 1e-9
    assert abs(np.mean(share) - 0.15) < 4 * spread


def test_every_prefix_has_its_share_of_audits() -> None:
    audits_at = np.zeros(100)
    for s in range(300):
        audit = choose_for_random_images(400, seed=s, batch=100, strategy="random").stream == "audit"
        audits_at += audit
        assert np.abs(audit.cumsum() - 0.15 * np.arange(1, 101)).max() < 1.01
        assert audit[:20].sum() in (2, 3, 4)
    # No image is certain to be an audit.
    assert audits_at.min() > 0.05 * 300
    assert audits_at.max() < 0.3 * 300


def test_propensities_equal_the_frequencies_of_20_000_draws() -> None:
    """Checks the audit and the random stream, separately for each number of audits drawn."""
    n, rounds = 30, 20_000
    reserve = np.arange(n) < 12
    candidate = np.arange(n) % 6 != 1  # 5 of 30 were reviewed before, 2 of them in the reserve
    drawn: dict[int, np.ndarray] = {}
    stated: dict[int, np.ndarray] = {}
    times: dict[int, int] = {}
    for s in range(rounds):
        c = choose_batch(
            X=np.zeros((n, 2), np.float32), scores=None, candidate=candidate, reserve=reserve, batch=9,
            audit_fraction=0.35, strategy="random", labelled_counts=[0, 0], seed=s, cold=False,
        )  # fmt: skip
        audits = int((c.stream == "audit").sum())
        if audits not in times:
            times[audits], drawn[audits], stated[audits] = 0, np.zeros(n), np.zeros(n)
        times[audits] += 1
        drawn[audits][c.index] += 1
        stated[audits][c.index] = c.propensity
    assert set(times) == {3, 4}  # 3.15 of 9 on average
    for audits, count in times.items():
        expected = np.where(reserve, audits / 10, (9 - audits) / 15) * candidate
        np.testing.assert_allclose(stated[audits], expected, rtol=1e-6)
        tolerance = 5 * np.sqrt(expected * (1 - expected) / count)  # five standard deviations of a binomial
        assert (np.abs(drawn[audits] / count - expected) <= tolerance).all()
    # Over all draws the mean number of audits is the stated share of the batch.
    mean = sum(audits * count for audits, count in times.items()) / rounds
    assert abs(mean - 0.35 * 9) < 5 * np.sqrt(0.25 / rounds)


def test_propensities_equal_the_documented_ones() -> None:
    reserve = np.arange(200) < 50
    c = choose_for_random_images(reserve=reserve)
    audits = int((c.stream == "audit").sum())
    assert audits in (5, 6, 7)
    np.testing.assert_allclose(c.propensity[c.stream == "audit"], audits / 50, rtol=1e-6)
    assert (c.propensity[c.stream == "uncertain"] == 1.0).all()
    r = choose_for_random_images(reserve=reserve, strategy="random")
    np.testing.assert_allclose(r.propensity[r.stream == "diverse"], (40 - audits) / 150, rtol=1e-6)


def test_the_batch_depends_on_the_seed_only() -> None:
    fixed = {"scores": score_random_images(200, 4, 0), "reserve": np.arange(200) < 60}
    a, b = (
        choose_for_random_images(strategy="random", **fixed),
        choose_for_random_images(strategy="random", **fixed),
    )
    assert a.index.tolist() == b.index.tolist()
    assert a.stream.tolist() == b.stream.tolist()
    assert choose_for_random_images(seed=1, strategy="random", **fixed).index.tolist() != a.index.tolist()
    assert (
        choose_for_random_images(**fixed).index.tolist() == choose_for_random_images(**fixed).index.tolist()
    )


def test_other_images_fill_the_batch_of_a_small_reserve() -> None:
    reserve = np.arange(200) < 2
    c = choose_for_random_images(reserve=reserve, batch=100)
    assert len(c) == 100
    assert (c.stream == "audit").sum() == 2


def test_audits_fill_the_batch_of_a_small_pool() -> None:
    reserve = np.arange(200) < 190
    c = choose_for_random_images(reserve=reserve, batch=100)
    assert len(c) == 100
    assert (c.stream == "uncertain").sum() == 10


def test_cold_start_divides_the_batch_among_zero_shot_labels() -> None:
    c = choose_for_random_images(cold=True, labelled_counts=np.zeros(4, int), reserve=np.zeros(200, bool))
    assert set(c.stream) == {"diverse"}
    counts = np.bincount(score_random_images(200, 4, 0).label[c.index], minlength=4)
    assert counts.max() - counts.min() <= 1


def test_margin_chooses_the_most_uncertain() -> None:
    s = score_random_images(2000, 4, 0)
    c = choose_for_random_images(2000, reserve=np.zeros(2000, bool), audit_fraction=0.0)
    assert np.median(s.margin[c.index]) < np.quantile(s.margin, 0.15)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategy": "astrology"}, "unknown strategy"),
        ({"candidate": np.ones(3, bool)}, "candidate must be"),
        ({"reserve": np.ones(200)}, "reserve must be"),
        ({"scores": None}, "needs scores"),
        ({"scores": SimpleNamespace(label=np.zeros(3))}, "scores are of 3"),
        ({"labelled_counts": []}, "at least one label"),
        ({"audit_fraction": 1.5}, "audit_fraction"),
        ({"batch": -1}, "batch"),
    ],
)
def test_invalid_arguments_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        choose_for_random_images(**changes)


def test_margin_beats_random_on_digits() -> None:
    data = load_digits()
    X = (data.data / np.linalg.norm(data.data, axis=1, keepdims=True)).astype(np.float32)
    y = data.target
    final = {"margin": [], "random": []}
    for seed in range(2):
        rng = np.random.default_rng(seed)
        T = np.stack([X[y == c].mean(axis=0) - X.mean(axis=0) for c in range(10)])
        T /= np.linalg.norm(T, axis=1, keepdims=True)
        T += 0.15 * rng.normal(size=T.shape)
        T /= np.linalg.norm(T, axis=1, keepdims=True)
        reserve = rng.random(len(y)) < 0.2
        for strategy in final:
            candidate, known = np.ones(len(y), bool), np.empty(0, int)
            head = ZeroShotHead(T, 30.0)
            for step in range(3):
                c = choose_batch(
                    X=X, scores=score(head, X), candidate=candidate, reserve=reserve, batch=70,
                    strategy=strategy, labelled_counts=np.bincount(y[known], minlength=10),
                    seed=seed * 10 + step, cold=step == 0,
                )  # fmt: skip
                candidate[c.index] = False
                known = np.concatenate([known, c.index[c.stream != "audit"]])
                head = LogisticTextPriorHead(T, logit_scale=30.0, seed=seed).fit(X[known], y[known]).freeze()
            rest = np.setdiff1d(np.arange(len(y)), known)
            final[strategy].append((head.predict(X[rest]) == y[rest]).mean())
    assert np.mean(final["margin"]) > np.mean(final["random"]) + 0.01


@pytest.mark.parametrize("strategy", ["k_center", "typiclust"])
def test_coverage_needs_no_scores_and_avoids_covered_images(strategy: str) -> None:
    corners = np.repeat(np.eye(4, dtype=np.float32) * 10, 50, axis=0)
    X = corners + np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32) * 0.1
    candidate = np.ones(200, bool)
    candidate[[3, 60]] = False  # corners 0 and 1 are covered
    c = choose_for_random_images(
        X=X, scores=None, candidate=candidate, reserve=np.zeros(200, bool), batch=2, audit_fraction=0.0,
        strategy=strategy,
    )  # fmt: skip
    assert set(c.index // 50) == {2, 3}
    assert set(c.stream) == {"diverse"}
    assert (c.propensity == 1.0).all()


def test_coverage_does_not_count_audited_images_as_covered() -> None:
    """Audited images are not trained on, so their surroundings are not covered."""
    X = np.repeat(np.eye(2, dtype=np.float32) * 10, 50, axis=0)
    # The first corner is wide. If both were covered, the farthest image would be in this corner.
    spread = np.repeat([1.0, 0.01], 50)[:, None]
    X += (np.random.default_rng(0).normal(size=X.shape) * spread).astype(np.float32)
    candidate, reserve = np.ones(100, bool), np.zeros(100, bool)
    candidate[[0, 50]] = False  # both corners have a label,
    reserve[50:53] = True  # but the label of the second is an audit
    c = choose_for_random_images(
        X=X,
        scores=None,
        candidate=candidate,
        reserve=reserve,
        batch=1,
        audit_fraction=0.0,
        strategy="k_center",
    )
    assert c.index[0] > 52
