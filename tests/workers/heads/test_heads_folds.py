"""Cross-validation: folds, copies, and the subset on which strengths are tried."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.labelled_vectors import labelled_vectors
from workers.heads import estimator
from workers.heads.folds import group_copies, merge_groups, stratified_folds, stratified_sample
from workers.heads.gaussian import GaussianDiscriminant
from workers.heads.logistic import LAMBDA_GRID, LogisticTextPriorHead
from workers.heads.plain import PlainLogistic


def test_copies_share_a_fold() -> None:
    X, y, _ = labelled_vectors(n=40)
    again = np.concatenate([X, X[:25], X[:5]])
    groups = group_copies(again)
    assert (groups[40:65] == np.arange(25)).all()
    assert (groups[65:] == np.arange(5)).all()
    fold = stratified_folds(np.concatenate([y, y[:25], y[:5]]), 5, 1, groups=groups)
    assert (fold[40:65] == fold[:25]).all()
    assert (fold[65:] == fold[:5]).all()


@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(0, 5)), max_size=30))
def test_merged_groups_are_the_finest_that_keep_both(pairs: list[tuple[int, int]]) -> None:
    one, other = np.array(pairs, np.int64).reshape(-1, 2).T
    merged = merge_groups(one, other)
    reached = [{row} for row in range(len(pairs))]
    for _round in pairs:
        reached = [
            {j for j in range(len(pairs)) for i in rows if one[i] == one[j] or other[i] == other[j]} | rows
            for rows in reached
        ]
    assert merged.tolist() == [min(rows) for rows in reached]


def test_near_duplicates_share_a_fold() -> None:
    """Groups that are given join the copies. They also count once for the number of images."""
    X, y, T = labelled_vectors(n=40)
    groups = np.arange(40) // 2
    data = LogisticTextPriorHead(T, logit_scale=10.0).prepare(
        np.concatenate([X, X[:2]]), np.r_[y, y[:2]], groups=np.r_[groups, 90, 91]
    )
    assert data.fold is not None and (data.fold[:40:2] == data.fold[1:40:2]).all()
    assert (data.fold[40:] == data.fold[:2]).all() and len(np.unique(data.fold)) == 5
    few = LogisticTextPriorHead(T, logit_scale=10.0).prepare(X, y, groups=np.arange(40) // 8)
    assert few.fold is None, "five groups are too few images for five folds"


def test_copies_do_not_improve_cross_validated_accuracy() -> None:
    """Random labels, each image three times: copies in other folds would reveal the label."""
    rng = np.random.default_rng(2)
    X, _, T = labelled_vectors(n=60, d=64)
    y = rng.integers(0, 4, 60)
    m = LogisticTextPriorHead(T, logit_scale=20.0).fit(np.tile(X, (3, 1)), np.tile(y, 3))
    assert m.oof_logits_ is not None
    assert (m.oof_logits_.argmax(axis=1) == np.tile(y, 3)).mean() < 0.45


@given(st.lists(st.integers(0, 5), min_size=5, max_size=80), st.integers(0, 99))
def test_folds_are_balanced_in_size_and_in_each_class(y: list[int], seed: int) -> None:
    labels = np.array(y)
    fold = stratified_folds(labels, 5, seed)
    sizes = np.bincount(fold, minlength=5)
    assert sizes.max() - sizes.min() <= 1
    for c in np.unique(labels):
        counts = np.bincount(fold[labels == c], minlength=5)
        assert counts.max() - counts.min() <= 1


@given(
    st.lists(st.integers(0, 5), min_size=30, max_size=300),
    st.integers(1, 4),
    st.integers(5, 200),
    st.integers(0, 99),
)
@settings(deadline=None)
def test_sample_is_stratified_by_class_and_fold(y: list[int], times: int, size: int, seed: int) -> None:
    labels, groups = np.array(y), np.arange(len(y)) // times * times
    labels = labels[groups]  # copies of an image share a label
    rows = stratified_sample(labels, size, seed, groups=groups, min_per_class=4)
    assert (np.diff(rows) > 0).all()
    taken = np.isin(np.arange(len(y)), rows)
    assert (taken == taken[groups]).all()  # copies are together
    fold = stratified_folds(labels, 5, seed, groups=groups)
    first = np.unique(groups)
    for c in np.unique(labels):
        rows_of_class = first[labels[first] == c]
        assert taken[rows_of_class].sum() >= min(4, len(rows_of_class))
        share = len(rows_of_class) * min(1.0, size / len(y))
        assert taken[rows_of_class].sum() <= max(4, share + 0.5)
        counts = np.bincount(fold[rows_of_class[taken[rows_of_class]]], minlength=5)
        assert counts.max() - counts.min() <= 1
    assert rows.tolist() == stratified_sample(labels, size, seed, groups=groups, min_per_class=4).tolist()


@pytest.mark.parametrize("kind", [LogisticTextPriorHead, GaussianDiscriminant, PlainLogistic])
def test_rows_of_weight_zero_do_not_empty_a_fold(kind: type) -> None:
    """All weight lies in one fold of the unweighted data."""
    X, y, T = labelled_vectors(n=60)
    plain = kind(T, logit_scale=10.0).prepare(X, y)
    assert plain.fold is not None
    weight = (plain.fold == 0).astype(float)
    m = kind(T, logit_scale=10.0).fit(X, y, sample_weight=weight)
    assert np.isfinite(m.coef_).all() and np.isfinite(m.oof_logits_).all()
    counted = weight > 0
    fold = kind(T, logit_scale=10.0).prepare(X, y, weight).fold
    assert fold is not None and len(np.unique(fold[counted])) == 5
    again = kind(T, logit_scale=10.0).prepare(
        np.concatenate([X, X]), np.tile(y, 2), np.r_[weight, 0 * weight]
    )
    assert again.fold is not None and (again.fold[:60][counted] == again.fold[60:][counted]).all(), (
        "copies share a fold"
    )
    for bad in (1e300, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="sample_weight"):
            kind(T).fit(X, y, sample_weight=np.full(60, bad))


# -- many labels: strengths are tried on a subset ------------------------------------------------------------


@pytest.fixture
def small_subset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the subset smaller than the test data."""
    monkeypatch.setattr(estimator, "SUBSET_SIZE", 120)
    monkeypatch.setattr(estimator, "_SUBSET_PER_CLASS", 1)


