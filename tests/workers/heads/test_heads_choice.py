"""Challengers, scikit-learn's conventions of all kinds, and the choice of the kind."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from tests.labelled_vectors import labelled_vectors
from workers.heads import estimator
from workers.heads.choice import DEFAULT, choose_head
from workers.heads.estimator import HeadEstimator
from workers.heads.gaussian import GaussianDiscriminant, discriminant
from workers.heads.head import GaussianHead, NonFiniteVectors, PlainHead
from workers.heads.logistic import LogisticTextPriorHead
from workers.heads.plain import PlainLogistic
from workers.heads.serial import dump_head, load_head
from workers.heads.train import train_head

KINDS = (LogisticTextPriorHead, GaussianDiscriminant, PlainLogistic)


def skewed_classes(n: int, d: int = 20, labels: int = 8, seed: int = 0):
    """Return Gaussian classes with one anisotropic covariance, which suit a discriminant."""
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(d, d)) * np.geomspace(3.0, 1.0, d)
    centre = rng.normal(size=(labels, d)) @ mix * 0.08
    y = rng.integers(0, labels, n)
    X = centre[y] + rng.normal(size=(n, d)) @ mix * 0.15 + 2.0
    return X / np.linalg.norm(X, axis=1, keepdims=True), y


# -- scikit-learn's conventions, all kinds ------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_scikit_learn_accepts_the_estimator(kind: type[HeadEstimator]) -> None:
    X, y, T = labelled_vectors(n=120, noise=0.4)
    model = kind(T, logit_scale=20.0, seed=3)
    twin = clone(model)
    assert twin is not model
    assert {k: v for k, v in twin.get_params().items() if k != "class_embeddings"} == {
        k: v for k, v in model.get_params().items() if k != "class_embeddings"
    }
    scores = cross_val_score(model, X, y, cv=3)
    assert scores.shape == (3,)
    assert scores.min() > 0.6
    assert make_pipeline(clone(model)).fit(X, y).score(X, y) > 0.8
    with pytest.raises(ValueError, match="Invalid parameter 'depth'"):
        model.set_params(depth=2)


@pytest.mark.parametrize("kind", KINDS)
def test_estimator_handles_edge_cases(kind: type[HeadEstimator]) -> None:
    X, y, T = labelled_vectors(n=60)
    none = kind(T, logit_scale=20.0).fit(X[:0], y[:0])
    assert np.isfinite(none.predict_proba(X)).all()
    one_class = kind(T, logit_scale=20.0).fit(X[y == 2][:9], y[y == 2][:9])
    assert np.isfinite(one_class.predict_proba(X)).all()
    one_row = kind(T, logit_scale=20.0).fit(X[:1], y[:1])
    assert one_row.predict(X[:1])[0] == y[0]
    same = kind(T, logit_scale=20.0).fit(np.repeat(X[:1], 30, axis=0), np.repeat(y[:1], 30))
    assert np.isfinite(same.predict_proba(X)).all()
    contradicted = kind(T, logit_scale=20.0).fit(np.repeat(X[:1], 30, axis=0), np.arange(30) % 2)
    p = contradicted.predict_proba(X[:1])[0]
    assert np.isfinite(p).all()
    bad = X.copy()
    bad[7, 3] = np.nan
    with pytest.raises(NonFiniteVectors, match="rows 7"):
        kind(T).fit(bad, y)
    with pytest.raises(ValueError, match="lie in"):
        kind(T).fit(X, np.full(60, 4))
    with pytest.raises(ValueError, match="sample_weight"):
        kind(T).fit(X, y, sample_weight=np.full(60, -1.0))


@pytest.mark.parametrize("kind", KINDS)
def test_fit_uses_soft_labels_weights_and_the_seed(kind: type[HeadEstimator]) -> None:
    X, y, T = labelled_vectors(n=80)
    hard = kind(T, logit_scale=20.0, seed=1).fit(X, y)
    soft = kind(T, logit_scale=20.0, seed=1).fit(X, np.eye(4)[y])
    np.testing.assert_array_equal(hard.coef_, soft.coef_)
    again = kind(T, logit_scale=20.0, seed=1).fit(X, y)
    assert dump_head(hard.freeze()) == dump_head(again.freeze())
    zero = np.r_[np.ones(60), np.zeros(20)]
    assert np.isfinite(kind(T, logit_scale=20.0).fit(X, y, sample_weight=zero).predict_proba(X)).all()


# -- the Gaussian head --------------------------------------------------------------------------------------


def test_discriminant_equals_lda_with_many_rows() -> None:
    """With many rows the shrinkage fades: the result is scikit-learn's LDA with equal priors."""
    X, y, _ = labelled_vectors(n=8000, d=12)
    W, b = discriminant(X, np.eye(4)[y], np.ones(len(X)))
    lda = LinearDiscriminantAnalysis(solver="lsqr", priors=np.full(4, 0.25)).fit(X, y)
    ours, theirs = X @ W.T + b, lda.decision_function(X)
    assert (ours.argmax(axis=1) == theirs.argmax(axis=1)).mean() > 0.98


