"""The logistic head with a text prior: optimum, limits, chosen parameters and edge cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from tests.labelled_vectors import labelled_vectors
from workers.heads.head import NonFiniteVectors
from workers.heads.logistic import LogisticTextPriorHead, one_standard_error
from workers.heads.objective import log_softmax


def digits():
    data = load_digits()
    return data.data / np.linalg.norm(data.data, axis=1, keepdims=True), data.target


def test_fit_minimises_the_documented_formula() -> None:
    """Checks the gradient in W and b of the formula itself, not of the transformed problem."""
    X, y, T = labelled_vectors(n=30, d=40)  # fewer images than dimensions
    s, kappa = 20.0, 0.5
    m = LogisticTextPriorHead(T, logit_scale=s, lambda0=0.1, text_scale=1.0, whitening_power=0.0, kappa=kappa)
    m.fit(X, y)
    centre = X.mean(axis=0)
    b = m.intercept_ + s * (m.coef_ - T) @ centre
    p = m.predict_proba(X) - np.eye(4)[y]
    by_w = s * p.T @ (X - centre) + m.lambdas_[:, None] * (m.coef_ - T)
    by_b = p.sum(axis=0) + kappa * b
    assert np.abs(by_w).max() < 1e-3 * np.abs(m.lambdas_[:, None] * (m.coef_ - T)).max()
    assert np.abs(by_b).max() < 1e-3


def test_infinite_prior_is_zero_shot() -> None:
    X, y, T = labelled_vectors()
    m = LogisticTextPriorHead(T, logit_scale=10.0, lambda0=1e9, text_scale=1.0, kappa=1e9).fit(X, y)
    np.testing.assert_allclose(m.decision_function(X), 10.0 * X @ T.T, atol=1e-3)


def test_head_without_labels_is_zero_shot() -> None:
    X, _, T = labelled_vectors()
    m = LogisticTextPriorHead(T, logit_scale=10.0).fit(X[:0], np.empty(0, int))
    np.testing.assert_allclose(m.decision_function(X), 10.0 * X @ T.T, atol=1e-9)


def test_prior_fades_with_the_number_of_labels() -> None:
    X, y, T = labelled_vectors(n=2000)
    wrong = np.roll(T, 1, axis=0)  # every prompt describes another class
    score = []
    for n in (8, 60, 1000):
        m = LogisticTextPriorHead(wrong, logit_scale=10.0, lambda0=0.1, text_scale=1.0).fit(X[:n], y[:n])
        score.append((m.predict(X[1000:]) == y[1000:]).mean())
    assert score[0] < score[1] < score[2]
    possible = ((X[1000:] @ T.T).argmax(axis=1) == y[1000:]).mean()
    assert score[0] < 0.6 * possible
    assert score[2] > possible - 0.05


def test_meaningless_prompts_do_not_cost_accuracy() -> None:
    X, y = digits()
    rng = np.random.default_rng(1)
    T = rng.normal(size=(10, 64))
    T /= np.linalg.norm(T, axis=1, keepdims=True)
    at = rng.permutation(len(y))
    train, rest = at[:300], at[300:]
    ours = LogisticTextPriorHead(T, logit_scale=100.0).fit(X[train], y[train])
    plain = [LogisticRegression(C=C, max_iter=2000).fit(X[train], y[train]) for C in (1, 100, 10_000)]
    best = max(m.score(X[rest], y[rest]) for m in plain)
    assert (ours.predict(X[rest]) == y[rest]).mean() > best - 0.01
    assert ours.text_scale_ < 0.2


def test_good_prompts_help_when_labels_are_few() -> None:
    X, y, T = labelled_vectors(n=1000, d=64, labels=8, noise=0.35)
    few = np.arange(24)
    with_text = LogisticTextPriorHead(T, logit_scale=20.0).fit(X[few], y[few])
    without = LogisticTextPriorHead(np.zeros_like(T), logit_scale=20.0).fit(X[few], y[few])
    gain = (with_text.predict(X[24:]) == y[24:]).mean() - (without.predict(X[24:]) == y[24:]).mean()
    assert gain > 0.05


def test_a_common_component_of_the_images_changes_nothing() -> None:
    """Images of some encoders share a large common component."""
    X, y = digits()
    cone = np.concatenate([X, np.full((len(X), 1), 8.0)], axis=1)
    cone /= np.linalg.norm(cone, axis=1, keepdims=True)
    at = np.random.default_rng(2).permutation(len(y))
    score = []
    for V in (X, cone):
        m = LogisticTextPriorHead(np.zeros((10, V.shape[1])), logit_scale=50.0).fit(V[at[:300]], y[at[:300]])
        score.append((m.predict(V[at[300:]]) == y[at[300:]]).mean())
    assert score[1] == pytest.approx(score[0], abs=0.02)


def test_trust_in_text_is_per_class() -> None:
    X, y, T = labelled_vectors(n=400, noise=0.4)
    broken = T.copy()
    broken[2] = -T[2]
    m = LogisticTextPriorHead(broken, logit_scale=10.0, text_scale=1.0).fit(X, y)
    assert m.lambdas_[2] < 0.3 * np.delete(m.lambdas_, 2).min()


def test_unlabelled_class_gets_the_mean_trust() -> None:
    X, y, T = labelled_vectors(n=40)
    is_labelled = y != 3
    m = LogisticTextPriorHead(T, logit_scale=10.0, text_scale=1.0, lambda0=1.0).fit(
        X[is_labelled], y[is_labelled]
    )
    p = np.exp(10.0 * X[is_labelled] @ T.T)
    right = (p / p.sum(axis=1, keepdims=True))[np.arange(is_labelled.sum()), y[is_labelled]]
    counts = np.bincount(y[is_labelled], minlength=4)
    trust = (np.bincount(y[is_labelled], weights=right, minlength=4) + 4 * right.mean()) / (counts + 4)
    assert trust[3] == pytest.approx(right.mean())
    np.testing.assert_allclose(m.lambdas_ / m.lambdas_.mean(), trust / trust.mean(), rtol=1e-9)


def test_one_standard_error_chooses_the_strongest_within_it() -> None:
    mean = np.array([0.9, 0.55, 0.52, 0.50, 0.51])
    assert one_standard_error(mean, np.array([0.03, 0.03, 0.03, 0.0, 0.03])) == 2
    assert one_standard_error(mean, np.zeros(5)) == 3
    assert one_standard_error(mean, np.ones(5)) == 0


@given(st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_permuted_labels_permute_the_logits(seed: int) -> None:
    X, y, T = labelled_vectors(n=40, seed=seed)
    order = np.random.default_rng(seed).permutation(4)
    name = np.argsort(order)  # old label c is called name[c]
    fixed = {"logit_scale": 10.0}
    a = LogisticTextPriorHead(T, **fixed).fit(X, y).decision_function(X)
    b = LogisticTextPriorHead(T[order], **fixed).fit(X, name[y]).decision_function(X)
    np.testing.assert_allclose(a, b[:, name], atol=1e-2)


def test_fits_with_one_seed_are_identical() -> None:
    X, y, T = labelled_vectors(noise=1.2)
    fits = [LogisticTextPriorHead(T, logit_scale=10.0, seed=5).fit(X, y) for _ in range(2)]
    assert fits[0].coef_.tobytes() == fits[1].coef_.tobytes()
    assert fits[0].oof_logits_.tobytes() == fits[1].oof_logits_.tobytes()


def test_weight_two_equals_the_row_twice() -> None:
    X, y, T = labelled_vectors(n=30)
    weight = np.ones(30)
    weight[:5] = 2
    kw = {"logit_scale": 10.0, "lambda0": 0.1, "text_scale": 1.0, "whitening_power": 0.0}
    twice_x, twice_y = np.concatenate([X, X[:5]]), np.concatenate([y, y[:5]])
    a = LogisticTextPriorHead(T, **kw).fit(X, y, sample_weight=weight)
    b = LogisticTextPriorHead(T, **kw).fit(twice_x, twice_y)
    # λ's unit is the images' own spread, which the copies change slightly.
    np.testing.assert_allclose(a.predict_proba(X), b.predict_proba(X), atol=0.03)


def test_one_hot_soft_labels_are_hard_labels() -> None:
    X, y, T = labelled_vectors(n=60)
    a = LogisticTextPriorHead(T, logit_scale=10.0).fit(X, y)
    b = LogisticTextPriorHead(T, logit_scale=10.0).fit(X, np.eye(4)[y])
    np.testing.assert_array_equal(a.coef_, b.coef_)


def test_contradictory_labels_of_one_image_give_their_share() -> None:
    X, _, _ = labelled_vectors(n=40)
    x = np.repeat(X[:1], 40, axis=0)
    y = np.array([0] * 30 + [1] * 10)
    p = (
        LogisticTextPriorHead(np.zeros((2, 24)), logit_scale=10.0, lambda0=1e-3, kappa=1e-3)
        .fit(x, y)
        .predict_proba(x)
    )
    assert p[0, 0] == pytest.approx(0.75, abs=0.02)


@pytest.mark.parametrize("n", [1, 2, 7, 40])
def test_fit_handles_labels_of_one_class(n: int) -> None:
    X, y, T = labelled_vectors(n=300)
    rows = np.flatnonzero(y == 1)[:n]
    m = LogisticTextPriorHead(T, logit_scale=10.0).fit(X[rows], y[rows])
    assert np.isfinite(m.coef_).all()
    assert m.cv_loss_ is None
    if n > 1:
        assert (m.predict(X[rows]) == 1).all()
    else:  # one label raises the probability, but need not change the prediction
        prompts = np.exp(log_softmax(10.0 * X[rows] @ T.T))[0, 1]
        assert m.predict_proba(X[rows])[0, 1] > prompts


def test_a_class_with_one_example_is_predicted() -> None:
    X, y, T = labelled_vectors(n=200, noise=0.3)
    rows = np.concatenate([np.flatnonzero(y == c)[: (1 if c == 3 else 20)] for c in range(4)])
    m = LogisticTextPriorHead(T, logit_scale=10.0).fit(X[rows], y[rows])
    assert (m.predict(X[y == 3]) == 3).mean() > 0.6


def test_a_label_added_later_is_still_predicted_from_its_prompt() -> None:
    X, y, T = labelled_vectors(n=400, noise=0.3)
    rows = np.flatnonzero(y != 3)[:60]
    m = LogisticTextPriorHead(T, logit_scale=10.0).fit(X[rows], y[rows])
    assert (m.predict(X[y == 3]) == 3).mean() > 0.4


def test_rows_that_are_not_finite_are_named() -> None:
    X, y, T = labelled_vectors(n=20)
    X[3, 1], X[11, 0] = np.nan, np.inf
    with pytest.raises(NonFiniteVectors, match="rows 3, 11") as caught:
        LogisticTextPriorHead(T).fit(X, y)
    assert caught.value.rows.tolist() == [3, 11]


@pytest.mark.parametrize(
    "y",
    [[0, 1, 4], [0, -1, 1], [0.0, 1.0, 2.0], [0, 1], [[1, 0, 0, 0], [0, 0.5, 0, 0], [0, 0, 1, 0]]],
)
def test_invalid_labels_are_refused(y: list) -> None:
    X, _, T = labelled_vectors(n=3)
    with pytest.raises(ValueError, match="labels"):
        LogisticTextPriorHead(T).fit(X, y)


def test_schema_with_one_label_has_probability_one() -> None:
    X, _, T = labelled_vectors(n=20)
    p = LogisticTextPriorHead(T[:1]).fit(X, np.zeros(20, int)).predict_proba(X)
    np.testing.assert_array_equal(p, 1.0)


def test_predicting_before_fitting_raises_not_fitted_error() -> None:
    from sklearn.exceptions import NotFittedError

    X, _y, T = labelled_vectors(n=30)
    with pytest.raises(NotFittedError, match=r"LogisticTextPriorHead.*fit"):
        LogisticTextPriorHead(T).predict(X)
    with pytest.raises(NotFittedError):
        LogisticTextPriorHead(T).freeze()


def test_parameters_follow_scikit_learn() -> None:
    _, _, T = labelled_vectors()
    m = LogisticTextPriorHead(T, seed=3)
    assert m.get_params()["seed"] == 3
    assert m.set_params(seed=4, folds=3) is m
    assert (m.seed, m.folds) == (4, 3)
    with pytest.raises(ValueError, match="Invalid parameter 'depth'"):
        m.set_params(depth=2)


def test_prior_is_stronger_for_good_prompts_with_few_labels() -> None:
    X, y, T = labelled_vectors(n=7, noise=0.2)
    good = LogisticTextPriorHead(T, logit_scale=30.0).fit(X, y)
    bad = LogisticTextPriorHead(T[[1, 2, 3, 0]], logit_scale=30.0).fit(X, y)
    none = LogisticTextPriorHead(np.zeros_like(T), logit_scale=30.0).fit(X, y)
    assert good.lambda0_ > 2 * none.lambda0_
    assert bad.lambda0_ == pytest.approx(none.lambda0_, rel=0.3)


def test_a_dozen_labels_of_two_classes_do_not_harm_good_prompts() -> None:
    """Class frequencies of a dozen labels are random: the bias must not follow them."""
    losses = []
    for seed in range(10):
        X, y, T = labelled_vectors(n=1500, d=48, labels=8, noise=0.35, seed=seed)
        few = np.r_[np.flatnonzero(y == 0)[:6], np.flatnonzero(y == 1)[:6]]  # six of eight labels have none
        head = LogisticTextPriorHead(T, logit_scale=20.0).fit(X[few], y[few])
        losses.append(((X @ T.T).argmax(axis=1) == y).mean() - (head.predict(X) == y).mean())
    assert np.mean(losses) < 0.02
