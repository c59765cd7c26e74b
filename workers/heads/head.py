"""A trained head: a linear map, a logit scale and a temperature.

All kinds of head have this form, so scoring, storing and comparing need not know the kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.floating[Any]]


class NonFiniteVectors(ValueError):
    """Some vectors hold NaN or infinity; ``rows`` (k,) are their row indices."""

    def __init__(self, rows: NDArray[np.int64]) -> None:
        self.rows = rows
        shown = ", ".join(str(int(row)) for row in rows[:10])
        more = f" and {len(rows) - 10} more" if len(rows) > 10 else ""
        super().__init__(f"vectors with values that are not finite, in rows {shown}{more}")


def check_vectors(X: ArrayLike, *, dim: int | None = None) -> Floats:
    """Return X as a floating array (n, d), unchanged if it is one.

    Raises:
        ValueError: X is not two-dimensional, or d differs from ``dim``.
        NonFiniteVectors: X holds NaN or infinity.
    """
    array = np.asarray(X)
    if array.dtype.kind in "iub":
        array = array.astype(np.float32)
    if array.ndim != 2 or array.dtype.kind != "f":
        raise ValueError(f"vectors must be a numeric (n, d) array, got {array.dtype} {array.shape}")
    if dim is not None and array.shape[1] != dim:
        raise ValueError(f"vectors have {array.shape[1]} dimensions, the head expects {dim}")
    # One pass in the common case: rows are only searched if the sum is not finite.
    with np.errstate(all="ignore"):
        suspicious = not np.isfinite(array.sum(dtype=np.float64))
    if suspicious:
        rows = np.flatnonzero(~np.isfinite(array).all(axis=1))
        if len(rows):
            raise NonFiniteVectors(rows)
    return array


def softmax(logits: Floats) -> Floats:
    """Return the row-wise softmax of (n, L) logits, stable for any finite input."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    np.exp(shifted, out=shifted)
    shifted /= shifted.sum(axis=1, keepdims=True)
    return shifted


class LinearHead:
    """logits = logit_scale · X Wᵀ + b;  probabilities = softmax(logits / temperature).

    Args:
        weights: (L, d), stored as float32.
        bias: (L,), in logits; zeros when omitted.
        logit_scale: the encoder's scale s, > 0.
        temperature: > 0; 1 until calibrated.
        calibrated: whether the temperature was fitted on out-of-fold logits. If False, no probability of this
            head may be shown as a confidence.
        details: parameters of the training (JSON values only), stored with the head.

    The arrays are read-only: a head is immutable.
    """

    kind: str = "linear"

    def __init__(
        self,
        weights: ArrayLike,
        bias: ArrayLike | None = None,
        *,
        logit_scale: float,
        temperature: float = 1.0,
        calibrated: bool = False,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        w = np.array(weights, dtype=np.float32, order="C")
        if w.ndim != 2 or 0 in w.shape:
            raise ValueError(f"weights must be (L, d) with at least one label, got {w.shape}")
        b = np.zeros(len(w), np.float32) if bias is None else np.array(bias, dtype=np.float32)
        if b.shape != (len(w),):
            raise ValueError(f"bias must be ({len(w)},), got {b.shape}")
        if not (np.isfinite(w).all() and np.isfinite(b).all()):
            raise ValueError("a head's weights and bias must be finite")
        for name, value in (("logit_scale", logit_scale), ("temperature", temperature)):
            if not (np.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be a positive finite number, got {value}")
        w.flags.writeable = False
        b.flags.writeable = False
        self.weights = w  # (L, d)
        self.bias = b  # (L,)
        self.logit_scale = float(logit_scale)
        self.temperature = float(temperature)
        self.calibrated = bool(calibrated)
        self.details: dict[str, Any] = dict(details or {})

    @property
    def n_labels(self) -> int:
        return int(self.weights.shape[0])

    @property
    def dim(self) -> int:
        return int(self.weights.shape[1])

    def decision_function(self, X: ArrayLike) -> NDArray[np.float32]:
        """Return logits (n, L) before the temperature."""
        array = check_vectors(X, dim=self.dim).astype(np.float32, copy=False)
        return array @ (self.weights * np.float32(self.logit_scale)).T + self.bias

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float32]:
        """Return probabilities (n, L) at the head's temperature."""
        return softmax(self.decision_function(X) / np.float32(self.temperature)).astype(np.float32)

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """Return the label index (n,) of the largest logit; the lowest index of equal ones."""
        return self.decision_function(X).argmax(axis=1).astype(np.int64)


class LogisticHead(LinearHead):
    """The head trained by `LogisticTextPriorHead`."""

    kind = "logistic"


class GaussianHead(LinearHead):
    """The head trained by `GaussianDiscriminant`."""

    kind = "gaussian"


class PlainHead(LinearHead):
    """The head trained by `PlainLogistic`, without the prompts."""

    kind = "plain"
