"""Uncertainty of a head about each image: images with larger values are asked sooner.

Source: Settles, "Active learning literature survey" (2009), section 3.1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Scored(Protocol):
    """The part of `workers.heads.scoring.Scores` that acquisition uses."""

    @property
    def label(self) -> NDArray[np.int32]: ...

    @property
    def confidence(self) -> NDArray[np.float32]: ...

    @property
    def margin(self) -> NDArray[np.float32]: ...

    @property
    def entropy(self) -> NDArray[np.float32]: ...


def margin(scores: Scored) -> NDArray[Any]:
    """Return 1 − (p₁ − p₂): near 1 where two labels are equally likely."""
    return 1.0 - scores.margin


def entropy(scores: Scored) -> NDArray[Any]:
    """Return the entropy in nats: large where many labels are likely."""
    return scores.entropy


def least_confidence(scores: Scored) -> NDArray[Any]:
    """Return 1 − p₁."""
    return 1.0 - scores.confidence


UNCERTAINTY: dict[str, Callable[[Scored], NDArray[Any]]] = {
    "margin": margin,
    "entropy": entropy,
    "least_confidence": least_confidence,
}