@pytest.mark.usefixtures("small_subset")
@pytest.mark.parametrize("soft", [False, True])
def test_every_row_of_many_labels_has_out_of_fold_logits(soft: bool) -> None:
    X, y, T = labelled_vectors(n=700, noise=1.0)
    X = np.concatenate([X, X[:50]])
    y = np.concatenate([y, y[:50]])
    Y = 0.8 * np.eye(4)[y] + 0.05 if soft else y
    weight = np.random.default_rng(0).random(750) + 0.1
    m = LogisticTextPriorHead(T, logit_scale=10.0)
    data = m.prepare(X, Y, weight)
    assert 110 < len(data.subset) < 150
    assert data.fold is not None and data.subset.fold is not None
    np.testing.assert_array_equal(data.subset.fold, data.fold[data.subset_rows])
    np.testing.assert_array_equal(data.subset.v, weight[data.subset_rows])
    m.fit(X, Y, sample_weight=weight)
    assert m.oof_logits_ is not None and m.oof_logits_.shape == (750, 4)
    # A row's logits are those of a head trained without its fold.
    in_fold = data.fold == 2
    alone = LogisticTextPriorHead(T, logit_scale=10.0, lambda0=m.lambda0_, whitening_power=m.whitening_power_)
    at = alone.prepare(X[~in_fold], Y[~in_fold], weight[~in_fold])
    alone.choose_parameters(dataclasses.replace(at, fold=None)).refit(dataclasses.replace(at, fold=None))
    # λ's unit and the metric are those of the images at hand, so the equality is not exact.
    assert (
        np.corrcoef(alone.decision_function(X[in_fold]).ravel(), m.oof_logits_[in_fold].ravel())[0, 1] > 0.99
    )


@pytest.mark.usefixtures("small_subset")
def test_the_subset_costs_no_accuracy() -> None:
    X, y, T = labelled_vectors(n=3000, noise=1.2, seed=3)
    many = LogisticTextPriorHead(T, logit_scale=10.0).fit(X[:1000], y[:1000])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(estimator, "SUBSET_SIZE", 10_000)
        every = LogisticTextPriorHead(T, logit_scale=10.0).fit(X[:1000], y[:1000])
    loss = [-np.log(m.predict_proba(X[1000:])[np.arange(2000), y[1000:]]).mean() for m in (many, every)]
    assert loss[0] < loss[1] + 0.005
    assert len(many.lambda_grid_) <= len(every.lambda_grid_)


@pytest.mark.usefixtures("small_subset")
def test_a_wrong_strength_from_the_subset_is_corrected() -> None:
    X, y, T = labelled_vectors(n=500, d=40, noise=2.0, seed=3)
    m = LogisticTextPriorHead(T, logit_scale=10.0)
    data = m.prepare(X, y)
    m.choose_parameters(data.subset)
    m._shortlist = (0.0, 0.5), LAMBDA_GRID[6:]
    m.cross_validate(data)
    every = LogisticTextPriorHead(T, logit_scale=10.0).choose_parameters(data)
    assert m.lambda0_ == every.lambda0_ >= LAMBDA_GRID[4]


@pytest.mark.usefixtures("small_subset")
def test_fits_of_many_labels_are_identical_and_keep_a_rare_class() -> None:
    X, y, T = labelled_vectors(n=800, noise=0.3)
    rows = np.r_[np.flatnonzero(y != 3), np.flatnonzero(y == 3)[:1]]
    fits = [LogisticTextPriorHead(T, logit_scale=10.0, seed=5).fit(X[rows], y[rows]) for _ in range(2)]
    assert fits[0].coef_.tobytes() == fits[1].coef_.tobytes()
    assert fits[0].oof_logits_.tobytes() == fits[1].oof_logits_.tobytes()
    data = fits[0].prepare(X[rows], y[rows])
    assert len(data.subset) < len(rows) and (data.subset.Y.argmax(axis=1) == 3).sum() == 1
    assert (fits[0].predict(X[y == 3]) == 3).mean() > 0.5  # one label of 600, and the prompt


def test_the_subset_of_few_labels_is_all_of_them() -> None:
    X, y, T = labelled_vectors(n=200)
    data = LogisticTextPriorHead(T, logit_scale=10.0).prepare(X, y)
    assert data.subset is data
