"""Base class of the trainable heads: a scikit-learn classifier that checks its arguments and can be frozen.

Modules that only score (head, scoring, serial) do not import this module, so they do not load scikit-learn.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from workers.heads.folds import group_copies, merge_groups, stratified_folds, stratified_sample
from workers.heads.head import LinearHead, check_vectors
from workers.heads.objective import F8, basis, log_softmax
from workers.heads.targets import check_targets, check_weights

# Strengths and metrics are all tried on a subset of this size (or more: _SUBSET_PER_CLASS labels a class, or
# _SUBSET_SHARE of the labels); only good ones are tried on all labels.
SUBSET_SIZE = 2_000
_SUBSET_PER_CLASS = 20
_SUBSET_SHARE = 0.1


@dataclass(frozen=True)
class Images:
    """The labelled images along their principal axes, largest variance first."""

    centre: F8  # (d,)
    V: F8  # (d, r) orthonormal
    Z: F8  # (n, r) logit_scale · (x − centre) V
    energy: F8  # (r,) mean square along each axis
    unit: float  # sum of energy: s²·v of docs/explanation/heads.md


@dataclass(frozen=True)
class LabelledData:
    """Checked labels, and what all kinds of head compute from them once."""

    vectors: F8  # (n, d)
    Y: F8  # (n, L) rows sum to one
    v: F8  # (n,) ≥ 0
    scale: float  # the encoder's s
    seed: int
    groups: NDArray[np.int64]  # (n,) equal for copies and near-duplicates of one image
    fold: NDArray[np.int64] | None  # (n,); None: too few labels to cross-validate

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def empty(self) -> bool:
        return float(self.v.sum()) == 0.0

    @cached_property
    def images(self) -> Images:
        centre = self.vectors.mean(axis=0)
        centred = self.vectors - centre
        V, _ = basis(centred)
        Z = self.scale * (centred @ V)
        energy = np.einsum("ir,ir->r", Z, Z) / len(Z)
        unit, square = float(energy.sum()), self.scale**2
        if unit <= 1e-12 * square:  # a single image has no variance: use its squared length
            unit, energy = square, energy + square
        return Images(centre, V, Z, energy, unit)

    @cached_property
    def subset_rows(self) -> NDArray[np.int64]:
        """Return the rows of a stratified subset for comparisons; all rows where they are few."""
        size = max(SUBSET_SIZE, _SUBSET_PER_CLASS * self.Y.shape[1], int(_SUBSET_SHARE * len(self)))
        if self.fold is None or len(self) <= size:
            return np.arange(len(self))
        rows = stratified_sample(self.Y.argmax(axis=1), size, self.seed, groups=self.groups)
        return rows if self.v[rows].any() else np.arange(len(self))

    @cached_property
    def subset(self) -> LabelledData:
        """Return the subset as data, each row in the same fold; this object itself if it is all rows."""
        rows = self.subset_rows
        if self.fold is None or len(rows) == len(self):
            return self
        return LabelledData(
            self.vectors[rows],
            self.Y[rows],
            self.v[rows],
            self.scale,
            self.seed,
            self.groups[rows],
            self.fold[rows],
        )


def one_thread() -> Any:
    """Return a context with one BLAS thread, so that digests are repeatable on any number of cores.

    Sums then have the same order. At these sizes it is faster, too.
    """
    import scipy.linalg.blas  # noqa: F401  (its own BLAS must be loaded before it can be limited)
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=1, user_api="blas")


class HeadEstimator(ClassifierMixin, BaseEstimator, ABC):
    """A classifier with logits = logit_scale · X coef_ᵀ + intercept_; labels are the indices 0 … L−1.

    A subclass stores its constructor's arguments under their names (``class_embeddings`` (L, d),
    ``logit_scale``, ``folds`` and ``seed`` among them), sets ``head_class`` and implements
    ``_choose_parameters``, ``_cross_validate`` and ``_refit``.

    Fitted attributes:
        coef_ (L, d), intercept_ (L,), classes_ (L,), n_features_in_.
        oof_logits_ (n, L): out-of-fold logits of each row; None where labels are too few.
    """

    head_class: ClassVar[type[LinearHead]]
    class_embeddings: ArrayLike
    logit_scale: float
    folds: int
    seed: int

    classes_: NDArray[np.int64]
    n_features_in_: int
    coef_: F8
    intercept_: F8
    oof_logits_: F8 | None

    # -- fitting ---------------------------------------------------------------------------------------------

    def fit(self, X: ArrayLike, y: ArrayLike, *, sample_weight: ArrayLike | None = None) -> Self:
        """Fit on (n, d) vectors and labels: (n,) indices, or (n, L) soft labels with rows summing to one.

        Without rows the head is the zero-shot one. One image may have different labels.

        Raises:
            NonFiniteVectors: naming the rows with NaN or infinity.
            ValueError: shapes, labels out of range, negative weights.
        """
        data = self.prepare(X, y, sample_weight)
        return self.choose_parameters(data.subset).cross_validate(data).refit(data)

    def prepare(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        groups: NDArray[np.int64] | None = None,
    ) -> LabelledData:
        """Check the arguments of `fit` and assign folds, the same for every kind of head with one seed.

        There are no folds with fewer than two different images a class or a fold, or with one class only.
        Copies share a fold, and so do rows of one of the groups (n,): near-duplicates.
        """
        n_labels, dim = self._embeddings().shape
        vectors = check_vectors(X, dim=dim).astype(np.float64)
        Y, v = check_targets(y, len(vectors), n_labels), check_weights(sample_weight, len(vectors))
        copies, hard, weighted = group_copies(vectors), Y.argmax(axis=1), v > 0
        groups = copies if groups is None else merge_groups(copies, groups)
        images = len(np.unique(groups[weighted]))
        fold = None
        if images >= 2 * max(n_labels, self.folds) and len(np.unique(hard[weighted])) > 1:
            # Rows of weight 0 get their folds afterwards, so that every fold has rows with weight.
            fold = np.zeros(len(vectors), np.int64)
            fold[weighted] = stratified_folds(hard, self.folds, self.seed, groups=groups[weighted])
            of_group = dict(zip(groups[weighted].tolist(), fold[weighted].tolist(), strict=True))
            fold[~weighted] = [of_group.get(group, 0) for group in groups[~weighted].tolist()]
        return LabelledData(vectors, Y, v, float(self.logit_scale), self.seed, groups, fold)

    def choose_parameters(self, data: LabelledData) -> Self:
        """First step of `fit`: choose parameters by cross-validation and keep their out-of-fold logits."""
        T = self._embeddings()
        self.classes_ = np.arange(len(T))
        self.n_features_in_ = T.shape[1]
        self.oof_logits_ = None
        with one_thread():
            self._choose_parameters(T, data)
        return self

    def cross_validate(self, data: LabelledData) -> Self:
        """Second step, after a subset: choose the final parameters, with out-of-fold logits of all rows."""
        if data.fold is not None and not data.empty and not self._has_logits_of(data):
            with one_thread():
                self._cross_validate(self._embeddings(), data)
        return self

    def refit(self, data: LabelledData) -> Self:
        """Last step: fit on all labels with the chosen parameters."""
        with one_thread():
            self._refit(self._embeddings(), data)
        return self

    def _embeddings(self) -> F8:
        """Return the class embeddings (L, d), checked."""
        return check_vectors(self.class_embeddings).astype(np.float64)

    def _has_logits_of(self, data: LabelledData) -> bool:
        return self.oof_logits_ is not None and len(self.oof_logits_) == len(data)

    @abstractmethod
    def _choose_parameters(self, T: F8, data: LabelledData) -> None:
        """Choose parameters on a subset of the labels. T (L, d) are the class embeddings."""

    @abstractmethod
    def _cross_validate(self, T: F8, data: LabelledData) -> None:
        """Choose the final parameters on all labels and set `oof_logits_`."""

    @abstractmethod
    def _refit(self, T: F8, data: LabelledData) -> None:
        """Set `coef_` and `intercept_` from all labels with the chosen parameters."""

    # -- predicting ------------------------------------------------------------------------------------------

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return logits (n, L). sklearn.exceptions.NotFittedError before `fit`."""
        check_is_fitted(self)
        array = check_vectors(X, dim=self.n_features_in_).astype(np.float64)
        return float(self.logit_scale) * (array @ self.coef_.T) + self.intercept_

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return probabilities (n, L), before calibration."""
        return np.exp(log_softmax(self.decision_function(X)))

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """Return label indices (n,)."""
        return self.decision_function(X).argmax(axis=1).astype(np.int64)

    def freeze(
        self, *, temperature: float = 1.0, calibrated: bool = False, details: dict[str, Any] | None = None
    ) -> LinearHead:
        """Return the immutable head of this fit. sklearn.exceptions.NotFittedError before `fit`."""
        check_is_fitted(self)
        return self.head_class(
            self.coef_,
            self.intercept_,
            logit_scale=float(self.logit_scale),
            temperature=temperature,
            calibrated=calibrated,
            details=details,
        )
