"""What the trainable heads share: scikit-learn's conventions, checks of what they are given, and freezing.

scikit-learn itself is imported only when it asks for an estimator's tags, so that whatever merely applies a head
does not pay for it.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workers.heads.folds import copies, stratified_folds, stratified_sample
from workers.heads.head import LinearHead, check_vectors
from workers.heads.objective import F8, basis, log_softmax

# Every strength and metric is tried on no more labels than the most of this, _EACH a class and _SHARE of them; on all
# labels only those that did well there, and their neighbours.
COMPARED_ON = 2_000
_EACH = 20
_SHARE = 0.1
_MOST_WEIGHT = 1e9


@dataclass(frozen=True)
class Images:
    """Where labelled images lie: their mean, and the axes along which they differ, widest first."""

    centre: F8  # (d,)
    V: F8  # (d, r) orthonormal
    Z: F8  # (n, r) logit_scale · (x − centre) V
    energy: F8  # (r,) mean square along each axis
    unit: float  # their sum: s²·v of docs/explanation/heads.md


@dataclass(frozen=True)
class Labelled:
    """Checked labels, and what every kind of head derives from them once."""

    vectors: F8  # (n, d)
    Y: F8  # (n, L) rows sum to one
    v: F8  # (n,) ≥ 0
    scale: float  # the encoder's s
    seed: int
    groups: NDArray[np.int64]  # (n,) equal for copies of one image
    fold: NDArray[np.int64] | None  # (n,) None: cross-validation would say nothing

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def empty(self) -> bool:
        return float(self.v.sum()) == 0.0

    @cached_property
    def images(self) -> Images:
        centre = self.vectors.mean(axis=0)
        away = self.vectors - centre
        V, _ = basis(away)
        Z = self.scale * (away @ V)
        energy = np.einsum("ir,ir->r", Z, Z) / len(Z)
        unit, square = float(energy.sum()), self.scale**2
        if unit <= 1e-12 * square:  # a single image has no spread and takes its own length
            unit, energy = square, energy + square
        return Images(centre, V, Z, energy, unit)

    @cached_property
    def few_at(self) -> NDArray[np.int64]:
        """Rows of a stratified part to compare on; all of them where they are not many."""
        most = max(COMPARED_ON, _EACH * self.Y.shape[1], int(_SHARE * len(self)))
        if self.fold is None or len(self) <= most:
            return np.arange(len(self))
        at = stratified_sample(self.Y.argmax(axis=1), most, self.seed, groups=self.groups)
        return at if self.v[at].any() else np.arange(len(self))

    @cached_property
    def few(self) -> Labelled:
        """That part, each row in the fold that it has here; these labels themselves where it is all of them."""
        at = self.few_at
        if self.fold is None or len(at) == len(self):
            return self
        return Labelled(
            self.vectors[at], self.Y[at], self.v[at], self.scale, self.seed, self.groups[at], self.fold[at]
        )


def one_thread() -> Any:
    """One BLAS thread: sums come out in the same order on every machine, so that training can be repeated to the
    same digest. It is faster too, at these sizes, than threads that wait for each other on shared cores."""
    import scipy.linalg.blas  # noqa: F401  (its own BLAS must be loaded before it can be limited)
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=1, user_api="blas")


class HeadEstimator:
    """A classifier with logits = logit_scale · X coef_ᵀ + intercept_; labels are the indices 0 … L−1.

    A subclass stores its constructor's arguments under their own names (``text`` (L, d), ``logit_scale``, ``folds``
    and ``seed`` among them), says in ``frozen`` what its head is, and does in ``_choose``, ``_cross_validate`` and
    ``_complete`` what the methods of these names promise.

    Fitted attributes:
        coef_ (L, d), intercept_ (L,), classes_ (L,), n_features_in_.
        oof_logits_ (n, L) or None: scores of each row by the model that did not see it; None where
        labels are too few for that.
    """

    frozen: ClassVar[type[LinearHead]]
    text: ArrayLike
    logit_scale: float
    folds: int
    seed: int

    classes_: NDArray[np.int64]
    n_features_in_: int
    coef_: F8
    intercept_: F8
    oof_logits_: F8 | None

    # -- scikit-learn's conventions --------------------------------------------------------------------------

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments."""
        names = [name for name in inspect.signature(type(self).__init__).parameters if name != "self"]
        return {name: getattr(self, name) for name in names}

    def set_params(self, **params: Any) -> Self:
        """Set constructor arguments by name; an unknown one is a ValueError."""
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise ValueError(f"unknown parameter {name!r}; known are {', '.join(known)}")
            setattr(self, name, value)
        return self

    def __sklearn_tags__(self) -> Any:
        """What `sklearn.model_selection` and pipelines ask before they take an estimator."""
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        return Tags(
            estimator_type="classifier",
            target_tags=TargetTags(required=True),
            transformer_tags=None,
            classifier_tags=ClassifierTags(),
            regressor_tags=None,
            input_tags=InputTags(),
        )

    # -- fitting ---------------------------------------------------------------------------------------------

    def fit(self, X: ArrayLike, y: ArrayLike, *, sample_weight: ArrayLike | None = None) -> Self:
        """Fit on (n, d) vectors and labels: (n,) indices, or (n, L) soft labels with rows summing to one.

        With no rows at all the head is the zero-shot one. The same image with different labels is fine: the
        head is drawn to what most of them say.

        Raises:
            NonFiniteVectors: naming the rows.
            ValueError: shapes, labels out of range, negative weights.
        """
        data = self.labelled(X, y, sample_weight)
        return self.choose(data.few).cross_validate(data).complete(data)

    def labelled(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Labelled:
        """Check what `fit` was given, and deal it out into folds: the same for every kind of head with one seed.

        There are no folds where cross-validation would say nothing: below two different images a class or a fold, or
        with answers of one class only. Copies share a fold.
        """
        n_labels, dim = check_vectors(self.text).shape
        vectors = check_vectors(X, dim=dim).astype(np.float64)
        Y, v = targets(y, len(vectors), n_labels), weights(sample_weight, len(vectors))
        groups, hard, counts = copies(vectors), Y.argmax(axis=1), v > 0
        images = len(np.unique(groups[counts]))
        fold = None
        if images >= 2 * max(n_labels, self.folds) and len(np.unique(hard[counts])) > 1:
            # Rows that count nothing are dealt out by themselves, or a fold could be left without any that do.
            fold = np.zeros(len(vectors), np.int64)
            fold[counts] = stratified_folds(hard, self.folds, self.seed, groups=groups[counts])
            of_group = dict(zip(groups[counts].tolist(), fold[counts].tolist(), strict=True))
            fold[~counts] = [of_group.get(group, 0) for group in groups[~counts].tolist()]
        return Labelled(vectors, Y, v, float(self.logit_scale), self.seed, groups, fold)

    def choose(self, data: Labelled) -> Self:
        """First part of `fit`: choose by cross-validation, and keep the out-of-fold logits of what was chosen."""
        text = check_vectors(self.text).astype(np.float64)
        self.classes_ = np.arange(len(text))
        self.n_features_in_ = text.shape[1]
        self.oof_logits_ = None
        with one_thread():
            self._choose(text, data)
        return self

    def cross_validate(self, data: Labelled) -> Self:
        """Second part, where `choose` saw only some of the labels: the last choice, and out-of-fold logits of all."""
        if data.fold is not None and not data.empty and not self._covers(data):
            with one_thread():
                self._cross_validate(check_vectors(self.text).astype(np.float64), data)
        return self

    def complete(self, data: Labelled) -> Self:
        """Last part: fit to all labels what was chosen."""
        with one_thread():
            self._complete(check_vectors(self.text).astype(np.float64), data)
        return self

    def _covers(self, data: Labelled) -> bool:
        return self.oof_logits_ is not None and len(self.oof_logits_) == len(data)

    def _choose(self, text: F8, data: Labelled) -> None:
        raise NotImplementedError

    def _cross_validate(self, text: F8, data: Labelled) -> None:
        raise NotImplementedError

    def _complete(self, text: F8, data: Labelled) -> None:
        raise NotImplementedError

    # -- answering -------------------------------------------------------------------------------------------

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Logits (n, L). sklearn.exceptions.NotFittedError before `fit`."""
        self._fitted()
        array = check_vectors(X, dim=self.n_features_in_).astype(np.float64)
        return float(self.logit_scale) * (array @ self.coef_.T) + self.intercept_

    def _fitted(self) -> None:
        if hasattr(self, "coef_"):
            return
        from sklearn.exceptions import NotFittedError

        raise NotFittedError(f"This {type(self).__name__} is not fitted yet: call fit first.")

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Probabilities (n, L), before calibration."""
        return np.exp(log_softmax(self.decision_function(X)))

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """Label indices (n,)."""
        return self.decision_function(X).argmax(axis=1).astype(np.int64)

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Share of rows predicted right, as scikit-learn's classifiers tell it."""
        right = self.predict(X) == np.asarray(y)
        return float(np.average(right, weights=None if sample_weight is None else np.asarray(sample_weight)))

    def freeze(
        self, *, temperature: float = 1.0, calibrated: bool = False, details: dict[str, Any] | None = None
    ) -> LinearHead:
        """The immutable head of this fit. sklearn.exceptions.NotFittedError before `fit`."""
        self._fitted()
        return self.frozen(
            self.coef_,
            self.intercept_,
            logit_scale=float(self.logit_scale),
            temperature=temperature,
            calibrated=calibrated,
            details=details,
        )


def targets(y: ArrayLike, n: int, n_labels: int) -> F8:
    """(n, L) soft labels of label indices or of soft labels. ValueError: shape, range, rows not summing to one."""
    target = np.asarray(y)
    if target.ndim == 2:
        soft = target.astype(np.float64)
        if soft.shape != (n, n_labels) or not np.isfinite(soft).all() or (soft < 0).any():
            raise ValueError(f"soft labels must be ({n}, {n_labels}), finite and not negative")
        if not np.allclose(soft.sum(axis=1), 1.0, atol=1e-4):
            raise ValueError("each row of soft labels must sum to one")
        return soft
    if target.shape != (n,) or (n and target.dtype.kind not in "iu"):
        raise ValueError(f"labels must be ({n},) integers, got {target.dtype} {target.shape}")
    if n and (target.min() < 0 or target.max() >= n_labels):
        raise ValueError(f"labels must lie in [0, {n_labels})")
    return np.eye(n_labels)[target.astype(np.int64)]


def weights(sample_weight: ArrayLike | None, n: int) -> F8:
    """(n,) weights, ones where none are given. ValueError: shape, negative, or above 10⁹ (products would overflow)."""
    if sample_weight is None:
        return np.ones(n)
    v = np.asarray(sample_weight, np.float64)
    if v.shape != (n,) or not ((v >= 0) & (v <= _MOST_WEIGHT)).all():
        raise ValueError(f"sample_weight must be ({n},) numbers from 0 to {_MOST_WEIGHT:g}")
    return v