@given(st.integers(1, 30), st.integers(1, 40), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_discriminant_is_finite_for_any_size(n: int, d: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    W, b = discriminant(rng.normal(size=(n, d)), np.eye(3)[rng.integers(0, 3, n)], np.ones(n))
    assert np.isfinite(W).all()
    assert np.isfinite(b).all()


def test_weight_two_equals_the_row_twice() -> None:
    X, y, _ = labelled_vectors(n=30)
    Y, v = np.eye(4)[y], np.ones(30)
    v[:10] = 2.0
    weighted = discriminant(X, Y, v)
    twice = discriminant(np.r_[X, X[:10]], np.r_[Y, Y[:10]], np.ones(40))
    np.testing.assert_allclose(weighted[0], twice[0], rtol=1e-8)
    np.testing.assert_allclose(weighted[1], twice[1], rtol=1e-8)


def test_an_unlabelled_class_is_predicted_from_its_prompt() -> None:
    X, y, T = labelled_vectors(n=300, labels=5, noise=0.4)
    is_labelled = y != 4
    model = GaussianDiscriminant(T, logit_scale=30.0).fit(X[is_labelled][:100], y[is_labelled][:100])
    assert (model.predict(X[y == 4]) == 4).mean() > 0.5


# -- the choice ---------------------------------------------------------------------------------------------


def test_the_default_is_chosen_with_good_prompts() -> None:
    X, y, T = labelled_vectors(n=150, noise=0.5)
    choice = choose_head(X, y, class_embeddings=T, logit_scale=20.0)
    assert [candidate.kind for candidate in choice.candidates] == ["logistic", "gaussian", "plain"]
    assert isinstance(choice.model, LogisticTextPriorHead)
    assert min(candidate.gap for candidate in choice.candidates) == 0.0
    assert sum(fact["chosen"] for fact in choice.facts()) == 1


def test_a_clearly_better_challenger_is_chosen() -> None:
    X, y = skewed_classes(600)
    rng = np.random.default_rng(1)
    T = rng.normal(size=(8, X.shape[1]))
    T /= np.linalg.norm(T, axis=1, keepdims=True)
    choice = choose_head(X[:200], y[:200], class_embeddings=T, logit_scale=20.0)
    usual = next(candidate for candidate in choice.candidates if candidate.kind == DEFAULT)
    assert choice.code == "best"
    assert isinstance(choice.model, GaussianDiscriminant)
    assert usual.gap > 2 * usual.gap_error
    fresh = {
        candidate.kind: -candidate.calibration.observed_log_proba(
            candidate.model.fit(X[:200], y[:200]).decision_function(X[200:])
        )[np.arange(400), y[200:]].mean()
        for candidate in choice.candidates
    }
    assert fresh["gaussian"] < fresh["logistic"]  # on new images, too


def test_a_challenger_that_leads_by_chance_is_not_chosen() -> None:
    """Without text both kinds are nearly the same head."""
    X, y, T = labelled_vectors(n=60, noise=1.2, seed=5)
    choice = choose_head(X, y, class_embeddings=np.zeros_like(T), logit_scale=20.0, kinds=(DEFAULT, "plain"))
    assert isinstance(choice.model, LogisticTextPriorHead)


def test_kinds_are_not_compared_with_too_few_labels() -> None:
    X, y, T = labelled_vectors(n=7)
    choice = choose_head(X, y, class_embeddings=T, logit_scale=20.0)
    assert (choice.code, choice.calibration, choice.candidates) == ("few_labels", None, ())


def test_kinds_are_compared_on_all_of_many_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strengths are tried on a subset; the results of each kind are those of all labels."""
    monkeypatch.setattr(estimator, "SUBSET_SIZE", 80)
    monkeypatch.setattr(estimator, "_SUBSET_PER_CLASS", 1)
    X, y = skewed_classes(1200)
    T = np.random.default_rng(1).normal(size=(8, X.shape[1]))
    T /= np.linalg.norm(T, axis=1, keepdims=True)
    choice = choose_head(X[:600], y[:600], class_embeddings=T, logit_scale=20.0)
    assert [len(candidate.loss) for candidate in choice.candidates] == [600, 600, 600]
    assert choice.model.oof_logits_ is not None and len(choice.model.oof_logits_) == 600
    chosen = next(candidate for candidate in choice.candidates if candidate.model is choice.model)
    logits = choice.model.decision_function(X[600:])
    log_proba = chosen.calibration.observed_log_proba(logits)[np.arange(600), y[600:]]
    assert -log_proba.mean() == pytest.approx(chosen.log_loss, abs=0.1)
    first, second = (
        dump_head(train_head(X[:600], y[:600], class_embeddings=T, logit_scale=20.0, seed=2).head)
        for _ in "ab"
    )
    assert first == second


@pytest.mark.parametrize("kinds", [("plain",), ("logistic", "forest"), ()])
def test_unknown_kinds_are_refused(kinds: tuple[str, ...]) -> None:
    X, y, T = labelled_vectors(n=20)
    with pytest.raises(ValueError, match="kinds"):
        choose_head(X, y, class_embeddings=T, logit_scale=20.0, kinds=kinds)


def test_training_stores_the_choice_and_its_candidates() -> None:
    X, y = skewed_classes(600)
    X, y = X[:200], y[:200]
    T = np.random.default_rng(1).normal(size=(8, X.shape[1]))
    T /= np.linalg.norm(T, axis=1, keepdims=True)
    candidates: dict[str, bool] = {}

    def log(code: str, /, **values: Any) -> None:
        if code == "candidate":
            candidates[values["kind"]] = values["taken"]

    trained = train_head(X, y, class_embeddings=T, logit_scale=20.0, seed=1, log=log)
    assert isinstance(trained.head, GaussianHead)
    assert trained.head.kind == "gaussian"
    metrics = json.loads(json.dumps(trained.metrics, allow_nan=False))
    assert metrics == trained.metrics
    assert metrics["choice"] == {"code": "best"}
    assert [fact["kind"] for fact in metrics["candidates"] if fact["chosen"]] == ["gaussian"]
    figures = metrics["cross_validated_on_reviewed_labels"]
    bins = figures["reliability"]
    assert sum(bins["count"]) == figures["n"] == 200
    assert [c is None for c in bins["confidence"]] == [n == 0 for n in bins["count"]]
    confusion = np.array(figures["confusion"])
    assert confusion.sum() == 200
    assert np.trace(confusion) / 200 == pytest.approx(figures["cv_accuracy"])
    assert len(candidates) > 1 and [kind for kind, taken in candidates.items() if taken] == ["gaussian"]
    back = load_head(dump_head(trained.head))
    assert isinstance(back, GaussianHead)
    np.testing.assert_array_equal(back.predict(X), trained.head.predict(X))


def test_a_plain_head_loads_as_plain_head() -> None:
    X, y, T = labelled_vectors(n=60)
    head = PlainLogistic(T, logit_scale=20.0).fit(X, y).freeze(temperature=0.7, calibrated=True)
    assert isinstance(load_head(dump_head(head)), PlainHead)


def test_label_noise_does_not_lower_confidence() -> None:
    """With a tenth of the labels wrong, confidence still matches accuracy on true labels."""
    X, y, T = labelled_vectors(n=2400, noise=0.2)
    rng = np.random.default_rng(4)
    labels = y.copy()
    wrong = rng.random(2400) < 0.1
    labels[wrong] = (y[wrong] + rng.integers(1, 4, int(wrong.sum()))) % 4
    trained = train_head(X[:400], labels[:400], class_embeddings=T, logit_scale=20.0)
    p = trained.head.predict_proba(X[400:])
    gap = float(p.max(axis=1).mean()) - float((p.argmax(axis=1) == y[400:]).mean())
    assert abs(gap) < 0.04
    assert trained.metrics["label_noise"] == pytest.approx(0.13, abs=0.06)  # a random label may be correct
